"""A data set by its name or address, as images that are decoded when they are asked for."""

from pathlib import Path

from understudy.data.class_folders import class_folders
from understudy.data.disjoint import SUFFIX, divided_by_class, pooled
from understudy.data.division import Parts
from understudy.data.named.torchvision_sets import torchvision_parts
from understudy.data.named.torchvision_table import TORCHVISION
from understudy.data.names import IN_MEMORY, OFFICIAL, unknown
from understudy.data.parquet.parts import has_parquet, named_parquet_parts, parquet_parts
from understudy.spec import expanded

__all__ = ["Parts", "parts"]


def parts(name: str, *, folder: Path, seed: int, download: bool) -> Parts:
    """What `name` stands for: `folder:PATH`, `parquet:PATTERN`, or a name of `understudy list data`.

    Names are looked for in `folder`: Parquet files first, then the official layout or torchvision's, which `download`
    may fetch. `seed` divides what comes undivided, and does nothing else. Digits and CIFAR outside Parquet files
    are not read here, for they are held in memory whole. NAME-disjoint pools all images of NAME and divides them by
    class.
    """
    folder = expanded(folder)
    kind, colon, rest = name.partition(":")
    base = name.removesuffix(SUFFIX)
    is_its_own = expanded(rest).exists() if colon else has_parquet(name, folder)
    if base != name and not is_its_own:
        return _by_class(parts(base, folder=folder, seed=seed, download=download))
    if colon and not rest and kind in ("folder", "parquet"):
        raise ValueError(f"{name} names nothing; expected {kind}:{'PATH' if kind == 'folder' else 'PATTERN'}")
    if kind == "folder" and colon:
        return class_folders(expanded(rest), seed=seed)
    if kind == "parquet" and colon:
        return parquet_parts(rest, seed=seed)
    if has_parquet(name, folder):
        return named_parquet_parts(name, folder=folder, seed=seed)
    if name in OFFICIAL:
        return OFFICIAL[name].read(folder)
    if name in TORCHVISION:
        return torchvision_parts(name, folder=folder, download=download)
    if name in IN_MEMORY:
        raise ValueError(f"{name} is held in memory whole, not read image by image: load it with load_data({name!r})")
    raise unknown(name, folder)


def _by_class(found: Parts) -> Parts:
    """All images of a set, the first half of its classes to train on and the others to test on."""
    if found.disjoint:
        raise ValueError(f"{found.name} is divided by class as it is; leave out {SUFFIX}")
    train, test = divided_by_class(
        pooled([part for part in (found.train, found.test, found.validation) if part is not None])
    )
    return Parts(
        name=f"{found.name}{SUFFIX}",
        train=train,
        test=test,
        disjoint=True,
        note=f"{found.note}; then pooled: {len(train.class_names)} classes to train on, "
        f"{len(test.class_names)} others to test on",
    )
