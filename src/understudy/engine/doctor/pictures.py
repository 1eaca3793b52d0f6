"""Are the images readable, and is there something on them?"""

from collections.abc import Mapping

from understudy.engine.doctor.finding import Finding
from understudy.engine.doctor.scan import Scan
from understudy.spec import few

UNREADABLE = "images"
# A line for each image; more are cut.
MOST_LISTED = 50


def unreadable(scans: Mapping[str, Scan]) -> list[Finding]:
    """An error that lists all images, of those looked at, that cannot be decoded."""
    troubles = [trouble for one in scans.values() for trouble in one.troubles]
    if not troubles:
        return [Finding(check=UNREADABLE, severity="fine", found=f"readable: {_parts(scans)}")]
    count = "1 image" if len(troubles) == 1 else f"{len(troubles):,} images"
    return [
        Finding(
            check=UNREADABLE,
            severity="error",
            found=f"{count} cannot be read, looking at {_parts(scans)}: {few(troubles, MOST_LISTED)}",
            why="The run would stop at the first of them.",
            do="take them out, or replace them",
        )
    ]


def blank(scans: Mapping[str, Scan]) -> list[Finding]:
    """A warning for images all of whose pixels have one value (all black, all white): exactly, none are guessed."""
    found = {
        part: [index for index, is_blank in zip(one.indices, one.is_blank, strict=True) if is_blank]
        for part, one in scans.items()
    }
    return [
        Finding(
            check="blank images",
            severity="warning",
            found=f"{len(indices):,} of the {scans[part].how_many()} {part} images have one colour all over: "
            f"{_numbers(indices)}.",
            why="There is nothing on them to learn or to recognise.",
            do="look at their files, and take them out",
        )
        for part, indices in found.items()
        if indices
    ]


def _parts(scans: Mapping[str, Scan]) -> str:
    *others, last = [f"{one.how_many()} {part} images" for part, one in scans.items()]
    return f"{', '.join(others)} and {last}" if others else last


def _numbers(indices: list[int]) -> str:
    return f"image {few(indices)}" if len(indices) == 1 else f"images {few(indices)}"
