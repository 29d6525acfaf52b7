"""A network that takes a few hundred cycles, devices for it, and what it must give."""

from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.typing import NDArray

from host.device import Device
from host.transport import Transport
from mapping import reference
from mapping.builder import Builder
from mapping.compiler import compile_network
from mapping.graph import Graph
from mapping.presets import PRESETS
from mapping.program import Program
from sim.board.device import ByteDevice
from sim.board.transport import SimTransport

CONFIG = PRESETS["tiny"]
SHAPE = (4, 4, 3)


@cache
def graph() -> Graph:
    builder = Builder()
    return builder.graph(builder.input(SHAPE).max_pool2d(2))


@cache
def program(slots: int = 2) -> Program:
    return compile_network(graph(), CONFIG, name="maximum", slots=slots)


def images(count: int) -> NDArray[np.int64]:
    return np.random.default_rng(count).integers(-128, 128, size=(count, *SHAPE))


def expected(inputs: NDArray[np.int64]) -> NDArray[np.int64]:
    return reference.run(graph(), inputs)[0]


def connect(
    simulated: ByteDevice, wrap: Callable[[Transport], Transport] = lambda line: line
) -> Device:
    """Device over a line to a simulated one."""
    return Device(lambda: wrap(SimTransport(simulated)), CONFIG, timeout_s=0.1)
