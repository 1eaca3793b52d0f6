"""Where the Parquet files of a set lie, and whether they are all there."""

import re
from collections.abc import Collection
from pathlib import Path

from understudy.spec import few


def find_shards(folder: Path, name: str, split: str) -> list[Path]:
    """The files of one split ("train", "test" or "validation") in order; none found is an empty list.

    `folder/NAME-SPLIT.parquet` or `folder/NAME-SPLIT-00000-of-00002.parquet`, ...; else, named as on the
    Hugging Face hub, `SPLIT-00000-of-00002.parquet` in `folder/NAME` or in a folder inside it. The first of
    these folders that has any is taken. A missing shard or contradicting files are a ValueError.
    """
    own = folder / name
    inside = sorted(path for path in own.glob("*") if path.is_dir())
    for place in (folder, own, *inside):
        prefix = f"{re.escape(name)}-" if place == folder else f"(?:{re.escape(name)}-)?"
        pattern = re.compile(rf"{prefix}{split}(?:-(?P<shard>\d+)-of-(?P<total>\d+))?\.parquet")
        names = sorted(path.name for path in place.glob("*.parquet"))
        matches = [match for file_name in names if (match := pattern.fullmatch(file_name))]
        if matches:
            return [place / file_name for file_name in _in_order(matches, f"{name} {split}", place)]
    return []


def check_shards(addresses: list[str], what: str) -> None:
    """A ValueError where some files of a numbered set (NAME-00000-of-00002.parquet) are there and others are not."""
    sets: dict[tuple[str, int], set[int]] = {}
    for address in addresses:
        numbered = re.fullmatch(r"(?P<set>.*?)-?(?P<shard>\d+)-of-(?P<total>\d+)\.parquet", address)
        if numbered:
            sets.setdefault((numbered["set"], int(numbered["total"])), set()).add(int(numbered["shard"]))
    for (name, total), shards in sets.items():
        _check_all(shards, total, f"{what}, {name}")


def _check_all(shards: Collection[int], total: int, what: str) -> None:
    missing = [f"{shard:05d}-of-{total:05d}" for shard in range(total) if shard not in shards]
    if missing:
        there = few([f"{shard:05d}" for shard in sorted(shards)], 10)
        raise ValueError(f"{what}: {len(missing)} of {total} shards are missing: {few(missing, 10)}; there are {there}")


def _in_order(matches: list[re.Match[str]], what: str, place: Path) -> list[str]:
    found = ", ".join(match[0] for match in matches)
    totals = {int(match["total"] or 1) for match in matches}
    shards = {int(match["shard"] or 0): match[0] for match in matches}
    if len(totals) > 1 or len(shards) < len(matches) or max(shards) >= max(totals):
        raise ValueError(f"{what}: files in {place} contradict each other: {found}; keep those of one set of shards")
    total = totals.pop()
    _check_all(shards, total, f"{what} in {place}")
    return [shards[shard] for shard in sorted(shards)]
