"""A run from its settings to the student in its folder."""

import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from understudy.data import Batches, Dataset, load
from understudy.distiller import Distiller
from understudy.engine import checkpoint, facts, folder
from understudy.engine.agreement import Agreement
from understudy.engine.display import Display, silent
from understudy.engine.evaluate import evaluate
from understudy.engine.loop import Loop, Place
from understudy.engine.memory import keep_freed_memory
from understudy.engine.networks import build_network, student_metadata
from understudy.engine.precision import Precision, choose, choose_device
from understudy.engine.record import Record
from understudy.methods import Method, adjust, find
from understudy.models import save_weights
from understudy.spec import Settings, epochs_per_phase

AGREEMENT_IMAGES = 512


@dataclass(frozen=True, kw_only=True)
class Result:
    """A finished run: the trained student, its test accuracy in per cent, and the folder that holds everything."""

    student: nn.Module
    accuracy_pct: float
    folder: Path
    summary: dict[str, Any]


def execute(
    settings: Settings,
    out: Path,
    *,
    student: nn.Module | None = None,
    teacher: nn.Module | None = None,
    data: Dataset | None = None,
    display: Display | None = None,
) -> Result:
    """Carry the run out in the folder `out`, or go on with it there; a finished one is only read.

    Networks and data that are not given are built from the settings. Raises ValueError for settings that cannot be
    carried out, before anything is trained.
    """
    display = display or silent()
    keep_freed_memory()
    finished = folder.is_finished(out, settings)
    data = data or _load_data(settings)
    method = method_of(settings)
    epochs = epochs_per_phase(settings.epochs, tuple(phase.share for phase in method.phases))
    networks = _build_networks(settings, method, data, student, teacher)
    if finished:
        return _read_finished(out, networks[0], display)
    folder.start(out, settings)
    return _carry_out(settings, out, data, method, epochs, networks, display)


def method_of(settings: Settings) -> Method:
    """The method that the settings name, with the changes they make to it."""
    return adjust(
        find(settings.method.name),
        labels=settings.method.labels,
        teacher_mode=settings.method.teacher_mode,
        terms=settings.terms,
    )


def _load_data(settings: Settings) -> Dataset:
    wanted = settings.data
    return load(
        wanted.name,
        folder=wanted.folder,
        percent=wanted.percent,
        per_class=wanted.per_class,
        validation=wanted.validation,
        seed=wanted.seed,
        download=wanted.download,
    )


def _build_networks(
    settings: Settings, method: Method, data: Dataset, student: nn.Module | None, teacher: nn.Module | None
) -> tuple[nn.Module, nn.Module | None]:
    """Student and teacher. The student's random weights depend on the seed alone, so that runs can be paired."""
    torch.manual_seed(settings.run.seed)
    if student is None:
        student = build_network(settings.student, data)
    if teacher is None and settings.teacher is not None:
        if settings.teacher.weights is None:
            raise ValueError(
                f"teacher {settings.teacher.model} has no weights; give --teacher-weights FILE, "
                f"or the folder of a run that trained it as --teacher"
            )
        teacher = build_network(settings.teacher, data)
    if teacher is None and method.needs_teacher:
        raise ValueError(f"method {settings.method.name} needs a teacher; give --teacher")
    torch.manual_seed(settings.run.seed + 1)
    return student, teacher


