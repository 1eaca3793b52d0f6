"""PASCAL VOC 2007 and 2012 in their official layout.

Everingham et al., "The PASCAL Visual Object Classes Challenge", IJCV 2010.

VOCdevkit/VOC2007/JPEGImages/*.jpg with Annotations/*.xml, and the lists in ImageSets/Main; VOC2012 likewise.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pyarrow as pa
import torch

from understudy.data.boxed.parts import BoxedParts
from understudy.data.boxed_images import Annotation, BoxedImages, Objects, labelled
from understudy.data.file_source import FileSource

CLASSES = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)
PLACE = "VOCdevkit"
# Name -> (year, list) of the images to train on; all are tested on the test images of 2007.
SETS = {"voc2007": (("2007", "trainval"),), "voc0712": (("2007", "trainval"), ("2012", "trainval"))}
TEST = (("2007", "test"),)
MEANINGS = {
    "voc2007": "9,963 photographs with boxes of 20 classes; trainval, test",
    "voc0712": "trainval of 2007 and 2012 to train on, test of 2007",
}


def voc(name: str, *, folder: Path, download: bool) -> BoxedParts:
    """The set `name` of SETS below `folder`. Raises ValueError for a layout that is not whole."""
    return BoxedParts(
        name=name,
        train=_images(folder, SETS[name], download),
        test=_images(folder, TEST, download),
        note=f"{PLACE} in {folder}",
    )


def _images(folder: Path, lists: Sequence[tuple[str, str]], download: bool) -> BoxedImages:
    names, objects = [], []
    for year, image_set in lists:
        found = _listed(folder, year, image_set, download)
        names += [str(Path(image).relative_to(folder)) for image in found.images]
        objects += [_objects(Path(path)) for path in found.annotations]
    return BoxedImages(
        source=FileSource(folder, pa.array(names, type=pa.string())),
        rows=torch.arange(len(names)),
        objects=tuple(objects),
        class_names=CLASSES,
    )


def _objects(path: Path) -> Objects:
    """Of the official sets, whose sizes are not asked for: whoever has the images has those of the annotations."""
    return labelled(replace(read_annotation(path), size=None), CLASSES, str(path))


def _listed(folder: Path, year: str, image_set: str, download: bool) -> Any:
    from torchvision.datasets import VOCDetection

    try:
        return VOCDetection(str(folder), year=year, image_set=image_set, download=download)
    except (RuntimeError, FileNotFoundError) as error:
        raise ValueError(
            f"VOC {year} {image_set} was not found in {folder.absolute()}: expected "
            f"{PLACE}/VOC{year}/ImageSets/Main/{image_set}.txt beside JPEGImages and Annotations; name the folder that "
            f"has {PLACE} with the environment variable UNDERSTUDY_DATA, or fetch it with data.download=true "
            "(reproduce: --download)"
        ) from error


def read_annotation(path: Path) -> Annotation:
    """What one XML file says. Raises ValueError that names it where it cannot be read."""
    from torchvision.datasets import VOCDetection

    try:
        found = VOCDetection.parse_voc_xml(ElementTree.parse(path).getroot())["annotation"]
        said = found if isinstance(found, dict) else {}
        objects = said.get("object", [])
        return Annotation(
            boxes=[_box(each["bndbox"]) for each in objects],
            names=[str(each["name"]).strip() for each in objects],
            difficult=[str(each.get("difficult", "0")).strip().lower() in ("1", "true") for each in objects],
            size=_size(said.get("size")),
            file_name=str(said.get("filename", "")),
        )
    except FileNotFoundError as error:
        raise ValueError(f"{path} is not there, and an image's list names it") from error
    except (ElementTree.ParseError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{path} is no annotation of VOC ({type(error).__name__}: {error})") from error


def _size(said: Any) -> tuple[int, int] | None:
    """Programs that do not know it leave it out, or write 0."""
    if not isinstance(said, dict):
        return None
    width, height = (int(float(said.get(key) or 0)) for key in ("width", "height"))
    return (width, height) if width and height else None


def _box(corners: dict[str, str]) -> list[float]:
    """VOC counts pixels from 1, the last one included; at their edges the first one goes from 0 to 1."""
    xmin, ymin, xmax, ymax = (float(corners[key]) for key in ("xmin", "ymin", "xmax", "ymax"))
    # Other programs count from 0 all the same.
    return [max(xmin - 1.0, 0.0), max(ymin - 1.0, 0.0), xmax, ymax]
