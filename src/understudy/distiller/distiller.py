"""Method + teacher + student -> one module that answers the loss and its named terms."""

from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from understudy.distiller.arguments import check_arguments
from understudy.distiller.comparisons import Comparison, Site, find_comparisons
from understudy.distiller.frozen import Frozen
from understudy.distiller.made_images import answers_to_made, nothing_made
from understudy.distiller.objective import cross_entropy
from understudy.distiller.reading import Reader, positions_read
from understudy.distiller.teacher_side import TeacherSide, freeze_teacher, refuse_nan
from understudy.gradients import add_clipped, gradients_of, norm_of
from understudy.methods import LOGITS, Method, Phase, Term, find
from understudy.modes import undisturbed
from understudy.processes import mean_over_processes, of_all_processes, share_of_all
from understudy.taps import Lean
from understudy.twice import twice_differentiable

TASK = "task"

# Term name -> what the student is to come to at each of the term's positions.
Wanted = dict[str, list[Tensor]]


class Distiller(nn.Module):
    """A student that learns from a teacher by `method`, or by that of a name; called as `distiller(images, labels)`.

    The answer is a dict: `loss` (a scalar to call backward on), `output` (the logits, detached), and each term's own
    contribution to the loss, detached, under its name; the labels' cross-entropy is called `task`. This is the form of
    timm's training tasks, so other loops can hold it. A phase that trains nothing but guides has no `output`: the
    student rests.

    `objective(output, labels)` is what the labels ask of the student's output, a scalar: the cross-entropy of logits
    where none is given. A module is trained with the student, in the phases that have labels; it is not part of it.

    `images` is an example batch (B, C, H, W): one dry run of each network on it finds the positions and their shapes.
    The teacher is frozen here, once, and follows the method's mode whatever `train()` says. `student` and `teacher`
    themselves are not wrapped: after training, `distiller.student` is the plain network.

    In several processes (torch.distributed), each with its share of the batch, terms that compare images with each
    other exchange theirs; averaged gradients are then those of the whole batch, but for BatchNorm's statistics, and for
    OFD's margins on a teacher without BatchNorm, which are those of each process's images.

    Raises ValueError for arguments of other kinds, where the method needs a teacher and there is none, or positions
    cannot be compared.
    """

    scales: Tensor
    progress: Tensor
    epochs: Tensor

    def __init__(
        self,
        student: nn.Module,
        teacher: nn.Module | None,
        method: Method | str,
        images: Tensor,
        objective: Callable[..., Tensor] | None = None,
    ):
        super().__init__()
        check_arguments(student, teacher, method, images)
        method = find(method) if isinstance(method, str) else method
        if method.needs_teacher and teacher is None:
            raise ValueError(f"{method.title} needs a teacher; found none")
        refuse_nan("student", student)
        self.method = method
        self.student = student
        self.objective = objective or cross_entropy
        self.teacher = teacher if method.needs_teacher else None
        if self.teacher is not None:
            freeze_teacher(self.teacher)
        self.comparisons = find_comparisons(method, student, self.teacher, images).to(images)
        self.term_names = [term.name for term in method.terms]
        self.register_buffer("scales", torch.ones(len(self.term_names), device=images.device))
        self.register_buffer("progress", torch.zeros((), device=images.device), persistent=False)
        self.register_buffer("epochs", torch.zeros((), device=images.device), persistent=False)
        self._attach_readers(images)
        # Where a phase is compiled, its function is replaced here; the eager one stays.
        self._answers: dict[int, Callable[..., Any]] = {}
        self._frozen = Frozen()
        self.enter(0)
        self.train()

    # What is compared -------------------------------------------------------------------------------------------------

    @property
    def phase(self) -> Phase:
        """The phase being learnt; `enter` changes it."""
        return self.method.phases[self.phase_index]

    def __getstate__(self) -> Any:
        """ValueError: no copy, and no file, has the hooks that read the networks."""
        raise ValueError(
            "a distiller cannot be copied or pickled: what reads its networks is attached to these very ones; make "
            "another one, and give it this one's state_dict()"
        )

    def enter(self, phase_index: int) -> None:
        """Learn by another phase from the next call on; it stands at its beginning."""
        self.phase_index = phase_index
        self.progress.zero_()
        self.epochs.zero_()
        self._over: set[str] = set()
        learnt = {term.name for term in self.phase.guides}
        for name in self.term_names:
            self.comparison(name).guides.requires_grad_(name in learnt)
        self.train(self.training)

    def freeze(self, names: Collection[str]) -> None:
        """Keep these parameters, named as in `named_parameters`, as they are in every phase: they get no gradient.

        A BatchNorm all of whose parameters are frozen keeps its running statistics as well and uses them: it stays in
        evaluation mode. So does one without parameters in a frozen module. Call this before `compile`.
        """
        self._frozen.add(self, names)
        self.train(self.training)

    def at(self, progress: float, epochs: float) -> None:
        """Where the phase stands: the share of its steps that is done, and the epochs. Weights that move follow it."""
        self.progress.fill_(progress)
        self.epochs.fill_(epochs)
        # What comes to nothing here makes no images, and no statistics follow them.
        making = [term for term in self.phase.terms if term.inputs is not None]
        self._over = {term.name for term in making if _schedule(term, progress) == 0.0}

    def comparison(self, name: str) -> Comparison:
        """What the term of this name compares, with its connectors."""
        found = self.comparisons[name]
        assert isinstance(found, Comparison)
        return found

    @property
    def sites(self) -> dict[str, list[Site]]:
        """Term name -> the positions it compares, first layer first."""
        return {name: self.comparison(name).sites for name in self.term_names}

    def phase_parameters(self) -> list[nn.Parameter]:
        """What this phase trains: the student with its connectors and objective, and the guides learnt in it."""
        modules: list[nn.Module] = [self.student] if self.phase.trains_student else []
        if isinstance(self.objective, nn.Module) and self.phase.trains_student and self.phase.labels:
            modules.append(self.objective)
        modules += [self.comparison(term.name).students for term in self.phase.terms]
        modules += [self.comparison(term.name).guides for term in self.phase.guides]
        return [p for module in modules for p in module.parameters() if p.requires_grad]

    def _attach_readers(self, images: Tensor) -> None:
        """No modules: what reads the networks, and a lean copy of the teacher, have no part in the state."""
        phases = [*enumerate(self.method.phases)] if self.teacher is not None else []
        names = {index: positions_read(phase, self.sites, lambda site: site.student) for index, phase in phases}
        self._read_student = Reader(self.student, names, images)
        self._read_teacher = (
            TeacherSide(self.teacher, self.method, self.sites, images) if self.teacher is not None else None
        )

    def remove_readers(self) -> None:
        """Take everything off the networks that was attached to read them; the distiller is of no use afterwards.

        The teacher is left in evaluation mode, and its BatchNorms track again when they are trained. What `freeze` has
        frozen learns again.
        """
        self._frozen.release()
        self._read_student.remove()
        if self._read_teacher is not None:
            self._read_teacher.remove()

    # The teacher's lean copy ------------------------------------------------------------------------------------------

    def make_teacher_lean(self, images: Tensor, dtype: torch.dtype = torch.float32) -> Lean | None:
        """Read the teacher from a copy from now on: BatchNorms folded, weights cast once, no further than is needed.

        `dtype` is the one in which autocast is to compute it, float32 where there is to be no autocast. None, and
        nothing changes, for a method whose teacher does not use its running statistics. The copy takes the memory of
        the weights once more and is of the teacher as it is now: call this after its last change and before `compile`.
        Moving, converting or loading the distiller ends it.
        """
        return None if self._read_teacher is None else self._read_teacher.make_lean(images, dtype)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "Distiller":
        if self._read_teacher is not None:
            self._read_teacher.drop_lean()
        return super()._apply(fn, recurse)

    def load_state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """As any module's; the teacher is read from itself again."""
        if self._read_teacher is not None:
            self._read_teacher.drop_lean()
        return super().load_state_dict(*args, **kwargs)

    # Training ---------------------------------------------------------------------------------------------------------

    def train(self, mode: bool = True) -> "Distiller":
        """As any module's, but teacher and guides keep the modes that method and phase declare."""
        super().train(mode)
        learnt = {term.name for term in self.phase.guides}
        for name in self.term_names:
            self.comparison(name).guides.train(mode and name in learnt)
        if self._read_teacher is not None:
            self._read_teacher.train(mode)
        self._frozen.hold()
        return self

    def compile(self, **options: Any) -> None:
        """Compile each phase with torch.compile's options; what needs gradients inside the forward stays eager.

        A phase with input gradients or images of its own compiles the networks only, as far as they are not
        differentiated twice.
        """
        for index, phase in enumerate(self.method.phases):
            if not any(_is_eager(term) for term in phase.terms):
                self._answers[index] = torch.compile(self._answer, **options)
                continue
            if any("images" in term.needs for term in phase.terms):
                continue
            self._read_student.compile(index, **options)
            if self._read_teacher is not None:
                self._read_teacher.compile(index, **options)

    def forward(
        self, images: Tensor, labels: Tensor, keep: Tensor | None = None, known: Wanted | None = None
    ) -> dict[str, Tensor]:
        """`keep` (B,) says which images the terms that select look at: all where it is not given.

        `known` is what `wanted` answered for these very images: the teacher rests where it is given.
        """
        if self._read_teacher is not None and not torch.compiler.is_compiling():
            self._read_teacher.keep_mode(self.training)
        answer = self._answers.get(self.phase_index, self._answer)
        logits, terms = answer(images, labels, keep, known)
        output = {} if logits is None else {"output": logits}
        loss = self._total(terms)
        return {"loss": loss, **output, **{name: value.detach() for name, value in terms.items()}}

    def _total(self, terms: dict[str, Tensor]) -> Tensor:
        """The sum of the terms, with the gradients of those that are clipped kept no longer than the others'."""
        clipped = {term.name for term in self.phase.terms if term.clip}
        if not clipped:
            return torch.stack(list(terms.values())).sum()
        main = [value for name, value in terms.items() if name not in clipped]
        student = [p for p in self.student.parameters() if p.requires_grad]
        own = {id(parameter) for parameter in student}
        others = [p for p in self.phase_parameters() if id(p) not in own]
        transfer = torch.stack([terms[name] for name in terms if name in clipped]).sum()
        # The authors' factor, of whole epochs: half in the first, nearly all of the main gradient after some.
        return add_clipped(torch.stack(main).sum(), transfer, student, others, torch.sigmoid(self.epochs.floor()))

    def wanted(self, images: Tensor) -> Wanted:
        """Term name -> the teacher's side of its comparison on these images, one tensor for each position."""
        return self._wanted(self._teacher_features(images))

    def _wanted(self, teacher: dict[str, Tensor]) -> Wanted:
        terms = [term for term in self.phase.terms if term.inputs is None]
        return {term.name: self.comparison(term.name).wanted(teacher) for term in terms}

    def _answer(
        self, images: Tensor, labels: Tensor, keep: Tensor | None, known: Wanted | None = None
    ) -> tuple[Tensor | None, dict[str, Tensor]]:
        """The student's logits (detached) and the terms with their gradients."""
        phase = self.phase
        if any("images" in term.needs for term in phase.terms):
            images = images.detach().requires_grad_()
        teacher = self._teacher_features(images) if known is None else {}
        terms = {
            f"{term.name}_guide": self.comparison(term.name).guide_loss(teacher, of_all_processes)
            for term in phase.guides
        }
        wanted = self._wanted(teacher) if known is None else known
        # The features are freed before the student's forward: only what the terms made of them is kept.
        teacher_logits = teacher.get(LOGITS)
        del teacher
        if not phase.trains_student:
            return None, terms
        student = self._student_features(images)
        if phase.labels:
            terms[TASK] = phase.labels * self.objective(student[LOGITS], labels)
        extras = {"images": images, "labels": labels, "keep": keep}
        for term in phase.terms:
            if term.inputs is None:
                terms[term.name] = self._weighed(term, student, wanted[term.name], extras)
                continue
            if teacher_logits is None:
                raise ValueError(
                    f"{term.name} asks the teacher about images that it makes itself; call without `known`"
                )
            own, others, count = self._made(term, images, labels, (student[LOGITS], teacher_logits))
            value = self._weighed(term, own, self.comparison(term.name).wanted(others), extras)
            terms[term.name] = value * share_of_all(count)
        # Detached: as a differentiable output it would give unused parameters zero gradients when compiled, and weight
        # decay would then shrink them.
        return tree_map_only(Tensor, Tensor.detach, student[LOGITS]), terms

    def _weighed(self, term: Term, own: dict[str, Tensor], wanted: list[Tensor], extras: Any) -> Tensor:
        value = self.comparison(term.name)(own, wanted, extras, of_all_processes)
        scale = self.scales[self.term_names.index(term.name)]
        return value * scale if term.schedule is None else value * scale * term.schedule(self.progress)

    def _student_features(self, images: Tensor) -> dict[str, Tensor]:
        with twice_differentiable() if images.requires_grad else nullcontext():
            return self._read_student(self.phase_index, images)

    def _teacher_features(self, images: Tensor) -> dict[str, Tensor]:
        return {} if self._read_teacher is None else self._read_teacher(self.phase_index, images)

    def _made(
        self, term: Term, images: Tensor, labels: Tensor, answers: tuple[Tensor, Tensor]
    ) -> tuple[dict[str, Tensor], dict[str, Tensor], int]:
        """Both networks' logits on the images that the term makes; none where its weight has come to nothing."""
        assert self.teacher is not None
        if term.name in self._over:
            return nothing_made(answers)
        return answers_to_made(term, (self.student, self.teacher), images, labels, answers)

    def learns_from_terms(self, images: Tensor) -> bool:
        """Whether the phase's terms reach a parameter that is trained. Networks and random states stay as they were."""
        labels = torch.zeros(len(images), dtype=torch.long, device=images.device)
        with self._undisturbed(), torch.enable_grad():
            _, terms = self._answer(images, labels, None)
        return any(value.requires_grad for value in terms.values())

    # Looking at gradients ---------------------------------------------------------------------------------------------

    def gradient_norms(self, images: Tensor, labels: Tensor, keep: Tensor | None = None) -> dict[str, float]:
        """The L2 norm of each term's gradient at the student's parameters, and of the task's under "task".

        The task is what the labels ask, at weight 1, whether the phase learns it or not. Networks, statistics and
        random states are left as they were. Empty in a phase in which the student rests.
        """
        if not self.phase.trains_student:
            return {}
        parameters = [p for p in self.student.parameters() if p.requires_grad]
        with self._undisturbed(), torch.enable_grad():
            # Nothing holds this graph when the next one is made: both together would take twice a step's memory.
            task = self._norm(self.objective(self._student_features(images)[LOGITS], labels), parameters)
            norms = {TASK: task}
            _, terms = self._answer(images, labels, keep)
            for name, value in terms.items():
                if name != TASK:
                    norms[name] = self._norm(value, parameters)
        return {name: float(value) for name, value in norms.items()}

    @staticmethod
    def _norm(loss: Tensor, parameters: list[nn.Parameter]) -> Tensor:
        return norm_of(mean_over_processes(gradients_of(loss, parameters)))

    def balance(self, ratio: float, images: Tensor, labels: Tensor, keep: Tensor | None = None) -> dict[str, float]:
        """Scale the phase's terms so that each one's gradient at the student is `ratio` times the task's on this batch.

        The answer is each term's factor, which its weight is multiplied by from now on. A term without gradient here
        keeps its weight: no factor would help it; and so do all where the labels have none.
        """
        return self.rescale(ratio, self.gradient_norms(images, labels, keep))

    def rescale(self, ratio: float, norms: dict[str, float]) -> dict[str, float]:
        """`balance` by norms as `gradient_norms` answers them, of one batch or in the mean of several."""
        for term in self.phase.terms:
            if norms[term.name] > 0.0 and norms[TASK] > 0.0:
                self.scales[self.term_names.index(term.name)] *= ratio * norms[TASK] / norms[term.name]
        return {term.name: float(self.scales[self.term_names.index(term.name)]) for term in self.phase.terms}

    @contextmanager
    def _undisturbed(self) -> Iterator[None]:
        """A stretch that leaves buffers and random states as they were; nothing runs compiled, which keeps no graph."""
        with undisturbed(self), ExitStack() as stretch:
            for reader in (self._read_student, self._read_teacher):
                if reader is not None:
                    stretch.enter_context(reader.uncompiled())
            yield


def _schedule(term: Term, progress: float) -> float:
    """How much of the term's weight counts after this share of the phase's steps."""
    return 1.0 if term.schedule is None else float(term.schedule(torch.tensor(progress)))


def _is_eager(term: Term) -> bool:
    """Whether the term takes gradients inside the forward, or images whose number is not known before."""
    return "images" in term.needs or term.inputs is not None
