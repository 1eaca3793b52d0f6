"""Caltech-UCSD Birds-200-2011.

Wah, Branson, Welinder, Perona & Belongie, Caltech technical report CNS-TR-2011-001, 2011: 5,994 images to train on
and 5,794 to test on.
"""

from pathlib import Path

from understudy.data.decode import listed
from understudy.data.division import Parts
from understudy.data.file_source import image_files
from understudy.data.named.list_files import check_layout, entries

PLACE = "CUB_200_2011"
LISTS = ("images.txt", "image_class_labels.txt", "train_test_split.txt", "classes.txt")


def cub200(folder: Path) -> Parts:
    """The images by the official split; classes are named and ordered as in classes.txt, 001.Black_footed_Albatross."""
    root = folder / PLACE
    check_layout("cub200", root, ("images", *LISTS), origin="CUB_200_2011.tgz")
    image, label, is_train, class_name = (_by_number(root / name) for name in LISTS)
    for name, found in zip(LISTS[1:3], (label, is_train), strict=True):
        differing = sorted(image.keys() ^ found.keys())
        if differing:
            raise ValueError(f"{root / name}: {listed(differing, 'images are in it alone or in images.txt alone')}")
    unknown = sorted({label[number] for number in image} - class_name.keys())
    if unknown:
        raise ValueError(f"{root / LISTS[1]}: {listed(unknown, 'classes are not in classes.txt')}")
    wrong = sorted({is_train[number] for number in image} - {"0", "1"})
    if wrong:
        raise ValueError(f"{root / LISTS[2]}: expected 1 (train) or 0 (test) for every image, found {', '.join(wrong)}")
    place_of = {number: place for place, number in enumerate(class_name)}

    def part(which: str) -> tuple[list[str], list[int]]:
        chosen = [number for number in image if is_train[number] == which]
        return [f"images/{image[number]}" for number in chosen], [place_of[label[number]] for number in chosen]

    return Parts(
        name="cub200",
        train=image_files(root, *part("1"), list(class_name.values()), listed_in=LISTS[0]),
        test=image_files(root, *part("0"), list(class_name.values()), listed_in=LISTS[0]),
        note=f"CUB-200-2011 in {root}, by its {LISTS[2]}",
    )


def _by_number(path: Path) -> dict[str, str]:
    """{first field: second field}, in the order of the lines."""
    rows = entries(path, 2)
    found = {number: value for number, value in rows}
    if len(found) < len(rows):
        repeated = sorted({number for number, _ in rows if sum(number == other for other, _ in rows) > 1})
        raise ValueError(f"{path}: {listed(repeated, 'numbers stand in it more than once')}")
    return found
