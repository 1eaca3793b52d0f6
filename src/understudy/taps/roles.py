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
    enters the last linear layer ("embedding"). Feature maps are (B, C, H, W), or a transformer's tokens (B, N, C), in
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
    so that the sizes (height and width) differ least in all, the deeper one where that leaves a choice. Sizes may
    differ within a pair.
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
    last: dict[tuple[int, int], Position] = {}
    for position in (run.position(event) for event in run.listed()):
        size = grid(position.shape, images.shape[-2:])
        if size is None or size == (1, 1):
            continue
        side = role.removesuffix("_relu")
        touches = position.activation.startswith(f"{side} ") and not position.activation.endswith(GATES)
        if role == "group_end" or touches:
            # Taken out first, so that the order is that of the last ones.
            last.pop(size, None)
            last[size] = position
    if not last:
        raise ValueError(
            f"nothing to propose for {role!r}: no (B, C, H, W) feature map or grid of tokens (B, N, C) qualifies; "
            "give the network a `taps` attribute, {role: names}"
        )
    return list(last.values())


def _unknown_role(network: nn.Module, role: str, roles: tuple[str, ...]) -> str:
    near = difflib.get_close_matches(role, roles, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    if role == "logits":
        hint = "; the logits are the network's output and need no tap"
    return f"{type(network).__name__} has positions for {', '.join(map(repr, roles))}, not {role!r}{hint}"
