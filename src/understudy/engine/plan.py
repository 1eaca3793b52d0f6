"""What a run will do: its settings with the networks, data and phases they name."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from understudy.data import Dataset, Loading, TrainingBatches, load
from understudy.distiller import Distiller
from understudy.engine import facts
from understudy.engine.narrow import find_narrow_convolution
from understudy.engine.networks import begin_with_parts, build_student, build_teacher, other_classes
from understudy.engine.rates import rates
from understudy.engine.records.checkpoint import seed_everything
from understudy.engine.refusal import check_batch_of_one, check_size
from understudy.methods import LOGITS, Method, chosen
from understudy.precision import Precision, choose
from understudy.processes import num_processes
from understudy.spec import DataSettings, Settings, did_you_mean, few
from understudy.tasks import Objective, Task, choose_task


@dataclass(frozen=True, kw_only=True)
class Plan:
    """`epochs` has one count for each phase of the method; `sizes` what each network comes to.

    These are its "parameters", its "multiply_adds" for one image, and its "classes": how many numbers it answers with,
    or the data's classes where its answer is no tensor.

    `objective` is what the labels ask of the student. `whole_teacher` is what is measured of the teacher, with what its
    task adds; None where it knows other data. `left_random` names what the student's file of weights, or its teacher's,
    could not fill, such as a classifier of other classes. `shapes` has the (channels, height, width) at which each
    network sees the images: the teacher those of the data, the student `student.size`.
    """

    settings: Settings
    method: Method
    epochs: tuple[int, ...]
    data: Dataset
    student: nn.Module
    teacher: nn.Module | None
    whole_teacher: nn.Module | None
    other_classes: tuple[str, ...]
    left_random: list[str]
    task: Task
    objective: Objective
    sizes: dict[str, dict[str, int]]
    shapes: dict[str, tuple[int, int, int]]

    @property
    def batch_multiply_adds(self) -> float:
        """Of one batch through the larger network, forward."""
        return float(self.settings.batch_size * max(self._multiply_adds().values()))

    def _multiply_adds(self) -> dict[str, int]:
        """Of one image through each network."""
        return {role: size["multiply_adds"] for role, size in self.sizes.items()}

    @property
    def assembled(self) -> nn.Module:
        """What is measured, kept and exported: the student, with what its task adds."""
        return self.task.assemble(self.student, self.objective)

    @property
    def epoch_images(self) -> int:
        """How many images an epoch shows."""
        return self.settings.data.epoch_images or len(self.data.train)

    @property
    def batch_size(self) -> int:
        """How many images a step sees: no more than an epoch shows."""
        return min(self.settings.batch_size, self.epoch_images)

    def make_distiller(self, precision: Precision) -> Distiller:
        """Student, teacher and method on the device, with what the settings freeze."""
        example = torch.zeros(2, *self.data.image_shape, device=precision.device)
        distiller = Distiller(self.student, self.teacher, self.method, example, self.objective)
        try:
            rates.freeze(distiller, self.settings.optim.rates, example)
        except ValueError:
            distiller.remove_readers()  # another run may begin with the same networks
            raise
        precision.place(distiller)
        return distiller

    def make_batches(
        self, precision: Precision, *, batch_size: int | None = None, workers: int | None = None
    ) -> TrainingBatches:
        """What is trained on; `batch_size` and `workers` in place of the run's own."""
        wanted = self.settings.data
        return self.task.make_batches(
            self.data if workers is None else replace(self.data, workers=workers),
            batch_size=batch_size or self.settings.batch_size,
            seed=self.settings.run.seed,
            device=precision.device,
            augment=wanted.augment,
            channels_last=precision.channels_last,
            views=wanted.views,
            epoch_images=wanted.epoch_images,
        )

    def choose_precision(self) -> Precision:
        """What the settings' `auto` means for these networks on this machine.

        Raises ValueError for settings that cannot be carried out on it.
        """
        # Backward costs twice the forward; the teacher only goes forward.
        of_image = self._multiply_adds()
        per_image = 3 * of_image["student"]
        if self.method.needs_teacher:
            per_image += of_image["teacher"]
        found = choose(
            self.settings.run,
            multiply_adds=max(of_image.values()),
            phase_multiply_adds=float(max(self.epochs) * self.epoch_images * per_image),
        )
        if found.dtype == torch.bfloat16 and found.device.type == "cpu":
            found = self._without_narrow_convolutions(found)
        return found if self.task.compiles else replace(found, compile=False)

    def _without_narrow_convolutions(self, found: Precision) -> Precision:
        """In float32 where the student's gradients cannot be computed in bfloat16."""
        reason = find_narrow_convolution(self.student, torch.zeros(1, *self.shapes["student"]))
        if reason is None:
            return found
        if self.settings.run.precision == "bfloat16":
            raise ValueError(
                f"run.precision=bfloat16: {reason} in the student, whose gradient the processor does not compute in "
                f"bfloat16; use run.precision=float32, a larger data.size, or a student with fewer strides"
            )
        return replace(found, dtype=torch.float32, channels_last=False)


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
    method, epochs = chosen(settings, method)
    _check_teacher(settings, method, teacher)
    # They are looked at on the processor; the run takes them to its device.
    student, teacher = (None if one is None else one.cpu() for one in (student, teacher))
    _check_mixing(settings, method)
    task = choose_task(settings)
    task.check_method(method)
    data = data or load_data(settings)
    task.check_data(data)
    # The student's random weights depend on the seed alone, so that runs of different methods can be paired.
    seed_everything(settings.run.seed)
    left_random: list[str] = []
    if student is None:
        student, left_random = build_student(settings.student, data, task.adapt)
    is_given = teacher is not None
    teacher, whole_teacher = _find_teacher(settings, teacher, data, task)
    shapes = _shapes(settings, data)
    outputs = {
        role: _ask(role, network, shapes[role], data, task) for role, network in _networks(student, teacher).items()
    }
    if min(settings.batch_size, settings.data.epoch_images or len(data.train)) <= num_processes():
        check_batch_of_one(student, torch.zeros(1, *shapes["student"]))
    if whole_teacher is not None and not task.can_measure(outputs["teacher"][0], data):
        whole_teacher = None
    others = _other_classes(settings, data, task) if teacher is not None and not is_given else ()
    if others:
        whole_teacher = None
    if settings.student.from_teacher:
        knows_others = bool(others) or outputs["teacher"][1]["classes"] != data.num_classes
        left_random = begin_with_parts(student, teacher, data, knows_others=knows_others)
    seed_everything(settings.run.seed + 2)
    objective = task.make_objective(student, torch.zeros(2, *shapes["student"]), data)
    seed_everything(settings.run.seed + 1)
    return Plan(
        settings=_with_rates(settings, _of_parameters(task.rates(student), objective)),
        method=method,
        epochs=epochs,
        data=data,
        student=student,
        teacher=teacher,
        whole_teacher=whole_teacher,
        other_classes=others,
        left_random=left_random,
        task=task,
        objective=objective,
        sizes={role: size for role, (_, size) in outputs.items()},
        shapes=shapes,
    )


