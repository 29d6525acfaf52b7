"""The C program that simulates a netlist.

Nets are bytes in one array. A cycle evaluates what is combinational in order, then, at the clock
edge, the next value of everything clocked, and only then stores these. Code is cut into functions
of moderate length, which compilers take little time for.
"""

from collections.abc import Callable, Iterable, Iterator
from importlib import resources
from typing import Final

from sim.bitstream.c.expression import expression
from sim.bitstream.c.layout import Group, Layout, Node
from sim.bitstream.netlist.fold import Folded, Function
from sim.bitstream.netlist.model import (
    ONE,
    ZERO,
    Carry,
    Clock,
    FlipFlop,
    Mac16,
    Ram,
    RamPort,
    Spram,
)

__all__ = ["generate"]

_CHUNK: Final = 400
"""Statements per function."""

_MAC_FIELDS: Final = {
    "c_reg": "C_REG",
    "a_reg": "A_REG",
    "b_reg": "B_REG",
    "d_reg": "D_REG",
    "top_mult_reg": "TOP_8x8_MULT_REG",
    "bot_mult_reg": "BOT_8x8_MULT_REG",
    "pipeline_1": "PIPELINE_16x16_MULT_REG1",
    "pipeline_2": "PIPELINE_16x16_MULT_REG2",
    "top_output": "TOPOUTPUT_SELECT",
    "top_lower": "TOPADDSUB_LOWERINPUT",
    "top_carry": "TOPADDSUB_CARRYSELECT",
    "bot_output": "BOTOUTPUT_SELECT",
    "bot_lower": "BOTADDSUB_LOWERINPUT",
    "bot_carry": "BOTADDSUB_CARRYSELECT",
    "top_upper": "TOPADDSUB_UPPERINPUT",
    "bot_upper": "BOTADDSUB_UPPERINPUT",
    "mode_8x8": "MODE_8x8",
    "a_signed": "A_SIGNED",
    "b_signed": "B_SIGNED",
}


def generate(folded: Folded, layout: Layout) -> str:
    """Return the C program of a netlist with its nets in these places."""
    return "".join(_Generator(folded, layout).program())


