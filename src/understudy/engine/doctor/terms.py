"""Does each term pull at the student, and not so hard that nothing else does?"""

import math

from understudy.distiller import TASK
from understudy.engine.doctor.case import Case
from understudy.engine.doctor.finding import Finding
from understudy.engine.measure.pull import DROWNING, VANISHING
from understudy.methods import Phase, Term
from understudy.spec.sizes import ratio_in_words

CHECK = "terms"


def terms(case: Case) -> list[Finding]:
    """The length of each term's gradient at the student beside the labels', at the start of each phase.

    Rules: not finite, or exactly zero, is an error; below 1e-4 or above 100 times the labels' a warning, in the first
    phase that trains the student alone: before the others it is another student. A term of which images qualify, or
    whose weight moves, may be zero at first; one that is clipped, or balanced (run.balance), cannot drown the others.
    """
    found, ratios, is_first = [], [], True
    for index in case.phases():
        phase = case.plan.method.phases[index]
        if not phase.trains_student:
            continue
        with case.precision.autocast():
            norms = case.distiller.gradient_norms(case.images, case.labels)
        task = norms.pop(TASK)
        for term in phase.terms:
            found += _finding(case, phase, term, norms[term.name], task, is_first)
            ratios.append(f"{term.name} {ratio_in_words(norms[term.name] / task)}" if task else term.name)
        is_first = False
    if found or not ratios:
        return found
    return [Finding(check=CHECK, severity="fine", found=f"gradients beside the labels': {', '.join(ratios)}")]


def _finding(case: Case, phase: Phase, term: Term, norm: float, task: float, is_first: bool) -> list[Finding]:
    where = f"term {term.name} in phase {phase.name}"
    if not math.isfinite(norm):
        return [_broken(f"{where}: its gradient at the student is {norm}.", "The run would stop at its first step.")]
    if norm == 0.0:
        is_certain = term.inputs is None and term.schedule is None and term.select is None
        why = "It would teach nothing: the student's position does not depend on what is trained, or is constant."
        return [_broken(f"{where}: its gradient at the student is exactly zero.", why)] if is_certain else []
    if case.plan.settings.run.balance or not is_first or not task or not math.isfinite(task):
        return []
    ratio = norm / task
    if ratio >= VANISHING and (ratio <= DROWNING or term.clip):
        return []
    weight = float(f"{term.weight / ratio:.1g}")
    return [
        Finding(
            check=CHECK,
            severity="warning",
            found=f"{where}: its gradient at the student is {ratio_in_words(ratio)} times the labels'.",
            why="It would hardly be heard."
            if ratio < 1
            else "Nothing else would be heard, and the rate is too high for it.",
            do=f"--balance 1, or terms.{term.name}.weight={weight:g} (it is {term.weight:g})",
        )
    ]


def _broken(found: str, why: str) -> Finding:
    do = "look at the positions it compares (understudy layers), or leave the term out"
    return Finding(check=CHECK, severity="error", found=found, why=why, do=do)
