"""The border of a padded tensor, written at run time because tensors share memory.

One accumulator, whatever it holds, is drained with multiplier 0: the result is the code of zero. A
STORE then repeats that one word over all pixels of the border.
"""

import numpy as np

from mapping.passes.image import Constants
from mapping.passes.offsets import ADDRESS_SPACE, OffsetTable
from mapping.program.tensor import StoredTensor
from systolic.spec.config import OFFSET_DEPTH, ArrayConfig
from systolic.spec.isa import Drain, Instruction, Load, LoadTarget, Matmul, Output, Store

HALF = 0


def border_instructions(
    tensor: StoredTensor,
    readable: int,
    table: OffsetTable,
    constants: Constants,
    config: ArrayConfig,
) -> list[Instruction]:
    """Instructions that fill a tensor's border; none if it has no border.

    Parameters
    ----------
    tensor : StoredTensor
        Whose border.
    readable : int
        Address of any weight tile; the array multiplies its first word by its weights.
    table : OffsetTable
        State of the offset table.
    constants : Constants
        Where parameters and offsets go.
    config : ArrayConfig
        The array.
    """
    pixels = tensor.border_pixels()
    if not len(pixels):
        return []
    digits, readable = config.digits(tensor.bits), readable % ADDRESS_SPACE
    cols = min(config.cols, config.rows)
    parameters = constants.parameters([(0, 0, 0)] * cols) % ADDRESS_SPACE
    offsets = np.split(pixels, range(OFFSET_DEPTH, len(pixels), OFFSET_DEPTH))
    code: list[Instruction] = []
    for index, part in enumerate(offsets):
        distances = (part - part[0]) * tensor.pixel_words(config) % ADDRESS_SPACE
        start, addr = table.place(distances), constants.units(distances) % ADDRESS_SPACE
        code.append(
            Load(target=LoadTarget.OFFSETS, count=len(part), start=start, addr=addr)
        )
        if index == 0:
            code += _zero_word(tensor, digits, start, readable, parameters, config)
        base = tensor.address + int(part[0]) * tensor.pixel_words(config)
        code += [
            Store(
                repeat=1,
                digits=digits,
                count=len(part),
                start=start,
                base=(base + block * digits) % ADDRESS_SPACE,
            )
            for block in range(tensor.blocks(config))
        ]
    return code


def _zero_word(
    tensor: StoredTensor,
    digits: int,
    start: int,
    readable: int,
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
            interval=max(config.requantize_cycles, digits),
        ),
        Load(target=LoadTarget.PARAMETERS, count=cols, addr=parameters),
        Matmul(
            first=1, half=HALF, digits=1, count=1, start=start, base=readable, weights=readable
        ),
        *(
            Drain(half=HALF, count=1, cols=cols, row=row)
            for row in range(0, config.rows, cols)
        ),
    ]
