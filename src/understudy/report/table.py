"""The comparison of several runs: plain rows, and the columns in which terminal and page show them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from . import quantities
from .progress import progress_text, result, score_title, teacher_score
from .roles import epochs_text, labels, method_title, taught, teachers_among
from .run_folder import Run


@dataclass(frozen=True, kw_only=True)
class Row:
    """What one run came to. None stands for what was not measured."""

    label: str
    method: str
    student: str
    data: str
    is_teacher: bool = False
    is_alone: bool = False
    unfinished: str = ""
    split: str | None = None
    epochs: str | None = None
    num_epochs: float | None = None
    seed: int | None = None
    headline: str = "accuracy_pct"
    score: float | None = None
    best_score: float | None = None
    best_epoch: int | None = None
    best_split: str | None = None
    best_test_score: float | None = None
    teacher: str | None = None
    teacher_score: float | None = None
    parameters: int | None = None
    multiply_adds: int | None = None
    training_bytes: int | None = None
    agreement_fraction: float | None = None
    wall_s: float | None = None
    images_per_s: dict[str, float] | None = None
    began_with: tuple[Any, ...] = ()
    # How many classes and images: a set of one name may have been cut down to some of its classes.
    tested_on: tuple[Any, ...] = ()
    # All settings but the seed; empty where they are not known.
    recipe: str = ""


@dataclass(frozen=True, kw_only=True)
class Column:
    """A heading, a row's cell as text, and a rank: the higher, the sooner given up where room is short."""

    heading: str
    cell: Callable[[Row], str]
    rank: int
    is_number: bool = True
    only_if_varied: bool = False
    is_score: bool = False


def run_name(row: Row) -> str:
    """What the run is called, whether it taught others, and how far it came if it is unfinished."""
    named = f"{row.label} (teacher)" if row.is_teacher and row.label != "teacher" else row.label
    return f"{named} ({row.unfinished})" if row.unfinished else named


def _best(row: Row) -> str:
    """With its epoch, and with its images where they are others than those of the final score.

    Of an epoch that held-out images chose, what it comes to on the final score's: 80.90 (5, validation 81.50).
    """
    if row.best_epoch is None:
        return quantities.percent(row.best_score)
    if row.best_split == row.split:
        return f"{quantities.percent(row.best_score)} ({row.best_epoch})"
    if row.best_test_score is None:
        return f"{quantities.percent(row.best_score)} ({row.best_epoch}, {row.best_split})"
    chosen_by = f"{row.best_split} {quantities.percent(row.best_score)}"
    return f"{quantities.percent(row.best_test_score)} ({row.best_epoch}, {chosen_by})"


def _agreement(row: Row) -> str:
    return quantities.fraction_as_percent(row.agreement_fraction)


def _images_per_s(row: Row) -> str:
    return " + ".join(map(quantities.rate, (row.images_per_s or {}).values())) or quantities.NOT_MEASURED


def _error(row: Row) -> str:
    """What is missing to a hundred per cent; not of other scores than accuracy."""
    is_known = row.headline == "accuracy_pct" and row.score is not None
    return quantities.percent(100.0 - (row.score or 0.0)) if is_known else quantities.NOT_MEASURED


def _text(value: object) -> str:
    return quantities.NOT_MEASURED if value is None else str(value)


COLUMNS = (
    Column(heading="run", cell=run_name, rank=0, is_number=False),
    Column(heading="score", cell=lambda row: quantities.percent(row.score), rank=1, is_score=True),
    Column(heading="error %", cell=_error, rank=8),
    Column(heading="best (epoch)", cell=_best, rank=13),
    Column(heading="teacher", cell=lambda row: quantities.percent(row.teacher_score), rank=10),
    Column(heading="agreement %", cell=_agreement, rank=8),
    Column(heading="epochs", cell=lambda row: _text(row.epochs), rank=2),
    Column(heading="method", cell=lambda row: row.method, rank=9, is_number=False),
    Column(heading="student", cell=lambda row: row.student, rank=6, is_number=False),
    Column(heading="data", cell=lambda row: row.data, rank=3, is_number=False, only_if_varied=True),
    Column(heading="split", cell=lambda row: _text(row.split), rank=4, is_number=False, only_if_varied=True),
    Column(heading="seed", cell=lambda row: _text(row.seed), rank=5, only_if_varied=True),
    Column(heading="parameters", cell=lambda row: quantities.count(row.parameters), rank=7),
    Column(heading="multiply-adds", cell=lambda row: quantities.count(row.multiply_adds), rank=12),
    Column(heading="memory an image", cell=lambda row: quantities.memory(row.training_bytes), rank=14),
    Column(heading="time", cell=lambda row: quantities.duration(row.wall_s), rank=6),
    Column(heading="images/s", cell=_images_per_s, rank=11),
)


