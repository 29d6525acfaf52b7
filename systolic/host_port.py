"""The host's commands: bytes to and from the scratchpad, runs, registers."""

from collections.abc import Callable

from amaranth import Array, Cat, Const, Module, Mux, Signal, Value, ValueLike
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from systolic.spec.config import UNIT_BITS, ArrayConfig
from systolic.spec.registers import (
    COUNTER_BITS,
    FLAG_RESUME,
    FLAG_STEP,
    HEADER_BYTES,
    IDENTITY_BYTES,
    REGISTER_BYTES,
    Command,
    Status,
    identity,
)


class HostPort(wiring.Component):
    """Executes the commands of :mod:`systolic.spec.registers`, one at a time.

    The command's address and last address live in the feeder, whose adder they share.

    Parameters
    ----------
    config : ArrayConfig
        The array; its identity is answered to the host.

    Members
    -------
    i : ``In(stream.Signature(8))``
        Bytes from the host.
    o : ``Out(stream.Signature(8))``
        Bytes to the host.
    unit_i : ``In(16)``
        Unit ``unit_index_o`` of the scratchpad's output.
    unit_index_o : ``Out(range(word_units))``
        See above.
    is_last_i : ``In(1)``
        Whether the feeder's address is the command's last.
    header_en_o : ``Out(1)``
        The byte on ``i`` belongs to the header's addresses: shift it into the feeder.
    fetch_o, address_step_o : ``Out(1)``
        Strobes for the feeder.
    read_en_o : ``Out(1)``
        Read the scratchpad.
    byte_en_o : ``Out(word_bytes)``
        Write the byte on ``i`` there, into the output buffer.
    is_byte_o : ``Out(1)``
        Whether it may come now: no results go into the output buffer.
    buffer_en_o : ``Out(1)``
        Read the output buffer.
    write_en_o : ``Out(1)``
        Write what it gave into the scratchpad.
    run_o : ``Out(1)``
        Start the sequencer.
    step_o : ``Out(1)``
        Whether it shall stop at every SYNC.
    running_i, stopped_i : ``In(1)``
        From the sequencer.
    status_i : ``In(Status)``
        Why it stopped.
    stream_i : ``In(1)``
        Whether the array is given activations in this cycle.
    """

    def __init__(self, config: ArrayConfig) -> None:
        self._config = config
        super().__init__(
            {
                "i": In(stream.Signature(8)),
                "o": Out(stream.Signature(8)),
                "unit_i": In(UNIT_BITS),
                "unit_index_o": Out(range(config.word_units)),
                "is_last_i": In(1),
                "header_en_o": Out(1),
                "fetch_o": Out(1),
                "address_step_o": Out(1),
                "read_en_o": Out(1),
                "byte_en_o": Out(config.word_bytes),
                "is_byte_o": Out(1),
                "buffer_en_o": Out(1),
                "write_en_o": Out(1),
                "run_o": Out(1),
                "step_o": Out(1),
                "running_i": In(1),
                "stopped_i": In(1),
                "status_i": In(Status),
                "stream_i": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        opcode, resume = Signal(3), Signal()
        index = Signal(range(max(self._config.word_bytes, REGISTER_BYTES)))
        is_word_end = Signal()
        register = self._build_registers(m, index, resume)
        m.d.comb += [
            is_word_end.eq(index == self._config.word_bytes - 1),
            self.unit_index_o.eq(index[1:]),
        ]

        def advance(is_end: ValueLike) -> None:
            """Count a byte."""
            m.d.sync += index.eq(Mux(is_end, 0, index + 1))

        with m.FSM():
            with m.State("HEADER"):
                self._build_header(m, index, advance, opcode, resume)
            with m.State("DISPATCH"):
                m.d.comb += self.fetch_o.eq(1)
                m.next = "HEADER"
                with m.Switch(opcode):
                    with m.Case(Command.WRITE):
                        m.next = "WRITE"
                    with m.Case(Command.READ):
                        m.next = "READ"
                    with m.Case(Command.RUN):
                        m.d.comb += self.run_o.eq(1)
                        m.next = "RUN"
                    with m.Case(Command.REGISTERS):
                        m.next = "REGISTERS"
            self._build_words(m, index, advance, is_word_end)
            self._build_answers(m, index, advance, register)
        return m

    def _build_header(
        self,
        m: Module,
        index: Signal,
        advance: Callable[[ValueLike], None],
        opcode: Signal,
        resume: Signal,
    ) -> None:
        m.d.comb += self.i.ready.eq(1)
        with m.If(self.i.valid):
            advance(index == HEADER_BYTES - 1)
            with m.If(index == 0):
                # No command has an opcode of more bits; 0 is none.
                is_known = ~self.i.payload[len(opcode) :].any()
                m.d.sync += opcode.eq(self.i.payload & is_known.replicate(len(opcode)))
            with m.Elif(index == 1):
                m.d.sync += [
                    self.step_o.eq((self.i.payload & FLAG_STEP).any()),
                    resume.eq((self.i.payload & FLAG_RESUME).any()),
                ]
            with m.Else():
                m.d.comb += self.header_en_o.eq(1)
            with m.If(index == HEADER_BYTES - 1):
                m.next = "DISPATCH"

    def _build_words(
        self, m: Module, index: Signal, advance: Callable[[ValueLike], None], is_word_end: Signal
    ) -> None:
        """States of WRITE and READ."""
        with m.State("WRITE"):
            m.d.comb += [self.i.ready.eq(1), self.is_byte_o.eq(1)]
            with m.If(self.i.valid):
                m.d.comb += self.byte_en_o.eq(1 << index)
                advance(is_word_end)
                with m.If(is_word_end):
                    m.next = "WRITE_TAKE"
        with m.State("WRITE_TAKE"):
            m.d.comb += self.buffer_en_o.eq(1)
            m.next = "WRITE_WORD"
        with m.State("WRITE_WORD"):
            m.d.comb += [self.write_en_o.eq(1), self.address_step_o.eq(1)]
            m.next = "WRITE"
            with m.If(self.is_last_i):
                m.next = "HEADER"
        with m.State("READ"):
            m.d.comb += self.read_en_o.eq(1)
            m.next = "READ_BYTES"
        with m.State("READ_BYTES"):
            m.d.comb += self.o.valid.eq(1)
            m.d.comb += self.o.payload.eq(self.unit_i.word_select(index[0], 8))
            with m.If(self.o.ready):
                advance(is_word_end)
                with m.If(is_word_end):
                    m.d.comb += self.address_step_o.eq(1)
                    m.next = "READ"
                    with m.If(self.is_last_i):
                        m.next = "HEADER"

    def _build_answers(
        self, m: Module, index: Signal, advance: Callable[[ValueLike], None], register: Value
    ) -> None:
        """States of RUN and REGISTERS."""
        status = Signal(Status)
        with m.State("RUN"):
            with m.If(self.stopped_i):
                m.d.sync += status.eq(self.status_i)
                m.next = "STATUS"
        with m.State("STATUS"):
            m.d.comb += [self.o.valid.eq(1), self.o.payload.eq(status)]
            with m.If(self.o.ready):
                m.next = "HEADER"
        with m.State("REGISTERS"):
            m.d.comb += [self.o.valid.eq(1), self.o.payload.eq(register)]
            with m.If(self.o.ready):
                advance(index == REGISTER_BYTES - 1)
                with m.If(index == REGISTER_BYTES - 1):
                    m.next = "HEADER"

    def _build_registers(self, m: Module, index: Signal, resume: Signal) -> Value:
        cycles, busy_cycles = Signal(COUNTER_BITS), Signal(COUNTER_BITS)
        with m.If(self.run_o & ~resume):
            m.d.sync += [cycles.eq(0), busy_cycles.eq(0)]
        with m.Elif(self.running_i):
            m.d.sync += [cycles.eq(cycles + 1), busy_cycles.eq(busy_cycles + self.stream_i)]
        rom = Array(Const(byte, 8) for byte in identity(self._config))
        counters = Cat(cycles, busy_cycles)
        return Mux(
            index[IDENTITY_BYTES.bit_length() - 1],
            counters.word_select(index[:3], 8),
            rom[index[: IDENTITY_BYTES.bit_length() - 1]],
        )
