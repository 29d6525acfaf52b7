"""The parameters of one accelerator, validated, with all widths and latencies that follow.

Everybody (gateware, mapper, simulators, host) takes these numbers from here; nobody derives them
again.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, cast

from systolic.spec.thresholds import ENTRY_BITS

PARAMETER_BITS = 128
"""Bits of one channel's requantization, as :func:`systolic.spec.layout.pack_parameters` has them.

See :mod:`systolic.spec.arithmetic`.
"""

INSTRUCTION_BITS = 64
"""Bits of one instruction (see :mod:`systolic.spec.isa`)."""

UNIT_BITS = 16
"""The scratchpad word is a multiple of this; offset and table entries are one unit each."""

OFFSET_DEPTH = 256
"""Entries of the offset table, of the lookup table and of the channel parameter memory."""

REQUANTIZE_CYCLES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 48)
"""Allowed multiplier steps per result: the divisors of 48 multiplier bits that are worth having."""

_FIELD_TYPES: dict[str, type] = {"multiplier": str, "skew": str, "onnx": bool, "table": bool}
"""Types of the fields that are no integers."""


class ConfigError(ValueError):
    """An :class:`ArrayConfig` that cannot be built; the message names field, limit and value."""


def _ceil_log2(value: int) -> int:
    return (value - 1).bit_length()


@dataclass(frozen=True, kw_only=True)
class ArrayConfig:
    """Parameters of one accelerator.

    Parameters
    ----------
    rows : int, 4..64
        PE rows; they carry the reduction (k).
    cols : int, 1..32
        PE columns; they carry the outputs (n). Divides ``rows`` or is a multiple of it, so that the
        channels of an output tile never straddle two scratchpad words.
    weight_bits : int, 1..8
        Bits of the two's complement weight a PE holds.
    digit_bits : int, 1..8
        Activation bits consumed per cycle.
    pe_cols : int, 1..8, power of two
        Columns per PE: a PE holds that many weights and passes its activation register on only
        behind them. Divides ``cols``. More make the array denser, fewer make its wires shorter.
    acc_bits : int, 16..32
        Bits of an accumulator.
    acc_depth : int, 16..256, power of two
        Accumulators per column in each of the two halves.
    scratchpad_words : int, 64..65536
        Words of the scratchpad; a word is what the array eats in a cycle.
    out_pixels : int, 16..256, power of two
        Pixels the output buffer holds (per block of ``rows`` channels), one of them for the host;
        see :attr:`drain_pixels`.
    requantize_cycles : int
        Cycles the requantizer's multiplier takes per result, one of :data:`REQUANTIZE_CYCLES`.
    multiplier : "dsp" or "fabric"
        Whether that multiplier is built of 16 x 16 products or of adder rows.
    skew : "memory" or "registers"
        Whether the input skew lies in block RAM (as far as it pays) or in flip-flops.
    onnx : bool
        Whether the requantizer can round as ONNX Runtime does, besides TFLite's rounding.
    table : bool
        Whether there is a 256-entry lookup table behind the requantizer.
    threshold_bits : int, 0..4
        Bits of the codes that the requantizer finds by a search among a channel's thresholds; 0 for
        no such search. It takes entries of the parameter memory: with ``2**threshold_bits`` times
        ``cols`` (to a power of two), that must not be more than it has.

    Raises
    ------
    ConfigError
        If a field is out of range; the message names the field, the limit and the value.
    """

    rows: int = 16
    cols: int = 4
    weight_bits: int = 8
    digit_bits: int = 4
    pe_cols: int = 1
    acc_bits: int = 32
    acc_depth: int = 128
    scratchpad_words: int = 16384
    out_pixels: int = 128
    requantize_cycles: int = 2
    multiplier: Literal["dsp", "fabric"] = "dsp"
    skew: Literal["memory", "registers"] = "memory"
    onnx: bool = True
    table: bool = True
    threshold_bits: int = 0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            wanted = _FIELD_TYPES.get(field.name, int)
            if type(value) is not wanted:
                raise ConfigError(f"{field.name} must be of type {wanted.__name__}, not {value!r}")
        self._check_range("rows", 4, 64)
        self._check_range("cols", 1, 32)
        self._check_range("weight_bits", 1, 8)
        self._check_range("digit_bits", 1, 8)
        self._check_range("pe_cols", 1, 8, power_of_two=True)
        self._check_range("acc_bits", 16, 32)
        self._check_range("acc_depth", 16, 256, power_of_two=True)
        self._check_range("scratchpad_words", 64, 65536)
        self._check_range("out_pixels", 16, 256, power_of_two=True)
        self._check_range("threshold_bits", 0, 4)
        self._check_choice("requantize_cycles", REQUANTIZE_CYCLES)
        self._check_choice("multiplier", ("dsp", "fabric"))
        self._check_choice("skew", ("memory", "registers"))
        if self.multiplier == "fabric" and self.requantize_cycles < 4:
            raise ConfigError(
                "requantize_cycles must be at least 4 with multiplier 'fabric', "
                f"not {self.requantize_cycles}"
            )
        if self.rows % self.cols and self.cols % self.rows:
            raise ConfigError(
                "cols must divide rows or be a multiple of it, "
                f"not {self.cols} cols with {self.rows} rows"
            )
        if self.cols % self.pe_cols:
            raise ConfigError(f"pe_cols must divide cols ({self.cols}), not {self.pe_cols}")
        if self.cols // self.rows > 8:
            raise ConfigError(
                f"cols must be at most 8 times rows ({8 * self.rows}), not {self.cols}"
            )
        if self.channel_step > self.threshold_channels:
            raise ConfigError(
                f"threshold_bits must leave {self.channel_step} channels of {OFFSET_DEPTH} entries "
                f"for {self.cols} cols, not {self.threshold_bits}"
            )
        if self.column_sum_bits > self.acc_bits:
            raise ConfigError(
                f"acc_bits must hold one full column sum ({self.column_sum_bits} bits), "
                f"not {self.acc_bits}"
            )

    def _check_range(self, name: str, low: int, high: int, *, power_of_two: bool = False) -> None:
        value = getattr(self, name)
        if not low <= value <= high:
            raise ConfigError(f"{name} must be between {low} and {high}, not {value}")
        if power_of_two and value & (value - 1):
            raise ConfigError(f"{name} must be a power of two, not {value}")

    def _check_choice(self, name: str, choices: tuple[Any, ...]) -> None:
        value = getattr(self, name)
        if value not in choices:
            raise ConfigError(
                f"{name} must be one of {', '.join(map(str, choices))}, not {value!r}"
            )

    # Widths ---------------------------------------------------------------------------------------

    @property
    def word_bits(self) -> int:
        """Bits of a scratchpad word: ``rows`` digits, filled up to whole 16-bit units."""
        return -(-self.rows * self.digit_bits // UNIT_BITS) * UNIT_BITS

    @property
    def word_bytes(self) -> int:
        """Bytes of a scratchpad word."""
        return self.word_bits // 8

    @property
    def word_units(self) -> int:
        """16-bit units in a scratchpad word."""
        return self.word_bits // UNIT_BITS

    def psum_bits(self, row: int) -> int:
        """Bits of the partial sum that leaves ``row``: ``row + 1`` weights added."""
        return self.weight_bits + _ceil_log2(row + 1)

    @property
    def merged_bits(self) -> int:
        """Bits of a column's sum over all digit lanes of one cycle.

        The digit reaches ``2**digit_bits - 1`` and each lane sums ``rows`` weights.
        """
        return self.psum_bits(self.rows - 1) + self.digit_bits

    @property
    def column_sum_bits(self) -> int:
        """Bits of a column's sum over all (whole) digits of an 8-bit activation."""
        return self.psum_bits(self.rows - 1) + self.max_digits * self.digit_bits

    @property
    def max_digits(self) -> int:
        """Digits of an 8-bit activation."""
        return -(-8 // self.digit_bits)

    @property
    def acc_addr_bits(self) -> int:
        """Bits that address an accumulator within its half."""
        return _ceil_log2(self.acc_depth)

    @property
    def addr_bits(self) -> int:
        """Bits that address a scratchpad word."""
        return _ceil_log2(self.scratchpad_words)

    @property
    def groups(self) -> int:
        """PEs per row: groups of ``pe_cols`` columns that work in the same cycle."""
        return self.cols // self.pe_cols

    # Layout ---------------------------------------------------------------------------------------

    @property
    def instruction_words(self) -> int:
        """Scratchpad words per instruction."""
        return -(-INSTRUCTION_BITS // self.word_bits)

    @property
    def parameter_words(self) -> int:
        """Scratchpad words per channel's requantization parameters."""
        return -(-PARAMETER_BITS // self.word_bits)

    @property
    def threshold_words(self) -> int:
        """Scratchpad words per entry of the search among thresholds."""
        return -(-ENTRY_BITS // self.word_bits)

    @property
    def threshold_channels(self) -> int:
        """Channels whose thresholds the parameter memory holds: node n of all is its n-th part."""
        return OFFSET_DEPTH >> self.threshold_bits

    @property
    def weight_digits(self) -> int:
        """Scratchpad words that load one column of weights."""
        return -(-self.weight_bits // self.digit_bits)

    @property
    def weight_words(self) -> int:
        """Scratchpad words of one weight tile (``rows`` x ``cols`` weights)."""
        return self.cols * self.weight_digits

    @property
    def col_blocks(self) -> int:
        """Blocks of ``rows`` output channels that one tile spans (1 unless ``cols > rows``)."""
        return max(1, self.cols // self.rows)

    @property
    def drain_pixels(self) -> int:
        """Pixels of the output buffer that a program may use: all but the last of each block.

        There the bytes of a word that the host writes come together, also while a program runs:
        the memory has the room, registers would cost a logic cell per bit.
        """
        return self.out_pixels - 1

    def digits(self, act_bits: int) -> int:
        """Words per channel block of an activation of ``act_bits`` bits."""
        return -(-act_bits // self.digit_bits)

    # Cycles ---------------------------------------------------------------------------------------

    @property
    def fetch_cycles(self) -> int:
        """Cycles of an instruction before its action: fetch its words, decode, execute."""
        return self.instruction_words + 2

    @property
    def weight_cycles(self) -> int:
        """Cycles of the weight load of a MATMUL (two at least, to prime the offset table)."""
        return max(2, self.weight_words)

    @property
    def merge_levels(self) -> int:
        """Levels of the pipelined adder tree that joins the digit lanes."""
        return _ceil_log2(self.digit_bits)

    @property
    def column_latency(self) -> int:
        """Cycles from a word's read being issued to its digit entering column 0's shift-and-add."""
        # One cycle of scratchpad, one per row, one per merge level.
        return 1 + self.rows + self.merge_levels

    @property
    def requantizer_latency(self) -> int:
        """Most cycles from an accumulator entering the requantizer to its code.

        A bound that drains wait for, with a little room for the pipeline to be rebalanced: it is
        paid once per drain, and mostly beside other work.
        """
        # In fabric: a step per cycle, and an adder row for every bit of a step.
        steps = self.requantize_cycles
        product = 5 if self.multiplier == "dsp" else steps + max(1, 48 // steps - 1)
        return product + 7

    @property
    def drain_wait_cycles(self) -> int:
        """Cycles a drain waits before its first slot, and again behind its last.

        Before: the last word's read is issued ``fetch_cycles`` before the drain starts (at the
        earliest); its sum enters the first columns' shift-and-add ``column_latency`` later, is
        added in the next cycle, written in the one after, and each further group of columns follows
        a cycle later.

        Behind: two cycles read the accumulator, the requantizer takes its time, one looks up the
        table, then the digits are written. (That the slot itself took some of them makes the engine
        idle a little late.)
        """
        flush = self.column_latency + self.groups + 1 - self.fetch_cycles
        tail = 2 + self.requantizer_latency + 1 + self.max_digits
        return max(flush, tail)

    @property
    def out_cols(self) -> int:
        """Columns whose results are written into the output buffer together.

        Two where results have several digits, so that a result a cycle can be taken; a DRAIN takes
        whole groups of them.
        """
        return 2 if self.max_digits > 1 and self.cols % 2 == self.rows % 2 == 0 else 1

    @property
    def channel_step(self) -> int:
        """What a DRAIN's first entry of parameters is a multiple of: columns, to a power of two.

        So that an entry's number is put together, not added up.
        """
        return 1 << _ceil_log2(self.cols)

    def drain_interval(self, digits: int, *, thresholds: bool = False) -> int:
        """Cycles from one drained accumulator to the next where results have so many digits.

        ``thresholds`` is whether they come from the search among thresholds.
        """
        # Of two results, the first may be replaced when the last but one digit is written.
        written = digits if self.out_cols == 1 else digits - 1
        # Two cycles per comparison; behind the last one begins, the next value may come.
        taken = 2 * self.threshold_bits - 1 if thresholds else self.requantize_cycles
        return max(taken, written, 1)

    # Identity -------------------------------------------------------------------------------------

    def to_json(self) -> str:
        """JSON of all fields, keys sorted: the form that is hashed.

        Without ``threshold_bits`` where there are none: such an array is what it was before there
        was the field.
        """
        values = asdict(self)
        if not self.threshold_bits:
            del values["threshold_bits"]
        return json.dumps(values, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "ArrayConfig":
        """Configuration from :meth:`to_json`'s text (missing fields take their defaults).

        Raises
        ------
        ConfigError
            If the text is not a JSON object, or names an unknown field or a value out of range.
        """
        try:
            values = json.loads(text)
        except (json.JSONDecodeError, RecursionError) as error:
            raise ConfigError(f"configuration is not valid JSON: {error}") from None
        if not isinstance(values, dict):
            raise ConfigError(f"configuration must be a JSON object, not {type(values).__name__}")
        known = {field.name for field in fields(cls)}
        named = cast("dict[str, Any]", values)
        for name in named:
            if name not in known:
                raise ConfigError(
                    f"configuration has no field {name!r}; it has {', '.join(sorted(known))}"
                )
        return cls(**named)

    @property
    def digest(self) -> bytes:
        """First 8 bytes of the SHA-256 of :meth:`to_json`: it matches programs and devices."""
        return hashlib.sha256(self.to_json().encode()).digest()[:8]

    def __str__(self) -> str:
        """Short name, e.g. ``16x4 w8 d4``."""
        return f"{self.rows}x{self.cols} w{self.weight_bits} d{self.digit_bits}"
