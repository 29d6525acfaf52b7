"""The host's requests: bytes to and from the scratchpad, runs, registers."""

from dataclasses import dataclass, fields
from typing import Any

from amaranth import Module, Mux, Signal, Value, ValueLike
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from systolic.host_registers import HostRegisters
from systolic.links.transfer import FRAMED_BYTE, CheckedTransfer, RawTransfer
from systolic.spec.config import ArrayConfig
from systolic.spec.geometry import UNIT_BITS
from systolic.spec.packets import (
    FCS_BYTES,
    FLAG_RESUME,
    FLAG_STEP,
    OPCODE_BITS,
    REPLY_BYTES,
    REQUEST_BYTES,
    SEQUENCES,
    STATUS_RUNNING,
    Code,
    Command,
)
from systolic.spec.registers import REGISTER_BYTES, Identity, Status


@dataclass(frozen=True)
class _Packet:
    """What the packet is, and where in it the next byte stands.

    A packet is a header and perhaps a payload; if framed, each has a check sequence behind it.
    ``index`` counts the bytes of such a section, or of a word of the payload.
    """

    opcode: Signal
    flags: Signal
    index: Signal
    in_payload: Signal
    in_check: Signal
    is_last_word: Signal

    @classmethod
    def make(cls, indices: int) -> "_Packet":
        """Registers for sections (or words) of so many bytes."""
        shapes = {"opcode": OPCODE_BITS, "flags": 2, "index": range(indices)}
        names = [field.name for field in fields(cls)]
        return cls(*(Signal(shapes.get(name, 1), name=name) for name in names))

    def is_a(self, *commands: Command) -> Value:
        """Whether it is one of these."""
        return self.opcode.matches(*(int(command) for command in commands))

    def enter(self, *, payload: ValueLike = 0, check: ValueLike = 0) -> list[Any]:
        """Go to the first byte of a section."""
        return [self.in_payload.eq(payload), self.in_check.eq(check), self.index.eq(0)]


@dataclass(frozen=True)
class _Reply:
    """What a framed request is replied with."""

    code: Signal
    expected: Signal
    is_expected: Signal
    """Whether its sequence number is the one expected."""
    is_damaged: Signal
    """Whether a check sequence was wrong."""


