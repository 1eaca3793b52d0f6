"""Which of several runs can be compared, and the best of them."""

from collections.abc import Sequence

from .table import Row


def finished_students(rows: Sequence[Row]) -> list[Row]:
    """The rows that are finished and measured, no teachers unless there is nothing else."""
    students = [row for row in rows if not row.is_teacher] or rows
    return [row for row in students if not row.unfinished and row.score is not None]


def best_among(rows: Sequence[Row]) -> Row | None:
    """The best of the finished students; None where there is none, or they were measured by different numbers or on
    different images."""
    finished = finished_students(rows)
    return best_of(finished) if are_measured_alike(finished) else None


def are_measured_alike(rows: Sequence[Row]) -> bool:
    """Whether all were measured by one number, on the same images."""
    return len({(row.headline, row.data, row.split, row.tested_on) for row in rows}) == 1


def best_of(rows: Sequence[Row]) -> Row:
    """The row with the best final score, of rows that can be compared."""
    return max(rows, key=lambda row: row.score or 0.0)


def alone_beside(best: Row, rows: Sequence[Row]) -> Row | None:
    """The best run without a teacher's help under the same conditions and with the same seed."""
    if best.is_alone:
        return None
    same = [row for row in rows if row.is_alone and row.seed == best.seed and conditions(row) == conditions(best)]
    return best_of(same) if same else None


def conditions(row: Row) -> tuple[object, ...]:
    """The student, its data, split and number of epochs.

    The same data are the very same images, in the same size, as many of them shown in batches of one size, and the same
    student began with the same file, or none.
    """
    return row.student, row.data, row.split, row.num_epochs, row.began_with
