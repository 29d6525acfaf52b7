"""The accelerator behind framed packets, for any link that carries bytes."""

from amaranth import Module, ResetInserter, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from systolic.accelerator import Accelerator
from systolic.links.byte_queue import ByteQueue
from systolic.links.deframer import Deframer
from systolic.links.framer import Framer
from systolic.spec.config import ArrayConfig
from systolic.spec.registers import Identity


class FramedAccelerator(wiring.Component):
    """Accelerator with framing and a queue for requests.

    Data flow: i -> deframer -> queue -> accelerator -> framer -> o. An ABORT resets everything
    behind the deframer.

    Parameters
    ----------
    config : ArrayConfig
        The array.
    identity : Identity
        What the host is told; its window is the queue's.
    waits : bool
        Whether the link can wait while the queue is full. A host that keeps to the window never
        makes it so, but by a WRITE's words that come faster than one byte in ten cycles.

    Members
    -------
    i : ``In(stream.Signature(8))``
        Bytes from the link.
    o : ``Out(stream.Signature(8))``
        Bytes to the link.
    """

    def __init__(self, config: ArrayConfig, *, identity: Identity, waits: bool = False) -> None:
        self._config = config
        self._identity = identity
        self._waits = waits
        super().__init__({"i": In(stream.Signature(8)), "o": Out(stream.Signature(8))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        queue = ByteQueue(depth_log2=self._identity.window_log2)
        accelerator = Accelerator(self._config, framed=True, identity=self._identity)
        framer, abort = Framer(), Signal()
        m.submodules.deframer = deframer = Deframer()
        m.submodules.queue = ResetInserter(abort)(queue)
        m.submodules.accelerator = ResetInserter(abort)(accelerator)
        m.submodules.framer = ResetInserter(abort)(framer)
        wiring.connect(m, queue.o, accelerator.i)
        wiring.connect(m, accelerator.o, framer.i)
        wiring.connect(m, framer.o, wiring.flipped(self.o))
        m.d.sync += abort.eq(deframer.abort_o)
        m.d.comb += [
            self.i.ready.eq(queue.ready_o if self._waits else 1),
            deframer.byte_i.eq(self.i.payload),
            deframer.valid_i.eq(self.i.valid & self.i.ready),
            queue.i.eq(deframer.o),
            queue.valid_i.eq(deframer.valid_o),
        ]
        return m
