"""What a student is to be good at: its objective beside the teacher, and how well it does."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from understudy.data import BoxedImages, Dataset, Images, TrainingBatches, training_batches
from understudy.methods import LOGITS, Method
from understudy.precision import Precision
from understudy.spec import TeacherSettings

# (the network's output on a batch, its labels) -> a scalar, averaged over the batch.
Objective = Callable[[Any, Any], Tensor]


def refuse_boxes(data: Dataset) -> None:
    """ValueError where images show objects in boxes, and have no label."""
    if isinstance(data.train, BoxedImages):
        raise ValueError(f"{data.name} shows objects in boxes; add detection.fpn=true, or false for one feature map")


@dataclass(frozen=True, kw_only=True)
class Task:
    """A task is its functions; the engine knows no task by name.

    - `check_data(data)` and `check_method(method)` raise ValueError for what the task cannot learn from or with
    - `check_output(role, output, data)` raises ValueError where a network's output on one image does not fit the data;
      `role` is "student" or "teacher"
    - `can_measure(output, data)` says of a teacher whether it knows these data, so that it can be measured on them
    - `make_objective(student, example, data)` is what the labels ask of the student's output; a module where it owns
      parameters, which are then trained beside the student's
    - `assemble(student, objective)` is what is measured, kept and exported: the student itself, or with the objective's
      layers where they are of use after training
    - `measure(network, images, data, precision)` has all numbers of an assembled network on some images, by name
    - `labels_title` is what learning from labels alone is called in a report
    - `headline` is the number to compare by: the higher, the better
    - `adapt(make, example)` is the network that learns: what `make` answers, or made of it
    - `rates(student)` are factors of the learning rate by the names of layers, as in optim.rates, which come after them
    - `answers_classes` says that a network's output is one number for each class
    - `output` is the role of what a network answers: a term at this position trains what is measured
    - `is_mean` says that each of the measured numbers is a mean over images
    - `images_per_class` of each of its classes are in a batch; 0: as they come
    - `tied` says what loss ties the images of a batch together, in words; empty where the loss is a mean over images
    - `make_batches` takes what `data.training_batches` takes
    - `build_teacher(teachers, data)` is what is read of the teacher, and what is measured of it, None where it knows
      other data; where there is none, the engine builds classifiers
    - `metadata(network)` is what an assembled network's file says beside what every student's does
    - `draw(network, data, precision, folder)` draws what it answers, into a run's folder
    - `compiles` says whether a step can be compiled
    """

    name: str
    headline: str
    check_output: Callable[[str, Any, Dataset], None]
    can_measure: Callable[[Any, Dataset], bool]
    make_objective: Callable[[nn.Module, Tensor, Dataset], Objective]
    measure: Callable[[nn.Module, Images, Dataset, Precision], dict[str, float]]
    check_data: Callable[[Dataset], None] = refuse_boxes
    check_method: Callable[[Method], None] = lambda method: None
    adapt: Callable[[Callable[[], nn.Module], Tensor], nn.Module] = lambda make, example: make()
    labels_title: str = "Cross-entropy"
    rates: Callable[[nn.Module], dict[str, float]] = lambda student: {}
    answers_classes: bool = True
    output: str = LOGITS
    is_mean: bool = False
    images_per_class: int = 0
    tied: str = ""
    make_batches: Callable[..., TrainingBatches] = training_batches
    assemble: Callable[[nn.Module, Any], nn.Module] = lambda student, objective: student
    build_teacher: Callable[[Sequence[TeacherSettings], Dataset], tuple[nn.Module, nn.Module | None]] | None = None
    metadata: Callable[[nn.Module], dict[str, str]] = lambda network: {}
    draw: Callable[[nn.Module, Dataset, Precision, Path], Any] = lambda network, data, precision, folder: None
    compiles: bool = True
