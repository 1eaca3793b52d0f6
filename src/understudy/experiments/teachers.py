"""Teachers and beginnings of students that the tables' rows name, and the runs that make them."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class TeacherRecipe:
    """The settings (dotted keys) of the `train` run that makes a network to teach or to begin with, without its seed.

    `start` names the recipe whose finished weights the run begins with; None: random ones. `published` is the paper's
    error in per cent, None where there is none.
    """

    settings: Mapping[str, object]
    start: str | None = None
    published: float | None = None
    source: str = ""


# What is handed to `train`, by the paper whose teachers they are.
AB = {"task": "train", "data.name": "cifar10", "epochs": 200}
OVERHAUL = {
    "task": "train",
    "data.name": "cifar100",
    "epochs": 200,
    "optim.milestones": (0.5, 0.75),
    "optim.decay_rate": 0.1,
}
PYRAMID = {
    "task": "train",
    "data.name": "cifar100",
    "data.mixup": 1.0,
    "epochs": 300,
    "optim.lr": 0.25,
    "optim.weight_decay": 1e-4,
    "optim.milestones": (0.5, 0.75),
    "optim.decay_rate": 0.1,
}
PREACTIVATION = {
    "task": "train",
    "epochs": 164,
    "optim.nesterov": False,
    "optim.weight_decay": 1e-4,
    "optim.milestones": (0.5, 0.75),
    "optim.decay_rate": 0.1,
}
IMAGENET = {
    "task": "train",
    "data.name": "imagenet",
    "data.size": 224,
    "epochs": 90,
    "batch_size": 256,
    "optim.nesterov": False,
    "optim.weight_decay": 1e-4,
    "optim.milestones": (1 / 3, 2 / 3),
    "optim.decay_rate": 0.1,
}
QUICK = {"task": "train", "optim.sched": "onecycle"}
FACES = {
    **QUICK,
    "student.model": "resnet14",
    "data.name": "faces38",
    "data.size": 64,
    "epochs": 30,
    "batch_size": 19,
    "run.precision": "float32",
}

HEO_AB = "Heo et al., AAAI 2019; the students' recipe, for the 200 epochs that the authors, asked, said"
HEO_OVERHAUL = "Heo et al., ICCV 2019; the students' recipe"
HUANG = "Huang & Wang 2017; the recipe is that of He et al., ECCV 2016, without its slow first steps"
TORCHVISION = "Heo et al., ICCV 2019, who took torchvision's; the recipe is torchvision's"

TEACHERS: dict[str, TeacherRecipe] = {
    "wrn22-4": TeacherRecipe(settings={**AB, "student.model": "wrn22-4"}, published=4.51, source=HEO_AB),
    "wrn22-4-quick": TeacherRecipe(
        settings={
            **QUICK,
            "student.model": "wrn22-4",
            "data.name": "cifar10",
            "epochs": 8,
            "optim.warmup": 0.15,
        },
        source="short enough for two processor cores",
    ),
    "wrn16-4": TeacherRecipe(settings={**AB, "student.model": "wrn16-4"}, source=HEO_AB),
    "wrn28-4-cifar100": TeacherRecipe(
        settings={**OVERHAUL, "student.model": "wrn28-4"}, published=21.09, source=HEO_OVERHAUL
    ),
    "pyramidnet200-240-cifar100": TeacherRecipe(
        settings={**PYRAMID, "student.model": "pyramidnet200-240-bottleneck"},
        published=15.57,
        source="Heo et al., ICCV 2019, with mixup; the rest is the PyramidNet paper's recipe",
    ),
    "preresnet1001-cifar10": TeacherRecipe(
        settings={**PREACTIVATION, "student.model": "preresnet1001", "data.name": "cifar10"},
        published=4.04,
        source=HUANG,
    ),
    "preresnet1001-cifar100": TeacherRecipe(
        settings={**PREACTIVATION, "student.model": "preresnet1001", "data.name": "cifar100"},
        published=20.50,
        source=HUANG,
    ),
    "preresnet101-imagenet": TeacherRecipe(
        settings={**IMAGENET, "student.model": "timm:resnetv2_101"},
        published=22.68,
        source="Huang & Wang 2017; the recipe is torchvision's",
    ),
    "resnet50-imagenet": TeacherRecipe(
        settings={**IMAGENET, "student.model": "torchvision:resnet50"}, published=23.84, source=TORCHVISION
    ),
    "resnet152-imagenet": TeacherRecipe(
        settings={**IMAGENET, "student.model": "torchvision:resnet152"}, published=21.69, source=TORCHVISION
    ),
    "mobilenet-v1-imagenet": TeacherRecipe(
        settings={**IMAGENET, "student.model": "mobilenet-v1"}, source="the recipe is torchvision's for ResNets"
    ),
    "resnet14-faces38": TeacherRecipe(settings=FACES),
    "resnet14-faces38-wrong": TeacherRecipe(settings={**FACES, "data.mislabel": 0.2}),
    "digits-2x16": TeacherRecipe(
        settings={**QUICK, "student.model": "digits-2x16", "data.name": "digits", "epochs": 12}
    ),
    "resnet50-cifar100": TeacherRecipe(
        settings={
            **QUICK,
            "student.model": "torchvision:resnet50",
            "data.name": "cifar100",
            "data.size": 64,
            "epochs": 10,
        }
    ),
    "mobilenet-v1-cifar100": TeacherRecipe(
        settings={
            **QUICK,
            "student.model": "mobilenet-v1",
            "data.name": "cifar100",
            "data.size": 64,
            "epochs": 10,
        }
    ),
    "resnet50-scenes15": TeacherRecipe(
        start="resnet50-cifar100",
        settings={
            **QUICK,
            "student.model": "torchvision:resnet50",
            "data.name": "scenes15",
            "data.size": 128,
            "data.loading": "workers",
            "data.scale": (0.35, 1.0),
            "epochs": 40,
            "batch_size": 32,
            "optim.lr": 0.02,
        },
    ),
}
