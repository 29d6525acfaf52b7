"""The parameters of one accelerator, validated; what follows from them is in the geometry.

Everybody (gateware, mapper, simulators, host) takes these numbers from here; nobody derives them
again.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, cast

from systolic.spec.geometry import OFFSET_DEPTH, Geometry

REQUANTIZE_CYCLES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 48)
"""Allowed multiplier steps per result: the divisors of 48 multiplier bits that are worth having."""

_FIELD_TYPES: dict[str, type] = {
    "multiplier": str, "skew": str, "onnx": bool, "table": bool, "diagonal": bool,
}  # fmt: skip
"""Types of the fields that are no integers."""

_LATER_FIELDS = ("diagonal", "threshold_bits")
"""Fields that came later: where they say no, they are left out of an array's digest."""


class ConfigError(ValueError):
    """An :class:`ArrayConfig` that cannot be built; the message names field, limit and value."""


@dataclass(frozen=True, kw_only=True)
class ArrayConfig(Geometry):
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
    diagonal : bool
        Whether a tile with one weight per row, as depthwise convolution has them, may be loaded
        without its zeros. Wants ``cols`` to divide ``rows``, and 1, 2, 4 or 8 digits per weight.
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
    diagonal: bool = False
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
        if self.diagonal and (self.rows % self.cols or self.weight_digits & self.weight_digits - 1):
            raise ConfigError(
                "diagonal must be False unless cols divide rows and a weight has 1, 2, 4 or 8 "
                f"digits, not {self.weight_digits} with {self.cols} cols and {self.rows} rows"
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

    # Identity -------------------------------------------------------------------------------------

    def to_json(self) -> str:
        """JSON of all fields, keys sorted: the form that is hashed.

        Without the later ones that say no: such an array is what it was before there were these.
        """
        values = asdict(self)
        for name in _LATER_FIELDS:
            if not values[name]:
                del values[name]
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
