"""A forward whose gradient towards the images is differentiated again, for little more than the first one costs.

Losses on input gradients train through a backward pass. What torch makes of the backward of a convolution and of
BatchNorm is the right function written expensively: a convolution whose kernel is as large as the map, and BatchNorm's
formula term by term, which in bfloat16 loses most digits as well. Here both are what they come to on paper.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode

from understudy.ops import full_precision

# Shapes: B images, C channels, ... positions, N = all numbers of one channel.


@contextlib.contextmanager
def twice_differentiable() -> Iterator[None]:
    """A stretch of code in which a forward uses only operations whose gradient has a gradient, and a cheap one.

    The fused kernels of attention and torch's hardsigmoid have none; the same values come from others. Of convolutions
    and of BatchNorm on batch statistics only the gradient at their input is differentiated again: a second derivative
    through their gradient at weights raises RuntimeError.
    """
    with sdpa_kernel(SDPBackend.MATH), _InSmoothParts():
        yield


class _InSmoothParts(TorchFunctionMode):
    """Exchanges what torch differentiates twice at a price, or not at all."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return (EXCHANGED.get(func) or func)(*args, **(kwargs or {}))


def _is_lost() -> bool:
    """Under torch.compile: it drops second derivatives of a Function within a Function's backward, without a word."""
    return torch.compiler.is_compiling()


def _hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """As the clamped line that it is."""
    line = F.relu6(input + 3.0) / 6.0
    return input.copy_(line) if inplace else line


# Convolutions -------------------------------------------------------------------------------------------------------


