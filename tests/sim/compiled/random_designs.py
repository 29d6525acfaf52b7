"""Random Amaranth components: every operator, memories, state machines, repeated submodules."""

from random import Random

from amaranth.hdl import Array, Cat, Module, Mux, Shape, Signal, Value, signed, unsigned
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["RandomDesign", "random_stimulus"]

MAX_EXPRESSION_BITS = 150


def random_shape(rng: Random, most: int) -> Shape:
    width = rng.choice([1, 1, 2, 3, 7, 8, 9, 12, 16, 17, 31, 32, 33, 63, 64, 65, 70, 128, 200])
    while width > most:
        width = rng.randint(1, most)
    return signed(width) if rng.random() < 0.4 else unsigned(width)


def _limit(rng: Random, value: Value) -> Value:
    """Keep products and concatenations from growing without end."""
    if len(value) <= MAX_EXPRESSION_BITS:
        return value
    start = rng.randrange(len(value) - MAX_EXPRESSION_BITS + 1)
    cut = value[start : start + rng.randint(1, MAX_EXPRESSION_BITS)]
    return cut.as_signed() if rng.random() < 0.3 else cut


def _binary(rng: Random, a: Value, b: Value) -> Value:
    operators = (
        lambda: a + b,
        lambda: a - b,
        lambda: a * b,
        lambda: a & b,
        lambda: a | b,
        lambda: a ^ b,
        lambda: a == b,
        lambda: a != b,
        lambda: a < b,
        lambda: a <= b,
        lambda: a > b,
        lambda: a >= b,
        lambda: a // b,
        lambda: a % b,
        lambda: Cat(a, b),
        lambda: a << b.as_unsigned()[: rng.randint(1, 6)],
        lambda: a >> b.as_unsigned()[: rng.randint(1, 9)],
        lambda: a >> b.as_unsigned(),
    )
    return rng.choice(operators)()


def _unary(rng: Random, a: Value) -> Value:
    low = rng.randrange(len(a))
    high = rng.randint(low + 1, len(a))
    operators = (
        lambda: ~a,
        lambda: -a,
        a.bool,
        a.any,
        a.all,
        a.xor,
        lambda: abs(a),
        lambda: a[low:high],
        a.as_signed,
        a.as_unsigned,
        lambda: a.rotate_left(low),
        lambda: a.shift_left(low % 9),
        lambda: a.shift_right(low),
        lambda: a.replicate(rng.randint(1, 3)),
        lambda: a.matches(rng.getrandbits(min(len(a), 8)) >> 1) if not a.shape().signed else a,
    )
    return rng.choice(operators)()


def _select(rng: Random, a: Value, b: Value, c: Value) -> Value:
    index = c.as_unsigned()[: rng.randint(1, 5)]
    # Beyond the end of a signed value Amaranth's simulator reads its sign and its RTLIL reads 0.
    bits = Cat(a)
    operators = (
        lambda: Mux(c, a, b),
        lambda: Array([a, b, c, a])[index[:2]],
        lambda: bits.bit_select(index, rng.randint(1, len(a))),
        lambda: bits.word_select(index, rng.randint(1, len(a))),
    )
    return rng.choice(operators)()


def expression(rng: Random, pool: list[Value], depth: int) -> Value:
    """Return a random expression over the signals in `pool`."""
    if depth == 0 or rng.random() < 0.1:
        if rng.random() < 0.1:
            return Value.cast(rng.randint(-300, 300))
        return rng.choice(pool)

    def below() -> Value:
        value = expression(rng, pool, depth - 1)
        return value if len(value) else Value.cast(1)

    kind = rng.random()
    if kind < 0.55:
        value = _binary(rng, below(), below())
    elif kind < 0.8:
        value = _unary(rng, below())
    else:
        value = _select(rng, below(), below(), below())
    return _limit(rng, value)


