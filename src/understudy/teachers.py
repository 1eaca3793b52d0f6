"""One teacher from networks that were trained on other pixels or classes than the student's, or from several."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from understudy.data.units import check_bytes
from understudy.modes import evaluating
from understudy.ops import scaled
from understudy.spec import kind_of
from understudy.taps import roles_of


@dataclass(frozen=True, kw_only=True, eq=False)
class Member:
    """A network, and how it differs from the student; None where it does not.

    `mean` and `std` are those of its own normalisation, one a channel in units of 0..255; `size` is the height and
    width of the images it was trained on; `classes` says which of its logits are the student's classes, in the
    student's order; `share` is its part in the mean of several.
    """

    network: nn.Module
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    size: tuple[int, int] | None = None
    classes: tuple[int, ...] | None = None
    share: float = 1.0

    @property
    def is_plain(self) -> bool:
        """Whether the network answers to the student's images just as it is."""
        return self.mean is None and self.std is None and self.size is None and self.classes is None


def _check_member(where: str, member: object) -> None:
    """ValueError for what is no Member, and for values that no network can have."""
    if not isinstance(member, Member) or not isinstance(member.network, nn.Module):
        found = member.network if isinstance(member, Member) else member
        raise ValueError(f"{where} is {kind_of(found)}; expected Member(network=MODULE)")
    if not member.share > 0:
        raise ValueError(f"{where}: found share={member.share:g}, expected more than 0")
    if member.std is not None and min(member.std) <= 0:
        raise ValueError(f"{where}: found std={member.std}, expected more than 0 for each channel")
    if member.size is not None and not isinstance(member.size, tuple):
        raise ValueError(f"{where}: found size={member.size}, expected (height, width)")
    if member.classes is not None and len(set(member.classes)) < len(member.classes):
        raise ValueError(f"{where}: classes names one of its logits twice; expected another one for each class")
    if member.classes is not None and min(member.classes, default=-1) < 0:
        raise ValueError(f"{where}: found classes={member.classes}, expected places among its logits, from 0")


class Teachers(nn.Module):
    """The mean of the members' logits, each of which sees the images as it was trained to: (B, C, H, W) -> (B, K).

    Images come normalised by `mean` and `std` (units of 0..255), as the student sees them; `example` is a batch of
    them. Features are those of the first member: `taps` has its positions, so that every method can read them.

    Raises ValueError where the members do not answer the same number of classes.
    """

    def __init__(
        self, members: Sequence[Member], *, mean: tuple[float, ...], std: tuple[float, ...], example: Tensor
    ) -> None:
        super().__init__()
        if not members:
            raise ValueError("a teacher needs at least one network; found none")
        for index, member in enumerate(members):
            _check_member(f"member {index}", member)
        self.networks = nn.ModuleList(member.network for member in members)
        self.sizes = [member.size for member in members]
        total = sum(member.share for member in members)
        self.shares = [member.share / total for member in members]
        for index, member in enumerate(members):
            own_mean, own_std = member.mean or mean, member.std or std
            for key, own in (("mean", own_mean), ("std", own_std)):
                if len(own) != len(mean):
                    said = ", ".join(f"{value / 255:.4g}" for value in own)
                    raise ValueError(
                        f"the teacher's {key} needs one entry for each of the {len(mean)} channels, found [{said}]"
                    )
            check_bytes("the teacher", own_mean, own_std)
            columns = [_column(values) for values in (mean, std, own_mean, own_std)]
            self.register_buffer(f"scale{index}", columns[1] / columns[3])
            self.register_buffer(f"shift{index}", (columns[0] - columns[2]) / columns[3])
            self.register_buffer(f"classes{index}", None if member.classes is None else torch.tensor(member.classes))
        self.taps = self._taps(example)
        self._check_classes(example)

    @property
    def first(self) -> nn.Module:
        """The member whose features are read."""
        return self.networks[0]

    @property
    def size_seen(self) -> tuple[int, int] | None:
        """The size at which the first member, whose features are read, sees the images; None where it is theirs."""
        return self.sizes[0]

    @property
    def first_has_other_classes(self) -> bool:
        """Whether its classifier has other rows than the student's classes, or in another order."""
        return self.classes0 is not None

    def extra_repr(self) -> str:
        """What neither the members nor the state say: stored answers are known by it."""
        return f"sizes={self.sizes}, shares={self.shares}"

    def forward(self, images: Tensor) -> Tensor:
        logits = [self._logits(index, images) for index in range(len(self.networks))]
        return logits[0] if len(logits) == 1 else _weighted_sum(self.shares, logits)

    def _logits(self, index: int, images: Tensor) -> Tensor:
        logits = self.networks[index](self.seen(index, images))
        classes = getattr(self, f"classes{index}")
        return logits if classes is None else logits[:, classes]

    def seen(self, index: int, images: Tensor) -> Tensor:
        """The student's images as this member saw its own: normalised and sized."""
        seen = images * getattr(self, f"scale{index}") + getattr(self, f"shift{index}")
        size = self.sizes[index]
        return seen if size is None else scaled(seen, size)

    def _taps(self, example: Tensor) -> dict[str, tuple[str, ...]]:
        """Role -> the first member's positions, by their names in here."""
        found = roles_of(self.first, self.seen(0, example))
        return {role: tuple(_inside(name) for name in names) for role, names in found.items()}

    def _check_classes(self, example: Tensor) -> None:
        with evaluating(self), torch.no_grad():
            answers = [network(self.seen(index, example)) for index, network in enumerate(self.networks)]
        counts = []
        for index, answer in enumerate(answers):
            if not isinstance(answer, Tensor) or answer.ndim != 2:
                found = tuple(answer.shape) if isinstance(answer, Tensor) else type(answer).__name__
                raise ValueError(
                    f"a teacher answers {found} to {len(example)} images, expected one logit for each class; wrap a "
                    f"network that answers anything else so that it answers these alone"
                )
            classes = getattr(self, f"classes{index}")
            if classes is not None and int(classes.max()) >= answer.shape[1]:
                raise ValueError(
                    f"member {index}: classes names logit {int(classes.max())}, and its network answers "
                    f"{answer.shape[1]} logits, counted from 0"
                )
            counts.append(answer.shape[1] if classes is None else len(classes))
        if len(set(counts)) > 1:
            raise ValueError(
                f"the teachers answer {', '.join(map(str, counts))} classes, expected one number for all; "
                f"say with class_names which classes each of them knows"
            )


def _weighted_sum(shares: list[float], logits: list[Tensor]) -> Tensor:
    total = shares[0] * logits[0]
    for share, one in zip(shares[1:], logits[1:], strict=True):
        total = total + share * one
    return total


def _inside(name: str) -> str:
    """A position of the first member as it is called here: before:fc -> before:networks.0.fc."""
    before = "before:" if name.startswith("before:") else ""
    return f"{before}networks.0.{name.removeprefix(before)}"


def _column(values: tuple[float, ...]) -> Tensor:
    """One value a channel, to be broadcast over images: (C, 1, 1)."""
    return torch.tensor(values, dtype=torch.float32)[:, None, None]
