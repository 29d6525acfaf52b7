"""Draw the data flow of the accelerator: ``python3 docs/dataflow.py > docs/dataflow.svg``."""

WIDTH, HEIGHT = 920, 430
ROWS, COLS = 4, 4
PE, PITCH = 44, 62
ARRAY_X, ARRAY_Y = 400, 78

STYLE = """
text{font-family:Helvetica,Arial,sans-serif;font-size:13px;fill:#1b2733;text-anchor:middle}
.small{font-size:11px;fill:#51606e} .left{text-anchor:start}
.block{fill:#eef3f8;stroke:#34495e;stroke-width:1.4}
.pe{fill:#dcebdc;stroke:#2e6b3a;stroke-width:1.4}
.store{fill:#fdf0d8;stroke:#9a6b16;stroke-width:1.4}
.control{fill:#f3e9f5;stroke:#6d3f7c;stroke-width:1.4}
.wire{fill:none;stroke:#34495e;stroke-width:1.4;marker-end:url(#head)}
.act{stroke:#1f5fa8} .psum{stroke:#2e6b3a}
.order{fill:none;stroke:#6d3f7c;stroke-width:1.2;stroke-dasharray:4 3;marker-end:url(#head)}
"""


def box(kind: str, x: float, y: float, width: float, height: float, *lines: str) -> str:
    """Rectangle with centred lines of text, all but the first small."""
    top = y + height / 2 - 7.5 * (len(lines) - 1) + 4.5
    texts: list[str] = []
    for index, line in enumerate(lines):
        small = ' class="small"' if index else ""
        texts.append(f'<text{small} x="{x + width / 2:g}" y="{top + 15 * index:g}">{line}</text>')
    shape = (
        f'<rect class="{kind}" x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="4"/>'
    )
    return shape + "".join(texts)


def wire(kind: str, *points: tuple[float, float]) -> str:
    """Line through points, with an arrow head at the end."""
    path = " ".join(f"{x:g},{y:g}" for x, y in points)
    return f'<polyline class="{kind}" points="{path}"/>'


def note(x: float, y: float, text: str, kind: str = "small left") -> str:
    """Free text."""
    return f'<text class="{kind}" x="{x:g}" y="{y:g}">{text}</text>'


def array() -> list[str]:
    """Processing elements with their skew on the left and their columns' accumulators below."""
    parts = []
    bottom = ARRAY_Y + ROWS * PITCH
    for row in range(ROWS):
        y = ARRAY_Y + row * PITCH
        middle = y + PE / 2
        for step in range(row):  # row r waits r cycles
            parts.append(box("store", ARRAY_X - 34 - 22 * step, middle - 8, 14, 16))
        first = ARRAY_X - 12 - 22 * row if row else ARRAY_X
        parts.append(wire("wire act", (294, middle), (first - 2, middle)))
        if row:
            parts.append(wire("wire act", (ARRAY_X - 20, middle), (ARRAY_X - 2, middle)))
        for col in range(COLS):
            x = ARRAY_X + col * PITCH
            parts.append(box("pe", x, y, PE, PE, "PE"))
            if col < COLS - 1:
                parts.append(wire("wire act", (x + PE, middle), (x + PITCH - 2, middle)))
            parts.append(wire("wire psum", (x + PE / 2, y + PE), (x + PE / 2, y + PITCH - 2)))
    for col in range(COLS):
        x = ARRAY_X + col * PITCH
        parts.append(box("block", x, bottom, PE, 26, "&#931;"))
        parts.append(wire("wire psum", (x + PE / 2, bottom + 26), (x + PE / 2, bottom + 42)))
        parts.append(box("store", x, bottom + 44, PE, 26, "acc"))
    return parts


def drawing() -> str:
    """The whole picture."""
    bottom = ARRAY_Y + ROWS * PITCH
    right = ARRAY_X + COLS * PITCH
    accumulators = bottom + 57
    parts = [
        box("block", 14, 150, 92, 60, "host port", "two byte", "streams"),
        box("store", 168, 92, 126, 226, "scratchpad", "activations", "weights", "parameters",
            "program"),
        box("control", 168, 14, 126, 42, "sequencer", "64-bit instructions"),
        *array(),
        box("block", 716, accumulators - 30, 130, 60, "requantizer", "bias, multiply, round,",
            "clamp, table"),
        box("store", 716, 190, 130, 50, "output buffer", "codes to digits"),
        wire("wire", (106, 172), (166, 172)),
        wire("wire", (168, 190), (108, 190)),
        wire("order", (231, 92), (231, 58)),
        wire("order", (294, 35), (781, 35), (781, 188)),
        wire("order", (703, 35), (703, accumulators - 12), (714, accumulators - 12)),
        wire("wire psum", (right - PITCH + PE, accumulators), (714, accumulators)),
        wire("wire", (781, accumulators - 30), (781, 242)),
        wire("wire", (846, 215), (884, 215), (884, 418), (231, 418), (231, 320)),
        note(303, 68, "digits of activations, or of weights &#8594;"),
        note(303, 28, "addresses and starts; no data decides when"),
        note(right - 8, ARRAY_Y + 26, "one lane"),
        note(right - 8, ARRAY_Y + 42, "per bit"),
        note(right - 8, bottom + 10, "join lanes,"),
        note(right - 8, bottom + 26, "add digits"),
        note(420, 412, "results are the next layer's activations"),
        note(303, bottom + 16, "skew: row r"),
        note(303, bottom + 32, "waits r cycles"),
    ]  # fmt: skip
    head = (
        '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
        'markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z" fill="#34495e"/></marker></defs>'
    )
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
            f'width="{WIDTH}" height="{HEIGHT}">',
            f"<style>{STYLE}</style>{head}",
            f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
            *parts,
            "</svg>",
        ]
    )


if __name__ == "__main__":
    print(drawing())  # noqa: T201
