"""pytest plugin: simulated devices for anybody's tests.

The fixture ``systolic_device`` is a function that takes an array's configuration and gives a
:class:`host.device.Device`, such as in this test::

    from host.runtime import Runtime
    from mapping.builder import Builder
    from mapping.compiler import compile_network
    from mapping.presets import PRESETS

    def test_the_largest_pixel_is_found(systolic_device):
        builder = Builder()
        graph = builder.graph(builder.input((2, 2, 1)).max_pool2d(2))
        program = compile_network(graph, PRESETS["tiny"], name="largest")
        device = systolic_device(program.config)
        (largest,) = Runtime(device, program).infer([[[1], [7]], [[3], [2]]])
        assert largest.item() == 7

Options of pytest: ``--systolic-simulator functional`` takes the functional simulator instead of the
gateware; ``--systolic-vcd FOLDER`` writes a waveform per device, named after its test.
"""

# pytest loads this in every project of an environment: nothing heavy is imported before it is used.
# ruff: noqa: PLC0415

import re
from collections.abc import Callable, Generator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import pytest

if TYPE_CHECKING:
    from host.device import Device
    from sim.board.device import ByteDevice
    from sim.board.transport import DeviceKind
    from systolic.spec.config import ArrayConfig

__all__ = ["MakeDevice"]

MakeDevice: TypeAlias = "Callable[[ArrayConfig], Device]"
"""What the fixture is: from a configuration to a device that was just switched on."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the plugin's options."""
    group = parser.getgroup("systolic", "simulated systolic arrays")
    group.addoption(
        "--systolic-simulator",
        choices=("functional", "rtl"),
        default="rtl",
        help="what simulated devices are: the gateware (rtl, the default) or its meaning only",
    )
    group.addoption(
        "--systolic-vcd",
        type=Path,
        metavar="FOLDER",
        help="write a waveform of every simulated device into this folder",
    )


@pytest.fixture
def systolic_device(request: pytest.FixtureRequest) -> Generator[MakeDevice]:
    """Function that makes a device for a configuration; devices are closed behind the test."""
    from host.device import Device
    from sim.board.transport import SimTransport

    kind = cast("DeviceKind", request.config.getoption("--systolic-simulator"))
    folder = cast("Path | None", request.config.getoption("--systolic-vcd"))
    if folder is not None and kind != "rtl":
        raise pytest.UsageError("--systolic-vcd needs --systolic-simulator rtl")
    node = cast("pytest.Item", cast(Any, request).node)
    name = re.sub(r"[^\w.-]+", "_", node.nodeid).strip("_")
    made = 0
    with ExitStack() as devices:

        def make(config: "ArrayConfig") -> Device:
            nonlocal made
            made += 1
            path = folder / f"{name}_{made}.vcd" if folder is not None else None
            line = SimTransport(_make(kind, config, path, devices), f"sim://{kind}")
            return devices.enter_context(Device(lambda: line, config))

        yield make


def _make(
    kind: "DeviceKind", config: "ArrayConfig", vcd: Path | None, until: ExitStack
) -> "ByteDevice":
    if kind == "functional":
        from sim.board.device import FunctionalDevice

        return FunctionalDevice(config)
    from sim.board.rtl import RtlDevice

    device = RtlDevice(config, trace_depth=0 if vcd is None else 1)
    if vcd is not None:
        vcd.parent.mkdir(parents=True, exist_ok=True)
        until.enter_context(device.trace(vcd))
    return device
