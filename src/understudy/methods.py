"""Every method as a declaration: d( T_t(F_t), T_s(F_s) ), its weight, and the phases in which it is learnt."""

import difflib
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from torch import Tensor, nn

from understudy.connectors import match_width
from understudy.losses import activation_boundary, kd

Build = Callable[[Sequence[int], Sequence[int]], nn.Module]
TeacherMode = Literal["eval", "batch", "train"]
LOGITS = "logits"


@dataclass(frozen=True, kw_only=True)
class Term:
    """One comparison of student and teacher.

    `tap` is a role that networks give to their positions ("before_relu", "group_end"), or "logits". `connector`, where
    there is one, is called with the two shapes of each position and returns the student's transform; `teacher` is a
    function of the teacher's tensor. The term is

        weight * sum over layers l of ladder^(L - l) * distance(connector_l(s_l), teacher(t_l), **options)

    with the deepest layer L at full weight.
    """

    name: str
    tap: str
    distance: Callable[..., Tensor]
    teacher: Callable[[Tensor], Tensor] | None = None
    connector: Build | None = None
    weight: float = 1.0
    ladder: float = 1.0
    options: Mapping[str, float] = field(default_factory=dict)
    source: str = ""

    def layer_weights(self, num_layers: int) -> tuple[float, ...]:
        """Each layer's weight, first layer first."""
        return tuple(self.weight * self.ladder ** (num_layers - 1 - layer) for layer in range(num_layers))


@dataclass(frozen=True, kw_only=True)
class Phase:
    """A stretch of training: its terms, the weight of the labels' cross-entropy, its share of the epochs.

    `sched` overrides the run's schedule where the paper has another one in this phase.
    """

    name: str
    terms: tuple[Term, ...] = ()
    labels: float = 1.0
    share: float = 1.0
    sched: str | None = None


@dataclass(frozen=True, kw_only=True)
class Method:
    """A paper's way of transferring: phases in the order in which they are learnt."""

    title: str
    paper: str
    phases: tuple[Phase, ...]
    teacher_mode: TeacherMode = "eval"
    notes: str = ""

    @property
    def needs_teacher(self) -> bool:
        return any(phase.terms for phase in self.phases)


KD_TERM = Term(
    name="kd",
    tap=LOGITS,
    distance=kd,
    options={"temperature": 4.0},
    source="Hinton et al. 2014; T = 4 as in the AT and NST experiments",
)

# The second phase of the AB authors' program: T = 3, the divergence without the factor T^2.
KD_TERM_AS_AB = replace(
    KD_TERM,
    weight=1.0 / 3.0**2,
    options={"temperature": 3.0},
    source="the AB authors' CIFAR-10 code: T = 3, without the factor T^2",
)

AB_TERM = Term(
    name="ab",
    tap="before_relu",
    distance=activation_boundary,
    connector=match_width,
    weight=3e-3,
    ladder=0.5,
    options={"margin": 1.0},
    source="the AB authors' CIFAR-10 code: 3/1000, each earlier layer half of the next",
)

# The paper's 20 + 100 epochs, at a constant rate and without labels in the first.
AB_INITIALISE = Phase(name="initialise", terms=(AB_TERM,), labels=0.0, share=20 / 120, sched="constant")

METHODS: dict[str, Method] = {
    "none": Method(
        title="Cross-entropy",
        paper="no transfer: the student alone",
        phases=(Phase(name="train"),),
    ),
    "kd": Method(
        title="KD",
        paper="Hinton, Vinyals & Dean, NIPS workshop 2014",
        phases=(Phase(name="train", terms=(KD_TERM,)),),
        notes="cross-entropy + T^2 KL, T = 4",
    ),
    "kd_only": Method(
        title="KD without labels",
        paper="Hinton, Vinyals & Dean, NIPS workshop 2014, as in the AB authors' experiments",
        phases=(Phase(name="train", terms=(KD_TERM_AS_AB,), labels=0.0),),
        notes="KL at T = 3 without T^2, no cross-entropy",
    ),
    "ab": Method(
        title="AB",
        paper="Heo, Lee, Yun & Choi, AAAI 2019",
        phases=(AB_INITIALISE, Phase(name="train", share=100 / 120)),
        notes="activation boundaries first, then cross-entropy",
    ),
    "ab+kd": Method(
        title="AB + KD",
        paper="Heo, Lee, Yun & Choi, AAAI 2019",
        phases=(
            AB_INITIALISE,
            Phase(name="train", terms=(KD_TERM_AS_AB,), labels=0.0, share=100 / 120),
        ),
        notes="as the authors trained: the second phase is kd_only; method.labels=true adds the cross-entropy",
    ),
}


