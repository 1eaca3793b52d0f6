"""The command line: parses, calls, prints. torch is imported inside the commands, so that --help answers at once."""

import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from understudy.spec import Settings, read_settings

app = typer.Typer(
    name="understudy",
    help="Move what a large vision network knows into a small one.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)

Words = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="SECTION.KEY=VALUE",
        help="further settings (`understudy list settings`), as in optim.lr=0.05 terms.ab.margin=2",
        show_default=False,
    ),
]
Data = Annotated[
    str | None, typer.Option("--data", help="a name from `understudy list data` [default: digits]", show_default=False)
]
Epochs = Annotated[
    str | None,
    typer.Option(
        "--epochs",
        help="epochs, one number per phase joined by + (1+5), or one in all [default: 20]",
        show_default=False,
    ),
]
BatchSize = Annotated[
    int | None, typer.Option("--batch-size", help="images per step [default: 128]", show_default=False)
]
Seed = Annotated[
    int | None, typer.Option("--seed", help="random weights, order and augmentation [default: 0]", show_default=False)
]
PrecisionOption = Annotated[
    str | None,
    typer.Option(
        "--precision", help="auto, float32 or bfloat16 [default: auto, from what the machine has]", show_default=False
    ),
]
TeacherCacheOption = Annotated[
    Path | None,
    typer.Option(
        "--teacher-cache",
        help="store the teacher's answers in this folder, and find them again; wants data.views=V",
        show_default=False,
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out",
        help="the run's folder; one that holds this run unfinished is gone on with [default: runs/NAME]",
        show_default=False,
    ),
]
Config = Annotated[
    Path | None,
    typer.Option("--config", help="settings from a YAML file; options and words win over it", show_default=False),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="print the resolved settings and stop")]
Weights = Annotated[
    Path | None,
    typer.Option("--weights", help="start from these weights: safetensors, or a plain state dict", show_default=False),
]
Student = Annotated[
    str | None,
    typer.Option(
        "--student",
        help="the small network: any of `understudy list models`",
        show_default=False,
    ),
]


class Listing(StrEnum):
    """What `understudy list` lists."""

    methods = "methods"
    models = "models"
    data = "data"
    tables = "tables"
    settings = "settings"


def console() -> Console:
    """The terminal; as wide as it is, or 120 columns where there is none."""
    out = Console()
    return out if out.is_terminal or "COLUMNS" in os.environ else Console(width=120)


@app.command()
def train(
    words: Words = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            help="the network: any of `understudy list models`",
            show_default=False,
        ),
    ] = None,
    weights: Weights = None,
    data: Data = None,
    epochs: Epochs = None,
    batch_size: BatchSize = None,
    seed: Seed = None,
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
    _run(options, config, words, out, dry_run)


@app.command()
def distill(
    words: Words = None,
    teacher: Annotated[
        str | None,
        typer.Option(
            "--teacher",
            help="a model's name (with --teacher-weights), or the folder of a finished run",
            show_default=False,
        ),
    ] = None,
    teacher_weights: Annotated[
        Path | None,
        typer.Option(
            "--teacher-weights", help="the teacher's weights: safetensors, or a plain state dict", show_default=False
        ),
    ] = None,
    student: Student = None,
    weights: Weights = None,
    method: Annotated[
        str | None,
        typer.Option(
            "--method", help="a name from `understudy list methods`, or several joined by +", show_default=False
        ),
    ] = None,
    data: Data = None,
    balance: Annotated[
        float | None,
        typer.Option(
            "--balance",
            help="weigh each term so that its gradient at the student is this many times the labels'",
            show_default=False,
        ),
    ] = None,
    teacher_cache: TeacherCacheOption = None,
    epochs: Epochs = None,
    batch_size: BatchSize = None,
    seed: Seed = None,
    precision: PrecisionOption = None,
    out: Out = None,
    config: Config = None,
    dry_run: DryRun = False,
) -> None:
    """Let a student learn from a teacher.

    Example: understudy distill --teacher runs/teacher --student wrn16-2 --method ab+kd --data cifar10 --epochs 1+5
    """
    options = {
        "task": "distill",
        **_teacher(teacher, teacher_weights),
        "student.model": student,
        "student.weights": _text(weights),
        "method.name": method,
        "run.balance": balance,
        "run.teacher_cache": _text(teacher_cache),
        **_shared(data, epochs, batch_size, seed, precision),
    }
    _run(options, config, words, out, dry_run)


