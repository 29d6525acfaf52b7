"""The compiler: the list of passes from a graph of nodes to a program, top to bottom."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from mapping.errors import ScratchpadError
from mapping.graph import Graph
from mapping.lowering.fuse import fuse, stored_values
from mapping.lowering.lower import LoweredLayer, lower
from mapping.program import LayerRecord, Packing, Program, StoredTensor
from mapping.report import break_down
from mapping.scheduling.border import BorderMemory
from mapping.scheduling.emit import LayerEmitter
from mapping.scheduling.image import Image
from mapping.scheduling.pack import PackingChoice, choose_packings
from mapping.scheduling.plan import activation_words, check_image, lifetimes, place_tensors
from mapping.scheduling.schedule import choose_tiling
from mapping.scheduling.storage import output_base, plan_storage
from mapping.scheduling.tiling import Tiling
from mapping.scheduling.weight_tiles import LayerTiles, layer_sources, tile_weights
from systolic.spec.config import ArrayConfig
from systolic.spec.isa import Instruction, Sync
from systolic.spec.timing import program_cycles

KERNEL_ROWS, WHOLE_KERNEL = PackingChoice.KERNEL_ROWS, PackingChoice.WHOLE_KERNEL


def compile_network(
    graph: Graph, config: ArrayConfig, *, name: str = "network", keep_all: bool = False
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
        Give every stored tensor words of its own, so that all can be read after a run.

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
        If the network does not fit the scratchpad.
    """
    fused = fuse(graph, config)
    stored = stored_values(graph, fused)
    layers = lower(graph, fused, stored, config)
    # Packed inputs are larger: where they do not fit, less is packed.
    for choices in ((KERNEL_ROWS, WHOLE_KERNEL), (KERNEL_ROWS,)):
        packed, packings = choose_packings(graph, layers, stored, config, choices=choices)
        try:
            return _Backend(graph, packed, packings, stored, config).build(name, keep_all=keep_all)
        except ScratchpadError:
            if not packings:
                raise
    return _Backend(graph, layers, {}, stored, config).build(name, keep_all=keep_all)


class _Backend:
    """The passes after lowering, for one choice of packed inputs."""

    def __init__(
        self,
        graph: Graph,
        layers: Sequence[LoweredLayer],
        packings: Mapping[int, Packing],
        stored: frozenset[int],
        config: ArrayConfig,
    ) -> None:
        self.graph, self.layers, self.stored, self.config = graph, layers, stored, config
        self.packings = packings

    def build(self, name: str, *, keep_all: bool) -> Program:
        """Place tensors, tile and schedule layer by layer, put the image together."""
        config = self.config
        unplaced = plan_storage(self.graph, self.layers, self.packings)
        lives = lifetimes(self.graph, self.layers, self.stored, keep_all=keep_all)
        tensors = place_tensors(unplaced, lives, config)
        activations = activation_words(tensors, config)
        image, borders = Image(config, base=activations), BorderMemory(config)
        code: list[Instruction] = []
        records: list[LayerRecord] = []
        constants: dict[str, int] = {}
        for index, layer in enumerate(self.layers):
            tiles = tile_weights(layer, config)
            border = borders.claim(tensors[layer.output])
            tiling, cycles = choose_tiling(layer, tiles, tensors, config, writes_border=border)
            emitter = LayerEmitter(layer, tiles, tensors, image, config, writes_border=border)
            part = emitter.emit(tiling)
            assert program_cycles(part, config)[-1].cycle == cycles  # one cycle model, twice
            if index == len(self.layers) - 1:
                part[-1] = Sync(halt=1)
            code += part
            new_words = image.words - sum(constants.values())
            constants[layer.name] = constants.get(layer.name, 0) + new_words
            records.append(_record(layer, tiles, tensors, tiling, part, config))
        if not self.layers:
            code.append(Sync(halt=1))
        entry = image.instructions(code)
        check_image(activations, constants, len(code) * config.instruction_words, config)
        return Program(
            name=name,
            config=config,
            image=image.data,
            load_address=image.base,
            entry=entry,
            instruction_count=len(code),
            layers=tuple(records),
            inputs=tuple(tensors[value] for value in self.graph.input_ids),
            outputs=tuple(self._output(tensors, value) for value in self.graph.outputs),
            tensors=tuple(tensors.values()),
        )

    def _output(self, tensors: Mapping[int, StoredTensor], value: int) -> StoredTensor:
        """Descriptor of a network output: the stored tensor, seen under the output's shape."""
        tensor = tensors[output_base(self.graph, value, self.stored)]
        return replace(tensor, node=value, shape=self.graph.types[value].shape)


def _record(
    layer: LoweredLayer,
    tiles: LayerTiles,
    tensors: Mapping[int, StoredTensor],
    tiling: Tiling,
    code: Sequence[Instruction],
    config: ArrayConfig,
) -> LayerRecord:
    end = program_cycles(code, config)[-1]
    digits = max(config.digits(operand.view.element.bits) for operand in layer.operands)
    rate = config.rows * config.cols / digits
    shapes = {
        source.piece.value: tensors[source.piece.value].shape for source in layer_sources(layer)
    }
    return LayerRecord(
        name=layer.name,
        op=layer.op,
        output=layer.output,
        in_shapes=tuple(shapes.values()),
        out_shape=layer.out_shape,
        macs=layer.macs,
        instructions=len(code),
        cycles=end.cycle,
        busy_cycles=end.busy_cycles,
        utilisation=layer.macs / (rate * end.cycle),
        bound=break_down(code, config).bound,
        tiling=str(tiling),
    )
