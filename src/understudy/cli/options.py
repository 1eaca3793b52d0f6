"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

Words = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="SECTION.KEY=VALUE",
        help="further settings (`understudy list settings`), as in optim.lr=0.05 terms.ab.margin=2",
        show_default=False,
    ),
]
Data = Annotated[
    str | None,
    typer.Option(
        "--data",
        help="a name from `understudy list data`, folder:PATH, parquet:PATTERN; of boxes coco:PATH, voc:PATH "
        "[default: digits]",
        show_default=False,
    ),
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
Seeds = Annotated[
    int,
    typer.Option(
        "--seeds",
        help="so many runs, with this seed and the next ones, each in a folder of its own; their mean in a table",
        min=1,
    ),
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
        help="store the teacher's answers in this folder, and find them again (docs/cache.md)",
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
        help="the small network: a name from `understudy list models`, timm:NAME, torchvision:NAME, or "
        "package.module:function",
        show_default=False,
    ),
]
Teacher = Annotated[
    list[str] | None,
    typer.Option(
        "--teacher",
        help="the folder of a finished run, or a model's name as for --student (with --teacher-weights); given again, "
        "the mean of several",
        show_default=False,
    ),
]
TeacherWeights = Annotated[
    list[Path] | None,
    typer.Option(
        "--teacher-weights",
        help="the teacher's weights: safetensors, or a plain state dict; one for each model's name, in order",
        show_default=False,
    ),
]
MethodName = Annotated[
    str | None,
    typer.Option("--method", help="a name from `understudy list methods`, or several joined by +", show_default=False),
]
Balance = Annotated[
    float | None,
    typer.Option(
        "--balance",
        help="weigh each term so that its gradient at the student is this many times the labels'",
        show_default=False,
    ),
]
