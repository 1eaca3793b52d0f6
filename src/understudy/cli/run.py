"""`understudy train` and `understudy distill`."""

import hashlib
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from understudy.cli.app import app, console
from understudy.cli.options import (
    Balance,
    BatchSize,
    Config,
    Data,
    DryRun,
    Epochs,
    MethodName,
    Out,
    PrecisionOption,
    Seed,
    Seeds,
    Student,
    Teacher,
    TeacherCacheOption,
    TeacherWeights,
    Weights,
    Words,
)
from understudy.spec import RunFailedError, Settings, read_settings, run_files
from understudy.spec.scores import in_words

# Of the data set, in the name of a run's folder.
LONGEST_NAME = 80


@app.command()
def train(
    words: Words = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            help="the network: a name from `understudy list models`, timm:NAME, torchvision:NAME, or "
            "package.module:function",
            show_default=False,
        ),
    ] = None,
    weights: Weights = None,
    data: Data = None,
    epochs: Epochs = None,
    batch_size: BatchSize = None,
    seed: Seed = None,
    seeds: Seeds = 1,
    precision: PrecisionOption = None,
    out: Out = None,
    config: Config = None,
    dry_run: DryRun = False,
) -> None:
    """Train a network on labels: a teacher, or a student alone.

    Example: understudy train --model wrn22-4 --data cifar10 --epochs 40 --out runs/teacher optim.sched=onecycle
    """
    options = {
        "task": "train",
        "student.model": model,
        "student.weights": _text(weights),
        **_shared(data, epochs, batch_size, seed, precision),
    }
    _run(options, config, words, out, dry_run, seeds)


@app.command()
def distill(
    words: Words = None,
    teacher: Teacher = None,
    teacher_weights: TeacherWeights = None,
    student: Student = None,
    weights: Weights = None,
    method: MethodName = None,
    data: Data = None,
    balance: Balance = None,
    teacher_cache: TeacherCacheOption = None,
    epochs: Epochs = None,
    batch_size: BatchSize = None,
    seed: Seed = None,
    seeds: Seeds = 1,
    precision: PrecisionOption = None,
    out: Out = None,
    config: Config = None,
    dry_run: DryRun = False,
) -> None:
    """Let a student learn from a teacher.

    Example: understudy distill --teacher runs/teacher --student wrn16-2 --method ab+kd --data cifar10 --epochs 1+5
    """
    options = distill_options(
        teacher,
        teacher_weights,
        student,
        weights,
        method,
        data,
        balance,
        teacher_cache,
        epochs,
        batch_size,
        seed,
        precision,
    )
    _run(options, config, words, out, dry_run, seeds)


def distill_options(
    teacher: list[str] | None,
    teacher_weights: list[Path] | None,
    student: str | None,
    weights: Path | None,
    method: str | None,
    data: str | None,
    balance: float | None,
    teacher_cache: Path | None,
    epochs: str | None,
    batch_size: int | None,
    seed: int | None,
    precision: str | None,
) -> dict[str, Any]:
    """The settings that the options of `distill` name."""
    return {
        "task": "distill",
        **_teachers(teacher or [], teacher_weights or []),
        "student.model": student,
        "student.weights": _text(weights),
        "method.name": method,
        "run.balance": balance,
        "run.teacher_cache": _text(teacher_cache),
        **_shared(data, epochs, batch_size, seed, precision),
    }


def _shared(
    data: str | None, epochs: str | None, batch_size: int | None, seed: int | None, precision: str | None
) -> dict[str, Any]:
    return {
        "data.name": data,
        "epochs": epochs,
        "batch_size": batch_size,
        "run.seed": seed,
        "run.precision": precision,
    }


def _teachers(teachers: list[str], weights: list[Path]) -> dict[str, Any]:
    """The first teacher's settings, and the others'.

    One given as a run's folder or a student's file says itself which model it is; the names take the weights in order.
    """
    # With weights for all of them they are names, whatever lies in folders of these names.
    brings = [
        len(weights) < len(teachers) and (Path(teacher).exists() or teacher.endswith(".safetensors"))
        for teacher in teachers
    ]
    if len(weights) > max(brings.count(False), not teachers):
        raise ValueError(
            f"found {len(weights)} files of weights for {brings.count(False)} teachers given by a model's name; "
            f"a run's folder or a student's file brings its own"
        )
    rest = iter(weights)
    found = []
    for teacher, brings_own in zip(teachers or [None], brings or [False], strict=True):
        if teacher is not None and brings_own:
            from understudy.engine.networks import locate

            own = locate(teacher, None)
            found.append({"model": own.model, "weights": _text(own.weights)})
        else:
            found.append({"model": teacher, "weights": _text(next(rest, None))})
    more = {"more_teachers": found[1:]} if found[1:] else {}
    return {f"teacher.{key}": value for key, value in found[0].items()} | more


