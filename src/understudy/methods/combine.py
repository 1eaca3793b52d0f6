"""Methods by name, joined by +, and with a user's numbers."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from understudy.methods.declare import CHOICES, LOGITS, Method, Option, Phase, TeacherMode, Term
from understudy.methods.options import options_of
from understudy.methods.table import METHODS
from understudy.spec import OptimSettings, nearest, user_module

# What can be changed of any term; the options of its functions come on top.
FIELDS = {"weight": float, "ladder": float, "over": str, "layers": str, "clip": bool, "positions": str}
OF_THE_WHOLE_RUN = ("rates", "auto_rates")
OF_A_PHASE = [key for key in OptimSettings.model_fields if key not in OF_THE_WHOLE_RUN]


def find(name: str) -> Method:
    """The method called `name`: an entry of METHODS, or entries joined by +, whatever the order.

    A combination that a paper trained is an entry of its own and wins over the automatic one. `package.module:NAME` is
    a Method of your own, alone or among them. Raises ValueError for a name nobody knows, with the nearest ones.
    """
    parts = name.split("+")
    imported = [_imported(part) for part in parts if ":" in part]
    if imported:
        named = [part for part in parts if ":" not in part]
        return combine([*([find("+".join(named))] if named else []), *imported]) if len(parts) > 1 else imported[0]
    for known, method in METHODS.items():
        if sorted(known.split("+")) == sorted(parts):
            return method
    for part in parts:
        if part not in METHODS:
            near = nearest(part, METHODS, count=3, cutoff=0.4)
            raise ValueError(f"there is no method {part!r}{near}; there are {', '.join(METHODS)}, joined by +")
    # In the order of METHODS, on which the early phases' order and shares depend.
    return combine([METHODS[part] for part in METHODS for _ in range(parts.count(part))])


def _imported(name: str) -> Method:
    """The Method that a user's module holds under this name."""
    module, _, attribute = name.partition(":")
    try:
        imported = user_module(module)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
    if not hasattr(imported, attribute):
        own = [other for other, value in vars(imported).items() if isinstance(value, Method)]
        raise ValueError(f"{name}: {module} has no {attribute!r}; its methods are {', '.join(own) or 'none'}")
    found = getattr(imported, attribute)
    if not isinstance(found, Method):
        raise ValueError(f"{name}: expected an understudy.Method, found {type(found).__name__}")
    return found


def combine(methods: Sequence[Method]) -> Method:
    """One method with the phases of all: phases of one name are learnt together, "train" is learnt last.

    The teacher's mode is `eval` unless one of them wants another. Raises ValueError where two of them bring the same
    term, or want the teacher in different modes other than `eval`.
    """
    modes: set[TeacherMode] = {method.teacher_mode for method in methods if method.teacher_mode != "eval"}
    if len(modes) > 1:
        raise ValueError(
            f"{' and '.join(method.title for method in methods)} want the teacher in different modes "
            f"({', '.join(sorted(modes))}); say which with method.teacher_mode"
        )
    names = dict.fromkeys(phase.name for method in methods for phase in method.phases)
    in_order = [name for name in names if name != "train"] + ["train"] * ("train" in names)
    return Method(
        title=" + ".join(method.title for method in methods),
        paper="; ".join(dict.fromkeys(method.paper for method in methods)),
        family=", ".join(dict.fromkeys(method.family for method in methods if method.family)),
        phases=tuple(_merge([p for m in methods for p in m.phases if p.name == name]) for name in in_order),
        teacher_mode=modes.pop() if modes else "eval",
    )


def _merge(phases: Sequence[Phase]) -> Phase:
    """Several methods' phases of one name as one: all terms, and the labels if any of them uses labels.

    What two of them bring under different names, as `jacobian` and `at` bring attention, is there once.
    """
    terms = tuple(term for phase in phases for term in phase.terms)
    repeated = sorted({term.name for term in terms if [other.name for other in terms].count(term.name) > 1})
    if repeated:
        raise ValueError(
            f"the combination has the term {', '.join(repeated)} twice: name each method once, kd or kd_only"
        )
    optim: dict[str, Any] = {}
    for phase in phases:
        for key, value in phase.optim.items():
            if optim.setdefault(key, value) != value:
                raise ValueError(f"phase {phase.name!r}: {key} is to be both {optim[key]} and {value}; combine others")
    staged = [phase for phase in phases if phase.share < 1.0] or list(phases)
    return replace(
        phases[0],
        terms=tuple(term for index, term in enumerate(terms) if not _is_among(term, terms[:index])),
        guides=tuple(term for phase in phases for term in phase.guides),
        labels=max(phase.labels for phase in phases),
        share=staged[0].share,
        optim=optim,
    )


def _is_among(term: Term, others: Sequence[Term]) -> bool:
    """Whether one of the others is this very comparison, whatever it is called."""
    return any(replace(other, name=term.name) == term for other in others)


