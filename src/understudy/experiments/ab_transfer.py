"""Transfer to a few images of other classes: what tables 4 and 5 of Heo et al., AAAI 2019, have in common.

The authors' code for MIT scenes: 60 epochs of initialisation at a constant rate of 0.1, then 40 epochs at 0.01, a tenth
of it from their half on; batches of 32, weight decay 1e-4, random resized crops of 224 pixels. Methods without an
initialisation have the same rates in one phase. The code has nothing for CUB; its recipe is taken to be the same.

Differs from the authors' code: the classifier starts as PyTorch's layers do, where theirs is drawn from N(0, 0.01). DTL
weighs 10 as they write it; on the two GPUs of their program each adds its own mean, so that 20 came into effect.

Not known to us: which weights FitNet, FSP, AT and Jacobian matching had there, and whether FitNet and FSP had DTL in
their first phase as AB has it; they have the weights of CIFAR, and DTL in their second phase. Nor what an epoch of few
images is: here it shows each once. The rate of the student that was trained on ImageNet, 0.1 from the start, is ours.
"""

from collections.abc import Mapping

from understudy.experiments.ab_cifar import CITATION
from understudy.experiments.row import Row, Table, declared

__all__ = ["CITATION", "transfer_table"]

LABELS = {
    "imagenet_pretrained": "Student trained on ImageNet",
    "random_init": "Cross-entropy",
    "dtl": "DTL",
    "dtl+fitnet": "FitNet + DTL",
    "dtl+fsp": "FSP + DTL",
    "at+dtl": "AT + DTL",
    "dtl+jacobian": "Jacobian + DTL",
    "ab+dtl": "AB + DTL",
}
BASELINES = ("imagenet_pretrained", "random_init")
INITIALISED = ("dtl+fitnet", "dtl+fsp", "ab+dtl")

RECIPE = {
    "data.size": 224,
    "batch_size": 32,
    "optim.lr": 0.1,
    "optim.weight_decay": 1e-4,
    "optim.decay_rate": 0.1,
    "run.eval_every": 5,
}
IN_TWO_PHASES = {"epochs": "60+40", "phases.train.lr": 0.01, "optim.milestones": (0.5,)}
IN_ONE_PHASE = {"epochs": "100", "optim.milestones": (0.6, 0.8)}
TEACHER = {"teacher.model": "torchvision:resnet50", "teacher.num_classes": 1000}


def _settings(method: str, data: str, samples: int | None) -> dict[str, object]:
    """`samples` images of each class, all of them where it is None."""
    return {
        "task": "distill",
        "student.model": "mobilenet-v1",
        "data.name": data,
        **({} if samples is None else {"data.per_class": samples}),
        **({} if method in BASELINES else {**TEACHER, "method.name": method}),
        # Ten times the mean over the teacher's 1000 classes; AB + DTL has it of itself.
        **({"terms.dtl.weight": 10.0} if "dtl" in method.split("+") and method != "ab+dtl" else {}),
        **RECIPE,
        **(IN_TWO_PHASES if method in INITIALISED else IN_ONE_PHASE),
    }


def transfer_table(
    *,
    name: str,
    title: str,
    citation: str,
    dataset: str,
    data: str,
    samples: tuple[int, ...],
    published: Mapping[str, tuple[float, ...]],
) -> Table:
    """A table of accuracies by method and number of images of a class; `data` is our name of the set."""

    def row(method: str, count: int, accuracy: float) -> Row:
        return Row(
            keys={
                "method": method,
                "teacher": "resnet_50",
                "student": "mobilenet",
                "dataset": dataset,
                "samples_per_class": count,
            },
            label=LABELS[method],
            metric="accuracy_percent",
            published=accuracy,
            teacher=None if method in BASELINES else "resnet50-imagenet",
            # The largest number is the whole official part, of which a class of CUB has an image less.
            settings=_settings(method, data, None if count == max(samples) else count),
            start="mobilenet-v1-imagenet" if method == "imagenet_pretrained" else None,
        )

    return Table(
        name=name,
        title=title,
        citation=citation,
        rows={
            f"{method}/{count}": row(method, count, accuracy)
            for method, accuracies in published.items()
            for count, accuracy in zip(samples, accuracies, strict=True)
        },
        across=("samples_per_class",),
        notes=declared(__doc__),
    )
