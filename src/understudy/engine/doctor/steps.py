"""A step of each phase, tried on a few images: does it work, and whom do its gradients reach?"""

from dataclasses import dataclass

import torch

from understudy.engine.doctor.case import Case
from understudy.engine.doctor.finding import Finding

CHECK = "first step"


@dataclass(frozen=True, kw_only=True)
class Step:
    """A phase's number, and those of the parameters it trains that a gradient reached (by id)."""

    phase: int
    reached: frozenset[int]


def try_steps(case: Case) -> tuple[list[Finding], list[Step]]:
    """Forward and backward once in every phase, without moving a weight.

    An error for a phase that raises, and for a loss that is not finite with the networks as they start.
    """
    findings, steps = [], []
    for index in case.phases():
        name = case.distiller.phase.name
        case.distiller.zero_grad(set_to_none=True)
        try:
            with case.precision.autocast():
                losses = case.distiller(case.images, case.labels)
            losses["loss"].backward()
        except (RuntimeError, ValueError) as error:
            findings.append(_broken(name, len(case.images), str(error)))
            continue
        findings += _not_finite(name, {key: value for key, value in losses.items() if key not in ("loss", "output")})
        parameters = case.distiller.phase_parameters()
        reached = frozenset(id(parameter) for parameter in parameters if parameter.grad is not None)
        steps.append(Step(phase=index, reached=reached))
    case.distiller.zero_grad(set_to_none=True)
    if findings:
        return findings, steps
    num = len(steps)
    return [Finding(check=CHECK, severity="fine", found=f"works in {num} phase{'s' * (num > 1)}")], steps


def _broken(phase: str, num_images: int, told: str) -> Finding:
    return Finding(
        check=CHECK,
        severity="error",
        found=f"a step of phase {phase} on {num_images} images fails: {told.splitlines()[0] if told else 'no message'}",
        why="The run would stop there.",
        do="look at the position or term it names; understudy layers MODEL shows what there is to compare",
    )


def _not_finite(phase: str, terms: dict[str, torch.Tensor]) -> list[Finding]:
    wrong = [f"{name} is {float(value)}" for name, value in terms.items() if not value.isfinite()]
    if not wrong:
        return []
    return [
        Finding(
            check=CHECK,
            severity="error",
            found=f"the loss of phase {phase} is not finite with the networks as they start: {', '.join(wrong)}.",
            why="The run would stop at its first step.",
            do="try --precision float32, another weight (terms.NAME.weight=...), or look at the teacher's features",
        )
    ]
