"""The order in which a set that is too large to be kept in memory is shown: by row groups of its Parquet files.

Images are shuffled within a window of row groups, themselves in an order drawn for each epoch, so that a process reads
every group once in an epoch and not once for each image. Several processes show parts of this order, which lie in
different groups but for the ones at the parts' ends.
"""

import torch
from torch import Tensor

from understudy.data.image_files import Source
from understudy.data.parquet.source import ParquetSource
from understudy.processes import num_processes


class ByGroup:
    """`groups` (N,) has the row group of each image, `group_bytes` (G,) what each takes; `window_bytes` are shuffled.

    The order is that of whole batches for `processes` processes, each of which takes its part of every batch.
    """

    def __init__(self, groups: Tensor, group_bytes: Tensor, *, window_bytes: int, batch_size: int, processes: int):
        self._groups = groups
        self._group_bytes = group_bytes
        self._window_bytes = window_bytes
        self._batch_size = batch_size
        self._processes = processes

    def order(self, num_images: int, generator: torch.Generator) -> Tensor:
        """What an epoch of so many images shows; image i of N is i the first time, i + N the second."""
        total = len(self._groups)
        times = range(-(-num_images // total))
        shown = torch.cat([self._once(generator) + time * total for time in times])[:num_images]
        steps = num_images // self._batch_size
        dealt = shown[: steps * self._batch_size].view(self._processes, steps, -1).transpose(0, 1).flatten()
        return torch.cat([dealt, shown[steps * self._batch_size :]])

    def _once(self, generator: torch.Generator) -> Tensor:
        """All images, window after window: (N,)."""
        groups = torch.randperm(len(self._group_bytes), generator=generator)
        ends = self._group_bytes[groups].cumsum(0)
        window_of = torch.empty_like(groups)
        window_of[groups] = (ends - self._group_bytes[groups]) // self._window_bytes
        images = torch.randperm(len(self._groups), generator=generator)
        return images[window_of[self._groups[images]].argsort(stable=True)]


def by_group(source: Source, rows: Tensor, batch_size: int) -> ByGroup | None:
    """The order for these rows of Parquet files; None where all are kept once read, or they are in other files."""
    if not isinstance(source, ParquetSource):
        return None
    groups = source.groups_of(rows)
    read = groups.unique()
    if int(source.group_bytes[read].sum()) <= source.kept_bytes:
        return None
    places = torch.searchsorted(read, groups)
    # Half of what is kept: towards a window's end the next one's groups are read already.
    return ByGroup(
        places,
        source.group_bytes[read],
        window_bytes=max(1, source.kept_bytes // 2),
        batch_size=batch_size,
        processes=num_processes(),
    )
