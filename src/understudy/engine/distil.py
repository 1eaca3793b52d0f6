"""The Python calls: a pair of networks, data, a method."""

import copy
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rich.console import Console
from torch import nn

from understudy.data import Dataset
from understudy.engine.display import Display, silent
from understudy.engine.doctor import examine
from understudy.engine.doctor.finding import Finding
from understudy.engine.networks import locate
from understudy.engine.plan import make_plan
from understudy.engine.run import Result, execute
from understudy.methods import Method
from understudy.modes import own_draws
from understudy.spec import Settings, expanded, kind_of, read_settings
from understudy.taps import refuse_wrapped

# What training reads of the settings whatever is given; the rest says how an object is made.
READ_OF_OBJECTS = {
    "data": ("name", "augment", "views", "epoch_images", "mixup", "cutmix", "smoothing"),
    "student": ("model", "size", "from_teacher"),
    "teacher": ("model",),
}
MADE_BY = {
    "data": "give the data by name, as in distil(student, teacher, 'folder:photos', data__size=64, ...), or load_data "
    "what it takes of this, as in load_data('digits', per_class=5)",
    "student": "load its weights before, or give its name",
    "teacher": "make it ready before, or give its name",
}


def distil(
    student: nn.Module | str,
    teacher: nn.Module | str | Path | None,
    data: Dataset | str,
    *,
    method: str | Method = "kd",
    epochs: str | int = 20,
    folder: str | Path,
    words: Iterable[str] = (),
    display: Display | None = None,
    quiet: bool = False,
    **options: Any,
) -> Result:
    """Train `student` by `method` and return it with its accuracy; the run's folder holds the rest.

    Networks are modules of your own, or names as on the command line (a teacher by name: the folder of its run, or a
    model's with `teacher__weights`).
    `data` is a Dataset or a name, `method` a Method of your own or a name. `options` are settings with their dots
    written as two underscores (`optim__lr=0.05`), `words` the same as on the command line ("optim.lr=0.05"). Called
    again with the same arguments and folder, a run that was cut off goes on where it was. What it says, and how far it
    is, goes to `display`: to standard error where none is given, nowhere if `quiet`.

    Raises ValueError for what cannot be carried out, before anything is trained, and for settings of how an object is
    made that is given as it is.
    """
    teacher = str(teacher) if isinstance(teacher, Path) else teacher
    settings = _settings_of(student, teacher, data, method, epochs, words, options)
    shown = display or (silent() if quiet else Display(Console(stderr=True)))
    return execute(settings, expanded(folder), **_objects(student, teacher, data, method), display=shown)


def doctor(
    student: nn.Module | str,
    teacher: nn.Module | str | Path | None,
    data: Dataset | str,
    *,
    method: str | Method = "kd",
    epochs: str | int = 20,
    words: Iterable[str] = (),
    **options: Any,
) -> list[Finding]:
    """What would go wrong in `distil` with these arguments, before it does; nothing is trained.

    Findings in the order in which they were looked for, each with its `severity` ("error", "warning" or "fine"), what
    was `found`, `why` it matters and what to `do`; `print(finding)` has it in a line. Modules are looked at as copies.
    Raises ValueError for what cannot be carried out.
    """
    teacher = str(teacher) if isinstance(teacher, Path) else teacher
    settings = _settings_of(student, teacher, data, method, epochs, words, options)
    given = _objects(student, teacher, data, method)
    # Together: what the two share they share as copies too.
    given["student"], given["teacher"] = copy.deepcopy((given["student"], given["teacher"]))
    with own_draws():
        return examine(make_plan(settings, **given))


def _objects(student: object, teacher: object, data: object, method: object) -> dict[str, Any]:
    """Those of the arguments that are there already; None for what the settings name."""
    kinds = {"student": (student, nn.Module), "teacher": (teacher, nn.Module), "data": (data, Dataset)}
    kinds["method"] = (method, Method)
    return {name: one if isinstance(one, kind) else None for name, (one, kind) in kinds.items()}


def _settings_of(
    student: object,
    teacher: object,
    data: object,
    method: str | Method,
    epochs: str | int,
    words: Iterable[str],
    options: dict[str, Any],
) -> Settings:
    _check_kinds(student, teacher, data, method)
    wanted: dict[str, Any] = {
        "student.model": student if isinstance(student, str) else type(student).__name__,
        "method.name": method if isinstance(method, str) else method.title,
        "data.name": data.name if isinstance(data, Dataset) else data,
        "epochs": epochs,
        **{key.replace("__", "."): value for key, value in options.items()},
    }
    if isinstance(teacher, str):
        weights = wanted.pop("teacher.weights", None)
        found = locate(teacher, Path(weights) if weights is not None else None)
        wanted |= {"teacher.model": found.model, "teacher.weights": found.weights and str(found.weights)}
    elif teacher is not None:
        wanted["teacher.model"] = type(teacher).__name__
    settings = read_settings(options=wanted, words=[words] if isinstance(words, str) else words)
    _refuse_ignored(settings, student, teacher, data)
    return settings


def _check_kinds(student: object, teacher: object, data: object, method: object) -> None:
    """ValueError for an argument of another kind than is taken, with what is."""
    networks = "a module (an instance, not its class) or a name from `understudy list models`"
    expected = (
        ("student", student, (nn.Module, str), networks),
        ("teacher", teacher, (nn.Module, str, type(None)), f"{networks}, a run's folder, or None"),
        ("data", data, (Dataset, str), "a name such as 'cifar10' or 'folder:photos', or an understudy.data.Dataset"),
        ("method", method, (Method, str), "a name from `understudy list methods`, or a Method"),
    )
    for name, found, kinds, words in expected:
        if not isinstance(found, kinds):
            raise ValueError(f"{name} is {kind_of(found)}; expected {words}")
    for network in (student, teacher):
        if isinstance(network, nn.Module):
            refuse_wrapped(network)


def _refuse_ignored(settings: Settings, student: object, teacher: object, data: object) -> None:
    """ValueError for settings that nobody would read: those of objects that are there already."""
    if isinstance(teacher, nn.Module) and settings.more_teachers:
        raise ValueError(
            f"more_teachers is for teachers by name, and was given with a {type(teacher).__name__}, which would teach "
            f"alone; understudy.teachers.Teachers makes one teacher of several modules"
        )
    given = (
        ("data", settings.data, data if isinstance(data, Dataset) else None),
        ("student", settings.student, student if isinstance(student, nn.Module) else None),
        ("teacher", settings.teacher, teacher if isinstance(teacher, nn.Module) else None),
    )
    for name, section, found in given:
        if found is None or section is None:
            continue
        ignored = sorted(section.model_fields_set - set(READ_OF_OBJECTS[name]))
        if ignored:
            raise ValueError(
                f"{name}.{ignored[0]} is for {name} by name, and was given with a {type(found).__name__}, which is "
                f"used as it is; {MADE_BY[name]}"
            )
