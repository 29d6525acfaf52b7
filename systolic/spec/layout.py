"""How tensors, weights, parameters and tables lie in scratchpad words.

Words are Python integers or rows of bytes, little-endian. A word holds one digit for each PE row:
bits ``row * digit_bits .. (row + 1) * digit_bits - 1``.

Activations
    ``[pixel][channel block of rows][digit]``; codes are unsigned, most significant digit first. The
    code of an ``act_bits`` activation has ``digits = ceil(act_bits / digit_bits)`` digits,
    zero-extended.
Weights
    One tile is ``rows`` x ``cols`` two's complement weights. Word ``c * weight_digits + j`` carries
    digit j of column c's weights (most significant first, sign-extended): they march in like
    activations, and a PE keeps the last ``weight_bits`` bits it saw while its column was addressed.
    Tiles with one weight per row take the words of a column: word j carries digit j of every row's.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from systolic.spec.config import ArrayConfig
from systolic.spec.geometry import INSTRUCTION_BITS, PARAMETER_BITS
from systolic.spec.isa import Instruction, InstructionError, Load, LoadTarget, Sync, decode
from systolic.spec.rounding import LIMB_BITS, LIMBS, spread_limbs
from systolic.spec.thresholds import BIAS_BITS, ENTRY_BITS


def pack_words(digits: np.ndarray, config: ArrayConfig) -> bytes:
    """Words of an array of digits.

    Parameters
    ----------
    digits : ndarray of int, shape (..., rows)
        Values 0 .. 2**digit_bits - 1.
    config : ArrayConfig
        Gives ``rows``, ``digit_bits`` and the word's width.

    Returns
    -------
    bytes
        ``word_bytes`` for each leading index, in C order.
    """
    flat = np.ascontiguousarray(digits, dtype=np.uint8).reshape(-1, config.rows)
    bits = np.unpackbits(flat[:, :, None], axis=2, bitorder="little", count=config.digit_bits)
    used = config.rows * config.digit_bits
    padded = np.zeros((len(flat), config.word_bits), np.uint8)
    padded[:, :used] = bits.reshape(len(flat), used)
    return np.packbits(padded, axis=1, bitorder="little").tobytes()


def unpack_words(data: bytes, config: ArrayConfig) -> np.ndarray:
    """Digits of words: the inverse of :func:`pack_words`, ndarray of uint8, shape (words, rows)."""
    words = np.frombuffer(data, np.uint8).reshape(-1, config.word_bytes)
    bits = np.unpackbits(words, axis=1, bitorder="little", count=config.rows * config.digit_bits)
    planes = bits.reshape(len(words), config.rows, config.digit_bits)
    return np.packbits(planes, axis=2, bitorder="little")[:, :, 0]


def split_digits(codes: np.ndarray, digits: int, digit_bits: int) -> np.ndarray:
    """Digits of codes, most significant first.

    Parameters
    ----------
    codes : ndarray of int
        Two's complement or unsigned integers; only the low ``digits * digit_bits`` bits count.
    digits : int
        Digits per code.
    digit_bits : int
        Bits per digit.

    Returns
    -------
    ndarray of int64, shape (digits, *codes.shape)
    """
    shifts = np.arange(digits - 1, -1, -1) * digit_bits
    wide = np.asarray(codes, np.int64)
    return wide[None] >> shifts.reshape(-1, *[1] * wide.ndim) & (1 << digit_bits) - 1


def join_digits(digits: np.ndarray, digit_bits: int) -> np.ndarray:
    """Unsigned codes of digits along the first axis, most significant first (int64)."""
    codes = np.zeros(digits.shape[1:], np.int64)
    for digit in digits:
        codes = codes << digit_bits | digit
    return codes


def pack_activations(codes: np.ndarray, act_bits: int, config: ArrayConfig) -> bytes:
    """Words of activation codes.

    Parameters
    ----------
    codes : ndarray of int, shape (pixels, channels)
        Unsigned codes below ``2**act_bits``; channels are filled up with 0 to whole blocks.
    act_bits : int, 1..8
        Bits of an activation.
    config : ArrayConfig
        The array.

    Returns
    -------
    bytes
        ``pixels * blocks * digits`` words.
    """
    pixels, channels = codes.shape
    blocks = -(-channels // config.rows)
    padded = np.zeros((pixels, blocks * config.rows), np.int64)
    padded[:, :channels] = codes
    digits = split_digits(padded, config.digits(act_bits), config.digit_bits)
    ordered = digits.reshape(-1, pixels, blocks, config.rows).transpose(1, 2, 0, 3)
    return pack_words(ordered, config)


def unpack_activations(
    data: bytes, channels: int, act_bits: int, config: ArrayConfig
) -> np.ndarray:
    """Codes of activation words: inverse of :func:`pack_activations`, int64 (pixels, channels)."""
    blocks, digits = -(-channels // config.rows), config.digits(act_bits)
    words = unpack_words(data, config).reshape(-1, blocks, digits, config.rows)
    codes = join_digits(words.transpose(2, 0, 1, 3).astype(np.int64), config.digit_bits)
    return codes.reshape(len(words), -1)[:, :channels]


def pack_weights(tile: np.ndarray, config: ArrayConfig) -> bytes:
    """Words of one weight tile.

    Parameters
    ----------
    tile : ndarray of int, shape (rows, cols)
        Weights in ``weight_bits`` bits, two's complement.
    config : ArrayConfig
        The array.

    Returns
    -------
    bytes
        ``weight_words`` words.

    Raises
    ------
    ValueError
        If a weight does not fit.
    """
    limit = 1 << config.weight_bits - 1
    if tile.min() < -limit or tile.max() >= limit:
        raise ValueError(
            f"weights must be between {-limit} and {limit - 1}, not {tile.min()} .. {tile.max()}"
        )
    digits = split_digits(tile, config.weight_digits, config.digit_bits)
    return pack_words(digits.transpose(2, 0, 1), config)


def pack_diagonal(weights: np.ndarray, config: ArrayConfig) -> bytes:
    """Words of one weight per row.

    Parameters
    ----------
    weights : ndarray of int, shape (rows,)
        In ``weight_bits`` bits, two's complement.
    config : ArrayConfig
        The array.

    Returns
    -------
    bytes
        ``weight_digits`` words.
    """
    return pack_words(split_digits(weights, config.weight_digits, config.digit_bits), config)


def unpack_diagonal(data: bytes, band: int, config: ArrayConfig) -> np.ndarray:
    """Tile that a DIAGONAL makes of one weight per row, int64 (rows, cols)."""
    codes = join_digits(unpack_words(data, config).astype(np.int64), config.digit_bits)
    codes &= (1 << config.weight_bits) - 1
    weights = codes - (codes >> config.weight_bits - 1 << config.weight_bits)
    cols = np.arange(config.cols)
    tile = np.zeros((config.rows, config.cols), np.int64)
    tile[band * config.cols + cols, cols] = weights[band * config.cols + cols]
    return tile


def unpack_weights(data: bytes, config: ArrayConfig) -> np.ndarray:
    """Weights of a tile's words: the inverse of :func:`pack_weights`, int64 (rows, cols)."""
    words = unpack_words(data, config).reshape(config.cols, config.weight_digits, config.rows)
    codes = join_digits(words.transpose(1, 2, 0).astype(np.int64), config.digit_bits)
    codes &= (1 << config.weight_bits) - 1
    return codes - (codes >> config.weight_bits - 1 << config.weight_bits)