@app.command()
def evaluate(
    network: Annotated[
        str,
        typer.Argument(
            metavar="CHECKPOINT", help="a run's folder, a student.safetensors, or any weights together with --model"
        ),
    ],
    data: Annotated[
        str | None,
        typer.Option(
            "--data", help="a name from `understudy list data` [default: what it was trained on]", show_default=False
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model", help="the network the weights belong to, where the file does not say", show_default=False
        ),
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option(
            "--folder", help="where data sets lie [default: $UNDERSTUDY_DATA, else ./data]", show_default=False
        ),
    ] = None,
    precision: Annotated[str, typer.Option("--precision", help="auto, float32 or bfloat16")] = "float32",
) -> None:
    """Measure a network on the test images."""
    from understudy.engine.assess import evaluate_file

    found = evaluate_file(network, model=model, data=data, folder=folder, precision=precision)
    scores = found.scores
    console().print(
        f"{found.model} on {found.data}: accuracy {scores.accuracy_pct:.2f} %, error {scores.error_pct:.2f} %, "
        f"cross-entropy {scores.loss:.4f}\n{scores.num_images:,} test images, {found.parameters:,} parameters, "
        f"{found.dtype}, {scores.images_per_s:,.0f} images/s",
        highlight=False,
    )


@app.command()
def layers(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="the network whose positions are listed; with --student, the teacher")
    ],
    student: Annotated[
        str | None,
        typer.Option("--student", help="show the pairs of positions that would be compared", show_default=False),
    ] = None,
    role: Annotated[str, typer.Option("--role", help="which positions are paired")] = "before_relu",
    size: Annotated[int, typer.Option("--size", help="height and width of the images")] = 32,
    channels: Annotated[int, typer.Option("--channels", help="channels of the images")] = 3,
    classes: Annotated[int, typer.Option("--classes", help="classes of the classifier")] = 10,
) -> None:
    """List a network's positions: names to tap, shapes, parameters, before or after which activation.

    Example: understudy layers wrn22-4 --student wrn16-2
    """
    from understudy.engine.layers import show_layers, show_pairs

    shape = (channels, size, size)
    table = show_layers(model, shape, classes) if student is None else show_pairs(model, student, role, shape, classes)
    console().print(table)


@app.command("list")
def list_(
    what: Annotated[Listing, typer.Argument(help="what to list")],
    markdown: Annotated[bool, typer.Option("--markdown", help="methods only: a page with phases and weights")] = False,
) -> None:
    """List the methods, models, data sets, published tables, or settings there are."""
    if what is Listing.tables:
        from understudy.experiments import TABLES

        for table, rows in TABLES.items():
            for name, row in rows.items():
                published = f"{row.published:.2f} {row.metric.replace('_', ' ')}" if row.published is not None else "-"
                console().print(f"{table} {name}: {row.teacher} -> {row.student}, {published}", highlight=False)
        return
    from understudy.engine import listings

    if markdown:
        if what is not Listing.methods:
            raise ValueError(f"--markdown is for methods, found {what.value}")
        print(listings.methods_page(), end="")
        return
    console().print(listings.LISTINGS[what.value]())


