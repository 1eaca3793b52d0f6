"""A GPU where there is none: tensors of the processor that say they are on cuda:0 and do not meet those that do not.

It finds what would end a run on a GPU for tensors on two devices. It has no kernels, streams or formats of one.
"""

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map

from understudy.precision import Precision

GPU = torch.device("cuda:0")
PRECISION = Precision(device=torch.device("cuda"), dtype=torch.float32, channels_last=True, compile=False)
# Where torch itself lets tensors of two devices meet; an index may lie on the processor, what is indexed may not.
MEET = ("aten::copy_", "aten::_to_copy", "aten::index")
# Where not even a number of the processor, a tensor without dimensions, may be among the others.
STRICT = ("aten::cat", "aten::stack", "aten::index_select", "aten::gather", "aten::scatter")


class TwoDevicesError(RuntimeError):
    """What a GPU answers to tensors on two devices."""


class OnGpu(Tensor):
    """Holds a tensor of the processor and says that it is on the GPU."""

    inner: Tensor

    @staticmethod
    def __new__(cls, inner, requires_grad=False):
        # torch's own annotations do not know it.
        made = Tensor._make_wrapper_subclass(  # pyright: ignore[reportAttributeAccessIssue]
            cls,
            inner.size(),
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            device="cpu",
            requires_grad=requires_grad,
        )
        made.inner = inner
        return made

    device = property(lambda self: GPU)  # pyright: ignore[reportAssignmentType, reportIncompatibleMethodOverride]
    is_cuda = property(lambda self: True)  # pyright: ignore[reportAssignmentType, reportIncompatibleMethodOverride]
    is_cpu = property(lambda self: False)  # pyright: ignore[reportAssignmentType, reportIncompatibleMethodOverride]
    __torch_function__ = torch._C._disabled_torch_function_impl  # pyright: ignore[reportAssignmentType]

    def data_ptr(self):
        return self.inner.data_ptr()

    def tolist(self):
        return self.inner.tolist()

    def numpy(self, *args, **kwargs):
        raise TypeError("can't convert cuda:0 device type tensor to numpy")

    __array__ = numpy

    def cpu(self, *args, **kwargs):
        return ToProcessor.apply(self)

    def __deepcopy__(self, memo):
        if id(self) not in memo:
            with torch.no_grad():
                made = OnGpu(self.inner.detach().clone(), requires_grad=self.requires_grad)
            is_parameter = getattr(self, "_is_param", False)
            memo[id(self)] = nn.Parameter(made, requires_grad=self.requires_grad) if is_parameter else made
        return memo[id(self)]

    def __reduce_ex__(self, protocol):
        return OnGpu, (self.inner.detach(), self.requires_grad)

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        _refuse_two_devices(func.name(), args, [one for one in tree_leaves((args, kwargs)) if isinstance(one, Tensor)])
        if kwargs.get("device") is not None:
            kwargs["device"] = torch.device("cpu")
        given = [one for one in tree_leaves((args, kwargs)) if isinstance(one, Tensor)]
        out = func(*tree_map(_inner, args), **tree_map(_inner, kwargs))
        if func.name().startswith("aten::copy_"):
            return args[0]
        return tree_map(lambda one: _as_given(one, given) if isinstance(one, Tensor) else one, out)


def _inner(one):
    return one.inner if isinstance(one, OnGpu) else one


def _as_given(out, given):
    """What was changed in place is itself; anything new is on the GPU."""
    same = [one for one in given if _inner(one) is out]
    return same[0] if same else OnGpu(out)


def _refuse_two_devices(name, args, tensors):
    if not any(isinstance(one, OnGpu) for one in tensors):
        return
    others = [one for one in tensors if not isinstance(one, OnGpu)]
    if name.startswith(MEET):
        wrong = others if name.startswith("aten::index") and not isinstance(args[0], OnGpu) else []
    else:
        wrong = [one for one in others if one.dim() > 0 or name.startswith(STRICT)]
    if torch._C._current_graph_task_id() != -1:
        # The backward pass makes zeros on the processor, for gradients that are not there.
        wrong = [one for one in wrong if bool(one.ne(0).any())]
    if wrong:
        shapes = [tuple(one.shape) for one in tensors]
        raise TwoDevicesError(
            f"Expected all tensors to be on the same device, found cuda:0 and cpu in {name}: {shapes}"
        )


