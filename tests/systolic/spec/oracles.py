"""Accumulators through other people's kernels: tflite-micro and ONNX Runtime.

Both run a 1 x 1 convolution whose accumulators are what the test wants: bias of the channel plus
weight times input.
"""

import flatbuffers
import numpy as np
import tflite
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnxruntime import GraphOptimizationLevel, InferenceSession, SessionOptions
from tflite_micro.python.tflite_micro import runtime


def tflite_micro_codes(
    act: NDArray[np.int8],
    weight: NDArray[np.int8],
    bias: NDArray[np.int32],
    filter_scale: NDArray[np.float32],
    input_scale: np.float32,
) -> NDArray[np.int8]:
    """Output ``clamp(round((bias + weight * act) * input_scale * filter_scale))``.

    ``act`` has shape (pixels,), the others (channels,); the result is (pixels, channels).
    """
    model = _conv_model(len(act), weight, bias, filter_scale, input_scale)
    arena_bytes = 2_000_000 + 64 * len(weight) + 2 * len(act) * len(weight)
    interpreter = runtime.Interpreter.from_bytes(model, arena_size=arena_bytes)
    interpreter.set_input(act.reshape(1, len(act), 1, 1), 0)
    interpreter.invoke()
    return interpreter.get_output(0).reshape(len(act), len(weight))


def _conv_model(pixels, weight, bias, filter_scale, input_scale) -> bytes:
    builder = flatbuffers.Builder(1 << 20)
    channels = len(weight)
    buffers = [_buffer(builder, data) for data in (b"", weight.tobytes(), bias.tobytes())]
    one = np.ones(1, np.float32)
    tensors = [
        _tensor(builder, (1, pixels, 1, 1), tflite.TensorType.INT8, 0, one * input_scale),
        _tensor(builder, (channels, 1, 1, 1), tflite.TensorType.INT8, 1, filter_scale),
        _tensor(builder, (channels,), tflite.TensorType.INT32, 2, filter_scale * input_scale),
        _tensor(builder, (1, pixels, 1, channels), tflite.TensorType.INT8, 0, one),
    ]
    tflite.Conv2DOptionsStart(builder)
    tflite.Conv2DOptionsAddPadding(builder, tflite.Padding.VALID)
    tflite.Conv2DOptionsAddStrideW(builder, 1)
    tflite.Conv2DOptionsAddStrideH(builder, 1)
    options = tflite.Conv2DOptionsEnd(builder)
    inputs = builder.CreateNumpyVector(np.array([0, 1, 2], np.int32))
    ends = [builder.CreateNumpyVector(np.array([n], np.int32)) for n in (0, 3)]
    tflite.OperatorStart(builder)
    tflite.OperatorAddInputs(builder, inputs)
    tflite.OperatorAddOutputs(builder, ends[1])
    tflite.OperatorAddBuiltinOptionsType(builder, tflite.BuiltinOptions.Conv2DOptions)
    tflite.OperatorAddBuiltinOptions(builder, options)
    operators = _vector(builder, [tflite.OperatorEnd(builder)])
    tensor_vector = _vector(builder, tensors)
    tflite.SubGraphStart(builder)
    tflite.SubGraphAddTensors(builder, tensor_vector)
    tflite.SubGraphAddInputs(builder, ends[0])
    tflite.SubGraphAddOutputs(builder, ends[1])
    tflite.SubGraphAddOperators(builder, operators)
    subgraphs = _vector(builder, [tflite.SubGraphEnd(builder)])
    tflite.OperatorCodeStart(builder)
    tflite.OperatorCodeAddDeprecatedBuiltinCode(builder, tflite.BuiltinOperator.CONV_2D)
    tflite.OperatorCodeAddBuiltinCode(builder, tflite.BuiltinOperator.CONV_2D)
    tflite.OperatorCodeAddVersion(builder, 3)
    codes = _vector(builder, [tflite.OperatorCodeEnd(builder)])
    buffer_vector = _vector(builder, buffers)
    tflite.ModelStart(builder)
    tflite.ModelAddVersion(builder, 3)
    tflite.ModelAddOperatorCodes(builder, codes)
    tflite.ModelAddSubgraphs(builder, subgraphs)
    tflite.ModelAddBuffers(builder, buffer_vector)
    builder.Finish(tflite.ModelEnd(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def _vector(builder, offsets) -> int:
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return builder.EndVector()


def _buffer(builder, data: bytes) -> int:
    content = None
    if data:
        builder.StartVector(1, len(data), 16)
        builder.head -= len(data)
        builder.Bytes[builder.head : builder.head + len(data)] = data
        content = builder.EndVector()
    tflite.BufferStart(builder)
    if content is not None:
        tflite.BufferAddData(builder, content)
    return tflite.BufferEnd(builder)


def _tensor(builder, shape, element, buffer, scale) -> int:
    scales = builder.CreateNumpyVector(scale.astype(np.float32))
    zeros = builder.CreateNumpyVector(np.zeros(len(scale), np.int64))
    tflite.QuantizationParametersStart(builder)
    tflite.QuantizationParametersAddScale(builder, scales)
    tflite.QuantizationParametersAddZeroPoint(builder, zeros)
    tflite.QuantizationParametersAddQuantizedDimension(builder, 0)
    quantization = tflite.QuantizationParametersEnd(builder)
    dims = builder.CreateNumpyVector(np.array(shape, np.int32))
    tflite.TensorStart(builder)
    tflite.TensorAddShape(builder, dims)
    tflite.TensorAddType(builder, element)
    tflite.TensorAddBuffer(builder, buffer)
    tflite.TensorAddQuantization(builder, quantization)
    return tflite.TensorEnd(builder)


def onnxruntime_codes(
    act: NDArray[np.int8],
    weight: NDArray[np.int8],
    bias: NDArray[np.int32],
    scale: NDArray[np.float32],
) -> NDArray[np.int8]:
    """Output of QLinearConv, ``clamp(round((bias + weight * act) * scale))``; shapes as above."""
    constants = {
        "one": np.float32(1),
        "zero": np.int8(0),
        "weight": weight.reshape(-1, 1, 1, 1),
        "scale": scale.astype(np.float32),
        "weight_zero": np.zeros(len(weight), np.int8),
        "bias": bias.astype(np.int32),
    }
    names = ["act", "one", "zero", "weight", "scale", "weight_zero", "one", "zero", "bias"]
    graph = helper.make_graph(
        [helper.make_node("QLinearConv", names, ["code"])],
        "requantize",
        [helper.make_tensor_value_info("act", TensorProto.INT8, (1, 1, len(act), 1))],
        [helper.make_tensor_value_info("code", TensorProto.INT8, None)],
        [numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    options = SessionOptions()
    options.graph_optimization_level = GraphOptimizationLevel.ORT_DISABLE_ALL
    session = InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    (codes,) = session.run(None, {"act": act.reshape(1, 1, -1, 1)})
    return codes.reshape(len(weight), len(act)).T
