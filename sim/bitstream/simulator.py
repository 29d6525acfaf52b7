"""A chip with its bitstream, simulated at its pins."""

import ctypes
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from sim.bitstream.c.codegen import generate
from sim.bitstream.c.layout import make_layout
from sim.bitstream.chip.image import Image, read_image
from sim.bitstream.errors import BitstreamError
from sim.bitstream.netlist.extract import extract
from sim.bitstream.netlist.fold import fold
from sim.bitstream.netlist.pads import read_pcf
from sim.compiled import Cache, default_cache, find_compiler
from sim.compiled.toolchain import Compiler, digest

__all__ = ["BitstreamSimulator", "load_bitstream", "simulate_image"]

_ALIGNMENT: Final = 64
_NOISE_SEED: Final = 0x5EED


@dataclass(frozen=True)
class _Pins:
    """Places of the pins in the state; outputs have a value and a place that enables it."""

    inputs: dict[str, int]
    outputs: dict[str, tuple[int, int]]
    pulled_up: frozenset[str]


class BitstreamSimulator:
    """A chip after its configuration.

    Flip-flops start at 0, block RAM with its configured contents, single-port RAM with noise.
    One cycle is one period of the chip's clock: of its pin, of the PLL's output, or of the
    oscillator; it need not be driven. Inputs change just after a rising edge.

    Parameters
    ----------
    path : Path
        Shared object.
    pins : _Pins
        Where the pins are.
    """

    def __init__(self, path: Path, pins: _Pins) -> None:
        self._library = _load(path)
        self._pins = pins
        self._buffer = ctypes.create_string_buffer(self._library.chip_bytes() + _ALIGNMENT)
        base = ctypes.addressof(self._buffer)
        self._state = base + -base % _ALIGNMENT
        self._nets = self._library.chip_nets(self._state)
        self.cycles = 0
        self.power_on()

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the pins that the fabric reads, its clock excepted."""
        return tuple(self._pins.inputs)

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the pins that the fabric drives."""
        return tuple(self._pins.outputs)

    def power_on(self, seed: int = _NOISE_SEED) -> None:
        """Configure the chip anew.

        Parameters
        ----------
        seed : int
            Of the noise in single-port RAM.
        """
        self._library.chip_init(self._state, seed)
        for name, place in self._pins.inputs.items():
            self._nets[place] = int(name in self._pins.pulled_up)
        self.cycles = 0

    def _input(self, name: str) -> int:
        try:
            return self._pins.inputs[name]
        except KeyError:
            known = ", ".join(self._pins.inputs) or "none"
            raise ValueError(f"the chip reads no pin {name}, only {known}") from None

    def _output(self, name: str) -> tuple[int, int]:
        try:
            return self._pins.outputs[name]
        except KeyError:
            known = ", ".join(self._pins.outputs) or "none"
            raise ValueError(f"the chip drives no pin {name}, only {known}") from None

    def set(self, name: str, value: int) -> None:
        """Set an input pin to 0 or 1.

        Raises
        ------
        ValueError
            If there is no such input, or another value.
        """
        if value not in (0, 1):
            raise ValueError(f"pin {name} is 0 or 1, not {value}")
        self._nets[self._input(name)] = value

    def get(self, name: str) -> int | None:
        """Return the value of an output pin for the inputs as they are, None if it floats.

        Raises
        ------
        ValueError
            If there is no such output.
        """
        value, enable = self._output(name)
        self._library.chip_settle(self._state)
        return int(self._nets[value]) if self._nets[enable] else None

    def step(self, cycles: int = 1) -> None:
        """Let clock cycles pass."""
        self._library.chip_step(self._state, cycles)
        self.cycles += cycles

    def run(
        self, inputs: dict[str, NDArray[np.uint8]], outputs: tuple[str, ...], cycles: int
    ) -> dict[str, NDArray[np.uint8]]:
        """Let cycles pass with given inputs and record outputs.

        Parameters
        ----------
        inputs : dict of str to ndarray of uint8, shape (cycles,)
            Values 0 and 1 of input pins; others stay as they are.
        outputs : tuple of str
            Pins to record, just before the clock edge that ends each cycle; a pin that floats
            is recorded as what it would be driven to.
        cycles : int
            How many.

        Raises
        ------
        ValueError
            If there is no such pin, or too few values.
        """
        places = np.array([self._input(name) for name in inputs], np.uint32)
        for name, values in inputs.items():
            if values.shape != (cycles,) or np.any(values > 1):
                raise ValueError(f"pin {name} takes {cycles} values of 0 and 1")
        data = np.zeros((cycles, len(inputs)), np.uint8)
        for k, values in enumerate(inputs.values()):
            data[:, k] = values
        wanted = np.array([self._output(name)[0] for name in outputs], np.uint32)
        result = np.zeros((cycles, len(outputs)), np.uint8)
        self._library.chip_run(
            self._state,
            cycles,
            places.ctypes.data,
            len(places),
            data.ctypes.data,
            wanted.ctypes.data,
            len(wanted),
            result.ctypes.data,
        )
        self.cycles += cycles
        return {name: np.ascontiguousarray(result[:, k]) for k, name in enumerate(outputs)}

    def pin_place(self, name: str, *, is_input: bool) -> int:
        """Return the place of a pin in the state, for what drives pins from within the simulation.

        Raises
        ------
        ValueError
            If there is no such pin.
        """
        return self._input(name) if is_input else self._output(name)[0]

    def run_uart(self, state: ctypes.Structure, cycles: int) -> int:
        """Let cycles pass with a line at two pins; see `sim.bitstream.uart`."""
        done = self._library.chip_uart(self._state, ctypes.byref(state), cycles)
        self.cycles += done
        return done