class ToProcessor(torch.autograd.Function):
    @staticmethod
    def forward(ctx, values):
        return values.inner.detach().clone()

    @staticmethod
    def backward(ctx, gradient):
        return OnGpu(gradient)


class ToGpu(torch.autograd.Function):
    @staticmethod
    def forward(ctx, values):
        return OnGpu(values.detach().clone())

    @staticmethod
    def backward(ctx, gradient):
        return gradient.inner


class Moves(TorchFunctionMode):
    """Tensors go to the GPU, come from it, and are made on it."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if func is torch.empty:
            kwargs.pop("pin_memory", None)
        if func is Tensor.to:
            return _moved(func, list(args), kwargs)
        if func is Tensor.cpu and isinstance(args[0], OnGpu):
            return ToProcessor.apply(args[0])
        if func is nn.functional.one_hot and isinstance(args[0], OnGpu):
            return OnGpu(func(args[0].inner, *args[1:], **kwargs))
        if _is_gpu(kwargs.get("device")):
            kwargs["device"] = torch.device("cpu")
            made = func(*args, **kwargs)
            is_new = lambda one: isinstance(one, Tensor) and not isinstance(one, OnGpu)  # noqa: E731
            return tree_map(lambda one: OnGpu(one.detach()) if is_new(one) else one, made)
        return func(*args, **kwargs)


def _moved(func, args, kwargs):
    """`Tensor.to`: where it goes first, then its format and layout."""
    values, rest = args[0], []
    goal = kwargs.pop("device", None)
    for one in args[1:]:
        if isinstance(one, Tensor):
            goal = goal or one.device
            rest.append(one.dtype)
        elif isinstance(one, torch.device) or (isinstance(one, str) and one.split(":")[0] in ("cpu", "cuda")):
            goal = goal or one
        elif one is not None:
            rest.append(one)
    if goal is not None and _is_gpu(goal) and not isinstance(values, OnGpu):
        values = ToGpu.apply(values)
    elif goal is not None and not _is_gpu(goal) and isinstance(values, OnGpu):
        values = ToProcessor.apply(values)
    kwargs.pop("non_blocking", None)
    rest = [one for one in rest if not isinstance(one, bool)]
    return func(values, *rest, **kwargs) if rest or kwargs else values


def _is_gpu(device):
    return device is not None and torch.device(device).type == "cuda"


def _apply(self, fn, recurse=True):
    """A module's way to a device, in which parameters stay themselves, as they do on the way to a GPU."""
    for module in self.children() if recurse else ():
        module._apply(fn)
    for name, parameter in self._parameters.items():
        if parameter is None:
            continue
        with torch.no_grad():
            moved = fn(parameter)
        if isinstance(moved, OnGpu) == isinstance(parameter, OnGpu):
            parameter.data = moved
            if isinstance(parameter, OnGpu):
                parameter.inner = moved.inner
        else:
            inner = OnGpu(moved.inner.detach()) if isinstance(moved, OnGpu) else moved.detach()
            torch.utils.swap_tensors(self._parameters[name], nn.Parameter(inner, parameter.requires_grad))
    for name, buffer in self._buffers.items():
        if buffer is not None:
            self._buffers[name] = fn(buffer)
    return self


def simulate(monkeypatch):
    """From now on `auto` is this GPU; answers the mode within which runs are carried out."""
    load, save, fork = torch.load, torch.save, torch.random.fork_rng

    def load_there(file, map_location=None, **kwargs):
        found = load(file, map_location="cpu", **kwargs)
        to_gpu = _is_gpu(map_location)
        return tree_map(lambda one: OnGpu(one) if isinstance(one, Tensor) else one, found) if to_gpu else found

    monkeypatch.setattr(nn.Module, "_apply", _apply)
    monkeypatch.setattr(torch, "load", load_there)
    monkeypatch.setattr(torch, "save", lambda state, file: save(tree_map(_inner, state), file))
    monkeypatch.setattr(torch.random, "fork_rng", lambda *args, **kwargs: fork([]))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device=None: "simulated")
    monkeypatch.setattr(torch.cuda, "get_rng_state", lambda device=None: torch.get_rng_state())
    monkeypatch.setattr(torch.cuda, "set_rng_state", lambda state, device=None: None)
    monkeypatch.setattr("understudy.engine.plan.plan.choose", lambda *args, **kwargs: PRECISION)
    return Moves()
