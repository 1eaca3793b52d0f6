"""The model card: what the files are, what they were measured to do, and how to load them."""

import shlex
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined

from understudy.data import Crops
from understudy.engine import facts
from understudy.engine.latency import Latency
from understudy.export.exported import Exported
from understudy.export.loading import how_to_load
from understudy.export.source import has_source
from understudy.export.student import Student
from understudy.models import end_of
from understudy.report import quantities
from understudy.spec import run_files
from understudy.spec.scores import in_words, title

TITLES = {
    "safetensors": "Weights (safetensors)",
    "onnx": "ONNX (onnxruntime)",
    "torch": "PyTorch program (torch.export)",
}
ONNX_PACKAGES = ("onnx", "onnxruntime", "onnxscript")


def card(
    student: Student,
    exported: Sequence[Exported],
    latencies: Mapping[str, Sequence[Latency]],
    with_normalisation: bool,
    earlier: Sequence[str] = (),
) -> str:
    """The card as Markdown. `earlier` names files that lie beside those exported, from another time."""
    text = files("understudy.export").joinpath("card.md.j2").read_text(encoding="utf-8")
    strict = Environment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True)
    return strict.from_string(text).render(
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


def _content(student: Student) -> dict[str, Any]:
    run, data = student.run, student.data
    assert run.summary is not None
    end = end_of(student.network)
    return {
        "embedding": end and sum(end.parts),
        "does": "It tells" if end is None else "It answers images with vectors to search by, and was trained on",
        "model": student.model,
        "facts": run.facts,
        "summary": run.summary,
        "after": f"epoch {run.summary['epoch']}, the best on held-out images" if _is_best(student) else "last epoch",
        "epochs": " + ".join(f"{phase['epochs']:g} ({phase['name']})" for phase in run.phases),
        "classes": _few(data.train.class_names),
        "prepared": _prepared(student),
        "shape": "x".join(str(size) for size in student.image_shape),
        "mean": ", ".join(f"{value:g}" for value in data.mean),
        "std": ", ".join(f"{value:g}" for value in data.std),
        "student_sha256": facts.sha256(student.file),
        "run_command": shlex.join(shlex.split(run.facts["command"])),
    }


def _is_best(student: Student) -> bool:
    return student.file.name == run_files.BEST


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