class Geometry(NamedTuple):
    """How a kernel is laid on a map: numbers for height and width, and the number of groups."""

    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    groups: int

    def size_of(self, input: Tensor, weight: Tensor) -> tuple[int, ...]:
        """The shape of what comes out."""
        spans = [dilation * (kernel - 1) for dilation, kernel in zip(self.dilation, weight.shape[2:], strict=True)]
        places = zip(input.shape[2:], self.padding, spans, self.stride, strict=True)
        return (len(input), len(weight), *((size + 2 * pad - span - 1) // step + 1 for size, pad, span, step in places))

    def convolve(self, input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        return torch.conv2d(input, weight, bias, *self)

    def backward(
        self, gradient: Tensor, input: Tensor, weight: Tensor, wanted: tuple[bool, bool, bool]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The gradients at input, weight and bias, as far as they are `wanted`."""
        return torch.ops.aten.convolution_backward(
            gradient, input, weight, [len(weight)], *map(list, self[:3]), False, [0, 0], self.groups, list(wanted)
        )


def _conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | tuple[int, int] = 1,
    padding: int | str | tuple[int, int] = 0,
    dilation: int | tuple[int, int] = 1,
    groups: int = 1,
) -> Tensor:
    if _is_lost() or isinstance(padding, str) or input.dim() != 4:
        return F.conv2d(input, weight, bias, stride, padding, dilation, groups)
    geometry = Geometry(_both(stride), _both(padding), _both(dilation), groups)
    input, weight, bias = _autocast(input), _autocast(weight), None if bias is None else _autocast(bias)
    weight_side = _WeightSide.apply(weight, bias, input.detach(), geometry)
    return _Convolution.apply(input, weight, bias, weight_side, geometry)


def _both(number: int | tuple[int, int]) -> tuple[int, int]:
    return (number, number) if isinstance(number, int) else (number[0], number[-1])


def _autocast(values: Tensor) -> Tensor:
    """As autocast hands it to a convolution."""
    device = values.device.type
    if not torch.is_autocast_enabled(device) or values.dtype == torch.float64:
        return values
    return values.to(torch.get_autocast_dtype(device))


class _Convolution(Function):
    """conv2d, from whose backward the gradients at weight and bias are left out: `weight_side` is passed on for them.

    Autograd runs a node as a whole, but only the nodes that lead to what it is asked for. With two, a gradient at the
    images does not pay for those at all weights.
    """

    @staticmethod
    def forward(
        ctx: Any, input: Tensor, weight: Tensor, bias: Tensor | None, weight_side: Tensor, geometry: Geometry
    ) -> Tensor:
        ctx.save_for_backward(input, weight)
        ctx.geometry = geometry
        return geometry.convolve(input, weight, bias)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Any, ...]:
        input, weight = ctx.saved_tensors
        at_input = None
        if ctx.needs_input_grad[0]:
            at_input = _InputGradient.apply(gradients[0], weight, input.detach(), ctx.geometry)
        return at_input, None, None, gradients[0], None


class _WeightSide(Function):
    """Nothing, in the shape of a convolution's output; its backward is the gradient at the weight and the bias."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, bias: Tensor | None, input: Tensor, geometry: Geometry) -> Tensor:
        ctx.save_for_backward(input, weight)
        ctx.geometry = geometry
        return weight.new_zeros(()).expand(geometry.size_of(input, weight))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Any, ...]:
        input, weight = ctx.saved_tensors
        wanted = (False, ctx.needs_input_grad[0], ctx.needs_input_grad[1])
        _, at_weight, at_bias = ctx.geometry.backward(gradient, input, weight, wanted)
        return at_weight, at_bias, None, None


class _InputGradient(Function):
    """A convolution's gradient at its input.

    <v, input gradient> = <convolution of v, gradient>: its own gradients are the convolution of v, and the weight's
    gradient with v in the place of the input.
    """

    @staticmethod
    def forward(ctx: Any, gradient: Tensor, weight: Tensor, input: Tensor, geometry: Geometry) -> Tensor:
        ctx.save_for_backward(gradient, weight)
        ctx.geometry = geometry
        return geometry.backward(gradient, input, weight, (True, False, False))[0]

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> tuple[Any, ...]:
        gradient, weight = ctx.saved_tensors
        at_gradient = at_weight = None
        if ctx.needs_input_grad[0]:
            with full_precision(weight):
                at_gradient = ctx.geometry.convolve(outer[0], weight)
        if ctx.needs_input_grad[1]:
            _, at_weight, _ = ctx.geometry.backward(gradient, outer[0], weight, (False, True, False))
        return at_gradient, at_weight, None, None


# BatchNorm ----------------------------------------------------------------------------------------------------------


def _batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    has_statistics = training and input.numel() > input.shape[1]
    if _is_lost() or not has_statistics or weight is None or bias is None:
        # Fixed statistics are an affine map, and torch says best what is wrong with a single number.
        return F.batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)
    return _BatchNorm.apply(input, weight, bias, running_mean, running_var, momentum, eps)


class _BatchNorm(Function):
    """BatchNorm on batch statistics: (B, C, ...) -> (B, C, ...); the running ones follow."""

    @staticmethod
    def forward(ctx: Any, input: Tensor, weight: Tensor, bias: Tensor, *rest: Any) -> Tensor:
        running_mean, running_var, momentum, eps = rest
        output, mean, inverse_std = torch.native_batch_norm(
            input, weight, bias, running_mean, running_var, True, momentum, eps
        )
        ctx.save_for_backward(input, weight, mean, inverse_std)
        return output

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Any, ...]:
        return *_BatchNormGradient.apply(gradients[0], *ctx.saved_tensors), None, None, None, None


class _BatchNormGradient(Function):
    """BatchNorm's gradients at input x, weight w and bias, for the gradient g at its output.

    With the unit input u = (x - mean) r, r = 1 / std, and means over a channel's N numbers, the one at the input is

        w r (g - mean(g) - u mean(g u))

    For an outer gradient v its own gradients are

        at g:  w r (v - mean(v) - u mean(v u)),  what BatchNorm's backward makes of v
        at x:  -w r^2 (mean(g u) (v - mean(v)) + mean(v u) (g - mean(g)) + u (s - 2 mean(g u) mean(v u)))
        at w:  N r s

    where s = mean(v g) - mean(v) mean(g) - mean(v u) mean(g u).
    """

    @staticmethod
    def forward(
        ctx: Any, gradient: Tensor, input: Tensor, weight: Tensor, mean: Tensor, inverse_std: Tensor
    ) -> tuple[Tensor, ...]:
        found = _backward_of_batch_norm(gradient, input, weight, mean, inverse_std)
        ctx.save_for_backward(gradient, input, weight, mean, inverse_std, *found[1:])
        ctx.set_materialize_grads(False)
        return found

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *outer: Tensor | None) -> tuple[Any, ...]:
        v, at_weight, at_bias = outer
        if v is None or at_weight is not None or at_bias is not None:
            raise RuntimeError(
                "of BatchNorm only the gradient at its input can be differentiated again, not its weight's"
            )
        g, x, w_C, mean_C, r_C, sum_gu_C, sum_g_C = ctx.saved_tensors
        at_g, sum_vu_C, sum_v_C = _backward_of_batch_norm(v, x, w_C, mean_C, r_C)
        others = [axis for axis in range(x.dim()) if axis != 1]
        num = x.numel() / x.shape[1]
        vg_C = (v.to(r_C.dtype) * g).sum(others) / num
        gu_C, g_C, vu_C, v_C = (total / num for total in (sum_gu_C, sum_g_C, sum_vu_C, sum_v_C))
        s_C = vg_C - v_C * g_C - vu_C * gu_C
        # at x = of_v v + of_g g + of_x x + rest, in the statistics' precision until it is whole.
        factor_C = -w_C * r_C.square()
        of_v_C, of_g_C = factor_C * gu_C, factor_C * vu_C
        of_x_C = factor_C * (s_C - 2.0 * gu_C * vu_C) * r_C
        rest_C = -of_v_C * v_C - of_g_C * g_C - of_x_C * mean_C
        columns = [values.view(-1, *[1] * (x.dim() - 2)) for values in (rest_C, of_x_C, of_v_C, of_g_C)]
        at_x = torch.addcmul(columns[0], x, columns[1]).addcmul_(v, columns[2]).addcmul_(g, columns[3])
        return at_g, at_x.to(x.dtype), num * r_C * s_C, None, None


def _backward_of_batch_norm(
    gradient: Tensor, input: Tensor, weight: Tensor, mean: Tensor, inverse_std: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradient at the input, and the sums over each channel of gradient times unit input, and of gradient."""
    return torch.ops.aten.native_batch_norm_backward(
        gradient, input, weight, None, None, mean, inverse_std, True, 0.0, [True, True, True]
    )


EXCHANGED: dict[Any, Callable[..., Tensor]] = {
    F.conv2d: _conv2d,
    F.batch_norm: _batch_norm,
    F.hardsigmoid: _hardsigmoid,
}
