"""Which positions play a role: the network's own word, or a proposal."""

import contextlib
import difflib
import math

from torch import Tensor, nn

from understudy.taps.grid import grid
from understudy.taps.groups import Groups, kind_of
from understudy.taps.positions import DryRun, Position

# These squash a gate or a mask; what enters them is no feature.
GATES = ("Sigmoid", "Hardsigmoid", "Tanh")

PROPOSED = ("before_relu", "after_relu", "group_end", "embedding")


def named_positions(network: nn.Module, role: str, images: Tensor) -> tuple[str, ...]:
    """The names that play a role such as "before_relu" in this network.

    A role that the network declares in `taps` (role -> names) is its own word. For others there is a proposal: for each
    size (height and width) that the network works at, the last map that enters an activation ("before_relu"), that left
    one ("after_relu"; gates such as sigmoid count for neither), or simply the last one ("group_end"); and what enters
    the last linear layer, or a convolution that answers the classes in its place ("embedding"). ValueError for an
    unknown role, and where there is nothing to propose.

    Maps are (B, C, H, W), (B, H, W, C), or a transformer's tokens (B, N, C), in the proportions of the images. Sizes
    count from 2 x 2 on and where a layer with weights answers them. Those of the stem do not, which are larger than
    anything that a block answers: a block is a module of two or more layers with others of its kind, and a network
    without blocks has no stem. Sizes that differ by a border are one.

    A block that makes maps smaller belongs to the new size: its first layers that still work at the old one are not the
    old group's end. What it does before any layer, as networks with pre-activation do, counts for activations. Where
    one size is all there is, as in most vision transformers, each third of the blocks is a group.
    """
    declared = getattr(network, "taps", {})
    if role in declared:
        return tuple(declared[role])
    if role not in PROPOSED:
        raise ValueError(_unknown_role(network, role, tuple(dict.fromkeys((*declared, *PROPOSED)))))
    run = DryRun(network, images)
    found = [_embedding(run)] if role == "embedding" else _ends_of_groups(run, role, len(images))
    return tuple(position.name for position in found)


def roles_of(network: nn.Module, images: Tensor) -> dict[str, tuple[str, ...]]:
    """Role -> its positions, for the roles that the network declares or that can be proposed: it need not have all."""
    found = {}
    for role in dict.fromkeys((*PROPOSED, *getattr(network, "taps", {}))):
        with contextlib.suppress(ValueError):
            found[role] = named_positions(network, role, images)
    return found


def pairs(student: nn.Module, teacher: nn.Module, role: str, images: Tensor) -> list[tuple[Position, Position]]:
    """The student's and the teacher's positions of a role, in order.

    First with first where both have as many. Elsewhere each of the fewer is paired with one of the more, in order,
    so that the sizes (height and width) differ least in all, the deeper one where that leaves a choice; where all maps
    of a network have one size, the deepest ones are taken. Sizes may differ within a pair.
    """
    students, teachers = (_positions(network, role, images) for network in (student, teacher))
    if len(students) > len(teachers):
        return [(own, wanted) for wanted, own in _matched(teachers, students)]
    return _matched(students, teachers)


def _positions(network: nn.Module, role: str, images: Tensor) -> list[Position]:
    run = DryRun(network, images)
    return [run.position(run.find(name)) for name in named_positions(network, role, images)]


def _matched(fewer: list[Position], more: list[Position]) -> list[tuple[Position, Position]]:
    """Each of the fewer with one of the more, in order, at the least sum of log ratios of their areas."""
    areas, others = ([_log_area(position) for position in side] for side in (fewer, more))
    if any(len(set(own)) == 1 < len(own) for own in (areas, others)):
        # Where a transformer's maps all have one size, sizes say nothing of depth: the deepest meet the deepest.
        return list(zip(fewer, more[-len(fewer) :], strict=True))
    # least[i][j]: of the first i with some of the first j.
    least = [[0.0] * (len(more) + 1)] + [[math.inf] * (len(more) + 1) for _ in fewer]
    for i, area in enumerate(areas, 1):
        for j in range(i, len(more) + 1):
            least[i][j] = min(least[i - 1][j - 1] + abs(area - others[j - 1]), least[i][j - 1])
    found, i = [], len(fewer)
    for j in range(len(more), 0, -1):
        # From the deepest on: of equal sums the deeper one is taken.
        if i and least[i - 1][j - 1] + abs(areas[i - 1] - others[j - 1]) <= least[i][j - 1]:
            found.append((fewer[i - 1], more[j - 1]))
            i -= 1
    return found[::-1]