def adjust(
    method: Method,
    *,
    labels: bool | None = None,
    teacher_mode: TeacherMode | None = None,
    terms: Mapping[str, Mapping[str, Option]] | None = None,
    phases: Mapping[str, Mapping[str, Any]] | None = None,
) -> Method:
    """The method with the user's changes: labels in the last phase, the teacher's mode, a term's or phase's numbers.

    `terms` maps a term's name to its `weight`, `ladder`, `over`, `layers`, `clip` or `positions` ("student=teacher",
    joined by commas), or an option of its functions; `phases` a phase's name to numbers of its optimiser.
    Raises ValueError for a name that does not exist, with the existing ones.
    """
    wanted = _with_optim(method, phases or {})
    if labels is not None:
        wanted[-1] = replace(wanted[-1], labels=1.0 if labels else 0.0)
        if not labels and not wanted[-1].terms:
            raise ValueError("method.labels=false leaves the last phase with nothing to learn; combine with kd")
    known = {term.name for term in method.terms}
    for name in terms or {}:
        if name not in known:
            raise ValueError(
                f"terms.{name}: {method.title} has no such term; "
                + (f"it has {', '.join(sorted(known))}" if known else "it has none")
            )

    def change(changed: tuple[Term, ...]) -> tuple[Term, ...]:
        return tuple(_change(term, (terms or {}).get(term.name, {})) for term in changed)

    changed = tuple(replace(phase, terms=change(phase.terms), guides=change(phase.guides)) for phase in wanted)
    return replace(method, phases=changed, teacher_mode=teacher_mode or method.teacher_mode)


def _with_optim(method: Method, wanted: Mapping[str, Mapping[str, Any]]) -> list[Phase]:
    """The phases with other numbers of their optimiser; ValueError for one that there is not, its own included."""
    known = [phase.name for phase in method.phases]
    for name in wanted:
        if name not in known:
            raise ValueError(f"phases.{name}: {method.title} has no such phase; it has {', '.join(known)}")
    for phase in method.phases:
        _checked(phase.name, phase.optim)
    return [
        replace(phase, optim={**phase.optim, **_checked(phase.name, wanted.get(phase.name, {}))})
        for phase in method.phases
    ]


def _checked(phase: str, numbers: Mapping[str, Any]) -> dict[str, Any]:
    """The numbers as `optim` takes them; ValueError for one that it does not."""
    for key in numbers:
        if key in OF_THE_WHOLE_RUN:
            raise ValueError(f"phases.{phase}.{key}: all phases share it; give optim.{key}")
        if key not in OF_A_PHASE:
            near = nearest(key, OF_A_PHASE, cutoff=0.4)
            raise ValueError(f"phases.{phase}.{key}: allowed are {', '.join(OF_A_PHASE)}{near}")
    try:
        return OptimSettings(**numbers).model_dump(include=set(numbers))
    except ValidationError as error:
        first = error.errors()[0]
        message = first["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
        if not first["loc"]:  # of several numbers together
            raise ValueError(f"phases.{phase}: {message.replace('optim.', f'phases.{phase}.')}") from None
        key = first["loc"][0]
        raise ValueError(f"phases.{phase}.{key}: found {numbers[str(key)]!r}, expected {message}") from None


def _change(term: Term, wanted: Mapping[str, Option]) -> Term:
    """The term with other numbers; ValueError for one it does not have."""
    allowed_options = options_of(term)
    allowed = [*FIELDS, *allowed_options]
    for key, value in wanted.items():
        if key not in allowed:
            near = nearest(key, allowed, cutoff=0.4)
            raise ValueError(f"terms.{term.name}.{key}: allowed are {', '.join(allowed)}{near}")
        if key in CHOICES and value not in CHOICES[key]:
            raise ValueError(f"terms.{term.name}.{key}={value}: expected {' or '.join(CHOICES[key])}")
        _check_kind(f"terms.{term.name}.{key}", value, FIELDS[key] if key in FIELDS else type(allowed_options[key]))
    own: dict[str, Any] = {key: FIELDS[key](value) for key, value in wanted.items() if key in FIELDS}
    if own.get("weight", 0.0) < 0:
        raise ValueError(f"terms.{term.name}.weight={own['weight']:g}: a weight below 0 would unlearn; give 0 or more")
    if own.get("ladder", 0.0) < 0:
        raise ValueError(f"terms.{term.name}.ladder={own['ladder']:g}: every other layer would unlearn; give 0 or more")
    if "positions" in own:
        own["positions"] = _pairs(term, own["positions"])
    # A whole number may come as 2.0.
    options = {
        key: int(value) if type(allowed_options[key]) is int else value
        for key, value in wanted.items()
        if key not in own
    }
    return replace(term, options={**term.options, **options}, **own)


def _pairs(term: Term, text: str) -> tuple[tuple[str, str], ...]:
    """ "layer1=features.3, layer2=features.6" as pairs of a student's and a teacher's position."""
    if (term.tap, term.teacher_tap) == (LOGITS, None):
        raise ValueError(f"terms.{term.name}.positions: {term.name} compares the networks' answers and no positions")
    pairs = []
    for part in text.split(","):
        own, _, wanted = (word.strip() for word in part.partition("="))
        if not own or not wanted:
            raise ValueError(
                f"terms.{term.name}.positions={text}: found {part.strip()!r}, expected STUDENT=TEACHER, several joined "
                f"by commas, as in layer1=features.3,before:layer2.1.relu#2=before:features.6; "
                f"`understudy layers MODEL` lists a network's names"
            )
        pairs.append((own, wanted))
    return tuple(pairs)


def _check_kind(name: str, value: Option, kind: type) -> None:
    """ValueError for a word where a number or a truth value is wanted, and the like."""
    expected = {float: "a finite number", int: "a whole number", bool: "true or false", str: "a word"}.get(kind)
    if expected is not None and not _fits(value, kind):
        raise ValueError(f"{name}={value}: expected {expected}")


def _fits(value: Option, kind: type) -> bool:
    if kind in (int, float):
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            return False
        return kind is float or value == int(value)
    return isinstance(value, kind)
