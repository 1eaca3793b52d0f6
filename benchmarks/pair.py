"""What is trained in the benchmarks: random images of CIFAR's shape, and the settings and floors of a pair on them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from understudy.data import Augment, Dataset, ImageSet
from understudy.engine.plan import Plan, make_plan
from understudy.engine.rates.schedule import make_optimizer
from understudy.methods import find
from understudy.models import build
from understudy.precision import Precision, can_compile, choose_device
from understudy.spec import OptimSettings, Settings, read_settings

NUM_CLASSES = 10


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Student and teacher by name, and the images of one batch."""

    student: str
    teacher: str
    batch_size: int
    size: int


PAPER = Pair(student="wrn16-2", teacher="wrn22-4", batch_size=128, size=32)
# Whether a benchmark runs at all can be seen in a second.
QUICK = Pair(student="wrn10-1", teacher="wrn10-1", batch_size=8, size=16)


def network(name: str) -> nn.Module:
    return build(name, num_classes=NUM_CLASSES)


def plan_for(pair: Pair, settings: Settings, data: Dataset) -> Plan:
    """The plan of these settings with a teacher of random weights, where the method has one."""
    teacher = network(pair.teacher) if find(settings.method.name).needs_teacher else None
    return make_plan(settings, data=data, teacher=teacher)


def random_data(pair: Pair, num_images: int) -> Dataset:
    """Images and labels without meaning, augmented as CIFAR's are: what they show changes no time."""
    generator = torch.Generator().manual_seed(0)
    names = tuple(str(label) for label in range(NUM_CLASSES))

    def images(count: int) -> ImageSet:
        pixels = torch.randint(0, 256, (count, 3, pair.size, pair.size), dtype=torch.uint8, generator=generator)
        labels = torch.randint(0, NUM_CLASSES, (count,), generator=generator)
        return ImageSet(images=pixels, labels=labels, class_names=names)

    return Dataset(
        name="random",
        train=images(num_images),
        test=images(pair.batch_size),
        mean=(127.5,) * 3,
        std=(73.9,) * 3,
        augment=Augment(),
    )


def settings_for(pair: Pair, method: str, *words: str, compiles: bool | None = None) -> Settings:
    """One epoch for each phase, compiled where the machine can unless it is said."""
    if compiles is None:
        compiles = can_compile(choose_device("auto"))
    options: dict[str, Any] = {
        "student.model": pair.student,
        "method.name": method,
        "data.name": "random",
        "epochs": "+".join("1" for _ in find(method).phases),
        "batch_size": pair.batch_size,
        "run.compile": "on" if compiles else "off",
    }
    return read_settings(options=options, words=words)


def floor(
    pair: Pair,
    precision: Precision,
    *,
    with_teacher: bool = True,
    optim: OptimSettings | None = None,
    **compile_options: Any,
) -> Callable[[], None]:
    """A step of nothing but the networks: teacher forward, student forward and backward, optimiser step.

    The batch stays in memory and never changes, a cross-entropy stands for the loss.
    """
    student = precision.place(network(pair.student)).train()
    teacher = precision.place(network(pair.teacher)).eval().requires_grad_(False) if with_teacher else None
    if precision.compile:
        for one in (student, teacher):
            if one is not None:
                one.compile(dynamic=False, **compile_options)
    images = torch.randn(pair.batch_size, 3, pair.size, pair.size, device=precision.device)
    images = images.to(memory_format=torch.channels_last) if precision.channels_last else images
    labels = torch.zeros(len(images), dtype=torch.long, device=precision.device)
    optimizer = make_optimizer(list(student.parameters()), optim or OptimSettings())

    def step() -> None:
        torch.compiler.cudagraph_mark_step_begin()
        with precision.autocast():
            if teacher is not None:
                with torch.no_grad():
                    teacher(images)
            loss = F.cross_entropy(student(images).float(), labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    return step


def float32(device: torch.device) -> Precision:
    """What peers' programs compute in: float32, planes apart, nothing compiled."""
    return Precision(device=device, dtype=torch.float32, channels_last=False, compile=False)