def _of_parameters(rates: dict[str, float], objective: Any) -> dict[str, float]:
    """The factors without those of an objective that has nothing to learn, as losses of pairs have not."""
    learns = isinstance(objective, nn.Module) and any(True for _ in objective.parameters())
    return {name: factor for name, factor in rates.items() if learns or not name.startswith("objective.")}


def _with_rates(settings: Settings, of_task: dict[str, float]) -> Settings:
    """With the task's factors of the learning rate before those that are asked for."""
    if not of_task:
        return settings
    rates = {**of_task, **(settings.optim.rates or {})}
    return settings.model_copy(update={"optim": settings.optim.model_copy(update={"rates": rates})})


def _check_teacher(settings: Settings, method: Method, given: nn.Module | None) -> None:
    if given is not None:
        return
    if settings.teacher is None and method.needs_teacher:
        raise ValueError(f"method {settings.method.name} needs a teacher; give --teacher")
    if settings.teacher is None and settings.student.from_teacher:
        raise ValueError("student.from_teacher needs a teacher; give --teacher, or leave it out")
    for one in (settings.teacher, *settings.more_teachers):
        if one is not None and one.weights is None:
            raise ValueError(
                f"teacher {one.model} has no weights; give --teacher-weights FILE, "
                f"or the folder of a run that trained it as --teacher{did_you_mean(Path(one.model))}"
            )


