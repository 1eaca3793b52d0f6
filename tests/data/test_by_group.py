"""The order of a set that is too large to be kept: every image once, few row groups at a time, parts for processes."""

import pytest
import torch

from understudy.data.batches.epochs import Showing
from understudy.data.batches.files import file_batches
from understudy.data.batches.scale import Scale
from understudy.data.crops import Crops
from understudy.data.parquet import by_group as module
from understudy.data.parquet.by_group import ByGroup, by_group
from understudy.data.parquet.parts import parquet_parts
from understudy.data.parquet.source import ParquetSource

GROUPS = torch.arange(240) // 10  # 24 groups of ten images


def order_of(num_images=240, *, seed=0, window=3, processes=1, batch_size=8):
    made = ByGroup(
        GROUPS, torch.full((24,), 100), window_bytes=100 * window, batch_size=batch_size, processes=processes
    )
    return made.order(num_images, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("processes", [1, 2, 4])
def test_every_image_is_shown_once(processes):
    assert order_of(processes=processes).sort().values.tolist() == list(range(240))
    twice = order_of(480, processes=processes)
    assert twice.sort().values.tolist() == list(range(480)) and twice[240:].sort().values.tolist() != list(range(240))


def test_no_more_groups_are_open_than_a_window_has():
    groups = GROUPS[order_of(window=3)].view(8, 30)
    windows = [set(window.tolist()) for window in groups]
    assert all(len(window) == 3 for window in windows) and set.union(*windows) == set(range(24))
    # Shuffled within: the images of a group do not come one after the other.
    assert (groups[:, 1:] == groups[:, :-1]).double().mean() < 0.6


def test_epochs_differ_and_a_seed_says_which_it_is():
    assert torch.equal(order_of(seed=1), order_of(seed=1)) and not torch.equal(order_of(seed=1), order_of(seed=2))
    assert GROUPS[order_of(seed=1)][:30].unique().tolist() != GROUPS[order_of(seed=2)][:30].unique().tolist()


@pytest.mark.parametrize("processes", [2, 4])
def test_processes_read_disjoint_groups_but_where_their_parts_meet(processes):
    batches = order_of(processes=processes, window=1).view(30, processes, -1)
    seen = [set(GROUPS[batches[:, rank].flatten()].tolist()) for rank in range(processes)]
    shared = [seen[a] & seen[b] for a in range(processes) for b in range(a)]
    assert sum(map(len, shared)) <= processes - 1 and set.union(*seen) == set(range(24))
    assert sorted(batches.flatten().tolist()) == list(range(240))


def test_the_last_images_that_fill_no_batch_are_left_out_at_the_end():
    order = order_of(100, processes=2, batch_size=8)
    assert len(order) == 100 and len(order.unique()) == 100


def test_small_sets_and_other_files_are_shuffled_as_a_whole(cifar_folder, tmp_path):
    train = parquet_parts(f"{cifar_folder}/cifar10-*", seed=0).train
    assert by_group(train.source, train.rows, 2) is None and by_group(object(), train.rows, 2) is None


def test_a_large_set_reads_each_group_once_in_an_epoch(cifar_folder, monkeypatch):
    train = parquet_parts(f"{cifar_folder}/cifar10-*", seed=0).train
    largest = max(size for file in train.source.files for size in file.group_bytes)
    source = ParquetSource(train.source.files, kept_bytes=2 * largest)
    read = []
    original = ParquetSource._read_group
    monkeypatch.setattr(ParquetSource, "_read_group", lambda self, group: read.append(group) or original(self, group))
    assert isinstance(by_group(source, train.rows, 2), module.ByGroup)
    files = type(train)(source=source, rows=train.rows, labels=train.labels, class_names=train.class_names)
    scale = Scale(mean=(0.0,) * 3, std=(1.0,) * 3, device="cpu")
    batches = file_batches(files, Showing(batch_size=2, seed=0), scale, Crops(size=32), augment=False)
    for number in (1, 2):
        read.clear()
        shown = torch.cat([batches.chosen(number, step) for step in range(5)])
        assert shown.sort().values.tolist() == list(range(10))
        assert len(list(batches.epoch(number))) == 5 and len(read) <= 4 + 1
    batches.close()


def test_a_part_of_the_rows_is_ordered_by_its_own_groups(cifar_folder):
    train = parquet_parts(f"{cifar_folder}/cifar10-*", seed=0).train
    source = ParquetSource(train.source.files, kept_bytes=1)
    assert source.groups_of(torch.arange(10)).tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3]
    rows = torch.tensor([9, 0, 4, 1])
    made = by_group(source, rows, 2)
    order = made.order(4, torch.Generator().manual_seed(0))
    assert order.sort().values.tolist() == [0, 1, 2, 3]
    # Rows 0 and 1 are of one group, which is read once: they come one after the other.
    places = source.groups_of(rows)[order].tolist()
    first = places.index(0)
    assert places[first : first + 2] == [0, 0]
