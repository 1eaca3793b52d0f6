"""What a method declares: d( T_t(F_t), T_s(F_s) ), its weight, and the phases in which it is learnt."""

import ast
import contextlib
import dataclasses
import functools
import hashlib
import inspect
import json
import re
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from torch import Tensor, nn

from understudy.methods.check import check_method, check_phase, check_term

LOGITS = "logits"
# What enters the classifier.
EMBEDDING = "embedding"
TeacherMode = Literal["eval", "batch", "train"]
Need = Literal["images", "labels", "guide", "keep"]
Layers = Literal["all", "last"]
Over = Literal["image", "positions", "elements"]
CHOICES = {
    name: get_args(of) for name, of in dict(teacher_mode=TeacherMode, needs=Need, layers=Layers, over=Over).items()
}
Option = float | str | bool  # whole numbers stay whole

ADDRESS = re.compile(r" at 0x[0-9a-f]+", re.IGNORECASE)

# A function is used as it is. A class is built for each layer it sits on, once the shapes are known.
Transform = Callable[..., Any]


@dataclass(frozen=True, kw_only=True)
class Aspects:
    """How a term stands in the overhaul paper's table of design aspects; `missing` is what the teacher's side loses."""

    teacher: str = "none"
    student: str = "none"
    distance: str = ""
    missing: str = "none"


@dataclass(frozen=True, kw_only=True)
class Term:
    """One comparison of student and teacher.

    What is read. `tap` is a role that networks give to their positions ("before_relu", "after_relu", "group_end",
    "embedding"), or "logits"; `teacher_tap` is one for the teacher, and the last position of each is compared then.
    `layers` takes all of the role's positions or the last one only. `span` = 2 compares each two consecutive positions
    together. `positions` names pairs of the student's and the teacher's positions, first layer first, that are
    compared, all of them, in place of a role's.

    What is done to it. `teacher` and `student` are functions of the tensor, or classes: the student's is built as
    cls(student_shape, teacher_shape), the teacher's as cls(teacher_shape, norm), norm being the BatchNorm whose output
    the position is, or None. A `guide` is a class built as cls(*teacher_shapes): a module that a phase of its own
    trains on the teacher alone; calling it answers that phase's loss.

    How it is compared: distance(*students, *teachers, **options), with what the term `needs` by name besides: the
    `images` (with gradients), the `labels`, the trained `guide`, and `keep`, which images `select` chose. With
    `inputs` logits are compared on other images, that it makes from the batch. `across_images` says that the distance
    relates images to each other, so that several processes have to share theirs.

    How much it counts. The term is

        weight * schedule(progress) * sum over layers l of ladder^(L - l) * distance_l / size_l

    with the deepest layer L at full weight; size is 1, or the number of the positions or elements of the teacher's
    map, by `over`. With `clip` its gradient at the student is, parameter by parameter, no longer than the rest's.
    """

    name: str
    tap: str
    distance: Callable[..., Tensor]
    teacher_tap: str | None = None
    layers: Layers = "all"
    span: int = 1
    positions: tuple[tuple[str, str], ...] = ()
    teacher: Transform | None = None
    student: Transform | None = None
    guide: type[nn.Module] | None = None
    needs: tuple[Need, ...] = ()
    inputs: Callable[..., Tensor] | None = None
    select: Callable[..., Tensor] | None = None
    across_images: bool = False
    weight: float = 1.0
    ladder: float = 1.0
    over: Over = "image"
    schedule: Callable[[Tensor], Tensor] | None = None
    clip: bool = False
    options: Mapping[str, Option] = field(default_factory=dict)
    source: str = ""
    aspects: Aspects = Aspects()

    def __post_init__(self) -> None:
        """ValueError for what cannot be carried out as it is declared."""
        check_term(self, CHOICES)

    def layer_weights(self, num_layers: int) -> tuple[float, ...]:
        """Each layer's weight, first layer first."""
        return tuple(self.weight * self.ladder ** (num_layers - 1 - layer) for layer in range(num_layers))


@dataclass(frozen=True, kw_only=True)
class Phase:
    """A stretch of training: its terms, the weight of the labels' cross-entropy, its share of the epochs.

    `guides` are the terms whose guide is trained here; where there is nothing else, the student rests. `optim` are
    the optimiser's settings that the paper has otherwise in this phase.
    """

    name: str
    terms: tuple[Term, ...] = ()
    guides: tuple[Term, ...] = ()
    labels: float = 1.0
    share: float = 1.0
    optim: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """ValueError for weights below 0, and terms that are none."""
        check_phase(self, Term)

    @property
    def trains_student(self) -> bool:
        return bool(self.terms or self.labels)


