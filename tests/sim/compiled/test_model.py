"""The Python side of a compiled model: ports, vectors, streams, memories, waveforms."""

from pathlib import Path

import numpy as np
import pytest

from sim.compiled import Cache, CompiledModel, SimulationTimeout, compile_component
from sim.compiled.build import Interface
from tests.sim.compiled.components import Chain, Counter, Echo, Grid, Store
from tests.sim.compiled.oracles import run_amaranth


def compiled(component, cache: Cache, **options: int) -> CompiledModel:  # type: ignore[no-untyped-def]
    return compile_component(component, optimise="-O1", cache=cache, **options)


def test_outputs_follow_inputs_and_clock_edges(cache: Cache) -> None:
    model = compiled(Counter(), cache)
    before = model.get("y")
    model.set("en", 1)
    model.step(4)
    assert (before, model.get("y"), model.get("next"), model.cycles) == (3, 7, -7, 4)


def test_reset_restores_registers_within_one_cycle(cache: Cache) -> None:
    model = compiled(Counter(), cache)
    model.set("en", 1)
    model.step(10)
    model.reset()
    assert model.get("y") == 3


def test_models_of_one_design_have_states_of_their_own(cache: Cache) -> None:
    one, other = compiled(Counter(), cache), compiled(Counter(), cache)
    one.set("en", 1)
    one.step(2)
    other.step(2)
    assert (one.get("y"), other.get("y")) == (5, 3)


def test_vectors_give_the_outputs_before_each_edge(cache: Cache) -> None:
    model = compiled(Counter(), cache)
    result = model.run_vectors({"en": np.array([1, 0, 1, 1])}, ["y", "next"])
    assert result["y"].tolist() == [3, 4, 4, 5]
    assert result["next"].tolist() == [-3, -4, -4, -5]


def test_wide_vectors_carry_words(cache: Cache) -> None:
    model = compiled(Store(), cache)
    words = np.array([[7, 1], [0, 0]], np.uint64)
    result = model.run_vectors(
        {"addr": np.array([1, 1]), "en": np.array([1, 0]), "data": words}, ["q"]
    )
    assert result["q"].tolist() == [[0, 0], [0, 1 << 5]]
    model.step()
    assert model.get("q") == (1 << 64) + 7


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"en": np.array([2])}, "input en has 1 bits, too few for its values"),
        ({"en": np.array([0.5])}, "input en takes integers"),
        ({"no": np.array([0])}, "the design has no input no, only rst, en|only en, rst"),
        ({}, "inputs must all have as many cycles"),
    ],
)
def test_bad_vectors_are_refused(inputs: dict, message: str, cache: Cache) -> None:
    model = compiled(Counter(), cache)
    with pytest.raises(ValueError, match=message):
        model.run_vectors(inputs, ["y"])


def test_bad_port_values_are_refused(cache: Cache) -> None:
    model = compiled(Counter(), cache)
    with pytest.raises(ValueError, match="input en has 1 bits, too few for 2"):
        model.set("en", 2)
    with pytest.raises(ValueError, match="no output z"):
        model.get("z")
    with pytest.raises(ValueError, match="cycles must be at least 0, not -1"):
        model.step(-1)


def test_exchange_sends_and_receives_every_byte_in_order(cache: Cache) -> None:
    model = compiled(Echo(), cache)
    data = bytes(range(0, 200, 7))
    received, cycles = model.exchange(data, len(data), 10_000)
    assert received == bytes(byte + 1 for byte in data)
    # One byte in three cycles; the last one comes out a cycle after it went in.
    assert cycles == 3 * (len(data) - 1) + 2
    assert cycles == model.cycles


def test_exchange_leaves_unwanted_bytes_in_the_design(cache: Cache) -> None:
    model = compiled(Echo(), cache)
    assert model.exchange(b"ab", 1, 100)[0] == b"b"
    assert model.exchange(b"", 1, 100)[0] == b"c"


def test_exchange_that_takes_too_long_says_what_came(cache: Cache) -> None:
    model = compiled(Echo(), cache)
    with pytest.raises(SimulationTimeout, match="sent 2 of 4 bytes and took 2 of 2 in 50") as info:
        model.exchange(b"xy", 4, 50)
    assert (info.value.received, info.value.sent, info.value.cycles) == (b"yz", 2, 50)


def test_exchange_needs_byte_streams(cache: Cache) -> None:
    model = compiled(Counter(), cache)
    with pytest.raises(ValueError, match="the design has no input i__valid"):
        model.exchange(b"", 0, 1)


def test_memory_is_read_and_written_in_place(cache: Cache) -> None:
    model = compiled(Store(), cache)
    (info,) = model.interface.memories
    view = model.memory(info.name)
    assert (len(view), view[0], view[1], view[2]) == (6, 5, 1 << 69, 0)
    view[3] = (1 << 70) - 1
    model.set("addr", 3)
    model.step()
    assert model.get("q") == (1 << 70) - 1
    with pytest.raises(IndexError, match="has 6 words, none at 6"):
        view[6]
    with pytest.raises(ValueError, match="words of 70 bits"):
        view[0] = 1 << 70
    with pytest.raises(ValueError, match="the design has no memory nowhere"):
        model.memory("nowhere")


def test_power_on_restores_memories(cache: Cache) -> None:
    model = compiled(Store(), cache)
    view = model.memory(model.interface.memories[0].name)
    view[0] = 9
    model.power_on()
    assert view[0] == 5


def test_probes_show_signals_inside(cache: Cache) -> None:
    model = compiled(Counter(), cache, trace_depth=1)
    model.set("en", 1)
    model.step(2)
    assert model.get("count") == 5


def test_waveform_appears_whole_and_holds_each_cycle(cache: Cache, tmp_path: Path) -> None:
    model = compiled(Counter(), cache, trace_depth=1)
    path = tmp_path / "counter.vcd"
    model.set("en", 1)
    with model.trace(path):
        model.step(3)
        assert not path.exists()
    model.step(5)
    text = path.read_text(encoding="utf-8")
    assert [each.name for each in tmp_path.iterdir()] == ["counter.vcd"]
    for line in ("$var wire 8", " count ", "b11 ", "b100 ", "b101 "):
        assert line in text
    assert "b110 " not in text


@pytest.mark.parametrize("component", [lambda: Grid(5, 4), Chain], ids=["grid", "chain"])
def test_traced_and_plain_models_agree(component, cache: Cache) -> None:  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(5)
    plain, traced = compiled(component(), cache), compiled(component(), cache, trace_depth=3)
    ports = {port.name: port.width for port in plain.interface.inputs}
    inputs = {
        name: rng.integers(0, 1 << width, 200)
        for name, width in ports.items()
        if name not in ("clk", "rst")
    }
    (output,) = plain.outputs
    expected = plain.run_vectors(inputs, [output])[output]
    assert np.array_equal(traced.run_vectors(inputs, [output])[output], expected)
    stimulus = [{name: int(values[t]) for name, values in inputs.items()} for t in range(200)]
    if output == "y":
        assert expected.tolist() == [row[0] for row in run_amaranth(component(), stimulus, ["y"])]


def test_interface_survives_its_text_form(cache: Cache) -> None:
    interface = compiled(Store(), cache).interface
    assert Interface.from_json(interface.to_json()) == interface
