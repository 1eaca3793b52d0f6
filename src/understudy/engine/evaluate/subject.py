"""A network on disk, ready to be asked: a run's student, any weights with their model's name, or an ONNX file."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
import yaml
from pydantic import ValidationError
from torch import Tensor

from understudy.data import Dataset, Images, batches_in_order
from understudy.engine import facts
from understudy.engine.evaluate.onnx_file import OnnxFile, open_onnx
from understudy.engine.networks import EMBEDDING, build_teacher, constants, locate
from understudy.models import read_metadata
from understudy.precision import Precision, choose
from understudy.spec import RunSettings, Settings, TeacherSettings, did_you_mean, few, run_files


@dataclass(frozen=True, kw_only=True)
class Found:
    """A file, the model its weights belong to, and what it says of itself. `onnx` where it is one.

    `told` are settings of a teacher (`TeacherSettings`) that say more than the file, or otherwise; `section` is where
    they stand.
    """

    model: str
    file: Path
    metadata: dict[str, str]
    onnx: OnnxFile | None = None
    told: dict[str, Any] = field(default_factory=dict)
    section: str = "student"


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A network that answers images with logits, embeddings or boxes, and the numbers in which it computes.

    It wants images normalised by `mean` and `std` (units of 0..255), or the pixels in uint8 where `takes_pixels`.
    `parameters` is None for an ONNX file that does not say.
    """

    found: Found
    answer: Callable[[Tensor], Tensor]
    precision: Precision
    parameters: int | None
    mean: tuple[float, ...]
    std: tuple[float, ...]
    takes_pixels: bool = False


def find(checkpoint: str, model: str | None = None) -> Found:
    """The file behind a run's folder, a student's own file, weights with their model's name, or an ONNX file.

    Raises ValueError where there is none, or it does not say which model it is.
    """
    path = Path(checkpoint)
    if path.suffix == ".pt2":
        raise ValueError(f"{path}: reading a .pt2 can run code; measure the run, its .safetensors or its .onnx")
    if path.suffix == ".onnx":
        onnx = open_onnx(path)
        return Found(model=onnx.metadata.get("model", path.name), file=path, metadata=onnx.metadata, onnx=onnx)
    if model is not None:
        file = path / run_files.STUDENT if path.is_dir() else path
        if not file.is_file():
            raise ValueError(f"there is no file {file}; give a run's folder or a file of weights{did_you_mean(path)}")
        return Found(model=model, file=file, metadata=read_metadata(file))
    wanted = locate(checkpoint, None)
    if wanted.weights is None:
        raise ValueError(
            f"found {checkpoint!r}; give a run's folder, a .safetensors or .onnx file, or --model with the file"
            + did_you_mean(path)
        )
    return Found(model=wanted.model, file=wanted.weights, metadata=read_metadata(wanted.weights))


def is_embedding(found: Found) -> bool:
    """Whether the network answers embeddings, as its file says, or the settings of the run beside it."""
    settings = settings_beside(found)
    return EMBEDDING in found.metadata or (settings is not None and settings.retrieval is not None)


def settings_beside(found: Found) -> Settings | None:
    """The settings of the run in whose folder the file lies; None where it lies elsewhere."""
    path = found.file.parent / run_files.SETTINGS
    if not path.is_file():
        return None
    try:
        return Settings.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (yaml.YAMLError, ValueError) as error:
        first = str(error).splitlines()[1 if isinstance(error, ValidationError) else 0]
        raise ValueError(
            f"{path} cannot be read as a run's settings ({first}); was it made by another version?"
        ) from error


def make_ready(found: Found, data: Dataset, precision: str) -> Subject:
    """The network for these data. Raises ValueError where it takes other images or knows other classes."""
    wanted = data.train.class_names
    names = found.told.get("class_names") or json.loads(found.metadata.get("class_names", "[]"))
    if is_embedding(found):
        names = []
    # An ONNX file's logits are taken as they come; a network's are brought into the order of the data.
    if names and not (tuple(names) == wanted if found.onnx else set(wanted) <= set(names)):
        raise ValueError(
            f"{found.file} knows {some(names)}, {data.name} has {some(wanted)}; it has to know "
            + ("the same in the same order" if found.onnx else "all of them")
        )
    return _with_onnx(found, found.onnx, data) if found.onnx else _with_torch(found, data, precision)


