"""`understudy reproduce`, `report` and `demo`."""

from pathlib import Path
from typing import Annotated

import typer

from understudy.cli.app import app, console


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
