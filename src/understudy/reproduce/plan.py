"""The runs that the rows of a table need: each once, teachers first, in folders where they are found again."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from understudy.engine import facts
from understudy.engine.records import folder
from understudy.experiments import TABLES, TEACHERS, Row, Table
from understudy.reproduce.quick import quick_settings
from understudy.spec import read_settings, run_files
from understudy.spec.run_files import MAY_DIFFER


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run that is to be carried out in `folder`, once the runs in the folders `needs` are finished.

    `settings` are complete. `rows` names the rows whose numbers it measures; a teacher has none, and neither has a run
    of another table, whose student this one begins with.
    """

    name: str
    settings: Mapping[str, object]
    folder: Path
    needs: tuple[Path, ...]
    rows: tuple[str, ...] = ()
    seed: int = 0
    is_finished: bool


@dataclass(frozen=True, kw_only=True)
class Weights:
    """A file of a teacher's or a student's weights, made by the run in `made_in` or there already.

    `identity` stands for it in fingerprints.
    """

    weights: Path
    made_in: Path | None
    identity: str


def plan(
    table: Table, *, seeds: Sequence[int], runs: Path, teacher_weights: Path | None, is_quick: bool = False
) -> list[Run]:
    """Teachers first, then the rows seed by seed; rows with the same settings, seed and teacher are one run.

    Raises ValueError for a folder that holds another run, and for a file of weights that stands for several teachers.
    """
    rows = {name: row for name, row in table.rows.items() if row.missing is None}
    starts = {row.start: _row_named(row.start) for row in rows.values() if row.start is not None}
    taught = [*rows.values(), *(row for row in starts.values() if row is not None)]
    recipes = list(dict.fromkeys(row.teacher for row in taught if row.teacher is not None))
    planned: dict[Path, Run] = {}
    if teacher_weights is None:
        teachers = {name: _plan_teacher(name, runs, planned, is_quick) for name in recipes}
    else:
        teachers = _given(teacher_weights, recipes, runs, is_quick)
    for seed in seeds:
        begun = {name: _plan_start(name, row, seed, runs, teachers, planned, is_quick) for name, row in starts.items()}
        for name, row in rows.items():
            teacher = teachers[row.teacher] if row.teacher else None
            run = _plan_row(name, row, seed, runs, teacher, begun[row.start] if row.start else None)
            same = planned.get(run.folder)
            planned[run.folder] = run if same is None else replace(same, rows=(*same.rows, name))
    return list(planned.values())


def tidy(path: Path) -> Path:
    """Relative where it lies below the working directory: a folder that moves to another machine stays the same."""
    whole = path.resolve()
    return whole.relative_to(Path.cwd()) if whole.is_relative_to(Path.cwd()) else whole


def _plan_teacher(name: str, runs: Path, planned: dict[Path, Run], is_quick: bool) -> Weights:
    """The recipe's teacher; the run that makes it, after the one that it starts from, is added to the plan."""
    recipe, found = TEACHERS[name], _made_by(name, runs, is_quick)
    start = _plan_teacher(recipe.start, runs, planned, is_quick) if recipe.start else None
    settings, place = _recipe_settings(name, is_quick), found.weights.parent
    if start is not None:
        settings["student.weights"] = str(start.weights)
    planned[place] = Run(
        name=f"teacher {name}",
        settings=settings,
        folder=place,
        needs=_made_in(start),
        is_finished=folder.is_finished(place, read_settings(options=settings)),
    )
    return found


def _made_by(name: str, runs: Path, is_quick: bool) -> Weights:
    """What the recipe's run makes, whether or not it is there."""
    start = TEACHERS[name].start
    begun = _made_by(start, runs, is_quick) if start else None
    identity = f"{name}-{_fingerprint(_recipe_settings(name, is_quick), {'student.weights': begun})}"
    place = runs / "teachers" / identity
    return Weights(weights=place / run_files.STUDENT, made_in=place, identity=identity)


def _recipe_settings(name: str, is_quick: bool) -> dict[str, object]:
    settings = TEACHERS[name].settings
    return {**(quick_settings(settings) if is_quick else settings), "run.seed": 0}


def _given(weights: Path, recipes: Sequence[str], runs: Path, is_quick: bool) -> dict[str, Weights]:
    """A file in place of the recipe's teacher; the very file that the recipe made counts as that."""
    if len(recipes) > 1:
        raise ValueError(
            f"--teacher-weights is one teacher, and these rows have {len(recipes)}: {', '.join(recipes)}; "
            f"name rows of one of them, or leave it out to have them trained"
        )
    if not weights.is_file():
        raise ValueError(f"there is no file {weights}; give the teacher's weights")
    sha256 = facts.sha256(weights)
    found = Weights(weights=tidy(weights), made_in=None, identity=sha256)
    for name in recipes:
        own = _made_by(name, runs, is_quick)
        if own.weights.is_file() and facts.sha256(own.weights) == sha256:
            found = replace(found, identity=own.identity)
    return dict.fromkeys(recipes, found)


def _row_named(start: str) -> Row | None:
    """The row of TABLE/ROW; None for a name of TEACHERS."""
    table, _, name = start.partition("/")
    return TABLES[table].rows[name] if name else None


def _plan_start(
    name: str,
    row: Row | None,
    seed: int,
    runs: Path,
    teachers: Mapping[str, Weights],
    planned: dict[Path, Run],
    is_quick: bool,
) -> Weights:
    """The finished student of another table's row, with the same seed, or of a recipe; its run is added to the plan."""
    if row is None:
        return _plan_teacher(name, runs, planned, is_quick)
    settings = quick_settings(row.settings) if is_quick else row.settings
    teacher = teachers[row.teacher] if row.teacher else None
    run = _plan_row(name, replace(row, settings=settings), seed, runs, teacher, None)
    planned[run.folder] = replace(run, rows=())
    return Weights(weights=run.folder / run_files.STUDENT, made_in=run.folder, identity=run.folder.name)


def _plan_row(name: str, row: Row, seed: int, runs: Path, teacher: Weights | None, start: Weights | None) -> Run:
    settings: dict[str, object] = {**row.settings, "run.seed": seed}
    weights = {"teacher.weights": teacher, "student.weights": start}
    fingerprint = _fingerprint(settings, weights)
    settings |= {key: str(one.weights) for key, one in weights.items() if one is not None}
    read = read_settings(options=settings)
    words = [read.method.name, read.student.model, read.data.name, f"seed{seed}", fingerprint]
    place = runs / re.sub(r"[^\w.+-]+", "-", "-".join(words))
    return Run(
        name=f"{name}, seed {seed}",
        settings=settings,
        folder=place,
        needs=_made_in(teacher, start),
        rows=(name,),
        seed=seed,
        is_finished=folder.is_finished(place, read),
    )


def _made_in(*weights: Weights | None) -> tuple[Path, ...]:
    return tuple(one.made_in for one in weights if one is not None and one.made_in is not None)


def _fingerprint(settings: Mapping[str, object], weights: Mapping[str, Weights | None]) -> str:
    """Ten hexadecimal digits for what a run learns; defaults that are stated, and where files lie, do not matter."""
    named = {**settings, **{key: one.identity for key, one in weights.items() if one is not None}}
    stated = read_settings(options=named).model_dump(mode="json", exclude_defaults=True)
    kept = {key: value for key, value in folder.flatten(stated).items() if key not in MAY_DIFFER}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:10]