def _with_torch(found: Found, data: Dataset, precision: str) -> Subject:
    """Pixels, size and order of classes are those of the data; where its file says others, the network sees those."""
    wanted = TeacherSettings(model=found.model, weights=found.file, **found.told)
    network = build_teacher([wanted], data, found.section).eval()
    chosen = choose(
        RunSettings.model_validate({"precision": precision, "compile": "off"}),
        multiply_adds=facts.multiply_adds(network, torch.zeros(1, *data.image_shape))[1],
        phase_multiply_adds=0.0,
    )
    chosen.place(network)
    return Subject(
        found=found,
        answer=network,
        precision=chosen,
        parameters=facts.num_parameters(network),
        mean=data.mean,
        std=data.std,
    )


def check_told(found: Found, told: dict[str, Any]) -> None:
    """ValueError for settings of an ONNX file's network that nothing can be done with, or that the file says itself."""
    if found.onnx is None:
        return
    for key in told:
        if key not in ("mean", "std"):
            raise ValueError(f"{found.file} is an ONNX file, whose network is as it is; leave out {key}")
        if key in found.metadata or found.onnx.takes_pixels:
            raise ValueError(f"{found.file} says itself how images are normalised; leave out {key}")


def _with_onnx(found: Found, onnx: OnnxFile, data: Dataset) -> Subject:
    pairs = zip(onnx.image_shape, data.image_shape, strict=True)
    if any(wanted is not None and wanted != size for wanted, size in pairs):
        raise ValueError(
            f"{found.file} takes images of {_shape(onnx.image_shape)}, {data.name} has {_shape(data.image_shape)}"
        )
    said, channels = found.metadata, data.image_shape[0]
    own_mean, own_std = (constants(found.told.get(key), said, key) for key in ("mean", "std"))
    return Subject(
        found=found,
        answer=onnx,
        precision=Precision(device=torch.device("cpu"), dtype=torch.float32, channels_last=False, compile=False),
        parameters=int(said["parameters"]) if "parameters" in said else None,
        mean=(0.0,) * channels if onnx.takes_pixels else own_mean or data.mean,
        std=(1.0,) * channels if onnx.takes_pixels else own_std or data.std,
        takes_pixels=onnx.takes_pixels,
    )


def part_of(data: Dataset, split: str) -> Images:
    """The images of a split. Raises ValueError for one that is not there."""
    images = {"train": data.train, "validation": data.validation, "test": data.test}[split]
    if images is None:
        raise ValueError(
            f"{data.name} has no {split} images here: only a run that held some out (data.validation=0.1) has them; "
            f"give its folder, or --split test"
        )
    return images


@torch.no_grad()
def ask(subject: Subject, data: Dataset, split: str) -> tuple[Tensor, Tensor]:
    """The logits (N, K) of a split's images in order, in float32 on the processor, and the labels (N,).

    Raises ValueError for a split that is not there, and for answers that are not one finite logit for each class.
    """
    images = part_of(data, split)
    logits, labels = [], []
    precision = subject.precision
    for batch, batch_labels in batches_in_order(
        images,
        replace(data, mean=subject.mean, std=subject.std),
        device=precision.device,
        channels_last=precision.channels_last,
    ):
        with precision.autocast():
            answer = subject.answer(batch.round().byte() if subject.takes_pixels else batch)
        if not isinstance(answer, Tensor):
            raise ValueError(
                f"{subject.found.file} answers a {type(answer).__name__} to images, expected logits; wrap a network "
                f"that answers anything else so that it answers these alone"
            )
        logits.append(answer.float().cpu())
        labels.append(batch_labels.cpu())
    answers = torch.cat(logits)
    _check(answers, subject, data)
    return answers, torch.cat(labels)


def _check(logits: Tensor, subject: Subject, data: Dataset) -> None:
    if logits.ndim != 2 or logits.shape[1] != data.num_classes:
        raise ValueError(
            f"{subject.found.file} answers {tuple(logits.shape[1:])} to an image, expected {data.num_classes} logits, "
            f"one for each class of {data.name}"
        )
    broken = int((~logits.isfinite()).any(dim=1).sum())
    if broken:
        raise ValueError(
            f"{subject.found.file} answers {broken} of {len(logits)} images with logits that are not finite"
        )


def some(names: list[str] | tuple[str, ...]) -> str:
    return f"{len(names)} classes ({few(names, 3)})"


def _shape(sizes: tuple[int | None, ...]) -> str:
    return "x".join("any" if size is None else str(size) for size in sizes)
