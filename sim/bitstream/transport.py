"""``sim://bitstream``: what `systolic build` made, as a line to the host.

``sim://bitstream?path=FOLDER`` takes the folder's bitstream, its constraints and its report, which
tells chip, clock and baud rate. The first opening compiles the simulation, which is kept.
"""

import json
from pathlib import Path
from typing import Any

from host.errors import TransportError
from host.transport import Address, Transport
from sim.bitstream.errors import BitstreamError
from sim.bitstream.simulator import load_bitstream
from sim.bitstream.uart import BitstreamDevice
from sim.board.transport import SimTransport
from sim.compiled import Cache, CompilerError

__all__ = ["load_build", "open_bitstream"]


def load_build(folder: Path, *, cache_folder: Cache | None = None) -> BitstreamDevice:
    """Return the device that a folder of `systolic build` holds, switched on.

    Parameters
    ----------
    folder : Path
        Holds ``report.json``, and the bitstream (``.bin``) and constraints (``.pcf``) of the
        board that the report names.
    cache_folder : Cache, optional
        Where the compiled simulation is kept; default: the user's.

    Raises
    ------
    BitstreamError
        If a file is missing, or the bitstream cannot be simulated.
    CompilerError
        If there is no C compiler, or it fails.
    """
    path = folder / "report.json"
    try:
        report: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        stem, chip = folder / report["board"], str(report["chip"])
        clock_hz, baud = float(report["clock_mhz"]) * 1e6, int(report["baud"])
    except OSError as error:
        raise BitstreamError(f"cannot read {path}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError):
        raise BitstreamError(f"{path} is not the report of a build") from None
    simulator = load_bitstream(
        stem.with_suffix(".bin"),
        chip.partition("-")[2],
        pcf=stem.with_suffix(".pcf"),
        cache_folder=cache_folder,
    )
    return BitstreamDevice(simulator, clock_hz=clock_hz, baud=baud)


def open_bitstream(address: Address) -> Transport:
    """Open ``sim://bitstream?path=FOLDER``.

    Raises
    ------
    TransportError
        If the URL is wrong, or the bitstream cannot be simulated.
    """
    path = address.only("path").get("path")
    if path is None:
        raise TransportError(address.url, "say where it is: sim://bitstream?path=FOLDER")
    try:
        return SimTransport(load_build(Path(path)), address.url)
    except (BitstreamError, CompilerError) as error:
        raise TransportError(address.url, str(error)) from None