def _log_area(position: Position) -> float:
    return math.log(math.prod(grid(position.shape, position.image_size) or position.shape[2:] or (1,)))


def _embedding(run: DryRun) -> Position:
    """What enters the classifier: the last linear layer that answers vectors, or a convolution in its place."""
    listed = [position for event in run.listed() if ":" not in (position := run.position(event)).name]
    linear = [p for p in listed if p.kind == "Linear" and len(p.shape) == 2]
    classifiers = linear or _convolution_of_classes(run, listed)
    if not classifiers:
        raise ValueError(
            f"nothing to propose for 'embedding' in {run.title}: no linear layer or convolution answers the classes; "
            "give the network a `taps` attribute, {'embedding': (name,)}"
        )
    return run.position(run.find(f"before:{classifiers[-1].name}"))


def _convolution_of_classes(run: DryRun, listed: list[Position]) -> list[Position]:
    """A convolution of single positions that answers the classes, and is the last to have a say in what they are."""
    layers = [p for p in listed if p.is_leaf and _num_parameters(run, [p.name])]
    last = run.modules[layers[-1].name] if layers else None
    is_of_positions = isinstance(last, nn.Conv2d) and last.kernel_size == (1, 1)
    return layers[-1:] if is_of_positions and layers[-1].shape[:2] == run.output_shape else []


def _ends_of_groups(run: DryRun, role: str, num_images: int) -> list[Position]:
    groups = Groups(run, num_images)
    left_out = groups.fragments | (groups.openings if role == "group_end" else set())
    listed = [(event.key, run.position(event)) for event in run.listed() if event.key in groups.sizes]
    fitting = {key for key, position in listed if key not in left_out and _plays(position, role)}
    if not fitting:
        raise ValueError(
            f"nothing to propose for {role!r} in {run.title}: no (B, C, H, W) feature map or grid of tokens (B, N, C) "
            f"qualifies; give the network a `taps` attribute, {{{role!r}: names}}, or compare logits alone, as kd does"
        )
    has_one_size = len({groups.sizes[key] for key in fitting}) == 1
    ends = _ends_of_thirds(run, [position for _, position in listed]) if has_one_size else ()
    last: dict[tuple[object, int], Position] = {}
    num_ended = 0
    for key, position in listed:
        if key in fitting:
            group = groups.sizes[key], num_ended
            # Taken out first, so that the order is that of the last ones.
            last.pop(group, None)
            last[group] = position
        num_ended += position.name in ends
    return _named_apart(list(last.values()), run)


def _named_apart(chosen: list[Position], run: DryRun) -> list[Position]:
    """The same tensors under names of which none holds another: "features.12" beside "features.8", not "features"."""
    named = []
    for position in chosen:
        others = [run.find(other.name).key[1] for other in chosen if other is not position]
        event = run.find(position.name)
        same = [e for e in run.listed() if e.key[0] == event.key[0] and e.identity == event.identity]
        apart = [e for e in same if not any(owner.startswith(f"{e.key[1]}.") for owner in others)]
        named.append(run.position(apart[-1]) if apart else position)
    return named


def _plays(position: Position, role: str) -> bool:
    touches = position.activation.startswith(f"{role.removesuffix('_relu')} ")
    return role == "group_end" or (touches and not position.activation.endswith(GATES))


def _ends_of_thirds(run: DryRun, listed: list[Position]) -> tuple[str, ...]:
    """The blocks that end the first and the second third of a network all of whose maps have one size.

    Its blocks are those modules with children, of one kind in one parent, that have most parameters together.
    """
    families: dict[object, list[str]] = {}
    for position in listed:
        if position.name in run.modules and not position.is_leaf:
            parent = position.name.rpartition(".")[0]
            families.setdefault((parent, kind_of(run.modules[position.name])), []).append(position.name)
    blocks = max(families.values(), key=lambda names: (len(names) > 1) * _num_parameters(run, names), default=[])
    return tuple(blocks[math.ceil(third * len(blocks) / 3) - 1] for third in (1, 2) if blocks)[: len(blocks) - 1]


def _num_parameters(run: DryRun, names: list[str]) -> int:
    """Of the modules of these names; functions, and modules that are called several times, have other names."""
    modules = [run.modules[name] for name in names if name in run.modules]
    return sum(parameter.numel() for module in modules for parameter in module.parameters())


def _unknown_role(network: nn.Module, role: str, roles: tuple[str, ...]) -> str:
    near = difflib.get_close_matches(role, roles, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    if role == "logits":
        hint = "; the logits are the network's output and need no tap"
    return f"{type(network).__name__} has positions for {', '.join(map(repr, roles))}, not {role!r}{hint}"