def _run(
    options: dict[str, Any], config: Path | None, words: list[str] | None, out: Path | None, dry_run: bool, seeds: int
) -> None:
    settings = read_settings(file=config, options=options, words=words or [])
    check_method_is_named(settings)
    if dry_run:
        print_settings(resolved(settings))
        return
    if seeds == 1:
        _carry_out(settings, out or Path("runs") / default_name(settings))
        return
    _several(settings, out, seeds)


def _carry_out(settings: Settings, folder: Path) -> None:
    """One run, shown while it goes on, and what came of it in a line."""
    from understudy.engine.display import Display
    from understudy.engine.run import execute

    screen = console()
    result = execute(settings, folder, display=Display(screen))
    screen.print(
        f"[bold]{in_words(result.summary['headline'], result.scores)}[/bold] on the test images after the last epoch; "
        f"the student is {escape(str(result.folder / run_files.STUDENT))}",
        highlight=False,
    )
    best = result.summary["best"]
    if best and "test_scores" in best:
        told = in_words(result.summary["headline"], best["test_scores"])
        screen.print(
            f"best on the held-out images: epoch {best['epoch']}, {told} on the test images; "
            f"{escape(str(result.folder / run_files.BEST))}",
            highlight=False,
        )


def _several(settings: Settings, out: Path | None, count: int) -> None:
    """A run for each seed, and a table of them. One that fails is told, and the others are carried out."""
    from understudy.engine.loop import StoppedError
    from understudy.engine.records.folder import BusyError, is_finished
    from understudy.report import comparison, print_table, read_run

    folders, failed, planned = [], [], {}
    for seed in range(settings.run.seed, settings.run.seed + count):
        own = settings.model_copy(update={"run": settings.run.model_copy(update={"seed": seed})})
        folder = Path("runs") / default_name(own) if out is None else out / f"seed{seed}"
        is_finished(folder, own)  # a folder of something else is refused before anything is trained
        planned[seed] = (own, folder)
    for seed, (own, folder) in planned.items():
        try:
            _carry_out(own, folder)
            folders.append(folder)
        except StoppedError:
            raise
        except (RunFailedError, BusyError) as error:
            failed.append(f"seed {seed}: {error}")
            console().print(failed[-1], highlight=False, soft_wrap=True, markup=False)
    if folders:
        print_table(comparison([read_run(folder) for folder in folders]), console())
    if failed:
        raise RunFailedError("\n".join(failed))


def check_method_is_named(settings: Settings) -> None:
    """ValueError where a teacher is given and nobody says how to learn from it: labels alone would be learnt."""
    if settings.teacher is not None and "name" not in settings.method.model_fields_set:
        raise ValueError(
            "give --method, as in --method ab+kd; `understudy list methods` has all of them, none is labels alone"
        )


def resolved(settings: Settings) -> Settings:
    """With its epochs divided between the method's phases. ValueError for what cannot be, as far as names tell it."""
    from understudy.engine.plan import check_names
    from understudy.methods import chosen

    check_names(settings)
    return settings.model_copy(update={"epochs": chosen(settings)[1]})


def print_settings(settings: Settings) -> None:
    """The settings as YAML, which --config takes."""
    import yaml

    sys.stdout.write(yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False))


def default_name(settings: Settings) -> str:
    """A folder's name that tells the run: network, method, data, epochs and seed."""
    parts = [settings.student.model.replace(":", "-").replace("/", "-")]
    if settings.task == "distill":
        parts.append(settings.method.name)
    data = settings.data.name.replace(":", "-").replace("/", "-").replace("*", "_")
    whole = os.fsencode(data)
    if len(whole) > LONGEST_NAME:
        # A file system has names of 255 bytes at most: of a long address the end, told from others by its digest.
        data = f"{hashlib.sha256(whole).hexdigest()[:8]}-{whole[-LONGEST_NAME:].decode(errors='ignore')}"
    return "-".join([*parts, data, "+".join(map(str, settings.epochs)), f"seed{settings.run.seed}"])


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)
