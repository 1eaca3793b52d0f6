"""From settings to a plan: networks are built, asked once, and measured in size."""

from typing import Any

import torch
from torch import nn

from understudy.data import Dataset
from understudy.engine import facts
from understudy.engine.draws import seed_everything
from understudy.engine.networks import begin_with_parts, build_student, build_teacher, other_classes
from understudy.engine.plan.check import check_mixing, check_teacher
from understudy.engine.plan.images import load_data
from understudy.engine.plan.plan import Plan
from understudy.engine.refusal import check_batch_of_one, check_size
from understudy.methods import Method, chosen
from understudy.processes import num_processes
from understudy.spec import Settings
from understudy.tasks import Task, choose_task


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
    check_teacher(settings, method, teacher)
    # They are looked at on the processor; the run takes them to its device.
    student, teacher = (None if one is None else one.cpu() for one in (student, teacher))
    check_mixing(settings, method)
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
