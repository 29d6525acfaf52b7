"""Fetches, decodes and issues instructions: the state machine that moves everything."""

from amaranth import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from systolic.spec.config import ArrayConfig
from systolic.spec.geometry import INSTRUCTION_BITS, UNIT_BITS
from systolic.spec.isa import INSTRUCTIONS, Diagonal, LoadTarget, Opcode, Sync
from systolic.spec.registers import Status


class Sequencer(wiring.Component):
    """In-order execution of a program; :mod:`systolic.spec.timing` has every instruction's cycles.

    The scratchpad's port is the host's for a cycle (``slot_o``) between an instruction's decoding
    and its action, where the mover does not need it, and always while idle. The address is the
    host's by then (``follow_o``), and the program's again behind it.

    The fields of an instruction are taken straight from the scratchpad's output, which stays as
    long as nothing else is read; only narrow words need registers for the earlier parts of it.

    Parameters
    ----------
    config : ArrayConfig
        The array.

    Members
    -------
    run_i : ``In(1)``
        Start at the host's address; taken while idle.
    step_i : ``In(1)``
        Stop at every SYNC.
    drain_will_be_busy_i : ``In(1)``
        Whether a drain that runs now will still run in the next cycle.
    word_i : ``In(word_bits)``
        Scratchpad output.
    pixel_end_i, will_pixel_end_i, end_i, flags_i
        From :class:`systolic.feeder.Feeder`.
    unit_index_i : ``In(range(word_units))``
        Unit that the host wants to see on ``unit_o`` in the cycle behind its slot; it says so in
        the slot.
    instruction_o : ``Out(64)``
        Instruction, valid while decoding and in the cycle after it.
    decode_o, jump_o, follow_o, fetch_o, address_step_o, prime_o, gather_o, count_o, entry_o
        Strobes for the feeder.
    hold_pixel_o : ``Out(1)``
        Another one.
    slot_o : ``Out(1)``
        The host may read or write the scratchpad.
    unit_o : ``Out(16)``
        Table entry being loaded, or what the host wants to see.
    offset_en_o, table_en_o : ``Out(1)``
        Write ``unit_o`` into the offset or lookup table.
    parameter_en_o : ``Out(parameter_words)``
        Write that word of a channel's parameters, or of an entry among thresholds.
    output_en_o : ``Out(1)``
        The instruction is an OUTPUT: take its fields.
    drain_start_o : ``Out(1)``
        The instruction is a DRAIN: start.
    read_en_o : ``Out(1)``
        Read the scratchpad.
    buffer_en_o : ``Out(1)``
        Read the output buffer.
    store_o : ``Out(1)``
        Write what the output buffer gave.
    load_o : ``Out(groups)``
        Group of columns whose weights are read in this cycle.
    diagonal_o, wrap_o : ``Out(1)``
        With ``config.diagonal``: the instruction in execution is a DIAGONAL; it reads weights.
    bands_o, single_o
        Likewise: what :class:`systolic.core.Core` wants.
    stream_o : ``Out(1)``
        Activations are read in this cycle.
    running_o : ``Out(1)``
        Whether a program runs: these cycles are counted.
    stopped_o : ``Out(1)``
        Last cycle of a run.
    status_o : ``Out(Status)``
        Why it stopped, with ``stopped_o``.
    """

    def __init__(self, config: ArrayConfig) -> None:
        self._config = config
        selection = {
            "diagonal_o": Out(1),
            "wrap_o": Out(1),
            "bands_o": Out(config.bands),
            "single_o": Out(1),
        }
        super().__init__(
            {
                "run_i": In(1),
                "step_i": In(1),
                "drain_will_be_busy_i": In(1),
                "word_i": In(config.word_bits),
                "pixel_end_i": In(1),
                "will_pixel_end_i": In(1),
                "end_i": In(1),
                "flags_i": In(2),
                "unit_index_i": In(range(config.word_units)),
                "instruction_o": Out(INSTRUCTION_BITS),
                "decode_o": Out(1),
                "jump_o": Out(1),
                "follow_o": Out(1),
                "fetch_o": Out(1),
                "address_step_o": Out(1),
                "prime_o": Out(1),
                "gather_o": Out(1),
                "count_o": Out(1),
                "entry_o": Out(1),
                "hold_pixel_o": Out(1),
                "slot_o": Out(1, init=1),  # pyright: ignore[reportCallIssue]  # the stub lacks it
                "unit_o": Out(UNIT_BITS),
                "offset_en_o": Out(1),
                "table_en_o": Out(1),
                "parameter_en_o": Out(config.parameter_words),
                "output_en_o": Out(1),
                "drain_start_o": Out(1),
                "read_en_o": Out(1),
                "buffer_en_o": Out(1),
                "store_o": Out(1),
                "load_o": Out(config.groups),
                **(selection if config.diagonal else {}),
                "stream_o": Out(1),
                "running_o": Out(1),
                "stopped_o": Out(1),
                "status_o": Out(Status),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # Follows the host but in a LOAD: it wants the same unit long before its slot and behind it.
        unit = Signal(range(self._config.word_units))
        # Whether the instruction may act; what it waits for is a drain.
        is_free = Signal()
        m.d.comb += [
            self.running_o.eq(1),
            self.unit_o.eq(self.word_i.word_select(unit, UNIT_BITS)),
        ]
        # From registers: the slot reaches every memory of the scratchpad, and the other one chooses
        # the next address.
        m.d.sync += [self.slot_o.eq(0), unit.eq(self.unit_index_i), self.gather_o.eq(0)]
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += [self.running_o.eq(0), self.follow_o.eq(1)]
                m.d.sync += self.slot_o.eq(~self.run_i)
                with m.If(self.run_i):
                    m.next = "FETCH"
            self._build_fetch(m)
            self._build_decode(m, is_free)
            self._build_load(m, unit)
            self._build_matmul(m)
            self._build_store(m)
        return m

    def _build_fetch(self, m: Module) -> None:
        words = self._config.instruction_words
        index = Signal(range(words)) if words > 1 else Const(0, 1)
        earlier = Signal((words - 1) * self._config.word_bits)
        m.d.comb += self.instruction_o.eq(Cat(earlier, self.word_i))
        with m.State("FETCH"):
            m.d.comb += [self.read_en_o.eq(1), self.address_step_o.eq(1)]
            if words > 1:
                # What arrives now was read in the cycle before; the first word's is stale.
                m.d.sync += [
                    earlier.eq(Cat(earlier, self.word_i)[-len(earlier) :]),
                    index.eq(Mux(index == words - 1, 0, index + 1)),
                ]
            with m.If(index == words - 1):
                m.next = "DECODE"

    def _build_decode(self, m: Module, is_free: Signal) -> None:
        opcode, halt = Signal(3), Signal()
        # The fields of these two are still needed in the cycle behind their action.
        has_no_slot = int(Opcode.OUTPUT), int(Opcode.DRAIN)
        with m.State("DECODE"):
            # The instruction stays where it is. What decides is taken into registers first, as the
            # way out of the scratchpad is long.
            code = self.instruction_o[:3]
            is_offsets = (code == Opcode.LOAD) & (self.instruction_o[3:5] == LoadTarget.OFFSETS)
            # An illegal instruction waits as well: the host finds the machine at rest.
            free = [int(op) for op in self._matmuls if not INSTRUCTIONS[op].WAITS]
            may_act = ~self.drain_will_be_busy_i | code.matches(*free) | is_offsets
            m.d.sync += [
                opcode.eq(code),
                halt.eq(self.instruction_o[Sync.LAYOUT["halt"].lsb]),
                is_free.eq(may_act),
                self.slot_o.eq(may_act & ~code.matches(*has_no_slot)),
            ]
            m.d.comb += self.follow_o.eq(1)
            m.next = "EXECUTE"
        if self._config.diagonal:
            m.d.comb += self.diagonal_o.eq(opcode == Opcode.DIAGONAL)
        # These two reach far, so they come a cycle later; the instruction is still there.
        m.d.sync += [self.output_en_o.eq(0), self.drain_start_o.eq(0)]
        with m.State("EXECUTE"):
            m.d.comb += [self.decode_o.eq(1), self.fetch_o.eq(is_free)]
            with m.If(~is_free):
                m.d.sync += [
                    is_free.eq(~self.drain_will_be_busy_i),
                    self.slot_o.eq(~self.drain_will_be_busy_i & ~opcode.matches(*has_no_slot)),
                ]
            with m.Else(), m.Switch(opcode):
                with m.Case(Opcode.SYNC):
                    m.next = "FETCH"
                    with m.If(halt | self.step_i):
                        m.d.comb += self.stopped_o.eq(1)
                        m.d.comb += self.status_o.eq(Mux(halt, Status.HALTED, Status.PAUSED))
                        m.d.sync += self.slot_o.eq(1)
                        m.next = "IDLE"
                with m.Case(Opcode.LOAD):
                    m.d.comb += self.jump_o.eq(1)
                    m.next = "LOAD_FIRST"
                with m.Case(*self._matmuls):
                    m.d.comb += self.jump_o.eq(1)
                    m.next = "WEIGHTS"
                    if self._config.diagonal:
                        self._select_rows(m)
                with m.Case(Opcode.OUTPUT):
                    m.d.sync += self.output_en_o.eq(1)
                    m.next = "FETCH"
                with m.Case(Opcode.DRAIN):
                    m.d.sync += self.drain_start_o.eq(1)
                    m.next = "FETCH"
                with m.Case(Opcode.STORE):
                    m.next = "STORE_PRIME"
                with m.Default():
                    m.d.comb += [self.stopped_o.eq(1), self.status_o.eq(Status.ILLEGAL)]
                    m.d.sync += self.slot_o.eq(1)
                    m.next = "IDLE"

    def _select_rows(self, m: Module) -> None:
        """Say which rows take the weights that are about to be loaded."""
        field = Diagonal.LAYOUT["band"]
        band = self.instruction_o[field.lsb :][: field.width]
        m.d.sync += self.single_o.eq(self.diagonal_o)
        for index, takes in enumerate(self.bands_o):
            m.d.sync += takes.eq(~self.diagonal_o | (band == index))

    @property
    def _matmuls(self) -> tuple[Opcode, ...]:
        """What loads weights and streams pixels."""
        return (Opcode.MATMUL, Opcode.DIAGONAL) if self._config.diagonal else (Opcode.MATMUL,)

    def _build_load(self, m: Module, unit: Signal) -> None:
        units, words = self._config.word_units, self._config.parameter_words
        chunk = Signal(words, init=1)
        word_done = Signal()
        with m.State("LOAD_FIRST"):
            m.d.comb += [self.read_en_o.eq(1), self.address_step_o.eq(1)]
            m.d.sync += unit.eq(0)
            m.next = "LOAD"
        with m.State("LOAD"):
            with m.If(self.flags_i == LoadTarget.PARAMETERS):
                m.d.comb += [
                    self.parameter_en_o.eq(chunk),
                    word_done.eq(1),
                    self.entry_o.eq(chunk[-1]),
                ]
                m.d.sync += chunk.eq(chunk.rotate_left(1))
            if self._config.threshold_bits:
                with m.Elif(self.flags_i == LoadTarget.THRESHOLDS):
                    # An entry is as long as a bias, the first of the parameters.
                    m.d.comb += [
                        self.parameter_en_o.eq(chunk),
                        word_done.eq(1),
                        self.entry_o.eq(chunk[self._config.threshold_words - 1]),
                    ]
                    m.d.sync += chunk.eq(Mux(self.entry_o, 1, chunk.rotate_left(1)))
            with m.Else():
                m.d.comb += [
                    self.offset_en_o.eq(self.flags_i == LoadTarget.OFFSETS),
                    self.table_en_o.eq(self.flags_i == LoadTarget.TABLE),
                    word_done.eq(unit == units - 1),
                    self.entry_o.eq(1),
                ]
                m.d.sync += unit.eq(Mux(word_done, 0, unit + 1))
            m.d.comb += [self.read_en_o.eq(word_done), self.address_step_o.eq(word_done)]
            with m.If(self.entry_o & self.end_i):
                m.d.comb += self.fetch_o.eq(1)
                m.next = "FETCH"

    def _build_matmul(self, m: Module) -> None:
        config = self._config
        # One bit more than there are groups, if need be: it pads the load of a tile of a single
        # word.
        padding = config.weight_cycles - config.weight_words
        group_words = config.weight_digits * config.pe_cols
        group = Signal(config.groups + padding, init=1)
        word = Signal(range(group_words)) if group_words > 1 else Const(0, 1)
        is_group_end = word == group_words - 1
        is_next_last = group[-1] & (word == group_words - 2) if group_words > 1 else group[-2]
        primed = Signal()
        with m.State("WEIGHTS"):
            m.d.comb += [
                self.read_en_o.eq(1),
                self.load_o.eq(group),
                self.prime_o.eq(~primed),
                self.address_step_o.eq(1),
            ]
            if config.diagonal:
                m.d.comb += self.wrap_o.eq(self.diagonal_o)
            m.d.sync += [primed.eq(1), self.gather_o.eq(is_next_last)]
            if group_words > 1:
                m.d.sync += word.eq(Mux(is_group_end, 0, word + 1))
            with m.If(is_group_end):
                m.d.sync += group.eq(group.rotate_left(1))
                with m.If(group[-1]):
                    m.d.sync += [primed.eq(0), self.gather_o.eq(self.pixel_end_i)]
                    m.next = "STREAM"
        with m.State("STREAM"):
            m.d.comb += [
                self.read_en_o.eq(1),
                self.stream_o.eq(1),
                self.count_o.eq(1),
                self.address_step_o.eq(1),
            ]
            m.d.sync += self.gather_o.eq(self.will_pixel_end_i & ~self.end_i)
            with m.If(self.end_i):
                m.d.comb += self.fetch_o.eq(1)
                m.next = "FETCH"

    def _build_store(self, m: Module) -> None:
        # The buffer is read a cycle ahead of the write, so the feeder's counters are one word ahead
        # of the address: behind a pixel's end the word being written is its pixel's last.
        finished = Signal()
        is_repeat = self.flags_i[0]
        with m.State("STORE_PRIME"):
            m.d.comb += self.prime_o.eq(1)
            m.d.sync += self.gather_o.eq(1)
            m.next = "STORE_FIRST"
        with m.State("STORE_FIRST"):
            m.d.comb += [
                self.buffer_en_o.eq(1),
                self.count_o.eq(1),
                self.hold_pixel_o.eq(is_repeat),
            ]
            m.d.sync += [finished.eq(self.end_i), self.gather_o.eq(self.pixel_end_i)]
            m.next = "STORE"
        with m.State("STORE"):
            m.d.comb += [
                self.store_o.eq(1),
                self.buffer_en_o.eq(1),
                self.count_o.eq(1),
                self.hold_pixel_o.eq(is_repeat),
                self.address_step_o.eq(1),
            ]
            m.d.sync += [
                finished.eq(self.end_i),
                self.gather_o.eq(self.pixel_end_i & ~finished),
            ]
            with m.If(finished):
                m.d.comb += self.fetch_o.eq(1)
                m.next = "FETCH"
