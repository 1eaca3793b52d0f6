"""What run.json says of a run: enough about method, networks, data, versions and machine to do it again."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from understudy.data import BoxedImages, Dataset, TrainingBatches
from understudy.distiller import Distiller
from understudy.engine import facts
from understudy.engine.measure.teacher_scores import teacher_scores
from understudy.engine.plan import Plan
from understudy.engine.rates import rates
from understudy.methods import LOGITS
from understudy.models import cut_of
from understudy.precision import Precision
from understudy.spec import TeacherSettings, few, read_object, run_files
from understudy.teachers import Teachers

# So many names of what starts random are told; run.json has all.
SHOWN = 8


def describe(plan: Plan, distiller: Distiller, batches: TrainingBatches, precision: Precision) -> dict[str, Any]:
    """All facts that are known before the first step; the teacher is measured for it."""
    settings, data = plan.settings, plan.data
    return {
        "understudy": facts.versions()["understudy"],
        "task": settings.task,
        "name": settings.method.name if settings.task == "distill" else settings.student.model,
        "command": facts.command(),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "headline": {"name": plan.task.headline},
        "seed": settings.run.seed,
        "batch_size": batches.batch_size,
        "method": _method(plan, distiller, batches),
        "student": _student(plan),
        "rates": rates.describe(distiller, settings.optim.rates),
        "teacher": _teacher(plan, precision),
        "data": {
            "name": data.name,
            "train_images": len(data.train),
            "test_images": len(data.test),
            "validation_images": len(data.validation) if data.validation else 0,
            "classes": data.num_classes,
            "image_shape": list(data.image_shape),
            "mislabelled": len(data.mislabelled),
            "sha256": data.fingerprint(),
            "loading": "memory" if data.in_memory else "workers",
            "loading_because": data.loading,
            "augment": repr(batches.augment),
            "note": data.note,
        },
        "precision": precision.facts(),
        "versions": facts.versions(),
        "hardware": facts.hardware(precision.device),
    }


def _student(plan: Plan) -> dict[str, Any]:
    """The student's name and size, where its weights are from, and what of them it did not get or take."""
    wanted, cut = plan.settings.student, cut_of(plan.student)
    facts = {
        "name": wanted.model,
        **plan.sizes["student"],
        "image_shape": list(plan.shapes["student"]),
        "weights": _text(wanted.weights),
    }
    if cut is not None:
        # The head is fresh where the file was the whole network's.
        was_whole = bool(cut.head) and set(cut.head) <= set(plan.left_random)
        facts |= {"cut_after": cut.after, "left_out": [*cut.dropped] if was_whole else []}
    if wanted.from_teacher:
        facts["from_teacher"] = True
    return {**facts, "left_random": plan.left_random}


def beginning(student: dict[str, Any]) -> list[str]:
    """How the student of run.json begins, in words: what of a file or of its teacher it has, and what is random."""
    said, fresh = [], student.get("left_random", [])
    because = "weights of other classes"
    if student.get("left_out"):
        because = "a fresh head"
        said.append(f"cut after {student['cut_after']}: {len(student['left_out'])} tensors of its file are left out")
    if student.get("from_teacher"):
        because, fresh = "not in the teacher", _layers_of(fresh)
        said.append("the student begins with evenly spaced parts of the teacher's weights")
    if fresh:
        said.append(f"{because}: {few(fresh, SHOWN)} start random")
    return said


def _layers_of(tensors: list[str]) -> list[str]:
    """The modules' names, each once: stage1.7.weight and stage1.7.bias are of stage1.7."""
    return list(dict.fromkeys(name.rpartition(".")[0] or name for name in tensors))


def list_mislabelled(data: Dataset) -> list[dict[str, Any]]:
    """The training images that data.mislabel gave a wrong label: place in the set, label and right one, by name."""
    assert not isinstance(data.train, BoxedImages)
    names, labels = data.train.class_names, data.train.labels.tolist()
    return [
        {"image": place, "label": names[labels[place]], "right": names[right]}
        for place, right in data.mislabelled.items()
    ]


def _method(plan: Plan, distiller: Distiller, batches: TrainingBatches) -> dict[str, Any]:
    """The declaration as it is carried out: phases with their steps, terms with their numbers and positions."""
    phases = [
        {
            "name": phase.name,
            "epochs": count,
            "steps": count * batches.steps_per_epoch,
            "images": count * batches.steps_per_epoch * batches.batch_size,
            "labels": bool(phase.labels),
            "terms": {
                term.name: {
                    "weight": term.weight,
                    "ladder": term.ladder,
                    **term.options,
                    "positions": [
                        [site.student.name, site.teacher.name]
                        for site in distiller.sites[term.name]
                        if site.student.name != LOGITS
                    ],
                }
                for term in phase.guides + phase.terms
            },
        }
        for phase, count in zip(plan.method.phases, plan.epochs, strict=True)
    ]
    return {
        "name": plan.settings.method.name,
        "title": plan.method.title if plan.method.needs_teacher else plan.task.labels_title,
        "paper": plan.method.paper,
        "sha256": plan.method.fingerprint(),
        "teacher_mode": plan.method.teacher_mode,
        "phases": phases,
    }


def _teacher(plan: Plan, precision: Precision) -> dict[str, Any] | None:
    """The teacher's name, size, scores on the test images, and fingerprint: of its file, or else of its tensors."""
    if plan.teacher is None:
        return None
    named, files = _named_teachers(plan)
    scores = teacher_scores(plan, precision)
    return {
        "name": " + ".join(one.model for one in named) or type(plan.teacher).__name__,
        **plan.sizes["teacher"],
        "weights": " + ".join(map(str, files)) or None,
        "sha256": teacher_sha256(plan),
        "scores": scores,
        **(_at_home(files) if scores is None else {}),
    }


def _at_home(files: list[Path]) -> dict[str, Any]:
    """Of a teacher of other classes, whose run is there: what it came to on its own test images."""
    if len(files) != 1:
        return {}
    place = files[0].parent
    try:
        own = read_object(place / run_files.SUMMARY, "scores", "headline", "student_sha256")
        data = read_object(place / run_files.FACTS, "data")["data"]["name"]
    except (ValueError, OSError, LookupError, TypeError):
        return {}  # no whole run lies there, which is nothing to complain of
    is_its_own = own["student_sha256"] == facts.sha256(files[0])
    return {"at_home": {"data": data, "scores": own["scores"], "headline": own["headline"]}} if is_its_own else {}


def teacher_sha256(plan: Plan) -> str:
    """The fingerprint of the file that the teacher is from, of its tensors where it is from several or none."""
    assert plan.teacher is not None
    named, files = _named_teachers(plan)
    if len(files) == len(named) == 1:
        return facts.sha256(files[0])
    # Shares and sizes are no tensors.
    about = plan.teacher.extra_repr() if isinstance(plan.teacher, Teachers) else ""
    return facts.state_sha256(plan.teacher, about)


def _named_teachers(plan: Plan) -> tuple[list[TeacherSettings], list[Path]]:
    """What the settings name, and the files of weights."""
    first = plan.settings.teacher
    named = [] if first is None else [first, *plan.settings.more_teachers]
    return named, [one.weights for one in named if one.weights is not None]


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)
