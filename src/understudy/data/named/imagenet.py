"""ImageNet, the 1,000 classes of the challenges since 2012.

Russakovsky et al., "ImageNet Large Scale Visual Recognition Challenge", IJCV 2015. The labels of its test images were
never published, so its validation images are what is tested on, as everywhere.
"""

import tempfile
from dataclasses import replace
from pathlib import Path

from understudy.data.class_folders import class_images
from understudy.data.decode import listed
from understudy.data.division import Parts
from understudy.data.file_source import image_files
from understudy.data.image_files import ImageFiles
from understudy.data.named.list_files import check_layout
from understudy.data.named.wordnet import first_words

PLACE = "imagenet"
DEVKIT = "ILSVRC2012_devkit_t12.tar.gz"
ENDS = (1000, "n01440764", "n15075141")  # how many classes, the first and the last of them: tench, toilet tissue


def imagenet(folder: Path) -> Parts:
    """train/WNID and val/WNID, or the images of val side by side, whose labels are then read from the devkit.

    Classes are in the order of their WordNet numbers, as everywhere. They are named by the devkit, else by
    torchvision where all 1,000 are there, else by their numbers.
    """
    root = folder / PLACE
    check_layout("imagenet", root, ("train", "val"), origin="ILSVRC2012_img_train.tar and ILSVRC2012_img_val.tar")
    train, _ = class_images(root / "train", root=root)
    numbers = train.class_names
    words, answers = _devkit(root)
    class_names = first_words(numbers, words or _words_of_torchvision(numbers))
    if any(path.is_dir() for path in (root / "val").iterdir()):
        test, _ = class_images(root / "val", root=root)
        told = "val"
    else:
        test = _flat(root, numbers, answers)
        told = f"val, its labels from {DEVKIT}"
    numbered = Parts(name="imagenet", train=train, test=test, note=f"ImageNet in {root}, tested on {told}")
    return replace(numbered, train=replace(train, class_names=class_names), test=replace(test, class_names=class_names))


def _flat(root: Path, numbers: tuple[str, ...], answers: list[str]) -> ImageFiles:
    """The images of val in the order of their names, whose numbers the devkit lists."""
    if not answers:
        raise ValueError(
            f"imagenet: the images of {root / 'val'} lie side by side, and what they show is in {DEVKIT}: "
            f"put it into {root}, or every image into a folder of its class, val/n01440764/..."
        )
    names = sorted(path.name for path in (root / "val").glob("*.JPEG"))
    if len(names) != len(answers):
        raise ValueError(f"imagenet: {root / 'val'} has {len(names)} images, {DEVKIT} the labels of {len(answers)}")
    unknown = sorted(set(answers) - set(numbers))
    if unknown:
        raise ValueError(listed(unknown, f"classes that {DEVKIT} gives to val are not in {root / 'train'}"))
    label_of = {number: label for label, number in enumerate(numbers)}
    return image_files(root, [f"val/{name}" for name in names], [label_of[each] for each in answers], numbers)


def _devkit(root: Path) -> tuple[dict[str, str], list[str]]:
    """({WordNet number: words}, the number of every image of val in order); both empty without the devkit.

    torchvision keeps what it reads as meta.bin; its own is taken, and none is left in the user's folder.
    """
    from torchvision.datasets.imagenet import META_FILE, load_meta_file, parse_devkit_archive

    if (root / META_FILE).is_file():
        words, answers = load_meta_file(root)
    elif (root / DEVKIT).is_file():
        with tempfile.TemporaryDirectory() as own:
            try:
                parse_devkit_archive(own, str((root / DEVKIT).absolute()))
            except RuntimeError as error:
                raise ValueError(f"{root / DEVKIT} is not the official file or not whole; fetch it again") from error
            words, answers = load_meta_file(own)
    else:
        return {}, []
    return {number: ", ".join(synonyms) for number, synonyms in words.items()}, answers


def _words_of_torchvision(numbers: tuple[str, ...]) -> dict[str, str]:
    """Those of its trained networks, in the order of the classes; none where these are not the 1,000."""
    if (len(numbers), numbers[0], numbers[-1]) != ENDS:
        return {}
    from torchvision.models import ResNet18_Weights

    return dict(zip(numbers, ResNet18_Weights.IMAGENET1K_V1.meta["categories"], strict=True))
