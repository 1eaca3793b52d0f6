"""Which positions play a role: the network's own word, or a proposal."""

import difflib
import itertools
import math

from torch import Tensor, nn

from understudy.taps.grid import grid
from understudy.taps.positions import DryRun, Position

# These squash a gate or a mask; what enters them is no feature.
GATES = ("Sigmoid", "Hardsigmoid", "Tanh")

PROPOSED = ("before_relu", "after_relu", "group_end", "embedding")


def named_positions(network: nn.Module, role: str, images: Tensor) -> tuple[str, ...]:
    """The names that play a role such as "before_relu" in this network.

    A role that the network declares in `taps` (role -> names) is its own word. For others there is a proposal: for
    each height and width of the feature maps in turn, the last one that enters an activation ("before_relu"), that
    left one ("after_relu"; gates such as sigmoid count for neither), or simply the last one ("group_end"); and what
    enters the last linear layer ("embedding"). Where all have one height and width, as in most vision transformers, the
    last one of each third of the blocks. Feature maps are (B, C, H, W), or a transformer's tokens (B, N, C), in
    the proportions of the images and larger than 1 x 1. ValueError for an unknown role, and where there is nothing to
    propose.
    """
    declared = getattr(network, "taps", {})
    if role in declared:
        return tuple(declared[role])
    if role not in PROPOSED:
        raise ValueError(_unknown_role(network, role, tuple(dict.fromkeys((*declared, *PROPOSED)))))
    run = DryRun(network, images)
    found = [_embedding(run)] if role == "embedding" else _last_of_each_size(run, role, images)
    return tuple(position.name for position in found)


def pairs(student: nn.Module, teacher: nn.Module, role: str, images: Tensor) -> list[tuple[Position, Position]]:
    """The student's and the teacher's positions of a role, in order.

    First with first where both have as many. Elsewhere each of the fewer is paired with one of the more, in order,
    so that the sizes (height and width) differ least in all, the deeper one where that leaves a choice; where all maps
    of a network have one size, the deepest ones are taken. Sizes may differ within a pair.
    """
    students, teachers = (_positions(network, role, images) for network in (student, teacher))
    if len(students) > len(teachers):
        return [(own, wanted) for wanted, own in _matched(teachers, students, images)]
    return _matched(students, teachers, images)


def _positions(network: nn.Module, role: str, images: Tensor) -> list[Position]:
    run = DryRun(network, images)
    return [run.position(run.find(name)) for name in named_positions(network, role, images)]


def _matched(fewer: list[Position], more: list[Position], images: Tensor) -> list[tuple[Position, Position]]:
    """Each of the fewer with one of the more, in order, at the least sum of log ratios of their areas."""

    def cost(chosen: tuple[Position, ...]) -> float:
        return sum(abs(_log_area(a, images) - _log_area(b, images)) for a, b in zip(fewer, chosen, strict=True))

    # Reversed, so that of equal costs the deepest is met first.
    choices = itertools.combinations(reversed(more), len(fewer))
    best = min((tuple(reversed(chosen)) for chosen in choices), key=cost)
    if any(len({_log_area(position, images) for position in side}) == 1 < len(side) for side in (fewer, more)):
        # Where a transformer's maps all have one size, sizes say nothing of depth: the deepest meet the deepest.
        best = tuple(more[-len(fewer) :])
    return list(zip(fewer, best, strict=True))


def _log_area(position: Position, images: Tensor) -> float:
    return math.log(math.prod(grid(position.shape, images.shape[-2:]) or position.shape[2:] or (1,)))


def _embedding(run: DryRun) -> Position:
    """What enters the last linear layer that answers vectors: the pooled features before the classifier."""
    listed = [run.position(event) for event in run.listed()]
    linear = [p for p in listed if p.kind == "Linear" and len(p.shape) == 2 and ":" not in p.name]
    if not linear:
        raise ValueError(
            "nothing to propose for 'embedding': no linear layer answers (B, classes); "
            "give the network a `taps` attribute, {'embedding': (name,)}"
        )
    return run.position(run.find(f"before:{linear[-1].name}"))


def _last_of_each_size(run: DryRun, role: str, images: Tensor) -> list[Position]:
    listed = [run.position(event) for event in run.listed()]
    sizes = _map_sizes(listed, images)
    fitting = {p.name for p in listed if sizes.get(p.name, (1, 1)) != (1, 1) and _plays(p, role)}
    if not fitting:
        raise ValueError(
            f"nothing to propose for {role!r}: no (B, C, H, W) feature map or grid of tokens (B, N, C) qualifies; "
            "give the network a `taps` attribute, {role: names}"
        )
    has_one_size = len({sizes[name] for name in fitting}) == 1
    ends = _ends_of_thirds(run, [p for p in listed if p.name in sizes]) if has_one_size else ()
    last: dict[tuple[object, int], Position] = {}
    num_ended = 0
    for position in listed:
        if position.name in fitting:
            key = sizes[position.name], num_ended
            # Taken out first, so that the order is that of the last ones.
            last.pop(key, None)
            last[key] = position
        num_ended += position.name in ends
    return list(last.values())


def _map_sizes(listed: list[Position], images: Tensor) -> dict[str, tuple[int, int]]:
    """Height and width of those positions that are maps of the images."""
    tokens = {(_parent(p.name), p.shape[1]) for p in listed if len(p.shape) == 3}
    sizes = {}
    for position in listed:
        size = grid(position.shape, images.shape[-2:])
        # Attention inside windows has more rows than there are images, and its weights are tokens by tokens.
        is_attention = len(position.shape) == 4 and {(_parent(position.name), n) for n in position.shape[2:]} <= tokens
        if size is not None and position.shape[0] == len(images) and not is_attention:
            sizes[position.name] = size
    return sizes


def _parent(name: str) -> str:
    return name.removeprefix("before:").rpartition(".")[0]


def _plays(position: Position, role: str) -> bool:
    touches = position.activation.startswith(f"{role.removesuffix('_relu')} ")
    return role == "group_end" or (touches and not position.activation.endswith(GATES))


def _ends_of_thirds(run: DryRun, listed: list[Position]) -> tuple[str, ...]:
    """The blocks that end the first and the second third of a network all of whose maps have one size.

    Its blocks are those modules with children, of one class in one parent, that have most parameters together.
    """
    families: dict[tuple[str, str], list[str]] = {}
    for position in listed:
        if position.name in run.modules and not position.is_leaf:
            families.setdefault((_parent(position.name), position.kind), []).append(position.name)
    blocks = max(families.values(), key=lambda names: (len(names) > 1) * _num_parameters(run, names), default=[])
    return tuple(blocks[math.ceil(third * len(blocks) / 3) - 1] for third in (1, 2) if blocks)[: len(blocks) - 1]


def _num_parameters(run: DryRun, names: list[str]) -> int:
    return sum(parameter.numel() for name in names for parameter in run.modules[name].parameters())


def _unknown_role(network: nn.Module, role: str, roles: tuple[str, ...]) -> str:
    near = difflib.get_close_matches(role, roles, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    if role == "logits":
        hint = "; the logits are the network's output and need no tap"
    return f"{type(network).__name__} has positions for {', '.join(map(repr, roles))}, not {role!r}{hint}"
