"""The accelerator behind a UART: what a board instantiates."""

from amaranth import Module, ResetInserter, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from systolic.accelerator import Accelerator
from systolic.links.byte_queue import ByteQueue
from systolic.links.deframer import Deframer
from systolic.links.framer import Framer
from systolic.links.uart import UartReceiver, UartTransmitter, bit_cycles
from systolic.spec.config import ArrayConfig
from systolic.spec.registers import Identity


class UartAccelerator(wiring.Component):
    """Accelerator, framing and UART, two pins.

    Data flow: rx -> receiver -> deframer -> queue -> accelerator -> framer -> transmitter -> tx. An
    ABORT resets everything behind the deframer but the transmitter, which ends its byte.

    Parameters
    ----------
    config : ArrayConfig
        The array.
    clock_hz : float
        Frequency of the clock.
    baud : int
        Bits per second of the UART; at most a fourth of ``clock_hz``.
    window_log2 : int
        The host may be ``2**window_log2`` bytes ahead; 8 is what one block RAM of an iCE40 gives.
    board_id : int
        What the host is told of the board.

    Members
    -------
    rx : ``In(1, init=1)``
        From the host.
    tx : ``Out(1, init=1)``
        To the host.

    Raises
    ------
    ValueError
        If the clock does not give that rate.
    """

    def __init__(
        self,
        config: ArrayConfig,
        *,
        clock_hz: float,
        baud: int,
        window_log2: int = 8,
        board_id: int = 0,
    ) -> None:
        self._config = config
        self._bit_cycles = bit_cycles(clock_hz, baud)
        self._identity = Identity(
            config.digest,
            window_log2=window_log2,
            board_id=board_id,
            clock_mhz=round(clock_hz / 1e6),
        )
        super().__init__(
            {
                "rx": In(1, init=1),  # pyright: ignore[reportCallIssue]  # the stub lacks it
                "tx": Out(1, init=1),  # pyright: ignore[reportCallIssue]
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        accelerator = Accelerator(self._config, framed=True, identity=self._identity)
        queue, framer = ByteQueue(depth_log2=self._identity.window_log2), Framer()
        m.submodules.receiver = receiver = UartReceiver(bit_cycles=self._bit_cycles)
        m.submodules.deframer = deframer = Deframer()
        abort = Signal()
        m.d.sync += abort.eq(deframer.abort_o)
        m.submodules.queue = ResetInserter(abort)(queue)
        m.submodules.accelerator = ResetInserter(abort)(accelerator)
        m.submodules.framer = ResetInserter(abort)(framer)
        m.submodules.transmitter = transmitter = UartTransmitter(bit_cycles=self._bit_cycles)
        wiring.connect(m, queue.o, accelerator.i)
        wiring.connect(m, accelerator.o, framer.i)
        wiring.connect(m, framer.o, transmitter.i)
        m.d.comb += [
            receiver.rx.eq(self.rx),
            deframer.byte_i.eq(receiver.byte_o),
            deframer.valid_i.eq(receiver.valid_o),
            queue.i.eq(deframer.o),
            queue.valid_i.eq(deframer.valid_o),
            self.tx.eq(transmitter.tx),
        ]
        return m
