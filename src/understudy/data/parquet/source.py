"""Encoded images in the rows of Parquet files, read one row group at a time."""

from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image
from torch import Tensor

from understudy.data.parquet.addresses import opened
from understudy.data.rgb import read_rgb

KEPT_BYTES = 2**28  # in every process that reads: sets below 256 MiB are read once


@dataclass(frozen=True, kw_only=True)
class ParquetFile:
    """A file by its address and by its name in messages and fingerprints, with the rows and bytes of its groups."""

    address: str
    name: str
    image_column: str
    group_rows: tuple[int, ...]
    group_bytes: tuple[int, ...]

    @classmethod
    def of(cls, parquet: pq.ParquetFile, *, address: str, name: str, image_column: str) -> "ParquetFile":
        """As its metadata say; the bytes are those of all columns, not compressed."""
        groups = [parquet.metadata.row_group(group) for group in range(parquet.num_row_groups)]
        return cls(
            address=address,
            name=name,
            image_column=image_column,
            group_rows=tuple(group.num_rows for group in groups),
            group_bytes=tuple(group.total_byte_size for group in groups),
        )


class ParquetSource:
    """All rows of the files, counted from 0 through all of them.

    The row groups read last are kept, `kept_bytes` of encoded images and at least one group. Files are opened anew
    for every group, so that processes share none. A pickled copy starts without groups.
    """

    def __init__(self, files: tuple[ParquetFile, ...], *, kept_bytes: int = KEPT_BYTES) -> None:
        self.files = files
        self.kept_bytes = kept_bytes
        self.group_bytes = torch.tensor([size for file in files for size in file.group_bytes])
        self._file_ends = np.cumsum([sum(file.group_rows) for file in files])
        self._group_ends = np.cumsum([rows for file in files for rows in file.group_rows])
        self._places = [(file, index) for file in files for index in range(len(file.group_rows))]
        self._kept: OrderedDict[int, pa.ChunkedArray] = OrderedDict()
        self._one_at_a_time = Lock()

    def read(self, row: int) -> Image.Image:
        group = int(np.searchsorted(self._group_ends, row, side="right"))
        file, row_in_file = self._file_and_row(row)
        where = f"row {row_in_file} (counted from 0) of {file.address}"
        first = int(self._group_ends[group - 1]) if group else 0
        contents = self._contents(group)[row - first].as_py()
        if contents is None:
            raise ValueError(f"{where} has no image")
        return read_rgb(contents, where)

    def groups_of(self, rows: Tensor) -> Tensor:
        """In which row group, counted through all files, each of these rows lies: (N,) -> (N,)."""
        return torch.from_numpy(np.searchsorted(self._group_ends, rows.numpy(), side="right"))

    def name(self, row: int) -> str:
        file, row_in_file = self._file_and_row(row)
        return f"{file.name} row {row_in_file}"

    def stamp(self, row: int) -> str:
        """Of the whole file; of one that lies elsewhere, nothing is known."""
        path = Path(self._file_and_row(row)[0].address)
        return f"{path.stat().st_size} {path.stat().st_mtime_ns}" if path.is_file() else ""

    def _file_and_row(self, row: int) -> tuple[ParquetFile, int]:
        place = int(np.searchsorted(self._file_ends, row, side="right"))
        return self.files[place], row - (int(self._file_ends[place - 1]) if place else 0)

    def _contents(self, group: int) -> pa.ChunkedArray:
        """The encoded images of a group; those kept longest make room. Threads wait for each other: what one reads the
        others find."""
        with self._one_at_a_time:
            if group not in self._kept:
                self._kept[group] = self._read_group(group)
                while len(self._kept) > 1 and sum(kept.nbytes for kept in self._kept.values()) > self.kept_bytes:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(group)
            return self._kept[group]

    def _read_group(self, group: int) -> pa.ChunkedArray:
        file, index = self._places[group]
        with opened(file.address) as parquet:
            table = parquet.read_row_group(index, columns=[f"{file.image_column}.bytes"], use_threads=False)
        return table.column(0).flatten()[0]

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in ("_kept", "_one_at_a_time")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ |= state | {"_kept": OrderedDict(), "_one_at_a_time": Lock()}
