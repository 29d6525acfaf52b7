"""Small designs that use every kind of cell once."""

from random import Random

from amaranth import (
    Cat,
    ClockDomain,
    ClockSignal,
    Const,
    Instance,
    Module,
    Mux,
    ResetSignal,
    Signal,
    signed,
)
from amaranth.lib.memory import Memory

from systolic.multiplier import DspMultiplier
from tests.bitstream.build import Design


def module() -> tuple[Module, Signal]:
    """Module with the clock domain ``sync``, and its clock; there is no reset."""
    m = Module()
    m.domains += (domain := ClockDomain("sync", reset_less=True))
    return m, domain.clk


def counter() -> Design:
    """Adders, comparisons, enables, synchronous resets to both values."""
    m, clk = module()
    enable, clear, step = Signal(), Signal(), Signal(4)
    total, wraps, is_high = Signal(11, init=0x155), Signal(4), Signal()
    with m.If(enable):
        m.d.sync += total.eq(total + step)
        with m.If(total + step >= 1 << 11):
            m.d.sync += wraps.eq(wraps - 1)
    with m.If(clear & step.all()):
        m.d.sync += [total.eq(0x6AA), wraps.eq(0)]
    m.d.comb += is_high.eq(total > Cat(step, wraps))
    inputs = {"enable": enable, "clear": clear, "step": step}
    return Design(m, clk, inputs, {"total": total, "wraps": wraps, "is_high": is_high})


def logic() -> Design:
    """Functions of many inputs, shift registers, a state machine."""
    m, clk = module()
    a, b, select = Signal(6), Signal(6), Signal(3)
    y, history, state = Signal(6), Signal(6), Signal(2)
    with m.Switch(select):
        with m.Case(0):
            m.d.comb += y.eq(a ^ b)
        with m.Case(1):
            m.d.comb += y.eq(a & ~b)
        with m.Case(2):
            m.d.comb += y.eq(a - b)
        with m.Case(3):
            m.d.comb += y.eq((a * b)[3:9])
        with m.Default():
            m.d.comb += y.eq(a.rotate_left(1) ^ history)
    m.d.sync += history.eq(Cat(y.xor(), history))
    with m.FSM():
        for k in range(4):
            with m.State(f"S{k}"):
                m.d.comb += state.eq(k)
                with m.If(a[k] & b.any()):
                    m.next = f"S{(k + 1) % 4}"
                with m.Elif(history[k]):
                    m.next = f"S{(k + 2) % 4}"
    inputs = {"a": a, "b": b, "select": select}
    return Design(m, clk, inputs, {"y": y, "history": history, "state": state})


def falling_edge() -> Design:
    """Flip-flops on both edges of the clock."""
    m, clk = module()
    m.domains.fall = ClockDomain(clk_edge="neg", reset_less=True)
    m.d.comb += ClockSignal("fall").eq(clk)
    data, gate = Signal(4), Signal()
    early, late, total = Signal(4), Signal(4), Signal(8)
    m.d.fall += early.eq(data + total[:4])
    with m.If(gate):
        m.d.fall += late.eq(late + 1)
    m.d.sync += total.eq(total + (early ^ late))
    outputs = {"early": early, "late": late, "total": total}
    return Design(m, clk, {"data": data, "gate": gate}, outputs)


def asynchronous_reset() -> Design:
    """Flip-flops that are set and reset at once, by a pin and by logic."""
    m, clk = module()
    m.domains.fast = ClockDomain(async_reset=True)
    reset, data = Signal(), Signal(4)
    kept, total = Signal(4, init=0b0101), Signal(6)
    m.d.comb += [ClockSignal("fast").eq(clk), ResetSignal("fast").eq(reset)]
    with m.If(data[0]):
        m.d.fast += kept.eq(kept + data)
    m.d.sync += total.eq(total + kept)
    return Design(m, clk, {"reset": reset, "data": data}, {"kept": kept, "total": total})


def block_ram(depth: int, width: int, granularity: int | None, seed: int) -> Design:
    """Block RAM with contents, written by parts and read at another address."""
    m, clk = module()
    source = Random(seed)
    address_bits = (depth - 1).bit_length()
    contents = [source.getrandbits(width) for _ in range(depth)]
    m.submodules.memory = memory = Memory(shape=width, depth=depth, init=contents)
    write = memory.write_port(granularity=granularity)
    read = memory.read_port()
    # Few pins: the addresses are a few bits of their own and a few of a register.
    low, page, data = Signal(4), Signal(2), Signal(4)
    parts, reads = Signal(len(write.en)), Signal()
    far = Signal(address_bits)
    word = Signal(width)
    m.d.sync += far.eq(far.rotate_left(3) + Cat(page, low))
    m.d.sync += word.eq(Cat(data, word))
    m.d.comb += [
        write.addr.eq(far ^ low),
        write.data.eq(word),
        write.en.eq(parts),
        read.addr.eq(far + page),
        read.en.eq(reads),
    ]
    shown = Signal(min(width, 8))
    m.d.comb += shown.eq(read.data ^ (read.data >> 8))
    inputs = {"low": low, "page": page, "data": data, "parts": parts, "reads": reads}
    return Design(m, clk, inputs, {"shown": shown})


