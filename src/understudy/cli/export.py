"""`understudy export`."""

from pathlib import Path
from typing import Annotated

import typer

from understudy.cli.app import app, console


@app.command()
def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="the folder of a finished run")],
    to: Annotated[
        list[str],
        typer.Option("--to", help="safetensors, onnx or torch (a .pt2 of torch.export); may be given several times"),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", help="where the files go [default: RUN/export, with --best RUN/export-best]", show_default=False
        ),
    ] = None,
    with_normalisation: Annotated[
        bool,
        typer.Option("--with-normalisation", help="onnx and torch take uint8 pixels and normalise them themselves"),
    ] = False,
    best: Annotated[
        bool,
        typer.Option(
            "--best", help="the student of the best epoch by the images held out (data.validation), not of the last"
        ),
    ] = False,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            help="package.module:function, for a run that was given a network of your own",
            show_default=False,
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option("--data", help="images that have moved since the run, as folder:PATH", show_default=False),
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option(
            "--folder", help="where data sets lie [default: $UNDERSTUDY_DATA, else ./data]", show_default=False
        ),
    ] = None,
    tolerance: Annotated[
        float,
        typer.Option(
            "--tolerance",
            help="how far logits may differ from the student's, of the largest logit; scores of a detector",
        ),
    ] = 1e-4,
) -> None:
    """Write a run's student alone for others to use, checked against the student, with a card that says what it is.

    Example: understudy export runs/student --to onnx --to safetensors
    """
    from understudy.export import export_run

    screen = console()

    def say(text: str) -> None:
        screen.print(text, highlight=False, soft_wrap=True, markup=False)

    exported = export_run(
        run,
        to,
        out=out,
        with_normalisation=with_normalisation,
        model=model,
        data=data,
        data_folder=folder,
        tolerance=tolerance,
        best=best,
        say=say,
    )
    say(f"card: {exported[0].file.with_name('README.md')}")
