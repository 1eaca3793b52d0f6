"""The fresh head of a network that was cut: its own, in another width, or a plain one. See `understudy.models.cut`."""

import torch
from torch import Tensor, fx, nn

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.LayerNorm)


def own_head(
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
        # torch.fx's names of an input, and of a tensor that the forward uses by itself.
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


def plain_head(
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