def single_port_ram() -> Design:
    """SPRAM, written by nibbles; read only where it has been written."""
    m, clk = module()
    m.submodules.memory = memory = Memory(shape=16, depth=16384, init=[])
    write = memory.write_port(granularity=4)
    read = memory.read_port()
    low, data = Signal(3), Signal(6)
    parts, writes = Signal(4), Signal()
    start = Signal(5)
    address = Signal(14)
    # The first 16 cycles fill 16 words that are far from each other.
    with m.If(~start[4]):
        m.d.sync += start.eq(start + 1)
    index = Signal(4)
    m.d.comb += index.eq(Mux(start[4], Cat(low, data[0]), start[:4]))
    m.d.comb += address.eq(Cat(index, index ^ 5, ~index, index[:2]))
    word = Signal(16)
    m.d.sync += word.eq(Cat(data, word))
    m.d.comb += [
        write.addr.eq(address),
        read.addr.eq(address),
        write.data.eq(word),
        write.en.eq(Const(0xF, 4)),
    ]
    with m.If(start[4]):
        m.d.comb += write.en.eq(parts & writes.replicate(4))
    # Said so that synthesis can prove that one port is enough.
    m.d.comb += read.en.eq(~write.en.any())
    shown = Signal(8)
    m.d.comb += shown.eq(read.data[:8] ^ read.data[8:])
    inputs = {"low": low, "data": data, "parts": parts, "writes": writes}
    return Design(m, clk, inputs, {"shown": shown}, keeps_contents=False)


def multiplier(is_signed: bool) -> Design:
    """Products with registers before, inside and behind, and an accumulator."""
    m, clk = module()
    shape = signed if is_signed else (lambda width: width)
    a, b, clear = Signal(shape(8)), Signal(shape(8)), Signal()
    x, y = Signal(shape(16)), Signal(shape(16))
    product, total, small = Signal(shape(32)), Signal(shape(32)), Signal(shape(16))
    m.d.sync += [x.eq(Cat(a, x[:8])), y.eq(Cat(b, y[:8])), product.eq(x * y), small.eq(a * b)]
    with m.If(clear):
        m.d.sync += total.eq(0)
    with m.Else():
        m.d.sync += total.eq(total + product)
    shown = Signal(8)
    halves = total[:16] ^ total[16:] ^ small
    m.d.comb += shown.eq(halves[:8] ^ halves[8:])
    return Design(m, clk, {"a": a, "b": b, "clear": clear}, {"shown": shown})


def requantizer_multiplier() -> Design:
    """The accelerator's chain of eight multipliers, with values kept in registers."""
    m, clk = module()
    m.submodules.multiplier = unit = DspMultiplier(acc_bits=24, cycles=4)
    data = Signal(8)
    # Registers that do not start at 0 stay outside the blocks: yosys 0.70 packs a register that is
    # also read elsewhere wrongly.
    a, factor, constant = Signal(24, init=0xFFFFFF), Signal(48, init=(1 << 48) - 1), Signal(17)
    m.d.sync += [
        a.eq(Cat(data, a)),
        factor.eq(Cat(data ^ a[16:], factor)),
        constant.eq(Cat(a[:4], constant) % 98305),
    ]
    m.d.comb += [unit.a_i.eq(a), unit.multiplier_i.eq(factor), unit.constant_i.eq(constant)]
    select, shown = Signal(3), Signal(8)
    everything = Signal(64)
    m.d.comb += everything.eq(Cat(unit.result_o, unit.fraction_o))
    m.d.comb += shown.eq(everything.word_select(select, 8))
    return Design(m, clk, {"data": data, "select": select}, {"shown": shown})


def phase_locked_loop(reference_pin: str) -> Design:
    """A counter that runs on a PLL once that has locked; `reference_pin` is ``pad`` or ``core``."""
    m = Module()
    clk = Signal(name="clk")
    clock, is_locked = Signal(), Signal()
    m.domains.sync = ClockDomain(reset_less=True)
    m.submodules.pll = Instance(
        "SB_PLL40_PAD" if reference_pin == "pad" else "SB_PLL40_CORE",
        p_FEEDBACK_PATH="SIMPLE",
        p_DIVR=Const(0, 4),
        p_DIVF=Const(63, 7),
        p_DIVQ=Const(5, 3),
        p_FILTER_RANGE=Const(1, 3),
        **{"i_PACKAGEPIN" if reference_pin == "pad" else "i_REFERENCECLK": clk},
        i_RESETB=1,
        i_BYPASS=0,
        o_PLLOUTGLOBAL=clock,
        o_LOCK=is_locked,
    )
    m.d.comb += ClockSignal("sync").eq(clock)
    total, step = Signal(6), Signal(3)
    with m.If(is_locked):
        m.d.sync += total.eq(total + step)
    return Design(m, clk, {"step": step}, {"total": total})


def oscillator() -> Design:
    """A counter on the chip's own oscillator."""
    m = Module()
    clock, total, step = Signal(), Signal(6), Signal(3)
    m.domains.sync = ClockDomain(reset_less=True)
    m.submodules.oscillator = Instance(
        "SB_HFOSC", p_CLKHF_DIV="0b10", i_CLKHFPU=1, i_CLKHFEN=1, o_CLKHF=clock
    )
    m.d.comb += ClockSignal("sync").eq(clock)
    m.d.sync += total.eq(total + step)
    return Design(m, None, {"step": step}, {"total": total})
