"""Which positions play a role: the network's own word, or a proposal."""

import difflib

from torch import Tensor, nn

from understudy.taps.positions import DryRun, Position

# These squash a gate or a mask; what enters them is no feature.
GATES = ("Sigmoid", "Hardsigmoid", "Tanh")

PROPOSED = ("before_relu", "group_end")


def named_positions(network: nn.Module, role: str, images: Tensor) -> tuple[str, ...]:
    """The names that play a role such as "before_relu" in this network.

    A network with `taps` (role -> names) has the only word. For others the proposal is, for each height and
    width of the feature maps in turn, the last one that enters an activation ("before_relu"; gates such as
    sigmoid do not count) or simply the last one ("group_end"). Feature maps are (B, C, H, W) in the
    proportions of the images and larger than 1 x 1. ValueError for an unknown role, and where there is
    nothing to propose.
    """
    declared = getattr(network, "taps", None)
    if declared is not None:
        if role not in declared:
            raise ValueError(_unknown_role(network, role, tuple(declared), "declares"))
        return tuple(declared[role])
    if role not in PROPOSED:
        raise ValueError(_unknown_role(network, role, PROPOSED, "has no `taps` of its own; proposed can be"))
    return tuple(position.name for position in _proposed(DryRun(network, images), role, images))


def pairs(student: nn.Module, teacher: nn.Module, role: str, images: Tensor) -> list[tuple[Position, Position]]:
    """The student's and the teacher's positions of a role, first with first, where all sizes agree.

    Sizes are height and width for (B, C, H, W), the number of tokens for (B, N, C). ValueError with both
    lists where the numbers or the sizes differ.
    """
    found = []
    for network in (student, teacher):
        names = named_positions(network, role, images)
        run = DryRun(network, images)
        found.append([run.position(run.find(name)) for name in names])
    students, teachers = found
    if [_size(position) for position in students] != [_size(position) for position in teachers]:
        raise ValueError(
            f"the positions for {role!r} do not pair up, in number or in size.\n"
            f"  student: {_line(students)}\n  teacher: {_line(teachers)}\n"
            "Name them yourself: give the networks a `taps` attribute, {role: names}."
        )
    return list(zip(students, teachers, strict=True))


def _proposed(run: DryRun, role: str, images: Tensor) -> list[Position]:
    last: dict[tuple[int, ...], Position] = {}
    for position in (run.position(event) for event in run.listed()):
        if not _is_feature_map(position, images):
            continue
        enters = position.activation.startswith("before ") and not position.activation.endswith(GATES)
        if role == "group_end" or enters:
            # Taken out first, so that the order is that of the last ones.
            last.pop(_size(position), None)
            last[_size(position)] = position
    if not last:
        raise ValueError(
            f"nothing to propose for {role!r}: no (B, C, H, W) feature map qualifies; "
            "give the network a `taps` attribute, {role: names}"
        )
    return list(last.values())


def _is_feature_map(position: Position, images: Tensor) -> bool:
    """Whether the last two axes are a smaller picture of the images' (channels-last tensors are not)."""
    if len(position.shape) != 4 or _size(position) == (1, 1):
        return False
    height, width = _size(position)
    image_height, image_width = images.shape[-2:]
    # One pixel of rounding is allowed.
    return abs(height * image_width - width * image_height) <= max(image_height, image_width)


def _size(position: Position) -> tuple[int, ...]:
    return position.shape[2:] if len(position.shape) == 4 else position.shape[1:-1]


def _line(found: list[Position]) -> str:
    return ", ".join(f"{position.name} {'x'.join(map(str, position.shape[1:]))}" for position in found)


def _unknown_role(network: nn.Module, role: str, roles: tuple[str, ...], verb: str) -> str:
    near = difflib.get_close_matches(role, roles, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    if role == "logits":
        hint = "; the logits are the network's output and need no tap"
    return f"{type(network).__name__} {verb} {', '.join(map(repr, roles)) or 'no role'}, not {role!r}{hint}"
