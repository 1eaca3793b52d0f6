"""From a finished run to the files that are passed on: each is written, read again and compared, or not there."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from understudy.data import Dataset
from understudy.engine import facts
from understudy.engine.evaluate.onnx_file import require_onnx
from understudy.engine.measure.latency import Latency, measure_latency
from understudy.export import onnx_file, safetensors_file, source, torch_file
from understudy.export.card import CARD, card
from understudy.export.detector import export_detector, is_detector
from understudy.export.exported import Exported
from understudy.export.normalised import Normalised, normalise
from understudy.export.same_answers import compare, told
from understudy.export.student import Student, open_run, open_student
from understudy.spec import check_folder, did_you_mean, expanded, nearest, whole_path, write_whole

FILES = {"safetensors": safetensors_file.NAME, "onnx": onnx_file.NAME, "torch": torch_file.NAME}
# Kernels that add in another order move a logit by a few parts in a million, a wrong layer by far more than this.
TOLERANCE = 1e-4
LATENCY_BATCHES = (1, 32)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """The network that goes into a file, real images for it, and what the input is called."""

    network: nn.Module
    images: Tensor
    input_name: str


def export_run(
    run: str | Path,
    formats: Sequence[str],
    *,
    out: str | Path | None = None,
    with_normalisation: bool = False,
    model: str | None = None,
    data_folder: Path | None = None,
    data: Dataset | str | None = None,
    tolerance: float = TOLERANCE,
    best: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> list[Exported]:
    """Write the run's student in each format, with a card that says what it is, to `out` (RUN/export by default).

    The one after the last epoch; with `best` that of the best epoch by the images held out, to RUN/export-best. `data`
    is for a run that was given a Dataset, or whose images have moved: their name, as in folder:photos.

    Formats are safetensors, onnx and torch. With `with_normalisation`, ONNX and torch.export take uint8 pixels; a
    detector, which is exported to ONNX alone, always does. Raises ValueError for what cannot be exported, ExportError
    for a file that does not answer as the student does: it is removed again.
    """
    if not 0 <= tolerance < math.inf:
        raise ValueError(f"tolerance={tolerance}: expected a number from 0 on, as in --tolerance 1e-3")
    run, out = expanded(run), None if out is None else expanded(out)
    if run.is_file():
        raise ValueError(f"{run} is a file, and a run's folder is exported{did_you_mean(run.parent)}")
    check_folder(out or run)
    formats = _check(formats, with_normalisation)
    opened = open_run(run, model=model, data_folder=data_folder, data=data, best=best)
    out = out or run / ("export-best" if best else "export")
    if is_detector(opened.found):
        return export_detector(opened, model, formats, out, tolerance, say)
    student = open_student(opened, model)
    out.mkdir(parents=True, exist_ok=True)
    plain, pixels = _plain(student), _pixels(student)
    exported = []
    for name in formats:
        asked = pixels if with_normalisation and name != "safetensors" else plain
        one = _export(student, name, asked, out, tolerance)
        say(f"{one.file}: {one.comparison.in_words()}")
        exported.append(one)
    if "safetensors" in formats and source.has_source(student):
        write_whole(out / source.NAME, source.source_of(student))
    say("measuring how long an answer takes ...")
    latencies = {"PyTorch": _latencies(plain.network, plain.images)}
    if "onnx" in formats:
        asked = pixels if with_normalisation else plain
        latencies["ONNX Runtime"] = _latencies(onnx_file.read_onnx(out / onnx_file.NAME), asked.images)
    earlier = [name for format, name in FILES.items() if format not in formats and (out / name).exists()]
    write_whole(out / CARD, card(student, exported, latencies, with_normalisation, earlier))
    return exported


def _check(formats: Sequence[str], with_normalisation: bool) -> list[str]:
    """The formats, each once. ValueError for one that is not known, or whose packages are missing."""
    for name in formats:
        if name not in FILES:
            near = nearest(name, FILES, cutoff=0.3)
            raise ValueError(f"there is no format {name!r}; there are {', '.join(FILES)}{near}")
    if not formats:
        raise ValueError(f"give at least one format: {', '.join(FILES)}")
    if with_normalisation and set(formats) == {"safetensors"}:
        raise ValueError("safetensors holds weights alone; normalisation can be put into onnx and torch")
    if "onnx" in formats:
        require_onnx("export to ONNX")
    return list(dict.fromkeys(formats))


def _plain(student: Student) -> Asked:
    mean, std = (torch.tensor(values)[:, None, None] for values in (student.data.mean, student.data.std))
    return Asked(network=student.network, images=normalise(student.pixels, mean, std), input_name="images")


def _pixels(student: Student) -> Asked:
    network = Normalised(student.network, student.data).eval()
    return Asked(network=network, images=student.pixels, input_name="pixels")


def _export(student: Student, name: str, asked: Asked, out: Path, tolerance: float) -> Exported:
    """Write one file, read it again and compare; it appears when its answers are the network's."""
    path = out / FILES[name]
    takes_pixels = asked.images.dtype == torch.uint8
    metadata = {**student.metadata, "input": "uint8 pixels" if takes_pixels else "normalised float32"}
    # Two images: an exporter takes a batch of one for a constant.
    example = asked.images[:1].repeat(2, 1, 1, 1)
    with whole_path(path) as partial, told(student.model, path):
        if name == "safetensors":
            safetensors_file.write_safetensors(student, partial, metadata)
            other = safetensors_file.read_safetensors(student, partial)
        elif name == "onnx":
            onnx_file.write_onnx(asked.network, example, partial, metadata, asked.input_name)
            other = onnx_file.read_onnx(partial)
        else:
            torch_file.write_program(asked.network, example, partial, metadata)
            other = torch_file.read_program(partial)
        allowed = 0.0 if name == "safetensors" else tolerance
        comparison = compare(asked.network, other, asked.images, tolerance=allowed)
    return Exported(
        format=name,
        file=path,
        num_bytes=path.stat().st_size,
        sha256=facts.sha256(path),
        comparison=comparison,
    )


@torch.inference_mode()
def _latencies(network: Callable[[Tensor], Tensor], images: Tensor) -> list[Latency]:
    """Of one image, and of a batch; the images are repeated where there are too few."""
    found = []
    for size in LATENCY_BATCHES:
        batch = images[torch.arange(size) % len(images)]
        call = lambda batch=batch: network(batch)  # noqa: E731
        found.append(measure_latency(call, batch_size=size, threads=torch.get_num_threads()))
    return found
