"""A network cut after one of its blocks: all before stays as it is, and a fresh head answers from there.

Ro & Choi, "AutoLR: Layer-wise Pruning and Auto-tuning of Learning Rates in Fine-tuning of Deep Networks", AAAI 2021,
prune the last blocks of a network before it is fine-tuned. The head is the network's own where it fits: all that
follows its last layer of weights but the classifier (norms, activation, pooling), made again in the block's width.
Where it does not fit, as with several linear layers, it is the mean over positions and one linear layer.

torch.fx follows the network's forward, and takes whole modules as one step: they keep their names and their inside, so
that weights, rates and positions go by the same names as in the whole network.
"""

import copy
import difflib
from dataclasses import dataclass

import torch
from torch import Tensor, fx, nn
from torch.fx.proxy import TraceError

SEPARATOR = "@"
# A forward without values says how wide the block is; the first of these sizes of images that the network takes.
SIZES = (64, 224, 32, 8, 128, 256, 299, 384, 512)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.LayerNorm)


@dataclass(frozen=True, kw_only=True)
class Cut:
    """Where a network was cut: `dropped` and `head` name tensors, of the whole network alone and of the fresh head."""

    after: str
    dropped: tuple[str, ...]
    head: tuple[str, ...]


class BlockTracer(fx.Tracer):
    """Follows a forward no deeper than to the modules that hold the block."""

    def __init__(self, block: str):
        super().__init__()
        self.block = block

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return not self.block.startswith(f"{module_qualified_name}.")


def cut_after(network: nn.Module, block: str, *, num_classes: int, in_channels: int) -> nn.Module:
    """The network up to its block of this name and that included, with a fresh head: images -> (B, num_classes).

    Modules are the given network's own, which is of no use afterwards. It is followed in evaluation mode: what a
    forward itself, and no module, does in training only is left out. Raises ValueError for an unknown block, and for a
    network that torch.fx cannot follow.
    """
    whole = list(network.state_dict())
    if block not in dict(network.named_modules()) or not block:
        raise ValueError(_unknown(network, block))
    for make_head in (_own_head, _plain_head):
        graph = _trace(network, block)
        end = next((node for node in reversed(graph.nodes) if node.op == "call_module" and node.target == block), None)
        if end is None:
            raise ValueError(f"{type(network).__name__} has a module {block!r}, but it does not run: cut after another")
        values = _values(network, graph, in_channels)
        head = make_head(network, graph, end, values, num_classes)
        if head is not None:
            break
    else:
        raise ValueError(f"after {block!r} comes no grid (B, C, H, W), tokens (B, N, C) or vectors; cut elsewhere")
    graph.eliminate_dead_code()
    graph.lint()
    short = fx.GraphModule(network, graph, class_name=f"{type(network).__name__}Cut").train()
    kept = set(short.state_dict())
    own = [name for name in short.state_dict() if any(name.startswith(f"{module}.") for module in head)]
    short.meta["cut"] = Cut(after=block, dropped=tuple(n for n in whole if n not in kept), head=tuple(own))
    return short


def cut_of(network: nn.Module) -> Cut | None:
    """Where the network was cut; None for a whole one."""
    return network.meta.get("cut") if isinstance(network, fx.GraphModule) else None


