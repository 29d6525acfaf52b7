"""The functional simulator: runs instruction words from its scratchpad by the meaning of the ISA.

It is strict. The machine checks nothing, so here everything undefined is an error: entries and
accumulators never written, results stored before they are drained, a half filled while it drains,
sums that leave their accumulator. Cycles come from :mod:`systolic.spec.timing`.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from systolic.spec.arithmetic import output_code, requantize_hardware
from systolic.spec.config import OFFSET_DEPTH, PARAMETER_BITS, ArrayConfig
from systolic.spec.isa import (
    Drain,
    Instruction,
    InstructionError,
    Load,
    LoadTarget,
    Matmul,
    Output,
    Store,
    Sync,
    decode,
)
from systolic.spec.layout import (
    join_digits,
    pack_words,
    split_digits,
    unpack_weights,
    unpack_words,
)
from systolic.spec.registers import Registers, identity
from systolic.spec.rounding import Rounding
from systolic.spec.timing import Machine, advance

ADDRESS_SPACE = 1 << 16


class SimulationError(RuntimeError):
    """A program did something whose outcome the machine leaves undefined.

    Parameters
    ----------
    address : int
        Word of the instruction.
    instruction : Instruction or None
        The instruction, if its word could be decoded.
    message : str
        What is undefined.
    """

    def __init__(self, address: int, instruction: Instruction | None, message: str) -> None:
        shown = f" ({instruction})" if instruction is not None else ""
        super().__init__(f"instruction at word {address}{shown}: {message}")
        self.address = address


class _Undefined(Exception):
    """Raised by the parts below; the simulator adds the instruction."""


def _require(defined: bool | np.bool_, message: str) -> None:
    if not defined:
        raise _Undefined(message)


@dataclass
class _Table:
    """A memory of 256 entries with a mark for each that has been loaded."""

    name: str
    values: NDArray[np.int64]
    loaded: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(OFFSET_DEPTH, bool))

    def load(self, start: int, values: NDArray[np.int64]) -> None:
        """Fill entries from ``start`` on."""
        end = start + len(values)
        _require(end <= OFFSET_DEPTH, f"{self.name} has {OFFSET_DEPTH} entries, not {end}")
        self.values[start:end] = values
        self.loaded[start:end] = True

    def read(self, start: int, count: int) -> NDArray[np.int64]:
        """Entries ``start .. start + count - 1``."""
        end = start + count
        _require(end <= OFFSET_DEPTH, f"{self.name} has {OFFSET_DEPTH} entries, not {end}")
        _require(self.loaded[start:end].all(), f"{self.name} {start}..{end - 1} not all loaded")
        return self.values[start:end]


class FunctionalSimulator:
    """One accelerator, run instruction by instruction.

    Parameters
    ----------
    config : ArrayConfig
        The array.

    Examples
    --------
    >>> from systolic.spec.layout import pack_instructions
    >>> config = ArrayConfig()
    >>> simulator = FunctionalSimulator(config)
    >>> simulator.write(5, pack_instructions([Sync(halt=1).encode()], config))
    >>> simulator.run(5)[0].cycles
    2
    """

    def __init__(self, config: ArrayConfig) -> None:
        self.config = config
        self._memory = np.zeros((config.scratchpad_words, config.word_bytes), np.uint8)
        self._written = np.zeros(config.scratchpad_words, bool)
        self._reset()

    def _reset(self) -> None:
        """State that a program may not rely on from the one before."""
        config = self.config
        self._offsets = _Table("offset", np.zeros(OFFSET_DEPTH, np.int64))
        self._lookup = _Table("table entry", np.zeros(OFFSET_DEPTH, np.int64))
        self._parameters = _Table("parameter", np.zeros((OFFSET_DEPTH, 3), np.int64))
        # Half, accumulator, column.
        self._acc = np.zeros((2, config.acc_depth, config.cols), np.int64)
        self._acc_set = np.zeros((2, config.acc_depth), bool)
        # Block, pixel, row. Rows that no drain has written hold anything: all ones here.
        shape = (config.col_blocks, config.out_pixels, config.rows)
        self._buffer = np.full(shape, 0xFF, np.int64)
        # Digits under which a pixel was drained; 0 before that.
        self._buffer_digits = np.zeros(shape[:2], np.int64)
        self._output: Output | None = None
        self._draining: int | None = None

    def write(self, addr: int, data: bytes) -> None:
        """Write whole words from ``addr`` on.

        Raises
        ------
        ValueError
            If ``data`` is not whole words, or they do not lie in the scratchpad.
        """
        if len(data) % self.config.word_bytes:
            raise ValueError(
                f"data must be whole words of {self.config.word_bytes} bytes, not {len(data)} bytes"
            )
        count = len(data) // self.config.word_bytes
        self._check_range(addr, count)
        self._memory[addr : addr + count] = np.frombuffer(data, np.uint8).reshape(count, -1)
        self._written[addr : addr + count] = True

    def read(self, addr: int, count: int) -> bytes:
        """Words ``addr .. addr + count - 1``.

        Raises
        ------
        ValueError
            If they do not lie in the scratchpad.
        """
        self._check_range(addr, count)
        return self._memory[addr : addr + count].tobytes()

    def _check_range(self, addr: int, count: int) -> None:
        if not 0 <= addr <= addr + count <= self.config.scratchpad_words:
            raise ValueError(
                f"words must be 0..{self.config.scratchpad_words - 1}, not {addr}..{addr + count - 1}"
            )

    def run(self, addr: int, *, step: bool = False) -> list[Registers]:
        """Run a program to its end.

        Parameters
        ----------
        addr : int
            Word of the first instruction.
        step : bool
            Pause at every SYNC to read the counters; else only the last is read.

        Returns
        -------
        list of Registers
            Counters at each SYNC where the program stopped.

        Raises
        ------
        SimulationError
            At the first instruction whose outcome is undefined.
        """
        self._reset()
        machine, marks = Machine(), list[Registers]()
        while True:
            instruction = self._fetch(addr)
            try:
                self._execute(instruction)
            except (_Undefined, ValueError) as error:
                raise SimulationError(addr, instruction, str(error)) from None
            machine = advance(machine, instruction, self.config)
            addr += self.config.instruction_words
            if isinstance(instruction, Sync) and (step or instruction.halt):
                cycles, busy = machine.cycle % (1 << 32), machine.busy_cycles % (1 << 32)
                marks.append(Registers(identity(self.config), cycles, busy))
                if instruction.halt:
                    return marks

    def _fetch(self, addr: int) -> Instruction:
        try:
            words = self._words(np.arange(addr, addr + self.config.instruction_words))
            return decode(int.from_bytes(words.tobytes()[:8], "little"))
        except (_Undefined, InstructionError) as error:
            raise SimulationError(addr, None, str(error)) from None

    def _words(self, addrs: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Bytes of words, which must have been written."""
        _require(addrs.max() < self.config.scratchpad_words, "reads beyond the scratchpad")
        _require(self._written[addrs].all(), "reads words that were never written")
        return self._memory[addrs]

    def _execute(self, instruction: Instruction) -> None:
        if instruction.waits:
            self._draining = None
        match instruction:
            case Load():
                self._load(instruction)
            case Matmul():
                self._matmul(instruction)
            case Output():
                self._set_output(instruction)
            case Drain():
                self._drain(instruction)
            case Store():
                self._store(instruction)

    def _load(self, load: Load) -> None:
        config = self.config
        if load.target is LoadTarget.PARAMETERS:
            words = self._words(np.arange(load.addr, load.addr + load.count * config.parameter_words))
            rows = words.reshape(load.count, -1)[:, : PARAMETER_BITS // 8].astype(np.int64)
            bias = _little_endian(rows[:, :4])
            bias -= bias >> 31 << 32
            fields = [bias, _little_endian(rows[:, 4:10]), _little_endian(rows[:, 10:12])]
            self._parameters.load(load.start, np.stack(fields, axis=1))
            return
        words = self._words(np.arange(load.addr, load.addr + -(-load.count // config.word_units)))
        units = words.reshape(-1).view("<u2")[: load.count].astype(np.int64)
        if load.target is LoadTarget.TABLE:
            _require(config.table, "this configuration has no lookup table")
            self._lookup.load(load.start, units & 0xFF)
        else:
            self._offsets.load(load.start, units)

    def _pixel_words(self, start: int, count: int, base: int, digits: int) -> NDArray[np.int64]:
        """Addresses of pixels through the offset table, shape (count, digits)."""
        pixels = base + self._offsets.read(start, count)
        return (pixels[:, None] + np.arange(digits)) % ADDRESS_SPACE

    def _matmul(self, matmul: Matmul) -> None:
        config = self.config
        _require(self._draining != matmul.half, f"fills half {matmul.half} while it is drained")
        depth = matmul.count * matmul.parts
        _require(matmul.part < matmul.parts, "part must be below parts")
        _require(depth <= config.acc_depth, f"needs {depth} accumulators of {config.acc_depth}")
        tile = self._words(np.arange(matmul.weights, matmul.weights + config.weight_words))
        weights = unpack_weights(tile.tobytes(), config)
        addrs = self._pixel_words(matmul.start, matmul.count, matmul.base, matmul.digits)
        digits = unpack_words(self._words(addrs.ravel()).tobytes(), config)
        by_digit = digits.reshape(matmul.count, matmul.digits, config.rows).transpose(1, 0, 2)
        codes = join_digits(by_digit.astype(np.int64), config.digit_bits)
        where = np.arange(matmul.count) * matmul.parts + matmul.part
        # Exact: 64 products of 64-bit digits at most stay far below 2**53.
        sums = (codes.astype(np.float64) @ weights.astype(np.float64)).astype(np.int64)
        if not matmul.first:
            _require(self._acc_set[matmul.half, where].all(), "adds to accumulators never set")
            sums += self._acc[matmul.half, where]
        limit = 1 << config.acc_bits - 1
        _require(sums.min() >= -limit and sums.max() < limit, "overflows an accumulator")
        self._acc[matmul.half, where] = sums
        self._acc_set[matmul.half, where] = True

    def _set_output(self, output: Output) -> None:
        config = self.config
        _require(config.onnx or not output.onnx, "this configuration does not round as ONNX does")
        _require(config.table or not output.table, "this configuration has no lookup table")
        least = max(config.requantize_cycles, output.digits)
        _require(output.interval >= least, f"interval must be at least {least}")
        self._output = output

    def _drain(self, drain: Drain) -> None:
        config, output = self.config, self._output
        _require(output is not None, "drains before any OUTPUT")
        assert output is not None
        _require(drain.cols <= config.cols, f"drains {drain.cols} columns of {config.cols}")
        depth = drain.count * drain.window * drain.parts
        _require(depth <= config.acc_depth, f"needs {depth} accumulators of {config.acc_depth}")
        _require(self._acc_set[drain.half, :depth].all(), "drains accumulators never set")
        values = self._joined(drain, depth)
        parameters = self._parameters.read(drain.start, drain.cols)
        rounding = Rounding.ONNX if output.onnx else Rounding.TFLITE
        results = requantize_hardware(values, *parameters.T, rounding)
        codes = output_code(results, output.zero, output.lo, output.hi)
        if output.table:
            _require(self._lookup.loaded[codes].all(), "looks up table entries never loaded")
            codes = self._lookup.values[codes]
        self._buffer_results(drain, output, codes.max(axis=1))
        self._draining = drain.half

    def _joined(self, drain: Drain, depth: int) -> NDArray[np.int64]:
        """Sums with their parts joined, shape (count, window, cols)."""
        acc = self._acc[drain.half, :depth, : drain.cols]
        acc = acc.reshape(drain.count, drain.window, drain.parts, drain.cols)
        values = np.zeros((drain.count, drain.window, drain.cols), np.int64)
        for part in range(drain.parts):
            values = (values << self.config.weight_bits) + acc[:, :, part]
        limit = 1 << self.config.acc_bits - 1
        _require(values.min() >= -limit and values.max() < limit, "overflows joining the parts")
        return values

    def _buffer_results(self, drain: Drain, output: Output, codes: NDArray[np.int64]) -> None:
        """Put codes of shape (count, cols) into the output buffer."""
        config = self.config
        _require(
            drain.count <= config.out_pixels,
            f"needs {drain.count} pixels of {config.out_pixels} in the output buffer",
        )
        _require(
            drain.row + drain.cols <= config.col_blocks * config.rows, "drains beyond the last block"
        )
        _require(codes.max() < 1 << output.digits * config.digit_bits, "results exceed their digits")
        for block in range(config.col_blocks):
            channel = np.arange(drain.cols) + drain.row - block * config.rows
            here = (channel >= 0) & (channel < config.rows)
            if here.any():
                self._buffer[block, : drain.count, channel[here]] = codes[:, here].T
                self._buffer_digits[block, : drain.count] = output.digits

    def _store(self, store: Store) -> None:
        config, used = self.config, 1 if store.repeat else store.count
        _require(store.block < config.col_blocks, f"there is no block {store.block}")
        _require(used <= config.out_pixels, f"stores {used} pixels of {config.out_pixels}")
        _require(
            (self._buffer_digits[store.block, :used] == store.digits).all(),
            "stores pixels that were not drained with as many digits",
        )
        addrs = self._pixel_words(store.start, store.count, store.base, store.digits).ravel()
        _require(addrs.max() < config.scratchpad_words, "stores beyond the scratchpad")
        codes = self._buffer[store.block, :used]
        digits = split_digits(codes, store.digits, config.digit_bits).transpose(1, 0, 2)
        words = np.frombuffer(pack_words(digits, config), np.uint8).reshape(-1, config.word_bytes)
        self._memory[addrs] = np.tile(words, (store.count, 1)) if store.repeat else words
        self._written[addrs] = True


def _little_endian(data: NDArray[np.int64]) -> NDArray[np.int64]:
    """Unsigned integers of bytes along the last axis."""
    return (data << 8 * np.arange(data.shape[-1])).sum(axis=-1)