@dataclass(frozen=True, kw_only=True)
class Method:
    """A paper's way of transferring: phases in the order in which they are learnt."""

    title: str
    paper: str
    phases: tuple[Phase, ...]
    family: str = ""
    teacher_mode: TeacherMode = "eval"
    notes: str = ""

    def __post_init__(self) -> None:
        """ValueError where terms of one name differ: what is built for a term serves all phases that it is in.

        And for a phase whose terms are all to be no longer than something else, which is not there; for a mode that
        there is not, and without phases.
        """
        check_method(self, Phase, CHOICES)
        for name, term in ((one.name, one) for phase in self.phases for one in phase.guides + phase.terms):
            if term != self._term(name):
                raise ValueError(
                    f"{self.title} has two terms {name!r} that are not the same; give one of them another name, as in "
                    f"replace(term, name={name + '_later'!r})"
                )

        self._check_guides_and_selections()
        for phase in self.phases:
            others = phase.guides or phase.labels or not all(term.clip for term in phase.terms)
            if phase.terms and not others:
                raise ValueError(
                    f"phase {phase.name!r} has nothing to clip {', '.join(term.name for term in phase.terms)} to; "
                    f"add labels or another term, or set terms.NAME.clip=false"
                )

    def _check_guides_and_selections(self) -> None:
        trained = {term.name for phase in self.phases for term in phase.guides}
        for term in self.terms:
            if term.guide is not None and term.name not in trained:
                raise ValueError(
                    f"{self.title}: the guide of term {term.name!r} is trained in no phase; list the term in the "
                    f"guides of one, as in Phase(name='first', guides=(TERM,), labels=0.0)"
                )
        for phase in self.phases:
            choosing = [term for term in phase.terms if term.select is not None]
            if len({id(term.select) for term in choosing}) > 1:
                raise ValueError(
                    f"{self.title}: {' and '.join(term.name for term in choosing)} select by different functions in "
                    f"phase {phase.name!r}, which chooses once; give both the same"
                )

    def _term(self, name: str) -> "Term":
        return next(term for term in self.terms if term.name == name)

    @property
    def needs_teacher(self) -> bool:
        return any(phase.terms or phase.guides for phase in self.phases)

    @property
    def terms(self) -> tuple[Term, ...]:
        """Every term once, in the order of the phases."""
        return tuple({term.name: term for phase in self.phases for term in phase.guides + phase.terms}.values())

    def fingerprint(self) -> str:
        """The same for the same declaration: understudy's and torch's functions count by their names, others by what
        they do as well, words for people not at all.
        """
        declared = [self.teacher_mode, [_plain(phase) for phase in self.phases]]
        return hashlib.sha256(json.dumps(declared).encode()).hexdigest()


def _plain(value: Any) -> Any:
    """A declaration as JSON knows it."""
    if isinstance(value, Phase | Term):
        fields = {one.name: getattr(value, one.name) for one in dataclasses.fields(value)}
        # Words for people do not count, and positions only where there are any.
        left_out = {"source", "aspects"} | (set() if fields.get("positions") else {"positions"})
        return {name: _plain(own) for name, own in fields.items() if name not in left_out}
    if isinstance(value, Mapping):
        return {key: _plain(own) for key, own in value.items()}
    if isinstance(value, tuple):
        return [_plain(own) for own in value]
    if isinstance(value, functools.partial):
        return ["partial", *map(_plain, (value.func, value.args, value.keywords))]
    if isinstance(value, str | float | int | None):
        return value
    # Where an object lies in memory is another place in every process.
    name = getattr(value, "__qualname__", ADDRESS.sub("", repr(value)))
    # What is built into torch says no module.
    is_ours = (getattr(value, "__module__", None) or "torch").partition(".")[0] in ("understudy", "torch", "builtins")
    return name if is_ours else f"{name} {_digest_of(value)}"


def _digest_of(function: Any) -> str:
    """Of what a function or class says, whatever its layout and comments; of its byte code where its text is lost."""
    said = function if inspect.isroutine(function) or inspect.isclass(function) else type(function)
    try:
        text = textwrap.dedent(inspect.getsource(said))
    except (OSError, TypeError):
        code = getattr(function, "__code__", None)
        text = "" if code is None else code.co_code.hex()
    # Numbers that the function was made with are part of what it does.
    held = [cell.cell_contents for cell in getattr(function, "__closure__", None) or () if _is_value(cell)]
    made_with = repr(held) if held else ""
    with contextlib.suppress(SyntaxError):  # a lambda's line may be a part of something
        text = ast.dump(ast.parse(text))
    return hashlib.sha256(f"{text}{made_with}".encode()).hexdigest()[:12]


def _is_value(cell: Any) -> bool:
    """Whether the cell of a closure holds something that is written alike in every process."""
    try:
        return isinstance(cell.cell_contents, str | int | float | bool | None)
    except ValueError:  # not filled yet
        return False
