"""The accelerator behind a UART: what a board instantiates."""

from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from systolic.links.framed_accelerator import FramedAccelerator
from systolic.links.uart import UartReceiver, UartTransmitter, bit_cycles
from systolic.spec.config import ArrayConfig
from systolic.spec.registers import Identity


class UartAccelerator(wiring.Component):
    """Accelerator behind two pins.

    An ABORT lets the transmitter end its byte.

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
        m.submodules.receiver = receiver = UartReceiver(bit_cycles=self._bit_cycles)
        m.submodules.accelerator = accelerator = FramedAccelerator(
            self._config, identity=self._identity
        )
        m.submodules.transmitter = transmitter = UartTransmitter(bit_cycles=self._bit_cycles)
        wiring.connect(m, accelerator.o, transmitter.i)
        m.d.comb += [
            receiver.rx.eq(self.rx),
            accelerator.i.payload.eq(receiver.byte_o),
            accelerator.i.valid.eq(receiver.valid_o),
            self.tx.eq(transmitter.tx),
        ]
        return m