def _carry_out(
    settings: Settings,
    out: Path,
    data: Dataset,
    method: Method,
    epochs: tuple[int, ...],
    networks: tuple[nn.Module, nn.Module | None],
    display: Display,
) -> Result:
    started = time.perf_counter()
    student, teacher = networks
    example = torch.zeros(2, *data.image_shape)
    sizes = {
        role: {"parameters": facts.num_parameters(net), "multiply_adds": facts.multiply_adds(net, example[:1])}
        for role, net in (("student", student), ("teacher", teacher))
        if net is not None
    }
    precision = _choose_precision(settings, data, method, epochs, sizes)
    example = example.to(precision.device)
    precision.place(student)
    if teacher is not None:
        precision.place(teacher)
    distiller = precision.place(Distiller(student, teacher, method, example))
    assert isinstance(distiller, Distiller)
    agreement = _make_agreement(student, teacher, distiller, example)
    batches = _make_batches(settings, data, precision)

    record = Record(out)
    saved = checkpoint.load(out, precision.device)
    run_facts = _read_facts(out, saved, data)
    if run_facts is None:
        run_facts = _gather_facts(settings, data, method, epochs, distiller, batches, precision, sizes)
        if teacher is not None:
            display.say("measuring the teacher ...")
            teacher_scores = evaluate(teacher, data.test, data, precision)
            run_facts["teacher"]["accuracy_pct"] = teacher_scores.accuracy_pct
            run_facts["teacher"]["sha256"] = facts.state_sha256(teacher)
        folder.write_json(out / folder.FACTS, run_facts)
        record.path.unlink(missing_ok=True)
    _announce(display, out, run_facts, saved)
    if saved is None:
        record.path.write_text("")

    if precision.compile:
        distiller.compile(dynamic=False)
    loop = Loop(
        settings=settings,
        distiller=distiller,
        batches=batches,
        epochs=epochs,
        precision=precision,
        record=record,
        display=display,
        measure=lambda: _measure(student, data, agreement, precision, distiller),
    )
    try:
        place = loop.run(saved)
    finally:
        display.stop()
    return _finish(out, student, data, precision, place, epochs, run_facts, agreement, time.perf_counter() - started)


def _choose_precision(
    settings: Settings, data: Dataset, method: Method, epochs: tuple[int, ...], sizes: dict[str, dict[str, int]]
) -> Precision:
    # Backward costs twice the forward; the teacher only goes forward.
    per_image = 3 * sizes["student"]["multiply_adds"]
    if method.needs_teacher:
        per_image += sizes["teacher"]["multiply_adds"]
    return choose(
        settings.run,
        multiply_adds=max(size["multiply_adds"] for size in sizes.values()),
        phase_multiply_adds=float(max(epochs) * len(data.train) * per_image),
    )


def _make_batches(settings: Settings, data: Dataset, precision: Precision) -> Batches:
    return Batches(
        data.train,
        batch_size=settings.batch_size,
        mean=data.mean,
        std=data.std,
        augment=data.augment if settings.data.augment else None,
        seed=settings.run.seed,
        device=precision.device,
        channels_last=precision.channels_last,
    )


def _make_agreement(
    student: nn.Module, teacher: nn.Module | None, distiller: Distiller, example: Tensor
) -> Agreement | None:
    """The measure of equal activations; None where the networks have no positions that can be compared."""
    if teacher is None:
        return None
    try:
        return Agreement(student, teacher, distiller, example)
    except ValueError:
        # A pair without comparable positions can still be distilled by its logits; only this measure is lost.
        return None


def _measure(
    student: nn.Module, data: Dataset, agreement: Agreement | None, precision: Precision, distiller: Distiller
) -> dict[str, Any]:
    """What the log keeps after an epoch: accuracy where the classifier is being trained, and the agreement."""
    accuracy = None
    if distiller.phase.labels or any(term.tap == "logits" for term in distiller.phase.terms):
        split, images = ("test", data.test) if data.validation is None else ("validation", data.validation)
        scores = evaluate(student, images, data, precision)
        accuracy = {split: {"accuracy_pct": scores.accuracy_pct, "loss": scores.loss}}
    return {"accuracy": accuracy, "agreement": _agree(agreement, data, precision)}


def _agree(agreement: Agreement | None, data: Dataset, precision: Precision) -> dict[str, float] | None:
    if agreement is None:
        return None
    some = data.test.subset(torch.arange(min(AGREEMENT_IMAGES, len(data.test))))
    mean = torch.tensor(data.mean).view(1, -1, 1, 1)
    std = torch.tensor(data.std).view(1, -1, 1, 1)
    images = ((some.images.float() - mean) / std).to(precision.device)
    return agreement.measure(images, precision) or None


