"""Stanford Online Products.

Song, Xiang, Jegelka & Savarese, "Deep Metric Learning via Lifted Structured Feature Embedding", CVPR 2016: 59,551
photographs of 11,318 products to train on and 60,502 of 11,316 others to test on.
"""

from pathlib import Path

from understudy.data.decode import listed
from understudy.data.division import Parts
from understudy.data.file_source import image_files
from understudy.data.image_files import ImageFiles
from understudy.data.named.list_files import check_layout, entries

PLACE = "Stanford_Online_Products"
LISTS = ("Ebay_train.txt", "Ebay_test.txt")
HEADING = ["image_id", "class_id", "super_class_id", "path"]


def sop(folder: Path) -> Parts:
    """The images by the official lists; a class is a product, named by its number."""
    root = folder / PLACE
    check_layout("sop", root, LISTS, origin="Stanford_Online_Products.zip")
    train, test = (_images(root, name) for name in LISTS)
    shared = sorted(set(train.class_names) & set(test.class_names))
    if shared:
        raise ValueError(f"{root}: {listed(shared, f'products are in {LISTS[0]} and in {LISTS[1]}')}")
    return Parts(name="sop", train=train, test=test, disjoint=True, note=f"Stanford Online Products in {root}")


def _images(root: Path, name: str) -> ImageFiles:
    heading, *rows = entries(root / name, len(HEADING))
    if heading != HEADING:
        raise ValueError(f"{root / name}: expected the heading {' '.join(HEADING)!r}, found {' '.join(heading)!r}")
    if not rows:
        raise ValueError(f"{root / name} lists no images")
    label_of: dict[str, int] = {}
    labels = [label_of.setdefault(product, len(label_of)) for _, product, _, _ in rows]
    return image_files(root, [path for *_, path in rows], labels, list(label_of), listed_in=name)
