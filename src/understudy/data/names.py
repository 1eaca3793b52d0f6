"""The names of data sets, where below the data folder their files are expected, and which are found."""

import difflib
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from understudy.data.boxed import voc
from understudy.data.disjoint import SUFFIX
from understudy.data.division import Parts
from understudy.data.named import cars196, cub200, imagenet, inshop, mit67, sop, tiny_imagenet
from understudy.data.named.torchvision_table import TORCHVISION
from understudy.spec import expanded

IN_MEMORY = {
    "digits": "1,797 handwritten digits of 8x8, part of scikit-learn",
    "cifar10": "60,000 colour images of 32x32 in 10 classes",
    "cifar100": "60,000 colour images of 32x32 in 100 classes",
}
ARCHIVES = {"cifar10": "cifar-10-batches-py/", "cifar100": "cifar-100-python/"}

BY_ADDRESS = {
    "NAME-disjoint": "any named set for retrieval: the first half of its classes to train on, the others to test on",
    "folder:PATH": "PATH/train/CLASS/*.jpg with PATH/val or PATH/test, or PATH/CLASS/*.jpg divided by seed",
    "parquet:PATTERN": "Parquet files here or at s3://, gs://, hf://, ..., divided as they are named, else by seed",
    "coco:PATH": "objects in boxes: images with annotations in COCO's format, divided as they are named, else by seed",
    "voc:PATH": "objects in boxes: images with VOC's XML, by lists in ImageSets/Main, by train and test, else by seed",
}


@dataclass(frozen=True, kw_only=True)
class OfficialSet:
    """A set that is read in the layout in which its authors publish it, at `place` below the data folder."""

    read: Callable[[Path], Parts]
    place: str
    meaning: str


OFFICIAL = {
    "cars196": OfficialSet(
        read=cars196.cars196,
        place=f"{cars196.PLACE}/",
        meaning="for retrieval: 16,185 cars, 98 models and 98 others",
    ),
    "cub200": OfficialSet(read=cub200.cub200, place=f"{cub200.PLACE}/", meaning="11,788 birds of 200 species"),
    "imagenet": OfficialSet(
        read=imagenet.imagenet, place=f"{imagenet.PLACE}/", meaning="1.3 million photographs in 1,000 classes"
    ),
    "inshop": OfficialSet(
        read=inshop.inshop, place=f"{inshop.PLACE}/", meaning="for retrieval: 52,712 images of clothes, 7,982 items"
    ),
    "mit67": OfficialSet(read=mit67.mit67, place=f"{mit67.PLACE}/", meaning="indoor scenes in 67 classes"),
    "sop": OfficialSet(
        read=sop.sop, place=f"{sop.PLACE}/", meaning="for retrieval: 120,053 photographs of 22,634 products"
    ),
    "tiny_imagenet": OfficialSet(
        read=tiny_imagenet.tiny_imagenet,
        place=f"{tiny_imagenet.PLACE}/",
        meaning="110,000 images of 64x64 in 200 of ImageNet's classes",
    ),
}


def is_there(place: str, folder: Path) -> bool:
    """Whether all files or folders of a place, separated by commas, lie in the folder."""
    return all((folder / each).exists() for each in place.split(", "))


def data_folder() -> Path:
    """Where data sets are looked for unless told otherwise: $UNDERSTUDY_DATA, or else ./data."""
    return expanded(os.environ.get("UNDERSTUDY_DATA") or "data")


def found_in(folder: Path) -> list[str]:
    """The names of the sets of which the folder has Parquet files to train on, in order."""
    if not folder.is_dir():
        return []
    ending = re.compile(r"(?:(?P<name>.+)-)?train(?:-\d+-of-\d+)?\.parquet")
    names = {match["name"] for path in folder.glob("*.parquet") if (match := ending.fullmatch(path.name))}
    # As `find_shards` looks for them: in the set's folder and those in it, with its name or none.
    for path in (*folder.glob("*/*train*.parquet"), *folder.glob("*/*/*train*.parquet")):
        own, match = path.relative_to(folder).parts[0], ending.fullmatch(path.name)
        if match and match["name"] in (None, own):
            names.add(own)
    return sorted(name for name in names if name)


def is_known(name: str, folder: Path) -> bool:
    """Whether there is a set of this name, fetched or not; of an address nothing is said."""
    base = name.removesuffix(SUFFIX)
    names = (*IN_MEMORY, *OFFICIAL, *TORCHVISION, *voc.SETS)
    return ":" in name or bool({name, base}.intersection((*names, *found_in(folder))))


def _kind_of(folder: Path) -> str:
    """By what lies in it, a few folders deep; JSON and XML beside images are boxes."""
    for kind, ending in (("parquet", ".parquet"), ("voc", ".xml"), ("coco", ".json")):
        if any(one.suffix == ending for depth in ("*", "*/*", "*/*/*") for one in folder.glob(depth)):
            return kind
    return "folder"


def unknown(name: str, folder: Path) -> ValueError:
    """What to answer to a name that is none: the known ones, those found in the folder, and the nearest of both."""
    kind, colon, rest = name.partition(":")
    known = [*IN_MEMORY, *OFFICIAL, *TORCHVISION, *voc.SETS]
    found = [each for each in found_in(folder) if each not in known]
    there = f"; Parquet files in {folder} are of {', '.join(found)}" if found else ""
    kinds = [address.split(":")[0] for address in BY_ADDRESS]
    choices = kinds if colon else [*known, *found]
    near = difflib.get_close_matches(kind.lower(), choices, n=1 if colon else 2, cutoff=0.5)
    if Path(name).is_dir():
        near = [f"{_kind_of(Path(name))}:{name}"]
    hint = f"; did you mean {' or '.join(each + colon + rest for each in near)}?" if near else ""
    return ValueError(f"unknown data set {name!r}; known are {', '.join([*known, *BY_ADDRESS])}{there}{hint}")
