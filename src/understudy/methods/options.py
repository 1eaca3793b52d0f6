"""Which numbers and words the functions of a term take."""

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from understudy.methods.declare import Term


def options_of(term: "Term") -> dict[str, Any]:
    """The options that the term's functions and classes take, with their defaults."""
    others = (term.student, term.teacher, term.guide, term.inputs, term.select)
    found = {name: default for name, default in own_options(term.distance).items() if name not in term.needs}
    for function in others:
        found |= own_options(function) if function is not None else {}
    return found


def own_options(function: Callable[..., Any]) -> dict[str, Any]:
    """The parameters of a function or class that have a default, its options, with it."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:  # built into torch, as F.relu is
        return {}
    return {one.name: one.default for one in parameters if one.default is not one.empty}
