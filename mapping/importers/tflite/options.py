"""The options of one operator, from the file's union to a record."""

from typing import Any, Final

from mapping.importers.errors import ModelError
from mapping.importers.tflite.records import (
    AddOptions,
    ConcatOptions,
    ConvOptions,
    FullyConnectedOptions,
    NoOptions,
    Options,
    PoolOptions,
    SoftmaxOptions,
)

OPTION_TABLES: Final = {
    "ADD": "AddOptions",
    "AVERAGE_POOL_2D": "Pool2DOptions",
    "CONCATENATION": "ConcatenationOptions",
    "CONV_2D": "Conv2DOptions",
    "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions",
    "FULLY_CONNECTED": "FullyConnectedOptions",
    "MAX_POOL_2D": "Pool2DOptions",
    "SOFTMAX": "SoftmaxOptions",
}
"""Operators whose options matter here, and the table that holds them."""


def read_options(package: Any, operator: Any, name: str) -> Options:
    """Read an operator's options.

    Parameters
    ----------
    package : module
        ``tflite``.
    operator : tflite.Operator
        Where they are.
    name : str
        What kind of operator it is.

    Raises
    ------
    ModelError
        If they are missing or those of another kind of operator.
    """
    table_name = OPTION_TABLES.get(name)
    if table_name is None:
        return NoOptions()
    union = operator.BuiltinOptions()
    expected = getattr(package.BuiltinOptions, table_name)
    if union is None or operator.BuiltinOptionsType() != expected:
        raise ModelError(f"the file is damaged: {name} comes without its options")
    options = getattr(package, table_name)()
    options.Init(union.Bytes, union.Pos)
    match table_name:
        case "Conv2DOptions" | "DepthwiseConv2DOptions":
            return ConvOptions(
                options.Padding(),
                (options.StrideH(), options.StrideW()),
                (options.DilationHFactor(), options.DilationWFactor()),
                options.FusedActivationFunction(),
            )
        case "Pool2DOptions":
            return PoolOptions(
                options.Padding(),
                (options.FilterHeight(), options.FilterWidth()),
                (options.StrideH(), options.StrideW()),
                options.FusedActivationFunction(),
            )
        case "FullyConnectedOptions":
            return FullyConnectedOptions(options.FusedActivationFunction(), options.WeightsFormat())
        case "AddOptions":
            return AddOptions(options.FusedActivationFunction())
        case "ConcatenationOptions":
            return ConcatOptions(options.Axis(), options.FusedActivationFunction())
        case _:
            return SoftmaxOptions(options.Beta())