class Leaf(wiring.Component):
    """Small component of one seed: instances of it are alike."""

    def __init__(self, seed: int, has_memory: bool) -> None:
        self._seed, self._has_memory = seed, has_memory
        rng = Random(seed)
        self.ins = [f"a{n}" for n in range(rng.randint(1, 3))]
        self.outs = [f"y{n}" for n in range(rng.randint(1, 3))]
        self.is_combinational = rng.random() < 0.3
        super().__init__(
            {
                **{name: In(random_shape(rng, 40)) for name in self.ins},
                **{name: Out(random_shape(rng, 40)) for name in self.outs},
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Give each output a register, or an expression if the leaf is combinational."""
        m = Module()
        rng = Random(self._seed + 1)
        pool = [getattr(self, name) for name in self.ins]
        state = Signal(random_shape(rng, 20), init=1)
        m.d.sync += state.eq(expression(rng, [*pool, state], 2))
        if self._has_memory:
            _add_memory(m, rng, [*pool, state], pool)
        for name in self.outs:
            out = getattr(self, name)
            value = expression(rng, [*pool, state], 3)
            if self.is_combinational:
                m.d.comb += out.eq(value)
            else:
                with m.If(rng.choice(pool)[0]):
                    m.d.sync += out.eq(value)
        return m


class GrowingLeaf(wiring.Component):
    """Sums and registers only, whose widths may differ between instances of one seed."""

    def __init__(self, seed: int, in_bits: int, out_bits: int) -> None:
        self._seed = seed
        super().__init__(
            {
                "sel": In(1),
                "a": In(signed(in_bits)),
                "b": In(4),
                "y": Out(signed(out_bits)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Mix the inputs in a way that only the seed decides."""
        m = Module()
        rng = Random(self._seed)
        held = Signal(signed(5), init=rng.randint(-16, 15))
        with m.If(self.sel):
            m.d.sync += held.eq(Cat(self.b, held))
        value = self.a
        for _ in range(rng.randint(1, 3)):
            other = rng.choice([held, self.b, self.y])
            value = rng.choice(
                [
                    lambda v=value, o=other: v + o,
                    lambda v=value, o=other: v - o,
                    lambda v=value, o=other: v ^ o,
                    lambda v=value, o=other: v & o,
                    lambda v=value, o=other: Mux(self.sel, v + o, v),
                    lambda v=value: ~v,
                ]
            )()
        m.d.sync += self.y.eq(value)
        return m


def _add_memory(m: Module, rng: Random, pool: list[Value], found: list[Value]) -> None:
    """Add a memory with random ports; its read data join `found`."""
    shape = random_shape(rng, 130)
    # Not 1: CXXRTL reads beyond an address of no bits.
    depth = rng.choice([2, 3, 4, 5, 8, 13, 16])
    init = [rng.getrandbits(shape.width) for _ in range(rng.randint(0, depth))]
    if shape.signed:
        init = [value - (1 << (shape.width - 1)) for value in init]
    name = f"memory_{len(found)}"
    m.submodules[name] = mem = memory.Memory(shape=shape, depth=depth, init=init)
    writes = []
    for _ in range(rng.choice([0, 1, 1, 1, 2])):
        options = [n for n in range(1, shape.width + 1) if shape.width % n == 0]
        granularity = None if shape.signed else rng.choice([None, rng.choice(options)])
        port = mem.write_port(granularity=granularity)
        writes.append(port)
        # Two writes to one address in one cycle have no meaning: the low bit keeps them apart.
        number = len(writes) - 1
        address = Cat(number, expression(rng, pool, 1))
        m.d.comb += [
            port.addr.eq(address),
            port.data.eq(expression(rng, pool, 2)),
            port.en.eq(expression(rng, pool, 1)),
        ]
    for _ in range(rng.randint(1, 2)):
        if rng.random() < 0.3:
            port = mem.read_port(domain="comb")
        else:
            port = mem.read_port(transparent_for=[w for w in writes if rng.random() < 0.5])
            m.d.comb += port.en.eq(expression(rng, pool, 1))
        m.d.comb += port.addr.eq(expression(rng, pool, 1))
        found.append(Value.cast(port.data))


class RandomDesign(wiring.Component):
    """Random component; equal seeds give equal designs.

    Parameters
    ----------
    seed : int
        Chooses everything.
    copies : int
        Instances of each kind of leaf.
    has_memories : bool
        Whether there are memories.
    """

    def __init__(self, seed: int, *, copies: int = 5, has_memories: bool = True) -> None:
        self._seed, self._copies, self._has_memories = seed, copies, has_memories
        rng = Random(seed)
        self.ins = {f"i{n}": random_shape(rng, 70) for n in range(rng.randint(1, 4))}
        self.outs = {f"o{n}": random_shape(rng, 200) for n in range(rng.randint(1, 5))}
        super().__init__(
            {
                **{name: In(shape) for name, shape in self.ins.items()},
                **{name: Out(shape) for name, shape in self.outs.items()},
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Fill the module, from the inputs over submodules and memories to the outputs."""
        m = Module()
        rng = Random(self._seed + 1)
        pool: list[Value] = [getattr(self, name) for name in self.ins]
        registers = []
        for number in range(rng.randint(1, 4)):
            init = rng.getrandbits(1)
            shape = random_shape(rng, 100)
            reg = Signal(
                shape,
                init=-init if shape.signed else init,
                name=f"reg_{number}",
                reset_less=rng.random() < 0.2,
            )
            registers.append(reg)
            pool.append(reg)
        for kind in range(rng.randint(0, 2)):
            self._add_leaves(m, rng, pool, kind)
        for _ in range(rng.randint(0, 2) if self._has_memories else 0):
            _add_memory(m, rng, pool[:], pool)
        if rng.random() < 0.5:
            self._add_growing_leaves(m, rng, pool)
        self._add_comb(m, rng, pool)
        for reg in registers:
            self._drive(m, rng, reg, pool)
        self._add_fsm(m, rng, pool)
        for name in self.outs:
            m.d.comb += getattr(self, name).eq(expression(rng, pool, 3))
        return m

    def _add_leaves(self, m: Module, rng: Random, pool: list[Value], kind: int) -> None:
        seed = rng.getrandbits(30)
        has_memory = self._has_memories and rng.random() < 0.3
        chain = rng.random() < 0.5
        sources = pool[:]
        leaves = [Leaf(seed, has_memory) for _ in range(self._copies)]
        if not leaves[0].is_combinational and rng.random() < 0.5:
            # One of them is read by all, itself too.
            common = rng.choice(leaves)
            sources += [getattr(common, name) for name in common.outs]
        for copy, leaf in enumerate(leaves):
            m.submodules[f"leaf_{kind}_{copy}"] = leaf
            for name in leaf.ins:
                m.d.comb += getattr(leaf, name).eq(expression(rng, sources, rng.randint(0, 1)))
            outs = [getattr(leaf, name) for name in leaf.outs]
            pool.extend(outs)
            if chain:
                # The next one reads this one, like elements of an array.
                sources = outs

    def _add_growing_leaves(self, m: Module, rng: Random, pool: list[Value]) -> None:
        seed, start = rng.getrandbits(30), rng.randint(1, 12)
        above = rng.choice(pool)
        for copy in range(self._copies):
            in_bits = start + copy // 2
            leaf = GrowingLeaf(seed, in_bits, in_bits + rng.randint(0, 1))
            m.submodules[f"growing_{copy}"] = leaf
            m.d.comb += [
                leaf.sel.eq(rng.choice(pool)),
                leaf.a.eq(above),
                leaf.b.eq(rng.choice(pool)),
            ]
            above = leaf.y
            pool.append(leaf.y)

    @staticmethod
    def _add_comb(m: Module, rng: Random, pool: list[Value]) -> None:
        for number in range(rng.randint(0, 3)):
            signal = Signal(random_shape(rng, 80), name=f"comb_{number}")
            with m.If(expression(rng, pool, 1)):
                m.d.comb += signal.eq(expression(rng, pool, 3))
            half = len(signal) // 2
            if half:
                with m.Elif(expression(rng, pool, 1)):
                    m.d.comb += signal[half:].eq(expression(rng, pool, 2))
            pool.append(signal)

    @staticmethod
    def _drive(m: Module, rng: Random, reg: Signal, pool: list[Value]) -> None:
        with m.Switch(rng.choice(pool)[:3]):
            with m.Case(1):
                m.d.sync += reg.eq(expression(rng, pool, 3))
            with m.Case(2, 3):
                m.d.sync += reg[len(reg) // 2 :].eq(expression(rng, pool, 2))
            with m.Default():
                m.d.sync += reg.eq(rng.choice(pool))

    @staticmethod
    def _add_fsm(m: Module, rng: Random, pool: list[Value]) -> None:
        count = Signal(5)
        with m.FSM():
            with m.State("IDLE"):
                with m.If(rng.choice(pool)[0]):
                    m.next = "RUN"
            with m.State("RUN"):
                m.d.sync += count.eq(count + 3)
                with m.If(count[3] ^ rng.choice(pool)[0]):
                    m.next = "DONE"
            with m.State("DONE"):
                m.d.sync += count.eq(rng.choice(pool))
                m.next = "IDLE"
        pool.append(count)


def random_stimulus(design: RandomDesign, cycles: int, *, has_resets: bool) -> list[dict[str, int]]:
    """Return inputs for each cycle: extremes, small numbers, anything; some resets if wanted."""
    rng = Random(cycles)
    stimulus = []
    for _ in range(cycles):
        row = {}
        for name, shape in design.ins.items():
            full = (1 << shape.width) - 1
            value = rng.choice(
                [
                    rng.getrandbits(shape.width),
                    rng.getrandbits(3) & full,
                    full - (rng.getrandbits(2) & full),
                ]
            )
            is_negative = shape.signed and value >> (shape.width - 1)
            row[name] = value - (1 << shape.width) if is_negative else value
        row["rst"] = int(has_resets and rng.random() < 0.05)
        stimulus.append(row)
    return stimulus
