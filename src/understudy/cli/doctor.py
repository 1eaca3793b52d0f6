"""`understudy doctor`."""

from pathlib import Path
from typing import Annotated

import typer

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
from understudy.cli.run import check_method_is_named, default_name, distill_options, print_settings, resolved
from understudy.spec import Settings, check_file, read_settings


@app.command()
def doctor(
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
    json_file: Annotated[
        Path | None, typer.Option("--json", help="write the findings to this file as well", show_default=False)
    ] = None,
) -> None:
    """Say what would go wrong in a run, before it does: the same words as `distill`, and nothing is trained.

    Looks at the teacher (its accuracy, the order of its classes, its normalisation), at what is compared (positions,
    the length of each term's gradient, what gradients reach), at memory, and at the images (unreadable, blank, in train
    and test alike) and their labels. Of several seeds the first one's run is looked at. Exit status 1 where something
    would fail or teach nonsense, else 0.

    Example: understudy doctor --teacher runs/teacher --student wrn16-2 --method ab+kd --data cifar10 --epochs 1+5
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
    settings = read_settings(file=config, options=options, words=words or [])
    check_method_is_named(settings)
    if dry_run:
        print_settings(resolved(settings))
        return
    if out is not None and seeds > 1:
        out = out / f"seed{settings.run.seed}"
    if _examine(settings, out or Path("runs") / default_name(settings), json_file):
        raise typer.Exit(1)


def _examine(settings: Settings, out: Path, json_file: Path | None) -> bool:
    """Show and write the findings; whether there is an error among them."""
    from understudy.engine.doctor import examine
    from understudy.engine.doctor.show import show
    from understudy.engine.plan import make_plan
    from understudy.engine.records.folder import write_json

    if json_file is not None:
        check_file(json_file)
    plan = make_plan(settings)
    findings = examine(plan, out)
    teacher = f" learns from {settings.teacher.model}" if settings.teacher else ""
    show(findings, console(), f"{settings.student.model}{teacher} by {plan.method.title} on {plan.data.name}")
    if json_file is not None:
        json_file.parent.mkdir(parents=True, exist_ok=True)
        write_json(json_file, {"findings": [one.as_plain() for one in findings]})
    return any(one.severity == "error" for one in findings)
