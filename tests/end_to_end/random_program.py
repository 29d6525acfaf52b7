"""Random programs, instruction by instruction, that keep to the rules of the machine.

Nothing here comes from the mapper: addresses, tilings, part orders and hazards are whatever the
rules allow, much of which no compiler would ever choose.
"""

from dataclasses import dataclass

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
    Sync,
)
from systolic.spec.layout import (
    pack_diagonal,
    pack_instructions,
    pack_parameters,
    pack_thresholds,
    pack_units,
    pack_weights,
)
from systolic.spec.timing import Machine, advance

ADDRESS_SPACE = 1 << 16
ACT_WORDS = 320
STORE_WORDS = 640
UNKNOWN = 1 << 40


@dataclass(frozen=True)
class RandomProgram:
    """A program with everything it reads.

    Parameters
    ----------
    config : ArrayConfig
        The array it is for.
    image : bytes
        The whole scratchpad before the run.
    entry : int
        Word of the first instruction.
    code : tuple of Instruction
        What it is, for messages.
    defined : ndarray of uint8, shape (words, word_bytes)
        Bits of the scratchpad after the run that the contract says something about. Rows of an
        output word that no drain has written hold anything, and so do bits that belong to no row.
    """

    config: ArrayConfig
    image: bytes
    entry: int
    code: tuple[Instruction, ...]
    defined: NDArray[np.uint8]


def random_program(config: ArrayConfig, seed: int, jobs: int = 4) -> RandomProgram:
    """A random program of a few layers' size, the same for the same seed."""
    return _Generator(config, seed).generate(jobs)


