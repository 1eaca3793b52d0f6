"""Which of several processes reads which images."""

import torch

from understudy.data.image_files import ImageFiles
from understudy.data.parquet_source import ParquetSource


def shard(files: ImageFiles, rank: int, world: int) -> ImageFiles:
    """The images of process `rank` of `world`: disjoint, together all of them, and in number equal to within one.

    Images in Parquet files are dealt in whole row groups, the last of a process shared with the next, so that each
    reads few groups; any others are dealt one by one. A ValueError for a rank outside 0..world - 1 and for
    more processes than images.
    """
    if not 0 <= rank < world:
        raise ValueError(f"rank must be from 0 to {world - 1}, found {rank}")
    if world > len(files):
        raise ValueError(f"{len(files)} images cannot be dealt to {world} processes; run {len(files)} or fewer")
    order = torch.arange(len(files))
    if isinstance(files.source, ParquetSource):
        # As cards are dealt: neighbouring groups, often of the same class, come to different processes.
        group = torch.from_numpy(files.source.group_of(files.rows.numpy()))
        _, group = group.unique(return_inverse=True)
        num_groups = int(group.max()) + 1
        order = (group % world * num_groups + group).argsort(stable=True)
        return files.subset(order.tensor_split(world)[rank])
    return files.subset(order[rank::world])


def row_groups(files: ImageFiles) -> list[torch.Tensor]:
    """The places (N,) of the images of each row group, in order; one group of all for other sources.

    To read a large set in another order, draw the order of the groups and then the order within a few of them.
    """
    everything = torch.arange(len(files))
    if not isinstance(files.source, ParquetSource):
        return [everything]
    group = torch.from_numpy(files.source.group_of(files.rows.numpy()))
    return [everything[group == each] for each in group.unique()]
