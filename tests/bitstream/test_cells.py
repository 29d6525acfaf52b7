"""Every kind of cell, from its bitstream: each pin equals Amaranth's simulator in every cycle."""

from pathlib import Path

import numpy as np
import pytest

from tests.bitstream import designs
from tests.bitstream.build import Maker, build, load, noise, run_amaranth, run_chip

CYCLES = 3000

GENERAL: dict[str, Maker] = {
    "counter": designs.counter,
    "logic": designs.logic,
    "falling_edge": designs.falling_edge,
    "asynchronous_reset": designs.asynchronous_reset,
    "ram_16_masked": lambda: designs.block_ram(256, 16, 4, 1),
    "ram_8": lambda: designs.block_ram(512, 8, None, 2),
    "ram_4": lambda: designs.block_ram(1024, 4, None, 3),
    "ram_2": lambda: designs.block_ram(2048, 2, None, 4),
}
UP5K_ONLY: dict[str, Maker] = {
    "single_port_ram": designs.single_port_ram,
    "multiplier_signed": lambda: designs.multiplier(True),
    "multiplier_unsigned": lambda: designs.multiplier(False),
}
# A bitstream takes a few seconds on the small chip, and more on the others.
FAST = {
    *(("hx1k", name) for name in ("counter", "logic", "falling_edge", "asynchronous_reset")),
    *(("hx1k", "ram_16_masked"), ("hx1k", "ram_2")),
    *(("up5k", "single_port_ram"), ("up5k", "multiplier_signed")),
}
CASES = [
    pytest.param(
        chip, name, marks=() if (chip, name) in FAST else pytest.mark.slow, id=f"{chip}-{name}"
    )
    for chip in ("hx1k", "hx8k", "up5k")
    for name in (*GENERAL, *(UP5K_ONLY if chip == "up5k" else ()))
]


@pytest.mark.parametrize(("chip", "name"), CASES)
def test_pins_do_what_the_design_does(chip: str, name: str, builds: Path) -> None:
    design = (GENERAL | UP5K_ONLY)[name]()
    simulator = load(build(design, chip, builds), chip, builds)
    stimulus = noise(design, CYCLES, seed=len(name))

    got = run_chip(simulator, design, stimulus)

    for port, expected in run_amaranth(design, stimulus).items():
        differs = np.flatnonzero(got[port] != expected)
        assert not len(differs), f"{port} differs in {len(differs)} cycles, first {differs[0]}"
        assert len(np.unique(expected)) > 1, f"{port} never changes, which proves nothing"


def counted(steps: np.ndarray) -> np.ndarray:
    """What a 6-bit sum of steps is just before each clock edge."""
    return np.concatenate([[0], np.cumsum(steps)[:-1]]).astype(np.uint64) % 64


@pytest.mark.parametrize(
    ("chip", "reference"), [("up5k", "pad"), pytest.param("hx8k", "core", marks=pytest.mark.slow)]
)
def test_a_cycle_is_one_of_the_pll_and_its_lock_comes_late(
    chip: str, reference: str, builds: Path
) -> None:
    design = designs.phase_locked_loop(reference)
    simulator = load(build(design, chip, builds), chip, builds)
    stimulus = noise(design, 200, seed=1)

    got = run_chip(simulator, design, stimulus)["total"]

    lock = int(np.flatnonzero(got)[0]) - 1
    assert lock > 0
    steps = np.where(np.arange(200) >= lock, stimulus["step"], 0)
    assert np.array_equal(got, counted(steps))


def test_a_cycle_is_one_of_the_oscillator(builds: Path) -> None:
    design = designs.oscillator()
    simulator = load(build(design, "up5k", builds), "up5k", builds)
    stimulus = noise(design, 200, seed=2)

    got = run_chip(simulator, design, stimulus)["total"]

    assert np.array_equal(got, counted(stimulus["step"]))


def test_single_port_ram_starts_with_noise_of_the_seed(builds: Path) -> None:
    design = designs.single_port_ram()
    simulator = load(build(design, "up5k", builds), "up5k", builds)
    still = {name: np.zeros(8, np.uint8) for name in simulator.inputs}

    def start(seed: int) -> bytes:
        simulator.power_on(seed)
        return simulator.run(still, simulator.outputs, 8)["shown[0]"].tobytes()

    assert start(1) == start(1)
