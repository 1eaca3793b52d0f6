"""Tiny ImageNet: 200 classes of ImageNet in 64x64, 500 images of each to train on and 50 to test on.

The course CS231n at Stanford, 2015. The labels of its test images were never published, so its validation images are
what is tested on, as everywhere.
"""

from pathlib import Path

from understudy.data.decode import listed
from understudy.data.division import Parts
from understudy.data.file_source import image_files
from understudy.data.image_files import ImageFiles
from understudy.data.named.list_files import check_layout, column, entries
from understudy.data.named.wordnet import first_words

PLACE = "tiny-imagenet-200"
ANNOTATIONS = "val/val_annotations.txt"


def tiny_imagenet(folder: Path) -> Parts:
    """Classes in the order of their WordNet numbers, as ImageFolder has them, named by words.txt."""
    root = folder / PLACE
    expected = ("train", "val/images", ANNOTATIONS, "wnids.txt", "words.txt")
    check_layout("tiny_imagenet", root, expected, origin="tiny-imagenet-200.zip")
    numbers = sorted(column(root / "wnids.txt"))
    words = {number: text for number, text in entries(root / "words.txt", 2)}
    class_names = first_words(numbers, words)
    train = _train(root, numbers, class_names)
    test = _validation(root, numbers, class_names)
    return Parts(name="tiny_imagenet", train=train, test=test, note=f"Tiny ImageNet in {root}, tested on its val")


def _train(root: Path, numbers: list[str], class_names: tuple[str, ...]) -> ImageFiles:
    found = {number: sorted((root / "train" / number / "images").glob("*.JPEG")) for number in numbers}
    empty = [number for number, paths in found.items() if not paths]
    if empty:
        what = f"of {len(numbers)} classes of wnids.txt have no train/CLASS/images/*.JPEG in {root}"
        raise ValueError(listed(empty, what))
    named = [f"train/{number}/images/{path.name}" for number, paths in found.items() for path in paths]
    labels = [label for label, paths in enumerate(found.values()) for _ in paths]
    return image_files(root, named, labels, class_names)


def _validation(root: Path, numbers: list[str], class_names: tuple[str, ...]) -> ImageFiles:
    rows = entries(root / ANNOTATIONS, 2)
    numbered = [(name, rest.split()[0]) for name, rest in rows]
    unknown = sorted({number for _, number in numbered} - set(numbers))
    if unknown:
        raise ValueError(f"{root / ANNOTATIONS}: {listed(unknown, 'classes are not in wnids.txt')}")
    label_of = {number: label for label, number in enumerate(numbers)}
    labels = [label_of[number] for _, number in numbered]
    names = [f"val/images/{name}" for name, _ in numbered]
    return image_files(root, names, labels, class_names, listed_in=ANNOTATIONS)