class _Generator:
    def __init__(self, folded: Folded, layout: Layout) -> None:
        self._folded = folded
        self._places = layout.places
        self._layout = layout
        self._functions: list[str] = []
        self._mac_numbers = {mac.name: k for k, mac in enumerate(folded.macs)}

    def program(self) -> Iterator[str]:
        """Parts of the program, in order."""
        folder = resources.files("sim.bitstream.c")
        yield (folder / "models.h").read_text(encoding="utf-8")
        yield self._state()
        body = self._calls("settle", [self._statement(node) for node in self._layout.nodes])
        settle = f"APART void settle(State *s) {{\n{body}}}\n"
        rise, fall = self._edge("rise", False), self._edge("fall", True)
        yield from self._functions
        has_falling = any(clock.is_falling for clock in self._clocks())
        yield f"#define HAS_FALLING {int(has_falling)}\n"
        yield from (settle, rise, fall, self._lock(), self._init())
        yield (folder / "driver.h").read_text(encoding="utf-8")

    def _clocks(self) -> Iterator[Clock]:
        for each in (*self._folded.flip_flops, *self._folded.sprams, *self._folded.macs):
            yield each.clock
        for ram in self._folded.rams:
            yield from (ram.read.clock, ram.write.clock)

    def _state(self) -> str:
        # C has no arrays of nothing.
        rams, sprams = max(1, len(self._folded.rams)), max(1, len(self._folded.sprams))
        macs = max(1, len(self._folded.macs))
        flip_flops = max(1, sum(group.count for group in self._layout.groups))
        return (
            "typedef struct {\n"
            f"    uint8_t n[{self._layout.count + flip_flops}];\n"
            "    uint64_t cycles;\n"
            f"    uint16_t ram[{rams}][256], ram_out[{rams}];\n"
            f"    uint16_t spram[{sprams}][16384], spram_out[{sprams}];\n"
            f"    Mac mac[{macs}], mac_next[{macs}];\n"
            "} State;\n"
        )

    def _net(self, net: int) -> str:
        return f"n[{self._places[net]}]" if net not in (ZERO, ONE) else str(net)

    def _word(self, nets: Iterable[int]) -> str:
        """Expression of a number whose bits are nets, the first the lowest."""
        parts = [f"(uint32_t){self._net(net)} << {k}" for k, net in enumerate(nets) if net != ZERO]
        return f"({' | '.join(parts)})" if parts else "0u"

    def _calls(self, name: str, statements: list[str]) -> str:
        """Calls of new functions that hold the statements."""
        calls: list[str] = []
        for start in range(0, len(statements), _CHUNK):
            function = f"{name}_{start // _CHUNK}"
            body = "".join(f"    {each}\n" for each in statements[start : start + _CHUNK])
            head = "    uint8_t *n = s->n;\n    (void)n;\n"
            self._functions.append(f"APART void {function}(State *s) {{\n{head}{body}}}\n")
            calls.append(f"    {function}(s);\n")
        return "".join(calls)

    def _statement(self, node: Node) -> str:
        if isinstance(node, Function):
            names = tuple(self._net(net) for net in node.inputs)
            return f"{self._net(node.output)} = {expression(node.table, names)} & 1;"
        if isinstance(node, Carry):
            a, b, c = (self._net(net) for net in (node.a, node.b, node.carry_in))
            return f"{self._net(node.output)} = ({a} & {b}) | ({c} & ({a} ^ {b}));"
        if isinstance(node, FlipFlop):
            value = f"{self._net(node.output)} = {node.control_value};"
            return f"if ({self._net(node.control)}) {value}"
        return self._mac_statement(node)

    def _mac_call(self, mac: Mac16, following: str) -> str:
        config = ", ".join(f".{k} = {mac.parameters[name]}" for k, name in _MAC_FIELDS.items())
        inputs = ", ".join(f".{k.lower()} = {self._word(nets)}" for k, nets in mac.inputs.items())
        state = f"s->mac[{self._mac_numbers[mac.name]}]"
        return f"mac16((MacConfig){{{config}}}, (MacInputs){{{inputs}}}, {state}, {following})"

    def _mac_statement(self, mac: Mac16) -> str:
        first = self._places[mac.outputs["O"][0]]
        singles = "".join(
            f" {self._net(mac.outputs[name][0])} = o.{name.lower()} & 1;"
            for name in ("CO", "ACCUMCO", "SIGNEXTOUT")
        )
        call = self._mac_call(mac, "0")
        return f"{{ MacOutputs o = {call}; scatter(n + {first}, o.o, 32);{singles} }}"

    def _edge(self, name: str, is_falling: bool) -> str:
        """Return the function of a clock edge."""
        conditions: list[str] = []
        following: list[str] = []
        store: list[str] = []
        parts: list[tuple[str, Callable[[str], tuple[str, str, str]]]] = []
        for k, group in enumerate(self._layout.groups):
            if group.head.clock == Clock(self._folded.clock, is_falling):
                parts.append((f"g{k}", lambda flag, k=k, group=group: self._group(flag, k, group)))
        for k, ram in enumerate(self._folded.rams):
            if ram.read.clock == Clock(self._folded.clock, is_falling):
                parts.append((f"r{k}", lambda flag, k=k, ram=ram: self._ram_read(flag, k, ram)))
        for k, ram in enumerate(self._folded.rams):
            if ram.write.clock == Clock(self._folded.clock, is_falling):
                parts.append((f"w{k}", lambda flag, k=k, ram=ram: self._ram_write(flag, k, ram)))
        for k, spram in enumerate(self._folded.sprams):
            if spram.clock == Clock(self._folded.clock, is_falling):
                parts.append((f"s{k}", lambda flag, k=k, each=spram: self._spram(flag, k, each)))
        for k, mac in enumerate(self._folded.macs):
            if mac.clock == Clock(self._folded.clock, is_falling):
                parts.append((f"m{k}", lambda flag, k=k, each=mac: self._mac(k, each)))
        for flag, make in parts:
            condition, compute, commit = make(flag)
            conditions.append(f"    const uint8_t {flag} = {condition};\n")
            following.append(f"    if ({flag}) {compute}\n" if compute else "")
            store.append(f"    if ({flag}) {commit}\n" if commit else "")
        body = "".join((*conditions, *following, *store))
        return f"APART void {name}(State *s) {{\n    uint8_t *n = s->n;\n    (void)n;\n{body}}}\n"

    def _group(self, flag: str, number: int, group: Group) -> tuple[str, str, str]:
        head = group.head
        statements = [self._statement(node) for node in group.nodes]
        start = self._layout.count + group.first - 2
        statements += [
            f"n[{start + k}] = {self._net(each.data)};"
            for k, each in enumerate(group.flip_flops)
            if self._places[each.data] != start + k
        ]
        name = f"group_{number}"
        calls = self._calls(name, statements)
        self._functions.append(f"APART void {name}(State *s) {{\n{calls}}}\n")
        condition, compute = self._net(head.enable), f"{name}(s);"
        if head.is_async:
            condition = f"{condition} && !{self._net(head.control)}"
        elif head.control != ZERO:
            fill = f"memset(n + {start}, {head.control_value}, {group.count});"
            compute = f"{{ if ({self._net(head.control)}) {fill} else {compute} }}"
        return condition, compute, f"memcpy(n + {group.first}, n + {start}, {group.count});"

    def _port_condition(self, port: RamPort) -> str:
        return f"{self._net(port.enable)} && {self._net(port.clock_enable)}"

    def _ram_read(self, flag: str, number: int, ram: Ram) -> tuple[str, str, str]:
        read = f"ram_read(s->ram[{number}], {ram.read.mode}, {self._word(ram.read.address)})"
        first = self._places[ram.outputs[0]]
        return (
            self._port_condition(ram.read),
            f"s->ram_out[{number}] = {read};",
            f"scatter(n + {first}, s->ram_out[{number}], 16);",
        )

    def _ram_write(self, flag: str, number: int, ram: Ram) -> tuple[str, str, str]:
        # After all reads of this edge: these see the words as they were.
        arguments = (self._word(ram.write.address), self._word(ram.mask), self._word(ram.data))
        write = f"ram_write(s->ram[{number}], {ram.write.mode}, {', '.join(arguments)});"
        return self._port_condition(ram.write), write, ""

    def _spram(self, flag: str, number: int, spram: Spram) -> tuple[str, str, str]:
        word = f"s->spram[{number}] + {self._word(spram.address)}"
        write = f"spram_write({word}, {self._word(spram.mask)}, {self._word(spram.data)});"
        read = f"s->spram_out[{number}] = *({word});"
        first = self._places[spram.outputs[0]]
        return (
            self._net(spram.chip_select),
            f"{{ if ({self._net(spram.write_enable)}) {write} else {read} }}",
            f"scatter(n + {first}, s->spram_out[{number}], 16);",
        )

    def _mac(self, number: int, mac: Mac16) -> tuple[str, str, str]:
        call = self._mac_call(mac, f"&s->mac_next[{number}]")
        return "1", f"(void){call};", f"s->mac[{number}] = s->mac_next[{number}];"

    def _lock(self) -> str:
        sets = "".join(f"    s->n[{self._places[net]}] = 1;\n" for net in self._folded.locks)
        return f"APART void lock(State *s) {{\n    (void)s;\n{sets}}}\n"

    def _init(self) -> str:
        rows = [
            f"    {{{', '.join(str(word) for word in ram.init)}}},\n" for ram in self._folded.rams
        ]
        words = "".join(rows) or "    {0},\n"
        return (
            f"static const uint16_t RAM_INIT[{max(1, len(rows))}][256] = {{\n{words}}};\n"
            "APART void init(State *s) {\n"
            "    memset(s, 0, sizeof *s);\n"
            "    s->n[1] = 1;\n"
            "    memcpy(s->ram, RAM_INIT, sizeof s->ram);\n"
            "}\n"
        )
