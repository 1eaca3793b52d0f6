"""ImageNet, two pairs of networks: Heo et al., A Comprehensive Overhaul of Feature Distillation, ICCV 2019.

Run:    understudy reproduce overhaul_imagenet mobilenet/overhaul --teacher-weights FILE
Expect: 28.75 % top-1 error for OFD where ResNet-50 teaches MobileNet, with torchvision's teacher.

The authors' code: 100 epochs, batches of 256, a rate of 0.1 that falls to a tenth at 30, 60 and 90, weight decay 1e-4.
FT's paraphraser has learnt for 4 epochs before, the FT authors' share.

Differs from the authors' code: they report the best epoch, here it is the last one. Not known to us: the other methods'
weights, and whether AB had phases; AB has the weight of the authors' transfer learning and two phases, 17 and 83 of the
epochs, the rest have the weights of their papers.
"""

from understudy.experiments.row import Row, Table, declared
from understudy.experiments.teachers import TEACHERS

NETWORKS = {"resnet_152": "torchvision:resnet152", "resnet_50": "torchvision:resnet50", "mobilenet": "mobilenet-v1"}
TEACHER_OF = {"resnet_152": "resnet152-imagenet", "resnet_50": "resnet50-imagenet"}
# Label, our name of the method and further settings; the teacher's own row has none.
METHODS: dict[str, tuple[str, str, dict[str, object]]] = {
    "teacher": ("Teacher", "", {}),
    "cross_entropy": ("Cross-entropy", "none", {}),
    "at": ("AT", "at", {}),
    "ft": ("FT", "ft", {"epochs": "4+100"}),
    "ab": ("AB", "ab", {"terms.ab.weight": 1e-3}),
    "overhaul": ("OFD", "ofd", {"terms.ofd.weight": 1e-4}),
}
RECIPE = {
    "data.name": "imagenet",
    "data.size": 224,
    "epochs": 100,
    "batch_size": 256,
    "optim.milestones": (0.3, 0.6, 0.9),
    "optim.decay_rate": 0.1,
    "optim.weight_decay": 1e-4,
}
METRICS = ("top1_error_percent", "top5_error_percent")

# Teacher, student, their parameters in millions and the ratio in per cent; by method top-1 and top-5 error in per cent.
Pair = tuple[str, str, float, float, float]
PUBLISHED: dict[Pair, dict[str, tuple[float, float]]] = {
    ("resnet_152", "resnet_50", 60.19, 25.56, 42.5): {
        "teacher": (21.69, 5.95),
        "cross_entropy": (23.72, 6.97),
        "at": (22.75, 6.35),
        "ft": (22.80, 6.49),
        "ab": (23.47, 6.94),
        "overhaul": (21.65, 5.83),
    },
    ("resnet_50", "mobilenet", 25.56, 4.23, 16.5): {
        "teacher": (23.84, 7.14),
        "cross_entropy": (31.13, 11.24),
        "at": (30.44, 10.67),
        "ft": (30.12, 10.50),
        "ab": (31.11, 11.29),
        "overhaul": (28.75, 9.66),
    },
}


def _settings(method: str, teacher: str, student: str) -> dict[str, object]:
    _, ours, further = METHODS[method]
    if not ours:
        return dict(TEACHERS[TEACHER_OF[teacher]].settings)
    return {
        "task": "distill",
        **({} if method == "cross_entropy" else {"teacher.model": NETWORKS[teacher]}),
        "student.model": NETWORKS[student],
        "method.name": ours,
        **RECIPE,
        **further,
    }


def _row(pair: Pair, method: str, metric: str, published: float) -> Row:
    teacher, student, teacher_size, student_size, ratio = pair
    return Row(
        keys={
            "method": method,
            "teacher": teacher,
            "student": student,
            "dataset": "imagenet",
            "teacher_params_million": teacher_size,
            "student_params_million": student_size,
            "size_ratio_percent": ratio,
        },
        label=METHODS[method][0],
        metric=metric,
        published=published,
        teacher=None if method in ("teacher", "cross_entropy") else TEACHER_OF[teacher],
        settings=_settings(method, teacher, student),
    )


OVERHAUL_IMAGENET = Table(
    name="overhaul_imagenet",
    title="ImageNet top-1 and top-5 error of two pairs of networks",
    citation="Heo, Kim, Yun, Park, Kwak & Choi, A Comprehensive Overhaul of Feature Distillation, ICCV 2019",
    rows={
        f"{pair[1]}/{method}/{metric.split('_')[0]}": _row(pair, method, metric, published)
        for pair, methods in PUBLISHED.items()
        for method, errors in methods.items()
        for metric, published in zip(METRICS, errors, strict=True)
    },
    across=("teacher", "student", "metric"),
    notes=declared(__doc__),
)
