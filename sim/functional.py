"""The functional simulator: runs instruction words from its scratchpad by the meaning of the ISA.

It is strict. The machine checks nothing, so here everything undefined is an error: entries and
accumulators never written, results stored before they are drained, a half filled while it drains,
sums that leave their accumulator. Cycles come from :mod:`systolic.spec.timing`.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from mapping.program.rules import MachineRules, RuleError
from systolic.spec.arithmetic import output_code, requantize_hardware, search_thresholds
from systolic.spec.config import ArrayConfig
from systolic.spec.geometry import INSTRUCTION_BITS, OFFSET_DEPTH
from systolic.spec.isa import (
    Diagonal,
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
    load_words,
    pack_words,
    split_digits,
    unpack_diagonal,
    unpack_parameters,
    unpack_thresholds,
    unpack_weights,
    unpack_words,
)
from systolic.spec.registers import COUNTER_BITS, Registers, Status, identity
from systolic.spec.rounding import Rounding
from systolic.spec.timing import Machine, advance


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


@dataclass(frozen=True)
class Stop:
    """Where a program stopped.

    Parameters
    ----------
    status : Status
        HALTED or PAUSED.
    addr : int
        Word behind the SYNC.
    registers : Registers
        Identity and counters.
    """

    status: Status
    addr: int
    registers: Registers


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
    >>> simulator.run(5)[0].cycles == config.fetch_cycles
    True
    """

    def __init__(self, config: ArrayConfig) -> None:
        self.config = config
        self._memory = np.zeros((config.scratchpad_words, config.word_bytes), np.uint8)
        self._rules = MachineRules(config, self.read)
        # Programs run many times, and say the same thing often.
        self._decode = lru_cache(maxsize=1 << 16)(decode)
        self._unpack_weights = lru_cache(maxsize=1 << 12)(self._unpack_tile)
        self._reset()

    def _reset(self) -> None:
        """State that a program may not rely on from the one before; the rules see to that."""
        config = self.config
        self._rules.reset()
        self._machine = Machine()
        self._lookup = np.zeros(OFFSET_DEPTH, np.int64)
        self._parameters = np.zeros((OFFSET_DEPTH, 3), np.int64)
        # Bias and inversion; in one memory with the parameters, but the rules keep them apart.
        self._thresholds = np.zeros((OFFSET_DEPTH, 2), np.int64)
        # Half, accumulator, column.
        self._acc = np.zeros((2, config.acc_depth, config.cols), np.int64)
        # Block, pixel, row. Rows that no drain has written hold anything: all ones here.
        self._buffer = np.full(
            (config.col_blocks, config.drain_pixels, config.rows), 0xFF, np.int64
        )
        self._output = Output(digits=1, zero=0, lo=0, hi=0)

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
        self._rules.define(addr, count)

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
                f"words must be 0..{self.config.scratchpad_words - 1}, "
                f"not {addr}..{addr + count - 1}"
            )

    def run(self, addr: int, *, step: bool = False, resume: bool = False) -> list[Registers]:
        """Run a program to its end.

        Parameters
        ----------
        addr : int
            Word of the first instruction.
        step : bool
            Pause at every SYNC to read the counters; else only the last is read.
        resume : bool
            Let the counters count on, and the program go on where the one before it has ended.

        Returns
        -------
        list of Registers
            Counters at each SYNC where the program stopped.

        Raises
        ------
        SimulationError
            At the first instruction whose outcome is undefined.
        """
        marks: list[Registers] = []
        stop = self.run_to_stop(addr, step=step, resume=resume)
        while stop.status is Status.PAUSED:
            marks.append(stop.registers)
            stop = self.run_to_stop(stop.addr, step=step, resume=True)
        return [*marks, stop.registers]

    def run_to_stop(self, addr: int, *, step: bool = False, resume: bool = False) -> Stop:
        """Run a program to its end, or with ``step`` to the next SYNC.

        Parameters
        ----------
        addr : int
            Word of the first instruction; behind a pause, the one it stopped at.
        step : bool
            Stop at every SYNC.
        resume : bool
            Let the counters count on, and keep what is loaded and accumulated: else that is
            undefined.

        Raises
        ------
        SimulationError
            At the first instruction whose outcome is undefined.
        """
        if not resume:
            self._reset()
        machine = self._machine
        while True:
            instruction = self._fetch(addr)
            try:
                self._rules.check(instruction)
                self._execute(instruction)
            except ValueError as error:
                raise SimulationError(addr, instruction, str(error)) from None
            machine = advance(machine, instruction, self.config)
            addr += self.config.instruction_words
            if isinstance(instruction, Sync) and (step or instruction.halt):
                self._machine = machine
                status = Status.HALTED if instruction.halt else Status.PAUSED
                counts = (count % (1 << COUNTER_BITS) for count in
                          (machine.cycle, machine.busy_cycles))  # fmt: skip
                return Stop(status, addr, Registers(identity(self.config), *counts))

    def _fetch(self, addr: int) -> Instruction:
        try:
            self._rules.check_readable(addr, self.config.instruction_words)
            code = self._memory[addr:].reshape(-1)[: INSTRUCTION_BITS // 8]
            return self._decode(int.from_bytes(code.tobytes(), "little"))
        except (RuleError, InstructionError) as error:
            raise SimulationError(addr, None, str(error)) from None

    def _execute(self, instruction: Instruction) -> None:
        match instruction:
            case Load():
                self._load(instruction)
            case Matmul() | Diagonal():
                self._matmul(instruction)
            case Output():
                self._output = instruction
            case Drain():
                self._drain(instruction)
            case Store():
                self._store(instruction)
            case _:  # a SYNC only waits
                pass

    def _load(self, load: Load) -> None:
        config, entries = self.config, slice(load.start, load.start + load.count)
        words = self._memory[load.addr : load.addr + load_words(load, config)]
        match load.target:
            case LoadTarget.PARAMETERS:
                self._parameters[entries] = unpack_parameters(words.tobytes(), config)
            case LoadTarget.THRESHOLDS:
                self._thresholds[entries] = unpack_thresholds(words.tobytes(), config)
            case LoadTarget.TABLE:
                self._lookup[entries] = words.reshape(-1).view("<u2")[: load.count] & 0xFF
            case LoadTarget.OFFSETS:  # the rules keep them
                pass

    def _weights(self, matmul: Matmul | Diagonal) -> NDArray[np.float64]:
        """Weights of a tile, shape (rows, cols)."""
        config = self.config
        if isinstance(matmul, Diagonal):
            column = self._memory[matmul.weights : matmul.weights + config.weight_digits]
            return unpack_diagonal(column.tobytes(), matmul.band, config).astype(np.float64)
        tile = self._memory[matmul.weights : matmul.weights + config.weight_words]
        return self._unpack_weights(tile.tobytes())

    def _matmul(self, matmul: Matmul | Diagonal) -> None:
        config, weights = self.config, self._weights(matmul)
        addrs = self._rules.pixel_words(matmul.start, matmul.count, matmul.base, matmul.digits)
        digits = unpack_words(self._memory[addrs.ravel()].tobytes(), config)
        by_digit = digits.reshape(matmul.count, matmul.digits, config.rows).transpose(1, 0, 2)
        codes = join_digits(by_digit.astype(np.int64), config.digit_bits)
        where = np.arange(matmul.count) * matmul.parts + matmul.part
        # Through BLAS, and exact: 64 products of 8-bit weights and codes below 2**14.
        sums = (codes.astype(np.float64) @ weights).astype(np.int64)
        if not matmul.first:
            sums += self._acc[matmul.half, where]
        self._acc[matmul.half, where] = self._checked(sums, "an accumulator overflows")

    def _unpack_tile(self, data: bytes) -> NDArray[np.float64]:
        """Weights of a tile's words, shape (rows, cols)."""
        return unpack_weights(data, self.config).astype(np.float64)

    def _checked(self, sums: NDArray[np.int64], message: str) -> NDArray[np.int64]:
        """Sums, all of which must fit an accumulator."""
        limit = 1 << self.config.acc_bits - 1
        if sums.min() < -limit or sums.max() >= limit:
            raise RuleError(message)
        return sums

    def _drain(self, drain: Drain) -> None:
        output = self._output
        values = self._joined(drain)
        codes = self._searched(values, drain) if output.thresholds else self._scaled(values, drain)
        if output.table:
            codes = self._lookup[codes]
        largest = codes.max(axis=1)
        if largest.max() >= 1 << output.digits * self.config.digit_bits:
            raise RuleError("results exceed their digits")
        for block in range(self.config.col_blocks):
            channel = np.arange(drain.cols) + drain.row - block * self.config.rows
            here = (channel >= 0) & (channel < self.config.rows)
            pixels = slice(drain.pixel, drain.pixel + drain.count)
            self._buffer[block, pixels, channel[here]] = largest[:, here].T

    def _scaled(self, values: NDArray[np.int64], drain: Drain) -> NDArray[np.int64]:
        """Codes by multiplication, of values of shape (count, window, cols)."""
        output = self._output
        parameters = self._parameters[drain.start : drain.start + drain.cols]
        rounding = Rounding.ONNX if output.onnx else Rounding.TFLITE
        bias, multiplier, constant = parameters.T
        results = requantize_hardware(values, bias, multiplier, constant, rounding)
        return output_code(results, output.zero, output.lo, output.hi)

    def _searched(self, values: NDArray[np.int64], drain: Drain) -> NDArray[np.int64]:
        """Codes by a search among thresholds, of values of shape (count, window, cols)."""
        by_node = self._thresholds.reshape(-1, self.config.threshold_channels, 2)
        bias, is_inverted = by_node[1:, drain.start : drain.start + drain.cols].T
        inverted = is_inverted.astype(np.bool_)
        return search_thresholds(values, bias, inverted, self.config.acc_bits)

    def _joined(self, drain: Drain) -> NDArray[np.int64]:
        """Sums with their parts joined, shape (count, window, cols)."""
        shape = (drain.count, drain.window, drain.parts, drain.cols)
        depth = drain.count * drain.window * drain.parts
        acc = self._acc[drain.half, :depth, : drain.cols].reshape(shape)
        values = np.zeros((drain.count, drain.window, drain.cols), np.int64)
        later = -1 if self.config.weight_bits == 1 else 1
        for part in range(drain.parts):
            sign = later if part else 1
            values = (values << self.config.weight_bits) + sign * acc[:, :, part]
        return self._checked(values, "joining the parts overflows")

    def _store(self, store: Store) -> None:
        config, used = self.config, 1 if store.repeat else store.count
        addrs = self._rules.pixel_words(store.start, store.count, store.base, store.digits)
        codes = self._buffer[store.block, :used]
        digits = split_digits(codes, store.digits, config.digit_bits).transpose(1, 0, 2)
        words = np.frombuffer(pack_words(digits, config), np.uint8).reshape(-1, config.word_bytes)
        repeated = np.tile(words, (store.count, 1)) if store.repeat else words
        self._memory[addrs.ravel()] = repeated
