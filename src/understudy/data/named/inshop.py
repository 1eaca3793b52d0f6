"""DeepFashion's In-shop Clothes Retrieval Benchmark.

Liu, Luo, Qiu, Wang & Tang, "DeepFashion: Powering Robust Clothes Recognition and Retrieval with Rich Annotations", CVPR
2016: 25,882 images of 3,997 items to train on, 14,218 of 3,985 others to ask with and 12,612 to be found.
"""

from pathlib import Path

from understudy.data.decode import listed
from understudy.data.division import Parts
from understudy.data.file_source import image_files
from understudy.data.named.list_files import check_layout

PLACE = "In-shop Clothes Retrieval Benchmark"
LIST = "list_eval_partition.txt"
STATUSES = ("train", "query", "gallery")


def inshop(folder: Path) -> Parts:
    """The images by the official partition, queries as test images beside their gallery; a class is an item.

    The list lies in Eval, in older copies beside it; the images where img.zip is unpacked, in Img or beside it.
    """
    root = folder / PLACE
    path = root / LIST if (root / LIST).exists() else root / "Eval" / LIST
    check_layout("inshop", root, (str(path.relative_to(root)),), origin="the benchmark's folder with img.zip unpacked")
    images_at = root / "Img" if (root / "Img" / "img").is_dir() else root
    rows = _rows(path)
    names = {status: [name for name, _, said in rows if said == status] for status in STATUSES}
    items = {status: [item for _, item, said in rows if said == status] for status in STATUSES}
    absent = [status for status in STATUSES if not names[status]]
    if absent:
        raise ValueError(f"{path}: no image is of {' or '.join(absent)}")
    shared = sorted(set(items["train"]) & {*items["query"], *items["gallery"]})
    if shared:
        raise ValueError(f"{path}: {listed(shared, 'items are to train on and to test on')}")
    labels_of = {
        status: {item: label for label, item in enumerate(dict.fromkeys(found))}
        for status, found in (("train", items["train"]), ("test", items["query"] + items["gallery"]))
    }
    parts = {}
    for status in STATUSES:
        label_of = labels_of["train" if status == "train" else "test"]
        labels = [label_of[item] for item in items[status]]
        parts[status] = image_files(images_at, names[status], labels, [*label_of], listed_in=LIST)
    return Parts(
        name="inshop",
        train=parts["train"],
        test=parts["query"],
        gallery=parts["gallery"],
        disjoint=True,
        note=f"In-shop clothes in {root}, by its {LIST}; a query is looked for in the gallery alone",
    )


def _rows(path: Path) -> list[list[str]]:
    """(image name, item, status) of every image, below the number of images and the heading."""
    lines = [line.split() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    if len(lines) < 3:
        raise ValueError(f"{path}: expected the number of images, a heading and the images; it has {len(lines)} lines")
    (number, *_), heading, *rows = lines
    if heading != ["image_name", "item_id", "evaluation_status"]:
        raise ValueError(
            f"{path}: expected the heading 'image_name item_id evaluation_status', found {' '.join(heading)!r}"
        )
    wrong = [" ".join(row) for row in rows if len(row) != 3 or row[2] not in STATUSES]
    if wrong:
        raise ValueError(f"{path}: {listed(wrong, 'lines are not of an image, its item, and train, query or gallery')}")
    if number != str(len(rows)):
        raise ValueError(f"{path}: its first line says {number} images, and {len(rows)} are listed")
    return rows
