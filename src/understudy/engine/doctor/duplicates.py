"""Are there test images among the training images, or one image under two labels?"""

from collections import defaultdict

from understudy.engine.doctor.finding import Finding
from understudy.engine.doctor.scan import Scan
from understudy.spec import few

CHECK, CONFLICTS = "duplicates", "conflicting labels"
# Below the first share of the images they change no accuracy that anyone would print; from the second share of the test
# images on, the accuracy is one of the training images.
NOTED, GRAVE = 1e-3, 0.1


def leaks(train: Scan, test: Scan) -> list[Finding]:
    """Test images that are training images too, pixel by pixel.

    Rule: `fine` below 0.1 % of the test images looked at, an error from 10 % on. Almost equal images are not found.
    """
    places = {digest: index for digest, index in zip(train.digests, train.indices, strict=True) if digest is not None}
    found = [
        (index, places[digest])
        for digest, index in zip(test.digests, test.indices, strict=True)
        if digest is not None and digest in places
    ]
    share = len(found) / max(1, len(test.indices))
    looked = f"the {test.how_many()} test images are among the {train.how_many()} training images"
    if not found:
        return [Finding(check=CHECK, severity="fine", found=f"none of {looked}")]
    pairs = few(f"test {own} = train {other}" for own, other in found)
    if share < NOTED:
        return [Finding(check=CHECK, severity="fine", found=f"{len(found):,} of {looked}: {pairs}")]
    return [
        Finding(
            check=CHECK,
            severity="error" if share >= GRAVE else "warning",
            found=f"{len(found):,} of {looked} ({100 * share:.1f} %): {pairs}.",
            why="The accuracy that is reported would be that of images the student was shown.",
            do="take them out of one of the two parts",
        )
    ]


def conflicts(train: Scan, names: tuple[str, ...]) -> list[Finding]:
    """Training images that are equal pixel by pixel and have different labels.

    Rule: a warning from 0.1 % of the training images looked at, `fine` below.
    """
    seen: dict[bytes, list[tuple[int, int]]] = defaultdict(list)
    for digest, index, label in zip(train.digests, train.indices, train.labels, strict=True):
        if digest is not None:
            seen[digest].append((index, label))
    found = [group for group in seen.values() if len({label for _, label in group}) > 1]
    if not found:
        return []
    groups = few(" = ".join(f"{index} ({names[label]})" for index, label in group[:3]) for group in found)
    images = f"{len(found):,} image{'s' * (len(found) > 1)}"
    told = f"{images} under different labels among the {train.how_many()} training images: {groups}"
    if len(found) < NOTED * len(train.indices):
        return [Finding(check=CONFLICTS, severity="fine", found=told)]
    return [
        Finding(
            check=CONFLICTS,
            severity="warning",
            found=f"{told}.",
            why="At most one of the labels can be learnt.",
            do="keep the right one, or take these images out",
        )
    ]
