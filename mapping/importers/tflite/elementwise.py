"""ADD, and functions of one activation: they become tables, or clamps where nothing is rescaled."""

from collections.abc import Callable

from mapping.builder import Value
from mapping.fixed_point import IntArray
from mapping.host_ends import Affine
from mapping.importers.errors import RefusedError
from mapping.importers.tflite.records import Activation, AddOptions, Operator
from mapping.importers.tflite.rescale import exact_add
from mapping.importers.tflite.tables import hard_swish_table, relu_table, sigmoid_table, tanh_table
from mapping.importers.tflite.walk import INT8_MAX, Walk, activations, clamp_of
from mapping.ops import ActType

SIGMOID_RESULT = Affine(1 / 256, -128)
TANH_RESULT = Affine(1 / 128, 0)


def add(walk: Walk, operator: Operator) -> Value:
    """Import ADD of two tensors of one shape."""
    options = operator.options
    assert isinstance(options, AddOptions)  # read by the operator's name
    left, right = walk.value(operator, 0), walk.value(operator, 1)
    if left.type.shape != right.type.shape:
        raise RefusedError(
            f"its inputs must have one shape, not {left.type.shape} and {right.type.shape}"
        )
    sources = [activations(walk.tensor(operator, position))[0] for position in range(2)]
    result, _ = activations(walk.output(operator))
    low, high = clamp_of(options.activation, result)
    exact = exact_add(sources[0], sources[1], result, low, high)
    total = left.add(right, exact.weights, name=operator.label)
    return total.requantize_fixed(
        exact.scale.multiplier,
        ActType(8, True, result.zero_point),
        round_constant=exact.scale.round_constant,
        clamp=(low, high),
    )


def relu(walk: Walk, operator: Operator) -> Value:
    """Import RELU: a clamp, or a table where the scale changes."""
    source, result = _ends(walk, operator)
    if source == result:
        return walk.value(operator).clamp(result.zero_point, INT8_MAX, name=operator.label)
    return _table(walk, operator, relu_table(source, result))


def relu6(walk: Walk, operator: Operator) -> Value:
    """Import RELU6; its kernel clamps in the input's scale and never rescales."""
    source, result = _ends(walk, operator)
    if source != result:
        raise RefusedError("its input and output must have one scale and zero point")
    low, high = clamp_of(Activation.RELU6, source)
    return walk.value(operator).clamp(low, high, name=operator.label)


def logistic(walk: Walk, operator: Operator) -> Value:
    """Import LOGISTIC."""
    return _curve(walk, operator, sigmoid_table, SIGMOID_RESULT)


def tanh(walk: Walk, operator: Operator) -> Value:
    """Import TANH."""
    return _curve(walk, operator, tanh_table, TANH_RESULT)


def hard_swish(walk: Walk, operator: Operator) -> Value:
    """Import HARD_SWISH."""
    return _table(walk, operator, hard_swish_table(*_ends(walk, operator)))


def _curve(
    walk: Walk, operator: Operator, table: Callable[[Affine], IntArray], wanted: Affine
) -> Value:
    source, result = _ends(walk, operator)
    if result != wanted:
        raise RefusedError(
            f"its output must have scale {wanted.scale} and zero point {wanted.zero_point}, "
            f"not {result.scale:g} and {result.zero_point}"
        )
    return _table(walk, operator, table(source))


def _ends(walk: Walk, operator: Operator) -> tuple[Affine, Affine]:
    """Quantization of the only input and the output."""
    return activations(walk.tensor(operator, 0))[0], activations(walk.output(operator))[0]


def _table(walk: Walk, operator: Operator, table: IntArray) -> Value:
    _, result = activations(walk.output(operator))
    assert isinstance(result.element, ActType)  # activations() gives no other
    return walk.value(operator).lut(table, result.element, name=operator.label)
