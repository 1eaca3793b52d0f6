"""What the tables of Huang & Wang, arXiv:1707.01219, 2017, have in common: methods, weights and recipe.

All terms are learnt beside the labels, at one position: the last one, for FitNet and NST after its ReLU, for AT as the
last group ends, which in a teacher with pre-activation is the sum before BatchNorm and ReLU. KD has T = 4 and lambda =
16, which is T^2, a weight of 1 here; FitNet 100 times the mean square; AT 1000 times the squared distance of the unit
maps; NST lambda / 2 of equation 3, with lambda = 50, or 100 for the Gaussian kernel.

Not known to us: whether FitNet and AT carry the half of NST's equation 3 as well; they do not here, and FitNet's lambda
of 100 is taken to be over the mean square; nor whether AT was read after the last ReLU as well.
"""

from understudy.experiments.row import Row, declared
from understudy.experiments.teachers import TEACHERS

# Of tables 1 and 2 alone.
ON_CIFAR = (
    "Differs from the paper: CIFAR images are padded by reflection, not with zeros. Not known to us: the momentum on "
    "CIFAR; it is 0.9."
)
CITATION = "Huang & Wang, Like What You Like: Knowledge Distill via Neuron Selectivity Transfer, arXiv:1707.01219, 2017"
DECLARED = declared(__doc__)

KD = {"terms.kd.temperature": 4.0, "terms.kd.weight": 1.0}
# The AT authors' code has 1000 before the mean over positions, a 64th of this where a map has 8 x 8.
AT = {"terms.at.layers": "last", "terms.at.over": "image"}
# Label, our name of the method and its numbers; the teacher's own row has none.
METHODS: dict[str, tuple[str, str, dict[str, object]]] = {
    "cross_entropy": ("Cross-entropy", "none", {}),
    "kd": ("KD", "kd", {**KD}),
    "fitnet": ("FitNet", "fitnet_joint", {"terms.fitnet.weight": 200.0}),
    "at": ("AT", "at", {**AT}),
    "nst_linear": ("NST, linear", "nst", {"terms.nst.kernel": "linear"}),
    "nst_polynomial": ("NST, polynomial", "nst", {}),
    "nst_gaussian": ("NST, Gaussian", "nst", {"terms.nst.kernel": "gaussian", "terms.nst.weight": 50.0}),
    "fitnet+kd": ("KD + FitNet", "fitnet_joint+kd", {**KD, "terms.fitnet.weight": 200.0}),
    "at+kd": ("KD + AT", "at+kd", {**KD, "method.labels": True, **AT}),
    "kd+nst_polynomial": ("KD + NST", "kd+nst", {**KD}),
    "fitnet+kd+nst_polynomial": ("KD + FitNet + NST", "fitnet+kd+nst", {**KD}),
    "teacher": ("Teacher", "", {}),
}

CIFAR = {
    "epochs": 400,
    "batch_size": 128,
    "optim.lr": 0.2,
    "optim.nesterov": False,
    "optim.weight_decay": 1e-4,
    "optim.milestones": (0.5, 0.75),
    "optim.decay_rate": 0.1,
}


def cifar_row(method: str, dataset: str, published: float) -> Row:
    """ResNet-1001 teaches the small Inception on CIFAR-10 or CIFAR-100."""
    label, ours, numbers = METHODS[method]
    teacher = f"preresnet1001-{dataset}"
    settings = {
        "task": "distill",
        **({} if ours == "none" else {"teacher.model": "preresnet1001"}),
        "student.model": "inception-bn-small",
        "method.name": ours,
        "data.name": dataset,
        **CIFAR,
        **numbers,
    }
    return Row(
        keys={"method": method, "teacher": "resnet_1001", "student": "inception_bn", "dataset": dataset},
        label=label,
        published=published,
        teacher=None if ours in ("", "none") else teacher,
        settings=settings if ours else TEACHERS[teacher].settings,
    )
