"""The rules of the machine that no hardware checks: what is defined when, without any data.

:class:`MachineRules` follows a program instruction by instruction and refuses whatever would leave
the outcome undefined. The verifier uses it on a program at rest, the functional simulator while it
runs.
"""

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from systolic.spec.config import ArrayConfig
from systolic.spec.geometry import OFFSET_DEPTH
from systolic.spec.isa import (
    Diagonal,
    Drain,
    Instruction,
    Load,
    LoadTarget,
    Matmul,
    Output,
    Store,
)
from systolic.spec.layout import load_words
from systolic.spec.timing import Machine, action_cycles, advance

ADDRESS_SPACE: Final = 1 << 16
"""Words that an instruction can address: addresses are added modulo this."""


class RuleError(ValueError):
    """An instruction whose outcome the machine leaves undefined; the message says why."""


def _require(condition: bool | np.bool_, message: str) -> None:
    if not condition:
        raise RuleError(message)


class MachineRules:
    """What has been written, loaded, accumulated and drained so far.

    Parameters
    ----------
    config : ArrayConfig
        The array.
    read : callable
        ``read(addr, count)`` gives the bytes of scratchpad words: loaded offsets are taken from it.
    """

    def __init__(self, config: ArrayConfig, read: Callable[[int, int], bytes]) -> None:
        self._config = config
        self._read = read
        self._written = np.zeros(config.scratchpad_words, bool)
        self.reset()

    def reset(self) -> None:
        """Forget all but the scratchpad: a program may not rely on the one before."""
        config = self._config
        self._offsets = np.full(OFFSET_DEPTH, -1, np.int64)
        self._lookup = np.zeros(OFFSET_DEPTH, bool)
        # Both lie in one memory.
        self._parameters = np.zeros(OFFSET_DEPTH, bool)
        self._thresholds = np.zeros(OFFSET_DEPTH, bool)
        self._accumulated = np.zeros((2, config.acc_depth), bool)
        # Digits under which each pixel of a block was drained; 0 before that.
        self._buffer = np.zeros((config.col_blocks, config.drain_pixels), np.int64)
        self._output: Output | None = None
        self._draining: int | None = None
        # Of rows that take weights, which band (-1: all of them), and since which cycle.
        self._machine = Machine()
        self._band: int = -1
        self._selected: int = 0

    def define(self, addr: int, count: int) -> None:
        """Note that words have been written."""
        self._written[addr : addr + count] = True

    def forget(self, addr: int, count: int) -> None:
        """Note that words may hold anything from now on."""
        self._written[addr : addr + count] = False

    def check(self, instruction: Instruction) -> None:
        """Refuse an instruction that breaks a rule; else note what it defines.

        Raises
        ------
        RuleError
            With the rule in words.
        """
        if instruction.waits:
            self._draining = None
        match instruction:
            case Load():
                self._check_load(instruction)
            case Matmul() | Diagonal():
                self._check_matmul(instruction)
            case Output():
                self._check_output(instruction)
            case Drain():
                self._check_drain(instruction)
            case Store():
                self._check_store(instruction)
            case _:  # a SYNC defines nothing
                pass
        if self._config.diagonal:
            self._check_selection(instruction)

    def check_readable(self, addr: int, count: int) -> None:
        """Refuse to read words that do not exist or were never written."""
        _require(addr + count <= self._config.scratchpad_words, "reads beyond the scratchpad")
        _require(self._written[addr : addr + count].all(), "reads words that were never written")

    def pixel_words(self, start: int, count: int, base: int, digits: int) -> NDArray[np.int64]:
        """Addresses of pixels through the offset table, shape (count, digits)."""
        self._check_entries("offset", start, count)
        offsets = self._offsets[start : start + count]
        _require((offsets >= 0).all(), f"uses offsets {start}..{start + count - 1}, not all loaded")
        addrs = ((base + offsets)[:, None] + np.arange(digits)) % ADDRESS_SPACE
        _require(addrs.max() < self._config.scratchpad_words, "goes beyond the scratchpad")
        return addrs

    def _check_entries(self, what: str, start: int, count: int) -> None:
        _require(
            start + count <= OFFSET_DEPTH, f"uses {what} {start + count - 1} of {OFFSET_DEPTH}"
        )

    def _check_load(self, load: Load) -> None:
        config, entries = self._config, slice(load.start, load.start + load.count)
        self._check_entries("entry", load.start, load.count)
        words = load_words(load, config)
        self.check_readable(load.addr, words)
        match load.target:
            case LoadTarget.PARAMETERS | LoadTarget.THRESHOLDS:
                is_threshold = load.target is LoadTarget.THRESHOLDS
                if is_threshold:
                    self._check_has_thresholds()
                self._parameters[entries], self._thresholds[entries] = (
                    not is_threshold,
                    is_threshold,
                )
            case LoadTarget.TABLE:
                _require(config.table, "needs a configuration with a lookup table")
                self._lookup[entries] = True
            case LoadTarget.OFFSETS:
                units = np.frombuffer(self._read(load.addr, words), "<u2")
                self._offsets[entries] = units[: load.count]

    def _check_has_thresholds(self) -> None:
        _require(self._config.threshold_bits > 0, "needs a configuration with threshold_bits")

    def _check_selection(self, instruction: Instruction) -> None:
        """No weights may be on their way when other rows are to take the next ones."""
        config = self._config
        self._machine = advance(self._machine, instruction, config)
        if not isinstance(instruction, Matmul | Diagonal):
            return
        cycle = self._machine.cycle - action_cycles(instruction, config)
        band = instruction.band if isinstance(instruction, Diagonal) else -1
        elapsed, limit = cycle - self._selected, config.select_cycles
        _require(
            band == self._band or elapsed >= limit,
            f"takes other rows' weights {elapsed} cycles behind the load before, not {limit}",
        )
        self._band, self._selected = band, cycle

    def _check_weights(self, matmul: Matmul | Diagonal) -> None:
        config, words = self._config, self._config.weight_words
        if isinstance(matmul, Diagonal):
            words = config.weight_digits
            _require(config.diagonal, "needs a configuration with diagonal=True")
            _require(matmul.band < config.bands, f"there is no band {matmul.band}")
            _require(
                matmul.weights % words == 0,
                f"weights must be a multiple of {words}, not {matmul.weights}",
            )
        self.check_readable(matmul.weights, words)

    def _check_matmul(self, matmul: Matmul | Diagonal) -> None:
        _require(self._draining != matmul.half, f"fills half {matmul.half} while it is drained")
        _require(matmul.part < matmul.parts, "part must be below parts")
        self._check_digits(matmul.digits)
        self._check_depth(matmul.count * matmul.parts)
        self._check_weights(matmul)
        addrs = self.pixel_words(matmul.start, matmul.count, matmul.base, matmul.digits)
        _require(self._written[addrs].all(), "reads words that were never written")
        where = np.arange(matmul.count) * matmul.parts + matmul.part
        accumulated = self._accumulated[matmul.half]
        _require(bool(matmul.first) or accumulated[where].all(), "adds to accumulators never set")
        accumulated[where] = True

    def _check_digits(self, digits: int) -> None:
        limit = self._config.max_digits
        _require(digits <= limit, f"has {digits} digits, but an activation at most {limit}")

    def _check_depth(self, depth: int) -> None:
        limit = self._config.acc_depth
        _require(depth <= limit, f"needs {depth} accumulators of {limit}")

    def _check_output(self, output: Output) -> None:
        config = self._config
        _require(config.onnx or not output.onnx, "needs a configuration that rounds as ONNX does")
        _require(config.table or not output.table, "needs a configuration with a lookup table")
        _require(output.lo <= output.hi, "lo must not exceed hi")
        if output.thresholds:
            self._check_has_thresholds()
            others = (output.onnx, output.zero, output.lo, output.hi)
            _require(not any(others), "with thresholds, onnx, zero, lo and hi must be 0")
        self._check_digits(output.digits)
        self._output = output

    def _check_drain(self, drain: Drain) -> None:
        config, output = self._config, self._output
        _require(output is not None, "drains before any OUTPUT")
        assert output is not None
        _require(drain.cols <= config.cols, f"drains {drain.cols} columns of {config.cols}")
        group = config.out_cols
        _require(
            drain.cols % group == 0,
            f"cols must be a multiple of {group}, not {drain.cols}",
        )
        step = min(config.rows, config.cols)
        _require(drain.row % step == 0, f"row must be a multiple of {step}, not {drain.row}")
        step = config.channel_step
        _require(drain.start % step == 0, f"start must be a multiple of {step}, not {drain.start}")
        _require(drain.row < config.rows, f"row must be below {config.rows}, not {drain.row}")
        _require(
            drain.row + drain.cols <= config.col_blocks * config.rows,
            "drains beyond the last block",
        )
        end = drain.pixel + drain.count
        _require(
            end <= config.drain_pixels,
            f"needs {end} pixels of {config.drain_pixels} in the output buffer",
        )
        depth = drain.count * drain.window * drain.parts
        self._check_depth(depth)
        _require(self._accumulated[drain.half, :depth].all(), "drains accumulators never set")
        if output.thresholds:
            self._check_thresholds(drain)
        else:
            self._check_entries("parameter", drain.start, drain.cols)
            loaded = self._parameters[drain.start : drain.start + drain.cols]
            _require(loaded.all(), "uses parameters never loaded")
        if output.table:
            top = (1 << config.threshold_bits) - 1 if output.thresholds else output.hi
            used = self._lookup[output.lo : top + 1]
            _require(used.all(), "may look up table entries never loaded")
        first, last = drain.row // config.rows, (drain.row + drain.cols - 1) // config.rows
        self._buffer[first : last + 1, drain.pixel : end] = output.digits
        self._draining = drain.half

    def _check_thresholds(self, drain: Drain) -> None:
        channels = self._config.threshold_channels
        end = drain.start + drain.cols
        _require(end <= channels, f"uses thresholds of channel {end - 1} of {channels}")
        loaded = self._thresholds.reshape(-1, channels)[1:, drain.start : end]
        _require(loaded.all(), "uses thresholds never loaded")

    def _check_store(self, store: Store) -> None:
        config, used = self._config, 1 if store.repeat else store.count
        _require(store.block < config.col_blocks, f"there is no block {store.block}")
        _require(
            used <= config.drain_pixels,
            f"stores {used} pixels of {config.drain_pixels} in the buffer",
        )
        _require(
            (self._buffer[store.block, :used] == store.digits).all(),
            "stores pixels that were not drained with as many digits",
        )
        addrs = self.pixel_words(store.start, store.count, store.base, store.digits)
        self._written[addrs] = True
