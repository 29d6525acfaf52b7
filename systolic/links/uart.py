"""UART, 8N1: a start bit, eight data bits (least significant first), a stop bit."""

from amaranth import Cat, Const, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

MIN_BIT_CYCLES = 4
MAX_RATE_ERROR = 0.01
DATA_BITS = 8


def bit_cycles(clock_hz: float, baud: int) -> int:
    """Clock cycles per bit.

    Raises
    ------
    ValueError
        If there would be too few, or the rate would be off by more than a hundredth.
    """
    cycles = round(clock_hz / baud)
    if cycles < MIN_BIT_CYCLES:
        raise ValueError(
            f"baud must be at most a {MIN_BIT_CYCLES}th of the clock, "
            f"{clock_hz / MIN_BIT_CYCLES:.0f} at {clock_hz:.0f} Hz, not {baud}"
        )
    error = abs(clock_hz / cycles / baud - 1)
    if error > MAX_RATE_ERROR:
        raise ValueError(
            f"{baud} baud cannot be made from {clock_hz:.0f} Hz: "
            f"the nearest rate, {clock_hz / cycles:.0f}, is {100 * error:.1f} % off"
        )
    return cycles


class UartReceiver(wiring.Component):
    """Bytes from a line.

    Every bit is looked at once, in its middle (to a cycle); a byte without start or stop bit is
    none. Each byte is timed anew by its start bit, so that at four cycles per bit the line may be
    off by 2 % and more, and more yet at more.

    Parameters
    ----------
    bit_cycles : int
        Cycles per bit, at least 4.

    Members
    -------
    rx : ``In(1, init=1)``
        The line; high while idle. It need not be synchronous to anything.
    byte_o : ``Out(8)``
        Byte.
    valid_o : ``Out(1)``
        There is one, in this cycle.
    """

    def __init__(self, *, bit_cycles: int) -> None:
        self._bit_cycles = bit_cycles
        super().__init__(
            {
                "rx": In(1, init=1),  # pyright: ignore[reportCallIssue]  # the stub lacks it
                "byte_o": Out(DATA_BITS),
                "valid_o": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        line = Signal(init=1)
        m.submodules.synchronizer = FFSynchronizer(self.rx, line, init=1)
        is_busy = Signal()
        timer = Signal(range(self._bit_cycles))
        # Bits enter from above; a one runs ahead of them, behind the zero of the start bit.
        bits = Signal(DATA_BITS + 2)
        m.d.comb += self.byte_o.eq(bits[-DATA_BITS:])
        with m.If(~is_busy):
            m.d.sync += [
                is_busy.eq(~line),
                # What is seen now was so up to a cycle ago.
                timer.eq((self._bit_cycles - 1) // 2 - 1),
                bits.eq(1 << len(bits) - 1),
            ]
        with m.Elif(timer == 0):
            m.d.sync += [timer.eq(self._bit_cycles - 1), bits.eq(Cat(bits[1:], line))]
            with m.If(bits[0]):
                # All are there, and this is the stop bit.
                m.d.comb += self.valid_o.eq(line & ~bits[1])
                m.d.sync += is_busy.eq(0)
        with m.Else():
            m.d.sync += timer.eq(timer - 1)
        return m


class UartTransmitter(wiring.Component):
    """Bytes to a line, without pauses while there are any.

    Parameters
    ----------
    bit_cycles : int
        Cycles per bit.

    Members
    -------
    i : ``In(stream.Signature(8))``
        Bytes.
    tx : ``Out(1, init=1)``
        The line; high while idle.
    """

    def __init__(self, *, bit_cycles: int) -> None:
        self._bit_cycles = bit_cycles
        super().__init__(
            {
                "i": In(stream.Signature(DATA_BITS)),
                "tx": Out(1, init=1),  # pyright: ignore[reportCallIssue]  # the stub lacks it
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        timer = Signal(range(self._bit_cycles))
        # The stop bit is the last one; behind it come zeros, which are never sent.
        bits = Signal(DATA_BITS + 2, init=1)
        m.d.comb += [self.tx.eq(bits[0]), self.i.ready.eq((timer == 0) & (bits[1:] == 0))]
        with m.If(timer != 0):
            m.d.sync += timer.eq(timer - 1)
        with m.Elif(self.i.valid | ~self.i.ready):
            m.d.sync += [timer.eq(self._bit_cycles - 1), bits.eq(bits >> 1)]
            with m.If(self.i.ready):
                m.d.sync += bits.eq(Cat(Const(0, 1), self.i.payload, Const(1, 1)))
        return m
