"""Node kinds of the network graph: what each computes, its limits and its type rule.

:mod:`mapping.reference` gives every node its exact integer meaning.
"""

from mapping.ops.movement import Concat, Pad, Reshape
from mapping.ops.node import Constant, Input, Node
from mapping.ops.pointwise import (
    Clamp,
    Lut,
    Requantize,
    RequantizeFixed,
    RequantizeOnnx,
    RequantizeTflite,
)
from mapping.ops.pooling import AvgPool2d, GlobalAvgPool, MaxPool2d
from mapping.ops.thresholds import RequantizeThresholds
from mapping.ops.types import AccType, ActType, ElementType, GraphError, TensorType
from mapping.ops.weighted import Add, Conv2d, DynamicMatMul, MatMul, Weighted
from mapping.ops.window import Padding

__all__ = [
    "AccType",
    "ActType",
    "Add",
    "AvgPool2d",
    "Clamp",
    "Concat",
    "Constant",
    "Conv2d",
    "DynamicMatMul",
    "ElementType",
    "GlobalAvgPool",
    "GraphError",
    "Input",
    "Lut",
    "MatMul",
    "MaxPool2d",
    "Node",
    "Pad",
    "Padding",
    "Requantize",
    "RequantizeFixed",
    "RequantizeOnnx",
    "RequantizeTflite",
    "RequantizeThresholds",
    "Reshape",
    "TensorType",
    "Weighted",
]