def comparison(runs: Sequence[Run]) -> list[Row]:
    """One row per run, in order, teachers first. A teacher that came as weights has a row of its own."""
    if not runs:
        raise ValueError("found no runs to compare; expected one run folder or more")
    own = teachers_among(runs)
    rows = [_row(run, label, is_teacher=run in own) for run, label in zip(runs, labels(runs), strict=True)]
    teachers = [row for row in rows if row.is_teacher]
    return [*_given_teachers(runs), *teachers, *(row for row in rows if not row.is_teacher)]


def columns(rows: Sequence[Row]) -> list[Column]:
    """The columns worth showing for these rows: not the empty ones, nor words that the names say already."""
    shown = []
    for column in COLUMNS:
        cells = {column.cell(row) for row in rows} - {quantities.NOT_MEASURED}
        is_varied = len(cells) > 1 or not column.only_if_varied
        is_new = column is COLUMNS[0] or any(column.cell(row) not in row.label for row in rows)
        if cells and is_varied and (is_new or column.is_number):
            shown.append(
                replace(column, heading=score_title(row.headline for row in rows)) if column.is_score else column
            )
    return shown


def _row(run: Run, label: str, *, is_teacher: bool) -> Row:
    facts, found = run.facts, result(run)
    student, teacher = facts["student"], facts["teacher"] or {}
    best, agreement = found.get("best") or {}, found.get("agreement")
    return Row(
        label=label,
        method=method_title(run),
        student=student["name"],
        data=facts["data"]["name"],
        is_teacher=is_teacher,
        is_alone=not (facts["teacher"] and (student.get("from_teacher") or any(one["terms"] for one in run.phases))),
        unfinished=progress_text(run),
        split=found.get("split"),
        epochs=epochs_text(run),
        num_epochs=run.num_epochs,
        seed=facts.get("seed"),
        headline=run.headline,
        score=found["scores"].get(run.headline),
        best_score=best.get("score"),
        best_epoch=best.get("epoch"),
        best_split=best.get("split", found.get("split")),
        best_test_score=(best.get("test_scores") or {}).get(run.headline),
        teacher=teacher.get("name"),
        teacher_score=teacher_score(run),
        parameters=student.get("parameters"),
        multiply_adds=student.get("multiply_adds"),
        training_bytes=(student.get("memory") or {}).get("training_bytes"),
        agreement_fraction=sum(agreement.values()) / len(agreement) if agreement else None,
        wall_s=found.get("wall_s"),
        images_per_s={phase["name"]: phase["images_per_s"] for phase in found.get("phases") or ()},
        began_with=(
            student.get("weights"),
            student.get("image_shape"),
            facts["data"].get("sha256"),
            facts["data"].get("train_images"),
            facts.get("batch_size"),
            # An epoch may show a set many times over.
            sum(phase.get("images") or 0 for phase in run.phases),
        ),
        tested_on=(facts["data"].get("classes"), facts["data"].get("test_images")),
        recipe=run.recipe,
    )


def _given_teachers(runs: Sequence[Run]) -> list[Row]:
    """A row for each teacher that no run here made, from what the runs say of it."""
    rows = {}
    for run in runs:
        teacher = run.facts["teacher"]
        if teacher and not any(taught(other, run) for other in runs):
            rows.setdefault(teacher.get("sha256") or teacher["name"], _given_teacher(teacher, run))
    return list(rows.values())


def _given_teacher(teacher: dict[str, Any], run: Run) -> Row:
    return Row(
        label="teacher",
        method="as given",
        student=teacher["name"],
        data=run.facts["data"]["name"],
        is_teacher=True,
        headline=run.headline,
        score=teacher_score(run),
        parameters=teacher.get("parameters"),
        multiply_adds=teacher.get("multiply_adds"),
    )
