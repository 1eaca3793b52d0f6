"""What a method compares in two given networks: positions, and the connectors that their shapes call for."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from understudy.methods import EMBEDDING, LOGITS, Method, Term, own_options
from understudy.taps import Position, as_map, named_positions, norm_at, pairs, to_size
from understudy.taps.positions import DryRun


@dataclass(frozen=True, kw_only=True)
class Site:
    """One pair of positions and the common shape at which it is compared: (B, C) where maps are averaged."""

    student: Position
    teacher: Position
    student_shape: tuple[int, ...]
    teacher_shape: tuple[int, ...]

    def fit(self, feature: Tensor, position: Position) -> Tensor:
        """A tensor read at either position as a map of the common size, or a map's mean; vectors as they are."""
        if len(self.teacher_shape) == 4:
            return to_size(as_map(feature, position.image_size), self.teacher_shape[2:])
        if len(self.student_shape) == len(self.teacher_shape) == 2 and feature.dim() > 2:
            return as_map(feature, position.image_size).mean(dim=(2, 3))
        return feature


def find_sites(term: Term, student: nn.Module, teacher: nn.Module, images: Tensor) -> list[Site]:
    """The pairs that the term compares, first layer first, from a dry run of each network on the images."""
    if term.positions:
        runs = DryRun(student, images), DryRun(teacher, images)
        found = [
            (_given(term, "student", runs[0], own), _given(term, "teacher", runs[1], wanted))
            for own, wanted in term.positions
        ]
    elif term.teacher_tap is None and term.tap != LOGITS:
        found = pairs(student, teacher, term.tap, images)
    else:
        found = [
            (
                _last(student, "student", term.tap, images),
                _last(teacher, "teacher", term.teacher_tap or term.tap, images),
            )
        ]
    sites = [site_of(own, wanted, pooled=term.tap == EMBEDDING) for own, wanted in found]
    if term.span > len(sites):
        raise ValueError(
            f"{term.name} compares {term.span} positions together, and there is {len(sites)} for {term.tap!r}; "
            f"name more with terms.{term.name}.positions=STUDENT=TEACHER,..., give the networks a `taps` attribute "
            f"with more of them, or choose another method"
        )
    return sites[-term.span :] if term.layers == "last" and not term.positions else sites


def _given(term: Term, whose: str, run: DryRun, name: str) -> Position:
    """The position of this name; ValueError with the nearest ones where the network has none."""
    if name == LOGITS:
        return _logits(run, whose)
    try:
        return run.position(run.find(name))
    except ValueError as error:
        raise ValueError(f"terms.{term.name}.positions, the {whose}'s {name!r}: {error}") from error


def _last(network: nn.Module, whose: str, role: str, images: Tensor) -> Position:
    run = DryRun(network, images)
    if role == LOGITS:
        return _logits(run, whose)
    return run.position(run.find(named_positions(network, role, images)[-1]))


def _logits(run: DryRun, whose: str) -> Position:
    """The network's answer; ValueError for one that is no tensor (B, K)."""
    shape = run.output_shape
    if len(shape) < 2:
        found = f"a tensor of shape {shape}" if shape else "no tensor"
        raise ValueError(
            f"the {whose}'s answer is {found}, and logits (B, K) are compared; wrap the {whose} so that it answers them"
        )
    return Position(
        name=LOGITS,
        kind="",
        shape=shape,
        image_size=run.image_size,
        parameters=0,
        activation="",
        overwritten=False,
        is_leaf=False,
    )


def site_of(own: Position, wanted: Position, *, pooled: bool) -> Site:
    """Maps of two sizes are compared at the smaller height and width; the other one is averaged down.

    Where they are `pooled` each map is averaged over its positions: an embedding is one vector of an image.
    """
    shapes = [_map_shape(position) for position in (own, wanted)]
    if pooled:
        shapes = [shape[:2] if len(shape) == 4 else shape for shape in shapes]
    if len(shapes[0]) == len(shapes[1]) == 4:
        common = tuple(min(one, other) for one, other in zip(shapes[0][2:], shapes[1][2:], strict=True))
        shapes = [(*shape[:2], *common) for shape in shapes]
    return Site(student=own, teacher=wanted, student_shape=shapes[0], teacher_shape=shapes[1])


def _map_shape(position: Position) -> tuple[int, ...]:
    """(B, C, H, W) of what is a map once it is read; other shapes as they are."""
    return tuple(as_map(torch.empty(position.shape, device="meta"), position.image_size).shape)