def _find_teacher(
    settings: Settings, given: nn.Module | None, data: Dataset, task: Task
) -> tuple[nn.Module | None, nn.Module | None]:
    """What is read of the teacher, and what is measured of it."""
    if given is not None:
        return given, given if task.build_teacher is None else None
    if settings.teacher is None:
        return None, None
    teachers = [settings.teacher, *settings.more_teachers]
    if task.build_teacher is not None:
        return task.build_teacher(teachers, data)
    network = build_teacher(teachers, data)
    return network, network


def _other_classes(settings: Settings, data: Dataset, task: Task) -> tuple[str, ...]:
    """The names of the teacher's classes where they are not the data's.

    As many may be others: numbers alone do not tell a bird from a fish.
    """
    if not task.answers_classes or settings.teacher is None:
        return ()
    return other_classes([settings.teacher, *settings.more_teachers], data)


def check_classes(plan: Plan) -> None:
    """ValueError where a term takes the teacher's classes for the data's, which have other names."""
    for term in plan.method.terms:
        if plan.other_classes and (term.tap, term.teacher_tap) == (LOGITS, None):
            data = plan.data
            lacking = [name for name in data.train.class_names if name not in plan.other_classes]
            raise ValueError(
                f"{term.name} compares logits, and the teacher knows {few(plan.other_classes, 3)}, but not "
                f"{few(lacking, 3)} of {data.name}; dtl gives the student a head for the teacher's classes. If they "
                f"are the same by other names, say with teacher.class_names=[...] what {data.name} calls each of the "
                f"teacher's, in its order"
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


def _networks(student: nn.Module, teacher: nn.Module | None) -> dict[str, nn.Module]:
    return {"student": student} if teacher is None else {"student": student, "teacher": teacher}


def _shapes(settings: Settings, data: Dataset) -> dict[str, tuple[int, int, int]]:
    size = settings.student.size
    seen = data.image_shape if size is None else (data.image_shape[0], size, size)
    return {"student": seen, "teacher": data.image_shape}


def _ask(
    role: str, network: nn.Module, shape: tuple[int, int, int], data: Dataset, task: Task
) -> tuple[Any, dict[str, int]]:
    """The output on one image of `shape`, and the sizes as in Plan. Raises ValueError where it does not fit."""
    image = torch.zeros(1, *shape)
    check_size(f"the {role}", "data.size" if shape == data.image_shape else "student.size", network, image)
    output, multiply_adds = facts.multiply_adds(network, image)
    task.check_output(role, output, data)
    return output, {
        "parameters": facts.num_parameters(network),
        "multiply_adds": multiply_adds,
        "classes": output.shape[-1] if isinstance(output, torch.Tensor) else data.num_classes,
    }


def load_data(settings: Settings) -> Dataset:
    wanted = settings.data
    return load(
        wanted.name,
        folder=wanted.folder,
        percent=wanted.percent,
        mislabel=wanted.mislabel,
        per_class=wanted.per_class,
        validation=wanted.validation,
        seed=wanted.seed,
        download=wanted.download,
        classes=wanted.classes,
        loading=loading_of(wanted),
    )


def loading_of(wanted: DataSettings) -> Loading:
    """How images are read, with mean and std in units of bytes."""
    return Loading(
        how=wanted.loading,
        size=wanted.size,
        crop_pct=wanted.crop_pct,
        scale=wanted.scale,
        hflip=wanted.hflip,
        workers=wanted.workers,
        memory_gb=wanted.memory_gb,
        mean=wanted.mean and tuple(255 * value for value in wanted.mean),
        std=wanted.std and tuple(255 * value for value in wanted.std),
    )
