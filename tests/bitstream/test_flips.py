"""A wrong bit in a bitstream is noticed: by an error, or by a pin that does something else."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sim.bitstream.chip.chipdb import TILE_KINDS
from sim.bitstream.chip.image import Image, read_image
from sim.bitstream.chip.routing import switch_values
from sim.bitstream.errors import BitstreamError
from sim.bitstream.netlist.pads import read_pcf
from sim.bitstream.simulator import BitstreamSimulator, simulate_image
from sim.compiled import Cache
from tests.bitstream import designs
from tests.bitstream.build import FLOWS, Stimulus, build, noise, run_amaranth, run_chip

CHIP = "hx1k"
CYCLES = 1500
FLIPS = 24

Place = tuple[int, int, int, int]


def routing_bits(image: Image) -> list[Place]:
    """Bits (x, y, row, column) of all switches that connect something."""
    switches = image.chip.switches
    used = switches[switch_values(image) != 0]
    return [
        (int(each["x"]), int(each["y"]), *map(int, each["bits"][k]))
        for each in used
        for k in range(each["bit_count"])
    ]


def truth_table_bits(image: Image) -> list[Place]:
    """Bits of the logic cells that are in use."""
    places = image.chip.tile_bits["logic"]
    return [
        (x, y, row, column)
        for y in range(image.chip.height)
        for x in range(image.chip.width)
        if TILE_KINDS[int(image.chip.tiles[y, x])] == "logic"
        for cell in range(8)
        if image.entry(x, y, f"LC_{cell}")
        for row, column in places[f"LC_{cell}"]
    ]


def flipped(image: Image, place: Place) -> Image:
    x, y, row, column = place
    bits = image.bits.copy()
    bits[y, x, row, column] ^= 1
    return replace(image, bits=bits)


class Bench:
    """A design on its chip, and what it does when nothing is wrong."""

    def __init__(self, builds: Path) -> None:
        self.design = designs.logic()
        path = build(self.design, CHIP, builds)
        self.image = read_image(path)
        self._names = read_pcf(path.with_suffix(".pcf").read_text())
        self._cache = Cache(builds)
        self.stimulus = noise(self.design, CYCLES, seed=5)
        self.expected = run_amaranth(self.design, self.stimulus)

    def simulate(self, image: Image) -> BitstreamSimulator:
        return simulate_image(
            image, FLOWS[CHIP].package, self._names, cache_folder=self._cache, optimise="-O0"
        )

    def run(self, image: Image) -> Stimulus:
        return run_chip(self.simulate(image), self.design, self.stimulus)

    def notices(self, place: Place) -> bool:
        """Whether a flipped bit is an error, or changes what a pin does."""
        try:
            got = self.run(flipped(self.image, place))
        except (BitstreamError, ValueError):  # the latter: a pin that is gone
            return True
        return any(not np.array_equal(got[port], self.expected[port]) for port in self.expected)


@pytest.fixture(scope="module")
def bench(builds: Path) -> Bench:
    return Bench(builds)


def test_nothing_is_noticed_in_the_right_bitstream(bench: Bench) -> None:
    got = bench.run(bench.image)

    assert all(np.array_equal(got[port], bench.expected[port]) for port in bench.expected)


@pytest.mark.parametrize(
    ("bits", "least"),
    # Bits of a truth table may stand where inputs never are, a switch in front of what they hide.
    [(routing_bits, 0.9), (truth_table_bits, 0.5)],
    ids=["routing", "logic_cells"],
)
def test_single_wrong_bits_are_noticed(bench: Bench, bits, least: float) -> None:
    places = bits(bench.image)
    chosen = np.random.default_rng(11).choice(len(places), FLIPS, replace=False)

    noticed = sum(bench.notices(places[k]) for k in chosen)

    assert noticed >= least * FLIPS, f"{noticed} of {FLIPS} flipped bits were noticed"


def test_a_bit_without_meaning_is_an_error(bench: Bench) -> None:
    known = np.zeros(bench.image.bits.shape[2:], bool)
    x, y = 1, 1
    switches = bench.image.chip.switches
    for each in switches[(switches["x"] == x) & (switches["y"] == y)]:
        for row, column in each["bits"][: each["bit_count"]]:
            known[row, column] = True
    for places in bench.image.chip.tile_bits["logic"].values():
        for row, column in places:
            known[row, column] = True
    unknown = np.argwhere(~known)
    assert len(unknown)
    row, column = map(int, unknown[0])

    with pytest.raises(BitstreamError, match=rf"tile 1,1 \(logic\): bit B{row}\[{column}\] is set"):
        bench.simulate(flipped(bench.image, (x, y, row, column)))
