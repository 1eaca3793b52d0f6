"""What several runs came to, in words."""

from collections.abc import Sequence

from . import quantities
from .comparable import alone_beside, best_among, finished_students
from .seeds import Seeds, best_over_seeds, gain_in_words, in_words, over_seeds
from .table import Row


def headline(rows: Sequence[Row]) -> str:
    """One sentence: who learnt what from whom."""
    students = [row for row in rows if not row.is_teacher] or list(rows)
    learners = _either({row.student for row in students}, "students")
    data = _either({row.data for row in students}, "data sets")
    teachers = {row.teacher for row in students if row.teacher and not row.is_alone}
    if not teachers:
        return f"{learners} learnt {data}"
    return f"{learners} learnt {data} from {_either(teachers, 'teachers')}"


def outcome(rows: Sequence[Row]) -> str:
    """What came out: the best student, its teacher, and the same student alone where that is comparable.

    Where several seeds were run it is the method with the best mean, not the luckiest run.
    """
    finished, several = finished_students(rows), over_seeds(rows)
    waiting = [f"{row.label} is {row.unfinished}" for row in rows if row.unfinished]
    best, best_mean = best_among(rows), best_over_seeds(several)
    sentences = []
    if best_mean:
        sentences.append(_sentence_over_seeds(best_mean, several))
        if single := len(finished) - sum(len(one.rows) for one in several):
            sentences.append(f"{single} {'run has' if single == 1 else 'others have'} one seed and no part in this.")
    elif best:
        sentences.append(_best_sentence(best, finished))
    elif finished:
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
    if best.teacher_score is not None and not best.is_alone:
        words += f"; its teacher has {_percent(best.teacher_score)}"
    return f"{words}."


def _sentence_over_seeds(best: Seeds, several: Sequence[Seeds]) -> str:
    words = f"{best.label} reaches {in_words(best.mean, best.deviation)} % in {len(best.rows)} seeds"
    if len(several) > 1:
        words = f"Best of {len(several)} recipes with several seeds each: {words}"
    if best.gain:
        words += f"; beside the same student without a teacher {gain_in_words(best.gain)}"
    return f"{words}."


def _percent(value_pct: float | None) -> str:
    return f"{quantities.percent(value_pct)} %"


def _either(names: set[str], kind: str) -> str:
    """The name where there is one, how many where there are several."""
    return next(iter(names)) if len(names) == 1 else f"{len(names)} {kind}"


def tiles(rows: Sequence[Row]) -> list[tuple[str, str, str]]:
    """The few numbers to remember, each as (what, value, beside it)."""
    best, several = best_among(rows), over_seeds(rows)
    if best_over_seeds(several):
        return [
            (f"mean of {len(one.rows)} seeds", f"{_percent(one.mean)}", f"{one.label}, ± {one.deviation:.2f}")
            for one in sorted(several, key=lambda one: -one.mean)[:4]
        ]
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
