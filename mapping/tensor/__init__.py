"""Lazy tensors: computations written as in numpy, compiled to programs for the array.

Nothing runs until :meth:`Tensor.run` or :meth:`Tensor.compile`. Until then a tensor is an
expression (:mod:`mapping.tensor.expression`) of few kinds: *Input* and *Buffer* (constants),
*Moved*, *Mul*, *Add*, *Sum*, *Max*, *Requantize*, *Lut*, *Clamp*. Values are integers; activations
stand for ``q - zero_point``, so that padding is 0 and a ReLU is ``clip(0, None)`` whatever the zero
point. On the way in and out they are q. Quantization is explicit: sums stay sums until
``quantize``.

**Movement costs nothing.** Reshape, permute, expand, pad, shrink, stride and windows become an
address (:mod:`mapping.tensor.view`): shape, strides, offset and mask into what is stored. Whoever
reads follows the address; what is left of it behind the last layer, the host follows.

**Sums are recognised by what they compute**, not by how they are written. Under every
``Requantize`` lies an expression that is affine in stored activations
(:mod:`mapping.tensor.affine`): a constant plus terms, each a sum over further axes of weight times
activation at an address. Addresses are fitted as a whole to a window that slides over an image
(:mod:`mapping.tensor.fit`), weights are scattered into its dense kernel, and the kernel alone
decides which node it is (:mod:`mapping.tensor.recognise`): one pixel, a matmul; the whole image, a
matmul of the flattened image; else a convolution, grouped where channels step. So
``(a.reshape(N, 1, N) * b.permute(1, 0).reshape(1, N, N)).sum(axis=2)`` is ``a @ b``, and windows
times a kernel are ``conv2d``: the same graph, the same bytes of program.

**Canonical forms.** Taps with the smallest kernel, dilation and stride that have them, padding no
larger than what is read, weights as wide as they are given or need, output channels in the order of
the expression's axes. Channels whose products are only repeated are computed once.

**Products of two computed tensors** (:mod:`mapping.tensor.product`) are matmuls where every axis
that remains belongs to one factor and every summed one to both, as in ``q @ k.T``. One of them is
then stored so that the array takes it for weights (:mod:`mapping.lowering.weight_form`). Rows that
do not lie one after the other are copied, columns turned into rows by a product with ones
(:mod:`mapping.tensor.matrix`).

**Refused**, by :exc:`ExpressionError` that names the expression: products element by element, sums
over two tensors but for adding them, sums that fit no window and are too many for a dense matrix,
scales that differ between pixels, maxima over channels or windows with holes, and results that are
not quantized.
"""

from mapping.tensor.execute import Device
from mapping.tensor.expression import ExpressionError
from mapping.tensor.several import compile_tensors, concat, run_tensors
from mapping.tensor.tensor import Tensor
from mapping.tensor.windows import conv2d, max_pool2d

__all__ = [
    "Device",
    "ExpressionError",
    "Tensor",
    "compile_tensors",
    "concat",
    "conv2d",
    "max_pool2d",
    "run_tensors",
]