@app.command()
def reproduce(
    table: Annotated[str, typer.Argument(metavar="TABLE", help="a name from `understudy list tables`")],
    rows: Annotated[
        list[str] | None,
        typer.Argument(metavar="ROW", help="rows by name, or by a part: ab+kd, 1+5 [default: all]", show_default=False),
    ] = None,
    teacher_weights: Annotated[
        Path | None, typer.Option("--teacher-weights", help="the teacher's weights", show_default=False)
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="of all runs")] = 0,
    runs: Annotated[Path, typer.Option("--runs", help="where the runs go")] = Path("runs"),
    results: Annotated[Path, typer.Option("--results", help="where the measured numbers and the page go")] = Path(
        "results"
    ),
) -> None:
    """Measure the numbers of a published table here, and write them beside the published ones."""
    from understudy.reproduce import choose_rows
    from understudy.reproduce import reproduce as carry_out

    chosen = choose_rows(table, rows or [])
    if teacher_weights is None:
        raise ValueError(f"{table} needs the teacher's weights; give --teacher-weights FILE")
    carry_out(table, chosen, teacher_weights, seed=seed, runs=runs, results=results, console=console())


@app.command()
def report(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN", help="folders of runs")],
    out: Annotated[Path, typer.Option("--out", help="the page to write")] = Path("report.html"),
    title: Annotated[str, typer.Option("--title", help="the page's heading")] = "Distillation report",
) -> None:
    """Compare runs: a table here, and one self-contained HTML page."""
    from understudy.report import comparison, print_table, read_run, write_page

    found = [read_run(folder) for folder in runs]
    print_table(comparison(found), console())
    console().print(f"report: {write_page(found, out, title)}", highlight=False)


@app.command()
def demo(
    out: Annotated[Path, typer.Option("--out", help="where the runs and the report go")] = Path("understudy-demo"),
    seed: Annotated[int, typer.Option("--seed", help="of all runs")] = 0,
) -> None:
    """The whole job on scans of digits, in under two minutes: a teacher, then students alone, by KD and by AB+KD."""
    from understudy.demo import run_demo

    run_demo(out, seed, console())


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


def _teacher(teacher: str | None, weights: Path | None) -> dict[str, Any]:
    """A teacher given as a run's folder or a student's file says itself which model it is."""
    if teacher is None:
        return {"teacher.weights": _text(weights)}
    if Path(teacher).is_dir() or teacher.endswith(".safetensors"):
        from understudy.engine.networks import locate

        found = locate(teacher, weights)
        return {"teacher.model": found.model, "teacher.weights": _text(found.weights)}
    return {"teacher.model": teacher, "teacher.weights": _text(weights)}


def _run(
    options: dict[str, Any], config: Path | None, words: list[str] | None, out: Path | None, dry_run: bool
) -> None:
    settings = read_settings(file=config, options=options, words=words or [])
    if dry_run:
        import yaml

        sys.stdout.write(yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False))
        return
    from understudy.engine.display import Display
    from understudy.engine.run import execute

    screen = console()
    result = execute(settings, out or Path("runs") / default_name(settings), display=Display(screen))
    screen.print(
        f"[bold]{result.accuracy_pct:.2f} %[/bold] of the test images right (error {100 - result.accuracy_pct:.2f} %); "
        f"the student is {result.folder / 'student.safetensors'}",
        highlight=False,
    )


def default_name(settings: Settings) -> str:
    """A folder's name that tells the run: network, method, data, epochs and seed."""
    parts = [settings.student.model.replace(":", "-").replace("/", "-")]
    if settings.task == "distill":
        parts.append(settings.method.name)
    return "-".join([*parts, settings.data.name, "+".join(map(str, settings.epochs)), f"seed{settings.run.seed}"])


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def main() -> None:
    """Exit status 0 when done, 2 for a mistake in what was asked, 1 for a run that failed or was stopped."""
    try:
        app(standalone_mode=True)
    except ValueError as error:
        _fail(error, 2)
    except RuntimeError as error:
        # Only a run's own ending is told in a sentence; any other failure keeps its traceback.
        if type(error).__name__ not in ("NotFiniteError", "StoppedError"):
            raise
        _fail(error, 1)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        _fail(error, 1)


def _fail(error: Exception, status: int) -> None:
    for line in str(error).splitlines():
        sys.stderr.write(f"understudy: {line}\n")
    sys.exit(status)


if __name__ == "__main__":
    main()
