"""What run.json says of a run: enough about method, networks, data, versions and machine to do it again."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from understudy.data import Batches, Dataset
from understudy.distiller import Distiller
from understudy.engine import facts
from understudy.engine.evaluate import evaluate
from understudy.engine.precision import Precision
from understudy.methods import Method
from understudy.spec import Settings


def measure_sizes(student: nn.Module, teacher: nn.Module | None, image: Tensor) -> dict[str, dict[str, int]]:
    """Parameters and multiply-adds for one image (1, C, H, W) of both networks."""
    networks = {"student": student} if teacher is None else {"student": student, "teacher": teacher}
    return {
        role: {"parameters": facts.num_parameters(network), "multiply_adds": facts.multiply_adds(network, image)}
        for role, network in networks.items()
    }


def describe_teacher(
    settings: Settings, teacher: nn.Module | None, data: Dataset, precision: Precision, sizes: dict[str, dict[str, int]]
) -> dict[str, Any] | None:
    """The teacher's name, size, accuracy on the test images, and fingerprint: of its file, or else of its tensors."""
    if teacher is None:
        return None
    weights = settings.teacher.weights if settings.teacher else None
    return {
        "name": settings.teacher.model if settings.teacher else type(teacher).__name__,
        **sizes["teacher"],
        "weights": _text(weights),
        "sha256": facts.state_sha256(teacher) if weights is None else facts.sha256(weights),
        "accuracy_pct": evaluate(teacher, data.test, data, precision).accuracy_pct,
    }


def describe(
    settings: Settings,
    data: Dataset,
    method: Method,
    epochs: tuple[int, ...],
    distiller: Distiller,
    batches: Batches,
    precision: Precision,
    sizes: dict[str, dict[str, int]],
) -> dict[str, Any]:
    phases = [
        {
            "name": phase.name,
            "epochs": count,
            "steps": count * batches.steps_per_epoch,
            "labels": bool(phase.labels),
            "terms": {
                term.name: {
                    "weight": term.weight,
                    "ladder": term.ladder,
                    **term.options,
                    "positions": [[s.name, t.name] for s, t in distiller.positions.get(term.name, [])],
                }
                for term in phase.terms
            },
        }
        for phase, count in zip(method.phases, epochs, strict=True)
    ]
    return {
        "understudy": facts.versions()["understudy"],
        "task": settings.task,
        "name": settings.method.name if settings.task == "distill" else settings.student.model,
        "command": facts.command(),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "seed": settings.run.seed,
        "batch_size": settings.batch_size,
        "method": {
            "name": settings.method.name,
            "title": method.title,
            "paper": method.paper,
            "teacher_mode": method.teacher_mode,
            "phases": phases,
        },
        "student": {"name": settings.student.model, **sizes["student"], "weights": _text(settings.student.weights)},
        "data": {
            "name": settings.data.name,
            "train_images": len(data.train),
            "test_images": len(data.test),
            "validation_images": len(data.validation) if data.validation else 0,
            "classes": data.num_classes,
            "image_shape": list(data.image_shape),
            "sha256": data.fingerprint(),
        },
        "precision": precision.facts(),
        "versions": facts.versions(),
        "hardware": facts.hardware(precision.device),
    }


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)
