"""A network cut after one of its blocks: all before stays as it is, and a fresh head answers from there.

Ro & Choi, "AutoLR: Layer-wise Pruning and Auto-tuning of Learning Rates in Fine-tuning of Deep Networks", AAAI 2021,
prune the last blocks of a network before it is fine-tuned. The head is the network's own where it fits: all that
follows its last layer of weights but the classifier (norms, activation, pooling), made again in the block's width.
Where it does not fit, as with several linear layers, it is the mean over positions and one linear layer.

torch.fx follows the network's forward, and takes whole modules as one step: they keep their names and their inside, so
that weights, rates and positions go by the same names as in the whole network.
"""

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, fx, nn
from torch.fx.proxy import TraceError

from understudy.models.heads import own_head, plain_head
from understudy.spec import few, nearest

SEPARATOR = "@"
# A forward without values says how wide the block is; the first of these sizes of images that the network takes.
SIZES = (64, 224, 32, 8, 128, 256, 299, 384, 512)


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
    for make_head in (own_head, plain_head):
        graph = _trace(network, block)
        end = next((node for node in reversed(graph.nodes) if node.op == "call_module" and node.target == block), None)
        if end is None:
            raise ValueError(f"{type(network).__name__} has a module {block!r}, but it does not run: cut after another")
        if not _is_followed(network, graph, end):
            raise ValueError(f"nothing of {type(network).__name__} is cut off after {block!r}: no weights come later")
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


def _is_followed(network: nn.Module, graph: fx.Graph, end: fx.Node) -> bool:
    """Whether a module with parameters runs after the block."""
    nodes = list(graph.nodes)
    later = [str(node.target) for node in nodes[nodes.index(end) + 1 :] if node.op == "call_module"]
    return any(True for name in later for _ in network.get_submodule(name).parameters())


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


def _unknown(network: nn.Module, block: str) -> str:
    known = [name for name, _ in network.named_modules() if name]
    near = nearest(block, known, count=3) or f"; there are {few(known)}"
    return f"{type(network).__name__} has no block {block!r} to be cut after{near}"
