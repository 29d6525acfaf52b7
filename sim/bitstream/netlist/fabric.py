"""The routed fabric while it is being extracted: from a port of a block to the net on it."""

from collections import defaultdict

from sim.bitstream.chip.chipdb import Block
from sim.bitstream.chip.image import Image
from sim.bitstream.chip.routing import route
from sim.bitstream.errors import BitstreamError
from sim.bitstream.netlist.model import ONE, ZERO, Clock, Lut, Netlist

__all__ = ["Fabric"]


class Fabric:
    """Nets of a bitstream; asking for one puts its driver on the list of what is to be extracted.

    Parameters
    ----------
    image : Image
        The bitstream.
    pads : dict of int to str
        Name of the pin at each pad's block number.

    Attributes
    ----------
    netlist : Netlist
        What has been extracted.
    pending : list of int
        Numbers of blocks that drive something that was asked for.
    """

    def __init__(self, image: Image, pads: dict[int, str]) -> None:
        self.image = image
        self.chip = image.chip
        self.pads = pads
        self.netlist = Netlist()
        self.pending: list[int] = []
        self._source = route(image)
        self._seen: set[int] = set()
        self._fresh = 2 + self.chip.wire_count
        buffers = {place.buffer: k for k, place in enumerate(self.chip.globals)}
        self._globals = {
            block.ports["GLOBAL_BUFFER_OUTPUT"]: buffers[block.x, block.y]
            for block in self.chip.blocks
            if block.kind == "gb"
        }
        self._entries: defaultdict[int, dict[str, int]] = defaultdict(dict)
        self._drivers: dict[int, int] = {}
        self.pll_pads: dict[int, int] = {}
        self._find_drivers()

    def _find_drivers(self) -> None:
        """Note the block behind each wire, and for global networks all that may enter them."""
        plls: list[tuple[int, int]] = []
        for number, block in enumerate(self.chip.blocks):
            is_idle = block.kind == "pll" and not self.config(number, "PLLTYPE", 3)
            for port in block.outputs:
                wire = block.ports[port]
                if is_idle or port == "PLLOUT_B":
                    continue
                if wire in self._globals:
                    self._entries[wire][block.kind] = number
                elif port == "PLLOUT_A":
                    plls.append((wire, number))
                else:
                    self._drivers[wire] = number
        # An active PLL takes the place of the pad by whose way it enters the fabric.
        for wire, number in plls:
            self.pll_pads[self._drivers[wire]] = number
            self._drivers[wire] = number

    def config(self, number: int, name: str, width: int = 1) -> int:
        """Value of a parameter of a block whose configuration lies in other tiles."""
        entries = self.chip.block_config[number]
        prefix = "PLL" if self.chip.blocks[number].kind == "pll" else "IpConfig"
        value = 0
        for bit in range(width):
            x, y, entry = entries[name if width == 1 else f"{name}_{bit}"]
            value |= self.image.entry(x, y, f"{prefix}.{entry}") << bit
        return value

    def fresh(self) -> int:
        """Return a net inside a block, which is on no wire."""
        self._fresh += 1
        return self._fresh - 1

    def must_be(self, net: int, value: int, name: str) -> None:
        """Note that a net must turn out to be constant."""
        self.netlist.constants.append((net, value, name))

    def buffer(self, target: int, source: int) -> None:
        """Let a net be the same signal as another one."""
        self.netlist.luts.append(Lut(target, 0b10, (source, ZERO, ZERO, ZERO)))

    def output(self, block: Block, port: str) -> int:
        """Return the net that a block drives by a port."""
        return block.ports[port] + 2

    def net(self, wire: int, default: int) -> int:
        """Return the net of a wire, or `default` if nothing drives it."""
        source = int(self._source[wire])
        glob = self._globals.get(source)
        if glob is not None:
            return self._global_net(glob, source)
        number = self._drivers.get(source)
        if number is not None:
            return self._demand(number, source)
        if source != wire:
            name = self.chip.describe_wire(wire)
            raise BitstreamError(f"wire {name} is connected to one that nothing known drives")
        return default

    def _demand(self, number: int, wire: int) -> int:
        if number not in self._seen:
            self._seen.add(number)
            self.pending.append(number)
        return wire + 2

    def _global_net(self, number: int, wire: int) -> int:
        """Net of a global network: of its pad or PLL if these are let in, else of the fabric."""
        entries = self._entries[wire]
        if self.chip.globals[number].extra_bit not in self.image.extra:
            buffer = self.chip.blocks[entries["gb"]]
            return self.net(buffer.ports["USER_SIGNAL_TO_GLOBAL_BUFFER"], ZERO)
        direct = [kind for kind in ("pll", "hfosc", "io") if kind in entries]
        return self._demand(entries[direct[0]], wire)

    def port(self, block: Block, name: str, default: int = ZERO) -> int:
        """Return the net at an input of a block, or `default` if nothing drives it."""
        return self.net(block.ports[name], default)

    def bus(self, block: Block, name: str, width: int, default: int = ZERO) -> tuple[int, ...]:
        """Return the nets at the inputs ``name_0`` and on."""
        return tuple(self.port(block, f"{name}_{bit}", default) for bit in range(width))

    def output_bus(self, block: Block, name: str, width: int) -> tuple[int, ...]:
        """Return the nets that a block drives by the outputs ``name_0`` and on."""
        return tuple(self.output(block, f"{name}_{bit}") for bit in range(width))

    def clock(self, block: Block, name: str, is_falling: bool) -> Clock:
        """Return the clock at an input of a block.

        Raises
        ------
        BitstreamError
            If nothing drives it.
        """
        net = self.port(block, name)
        if net in (ZERO, ONE):
            raise BitstreamError(f"{block.name} has no clock")
        return Clock(net, is_falling)
