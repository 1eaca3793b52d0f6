"""A run from its settings to the student in its folder."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from understudy.data import Batches, Dataset, load
from understudy.distiller import Distiller
from understudy.engine import checkpoint, folder
from understudy.engine.describe import describe, describe_teacher, measure_sizes
from understudy.engine.display import Display, silent
from understudy.engine.finish import finish
from understudy.engine.loop import Loop
from understudy.engine.measure import make_agreement, measure_epoch
from understudy.engine.memory import keep_freed_memory
from understudy.engine.networks import build_network
from understudy.engine.precision import Precision, choose
from understudy.engine.record import Record
from understudy.methods import Method, adjust, find
from understudy.models import load_weights
from understudy.spec import Settings, epochs_per_phase


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
    student, teacher = networks
    example = torch.zeros(2, *data.image_shape)
    sizes = measure_sizes(student, teacher, example[:1])
    precision = _choose_precision(settings, data, method, epochs, sizes)
    for network in networks:
        if network is not None:
            precision.place(network)
    distiller = Distiller(student, teacher, method, example.to(precision.device))
    precision.place(distiller)
    agreement = make_agreement(student, teacher, distiller, example.to(precision.device))
    batches = _make_batches(settings, data, precision)

    record, saved = Record(out), checkpoint.load(out, precision.device)
    if saved is None:
        record.start()
        if teacher is not None:
            display.say("measuring the teacher ...")
        run_facts = describe(settings, data, method, epochs, distiller, batches, precision, sizes)
        run_facts["teacher"] = describe_teacher(settings, teacher, data, precision, sizes)
        folder.write_json(out / folder.FACTS, run_facts)
    else:
        run_facts = _read_facts(out, data)
    _announce(display, out, run_facts, saved)

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
        measure=lambda: measure_epoch(student, data, agreement, precision, distiller),
    )
    try:
        place = loop.run(saved)
    finally:
        display.stop()
    summary = finish(out, student, data, precision, place, run_facts, agreement)
    return Result(student=student, accuracy_pct=summary["accuracy_pct"], folder=out, summary=summary)


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


def _read_facts(out: Path, data: Dataset) -> dict[str, Any]:
    """The facts of the run that goes on. Raises ValueError if its data have changed since."""
    run_facts = json.loads((out / folder.FACTS).read_text(encoding="utf-8"))
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


def _read_finished(out: Path, student: nn.Module, display: Display) -> Result:
    summary = json.loads((out / folder.SUMMARY).read_text())
    load_weights(student, out / folder.STUDENT)
    display.say(f"{out} is already finished: {summary['accuracy_pct']:.2f} %")
    return Result(student=student, accuracy_pct=summary["accuracy_pct"], folder=out, summary=summary)