def _gather_facts(
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
        "teacher": None
        if "teacher" not in sizes
        else {
            "name": settings.teacher.model if settings.teacher else "given",
            **sizes["teacher"],
            "weights": _text(settings.teacher.weights) if settings.teacher else None,
        },
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


def _read_facts(out: Path, saved: dict[str, Any] | None, data: Dataset) -> dict[str, Any] | None:
    """The facts of the run that goes on; None when it starts. Raises ValueError if its data have changed."""
    path = out / folder.FACTS
    if saved is None or not path.exists():
        return None
    run_facts = json.loads(path.read_text())
    if run_facts["data"]["sha256"] != data.fingerprint():
        raise ValueError(f"{out} was trained on other data of the same name; give another folder with --out")
    return run_facts


def _announce(display: Display, out: Path, run_facts: dict[str, Any], saved: dict[str, Any] | None) -> None:
    student, teacher, data = run_facts["student"], run_facts["teacher"], run_facts["data"]
    machine = run_facts["precision"]
    if teacher is not None:
        display.say(
            f"teacher {teacher['name']}: {teacher['accuracy_pct']:.2f} % of {data['test_images']:,} test images, "
            f"{teacher['parameters']:,} parameters"
        )
    display.say(
        f"student {student['name']}: {student['parameters']:,} parameters, {run_facts['method']['title']}, "
        f"{data['name']} ({data['train_images']:,} images)"
    )
    compiled = ", compiled" if machine["compile"] else ""
    display.say(f"{machine['dtype']} on {machine['device']}{compiled}; folder {out}")
    if saved is not None:
        display.say(f"going on at step {saved['place']['step']}")


def _finish(
    out: Path,
    student: nn.Module,
    data: Dataset,
    precision: Precision,
    place: Place,
    epochs: tuple[int, ...],
    run_facts: dict[str, Any],
    agreement: Agreement | None,
    seconds: float,
) -> Result:
    """Measure the student in float32, write it and the summary."""
    exact = Precision(device=precision.device, dtype=torch.float32, channels_last=precision.channels_last, compile=False)
    scores = evaluate(student, data.test, data, exact)
    save_weights(student, out / folder.STUDENT, student_metadata(run_facts["student"]["name"], data))
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    summary = {
        "accuracy_pct": scores.accuracy_pct,
        "error_pct": scores.error_pct,
        "split": "test",
        "epoch": sum(epochs),
        "best": _best(lines),
        "teacher_accuracy_pct": run_facts["teacher"]["accuracy_pct"] if run_facts["teacher"] else None,
        "parameters": run_facts["student"]["parameters"],
        "multiply_adds": run_facts["student"]["multiply_adds"],
        "agreement": _agree(agreement, data, exact),
        "wall_s": round(seconds, 1),
        "phases": [
            _phase_speed(phase, spent, lines, run_facts)
            for phase, spent in zip(run_facts["method"]["phases"], place.phase_train_s, strict=True)
        ],
        "student_sha256": facts.state_sha256(student),
    }
    folder.write_json(out / folder.SUMMARY, summary)
    return Result(student=student, accuracy_pct=scores.accuracy_pct, folder=out, summary=summary)


def _best(lines: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The best epoch of the curve, and on which images it is the best."""
    measured = [
        {"accuracy_pct": scores["accuracy_pct"], "epoch": line["epoch"], "split": split}
        for line in lines
        if line["kind"] == "epoch" and line["accuracy"]
        for split, scores in line["accuracy"].items()
    ]
    return max(measured, key=lambda one: one["accuracy_pct"]) if measured else None


def _phase_speed(
    phase: dict[str, Any], train_s: float, lines: list[dict[str, Any]], run_facts: dict[str, Any]
) -> dict[str, Any]:
    """Time of a phase, and its images/s as the median over its log lines, so that compiling does not count."""
    speeds = sorted(
        line["images_per_s"] for line in lines if line["kind"] == "steps" and line["phase"] == phase["name"]
    )
    return {
        "name": phase["name"],
        "epochs": phase["epochs"],
        "train_s": round(train_s, 1),
        "images": phase["steps"] * min(run_facts["batch_size"], run_facts["data"]["train_images"]),
        "images_per_s": speeds[len(speeds) // 2] if speeds else None,
    }


def _read_finished(out: Path, student: nn.Module, display: Display) -> Result:
    from understudy.models import load_weights

    summary = json.loads((out / folder.SUMMARY).read_text())
    load_weights(student, out / folder.STUDENT)
    display.say(f"{out} is already finished: {summary['accuracy_pct']:.2f} %")
    return Result(student=student, accuracy_pct=summary["accuracy_pct"], folder=out, summary=summary)