class Comparison(nn.Module):
    """A term on given networks: its sites, its transforms and its guide.

    `students` and `teachers` hold what has memory, one entry for each site, `guides` one for each comparison.
    """

    def __init__(self, term: Term, student: nn.Module, teacher: nn.Module, images: Tensor):
        super().__init__()
        self.term = term
        self.sites = find_sites(term, student, teacher, images)
        if term.tap == LOGITS and term.teacher_tap is None:
            _check_classes(term, self.sites[0])
        self.windows = [tuple(range(first, first + term.span)) for first in range(len(self.sites) - term.span + 1)]
        self.students, self.teachers, self.guides = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for site in self.sites:
            self.students.append(self._built(term.student, site, site.student_shape, site.teacher_shape))
            channels = site.teacher_shape[1]
            norm = norm_at(teacher, site.teacher.name, channels, images) if isinstance(term.teacher, type) else None
            self.teachers.append(self._built(term.teacher, site, site.teacher_shape, norm))
        for window in self.windows if term.guide is not None else ():
            shapes = [self.sites[index].teacher_shape for index in window]
            self.guides.append(self._built(term.guide, self.sites[window[-1]], *shapes))
        self.teachers.requires_grad_(False)

    def _built(self, transform: Callable[..., Any] | None, site: Site, *shapes: Any) -> nn.Module:
        """A class as a module for the site, anything else as the identity."""
        if not isinstance(transform, type):
            return nn.Identity()
        try:
            return transform(*shapes, **chosen_options(transform, self.term))
        except ValueError as error:
            raise ValueError(f"{self._where(site)}: {error}") from error

    def _where(self, *sites: Site) -> str:
        """'ab at layer1 <- group1', for messages."""
        return f"{self.term.name} at " + ", ".join(f"{site.student.name} <- {site.teacher.name}" for site in sites)

    def wanted(self, teacher: Mapping[str, Tensor]) -> list[Tensor]:
        """The teacher's side, transformed: one tensor for each site. The features themselves are not needed after."""
        return [self._teacher(index, site, teacher) for index, site in enumerate(self.sites)]

    def forward(
        self,
        student: Mapping[str, Tensor],
        wanted: Sequence[Tensor],
        extras: Mapping[str, Any],
        share: Callable[[Tensor], Tensor],
    ) -> Tensor:
        """The weighted sum over the layers, without schedule and balance. `share` brings other processes' images."""
        term = self.term
        own = [self._student(index, site, student) for index, site in enumerate(self.sites)]
        if term.across_images:
            own, wanted = [share(tensor) for tensor in own], [share(tensor) for tensor in wanted]
            of_images = {name: extras[name] for name in term.needs if isinstance(extras.get(name), Tensor)}
            extras = {**extras, **{name: share(tensor) for name, tensor in of_images.items()}}
        options = chosen_options(term.distance, term)
        total = 0.0
        for number, (window, weight) in enumerate(
            zip(self.windows, term.layer_weights(len(self.windows)), strict=True)
        ):
            needed = {name: self.guides[number] if name == "guide" else extras[name] for name in term.needs}
            inputs = [own[index] for index in window] + [wanted[index] for index in window]
            try:
                distance = term.distance(*inputs, **needed, **options)
            except ValueError as error:
                raise ValueError(f"{self._where(*(self.sites[index] for index in window))}: {error}") from error
            if not isinstance(distance, Tensor) or distance.dim():
                found = f"shape {tuple(distance.shape)}" if isinstance(distance, Tensor) else type(distance).__name__
                raise ValueError(
                    f"{self._where(*(self.sites[index] for index in window))}: the distance answers {found}, expected "
                    "a scalar tensor: the mean over the batch"
                )
            total = total + weight / self._size(window) * distance
        assert isinstance(total, Tensor)
        return total

    def guide_loss(self, teacher: Mapping[str, Tensor], share: Callable[[Tensor], Tensor]) -> Tensor:
        """What the guides still have to learn from the teacher, summed over the comparisons."""
        wanted = self.wanted(teacher)
        if self.term.across_images:
            wanted = [share(tensor) for tensor in wanted]
        losses = [
            guide(*(wanted[index] for index in window)) for guide, window in zip(self.guides, self.windows, strict=True)
        ]
        return torch.stack(losses).sum()

    def _student(self, index: int, site: Site, features: Mapping[str, Tensor]) -> Tensor:
        feature = self.students[index](site.fit(features[site.student.name], site.student))
        return self._transformed(self.term.student, site, feature)

    def _teacher(self, index: int, site: Site, features: Mapping[str, Tensor]) -> Tensor:
        feature = self.teachers[index](site.fit(features[site.teacher.name], site.teacher))
        return self._transformed(self.term.teacher, site, feature)

    def _transformed(self, function: Callable[..., Any] | None, site: Site, feature: Tensor) -> Tensor:
        """What a plain function makes of the feature; a class was built, and has had it already."""
        if function is None or isinstance(function, type):
            return feature
        try:
            return function(feature, **chosen_options(function, self.term))
        except ValueError as error:
            raise ValueError(f"{self._where(site)}: {error}") from error

    def _size(self, window: Sequence[int]) -> int:
        """By what the distance is divided: 1, or the positions or elements of the teacher's map."""
        shape = self.sites[window[-1]].teacher_shape
        if self.term.over == "positions":
            return int(torch.Size(shape[2:]).numel())
        return int(torch.Size(shape[1:]).numel()) if self.term.over == "elements" else 1


def chosen_options(function: Callable[..., Any], term: Term) -> dict[str, Any]:
    """Those of the term's options that the function or class takes."""
    needed = term.needs if function is term.distance else ()
    taken = own_options(function)
    return {name: value for name, value in term.options.items() if name in taken and name not in needed}


def _check_classes(term: Term, site: Site) -> None:
    if site.student_shape[1:] != site.teacher_shape[1:]:
        raise ValueError(
            f"{term.name} compares logits, and the student answers {site.student_shape[1]} classes, the teacher "
            f"{site.teacher_shape[1]}; dtl gives the student a head for the teacher's classes"
        )


def find_comparisons(method: Method, student: nn.Module, teacher: nn.Module | None, images: Tensor) -> nn.ModuleDict:
    """Term name -> its comparison on these networks."""
    if teacher is None:
        return nn.ModuleDict()
    return nn.ModuleDict({term.name: Comparison(term, student, teacher, images) for term in method.terms})
