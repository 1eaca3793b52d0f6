"""CIFAR-100, six pairs of networks: Heo et al., A Comprehensive Overhaul of Feature Distillation, ICCV 2019.

Run:    understudy reproduce overhaul_cifar100 a/overhaul --teacher-weights FILE
Expect: 20.89 % error for OFD where WRN 28-4 teaches WRN 16-4, with the paper's teacher.

The authors' code: 200 epochs, a rate of 0.1 that falls to a tenth at 100 and 150; batches of 128, 64 where the teacher
is a PyramidNet. FT's 200 epochs are its student's; its paraphraser has learnt for 7 before, the FT authors' share.

Differs from the authors' code: momentum is kept where the rate falls, where theirs begins anew. Not known to us: the
weights of the other methods there, and whether FitNet and AB had phases; they have two here. KD, AT, FT and AB have the
weights of their papers or authors' code, those of FitNet and Jacobian matching are ours, and FitNet's second phase has
no KD.

Pairs e and f are (f) and (g) in the authors' README.
"""

from understudy.experiments.row import Row, Table, declared
from understudy.experiments.teachers import TEACHERS

NETWORKS = {
    "wrn_28_4": "wrn28-4",
    "wrn_28_2": "wrn28-2",
    "wrn_16_4": "wrn16-4",
    "wrn_16_2": "wrn16-2",
    "resnet_56": "resnet56",
    "pyramidnet_200_240": "pyramidnet200-240-bottleneck",
    "pyramidnet_110_84": "pyramidnet110-84-basic",
}
TEACHER_OF = {"wrn_28_4": "wrn28-4-cifar100", "pyramidnet_200_240": "pyramidnet200-240-cifar100"}
# Label and our name of the method; the teacher's own row has none.
METHODS = {
    "teacher": ("Teacher", ""),
    "cross_entropy": ("Cross-entropy", "none"),
    "kd": ("KD", "kd"),
    "fitnet": ("FitNet", "fitnet"),
    "at": ("AT", "at"),
    "jacobian": ("Jacobian", "jacobian"),
    "ft": ("FT", "ft"),
    "ab": ("AB", "ab"),
    "overhaul": ("OFD", "ofd"),
}
FT_EPOCHS = "7+200"
RECIPE = {"data.name": "cifar100", "epochs": 200, "optim.milestones": (0.5, 0.75), "optim.decay_rate": 0.1}

# Kind of compression, teacher, student, parameters in per cent; errors in per cent in the order of the methods.
PUBLISHED = {
    "a": (
        ("depth", "wrn_28_4", "wrn_16_4", 47.2),
        (21.09, 22.72, 21.69, 21.85, 22.07, 22.18, 21.72, 21.36, 20.89),
    ),
    "b": (
        ("channel", "wrn_28_4", "wrn_28_2", 25.0),
        (21.09, 24.88, 23.43, 23.94, 23.80, 23.70, 23.41, 23.19, 21.98),
    ),
    "c": (
        ("depth_and_channel", "wrn_28_4", "wrn_16_2", 11.9),
        (21.09, 27.32, 26.47, 26.30, 26.56, 26.71, 25.91, 26.02, 24.08),
    ),
    "d": (
        ("different_architecture", "wrn_28_4", "resnet_56", 14.7),
        (21.09, 27.68, 26.76, 26.35, 26.66, 26.60, 26.20, 26.04, 24.44),
    ),
    "e": (
        ("different_architecture", "pyramidnet_200_240", "wrn_28_4", 21.9),
        (15.57, 21.09, 20.97, 22.16, 19.28, 20.59, 19.04, 20.46, 17.80),
    ),
    "f": (
        ("different_architecture", "pyramidnet_200_240", "pyramidnet_110_84", 14.6),
        (15.57, 22.58, 21.68, 23.79, 19.93, 23.49, 19.53, 20.89, 18.89),
    ),
}


def _settings(method: str, teacher: str, student: str) -> dict[str, object]:
    _, ours = METHODS[method]
    if not ours:
        return dict(TEACHERS[TEACHER_OF[teacher]].settings)
    return {
        "task": "distill",
        **({} if method == "cross_entropy" else {"teacher.model": NETWORKS[teacher]}),
        "student.model": NETWORKS[student],
        "method.name": ours,
        **RECIPE,
        **({"epochs": FT_EPOCHS} if method == "ft" else {}),
        "batch_size": 64 if teacher.startswith("pyramidnet") and method != "cross_entropy" else 128,
    }


def _row(setup: str, pair: tuple[str, str, str, float], method: str, published: float) -> Row:
    kind, teacher, student, ratio = pair
    return Row(
        keys={
            "setup": setup,
            "compression_type": kind,
            "method": method,
            "teacher": teacher,
            "student": student,
            "dataset": "cifar100",
            "size_ratio_percent": ratio,
        },
        label=METHODS[method][0],
        published=published,
        teacher=None if method in ("teacher", "cross_entropy") else TEACHER_OF[teacher],
        settings=_settings(method, teacher, student),
    )


OVERHAUL_CIFAR100 = Table(
    name="overhaul_cifar100",
    title="CIFAR-100 error of nine methods on six pairs of networks",
    citation="Heo, Kim, Yun, Park, Kwak & Choi, A Comprehensive Overhaul of Feature Distillation, ICCV 2019",
    rows={
        f"{setup}/{method}": _row(setup, pair, method, published)
        for setup, (pair, errors) in PUBLISHED.items()
        for method, published in zip(METHODS, errors, strict=True)
    },
    across=("setup",),
    notes="a: WRN 28-4 to 16-4; b: 28-4 to 28-2; c: 28-4 to 16-2; d: 28-4 to ResNet-56; e: PyramidNet-200 (240) to "
    f"WRN 28-4; f: PyramidNet-200 (240) to PyramidNet-110 (84). {declared(__doc__)}",
)
