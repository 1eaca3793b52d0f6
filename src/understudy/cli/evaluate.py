"""`understudy evaluate`."""

from pathlib import Path
from typing import Annotated

import typer

from understudy.cli.app import app, console


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
