"""CIFAR-10 and CIFAR-100: their classes, their constants, and where their images come from.

Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009.
"""

from dataclasses import dataclass
from pathlib import Path

from understudy.data.augment import Augment
from understudy.data.image_set import Dataset, ImageSet
from understudy.data.named.torchvision_cifar import has_archive, read_archive
from understudy.data.parquet.in_memory import read_images
from understudy.data.parquet.shards import find_shards

SIZE = (32, 32)


@dataclass(frozen=True, kw_only=True)
class Cifar:
    """One of the two sets; `mean` and `std` per colour in units of 0..255."""

    name: str
    label_columns: tuple[str, ...]
    class_names: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]


_CIFAR100_CLASSES = """
apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can
castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin
elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard
lobster man maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear
pickup_truck pine_tree plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark
shrew skunk skyscraper snail snake spider squirrel streetcar sunflower sweet_pepper table tank telephone
television tiger tractor train trout tulip turtle wardrobe whale willow_tree wolf woman worm
"""

CIFAR10 = Cifar(
    name="cifar10",
    label_columns=("label",),
    class_names=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
    # The constants of the authors' code of wide residual networks, AB and OFD.
    mean=(125.3, 123.0, 113.9),
    std=(63.0, 62.1, 66.7),
)

CIFAR100 = Cifar(
    name="cifar100",
    label_columns=("fine_label", "label"),
    class_names=tuple(_CIFAR100_CLASSES.split()),
    mean=(129.3, 124.1, 112.4),
    std=(68.2, 65.4, 70.4),
)


def cifar(which: Cifar, *, folder: Path, download: bool) -> Dataset:
    """The set from Parquet files in `folder`, else from torchvision's, which `download` may fetch."""
    train, test = _parts(which, folder, download)
    return Dataset(
        name=which.name,
        train=train,
        test=test,
        mean=which.mean,
        std=which.std,
        augment=Augment(pad=4, flip=True),
    )


def _parts(which: Cifar, folder: Path, download: bool) -> tuple[ImageSet, ImageSet]:
    shards = {split: find_shards(folder, which.name, split) for split in ("train", "test")}
    if all(shards.values()):
        return _read(which, shards["train"]), _read(which, shards["test"])
    if any(shards.values()):
        found, absent = ("train", "test") if shards["train"] else ("test", "train")
        raise ValueError(
            f"{which.name}: {folder} has Parquet files to {found} with, but none named "
            f"{which.name}-{absent}.parquet or {which.name}-{absent}-00000-of-00001.parquet"
        )
    if download or has_archive(which.name, folder):
        train = read_archive(which.name, folder=folder, train=True, download=download)
        return train, read_archive(which.name, folder=folder, train=False, download=download)
    raise ValueError(
        f"{which.name} was not found in {folder.absolute()}: neither {which.name}-train.parquet (or shards "
        f"{which.name}-train-00000-of-00002.parquet, ...) nor {which.name}/train-00000-of-00001.parquet nor "
        "torchvision's extracted folder; name the folder that has it with the environment variable "
        "UNDERSTUDY_DATA, or fetch it with data.download=true (reproduce: --download, in Python: download=True)"
    )


def _read(which: Cifar, paths: list[Path]) -> ImageSet:
    return read_images(paths, label_columns=which.label_columns, known_class_names=which.class_names, size=SIZE)
