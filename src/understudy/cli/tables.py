"""`understudy reproduce`, `report` and `demo`."""

from pathlib import Path
from typing import Annotated

import typer

from understudy.cli.app import app, console
from understudy.cli.options import TeacherCacheOption
from understudy.spec import check_file, few


@app.command()
def reproduce(
    table: Annotated[str, typer.Argument(metavar="TABLE", help="a name from `understudy list tables`")],
    rows: Annotated[
        list[str] | None,
        typer.Argument(metavar="ROW", help="rows by name, or by a part: ab+kd, 1+5 [default: all]", show_default=False),
    ] = None,
    teacher_weights: Annotated[
        Path | None,
        typer.Option(
            "--teacher-weights", help="a finished teacher [default: the rows' own, trained first]", show_default=False
        ),
    ] = None,
    seed: Annotated[
        list[int] | None, typer.Option("--seed", help="of the rows' runs; given again, several", show_default="0")
    ] = None,
    seeds: Annotated[
        int | None, typer.Option("--seeds", min=1, help="this many seeds: 0, 1, 2, ...", show_default=False)
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option("--workers", min=1, help="so many runs at once, in processes of their own", show_default="1"),
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option("--ray", metavar="ADDRESS", help="carry the runs out on this Ray cluster", show_default=False),
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(
            "--minutes", min=0, help="save and stop after so long; the same command goes on", show_default=False
        ),
    ] = None,
    form: Annotated[
        str, typer.Option("--format", help="of the table that is written: markdown, latex, csv or html")
    ] = "markdown",
    teacher_cache: TeacherCacheOption = None,
    download: Annotated[bool, typer.Option("--download", help="fetch the data sets that are not there")] = False,
    quick: Annotated[
        bool, typer.Option("--quick", help="a few steps on a few images, to see that the table's runs work")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="show the plan and stop")] = False,
    runs: Annotated[Path, typer.Option("--runs", help="where the runs go")] = Path("runs"),
    results: Annotated[Path, typer.Option("--results", help="where the measured numbers and the page go")] = Path(
        "results"
    ),
) -> None:
    """Measure the numbers of a published table here, and write them beside the published ones."""
    from understudy.reproduce import choose_rows
    from understudy.reproduce import reproduce as carry_out

    if seed and seeds:
        raise ValueError("found --seed and --seeds; give the one or the other")
    is_complete = carry_out(
        choose_rows(table, rows or []),
        seeds=tuple(dict.fromkeys(seed or range(seeds or 1))),
        teacher_weights=teacher_weights,
        num_workers=workers,
        ray=ray,
        minutes=minutes,
        form=form,
        teacher_cache=teacher_cache,
        is_download=download,
        is_quick=quick,
        is_dry_run=dry_run,
        runs=runs,
        results=results,
        console=console(),
    )
    if not is_complete:
        raise typer.Exit(1)


@app.command()
def report(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN", help="folders of runs")],
    out: Annotated[
        Path, typer.Option("--out", help="the page to write, or its table alone: a .tex (booktabs), .md or .csv file")
    ] = Path("report.html"),
    title: Annotated[str, typer.Option("--title", help="the page's heading")] = "Distillation report",
) -> None:
    """Compare runs: a table here, and one self-contained HTML page.

    Example: understudy report runs/* --out table.tex
    """
    from understudy.report import comparison, print_table, read_runs, write_page
    from understudy.report.text_table import PAGES, check_ending, write_table

    check_ending(check_file(out))
    found, others = read_runs(runs)
    if others:
        left_out = f"left out, because they hold no run: {few(others)}"
        console().print(left_out, highlight=False, soft_wrap=True, markup=False)
    rows = comparison(found)
    print_table(rows, console())
    written = write_page(found, out, title) if out.suffix.lower() in PAGES else write_table(rows, out)
    console().print(f"report: {written}", highlight=False, soft_wrap=True, markup=False)


@app.command()
def demo(
    out: Annotated[Path, typer.Option("--out", help="where the runs and the report go")] = Path("understudy-demo"),
    seed: Annotated[int, typer.Option("--seed", help="of all runs")] = 0,
) -> None:
    """The whole job on scans of digits, in under two minutes: a teacher, then students alone, by KD and by AB+KD."""
    from understudy.demo import run_demo

    run_demo(out, seed, console())
