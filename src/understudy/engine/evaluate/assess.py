"""Measuring weights on disk."""

import contextlib
import json
import time
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from understudy.data import BoxedImages, Dataset, load
from understudy.data.addresses import kind_of_address
from understudy.engine import facts
from understudy.engine.evaluate.detecting import is_detector, make_detector_ready, measure_detection
from understudy.engine.evaluate.searching import measure_search
from understudy.engine.evaluate.subject import (
    Found,
    Subject,
    ask,
    check_told,
    find,
    is_embedding,
    make_ready,
    settings_beside,
)
from understudy.engine.evaluate.words import Told, told_by
from understudy.engine.measure.measurement import measure, measure_alike
from understudy.engine.memory.kept import told_when_full
from understudy.engine.networks import loading_as_trained
from understudy.engine.plan import load_data, loading_of
from understudy.spec import read_object, run_files


@told_when_full()
def assess(
    checkpoint: str,
    *,
    model: str | None = None,
    data: str | Dataset | None = None,
    data_folder: Path | None = None,
    precision: str = "float32",
    split: str = "test",
    teacher: str | None = None,
    teacher_weights: Path | None = None,
    needs_classes: bool = False,
    words: Iterable[str] = (),
) -> dict[str, Any]:
    """Everything that is measured of a network on the images of a split, as JSON knows values.

    The network is a run's student, a student's own file, any weights with the name of their model, or an ONNX file; so
    is the teacher, if there is one. `data` is a name, or the set itself where it has none. `words` are settings that
    say more than their files, as `words_of_evaluate` takes them. Raises ValueError where a file does not say what the
    options leave out, and for one that answers no classes where it `needs_classes`.
    """
    told = told_by(words, has_teacher=teacher is not None)
    found = replace(find(checkpoint, model), told=told.network)
    # The images are made as large as they are told, for whatever network.
    check_told(found, {key: value for key, value in told.network.items() if key != "size"})
    if needs_classes and (is_detector(found) or is_embedding(found)):
        raise ValueError(f"--confusion: {found.model} does not answer classes; leave it out")
    source = _find_teacher(teacher, teacher_weights, told)
    if source is not None:
        check_told(source, told.teacher)
    images = data if isinstance(data, Dataset) else load_beside(found, data, data_folder, told)
    for one in (found, source):
        if precision == "bfloat16" and one is not None and (one.onnx or is_detector(one)):
            raise ValueError(f"{one.file} is measured in float32, found --precision {precision}: leave it out")
    if is_detector(found):
        if source is not None:
            raise ValueError("detectors are measured each for itself; leave out --teacher")
        subject = make_detector_ready(found, images)
        started = time.perf_counter()
        measured, num_images = measure_detection(subject, images, split)
    else:
        if isinstance(images.train, BoxedImages):
            raise ValueError(f"{images.name} shows objects in boxes, and {found.file} holds no detector")
        subject = make_ready(found, images, precision)
        taught_by = source and make_ready(source, images, precision)
        started = time.perf_counter()
        look = measure_search if is_embedding(found) else _classified
        measured, num_images = look(subject, taught_by, images, split)
    asked_s = time.perf_counter() - started
    return {
        "model": found.model,
        "file": str(found.file),
        "sha256": facts.sha256(found.file),
        "parameters": subject.parameters,
        "data": images.name,
        "data_sha256": images.fingerprint(),
        "split": split,
        **measured,
        # With a teacher the time is of both networks, and with a gallery of its images too.
        "images_per_s": num_images / asked_s if source is None and images.gallery is None else None,
        "precision": subject.precision.facts(),
        "runtime": "onnxruntime" if found.onnx else "torch",
        "command": facts.command(),
        "versions": facts.versions(),
        "hardware": facts.hardware(subject.precision.device),
    }


def _classified(subject: Subject, taught_by: Subject | None, images: Dataset, split: str) -> tuple[dict[str, Any], int]:
    """What a classifier's answers come to, beside its teacher's, and how many images were asked."""
    logits, labels = ask(subject, images, split)
    teacher = taught_by and _beside_teacher(taught_by, logits, images, split)
    return {**asdict(measure(logits, labels, images.train.class_names)), "teacher": teacher}, len(labels)


def load_beside(found: Found, name: str | None, data_folder: Path | None, told: Told) -> Dataset:
    """The data set `name`, read as it is told.

    Without a name the one the network was trained on, as the run's settings say if there are.

    Where these are of another one than the run's, which was given a Dataset, the file's words count if they lead to it.
    Raises ValueError where nothing says which it was.
    """
    settings = settings_beside(found)
    # At another address of the same kind they are read as the run's own: they may have moved.
    is_moved = (
        name is not None and kind_of_address(name) == kind_of_address(settings and settings.data.name) is not None
    )
    if settings is None or (name not in (None, settings.data.name) and not is_moved):
        return _load_as_said(found, name, data_folder, told)
    update = {"folder": data_folder or settings.data.folder}
    if is_moved:
        update |= {"name": name, **({"loading": found.metadata["loading"]} if "loading" in found.metadata else {})}
    there = settings.data.model_copy(update={**update, **told.of_data})
    data = load_data(settings.model_copy(update={"data": there}))
    trained_on = _trained_on(found)
    if told.of_data or trained_on in (None, data.fingerprint()):
        return data
    with contextlib.suppress(ValueError):
        as_said = _load_as_said(found, there.name, there.folder, told)
        data = as_said if as_said.fingerprint() == trained_on else data
    return data


def _trained_on(found: Found) -> str | None:
    """The fingerprint of the run's data; None where the file lies beside none."""
    facts_file = found.file.parent / run_files.FACTS
    return read_object(facts_file, "data")["data"].get("sha256") if facts_file.is_file() else None


def _load_as_said(found: Found, name: str | None, data_folder: Path | None, told: Told) -> Dataset:
    """The data set `name`, or the file's own, prepared as it is told, or else as the file says.

    Without classes that the network does not know.
    """
    name = name or found.metadata.get("data")
    if name is None:
        raise ValueError(f"{found.file} does not say on which data it was trained; give --data")
    # The set may have more classes than the network was trained on.
    is_own = found.metadata.get("data") == name and "class_names" in found.metadata
    classes = json.loads(found.metadata["class_names"]) if is_own and not is_detector(found) else None
    wanted = loading_of(told.data)
    changed = ["how" if key == "loading" else key for key in told.of_data if key not in ("classes", "download")]
    loading = replace(loading_as_trained(found.metadata, name), **{key: getattr(wanted, key) for key in changed})
    return load(
        name,
        folder=data_folder,
        classes=told.data.classes or classes,
        loading=loading,
        download=told.data.download,
    )


def _find_teacher(teacher: str | None, weights: Path | None, told: Told) -> Found | None:
    if teacher is None:
        if weights is not None:
            raise ValueError(f"found --teacher-weights {weights} alone; give the model they belong to as --teacher")
        return None
    return replace(
        find(teacher) if weights is None else find(str(weights), teacher), told=told.teacher, section="teacher"
    )


def _beside_teacher(teacher: Subject, logits: Tensor, images: Dataset, split: str) -> dict[str, Any]:
    wanted, labels = ask(teacher, images, split)
    return {
        "model": teacher.found.model,
        "file": str(teacher.found.file),
        "sha256": facts.sha256(teacher.found.file),
        "accuracy_pct": 100.0 * int((wanted.argmax(dim=1) == labels).sum()) / len(labels),
        **asdict(measure_alike(logits, wanted)),
    }
