"""The one memory for activations, weights, parameters and programs."""

from amaranth import Module
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out


class Scratchpad(wiring.Component):
    """Single-port memory.

    In a cycle it either reads (``read_en_i``) or writes (``write_en_i``) at ``addr_i``. Data read
    appears a cycle later and stays until the next read. Contents are undefined at power-on.

    Parameters
    ----------
    word_bits : int
        Bits of a word.
    depth : int
        Words.

    Members
    -------
    addr_i : ``In(range(depth))``
        Word.
    read_en_i : ``In(1)``
        Read it.
    read_data_o : ``Out(word_bits)``
        What was read last.
    write_en_i : ``In(1)``
        Write it; never together with ``read_en_i``.
    write_data_i : ``In(word_bits)``
        What to write.
    """

    def __init__(self, *, word_bits: int, depth: int) -> None:
        self._depth = depth
        super().__init__(
            {
                "addr_i": In(range(depth)),
                "read_en_i": In(1),
                "read_data_o": Out(word_bits),
                "write_en_i": In(1),
                "write_data_i": In(word_bits),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.words = words = memory.Memory(
            shape=len(self.read_data_o), depth=self._depth, init=[]
        )
        write, read = words.write_port(), words.read_port()
        m.d.comb += [
            write.addr.eq(self.addr_i),
            write.en.eq(self.write_en_i),
            write.data.eq(self.write_data_i),
            read.addr.eq(self.addr_i),
            # Said once more, so that synthesis can prove that one port is enough.
            read.en.eq(self.read_en_i & ~self.write_en_i),
            self.read_data_o.eq(read.data),
        ]
        return m