def _trace(network: nn.Module, block: str) -> fx.Graph:
    network.eval()
    try:
        return BlockTracer(block).trace(network)
    except (TraceError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        told = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(
            f"{type(network).__name__} cannot be cut: torch.fx does not follow its forward ({told})"
        ) from error
    finally:
        network.train()


def _values(network: nn.Module, graph: fx.Graph, in_channels: int) -> dict[fx.Node, Tensor]:
    """What every node answers to one image, as tensors of the meta device, which have shapes alone."""
    shadow = fx.GraphModule(copy.deepcopy(network).to("meta").eval(), graph)
    told = ""
    for size in SIZES:
        interpreter = fx.Interpreter(shadow, garbage_collect_values=False)
        try:
            with torch.no_grad():
                interpreter.run(torch.zeros(1, in_channels, size, size, device="meta"))
        except Exception as error:  # whatever a network raises for images that it does not take
            told = told or str(error).splitlines()[0]
            continue
        return interpreter.env
    raise ValueError(f"{type(network).__name__} cannot be cut: it takes images of none of the sizes {SIZES} ({told})")


def _own_head(
    network: nn.Module, graph: fx.Graph, end: fx.Node, values: dict[fx.Node, Tensor], num_classes: int
) -> list[str] | None:
    """Lead the block's answer into the network's own head, made in its width.

    The answer has the head's modules with parameters; it is None, and nothing changes, where that head does not fit.
    """
    tail = _tail(network, graph, end)
    inputs = {node for one in tail for node in one.all_input_nodes if node not in tail}
    modules = {str(node.target): network.get_submodule(str(node.target)) for node in tail if node.op == "call_module"}
    linear = [
        f"{name}.{inner}".rstrip(".")
        for name, module in modules.items()
        for inner, one in module.named_modules()
        if isinstance(one, nn.Linear)
    ]
    if len(inputs) != 1 or len(linear) != 1:
        return None
    (old,) = inputs
    classifier = network.get_submodule(linear[0])
    assert isinstance(classifier, nn.Linear)
    width = _width(values[end], values[old], classifier.in_features)
    if width is None:
        return None
    for norm in [one for module in modules.values() for one in module.modules() if isinstance(one, NORMS)]:
        _refit(norm, classifier.in_features, width)
    network.set_submodule(linear[0], nn.Linear(width, num_classes, bias=classifier.bias is not None))
    for node in tail:
        node.replace_input_with(old, end)
    return [name for name, module in modules.items() if any(True for _ in module.parameters())]


def _tail(network: nn.Module, graph: fx.Graph, end: fx.Node) -> list[fx.Node]:
    """The steps of the forward after its last weights (matrices, kernels) but one matrix, the classifier's."""
    tail: list[fx.Node] = []
    matrices = 0
    for node in reversed([node for node in graph.nodes if node.op != "output"]):
        if node is end or node.op in ("placeholder", "get_attr"):
            break
        if node.op == "call_module":
            weights = [p for p in network.get_submodule(str(node.target)).parameters() if p.dim() > 1]
            matrices += len(weights)
            if matrices > 1 or any(weight.dim() > 2 for weight in weights):
                break
        tail.append(node)
    return tail


def _width(short: Tensor, whole: Tensor, wanted: int) -> int | None:
    """How wide the block's answer is, along the axis that has the width `wanted` in what the head was made for."""
    if not (isinstance(short, Tensor) and isinstance(whole, Tensor)) or short.dim() != whole.dim():
        return None
    axis = next((axis for axis in (1, whole.dim() - 1) if whole.shape[axis] == wanted), None)
    return None if axis is None else short.shape[axis]


def _refit(norm: nn.Module, old: int, width: int) -> None:
    """The norm as new in another width, if it is over `old` values."""
    assert isinstance(norm, NORMS)
    if norm.weight is None or tuple(norm.weight.shape) != (old,):
        return
    norm.weight = nn.Parameter(torch.empty(width))
    if norm.bias is not None:
        norm.bias = nn.Parameter(torch.empty(width))
    if isinstance(norm, nn.LayerNorm):
        norm.normalized_shape = (width,)
    else:
        norm.num_features = width
        norm.running_mean, norm.running_var = torch.empty(width), torch.empty(width)
    norm.reset_parameters()


def _plain_head(
    network: nn.Module, graph: fx.Graph, end: fx.Node, values: dict[fx.Node, Tensor], num_classes: int
) -> list[str] | None:
    """The mean over positions and a linear layer, under the name of the last module that has parameters."""
    value = values[end]
    if not isinstance(value, Tensor) or value.dim() not in (2, 3, 4):
        return None
    called = [str(node.target) for node in graph.nodes if node.op == "call_module"]
    name = [one for one in called if any(True for _ in network.get_submodule(one).parameters())][-1]
    name = f"{name}_head" if name == end.target else name
    channels = value.shape[-1] if value.dim() == 3 else value.shape[1]
    (output,) = (node for node in graph.nodes if node.op == "output")
    with graph.inserting_before(output):
        pooled = end
        if value.dim() > 2:
            pooled = graph.call_method("mean", (end,), {"dim": (1,) if value.dim() == 3 else (2, 3)})
        network.set_submodule(name, nn.Linear(channels, num_classes))
        output.args = (graph.call_module(name, (pooled,)),)
    return [name]


def _unknown(network: nn.Module, block: str) -> str:
    known = [name for name, _ in network.named_modules() if name]
    near = difflib.get_close_matches(block, known, n=3, cutoff=0.5)
    nearest = f"; nearest: {', '.join(near)}" if near else f"; there are {', '.join(known[:4])}, ..."
    return f"{type(network).__name__} has no block {block!r} to be cut after{nearest}"
