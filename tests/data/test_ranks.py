import pytest
import torch

from understudy.data.file_source import image_files
from understudy.data.image_files import ImageFiles
from understudy.data.parquet_source import ParquetFile, ParquetSource
from understudy.data.ranks import row_groups, shard

GROUPS = ((5, 5, 5), (5, 5, 5, 5, 3))  # rows in each group of two files


@pytest.fixture
def files():
    """38 rows in eight row groups; no file is there, for none is read."""
    source = ParquetSource(
        tuple(
            ParquetFile(address=f"{number}.parquet", name=f"{number}.parquet", image_column="image", group_rows=rows)
            for number, rows in enumerate(GROUPS)
        )
    )
    rows = torch.arange(38)
    return ImageFiles(source=source, rows=rows, labels=rows % 2, class_names=("a", "b"))


@pytest.mark.parametrize("world", [1, 2, 3, 8, 38])
@pytest.mark.parametrize("kind", ["parquet", "files", "shuffled subset"])
def test_shards_are_disjoint_complete_and_equal_in_number(files, tmp_path, world, kind):
    if kind == "files":
        files = image_files(tmp_path, [f"{number}.png" for number in range(38)], [0] * 38, ["a"])
    if kind == "shuffled subset":
        files = files.subset(torch.randperm(38, generator=torch.Generator().manual_seed(0)))
    shards = [shard(files, rank, world) for rank in range(world)]
    assert sorted(row for part in shards for row in part.rows.tolist()) == list(range(38))
    assert {len(part) for part in shards} <= {38 // world, 38 // world + 1}
    label_of = dict(zip(files.rows.tolist(), files.labels.tolist(), strict=True))
    for part in shards:
        assert part.labels.tolist() == [label_of[row] for row in part.rows.tolist()]


@pytest.mark.parametrize("world", [2, 3, 4])
def test_a_process_reads_few_row_groups(files, world):
    for rank in range(world):
        groups = files.source.group_of(shard(files, rank, world).rows.numpy())
        assert len(set(groups.tolist())) <= -(-8 // world) + 1


def test_neighbouring_groups_come_to_different_processes(files):
    groups = files.source.group_of(shard(files, 0, 2).rows.numpy())
    assert {0, 2, 4} <= set(groups.tolist()) and 1 not in groups


def test_ranks_that_are_none_and_too_many_processes_are_refused(files):
    with pytest.raises(ValueError, match="rank must be from 0 to 1, found 2"):
        shard(files, 2, 2)
    with pytest.raises(ValueError, match="38 images cannot be dealt to 39 processes"):
        shard(files, 0, 39)


def test_row_groups_are_the_places_of_their_images(files, tmp_path):
    assert [len(group) for group in row_groups(files)] == [5, 5, 5, 5, 5, 5, 5, 3]
    some = files.subset([37, 0, 6, 1])
    assert [group.tolist() for group in row_groups(some)] == [[1, 3], [2], [0]]
    plain = image_files(tmp_path, ["1", "2"], [0, 0], ["a"])
    assert [group.tolist() for group in row_groups(plain)] == [[0, 1]]
