"""`understudy layers`."""

from typing import Annotated

import typer

from understudy.cli.app import app, console


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
    """List a network's positions: names to tap, shapes, parameters, before or after which activation, and roles.

    With --student, the pairs that a method would compare. To compare others, name them in the run's settings, the
    student's position = the teacher's: terms.ab.positions=layer1=features.3,layer2=features.6

    Example: understudy layers torchvision:resnet50 --student torchvision:mobilenet_v3_small --size 224
    """
    from understudy.engine.layers import show_layers, show_pairs

    shape = (channels, size, size)
    table = show_layers(model, shape, classes) if student is None else show_pairs(model, student, role, shape, classes)
    console().print(table)
