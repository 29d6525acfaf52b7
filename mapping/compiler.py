"""The compiler: the list of passes from a graph of nodes to a program, top to bottom."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, chain, pairwise, repeat, tee
from typing import Literal, cast

import numpy as np

from mapping.errors import ScratchpadError, UnsupportedError
from mapping.graph import Graph
from mapping.lowering.by_block import by_block
from mapping.lowering.fuse import stored_values
from mapping.lowering.lower import LoweredLayer, lower
from mapping.lowering.prepare import Prepared, prepare
from mapping.ops import Constant
from mapping.program import LayerRecord, Packing, Program, Slot, StoredTensor
from mapping.program.data import MAX_SLOTS
from mapping.report import break_down
from mapping.scheduling.border import BorderMemory
from mapping.scheduling.emit import LayerEmitter
from mapping.scheduling.image import Constants, Image, NumberedConstants
from mapping.scheduling.pack import PackingChoice, choose_packings
from mapping.scheduling.parts import Step, cut_into_parts, steps_of
from mapping.scheduling.plan import activation_words, check_image, lifetimes
from mapping.scheduling.schedule import choose_tiling
from mapping.scheduling.slots import Places, place_slots
from mapping.scheduling.storage import output_base, plan_storage
from mapping.scheduling.tiling import Tiling
from mapping.scheduling.weight_tiles import LayerTiles, layer_reads, tile_weights
from systolic.spec.config import ArrayConfig
from systolic.spec.isa import Instruction, Sync
from systolic.spec.timing import program_cycles

KERNEL_ROWS, WHOLE_KERNEL = PackingChoice.KERNEL_ROWS, PackingChoice.WHOLE_KERNEL

SlotCount = Literal[1, 2, "auto"]


def compile_network(
    graph: Graph,
    config: ArrayConfig,
    *,
    name: str = "network",
    keep_all: bool = False,
    slots: SlotCount = "auto",
    prune: bool = True,
    stream: bool = True,
) -> Program:
    """Compile a network.

    Parameters
    ----------
    graph : Graph
        The network.
    config : ArrayConfig
        The array to run it on.
    name : str
        Name for the program.
    keep_all : bool
        Give every stored tensor words of its own and all its channels, so that all can be read
        after a run.
    slots : 1, 2 or "auto"
        How many inputs and outputs have memory, see :class:`mapping.program.Slot`: with two, the
        host transfers while a run is at work. ``"auto"`` gives two where they fit; the program says
        by how much they do not.
    prune : bool
        Remove channels that no output depends on, see :func:`mapping.pruning.prune.prune`; not
        with ``keep_all``.
    stream : bool
        Where the scratchpad cannot hold the program even with one slot, cut it into parts that the
        host sends while the array works, see :mod:`mapping.scheduling.parts`; not with two slots.

    Returns
    -------
    Program
        With exact cycles predicted for every layer.

    Raises
    ------
    UnsupportedError
        If the machine, as configured, lacks something the network needs.
    OverflowProofError
        If an accumulator might overflow.
    ScratchpadError
        If the network does not fit the scratchpad with that many slots, and not in parts.
    ValueError
        If ``slots`` is something else.
    """
    if slots not in (1, MAX_SLOTS, "auto"):
        raise ValueError(f"slots must be 1, {MAX_SLOTS} or 'auto', not {slots!r}")
    ready = prepare(graph, config, prune=prune and not keep_all)
    stored = stored_values(ready.graph, ready.layers)
    layers = lower(ready.graph, ready.layers, stored, config)
    backends, again = tee(_backends(ready, layers, stored, config))
    try:
        return _first_that_fits(
            backends, lambda backend: _with_slots(backend, slots, name, keep_all=keep_all)
        )
    except ScratchpadError:
        if not stream or slots == MAX_SLOTS:
            raise
    return _first_that_fits(again, lambda backend: backend.build_streamed(name, keep_all=keep_all))


def _first_that_fits(
    backends: Iterable["_Backend"], build: Callable[["_Backend"], Program]
) -> Program:
    """Program of the first backend that gives one; the refusal that lacks least if none does."""
    refusals: list[ScratchpadError] = []
    for backend in backends:
        try:
            return build(backend)
        except ScratchpadError as error:
            refusals.append(error)
    raise min(refusals, key=lambda error: error.missing_bytes)


def _backends(
    ready: Prepared,
    layers: Sequence[LoweredLayer],
    stored: frozenset[int],
    config: ArrayConfig,
) -> Iterator["_Backend"]:
    """Ways to go on, the fastest first: packed inputs are larger, and may not fit."""
    for choices in ((KERNEL_ROWS, WHOLE_KERNEL), (KERNEL_ROWS,), ()):
        packed, packings = choose_packings(ready.graph, layers, stored, config, choices=choices)
        yield _Backend(ready, packed, packings, stored, config)
        if not packings:
            return


def _with_slots(backend: "_Backend", slots: SlotCount, name: str, *, keep_all: bool) -> Program:
    """Program with the slots that are asked for; a second one may cost no packing unasked."""
    if slots != "auto":
        return backend.build(name, keep_all=keep_all, slots=slots)
    try:
        return backend.build(name, keep_all=keep_all, slots=MAX_SLOTS)
    except ScratchpadError as error:
        program = backend.build(name, keep_all=keep_all, slots=1)
        return replace(program, slot_deficit_bytes=error.missing_bytes)


@dataclass(frozen=True)
class _Choice:
    """How a layer is run: as it is or by block, with its weights, its tiling and the cycles."""

    original: LoweredLayer
    layer: LoweredLayer
    tiles: LayerTiles
    tiling: Tiling
    cycles: int


class _Backend:
    """The passes after lowering, for one choice of packed inputs."""

    def __init__(
        self,
        ready: Prepared,
        layers: Sequence[LoweredLayer],
        packings: Mapping[int, Packing],
        stored: frozenset[int],
        config: ArrayConfig,
    ) -> None:
        self.graph, self.origins = graph, origins = ready.graph, ready.origins
        self.layers, self.stored, self.config = layers, stored, config
        self.unplaced = {
            value: replace(tensor, node=origins[value].node)
            for value, tensor in plan_storage(graph, layers, packings, config).items()
        }
        for value in graph.input_ids:
            self.unplaced[value] = replace(self.unplaced[value], shape=origins[value].type.shape)
        # They depend on whether a border is written, but not on where anything lies.
        self.choices: dict[tuple[int, bool], _Choice] = {}

    def build(self, name: str, *, keep_all: bool, slots: int) -> Program:
        """Place tensors, tile and schedule layer by layer, put the image together."""
        config, places = self.config, self._places(slots, keep_all=keep_all)
        activations = max(activation_words(tensors, config) for tensors in places)
        image = Image(config, base=activations)
        places = tuple(self._with_constants(tensors, image) for tensors in places)
        code: list[list[Instruction]] = [[] for _ in places]
        records: list[LayerRecord] = []
        constants = {"constant activations": image.words} if image.words else {}
        for choice, writes_border in self._choices(places[0]):
            runs = self._emit(choice, places, image, writes_border=writes_border)
            for slot_code, run in zip(code, runs, strict=True):
                slot_code.extend(run)
            new_words = image.words - sum(constants.values())
            constants[choice.layer.name] = constants.get(choice.layer.name, 0) + new_words
            records.append(self._record(choice, runs[0], choice.cycles, places[0]))
        for slot_code in code:
            slot_code[-1:] = [Sync(halt=1)]  # in place of the last layer's, if there is a layer
        count = len(code[0])
        check_image(activations, constants, slots * count * config.instruction_words, slots, config)
        entries = [image.instructions(slot_code) for slot_code in code]
        return Program(
            name=name,
            config=config,
            image=image.data,
            load_address=image.base,
            instruction_count=count,
            slots=tuple(map(self._slot, entries, places)),
            parts=(),
            slot_deficit_bytes=0,
            layers=tuple(records),
            tensors=tuple(places[0].values()),
        )

    def build_streamed(self, name: str, *, keep_all: bool) -> Program:
        """As :meth:`build`, in parts, with one slot."""
        config, (places,) = self.config, self._places(1, keep_all=keep_all)
        activations = activation_words(places, config)
        if self.graph.constant_ids:
            raise UnsupportedError(
                "constant activations have to stay in the scratchpad, which cannot hold the "
                "program at once: use more scratchpad_words"
            )
        choices: list[_Choice] = []
        steps: list[list[Step]] = []
        for choice, writes_border in self._choices(places):
            constants = NumberedConstants(config, activations)
            (code,) = self._emit(choice, [places], constants, writes_border=writes_border)
            choices.append(choice)
            steps.append(steps_of(code, constants))
        cut = cut_into_parts(steps or [[Step(Sync(halt=1), b"")]], activations, config)
        cycles = _layer_cycles(cut.layers, config)
        return Program(
            name=name,
            config=config,
            image=cut.image,
            load_address=activations,
            instruction_count=sum(map(len, cut.layers)),
            slots=(self._slot(cut.parts[0].entry, places),),
            parts=cut.parts,
            slot_deficit_bytes=0,
            layers=tuple(map(self._record, choices, cut.layers, cycles, repeat(places))),
            tensors=tuple(places.values()),
        )

    def _places(self, slots: int, *, keep_all: bool) -> tuple[Places, ...]:
        """Tensors with addresses, for each slot."""
        lives = lifetimes(self.graph, self.layers, self.stored, keep_all=keep_all)
        movable = {value: tensor for value, tensor in self.unplaced.items()
                   if value not in self.graph.constant_ids}  # fmt: skip
        return place_slots(movable, lives, self._own(), slots, self.config)

    def _with_constants(self, places: Places, image: Image) -> Places:
        """Tensors of a run with the constant activations, which lie in the image."""
        whole = dict(places)
        for value in self.graph.constant_ids:
            tensor, node = self.unplaced[value], cast("Constant", self.graph.nodes[value])
            (words,) = tensor.pack(node.values[np.newaxis], self.config)
            whole[value] = replace(tensor, address=image.activations(words))
        return whole

    def _choices(self, places: Places) -> Iterator[tuple[_Choice, bool]]:
        """For each layer, how it is run, and whether it has to write its output's border."""
        borders = BorderMemory(self.config, activation_words(places, self.config))
        for index, layer in enumerate(self.layers):
            writes_border = borders.claim(places[layer.output])
            yield self._choose(index, writes_border=writes_border), writes_border

    def _own(self) -> frozenset[int]:
        """Tensors that each slot has to itself: those the host writes or reads."""
        outputs = (output_base(self.graph, value, self.stored) for value in self.graph.outputs)
        return frozenset((*self.graph.input_ids, *outputs))

    def _choose(self, index: int, *, writes_border: bool) -> _Choice:
        """Fastest way to run a layer."""
        if (index, writes_border) not in self.choices:
            choices: list[_Choice] = []
            for layer in _ways(self.layers[index], self.config):
                tiles = tile_weights(layer, self.config)
                tiling, cycles = choose_tiling(
                    layer, tiles, self.unplaced, self.config, writes_border=writes_border
                )
                choices.append(_Choice(self.layers[index], layer, tiles, tiling, cycles))
            best = min(choices, key=lambda choice: choice.cycles)
            self.choices[index, writes_border] = best
        return self.choices[index, writes_border]

    def _emit(
        self,
        choice: _Choice,
        places: Sequence[Places],
        constants: Constants,
        *,
        writes_border: bool,
    ) -> list[list[Instruction]]:
        """A layer's instructions for each slot; made once where all it touches is shared."""
        layer, tiles = choice.layer, choice.tiles
        touched = [layer.output, *layer_reads(layer)]
        emitted: dict[tuple[int, ...], list[Instruction]] = {}
        runs: list[list[Instruction]] = []
        for tensors in places:
            addresses = tuple(tensors[value].address for value in touched)
            if addresses not in emitted:
                emitter = LayerEmitter(
                    layer, tiles, tensors, constants, self.config, writes_border=writes_border
                )
                emitted[addresses] = code = emitter.emit(choice.tiling)
                # One cycle model, used twice; and slots differ in addresses only.
                assert program_cycles(code, self.config)[-1].cycle == choice.cycles
            runs.append(emitted[addresses])
        return runs

    def _slot(self, entry: int, tensors: Places) -> Slot:
        outputs = tuple(self._output(tensors, value) for value in self.graph.outputs)
        return Slot(
            entry=entry,
            inputs=tuple(tensors[value] for value in self.graph.input_ids),
            outputs=outputs,
        )

    def _output(self, tensors: Places, value: int) -> StoredTensor:
        """Descriptor of a network output: the stored tensor, seen under the output's shape."""
        tensor = tensors[output_base(self.graph, value, self.stored)]
        node = self.origins[value].node
        return replace(tensor, node=node, shape=self.graph.types[value].shape)

    def _record(
        self, choice: _Choice, code: Sequence[Instruction], cycles: int, tensors: Places
    ) -> LayerRecord:
        layer, config = choice.layer, self.config
        digits = max(config.digits(operand.view.element.bits) for operand in layer.operands)
        rate = config.rows * config.cols / digits
        shapes = {value: tensors[value].shape for value in layer_reads(layer)}
        return LayerRecord(
            name=layer.name,
            op=layer.op,
            output=self.origins[layer.output].node,
            in_shapes=tuple(shapes.values()),
            out_shape=choice.original.out_shape,
            macs=layer.macs,
            instructions=len(code),
            cycles=cycles,
            busy_cycles=program_cycles(code, config)[-1].busy_cycles,
            utilisation=layer.macs / (rate * cycles),
            bound=break_down(code, config).bound,
            tiling=str(choice.tiling),
            pruned_inputs=sum(map(self._pruned, shapes)),
            pruned_outputs=self._pruned(layer.output),
        )

    def _pruned(self, value: int) -> int:
        """Channels that a value has no more; inputs may be reshaped, but are whole."""
        if value in self.graph.input_ids:
            return 0
        return self.origins[value].type.channels - self.graph.types[value].channels


def _ways(layer: LoweredLayer, config: ArrayConfig) -> list[LoweredLayer]:
    """A layer as it is and, where that is the same, by block."""
    other = by_block(layer, config)
    return [layer] if other is None else [layer, other]


def _layer_cycles(layers: Sequence[Sequence[Instruction]], config: ArrayConfig) -> list[int]:
    """Cycles of each layer of a program, with the SYNCs of the cuts in it."""
    marks = [mark.cycle for mark in program_cycles(chain.from_iterable(layers), config)]
    syncs = (sum(isinstance(code, Sync) for code in layer) for layer in layers)
    ends = [marks[count - 1] for count in accumulate(syncs)]
    return [end - start for start, end in pairwise([0, *ends])]
