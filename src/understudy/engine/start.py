"""What is known of a run before its first step: found out and written once, read again when the run goes on."""

from pathlib import Path
from typing import Any

from understudy.data import Dataset, TrainingBatches
from understudy.distiller import Distiller
from understudy.engine import facts
from understudy.engine.describe import beginning, describe, list_mislabelled, teacher_sha256
from understudy.engine.display import Display
from understudy.engine.doctor.quick import look_at_files, look_quickly, tell
from understudy.engine.measure.teacher_scores import is_known
from understudy.engine.memory.student_memory import in_words as memory_in_words
from understudy.engine.plan import Plan
from understudy.engine.rates import rates
from understudy.engine.records import folder
from understudy.precision import Precision
from understudy.processes import num_processes
from understudy.spec import read_object, run_files
from understudy.spec.scores import in_words


def find_facts(
    plan: Plan,
    out: Path,
    distiller: Distiller,
    batches: TrainingBatches,
    precision: Precision,
    memory: dict[str, int],
    display: Display,
) -> dict[str, Any]:
    """The facts of a run that begins in the folder, written there; the teacher is measured for them.

    Raises ValueError for images that cannot be decoded, as far as they are looked at.
    """
    of_files = look_at_files(plan.data)
    if not is_known(plan, precision):
        display.say("measuring the teacher ...")
    run_facts = describe(plan, distiller, batches, precision)
    run_facts["student"]["memory"] = memory
    run_facts["processes"] = num_processes()
    run_facts["findings"] = of_files + look_quickly(plan, distiller, precision, run_facts["teacher"])
    folder.write_json(out / run_files.FACTS, run_facts)
    if plan.data.mislabelled:
        folder.write_json(out / run_files.MISLABELLED, list_mislabelled(plan.data))
    return run_facts


def read_facts(plan: Plan, out: Path) -> dict[str, Any]:
    """The facts of the run in the folder. Raises ValueError if its data, teacher or method have changed since."""
    run_facts = read_object(out / run_files.FACTS, "data", "teacher", "method", "student")
    if run_facts["data"]["sha256"] != plan.data.fingerprint():
        raise ValueError(f"{out} was trained on other data of the same name; give another folder with --out")
    shown, shows = run_facts["data"].get("augment"), repr(plan.data.augment)
    if plan.settings.data.augment and shown not in (None, shows):
        raise ValueError(f"{out} was trained on images as {shown} shows them, not {shows}; give another folder")
    taught_by = (run_facts["teacher"] or {}).get("sha256")
    # A teacher that moves its statistics is another one afterwards.
    if taught_by is not None and plan.method.teacher_mode != "train" and taught_by != teacher_sha256(plan):
        raise ValueError(f"{out} was taught by another teacher of the same name; give another folder with --out")
    declared = run_facts["method"].get("sha256")
    # Folders from before methods had fingerprints have none.
    if declared is not None and declared != plan.method.fingerprint():
        raise ValueError(
            f"{out} was trained by another declaration of {plan.method.title}; give another folder with --out"
        )
    return run_facts


def note_going_on(out: Path, run_facts: dict[str, Any], precision: Precision) -> None:
    """Write down on what the run goes on, where that is another machine, or are other versions, than before."""
    begun = {key: run_facts[key] for key in ("hardware", "versions")}
    before = [begun, *run_facts.get("went_on", [])]
    now = {"hardware": facts.hardware(precision.device), "versions": facts.versions()}
    if now != before[-1]:
        run_facts["went_on"] = [*before[1:], now]
        folder.write_json(out / run_files.FACTS, run_facts)


def announce(display: Display, out: Path, run_facts: dict[str, Any], images: Dataset) -> None:
    """Tell what begins, or goes on, and what was noticed about it."""
    student, teacher, data = run_facts["student"], run_facts["teacher"], run_facts["data"]
    machine = run_facts["precision"]
    if teacher is not None:
        told = (
            f"{in_words(run_facts['headline']['name'], teacher['scores'])} on {data['test_images']:,} test images"
            if teacher["scores"] is not None
            else f"{teacher['classes']:,} other classes" + _at_home(teacher.get("at_home"))
        )
        display.say(f"teacher {teacher['name']}: {told}, {teacher['parameters']:,} parameters")
    display.say(
        f"student {student['name']}: {student['parameters']:,} parameters, {run_facts['method']['title']}, "
        f"{data['name']} ({data['train_images']:,} images)"
    )
    for text in (
        memory_in_words(student.get("memory")),
        *beginning(student),
        rates.in_words(run_facts.get("rates", [])),
        images.note,
        images.loading and f"images: {images.loading}",
    ):
        if text:
            display.say(text)
    compiled = ", compiled" if machine["compile"] else ""
    display.say(f"{machine['dtype']} on {machine['device']}{compiled}; folder {out}")
    tell(display, run_facts.get("findings", []))


def _at_home(known: dict[str, Any] | None) -> str:
    """', accuracy 37.54 % on cifar100', where it is known."""
    return f", {in_words(known['headline'], known['scores'])} on {known['data']}" if known else ""
