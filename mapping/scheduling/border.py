"""The border of a padded tensor, written at run time because tensors share memory.

One accumulator, whatever it holds, is drained with multiplier 0: the result is the code of zero. A
STORE then repeats that one word over all pixels of the border.
"""

import numpy as np

from mapping.program.rules import ADDRESS_SPACE
from mapping.program.tensor import StoredTensor
from mapping.scheduling.image import Constants
from mapping.scheduling.offsets import OffsetTable
from systolic.spec.config import ArrayConfig
from systolic.spec.geometry import OFFSET_DEPTH
from systolic.spec.isa import Drain, Instruction, Load, LoadTarget, Matmul, Output, Store
from systolic.spec.layout import split_digits

HALF = 0


class BorderMemory:
    """Which words are known to hold zeros, so that a border need not be written again.

    Tensors of one shape often take turns at one place; all but the first find their border done.

    Parameters
    ----------
    config : ArrayConfig
        The array.
    words : int
        Words from 0 to the end of all tensors.
    """

    def __init__(self, config: ArrayConfig, words: int) -> None:
        self._config = config
        # The digit that all rows of a word hold; -1 if they may hold anything.
        self._digits = np.full(words, -1, np.int64)

    def claim(self, tensor: StoredTensor) -> bool:
        """Whether a tensor that is about to be written has to have its border written.

        Afterwards the words are taken to hold the tensor with its border.
        """
        config, digits = self._config, self._config.digits(tensor.bits)
        zeros = split_digits(np.array(tensor.zero), digits, config.digit_bits)
        pixels = tensor.border_pixels() * tensor.pixel_step(config)
        blocks = np.arange(tensor.blocks(config)) * tensor.block_step(config)
        words = tensor.address + np.add.outer(np.add.outer(pixels, blocks), np.arange(digits))
        wanted = np.broadcast_to(zeros, words.shape)
        is_missing = not np.array_equal(self._digits[words], wanted)
        self._digits[tensor.address : tensor.address + tensor.words(config)] = -1
        self._digits[words] = wanted
        return is_missing


def border_instructions(
    tensor: StoredTensor,
    readable: int,
    weights: int,
    table: OffsetTable,
    constants: Constants,
    config: ArrayConfig,
) -> list[Instruction]:
    """Instructions that fill a tensor's border.

    Parameters
    ----------
    tensor : StoredTensor
        Whose border; it has one.
    readable : int
        Address of a word that holds anything by then; the array multiplies it by weights.
    weights : int
        Address of any weight tile.
    table : OffsetTable
        State of the offset table.
    constants : Constants
        Where parameters and offsets go.
    config : ArrayConfig
        The array.
    """
    pixels = tensor.border_pixels()
    digits, weights = config.digits(tensor.bits), weights % ADDRESS_SPACE
    cols = min(config.cols, config.rows)
    parameters = constants.parameters([(0, 0, 0)] * cols) % ADDRESS_SPACE
    offsets = np.split(pixels, range(OFFSET_DEPTH, len(pixels), OFFSET_DEPTH))
    code: list[Instruction] = []
    for index, part in enumerate(offsets):
        distances = (part - part[0]) * tensor.pixel_step(config) % ADDRESS_SPACE
        start, addr = table.place(distances), constants.units(distances) % ADDRESS_SPACE
        code.append(Load(target=LoadTarget.OFFSETS, count=len(part), start=start, addr=addr))
        if index == 0:
            code += _zero_word(tensor, digits, start, readable, weights, parameters, config)
        base = tensor.address + int(part[0]) * tensor.pixel_step(config)
        code += [
            Store(
                repeat=1,
                digits=digits,
                count=len(part),
                start=start,
                base=(base + block * tensor.block_step(config)) % ADDRESS_SPACE,
            )
            for block in range(tensor.blocks(config))
        ]
    return code


def _zero_word(
    tensor: StoredTensor,
    digits: int,
    start: int,
    readable: int,
    weights: int,
    parameters: int,
    config: ArrayConfig,
) -> list[Instruction]:
    """Put the code of zero into every row of the output buffer's first pixel."""
    cols = min(config.cols, config.rows)
    return [
        Output(
            digits=digits,
            zero=tensor.zero,
            lo=0,
            hi=(1 << tensor.bits) - 1,
        ),
        Load(target=LoadTarget.PARAMETERS, count=cols, addr=parameters),
        Matmul(first=1, half=HALF, digits=1, count=1, start=start, base=readable, weights=weights),
        *(Drain(half=HALF, count=1, cols=cols, row=row) for row in range(0, config.rows, cols)),
    ]
