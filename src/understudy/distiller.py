"""Method + teacher + student -> one module that answers the loss and its named terms."""

from collections.abc import Iterable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from understudy.methods import LOGITS, Method, Phase, Term
from understudy.ops import at_least_float32
from understudy.taps import Position, Tapped, pairs

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


class Distiller(nn.Module):
    """A student that learns from a teacher by `method`; called as `distiller(images, labels)`.

    The answer is a dict: `loss` (a scalar to call backward on), `output` (the logits, detached), and each term's own
    contribution to the loss, detached, under its name; the labels' cross-entropy is called `task`. This is the form of
    timm's training tasks, so other loops can hold it.

    `images` is an example batch (B, C, H, W): one dry run of each network on it finds the positions and their shapes.
    The teacher is frozen here, once, and follows the method's mode whatever `train()` says. `student` and `teacher`
    themselves are not wrapped: after training, `distiller.student` is the plain network.

    Raises ValueError where the method needs a teacher and there is none, or positions cannot be compared.
    """

    def __init__(self, student: nn.Module, teacher: nn.Module | None, method: Method, images: Tensor):
        super().__init__()
        if method.needs_teacher and teacher is None:
            raise ValueError(f"{method.title} needs a teacher; found none")
        self.method = method
        self.student = student
        self.teacher = teacher if method.needs_teacher else None
        if self.teacher is not None:
            self.teacher.requires_grad_(False)
        self.adapters = nn.ModuleDict()
        self.positions = self._find_positions(images)
        self._readers = self._attach_readers(images)
        self._build_adapters()
        self.phase_index = 0
        self.train()

    # What is compared -------------------------------------------------------------------------------------------------

    @property
    def phase(self) -> Phase:
        """The phase being learnt; `enter` changes it."""
        return self.method.phases[self.phase_index]

    def enter(self, phase_index: int) -> None:
        """Learn by another phase from the next call on."""
        self.phase_index = phase_index

    def phase_parameters(self) -> list[nn.Parameter]:
        """What this phase trains: the student, and the connectors of the phase's terms."""
        connectors = [self.adapters[term.name] for term in self.phase.terms if term.name in self.adapters]
        return [p for module in (self.student, *connectors) for p in module.parameters() if p.requires_grad]

    def _find_positions(self, images: Tensor) -> dict[str, list[tuple[Position, Position]]]:
        """Term name -> the pairs of positions it compares, first layer first."""
        if self.teacher is None:
            return {}
        roles = {term.tap for phase in self.method.phases for term in phase.terms if term.tap != LOGITS}
        by_role = {role: pairs(self.student, self.teacher, role, images) for role in sorted(roles)}
        terms = [term for phase in self.method.phases for term in phase.terms]
        return {term.name: by_role[term.tap] for term in terms if term.tap != LOGITS}

    def _attach_readers(self, images: Tensor) -> dict[int, tuple[Tapped, Tapped]]:
        """Phase index -> the readers of student and teacher, for phases that compare features.

        All are attached here: a hook that is registered after a module was compiled never fires.
        """
        readers = {}
        for index, phase in enumerate(self.method.phases):
            found = [pair for term in phase.terms for pair in self.positions.get(term.name, [])]
            if found and self.teacher is not None:
                student_names = list(dict.fromkeys(student.name for student, _ in found))
                teacher_names = list(dict.fromkeys(teacher.name for _, teacher in found))
                readers[index] = (
                    Tapped(self.student, student_names, images),
                    Tapped(self.teacher, teacher_names, images),
                )
        return readers

    def _build_adapters(self) -> None:
        for term in (term for phase in self.method.phases for term in phase.terms):
            if term.connector is None:
                continue
            built = []
            for student, teacher in self.positions[term.name]:
                try:
                    built.append(term.connector(student.shape, teacher.shape))
                except ValueError as error:
                    raise ValueError(f"{term.name} at {student.name} <- {teacher.name}: {error}") from error
            self.adapters[term.name] = nn.ModuleList(built)

    # Training ---------------------------------------------------------------------------------------------------------

    def train(self, mode: bool = True) -> "Distiller":
        """As any module's, but the teacher keeps the mode that the method declares."""
        super().train(mode)
        if self.teacher is not None:
            set_teacher_mode(self.teacher, self.method.teacher_mode if mode else "eval")
        return self

    def forward(self, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
        phase = self.phase
        readers = self._readers.get(self.phase_index)
        student_features: Mapping[str, Tensor] = {}
        teacher_features: Mapping[str, Tensor] = {}
        teacher_logits = None
        if readers is not None:
            student_logits, student_features = readers[0](images)
        else:
            student_logits = self.student(images)
        if phase.terms and self.teacher is not None:
            with torch.no_grad():
                if readers is not None:
                    teacher_logits, teacher_features = readers[1](images)
                else:
                    teacher_logits = self.teacher(images)

        terms: dict[str, Tensor] = {}
        if phase.labels:
            terms["task"] = phase.labels * F.cross_entropy(at_least_float32(student_logits), labels)
        for term in phase.terms:
            if term.tap == LOGITS:
                terms[term.name] = term.weight * term.distance(student_logits, teacher_logits, **term.options)
            else:
                terms[term.name] = self._compare(term, student_features, teacher_features)
        loss = torch.stack(list(terms.values())).sum()
        detached = {name: value.detach() for name, value in terms.items()}
        # Detached as well: as a differentiable output it would give unused parameters zero gradients when compiled,
        # and weight decay would then shrink them.
        return {"loss": loss, "output": student_logits.detach(), **detached}

    def _compare(
        self, term: Term, student_features: Mapping[str, Tensor], teacher_features: Mapping[str, Tensor]
    ) -> Tensor:
        """The term's weighted sum over its layers."""
        found = self.positions[term.name]
        plain: Iterable[nn.Module] = [nn.Identity()] * len(found)
        connectors = plain if term.connector is None else self.adapters[term.name].children()
        total = torch.zeros((), device=next(iter(student_features.values())).device)
        for (student, teacher), connector, weight in zip(
            found, connectors, term.layer_weights(len(found)), strict=True
        ):
            wanted = teacher_features[teacher.name]
            wanted = wanted if term.teacher is None else term.teacher(wanted)
            total = total + weight * term.distance(connector(student_features[student.name]), wanted, **term.options)
        return total


def set_teacher_mode(teacher: nn.Module, mode: str) -> None:
    """Put a teacher into one of its three modes.

    `eval` uses the running statistics, `batch` the batch's own and leaves the buffers as they are, `train` the batch's
    own and moves the buffers (for exact replication of programs that left it so).
    """
    teacher.train(mode == "train")
    for module in teacher.modules():
        if isinstance(module, BATCH_NORMS) and module.running_mean is not None:
            module.training = mode != "eval"
            # A BatchNorm in training that does not track neither reads nor moves its buffers.
            module.track_running_stats = mode != "batch"
