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
    role: Annotated[
        str | None,
        typer.Option(
            "--role",
            help="which positions are paired: before_relu (ab, ofd, lp), after_relu (fitnet, nst, ft, kd_svd, mhgd), "
            "group_end (at, fsp, jacobian) or embedding (rkd, selective) [default: before_relu]",
            show_default=False,
        ),
    ] = None,
    size: Annotated[int, typer.Option("--size", min=1, help="height and width of the images")] = 32,
    student_size: Annotated[
        int | None,
        typer.Option(
            "--student-size", min=1, help="of the images that the student sees [default: --size]", show_default=False
        ),
    ] = None,
    channels: Annotated[int, typer.Option("--channels", min=1, help="channels of the images")] = 3,
    classes: Annotated[int, typer.Option("--classes", min=1, help="classes of the classifier")] = 10,
) -> None:
    """List a network's positions: names to tap, shapes, parameters, before or after which activation, and roles.

    With --student, the pairs that a method would compare. To compare others, name them in the run's settings, the
    student's position = the teacher's: terms.at.positions=layer1=features.3,layer2=features.6

    Example: understudy layers torchvision:resnet50 --student torchvision:mobilenet_v3_small --size 224
    """
    from understudy.engine.layers import show_layers, show_pairs

    shape = (channels, size, size)
    if student is None:
        if student_size is not None:
            raise ValueError("--student-size is a student's; give --student, or --size for the network itself")
        if role is not None:
            raise ValueError(
                "--role is of pairs of positions; give --student, or leave it out: all positions are listed"
            )
        table = show_layers(model, shape, classes)
    else:
        table = show_pairs(model, student, role or "before_relu", shape, classes, student_size)
    console().print(table)
