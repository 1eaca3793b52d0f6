"""MIT Indoor Scenes, 67 categories.

Quattoni & Torralba, "Recognizing Indoor Scenes", CVPR 2009. Its lists have 80 images a class to train on and 20 to
test on, of 15,620.
"""

from pathlib import Path

from understudy.data.decode import listed
from understudy.data.division import Parts
from understudy.data.file_source import image_files
from understudy.data.image_files import ImageFiles
from understudy.data.named.list_files import check_layout, column

PLACE = "mit67"
LISTS = ("TrainImages.txt", "TestImages.txt")


def mit67(folder: Path) -> Parts:
    """The images that the two lists name, CLASS/IMAGE.jpg a line; classes in the order of their names."""
    root = folder / PLACE
    check_layout("mit67", root, ("Images", *LISTS), origin="indoorCVPR_09.tar and the two lists of the authors' page")
    named = {name: column(root / name) for name in LISTS}
    for name, images in named.items():
        wrong = [image for image in images if image.count("/") != 1]
        if wrong:
            raise ValueError(f"{root / name}: {listed(wrong, f'of {len(images)} lines are not CLASS/IMAGE')}")
    class_names = sorted({image.split("/")[0] for images in named.values() for image in images})
    train, test = (_images(root, images, class_names, name) for name, images in named.items())
    return Parts(name="mit67", train=train, test=test, note=f"MIT-67 in {root}, by the authors' {' and '.join(LISTS)}")


def _images(root: Path, images: list[str], class_names: list[str], name: str) -> ImageFiles:
    label_of = {class_name: label for label, class_name in enumerate(class_names)}
    labels = [label_of[image.split("/")[0]] for image in images]
    return image_files(root, [f"Images/{image}" for image in images], labels, class_names, listed_in=name)
