"""What several runs came to, in words."""

from collections.abc import Sequence

from . import quantities
from .table import Row


def headline(rows: Sequence[Row]) -> str:
    """One sentence: who learnt what from whom."""
    students = [row for row in rows if not row.is_teacher] or list(rows)
    learners = _either({row.student for row in students}, "students")
    data = _either({row.data for row in students}, "data sets")
    teachers = {row.teacher for row in students if row.teacher}
    if not teachers:
        return f"{learners} learnt {data}"
    return f"{learners} learnt {data} from {_either(teachers, 'teachers')}"


def finished_students(rows: Sequence[Row]) -> list[Row]:
    """The rows that are finished and measured, no teachers unless there is nothing else."""
    students = [row for row in rows if not row.is_teacher] or rows
    return [row for row in students if not row.unfinished and row.score is not None]


def outcome(rows: Sequence[Row]) -> str:
    """What came out: the best student, its teacher, and the same student alone where that is comparable."""
    finished = finished_students(rows)
    waiting = [f"{row.label} is {row.unfinished}" for row in rows if row.unfinished]
    best = best_among(rows)
    sentences = [_best_sentence(best, finished)] if best else []
    if finished and not best:
        sentences.append(f"{len(finished)} runs are finished; they differ in what was measured, so none is the best.")
    if waiting:
        sentences.append(f"{', '.join(waiting)}.")
    return " ".join(sentences) or "Nothing was measured yet."


def _best_sentence(best: Row, finished: Sequence[Row]) -> str:
    alone = alone_beside(best, finished)
    words = f"{best.label} reaches {_percent(best.score)}"
    if len(finished) > 1:
        words = f"Best of {len(finished)} finished runs: {words}"
    if alone and alone.score is not None and best.score is not None:
        gain = best.score - alone.score
        words += f", {gain:.2f} points more than the same student without a teacher ({alone.label}, "
        words += f"{_percent(alone.score)})"
    if best.teacher_score is not None:
        words += f"; its teacher has {_percent(best.teacher_score)}"
    return f"{words}."


def best_among(rows: Sequence[Row]) -> Row | None:
    """The best of the finished students; None where there is none, or they were measured by different numbers or on
    different images."""
    finished = finished_students(rows)
    kinds = {(row.headline, row.data, row.split) for row in finished}
    return best_of(finished) if len(kinds) == 1 else None


def best_of(rows: Sequence[Row]) -> Row:
    """The row with the best final score, of rows that can be compared."""
    choose = max if rows[0].higher_is_better else min
    return choose(rows, key=lambda row: row.score or 0.0)


def alone_beside(best: Row, rows: Sequence[Row]) -> Row | None:
    """The best run without a teacher's help that had the same student, data, split, number of epochs and seed.

    The same data are the very same images, in the same size, and the same student began with the same file, or none.
    """
    if best.is_alone:
        return None
    same = [row for row in rows if row.is_alone and _conditions(row) == _conditions(best)]
    return best_of(same) if same else None


def _conditions(row: Row) -> tuple[object, ...]:
    return row.student, row.data, row.split, row.num_epochs, row.seed, row.began_with


def _percent(value_pct: float | None) -> str:
    return f"{quantities.percent(value_pct)} %"


def _either(names: set[str], kind: str) -> str:
    """The name where there is one, how many where there are several."""
    return next(iter(names)) if len(names) == 1 else f"{len(names)} {kind}"


def tiles(rows: Sequence[Row]) -> list[tuple[str, str, str]]:
    """The few numbers to remember, each as (what, value, beside it)."""
    best = best_among(rows)
    if best is None:
        return []
    alone = alone_beside(best, finished_students(rows))
    found = [("best student", _percent(best.score), best.label)]
    if alone:
        found.append(("without a teacher", _percent(alone.score), alone.label))
    if best.teacher_score is not None:
        found.append(("its teacher", _percent(best.teacher_score), best.teacher or ""))
    if best.parameters is not None:
        teachers = [row for row in rows if row.is_teacher and row.student == best.teacher]
        sizes = {row.parameters for row in teachers if row.parameters}
        beside = f"teacher {quantities.count(sizes.pop())}" if len(sizes) == 1 else best.student
        found.append(("parameters", quantities.count(best.parameters), beside))
    return found
