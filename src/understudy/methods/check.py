"""What a declaration must not say. Each mistake is told where it is made, before it can change a loss in silence."""

import inspect
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from torch import nn

from understudy.methods.options import options_of, own_options
from understudy.spec import nearest

if TYPE_CHECKING:
    from understudy.methods.declare import Method, Phase, Term

# A step's answer has other things under these names.
TAKEN = ("task", "loss", "output")
FUNCTIONS = ("distance", "student", "teacher", "inputs", "select", "schedule")


def check_term(term: "Term", choices: Mapping[str, Iterable[str]]) -> None:
    """ValueError for a name that is taken, a word that is none of the `choices`, and what could not be carried out."""
    if not isinstance(term.name, str) or term.name in TAKEN or "." in term.name:
        raise ValueError(
            f"a term is called {term.name!r}; give it a name without dots that is none of {', '.join(TAKEN)}"
        )
    where = f"term {term.name!r}"
    _check_words(where, "layers", [term.layers], choices)
    _check_words(where, "over", [term.over], choices)
    _check_words(where, "needs", term.needs, choices)
    _check_numbers(where, {"weight": term.weight, "ladder": term.ladder})
    for field in FUNCTIONS:
        own = getattr(term, field)
        # It would stand outside what is trained, saved and placed on the device.
        if isinstance(own, nn.Module) and any(True for _ in own.parameters()):
            raise ValueError(
                f"{where}: {field} is a {type(own).__name__} that is made already, and would never be trained; give a "
                f"class as student or teacher, which is built as Class(student_shape, teacher_shape)"
            )
    _check_parts(where, term)
    _check_distance(where, term)
    known = options_of(term)
    for option in term.options:
        if option not in known:
            raise ValueError(
                f"{where}: none of its functions has the option {option!r}; they have {', '.join(known) or 'none'}"
                f"{nearest(option, known)}"
            )


def _check_parts(where: str, term: "Term") -> None:
    """ValueError for parts of a declaration of which one is of no use without the other, or with it."""
    if term.select is not None and "keep" not in term.needs:
        raise ValueError(f"{where}: select chooses images and the distance does not ask for them; add needs=('keep',)")
    if "guide" in term.needs and term.guide is None:
        raise ValueError(f"{where} needs a guide and has none; give guide=Class")
    others = [word for word in term.needs if word in ("labels", "images", "keep")]
    if term.inputs is not None and (term.tap != "logits" or others):
        found = f"reads {term.tap!r}" if term.tap != "logits" else f"needs {', '.join(others)}"
        raise ValueError(
            f"{where} makes images of its own with inputs, and {found}: of made images there are logits alone"
        )


def _check_distance(where: str, term: "Term") -> None:
    """ValueError for a distance that cannot be called with what the term gives it."""
    own = (f"student{number}" for number in range(term.span)), (f"teacher{number}" for number in range(term.span))
    given = [name for side in own for name in side]
    try:
        signature = inspect.signature(term.distance)
    except (TypeError, ValueError):  # built into torch, or none
        return
    taken = own_options(term.distance)
    options = {name: value for name, value in term.options.items() if name in taken and name not in term.needs}
    try:
        signature.bind(*given, **dict.fromkeys(term.needs), **options)
    except TypeError as error:
        called = ", ".join(("student", "teacher") if term.span == 1 else given)
        needs = f", {', '.join(f'{name}=...' for name in term.needs)}" if term.needs else ""
        raise ValueError(
            f"{where}: its distance takes {signature} and is called with ({called}{needs}): {error}; an option has a "
            f"default, needs are declared by name"
        ) from None


def check_phase(phase: "Phase", kind: type) -> None:
    """ValueError for weights below 0, and terms that are none."""
    where = f"phase {phase.name!r}"
    _check_numbers(where, {"labels": phase.labels, "share": phase.share})
    for field in ("terms", "guides"):
        _check_kinds(f"{where}: {field}", getattr(phase, field), kind)


def check_method(method: "Method", kind: type, choices: Mapping[str, Iterable[str]]) -> None:
    """ValueError for a mode that there is not, and phases that are none."""
    _check_words(method.title, "teacher_mode", [method.teacher_mode], choices)
    _check_kinds(f"{method.title}: phases", method.phases, kind)
    if not method.phases:
        raise ValueError(f"{method.title} has no phases; give one or more, as in phases=(Phase(name='train'),)")


def _check_words(where: str, field: str, found: Iterable[str], choices: Mapping[str, Iterable[str]]) -> None:
    known = list(choices[field])
    for word in found:
        if word not in known:
            raise ValueError(f"{where}: {field} is {word!r}; expected {' or '.join(known)}{nearest(str(word), known)}")


def _check_numbers(where: str, numbers: dict[str, float]) -> None:
    for field, value in numbers.items():
        if not value >= 0:
            raise ValueError(f"{where}: {field} is {value:g}, expected 0 or more")


def _check_kinds(where: str, found: Any, kind: type) -> None:
    wrong = found if not isinstance(found, tuple) else next((one for one in found if not isinstance(one, kind)), None)
    if wrong is not None:
        name = kind.__name__
        raise ValueError(
            f"{where} has a {type(wrong).__name__}; expected a tuple of {name}s, with a comma for a single one: "
            f"({name}(...),)"
        )
