"""Softmax at the end, which the host does."""

from mapping.host_ends import OutputEnd, RealSoftmax
from mapping.importers.errors import RefusedError
from mapping.importers.onnx.attributes import integer
from mapping.importers.onnx.records import Node
from mapping.importers.onnx.values import Ended
from mapping.importers.onnx.walk import Walk


def softmax(walk: Walk, node: Node) -> Ended:
    """Import Softmax over the last axis of dequantized activations."""
    real = walk.real(node, 0)
    if real.grid is None:
        raise RefusedError("its input must come straight from DequantizeLinear")
    shape = real.codes.index.shape
    # Until opset 13 all axes from the given one on were one.
    axis = integer(node, "axis", -1 if walk.opset >= 13 else 1)
    is_last = axis in (-1, len(shape) - 1)
    if not is_last and not (walk.opset < 13 and all(extent == 1 for extent in shape[axis + 1 :])):
        raise RefusedError(f"its axis must be the last of {len(shape)}, not {axis}")
    end = OutputEnd(real=real.grid.affine, probabilities=RealSoftmax())
    return Ended(real.codes, end)
