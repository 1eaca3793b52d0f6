"""Parquet files by pattern: on this machine, or at any address that fsspec knows (s3://, gs://, hf://, ...)."""

import glob
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from understudy.spec import few


def find(pattern: str) -> list[str]:
    """The addresses that match, in order; ** is any number of folders, and a folder stands for all *.parquet in it.

    A ValueError where nothing matches.
    """
    found = _find_elsewhere(pattern) if "://" in pattern else _find_here(os.path.expanduser(pattern))
    if not found:
        raise ValueError(f"parquet:{pattern} matches no file" + _hint(pattern))
    return sorted(found)


@contextmanager
def opened(address: str) -> Iterator[pq.ParquetFile]:
    """The file, open; a ValueError that names it where it is not whole, also while it is read."""
    try:
        if "://" not in address:
            with pq.ParquetFile(address) as file:
                yield file
            return
        with _stream(address) as stream, pq.ParquetFile(stream) as file:
            yield file
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{address} is not a whole Parquet file ({error}); fetch it again") from error


def _find_here(pattern: str) -> list[str]:
    if os.path.isdir(pattern):
        pattern = os.path.join(glob.escape(pattern), "**", "*.parquet")
    return [path for path in glob.glob(pattern, recursive=True) if os.path.isfile(path)]


def _find_elsewhere(pattern: str) -> list[str]:
    fsspec = _fsspec()
    try:
        system, path = fsspec.core.url_to_fs(pattern)
    except (ImportError, ValueError) as error:
        raise ValueError(f"parquet:{pattern} cannot be opened: {error}") from error
    try:
        if system.isdir(path):
            path = f"{path.rstrip('/')}/**/*.parquet"
        return [system.unstrip_protocol(found) for found in system.glob(path)]
    # Each store has errors of its own, for want of credentials as well.
    except Exception as error:
        raise ValueError(f"parquet:{pattern} cannot be listed ({type(error).__name__}: {error})") from error


def _stream(address: str) -> Any:
    """The file at an address elsewhere, open to be read."""
    try:
        return _fsspec().open(address, "rb").open()
    except Exception as error:
        raise ValueError(f"{address} cannot be opened ({type(error).__name__}: {error})") from error


def _fsspec() -> Any:
    try:
        import fsspec
    except ImportError as error:
        raise ValueError(
            "addresses with :// are opened by fsspec, which is not installed: pip install fsspec"
        ) from error
    return fsspec


def _hint(pattern: str) -> str:
    """What lies where a local pattern looks."""
    place = Path(os.path.expanduser(pattern)).absolute().parent
    if "://" in pattern or not place.is_dir():
        return ""
    names = sorted(path.name for path in place.glob("*.parquet"))
    return f"; {place} has {few(names, 5) or 'no *.parquet'}"
