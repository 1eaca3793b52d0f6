"""Do gradients reach everything that is to be trained?"""

import torch
from torch import nn
from torch.utils._pytree import tree_leaves

from understudy.engine.doctor.case import Case
from understudy.engine.doctor.finding import Finding
from understudy.engine.doctor.steps import Step
from understudy.spec import few

CHECK = "gradients' reach"


def reach(case: Case, steps: list[Step]) -> list[Finding]:
    """The student's parameters and the connectors' that no phase trains.

    Rule: what autograd does not connect with the loss of any phase. A gradient of zero counts as one: a new layer may
    begin with it. Of the student only parameters that require a gradient count, so that a part may be frozen.
    """
    reached = frozenset[int]().union(*(step.reached for step in steps))
    found = _student(case, reached) + _connectors(case, steps)
    num = sum(parameter.requires_grad for parameter in case.plan.student.parameters())
    return found or [
        Finding(check=CHECK, severity="fine", found=f"all {num:,} tensors of the student, every connector")
    ]


def _student(case: Case, reached: frozenset[int]) -> list[Finding]:
    trained = {name: one for name, one in case.plan.student.named_parameters() if one.requires_grad}
    if not trained:
        return [
            Finding(
                check=CHECK,
                severity="error",
                found="none of the student's parameters requires a gradient.",
                why="It would stay as it is.",
                do="student.requires_grad_(True)",
            )
        ]
    missed = {name: one for name, one in trained.items() if id(one) not in reached}
    if not missed:
        return []
    needed = _needed_for_logits(case, missed)
    return [
        Finding(
            check=CHECK,
            severity="error" if needed else "warning",
            found=f"{len(missed):,} of the student's {len(trained):,} parameters get no gradient in any phase: "
            f"{few(missed)}.",
            why=f"Its answers depend on {few(needed)}, which would stay as random as they are."
            if needed
            else "Its answers do not depend on them: they are dead weight.",
            do="train with labels (method.labels=true), or add a term that reaches them, such as kd"
            if needed
            else "leave them out of the student, or freeze them (requires_grad_(False))",
        )
    ]


def _needed_for_logits(case: Case, missed: dict[str, nn.Parameter]) -> list[str]:
    """Those of the parameters that the student's logits depend on."""
    outputs = tree_leaves(case.plan.student(case.images))
    total = torch.stack([output.sum() for output in outputs]).sum()
    gradients = torch.autograd.grad(total, [*missed.values()], allow_unused=True)
    return [name for name, gradient in zip(missed, gradients, strict=True) if gradient is not None]


def _connectors(case: Case, steps: list[Step]) -> list[Finding]:
    """A warning for each term with a connector or guide that has parameters which no phase of the term moves."""
    found = []
    for term in case.plan.method.terms:
        comparison = case.distiller.comparison(term.name)
        reached = _reached_in(case, steps, term.name)
        parts = {"connector": comparison.students, "guide": comparison.guides}
        stuck = {
            f"{part} {name}": one
            for part, modules in parts.items()
            for name, one in modules.named_parameters()
            if id(one) not in reached
        }
        if stuck:
            found.append(_stuck(term.name, [*stuck]))
    return found


def _reached_in(case: Case, steps: list[Step], term: str) -> set[int]:
    """What is reached in the phases that have the term."""
    phases = case.plan.method.phases
    named = [
        step for step in steps if term in {one.name for one in phases[step.phase].terms + phases[step.phase].guides}
    ]
    return {identity for step in named for identity in step.reached}


def _stuck(term: str, names: list[str]) -> Finding:
    return Finding(
        check=CHECK,
        severity="warning",
        found=f"term {term} has {len(names):,} parameters of connectors that nothing trains: {few(names)}.",
        why="They are frozen, or its distance does not depend on them: the student would follow a random projection.",
        do="use them in the connector's forward, and leave requires_grad on",
    )
