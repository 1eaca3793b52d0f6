"""Teachers that the tables' rows name, and the runs that make them."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class TeacherRecipe:
    """The settings (dotted keys) of the `train` run that makes a teacher, without its seed.

    `start` names the recipe whose finished weights the run begins with; None: random ones. `published` is the paper's
    error in per cent, None where there is none.
    """

    settings: Mapping[str, object]
    start: str | None = None
    published: float | None = None
    source: str = ""


def _train(model: str, data: str, **others: object) -> dict[str, object]:
    further = {key.replace("__", "."): value for key, value in others.items()}
    return {"task": "train", "student.model": model, "data.name": data, **further}


TEACHERS: dict[str, TeacherRecipe] = {
    "wrn22-4": TeacherRecipe(
        settings=_train("wrn22-4", "cifar10", epochs=120),
        published=4.51,
        source="Heo et al., AAAI 2019, table 1; the students' 120 epochs (the authors answered 200 when asked)",
    ),
    "wrn22-4-quick": TeacherRecipe(
        settings=_train("wrn22-4", "cifar10", epochs=8, optim__sched="onecycle", optim__warmup=0.15),
        source="short enough for two processor cores",
    ),
    "digits-2x16": TeacherRecipe(settings=_train("digits-2x16", "digits", epochs=12, optim__sched="onecycle")),
    "resnet50-cifar100": TeacherRecipe(
        settings=_train("torchvision:resnet50", "cifar100", epochs=10, data__size=64, optim__sched="onecycle")
    ),
    "resnet50-scenes15": TeacherRecipe(
        start="resnet50-cifar100",
        settings=_train(
            "torchvision:resnet50",
            "scenes15",
            epochs=40,
            batch_size=32,
            data__size=128,
            data__loading="workers",
            data__scale=(0.35, 1.0),
            optim__sched="onecycle",
            optim__lr=0.02,
        ),
    ),
}