def pack_parameters(channels: Sequence[tuple[int, int, int]], config: ArrayConfig) -> bytes:
    """Words of channels' (bias, multiplier, round), each filled up to whole words.

    From bit 0 up: bias (32 bits, signed), round (16), nothing (16), and the multiplier's limbs of
    :data:`~systolic.spec.rounding.LIMB_BITS` bits, lowest first, in 16-bit units.
    """
    data = bytearray()
    for bias, multiplier, rounding in channels:
        value = bias & 0xFFFF_FFFF | rounding << 32 | spread_limbs(multiplier) << 64
        data += value.to_bytes(config.parameter_words * config.word_bytes, "little")
    return bytes(data)


def unpack_parameters(data: bytes, config: ArrayConfig) -> np.ndarray:
    """The inverse of :func:`pack_parameters`: int64 (channels, 3)."""
    length = config.parameter_words * config.word_bytes
    channels = np.frombuffer(data, np.uint8).reshape(-1, length)[:, : PARAMETER_BITS // 8]
    units = np.ascontiguousarray(channels).view("<u2").astype(np.int64)
    bias = units[:, 0] | units[:, 1] << 16
    bias -= bias >> 31 << 32
    limbs = units[:, 4 : 4 + LIMBS] & (1 << LIMB_BITS) - 1
    multiplier = (limbs << np.arange(LIMBS) * LIMB_BITS).sum(axis=1)
    return np.stack([bias, multiplier, units[:, 2]], axis=1)


def pack_thresholds(entries: Sequence[tuple[int, bool]], config: ArrayConfig) -> bytes:
    """Words of (bias, is_inverted) of nodes, each filled up to whole words.

    From bit 0 up: bias (31 bits, signed), whether the bit is inverted.
    """
    mask, length = (1 << BIAS_BITS) - 1, config.threshold_words * config.word_bytes
    return b"".join(
        (bias & mask | int(is_inverted) << BIAS_BITS).to_bytes(length, "little")
        for bias, is_inverted in entries
    )


def unpack_thresholds(data: bytes, config: ArrayConfig) -> np.ndarray:
    """The inverse of :func:`pack_thresholds`: int64 (entries, 2)."""
    length = config.threshold_words * config.word_bytes
    rows = np.frombuffer(data, np.uint8).reshape(-1, length)[:, : ENTRY_BITS // 8]
    entries = np.ascontiguousarray(rows).view("<u4")[:, 0].astype(np.int64)
    bias = entries & (1 << BIAS_BITS) - 1
    bias -= bias >> BIAS_BITS - 1 << BIAS_BITS
    return np.stack([bias, entries >> BIAS_BITS], axis=1)


def load_words(load: Load, config: ArrayConfig) -> int:
    """Scratchpad words that a LOAD reads."""
    match load.target:
        case LoadTarget.PARAMETERS:
            return load.count * config.parameter_words
        case LoadTarget.THRESHOLDS:
            return load.count * config.threshold_words
        case _:
            return -(-load.count // config.word_units)


def pack_units(units: Sequence[int], config: ArrayConfig) -> bytes:
    """Words of 16-bit units (offset or table entries), filled up to whole words."""
    data = np.asarray(units, np.uint16).astype("<u2").tobytes()
    return data + bytes(-len(data) % config.word_bytes)


def pack_instructions(instructions: Sequence[int], config: ArrayConfig) -> bytes:
    """Words of encoded 64-bit instructions."""
    length = config.instruction_words * config.word_bytes
    return b"".join(code.to_bytes(8, "little").ljust(length, b"\0") for code in instructions)


def address_behind_sync(words: Mapping[int, bytes], addr: int, config: ArrayConfig) -> int:
    """Address of the instruction behind the next SYNC.

    Parameters
    ----------
    words : mapping of int to bytes
        What was written, word by word.
    addr : int
        Where the search starts, at an instruction.
    config : ArrayConfig
        The array.

    Raises
    ------
    InstructionError
        If what lies there is no program.
    """
    instruction: Instruction | None = None
    while not isinstance(instruction, Sync):
        places = range(addr, addr + config.instruction_words)
        code = b"".join(words.get(place, b"") for place in places)
        if len(code) < INSTRUCTION_BITS // 8:
            raise InstructionError(f"nothing was written at word {addr}")
        instruction = decode(int.from_bytes(code[: INSTRUCTION_BITS // 8], "little"))
        addr += len(places)
    return addr
