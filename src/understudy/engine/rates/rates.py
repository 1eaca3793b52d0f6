"""Learning rates by layer: which factor of `optim.lr` every parameter learns at, from patterns over names.

A parameter goes by the name it has in its network (`layer1.0.conv1.weight`), with `comparisons.TERM.` before it in a
connector, and `objective.` in an objective. A pattern means what it matches and all below that: `layer1` every
parameter of the module of this name, `*` any part of a name, dots too. Of several patterns that match, the last one
given counts; what none matches has factor 1.
"""

import fnmatch
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from understudy.distiller import Distiller
from understudy.engine.rates.auto import AutoRates
from understudy.spec import OptimSettings, nearest

Named = Sequence[tuple[str, nn.Parameter]]
REST = "*"
OWN, OTHERS = "student.", "teacher."


def learnable(distiller: Distiller) -> Named:
    """Every parameter of a run by its name, but the teacher's."""
    return [
        (name.removeprefix(OWN), parameter)
        for name, parameter in distiller.named_parameters()
        if not name.startswith(OTHERS)
    ]


def freeze(distiller: Distiller, rates: Mapping[str, float] | None, images: Tensor) -> None:
    """Freeze what the factors freeze; `images` is a batch of any.

    Raises ValueError for a pattern that matches nothing, with the nearest names, and where nothing of the student, or
    nothing that a phase reaches, is left to learn, whoever froze it.
    """
    is_whole = all(parameter.requires_grad for parameter in distiller.student.parameters())
    if rates:
        _freeze_by(distiller, rates)
    if rates or not is_whole:
        _check_phases(distiller, images, "optim.rates freezes" if rates else "the student's frozen parameters are")


def _freeze_by(distiller: Distiller, rates: Mapping[str, float]) -> None:
    names = [name for name, _ in learnable(distiller)]
    for pattern in rates:
        if not any(_matches(name, pattern) for name in names):
            raise ValueError(
                f"optim.rates.{pattern}: found no layer or parameter of this name{_nearest(pattern, names)}"
            )
    wanted = {name for name in names if rates.get(pattern_of(name, rates), 1.0) == 0.0}
    distiller.freeze({name for name, _ in distiller.named_parameters() if name.removeprefix(OWN) in wanted})
    if not any(parameter.requires_grad for parameter in distiller.student.parameters()):
        raise ValueError("optim.rates freezes the whole student; leave something to learn, as in optim.rates.fc=1")


def _check_phases(distiller: Distiller, images: Tensor, why: str) -> None:
    """ValueError for a phase that has nothing to train; `why` begins the sentence."""
    for index, phase in enumerate(distiller.method.phases):
        distiller.enter(index)
        # With labels, whatever the student still learns has a gradient.
        if not distiller.phase_parameters() or not (phase.labels or distiller.learns_from_terms(images)):
            raise ValueError(
                f"{why} all that phase {phase.name!r} trains; leave something of it to learn, or choose "
                "a method without this phase"
            )
    distiller.enter(0)


def pattern_of(name: str, rates: Mapping[str, float]) -> str:
    """The pattern that counts for a parameter: the last one that matches, REST where there is none."""
    return next((pattern for pattern in reversed([*rates]) if _matches(name, pattern)), REST)


def groups(distiller: Distiller, settings: OptimSettings, auto: AutoRates | None = None) -> list[dict[str, Any]]:
    """The phase's parameters as torch's optimisers take groups: one for each pattern that counts somewhere.

    With `auto`, one for each pattern in each block (`part`). `factor` is what the group's lr is of the settings' lr.
    Everything is one group where there is neither.
    """
    rates = settings.rates or {}
    names = {id(parameter): name for name, parameter in learnable(distiller)}
    found: dict[tuple[str, str | None], list[nn.Parameter]] = {}
    for parameter in distiller.phase_parameters():
        part = auto.part_of(parameter) if auto else None
        found.setdefault((pattern_of(names[id(parameter)], rates), part), []).append(parameter)
    factors = {key: rates.get(key[0], 1.0) * (auto.factors[key[1]] if auto and key[1] else 1.0) for key in found}
    return [
        {"params": parameters, "lr": settings.lr * factors[key], "factor": factors[key], "part": key[1]}
        for key, parameters in found.items()
    ]


def base_rate(optimizer: Optimizer) -> float:
    """The rate of factor 1, whether a group has it or not."""
    # A checkpoint from before there were factors has none.
    found = [(group["lr"], group.get("factor", 1.0)) for group in optimizer.param_groups]
    return next((lr for lr, factor in found if factor == 1.0), found[0][0] / found[0][1])


def describe(distiller: Distiller, rates: Mapping[str, float] | None) -> list[dict[str, Any]]:
    """For run.json: each pattern that counts with its factor and the parameters it counts for; empty without rates."""
    found: dict[str, dict[str, int]] = {}
    for name, parameter in learnable(distiller) if rates else ():
        found.setdefault(pattern_of(name, rates or {}), {})[name] = parameter.numel()
    return [
        {
            "pattern": pattern,
            "factor": (rates or {}).get(pattern, 1.0),
            "parameters": sum(sizes.values()),
            "names": [*sizes],
        }
        for pattern, sizes in found.items()
    ]


def in_words(described: Sequence[Mapping[str, Any]]) -> str:
    """'lr times 0.1 for layer1 (2,304 parameters), 1 for the rest (75,000)'; empty without rates."""
    parts = [
        f"{one['factor']:g} for {'the rest' if one['pattern'] == REST else one['pattern']} "
        f"({one['parameters']:,} parameters{', frozen' if one['factor'] == 0 else ''})"
        for one in described
    ]
    return f"lr times {', '.join(parts)}" if parts else ""


def _matches(name: str, pattern: str) -> bool:
    return fnmatch.fnmatchcase(name, pattern) or fnmatch.fnmatchcase(name, f"{pattern}.*")


def _nearest(pattern: str, names: Sequence[str]) -> str:
    """The modules and parameters that are meant, most likely."""
    parts = [name.split(".") for name in names]
    known = dict.fromkeys(".".join(one[:depth]) for one in parts for depth in range(1, len(one) + 1))
    return nearest(pattern, known, count=3) or f"; there are {', '.join(dict.fromkeys(one[0] for one in parts))}"
