"""The overhaul paper's table of design aspects, extended to all methods, read off the declarations.

Heo et al., "A Comprehensive Overhaul of Feature Distillation", ICCV 2019, table 1.
"""

from dataclasses import dataclass

from understudy.methods.declare import Method, Term
from understudy.methods.table import METHODS

POSITIONS = {
    "logits": "logits",
    "embedding": "before the classifier",
    "before_relu": "pre-ReLU",
    "after_relu": "end of group, post-ReLU",
    "group_end": "end of group",
}


@dataclass(frozen=True, kw_only=True)
class AspectRow:
    """One term of one method, in words."""

    method: str
    family: str
    position: str
    teacher: str
    student: str
    distance: str
    missing: str
    paper: str


def design_aspects() -> list[AspectRow]:
    """A row for each term of each single method, in the order of METHODS; combinations have their parts' rows."""
    return [_row(name, method, term) for name, method in METHODS.items() if "+" not in name for term in method.terms]


def _row(name: str, method: Method, term: Term) -> AspectRow:
    return AspectRow(
        method=name,
        family=method.family,
        position=position(term),
        teacher=term.aspects.teacher,
        student=term.aspects.student,
        distance=term.aspects.distance,
        missing=term.aspects.missing,
        paper=method.paper,
    )


def position(term: Term) -> str:
    """Where the term reads, in words."""
    where = POSITIONS.get(term.tap, term.tap)
    if term.teacher_tap is not None:
        where += f"; teacher: {POSITIONS.get(term.teacher_tap, term.teacher_tap)}"
    if term.span > 1:
        where += ", two in a row"
    return f"{where}, last" if term.layers == "last" else where


def phases(method: Method) -> str:
    """'initialise: ab, then train: labels'."""
    parts = []
    for phase in method.phases:
        guides = [f"the guide of {term.name}" for term in phase.guides]
        learnt = guides + [term.name for term in phase.terms] + ["labels"] * bool(phase.labels)
        parts.append(f"{phase.name}: {', '.join(learnt)}")
    return ", then ".join(parts)