def find(name: str) -> Method:
    """The method called `name`: an entry of METHODS, or entries joined by + in any order.

    A combination that a paper trained is an entry of its own and wins over the automatic one. Raises ValueError for
    a name nobody knows, with the nearest ones.
    """
    parts = name.split("+")
    for known, method in METHODS.items():
        if sorted(known.split("+")) == sorted(parts):
            return method
    for part in parts:
        if part not in METHODS:
            near = difflib.get_close_matches(part, METHODS, n=3, cutoff=0.4)
            nearest = f"; nearest: {', '.join(near)}" if near else ""
            raise ValueError(f"there is no method {part!r}{nearest}; there are {', '.join(METHODS)}, joined by +")
    return combine([METHODS[part] for part in parts])


def combine(methods: Sequence[Method]) -> Method:
    """One method with the phases of all: phases of one name are learnt together, "train" is learnt last.

    Raises ValueError where two of them bring the same term, or want the teacher in different modes.
    """
    modes: set[TeacherMode] = {method.teacher_mode for method in methods if method.needs_teacher}
    if len(modes) > 1:
        raise ValueError(
            f"{' and '.join(method.title for method in methods)} want the teacher in different modes "
            f"({', '.join(sorted(modes))}); say which with method.teacher_mode"
        )
    mode: TeacherMode = modes.pop() if modes else "eval"
    names = dict.fromkeys(phase.name for method in methods for phase in method.phases)
    in_order = [name for name in names if name != "train"] + ["train"] * ("train" in names)
    return Method(
        title=" + ".join(method.title for method in methods),
        paper="; ".join(dict.fromkeys(method.paper for method in methods)),
        phases=tuple(_merge([p for m in methods for p in m.phases if p.name == name]) for name in in_order),
        teacher_mode=mode,
    )


def _merge(phases: Sequence[Phase]) -> Phase:
    """Several methods' phases of one name as one: all terms, and the labels if any of them uses labels."""
    terms = tuple(term for phase in phases for term in phase.terms)
    repeated = sorted({term.name for term in terms if [other.name for other in terms].count(term.name) > 1})
    if repeated:
        raise ValueError(f"the combination has the term {', '.join(repeated)} twice; name each method once")
    staged = [phase for phase in phases if phase.share < 1.0] or list(phases)
    return replace(phases[0], terms=terms, labels=max(phase.labels for phase in phases), share=staged[0].share)


def adjust(
    method: Method,
    *,
    labels: bool | None = None,
    teacher_mode: TeacherMode | None = None,
    terms: Mapping[str, Mapping[str, float]] | None = None,
) -> Method:
    """The method with the user's changes: labels in the last phase, the teacher's mode, a term's numbers.

    `terms` maps a term's name to `weight`, `ladder` or an option of its distance. Raises ValueError for a name that
    does not exist, with the existing ones.
    """
    phases = list(method.phases)
    if labels is not None:
        phases[-1] = replace(phases[-1], labels=1.0 if labels else 0.0)
        if not labels and not phases[-1].terms:
            raise ValueError("method.labels=false leaves the last phase with nothing to learn; combine with kd")
    known = {term.name for phase in phases for term in phase.terms}
    for name in terms or {}:
        if name not in known:
            raise ValueError(
                f"terms.{name}: {method.title} has no such term; "
                + (f"it has {', '.join(sorted(known))}" if known else "it has none")
            )
    changed = tuple(
        replace(phase, terms=tuple(_change(term, (terms or {}).get(term.name, {})) for term in phase.terms))
        for phase in phases
    )
    return replace(method, phases=changed, teacher_mode=teacher_mode or method.teacher_mode)


def _change(term: Term, numbers: Mapping[str, float]) -> Term:
    """The term with other numbers; ValueError for one it does not have."""
    allowed = ["weight", "ladder", *list(inspect.signature(term.distance).parameters)[2:]]
    for key in numbers:
        if key not in allowed:
            near = difflib.get_close_matches(key, allowed, n=1, cutoff=0.4)
            nearest = f"; nearest: {near[0]}" if near else ""
            raise ValueError(f"terms.{term.name}.{key}: allowed are {', '.join(allowed)}{nearest}")
    own = {key: value for key, value in numbers.items() if key in ("weight", "ladder")}
    options = {key: value for key, value in numbers.items() if key not in own}
    return replace(term, options={**term.options, **options}, **own)
