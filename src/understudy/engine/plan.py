"""What a run will do: its settings with the networks, data and phases they name."""

from dataclasses import dataclass

import torch
from torch import nn

from understudy.data import Dataset, Loading, load
from understudy.engine import facts
from understudy.engine.networks import build_student, build_teacher
from understudy.engine.precision import Precision, choose
from understudy.engine.refusal import check_size
from understudy.methods import Method, adjust, find
from understudy.spec import Settings, epochs_per_phase


@dataclass(frozen=True, kw_only=True)
class Plan:
    """`epochs` has one count for each phase of the method; `sizes` the parameters and multiply-adds of each network.

    `left_random` names what the student's file of weights could not fill: a classifier of other classes.
    """

    settings: Settings
    method: Method
    epochs: tuple[int, ...]
    data: Dataset
    student: nn.Module
    teacher: nn.Module | None
    left_random: list[str]
    sizes: dict[str, dict[str, int]]

    @property
    def batch_multiply_adds(self) -> float:
        """Of one batch through the larger network, forward."""
        return float(self.settings.batch_size * max(size["multiply_adds"] for size in self.sizes.values()))

    def choose_precision(self) -> Precision:
        """What the settings' `auto` means for these networks on this machine."""
        # Backward costs twice the forward; the teacher only goes forward.
        per_image = 3 * self.sizes["student"]["multiply_adds"]
        if self.method.needs_teacher:
            per_image += self.sizes["teacher"]["multiply_adds"]
        return choose(
            self.settings.run,
            multiply_adds=max(size["multiply_adds"] for size in self.sizes.values()),
            phase_multiply_adds=float(max(self.epochs) * len(self.data.train) * per_image),
        )


def make_plan(
    settings: Settings,
    student: nn.Module | None = None,
    teacher: nn.Module | None = None,
    data: Dataset | None = None,
    method: Method | None = None,
) -> Plan:
    """The plan for these settings; networks, data and a method that are not given are what the settings name.

    Raises ValueError for whatever cannot be carried out.
    """
    method = adjust(
        method or find(settings.method.name),
        labels=settings.method.labels,
        teacher_mode=settings.method.teacher_mode,
        terms=settings.terms,
    )
    epochs = epochs_per_phase(settings.epochs, tuple(phase.share for phase in method.phases))
    _check_teacher(settings, method, teacher)
    _check_mixing(settings, method)
    data = data or load_data(settings)
    # The student's random weights depend on the seed alone, so that runs of different methods can be paired.
    torch.manual_seed(settings.run.seed)
    left_random: list[str] = []
    if student is None:
        student, left_random = build_student(settings.student, data)
    if teacher is None and settings.teacher is not None:
        teacher = build_teacher([settings.teacher, *settings.more_teachers], data)
    torch.manual_seed(settings.run.seed + 1)
    networks = {"student": student} if teacher is None else {"student": student, "teacher": teacher}
    return Plan(
        settings=settings,
        method=method,
        epochs=epochs,
        data=data,
        student=student,
        teacher=teacher,
        left_random=left_random,
        sizes={role: _measure(role, network, data) for role, network in networks.items()},
    )


def _check_teacher(settings: Settings, method: Method, given: nn.Module | None) -> None:
    if given is not None:
        return
    if settings.teacher is None and method.needs_teacher:
        raise ValueError(f"method {settings.method.name} needs a teacher; give --teacher")
    for one in (settings.teacher, *settings.more_teachers):
        if one is not None and one.weights is None:
            raise ValueError(
                f"teacher {one.model} has no weights; give --teacher-weights FILE, "
                f"or the folder of a run that trained it as --teacher"
            )


def _check_mixing(settings: Settings, method: Method) -> None:
    """Mixed images have no label of their own, which smoothed ones keep as the likeliest."""
    if not settings.data.mixup and not settings.data.cutmix:
        return
    for term in method.terms:
        if term.inputs is not None or term.select is not None:
            raise ValueError(
                f"{term.name} asks which class an image is of, and data.mixup and data.cutmix mix two images in one; "
                f"leave them out, or choose another method"
            )


def _measure(role: str, network: nn.Module, data: Dataset) -> dict[str, int]:
    """Parameters and multiply-adds for one image. Raises ValueError where the network does not fit the data."""
    image = torch.zeros(1, *data.image_shape)
    check_size(f"the {role}", "data.size", network, image)
    output, multiply_adds = facts.multiply_adds(network, image)
    # A teacher may know other classes: terms that compare its logits with the student's say so themselves.
    expected = data.num_classes if role == "student" else output[-1]
    if tuple(output) != (1, expected):
        raise ValueError(
            f"the {role} answers {tuple(output)} to one image, expected (1, {data.num_classes}): "
            f"one logit for each class of {data.name}"
        )
    return {"parameters": facts.num_parameters(network), "multiply_adds": multiply_adds, "classes": output[-1]}


def load_data(settings: Settings) -> Dataset:
    wanted = settings.data
    return load(
        wanted.name,
        folder=wanted.folder,
        percent=wanted.percent,
        per_class=wanted.per_class,
        validation=wanted.validation,
        seed=wanted.seed,
        download=wanted.download,
        classes=wanted.classes,
        loading=Loading(
            how=wanted.loading,
            size=wanted.size,
            crop_pct=wanted.crop_pct,
            scale=wanted.scale,
            hflip=wanted.hflip,
            workers=wanted.workers,
            memory_gb=wanted.memory_gb,
            mean=wanted.mean and tuple(255 * value for value in wanted.mean),
            std=wanted.std and tuple(255 * value for value in wanted.std),
        ),
    )
