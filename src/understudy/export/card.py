"""The model card: what the files are, what they were measured to do, and how to load them."""

import shlex
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from jinja2 import Environment, FunctionLoader, StrictUndefined

from understudy.data import Crops
from understudy.engine import facts
from understudy.engine.measure.latency import Latency
from understudy.export.exported import Exported
from understudy.export.loading import how_to_load
from understudy.export.source import has_source
from understudy.export.student import Opened, Student, told_name
from understudy.models import end_of
from understudy.report import Run, quantities
from understudy.spec import run_files, write_whole
from understudy.spec.scores import in_words, title

TITLES = {
    "safetensors": "Weights (safetensors)",
    "onnx": "ONNX (onnxruntime)",
    "torch": "PyTorch program (torch.export)",
}
CARD = "README.md"
# Of a detector's scores those over all classes.
MEANS = ("map_pct", "map_area_pct")
ONNX_PACKAGES = ("onnx", "onnxruntime", "onnxscript")


def card(
    student: Student,
    exported: Sequence[Exported],
    latencies: Mapping[str, Sequence[Latency]],
    with_normalisation: bool,
    earlier: Sequence[str] = (),
) -> str:
    """The card as Markdown. `earlier` names files that lie beside those exported, from another time."""
    return _render(
        "card.md.j2",
        **_content(student),
        exported=exported,
        earlier=earlier,
        latencies=latencies,
        hardware=facts.hardware(next(student.network.parameters()).device),
        snippets=[
            (TITLES[one.format], program)
            for one in exported
            if (program := how_to_load(student, one.format, with_normalisation))
        ],
        has_source=has_source(student) and any(one.format == "safetensors" for one in exported),
        with_normalisation=with_normalisation,
        versions=_versions(exported),
        export_command=facts.command(),
        say=quantities,
        name_of=title,
        in_words=in_words,
    )


def write_detector_card(
    opened: Opened,
    exported: Exported,
    latencies: Mapping[str, Sequence[Latency]],
    shape: Sequence[int],
    parameters: int,
) -> None:
    """The card of a detector beside its file, timed on one image of this shape."""
    run, summary = opened.run, opened.run.summary
    assert summary is not None
    text = _render(
        "detector_card.md.j2",
        **_made(run, opened.found.file),
        model=opened.found.model,
        classes=_few(opened.data.train.class_names),
        scores={name: value for name, value in summary["scores"].items() if name in MEANS},
        parameters=parameters,
        side=opened.found.metadata["height"],
        exported=exported,
        latencies=latencies,
        shape=shape,
        hardware=facts.hardware(torch.device("cpu")),
        versions=_versions([exported]),
        export_command=facts.command(),
        say=quantities,
        name_of=title,
    )
    write_whole(exported.file.with_name(CARD), text)


def _render(template: str, **content: Any) -> str:
    """Templates lie beside this file, and so does what they include."""
    loader = FunctionLoader(lambda name: files("understudy.export").joinpath(name).read_text(encoding="utf-8"))
    strict = Environment(
        loader=loader, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    return strict.get_template(template).render(**content)


def _made(run: Run, file: Path) -> dict[str, Any]:
    """What every card says of the run behind it."""
    assert run.summary is not None
    is_best = file.name == run_files.BEST
    return {
        "facts": {**run.facts, "data": {**run.facts["data"], "name": told_name(run.facts["data"]["name"])}},
        "after": f"epoch {run.summary['epoch']}, the best on held-out images" if is_best else "last epoch",
        "epochs": " + ".join(f"{phase['epochs']:g} ({phase['name']})" for phase in run.phases),
        "student_sha256": facts.sha256(file),
        "file": file.name,
        "run_command": shlex.join(shlex.split(run.facts["command"])),
    }


def _content(student: Student) -> dict[str, Any]:
    run, data = student.run, student.data
    assert run.summary is not None
    end = end_of(student.network)
    return {
        **_made(run, student.file),
        "embedding": end and sum(end.parts),
        "does": "It tells" if end is None else "It answers images with vectors to search by, and was trained on",
        "model": student.model,
        "summary": run.summary,
        "classes": _few(data.train.class_names),
        "prepared": _prepared(student),
        "shape": "x".join(str(size) for size in student.image_shape),
        "mean": ", ".join(f"{value:g}" for value in data.mean),
        "std": ", ".join(f"{value:g}" for value in data.std),
    }


def _prepared(student: Student) -> str:
    """What was done to the images that it was measured on."""
    augment, (_, height, width) = student.data.augment, student.data.image_shape
    share = augment.crop_pct if isinstance(augment, Crops) else 1.0
    small = f", then scaled to {student.image_shape[1]}x{student.image_shape[2]}"
    return (
        f"RGB or grey as above, turned by EXIF, scaled (bilinear, antialiased) until the shorter side is "
        f"{int(min(height, width) / share)}, the middle {height}x{width} of it"
        f"{small if student.image_shape[1:] != (height, width) else ''}"
    )


def _versions(exported: Sequence[Exported]) -> dict[str, str]:
    names = ONNX_PACKAGES if any(one.format == "onnx" for one in exported) else ()
    return {**facts.versions(), **{name: version(name) for name in names}}


def _few(names: Sequence[str], shown: int = 12) -> str:
    words = ", ".join(names[:shown])
    return f"{words}, ... ({len(names)} in all, in every file's metadata)" if len(names) > shown else words
