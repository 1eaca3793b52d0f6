"""The student of a finished run, opened to be exported."""

import json
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import torch
from torch import Tensor, nn

from understudy.data import Dataset, batches_in_order
from understudy.engine import facts
from understudy.engine.evaluate.assess import load_beside
from understudy.engine.evaluate.subject import Found, find, is_embedding, some
from understudy.engine.evaluate.words import Told
from understudy.engine.networks import build_network, form_in, student_metadata
from understudy.models import load_weights, read_metadata
from understudy.ops import scaled
from understudy.report import Run, read_run
from understudy.report.progress import progress_text
from understudy.spec import NetworkSettings, run_files

# As many of the test images as an exported file is compared on.
NUM_IMAGES = 128


@dataclass(frozen=True, kw_only=True, eq=False)
class Student:
    """The network in float32 on the processor, in evaluation mode, with its run and `pixels` to try it on.

    `pixels` (N, C, H, W) are real test images in uint8, as large as the network saw them; `metadata` is what every
    exported file says of itself.
    """

    run: Run
    model: str
    file: Path
    network: nn.Module
    data: Dataset
    metadata: dict[str, str]
    pixels: Tensor

    @property
    def image_shape(self) -> tuple[int, ...]:
        """(channels, height, width) of what it takes."""
        return tuple(self.pixels.shape[1:])


@dataclass(frozen=True, kw_only=True, eq=False)
class Opened:
    """A finished run, the file of weights that is exported of it, and its data."""

    run: Run
    found: Found
    data: Dataset


def open_run(
    run_folder: Path,
    *,
    model: str | None = None,
    data_folder: Path | None = None,
    data: Dataset | str | None = None,
    best: bool = False,
) -> Opened:
    """The run with its file after the last epoch, or of the `best` one by the images held out.

    `model` is its name for a run that was given a network of one's own; `data` are those of a run that was given a
    Dataset, or the name of images that have moved. Raises ValueError for a folder without a finished run, one without
    held-out images if the best is wanted, and for weights that are not those the run measured.
    """
    run = read_run(run_folder)
    if run.summary is None:
        raise ValueError(f"{run_folder} is {progress_text(run)}; the same command as before goes on with it")
    found = find(str(run_folder), model)
    if best:
        run, found = _of_best_epoch(run, found)
    else:
        _check_file(found.file, run.summary.get("student_sha256"))
    data = data if isinstance(data, Dataset) else load_beside(found, data, data_folder, Told())
    _check_classes(found, data)
    return Opened(run=run, found=found, data=data)


def open_student(opened: Opened, model: str | None = None) -> Student:
    """The run's student with its weights; `model` as for `open_run`. Raises ValueError where it cannot be built."""
    run, found, data = opened.run, opened.found, opened.data
    network = _build(found.model, model, run, found.file, data)
    load_weights(network, found.file)
    return Student(
        run=run,
        model=found.model,
        file=found.file,
        network=network.eval(),
        data=data,
        metadata=_metadata(found.model, data, network, run),
        pixels=_pixels(data, _image_shape(run, data)),
    )


def _of_best_epoch(run: Run, found: Found) -> tuple[Run, Found]:
    """The run as if it had ended with its best epoch, and that epoch's student."""
    assert run.summary is not None
    best, file = run.summary["best"] or {}, run.folder / run_files.BEST
    if "test_scores" not in best:
        raise ValueError(
            f"{run.folder} kept no best epoch's student: a run that holds images out, as with data.validation=0.1, does"
        )
    _check_file(file, best["sha256"])
    summary = {**run.summary, "scores": best["test_scores"], "epoch": best["epoch"]}
    return replace(run, summary=summary), replace(found, file=file, metadata=read_metadata(file))


def _check_classes(found: Found, data: Dataset) -> None:
    """The data may have been changed since; an exported file's answers go by the names that the student learnt."""
    names = json.loads(found.metadata.get("class_names", "[]"))
    if names and not is_embedding(found) and tuple(names) != data.train.class_names:
        raise ValueError(
            f"{found.file} knows {some(names)}, and {data.name} has {some(data.train.class_names)} by now; bring the "
            "data back, or train again"
        )


def _check_file(path: Path, measured: str | None) -> None:
    if not path.is_file():
        raise ValueError(f"there is no {path}; it belongs to a finished run")
    if measured is not None and facts.sha256(path) != measured:
        raise ValueError(f"{path} is not the file that the run measured (its SHA-256 is another); train it again")


def _build(name: str, asked: str | None, run: Run, file: Path, data: Dataset) -> nn.Module:
    try:
        return build_network(NetworkSettings(model=name), data, form_in(file), _image_shape(run, data))
    except ValueError as error:
        if asked is not None:
            raise
        raise ValueError(
            f"the student of {run.folder} cannot be built by its name: {error}. "
            f"For a network of your own give --model package.module:function"
        ) from error


def _metadata(model: str, data: Dataset, network: nn.Module, run: Run) -> dict[str, str]:
    """Values are words, or JSON where they are lists."""
    return {
        **student_metadata(model, data, network, _image_shape(run, data)),
        "normalisation": "(pixel - mean) / std in each channel, pixels in 0..255",
        **metadata_of_run(run, data, network),
    }


def told_name(data: str) -> str:
    """The data's name for others: of an address the last folder or file alone, not where it lies on this machine."""
    kind, colon, path = data.partition(":")
    return f"{kind}:{PurePosixPath(path.rstrip('/')).name or path}" if colon and "://" not in path else data


def metadata_of_run(run: Run, data: Dataset, network: nn.Module) -> dict[str, str]:
    """What every exported file says of how its network was made and what it was measured to do."""
    assert run.summary is not None
    teacher = run.facts["teacher"]
    return {
        "num_classes": str(data.num_classes),
        "parameters": str(facts.num_parameters(network)),
        run.headline: str(run.summary["scores"][run.headline]),
        "test_images": str(run.facts["data"]["test_images"]),
        "method": run.facts["method"]["name"],
        "teacher": teacher["name"] if teacher else "",
        "understudy": facts.versions()["understudy"],
    }


def _image_shape(run: Run, data: Dataset) -> tuple[int, int, int]:
    """What the student saw: (channels, height, width)."""
    channels, height, width = run.facts["student"].get("image_shape", data.image_shape)
    return channels, height, width


def _pixels(data: Dataset, shape: tuple[int, int, int]) -> Tensor:
    channels, count = data.image_shape[0], min(NUM_IMAGES, len(data.test))
    # Not normalised; so few are decoded before a worker process has started.
    as_they_are = replace(data, mean=(0.0,) * channels, std=(1.0,) * channels, workers=0)
    some = data.test.subset(torch.arange(count))
    images, _ = next(iter(batches_in_order(some, as_they_are, batch_size=count, device="cpu")))
    return scaled(images, shape[1:]).round().clamp(0, 255).to(torch.uint8)