class HostPort(wiring.Component):
    """Executes the requests of :mod:`systolic.spec.packets`, one at a time.

    Words go through the scratchpad's port while a program runs, too. The sequencer lends it:
    with ``follow_i`` the feeder takes the host's address, in a later cycle ``slot_i`` is one in
    which the host may read or write there. Bytes of a WRITE gather in the output buffer's last
    word; of a READ a word is read again for each of its bytes, as it does not stay.

    Bytes of framed packets take eight cycles and more, which is how long their bits need to go
    through the check sequence.

    Parameters
    ----------
    config : ArrayConfig
        The array.
    identity : Identity
        What REGISTERS answers.
    framed : bool
        Whether packets have sequence numbers, check sequences and ends, and requests are replied
        to; else they are raw.

    Members
    -------
    i : ``In(stream.Signature(FRAMED_BYTE))``
        Bytes from the host; raw ones are ``stream.Signature(8)``.
    o : ``Out(stream.Signature(FRAMED_BYTE))``
        Bytes to the host, likewise.
    unit_i : ``In(16)``
        Unit ``unit_index_o`` of the scratchpad's output.
    unit_index_o : ``Out(range(word_units))``
        See above.
    is_last_i : ``In(1)``
        Whether the feeder's address is the request's last.
    byte_o : ``Out(8)``
        The byte on ``i``.
    header_en_o : ``Out(1)``
        It belongs to the header: shift it into the feeder, where its last ones stay, the addresses.
    address_step_o : ``Out(1)``
        The host's address advances.
    read_en_o : ``Out(1)``
        Read the scratchpad.
    byte_en_o : ``Out(1)``
        Write it into the output buffer.
    byte_index_o : ``Out(range(word_bytes))``
        Its place in the word.
    byte_ready_i : ``In(1)``
        Whether the output buffer takes it.
    buffer_en_o : ``Out(1)``
        Read the host's word in the output buffer.
    write_en_o : ``Out(1)``
        Write what it gave into the scratchpad.
    run_o : ``Out(1)``
        Start the sequencer at the host's address.
    step_o : ``Out(1)``
        Whether it shall stop at every SYNC.
    follow_i, slot_i : ``In(1)``
        From the sequencer, see above.
    running_i, stopped_i : ``In(1)``
        From the sequencer.
    status_i : ``In(Status)``
        Why it stopped.
    stream_i : ``In(1)``
        Whether the array is given activations in this cycle.
    """

    def __init__(
        self, config: ArrayConfig, *, identity: Identity | None = None, framed: bool = False
    ) -> None:
        self._config = config
        self._identity = identity if identity is not None else Identity(config.digest)
        self._framed = framed
        byte = FRAMED_BYTE if framed else 8
        super().__init__(
            {
                "i": In(stream.Signature(byte)),
                "o": Out(stream.Signature(byte)),
                "unit_i": In(UNIT_BITS),
                "unit_index_o": Out(range(config.word_units)),
                "is_last_i": In(1),
                "byte_o": Out(8),
                "header_en_o": Out(1),
                "address_step_o": Out(1),
                "read_en_o": Out(1),
                "byte_en_o": Out(1),
                "byte_index_o": Out(range(config.word_bytes)),
                "byte_ready_i": In(1),
                "buffer_en_o": Out(1),
                "write_en_o": Out(1),
                "run_o": Out(1),
                "step_o": Out(1),
                "follow_i": In(1),
                "slot_i": In(1),
                "running_i": In(1),
                "stopped_i": In(1),
                "status_i": In(Status),
                "stream_i": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        packet = _Packet.make(max(self._config.word_bytes, REGISTER_BYTES))
        reply = _Reply(Signal(Code), Signal(range(SEQUENCES)), Signal(), Signal())
        m.submodules.transfer = transfer = CheckedTransfer() if self._framed else RawTransfer()
        wiring.connect(m, wiring.flipped(self.i), transfer.i)
        wiring.connect(m, transfer.o, wiring.flipped(self.o))
        source = self._build_source(m, packet, reply, transfer)
        # From a register: else the sequencer's state would come back to it by way of the host's.
        m.d.sync += self.run_o.eq(0)
        with m.FSM():
            self._build_receive(m, packet, reply, transfer)
            if self._framed:
                self._build_check(m, packet, reply, transfer)
            else:
                self._build_raw(m, packet)
            self._build_words(m, packet)
            self._build_send(m, packet, reply, transfer, source)
        return m

    def _build_source(
        self, m: Module, packet: _Packet, reply: _Reply, transfer: wiring.Component
    ) -> Value:
        """Next byte to be sent."""
        status = Signal(Status)
        with m.If(self.stopped_i):
            m.d.sync += status.eq(self.status_i)
        with m.If(self.run_o):
            # Not earlier: the program before may still run.
            m.d.sync += self.step_o.eq((packet.flags & FLAG_STEP).any())
        m.submodules.registers = registers = HostRegisters(self._identity)
        m.d.comb += [
            registers.index_i.eq(packet.index),
            registers.clear_i.eq(self.run_o & ~(packet.flags & FLAG_RESUME).any()),
            registers.running_i.eq(self.running_i),
            registers.stream_i.eq(self.stream_i),
            self.unit_index_o.eq(packet.index[1:]),
            self.byte_index_o.eq(packet.index),
        ]
        told = status | (self.running_i << (STATUS_RUNNING.bit_length() - 1))
        unit_byte = self.unit_i.word_select(packet.index[0], 8)
        payload = Mux(packet.is_a(Command.READ), unit_byte, registers.byte_o)
        if not self._framed:
            return Mux(packet.in_payload, payload, told)
        m.d.comb += transfer.in_check_i.eq(packet.in_check)
        header = Mux(packet.index[1], told, Mux(packet.index[0], reply.expected, reply.code))
        section = Mux(packet.in_payload, payload, header)
        return Mux(packet.in_check, transfer.check_byte_o, section)

    def _build_receive(
        self, m: Module, packet: _Packet, reply: _Reply, transfer: wiring.Component
    ) -> None:
        index, byte = packet.index, self.byte_o
        m.d.comb += byte.eq(self.i.payload.data if self._framed else self.i.payload)
        is_word = packet.in_payload & ~packet.in_check
        with m.State("RECEIVE"):
            # Whatever is there is written, until the byte that is taken: nobody reads it before.
            m.d.comb += self.byte_en_o.eq(1)
            m.d.comb += transfer.receive_i.eq(~is_word | self.byte_ready_i)
            with m.If(transfer.taken_o):
                m.d.sync += index.eq(index + 1)
                with m.If(packet.in_check):
                    with m.If(index[:2] == FCS_BYTES - 1):
                        m.d.sync += packet.enter(payload=packet.in_payload)
                        m.next = "DISPATCH"
                with m.Elif(packet.in_payload):
                    with m.If(index == self._config.word_bytes - 1):
                        m.d.sync += index.eq(0)
                        m.next = "TAKE"
                with m.Else():
                    # Its last bytes stay in the feeder: earlier ones pass through.
                    m.d.comb += self.header_en_o.eq(1)
                    with m.If(index == 0):
                        flags = byte[OPCODE_BITS:][: len(packet.flags)]
                        m.d.sync += [packet.opcode.eq(byte), packet.flags.eq(flags)]
                    with m.Elif(index == 1):
                        m.d.sync += reply.is_expected.eq(byte == reply.expected)
                    with m.If(index == REQUEST_BYTES - 1):
                        m.d.sync += packet.enter(check=self._framed)
                        m.next = "RECEIVE" if self._framed else "DISPATCH"
            if self._framed:
                with m.If(transfer.differs_o):
                    m.d.sync += reply.is_damaged.eq(1)
                # Behind no byte at all an end means nothing.
                with m.If(transfer.ended_o & (packet.in_payload | packet.in_check | index.any())):
                    m.d.sync += reply.code.eq(
                        Mux(packet.in_payload, Code.BAD_PAYLOAD, Code.BAD_HEADER)
                    )
                    m.next = "ACT"

    def _build_check(
        self, m: Module, packet: _Packet, reply: _Reply, transfer: wiring.Component
    ) -> None:
        """States of a framed request behind its check sequence, to the reply."""
        is_sequenced = packet.is_a(*(command for command in Command if command.is_sequenced))
        with m.State("DISPATCH"):
            m.next = "SKIP"
            with m.If(packet.in_payload):
                with m.If(reply.is_damaged):
                    m.d.sync += reply.code.eq(Code.BAD_PAYLOAD)
            with m.Elif(reply.is_damaged | ~packet.is_a(*Command)):
                m.d.sync += reply.code.eq(Code.BAD_HEADER)
            with m.Elif(is_sequenced & ~reply.is_expected):
                m.d.sync += reply.code.eq(Code.BAD_SEQUENCE)
            with m.Elif(packet.is_a(Command.WRITE)):
                m.d.sync += packet.in_payload.eq(1)
                m.next = "RECEIVE"
        with m.State("SKIP"):
            m.d.comb += transfer.skip_i.eq(1)
            with m.If(transfer.ended_o):
                m.next = "ACT"
        with m.State("ACT"):
            m.d.comb += transfer.restart_i.eq(1)
            m.d.sync += [reply.is_damaged.eq(0), *packet.enter()]
            m.next = "LOAD"
            with m.If(reply.code == Code.DONE):
                with m.If(packet.is_a(Command.RUN, Command.WAIT) & self.running_i):
                    m.next = "ACT"
                with m.Elif(is_sequenced):
                    m.d.sync += self.run_o.eq(packet.is_a(Command.RUN))
                    m.d.sync += reply.expected.eq(reply.expected + 1)

    def _build_raw(self, m: Module, packet: _Packet) -> None:
        """State of a raw request behind its header."""
        with m.State("DISPATCH"):
            m.next = "RECEIVE"
            with m.If(packet.is_a(Command.RUN, Command.WAIT) & self.running_i):
                m.next = "DISPATCH"
            with m.Else():
                m.d.sync += self.run_o.eq(packet.is_a(Command.RUN))
                with m.If(packet.is_a(Command.WRITE, Command.READ, Command.REGISTERS)):
                    m.d.sync += packet.in_payload.eq(1)
                with m.If(packet.is_a(Command.READ)):
                    m.next = "TAKE"
                with m.Elif(packet.is_a(Command.WAIT, Command.REGISTERS)):
                    m.next = "LOAD"

    def _build_words(self, m: Module, packet: _Packet) -> None:
        """States that move a word (or a byte of it) to or from the scratchpad."""
        # Waits for a slot; in a register, as it reaches every memory of the scratchpad.
        writes = Signal()
        m.d.comb += self.write_en_o.eq(writes & self.slot_i)
        m.d.sync += writes.eq(writes & ~self.slot_i)
        with m.State("TAKE"), m.If(self.follow_i):
            m.d.comb += self.buffer_en_o.eq(packet.is_a(Command.WRITE))
            m.d.sync += writes.eq(packet.is_a(Command.WRITE))
            m.next = "SLOT"
        with m.State("SLOT"), m.If(self.slot_i):
            m.d.sync += packet.is_last_word.eq(self.is_last_i)
            with m.If(writes):
                m.d.comb += self.address_step_o.eq(1)
                m.next = "WRITTEN"
            with m.Else():
                is_word_end = packet.index == self._config.word_bytes - 1
                m.d.comb += [self.read_en_o.eq(1), self.address_step_o.eq(is_word_end)]
                m.next = "LOAD"
        # A state of its own, as the slot comes late in its cycle.
        with m.State("WRITTEN"):
            with m.If(packet.is_last_word):
                m.d.sync += packet.enter(payload=self._framed, check=self._framed)
            m.next = "RECEIVE"

    def _build_send(
        self,
        m: Module,
        packet: _Packet,
        reply: _Reply,
        transfer: wiring.Component,
        source: Value,
    ) -> None:
        """States that send a byte, and go on to the next."""
        index, is_read = packet.index, packet.is_a(Command.READ)
        is_word_end = index == self._config.word_bytes - 1
        # A raw reply is the status alone. All of this is known a cycle before the byte can leave.
        reply_ends = index[:2] == REPLY_BYTES - 1 if self._framed else 1
        payload_ends = Mux(is_read, is_word_end & packet.is_last_word, index == REGISTER_BYTES - 1)
        section_ends = Signal()
        with m.State("LOAD"):
            m.d.sync += [
                transfer.byte_i.eq(source),
                section_ends.eq(
                    Mux(
                        packet.in_check,
                        index[:2] == FCS_BYTES - 1,
                        Mux(packet.in_payload, payload_ends, reply_ends),
                    )
                ),
            ]
            m.next = "SEND"
        with m.State("SEND"):
            m.d.comb += transfer.send_i.eq(1)
            with m.If(transfer.sent_o):
                m.d.sync += index.eq(index + 1)
                m.next = "LOAD"
                with m.If(is_read & packet.in_payload & ~packet.in_check):
                    m.next = "TAKE"
                    with m.If(is_word_end):
                        m.d.sync += index.eq(0)
                with m.If(section_ends):
                    self._build_next_section(m, packet, reply)
        if self._framed:
            with m.State("END"):
                m.d.comb += transfer.end_i.eq(1)
                with m.If(transfer.sent_o):
                    m.d.sync += reply.code.eq(Code.DONE)
                    m.next = "RECEIVE"

    def _build_next_section(self, m: Module, packet: _Packet, reply: _Reply) -> None:
        """What is sent behind a section, if anything."""
        if not self._framed:
            m.d.sync += packet.enter()
            m.next = "RECEIVE"
            return
        has_payload = packet.is_a(Command.READ, Command.REGISTERS) & (reply.code == Code.DONE)
        with m.If(~packet.in_check):
            m.d.sync += packet.enter(payload=packet.in_payload, check=1)
            m.next = "LOAD"
        with m.Elif(has_payload & ~packet.in_payload):
            m.d.sync += packet.enter(payload=1)
            m.next = "LOAD"
            with m.If(packet.is_a(Command.READ)):
                m.next = "TAKE"
        with m.Else():
            m.d.sync += packet.enter()
            m.next = "END"