class _Generator:
    """The state of the machine as far as later instructions depend on it."""

    def __init__(self, config: ArrayConfig, seed: int) -> None:
        self.config = config
        self.rng = np.random.default_rng(seed)
        words, word_bytes = config.scratchpad_words, config.word_bytes
        self.image = self.rng.integers(0, 256, (words, word_bytes), dtype=np.uint8)
        self.defined = np.full((words, word_bytes), 0xFF, np.uint8)
        self.all_rows = self.row_mask(np.ones(config.rows, bool))
        self.code: list[Instruction] = []
        self.next_word = ACT_WORDS + STORE_WORDS
        self.tiles = [self.new_tile(magnitude) for magnitude in (8, 8, 3, 1)]
        self.columns = [self.new_column() for _ in range(3 if config.diagonal else 0)]
        self.machine = Machine()
        # Of the last load, when it was executed and its band; -1 for whole tiles.
        self.loaded = (0, -1)
        self.offsets = np.full(OFFSET_DEPTH, -1, np.int64)
        self.lookup = np.full(OFFSET_DEPTH, ADDRESS_SPACE, np.int64)
        # Magnitudes of biases, beyond any where none is loaded; both lie in one memory.
        self.bias = np.full(OFFSET_DEPTH, UNKNOWN, np.int64)
        self.thresholds = np.full(OFFSET_DEPTH, UNKNOWN, np.int64)
        # Bounds of magnitudes; -1 where nothing was accumulated.
        self.bound = np.full((2, config.acc_depth), -1, np.int64)
        shape = (config.col_blocks, config.drain_pixels)
        self.pixel_digits = np.zeros(shape, np.int64)
        self.row_digits = np.zeros((*shape, config.rows), np.int64)
        self.output: Output | None = None
        self.draining: int | None = None

    def generate(self, jobs: int) -> RandomProgram:
        for _ in range(jobs):
            self.add_job()
        self.add(Sync(halt=1))
        entry = self.place(pack_instructions([each.encode() for each in self.code], self.config))
        image = self.image.tobytes()
        return RandomProgram(self.config, image, entry, tuple(self.code), self.defined)

    def between(self, low: int, high: int) -> int:
        """A number in ``low..high``, the ends more often than the rest."""
        if self.rng.random() < 0.2:
            return int(self.rng.choice([low, high]))
        return int(self.rng.integers(low, high + 1))

    def chance(self, probability: float) -> bool:
        return bool(self.rng.random() < probability)

    def place(self, data: bytes) -> int:
        """Put whole words where nothing else is; their first word."""
        addr, count = self.next_word, len(data) // self.config.word_bytes
        self.next_word += count
        assert self.next_word <= self.config.scratchpad_words, "the scratchpad is too small"
        self.image[addr : self.next_word] = np.frombuffer(data, np.uint8).reshape(count, -1)
        return addr

    def add(self, instruction: Instruction) -> None:
        self.code.append(instruction)
        self.machine = advance(self.machine, instruction, self.config)
        if instruction.waits:
            self.draining = None

    def select(self, band: int) -> None:
        """Wait until a load may take these rows' weights, if it has to."""
        fetch = self.config.fetch_cycles
        while band != self.loaded[1]:
            if self.machine.cycle + fetch - self.loaded[0] >= self.config.select_cycles:
                break
            self.add(Sync(halt=0))
        self.loaded = (self.machine.cycle + fetch, band)

    def new_column(self) -> tuple[int, int]:
        """Address of one weight per row, and the largest magnitude."""
        limit, step = 1 << self.config.weight_bits - 1, self.config.constant_step
        self.next_word += -self.next_word % step
        column = self.rng.integers(-limit, limit, self.config.rows)
        return self.place(pack_diagonal(column, self.config)), int(np.abs(column).max())

    def new_tile(self, magnitude_bits: int) -> tuple[int, int]:
        """A weight tile's address and the largest magnitude of a column's sum of weights."""
        config = self.config
        limit = 1 << min(config.weight_bits, magnitude_bits) - 1
        tile = self.rng.integers(-limit, limit, (config.rows, config.cols))
        if magnitude_bits == 1:
            tile[self.rng.integers(1, config.rows) :] = 0
        bound = int(np.abs(tile).sum(axis=0).max())
        return self.place(pack_weights(tile, config)), bound

    # Jobs -----------------------------------------------------------------------------------------

    def add_job(self) -> None:
        """Accumulate, drain, store; now and then something in between."""
        config = self.config
        free = [half for half in (0, 1) if half != self.draining]
        half = int(self.rng.choice(free))
        parts = self.between(1, min(8, config.acc_depth)) if self.chance(0.5) else 1
        pixels = self.between(1, min(OFFSET_DEPTH, config.acc_depth // parts))
        for part in self.rng.permutation(parts):
            self.add_matmuls(half, pixels, int(part), parts)
        for _ in range(self.between(1, 3)):
            if self.output is None or self.chance(0.6):
                self.add_output()
            self.add_drain(half, pixels, parts)
            if self.chance(0.5):
                # The other half fills while this one drains.
                count = self.between(1, min(OFFSET_DEPTH, config.acc_depth))
                self.add_matmuls(1 - half, count, 0, 1)
        for _ in range(self.between(0, 3)):
            self.add_store()
        if self.chance(0.4):
            self.add(Sync(halt=0))

    def add_matmuls(self, half: int, pixels: int, part: int, parts: int) -> None:
        where = np.arange(pixels) * parts + part
        limit = 1 << self.config.acc_bits - 1
        for index in range(self.between(1, 3)):
            digits = self.between(1, self.config.max_digits)
            is_diagonal = bool(self.columns) and parts == 1 and self.chance(0.6)
            weights = self.columns if is_diagonal else self.tiles
            addr, column_bound = weights[self.between(0, len(weights) - 1)]
            added = column_bound * ((1 << digits * self.config.digit_bits) - 1)
            old = self.bound[half, where]
            is_first = index == 0 and self.chance(0.8)
            is_first |= bool(old.min() < 0 or old.max() + added >= limit)
            self.bound[half, where] = added if is_first else old + added
            start, base = self.find_offsets(pixels, digits, reads=True)
            band = self.between(0, self.config.bands - 1) if is_diagonal else -1
            self.select(band)
            stream = {
                "first": is_first, "half": half, "digits": digits, "count": pixels,
                "start": start, "base": base, "weights": addr,
            }  # fmt: skip
            if is_diagonal:
                self.add(Diagonal(band=band, **stream))
            else:
                self.add(Matmul(part=part, parts=parts, **stream))

    def find_offsets(self, pixels: int, digits: int, *, reads: bool) -> tuple[int, int]:
        """Start and base for pixels that may be read (or written), through new or old offsets."""
        start = self.between(0, OFFSET_DEPTH - pixels)
        known = self.offsets[start : start + pixels]
        if self.chance(0.4) and known.min() >= 0:
            base = int(self.rng.integers(0, ADDRESS_SPACE))
            base += self.between(0, ACT_WORDS) - (base + int(known[0]))
            base %= ADDRESS_SPACE
            if self.is_allowed((base + known) % ADDRESS_SPACE, digits, reads=reads):
                return start, base
        first, words = (0, ACT_WORDS + STORE_WORDS) if reads else (ACT_WORDS, STORE_WORDS)
        addrs = self.rng.integers(first, first + words - digits, pixels)
        if reads and not self.is_allowed(addrs, digits, reads=True):
            addrs = self.rng.integers(0, ACT_WORDS - digits, pixels)
        base = int(self.rng.integers(0, ADDRESS_SPACE))
        self.offsets[start : start + pixels] = (addrs - base) % ADDRESS_SPACE
        data = pack_units(self.offsets[start : start + pixels], self.config)
        addr = self.place(data)
        self.add(Load(target=LoadTarget.OFFSETS, count=pixels, start=start, addr=addr))
        return start, base

    def is_allowed(self, addrs: NDArray[np.int64], digits: int, *, reads: bool) -> bool:
        words = addrs[:, None] + np.arange(digits)
        if words.max() >= ACT_WORDS + STORE_WORDS:
            return False
        if reads:
            return bool((self.defined[words] & self.all_rows == self.all_rows).all())
        return bool(words.min() >= ACT_WORDS)

    # Results --------------------------------------------------------------------------------------

    def add_output(self) -> None:
        config = self.config
        digits = self.between(1, config.max_digits)
        top = min(255, (1 << digits * config.digit_bits) - 1)
        use_table = config.table and self.chance(0.5)
        if config.threshold_bits and self.chance(0.5):
            self.add_searched_output(digits, top, use_table=use_table)
            return
        ends = self.rng.integers(0, 256 if use_table else top + 1, 2)
        lo, hi = int(ends.min()), int(ends.max())
        if self.chance(0.6):
            lo, hi = 0, 255 if use_table else top
        if use_table:
            self.need_table(lo, hi, top)
        self.output = Output(
            onnx=int(config.onnx and self.chance(0.5)),
            table=int(use_table),
            digits=digits,
            zero=self.between(0, 255),
            lo=lo,
            hi=hi,
        )
        self.add(self.output)

    def need_table(self, lo: int, hi: int, top: int) -> None:
        if self.lookup[lo : hi + 1].max() <= top:
            return
        entries = self.rng.integers(0, top + 1, hi + 1 - lo)
        self.lookup[lo : hi + 1] = entries
        # Only the low byte of an entry counts.
        noise = self.rng.integers(0, 256, len(entries)) << 8
        addr = self.place(pack_units(entries | noise, self.config))
        self.add(Load(target=LoadTarget.TABLE, count=len(entries), start=lo, addr=addr))

    def add_searched_output(self, digits: int, top: int, *, use_table: bool) -> None:
        """Codes from thresholds, by way of the table or in as many digits as they may need."""
        highest = (1 << self.config.threshold_bits) - 1
        if use_table:
            self.need_table(0, highest, top)
        elif highest > top:
            digits = self.config.digits(self.config.threshold_bits)
        self.output = Output(table=int(use_table), digits=digits, zero=0, lo=0, hi=0, thresholds=1)
        self.add(self.output)

    def add_drain(self, half: int, pixels: int, parts: int) -> None:
        config = self.config
        if not self.joins(half, pixels, parts):
            pixels, parts = pixels * parts if self.accumulated(half, pixels * parts) else 1, 1
        window = self.between(1, pixels)
        count = self.between(1, min(config.drain_pixels, pixels // window))
        bound = self.joined_bound(half, count * window, parts)
        groups = config.cols // config.out_cols
        cols = (self.between(1, groups) if self.chance(0.5) else groups) * config.out_cols
        row = self.between(0, (config.rows - 1) // config.cols) * config.cols
        pixel = self.between(0, config.drain_pixels - count) if self.chance(0.4) else 0
        assert self.output is not None
        find = self.find_thresholds if self.output.thresholds else self.find_parameters
        drain = Drain(
            half=half,
            count=count,
            start=find(cols, bound),
            parts=parts,
            cols=cols,
            row=row,
            window=window,
            pixel=pixel,
        )
        self.add(drain)
        self.draining = half
        for channel in range(row, row + cols):
            block = channel // config.rows
            pixels = slice(pixel, pixel + count)
            self.row_digits[block, pixels, channel % config.rows] = self.output.digits
            self.pixel_digits[block, pixels] = self.output.digits

    def accumulated(self, half: int, depth: int) -> bool:
        return bool(depth <= self.config.acc_depth and self.bound[half, :depth].min() >= 0)

    def joins(self, half: int, pixels: int, parts: int) -> bool:
        if not self.accumulated(half, pixels * parts):
            return False
        return self.joined_bound(half, pixels, parts) < 1 << self.config.acc_bits - 1

    def joined_bound(self, half: int, pixels: int, parts: int) -> int:
        each = self.bound[half, : pixels * parts].reshape(pixels, parts)
        joined = [0] * pixels
        for part in range(parts):
            shifted = (value << self.config.weight_bits for value in joined)
            joined = [high + int(low) for high, low in zip(shifted, each[:, part], strict=True)]
        return max(joined)

    def find_parameters(self, cols: int, bound: int) -> int:
        """First of ``cols`` channels whose biases leave room for sums of that magnitude."""
        config = self.config
        start = self.between(0, OFFSET_DEPTH // config.channel_step - 1) * config.channel_step
        room = (1 << config.acc_bits - 1) - 1 - bound
        if self.chance(0.3) and self.bias[start : start + cols].max() <= room:
            return start
        reach = int(self.rng.choice([room, min(room, bound)]))
        bias = self.rng.integers(-reach, reach + 1, cols)
        self.bias[start : start + cols] = np.abs(bias)
        self.thresholds[start : start + cols] = UNKNOWN
        # Scales around those that spread the results over a code's range.
        scale = 2.0 ** self.rng.uniform(5, 11, cols) / (1 + bound + np.abs(bias))
        multiplier = np.minimum(scale * 2.0**47, 2.0**48 - 1).astype(np.int64)
        constants = [0, *(1 << bit for bit in range(16))]
        rounds = self.rng.choice(constants, cols)
        channels = list(zip(bias.tolist(), multiplier.tolist(), rounds.tolist(), strict=True))
        addr = self.place(pack_parameters(channels, config))
        self.add(Load(target=LoadTarget.PARAMETERS, count=cols, start=start, addr=addr))
        return start

    def find_thresholds(self, cols: int, bound: int) -> int:
        """First of ``cols`` channels with thresholds, whose biases leave room for such sums."""
        config, channels = self.config, self.config.threshold_channels
        start = self.between(0, channels // config.channel_step - 1) * config.channel_step
        room = min((1 << config.acc_bits - 1) - 1 - bound, (1 << 30) - 1)
        reach = min(room, bound) if self.chance(0.5) else room
        for node in range(1, 1 << config.threshold_bits):
            first = node * channels + start
            if self.chance(0.2) and self.thresholds[first : first + cols].max() <= room:
                continue
            bias = self.rng.integers(-reach, reach + 1, cols)
            self.thresholds[first : first + cols] = np.abs(bias)
            self.bias[first : first + cols] = UNKNOWN
            entries = zip(bias.tolist(), self.rng.integers(0, 2, cols).tolist(), strict=True)
            addr = self.place(pack_thresholds(list(entries), config))
            self.add(Load(target=LoadTarget.THRESHOLDS, count=cols, start=first, addr=addr))
        return start

    def add_store(self) -> None:
        # A STORE begins at the buffer's first pixel.
        blocks = np.flatnonzero(self.pixel_digits[:, 0])
        if not len(blocks):
            return
        block = int(self.rng.choice(blocks))
        digits = int(self.pixel_digits[block, 0])
        alike = np.append(self.pixel_digits[block] == digits, [False])
        repeat = self.chance(0.25)
        count = self.between(1, 20 if repeat else int(alike.argmin()))
        start, base = self.find_offsets(count, digits, reads=False)
        self.add(
            Store(
                repeat=int(repeat),
                digits=digits,
                count=count,
                start=start,
                block=block,
                base=base,
            )
        )
        for index in range(count):
            rows = self.row_digits[block, 0 if repeat else index] == digits
            addr = int(base + self.offsets[start + index]) % ADDRESS_SPACE
            self.defined[addr : addr + digits] = self.row_mask(rows)

    def row_mask(self, rows: NDArray[np.bool_]) -> NDArray[np.uint8]:
        """Bytes of a word with ones in the bits of these rows."""
        config = self.config
        bits = np.zeros(config.word_bits, np.uint8)
        bits[: config.rows * config.digit_bits] = np.repeat(rows, config.digit_bits)
        return np.packbits(bits, bitorder="little")
