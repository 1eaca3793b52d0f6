"""`understudy evaluate`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from understudy.cli.app import app, console
from understudy.spec import check_file


class Numbers(StrEnum):
    """What a network computes in."""

    auto = "auto"
    float32 = "float32"
    bfloat16 = "bfloat16"


class Split(StrEnum):
    """Which images are looked at."""

    test = "test"
    validation = "validation"
    train = "train"


@app.command()
def evaluate(
    network: Annotated[
        str,
        typer.Argument(
            metavar="CHECKPOINT",
            help="a run's folder, a student.safetensors, an .onnx file, or any weights together with --model",
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
    split: Annotated[Split, typer.Option("--split", help="which images")] = Split.test,
    teacher: Annotated[
        str | None,
        typer.Option(
            "--teacher",
            help="compare the answers with this network's: a run's folder, a file, or a model's name",
            show_default=False,
        ),
    ] = None,
    teacher_weights: Annotated[
        Path | None, typer.Option("--teacher-weights", help="the weights of a --teacher by name", show_default=False)
    ] = None,
    all_classes: Annotated[bool, typer.Option("--all", help="all classes in the table, not the 15 worst")] = False,
    confusion: Annotated[
        Path | None,
        typer.Option("--confusion", help="draw what is taken for what: a .svg or .png file", show_default=False),
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="write everything that was measured", show_default=False)
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option(
            "--folder", help="where data sets lie [default: $UNDERSTUDY_DATA, else ./data]", show_default=False
        ),
    ] = None,
    precision: Annotated[Numbers, typer.Option("--precision", help="it computes in")] = Numbers.float32,
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SECTION.KEY=VALUE",
            help="what a file does not say of itself: data.mean, data.std, data.size, teacher.mean, ...",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Measure a network: accuracy by class, calibration, what is taken for what, agreement with a teacher.

    Of a detector the average precision of each class, and their mean, as VOC 2007 and as VOC 2010 define it; where
    pycocotools is installed, COCO's too.

    Example: understudy evaluate runs/student --teacher runs/teacher --confusion confusion.svg

    Example: understudy evaluate resnet.pth --model timm:resnet18 --data folder:photos data.mean=[0.5,0.5,0.5]
    """
    from understudy.report.confusion import check_picture, write_confusion
    from understudy.report.detection import print_detection
    from understudy.report.measurement import print_measurement, print_scores

    if json_file is not None:
        check_file(json_file)
    if confusion is not None:
        check_picture(check_file(confusion))
    from understudy.engine.evaluate.assess import assess

    found = assess(
        network,
        model=model,
        data=data,
        data_folder=folder,
        precision=precision.value,
        split=split.value,
        teacher=teacher,
        teacher_weights=teacher_weights,
        needs_classes=confusion is not None,
        words=words or [],
    )
    screen = console()
    if "scores" in found and "per_class" in found:
        print_detection(found, screen)
    elif "scores" in found:
        print_scores(found, screen)
    else:
        print_measurement(found, screen, all_classes=all_classes)
    if json_file is not None:
        from understudy.engine.records.folder import write_json

        json_file.parent.mkdir(parents=True, exist_ok=True)
        write_json(json_file, found)
        screen.print(f"everything: {json_file}", highlight=False, soft_wrap=True, markup=False)
    if confusion is not None:
        names = [one["name"] for one in found["per_class"]]
        title = f"{found['model']} on {found['data']}: {found['accuracy_pct']:.2f} % right"
        write_confusion(found["confusion"], names, confusion, title)
        screen.print(f"picture: {confusion}", highlight=False, soft_wrap=True, markup=False)
