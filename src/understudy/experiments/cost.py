"""How long a table's runs would take here: an estimate from products alone.

Every image costs the student's multiply-adds three times (forward, and twice as much backward) and the teacher's once,
in each epoch; with Jacobian matching both networks' gradients at the images come to that. What terms do besides is
left out, and so are the heads of retrieval and detection.
"""

from collections.abc import Mapping

from understudy.experiments.row import Table
from understudy.spec import read_settings

# Cross-entropy with WRN 16-2: 919 images/s on two cores with AMX, in bfloat16 (results/floors/ab_table1.json has it of
# another machine since).
MULTIPLY_ADDS_PER_S = 919 * 3 * 101.1e6

# How often an image costs student and teacher their products. Gradients at the images of three layers, a third, two
# thirds and all of the way, are two forwards more; they and their own backward, twice as much, are the student's.
PLAIN, JACOBIAN = (3, 1), (9, 3)
# The products of one image, and the pixels of its side: as in every run's run.json.
MULTIPLY_ADDS = {
    "wrn22-4": (619.1e6, 32),
    "wrn16-4": (392.6e6, 32),
    "wrn16-2": (101.1e6, 32),
    "wrn10-4": (166.1e6, 32),
    "wrn10-1": (12.5e6, 32),
    "wrn28-4": (845.6e6, 32),
    "wrn28-2": (214.4e6, 32),
    "resnet8": (12.5e6, 32),
    "resnet14": (26.66e6, 32),
    "resnet56": (125.8e6, 32),
    "pyramidnet200-240-bottleneck": (4520e6, 32),
    "pyramidnet110-84-basic": (772.2e6, 32),
    "preresnet1001": (1488e6, 32),
    "inception-bn-small": (266.7e6, 32),
    "mobilenet-v1": (568.7e6, 224),
    "torchvision:resnet50": (4089e6, 224),
    "torchvision:resnet50@layer4.1": (3869e6, 224),
    "torchvision:resnet50@layer4.0": (3651e6, 224),
    "torchvision:resnet50@layer3": (3278e6, 224),
    "torchvision:resnet152": (11510e6, 224),
    "timm:resnetv2_101": (7801e6, 224),
    "bn-inception": (2033e6, 224),
    "digits-2x16": (0.6e6, 8),
    "digits-2x8": (0.15e6, 8),
    "torchvision:resnet18": (1814e6, 224),
}
# Training images, classes, and the pixels of a side as they are shown where nothing else is said.
SETS = {
    "digits": (1437, 10, 8),
    "cifar10": (50_000, 10, 32),
    "cifar100": (50_000, 100, 32),
    "mit67": (5360, 67, 224),
    "cub200": (5994, 200, 224),
    "cub200-disjoint": (5864, 100, 224),
    "cars196": (8054, 98, 224),
    "sop": (59_551, 11_318, 224),
    "inshop": (25_882, 3997, 224),
    "cars32-disjoint": (544, 16, 224),
    "imagenet": (1_281_167, 1000, 224),
    "scenes15": (600, 15, 224),
    "faces38": (228, 38, 112),
    "voc0712": (16_551, 20, 800),
    "voc07mini": (542, 20, 192),
}


def hours(table: Table) -> float | None:
    """Of all runs of the table's rows, each once, one seed, without what they begin with; None where one is unknown."""
    rows = [row for row in table.rows.values() if not row.missing]
    runs = {(repr(row.settings), row.teacher, row.start): row.settings for row in rows}
    found = [run_seconds(settings) for settings in runs.values()]
    known = [seconds for seconds in found if seconds is not None]
    return sum(known) / 3600 if len(known) == len(found) else None


def run_seconds(options: Mapping[str, object]) -> float | None:
    """Of one run's training; None for networks and sets that are not in the tables above."""
    settings = read_settings(options=options)
    names = [settings.student.model] + ([settings.teacher.model] if settings.teacher is not None else [])
    if settings.data.name not in SETS or not MULTIPLY_ADDS.keys() >= set(names):
        return None
    images, classes, pixels = SETS[settings.data.name]
    if settings.data.per_class:
        images = settings.data.per_class * classes
    images = settings.data.epoch_images or images * (settings.data.percent or 100) / 100
    size = settings.data.size or pixels
    of_student, of_teacher = JACOBIAN if "jacobian" in settings.method.name.split("+") else PLAIN
    products = of_student * _products(settings.student.model, settings.student.size or size)
    if settings.teacher is not None:
        products += of_teacher * _products(settings.teacher.model, size)
    return sum(settings.epochs) * images * products / MULTIPLY_ADDS_PER_S


def _products(network: str, size: int) -> float:
    """Of one image of size x size: they grow with the number of pixels."""
    products, pixels = MULTIPLY_ADDS[network]
    return products * (size / pixels) ** 2
