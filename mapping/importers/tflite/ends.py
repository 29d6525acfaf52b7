"""QUANTIZE, DEQUANTIZE and SOFTMAX: what the host does at a network's ends.

A QUANTIZE between 8-bit types is a table on the array, wherever it stands.
"""

from mapping.builder import Value
from mapping.host_ends import Affine, OutputEnd, Softmax
from mapping.importers.errors import RefusedError
from mapping.importers.tflite.records import Operator, SoftmaxOptions, Tensor
from mapping.importers.tflite.tables import requantize_table
from mapping.importers.tflite.walk import Walk, activations, check_tensor, graph_shape
from mapping.ops import ActType
from mapping.quantize import quantize_scale

SOFTMAX_RESULT = Affine(1 / 256, -128)


def add_input(walk: Walk, tensor: Tensor) -> None:
    """Make an input of the network; real numbers take the type that a QUANTIZE gives them.

    Raises
    ------
    RefusedError
        If the tensor cannot be an input.
    """
    if tensor.kind != "FLOAT32":
        _, result = activations(tensor, "UINT8" if tensor.kind == "UINT8" else "INT8")
        walk.values[tensor.index] = _input(walk, tensor, result.element)
        return
    check_tensor(tensor)
    readers = [user for user in walk.model.operators if tensor.index in user.inputs]
    kinds = {activations(walk.output(user))[0] for user in readers if user.name == "QUANTIZE"}
    if len(kinds) != 1 or any(user.name != "QUANTIZE" for user in readers):
        raise RefusedError(
            f"{tensor.label} is FLOAT32, which only QUANTIZE may read: quantize the model to int8"
        )
    affine = kinds.pop()
    value = _input(walk, tensor, ActType(8, True, affine.zero_point))
    walk.quantized_inputs[tensor.index] = value.node_id, affine
    walk.values[tensor.index] = value


def _input(walk: Walk, tensor: Tensor, element: object) -> Value:
    assert isinstance(element, ActType)  # an input holds activations
    shape = graph_shape(tensor)
    return walk.builder.input(
        shape, 8, element.signed, element.zero_point, name=tensor.name or "input"
    )


def quantize(walk: Walk, operator: Operator) -> Value:
    """Import QUANTIZE: of real inputs nothing is left for the array."""
    source, target = walk.tensor(operator, 0), walk.output(operator)
    if source.index in walk.quantized_inputs:
        return walk.values[source.index]
    if source.kind not in ("INT8", "UINT8"):
        activations(source)  # says what is wrong with it
    before, _ = activations(source, source.kind)
    after, result = activations(target, "UINT8" if target.kind == "UINT8" else "INT8")
    if source.index not in walk.values:
        return walk.value(operator)  # says why there is no value
    element = result.element
    assert isinstance(element, ActType)  # activations() gives no other
    table = requantize_table(
        before,
        after,
        source_min=0 if source.kind == "UINT8" else -128,
        result_min=element.q_min,
    )
    return walk.values[source.index].lut(table, element, name=operator.label)


def softmax(walk: Walk, operator: Operator) -> None:
    """Note SOFTMAX as an output's end."""
    options, source, target = operator.options, walk.tensor(operator, 0), walk.output(operator)
    assert isinstance(options, SoftmaxOptions)  # read by the operator's name
    result, shape = activations(target)
    if result != SOFTMAX_RESULT:
        raise RefusedError(
            "its output must have scale 1/256 and zero point -128, "
            f"not {result.scale:g} and {result.zero_point}"
        )
    value = walk.value(operator)
    if shape.shape != value.type.shape:
        raise RefusedError(f"its result must have the shape {value.type.shape}, not {shape.shape}")
    scale = activations(source)[0].scale * options.beta
    softmax = Softmax(scale)
    try:
        quantize_scale(softmax.real_multiplier)
    except ValueError as error:
        raise RefusedError(f"its input scale times beta is {scale:g}: {error}") from None
    if not softmax.real_multiplier > 1:
        raise RefusedError(f"its input scale times beta, {scale:g}, is too small")
    walk.ends[target.index] = value.node_id, OutputEnd(softmax=softmax)


def dequantize(walk: Walk, operator: Operator) -> None:
    """Note DEQUANTIZE as an output's end, perhaps behind a softmax."""
    source, target = walk.tensor(operator, 0), walk.output(operator)
    if target.kind != "FLOAT32":
        raise RefusedError(f"{target.label} must be FLOAT32, not {target.kind}")
    affine, _ = activations(source)
    if source.index in walk.ends:
        node_id, end = walk.ends[source.index]
        walk.ends[target.index] = node_id, OutputEnd(end.softmax, affine)
    else:
        walk.ends[target.index] = walk.value(operator).node_id, OutputEnd(real=affine)
