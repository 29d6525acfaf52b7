"""From `systolic build` to an answer: the host's own driver talks to the packed bitstream's pins.

Every output is compared with the reference; that the cycles counted in the chip are those
predicted, the driver checks itself (it raises at the end of a stream where they differ).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from host.check import check_network
from host.device import Device
from host.errors import DeviceError, TransportError
from host.runtime import Runtime
from host.transport import Address
from sim.bitstream.chip.image import read_image
from sim.bitstream.errors import BitstreamError
from sim.bitstream.netlist.pads import read_pcf
from sim.bitstream.simulator import simulate_image
from sim.bitstream.transport import open_bitstream
from sim.bitstream.uart import BitstreamDevice
from sim.board.server import PtyDoor, Server
from sim.board.transport import SimTransport
from sim.compiled import Cache
from tests.bitstream.boards import IMAGES, Case, hx1k, hx8k, make, switch_on, up5k
from tests.bitstream.test_flips import flipped, routing_bits

# Place-and-route of even a small one takes a minute where others work, too.
pytestmark = pytest.mark.timeout(900)

SIMULATED_TIMEOUT_S = 0.05
REAL_TIMEOUT_S = 60.0
LOOK_S = 0.0002  # simulated, between looks at the terminal

CASES: dict[str, Callable[[], Case]] = {
    "up5k": up5k,
    "hx8k": hx8k,
    "hx1k_default": hx1k,
    "up5k_default": lambda: up5k(is_small=False),
    "hx8k_default": lambda: hx8k(is_small=False),
}
# The boards' own configurations fill their chips: minutes of place-and-route.
CHIPS = [
    *("up5k", "hx8k", "hx1k_default"),
    pytest.param("up5k_default", marks=[pytest.mark.slow, pytest.mark.timeout(3600)]),
    pytest.param("hx8k_default", marks=[pytest.mark.slow, pytest.mark.timeout(3600)]),
]


@pytest.fixture(scope="module")
def folder(builds: Path) -> Callable[[str], Path]:
    made: dict[str, Path] = {}

    def get(chip: str) -> Path:
        if chip not in made:
            made[chip] = make(CASES[chip](), builds)
        return made[chip]

    return get


def connect(simulated: BitstreamDevice, case: Case) -> Device:
    return Device(
        lambda: SimTransport(simulated),
        case.board.config,
        board=case.board,
        timeout_s=SIMULATED_TIMEOUT_S,
    )


def check(device: Device, case: Case) -> None:
    report = check_network(Runtime(device, case.program), case.graph, [case.images])
    assert report.is_good, f"{report.differing} of {report.compared} outputs differ"
    assert len(np.unique(report.outputs[0])) > IMAGES  # they are not all alike


@pytest.mark.parametrize("chip", CHIPS)
def test_driver_runs_a_network_through_the_pins(
    chip: str, folder: Callable[[str], Path], builds: Path
) -> None:
    case = CASES[chip]()
    simulated = switch_on(folder(chip), builds)

    device = connect(simulated, case)
    check(device, case)

    assert device.identity.board_id == case.board.board_id
    assert simulated.uart.bad_frames == 0


class _Impatient(SimTransport):
    """Looks away from the chip so often that who waits at the terminal does not wait long."""

    def read(self, timeout_s: float) -> bytes:
        return super().read(min(timeout_s, LOOK_S))


@contextmanager
def served(simulated: BitstreamDevice) -> Iterator[str]:
    """URL of a serial port that the chip is behind."""
    door = PtyDoor()
    with Server(lambda: _Impatient(simulated), [door]) as server:
        thread = Thread(target=server.run)
        thread.start()
        try:
            yield door.url
        finally:
            server.stop()
            thread.join()
            door.close()


def test_driver_runs_a_network_through_a_serial_port(
    folder: Callable[[str], Path], builds: Path
) -> None:
    case = up5k()
    simulated = switch_on(folder("up5k"), builds)

    with (
        served(simulated) as url,
        Device.open(url, case.board.config, timeout_s=REAL_TIMEOUT_S) as device,
    ):
        check(device, case)


def notices(case: Case, place: Path, builds: Path, number: int) -> bool:
    """Whether the driver, or the simulation, finds fault with one wrong bit of routing."""
    stem = place / case.board.name
    image = read_image(stem.with_suffix(".bin"))
    names = read_pcf(stem.with_suffix(".pcf").read_text())
    places = routing_bits(image)
    bit = places[int(np.random.default_rng(number).integers(len(places)))]
    try:
        simulator = simulate_image(flipped(image, bit), "sg48", names, cache_folder=Cache(builds))
        simulated = BitstreamDevice(
            simulator, clock_hz=case.board.clock.hz, baud=case.board.uart.baud
        )
        check(connect(simulated, case), case)
    except (AssertionError, BitstreamError, DeviceError, ValueError):
        return True
    return False


@pytest.mark.parametrize(
    "flips", [3, pytest.param(12, marks=[pytest.mark.slow, pytest.mark.timeout(1800)])]
)
def test_wrong_bits_of_routing_are_noticed(
    flips: int, folder: Callable[[str], Path], builds: Path
) -> None:
    case = up5k()

    noticed = [notices(case, folder("up5k"), builds, number) for number in range(flips)]

    # A wire that is connected where nobody listens does no harm: at most a third are such.
    assert 3 * sum(noticed) >= 2 * flips, f"of {flips} wrong bits: {noticed}"


def test_a_build_is_a_line_by_its_folder(folder: Callable[[str], Path]) -> None:
    place = folder("up5k")

    line = open_bitstream(Address.parse(f"sim://bitstream?path={place}"))

    assert isinstance(line, SimTransport)
    with pytest.raises(TransportError, match=r"cannot read .*report\.json: No such file"):
        open_bitstream(Address.parse(f"sim://bitstream?path={place / 'nothing'}"))
    with pytest.raises(TransportError, match="say where it is"):
        open_bitstream(Address.parse("sim://bitstream"))