def _load(path: Path) -> ctypes.CDLL:
    library = ctypes.CDLL(str(path))
    pointer, number = ctypes.c_void_p, ctypes.c_uint64
    for name, result, arguments in (
        ("chip_bytes", number, ()),
        ("chip_nets", ctypes.POINTER(ctypes.c_uint8), (pointer,)),
        ("chip_init", None, (pointer, number)),
        ("chip_settle", None, (pointer,)),
        ("chip_step", None, (pointer, number)),
        ("chip_run", None, (pointer, number, pointer, number, pointer, pointer, number, pointer)),
        ("chip_uart", number, (pointer, pointer, number)),
    ):
        function = getattr(library, name)
        function.restype = result
        function.argtypes = arguments
    return library


def simulate_image(
    image: Image,
    package: str,
    names: dict[str, str] | None = None,
    *,
    compiler: Compiler | None = None,
    cache_folder: Cache | None = None,
    optimise: str = "-O1",
) -> BitstreamSimulator:
    """Return the simulation of an image; see `load_bitstream`."""
    folded = fold(extract(image, package, names))
    layout = make_layout(folded)
    source = generate(folded, layout)
    compiler = compiler if compiler is not None else find_compiler()
    store = cache_folder if cache_folder is not None else default_cache()

    def make(folder: Path) -> None:
        (folder / "chip.c").write_text(source, encoding="utf-8")
        compiler.build(folder / "chip.c", folder / "chip.so", optimise)

    built = store.get(digest("bitstream", compiler.identity, optimise, source), make)
    places = layout.places
    pins = _Pins(
        {name: places[net] for name, net in folded.pins.items()},
        {pad.pin: (places[pad.data], places[pad.enable]) for pad in folded.outputs},
        folded.pulled_up,
    )
    return BitstreamSimulator(built / "chip.so", pins)


def load_bitstream(
    path: Path,
    package: str,
    *,
    pcf: Path | None = None,
    compiler: Compiler | None = None,
    cache_folder: Cache | None = None,
    optimise: str = "-O1",
) -> BitstreamSimulator:
    """Read a bitstream and make a simulation of it.

    Parameters
    ----------
    path : Path
        The bitstream: packed, or the text that ``iceunpack`` writes (``.asc``).
    package : str
        Package of the chip, as nextpnr calls it (``sg48``, ``ct256``).
    pcf : Path, optional
        Constraints that name the pins; without them, pins are named as by the package.
    compiler : Compiler, optional
        Default: what `sim.compiled.find_compiler` finds.
    cache_folder : Cache, optional
        Default: the user's.
    optimise : str
        Optimisation option of the C compiler.

    Raises
    ------
    BitstreamError
        If the bitstream cannot be read, or holds what is not known or not supported.
    CompilerError
        If there is no C compiler, or it fails.
    """
    try:
        names = read_pcf(pcf.read_text(encoding="utf-8")) if pcf is not None else None
    except OSError as error:
        raise BitstreamError(f"cannot read {pcf}: {error.strerror}") from None
    return simulate_image(
        read_image(path),
        package,
        names,
        compiler=compiler,
        cache_folder=cache_folder,
        optimise=optimise,
    )
