import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow.parquet as pq
import pytest

from understudy.data.parquet import source as parquet_source
from understudy.data.parquet.parts import parquet_parts
from understudy.data.parquet.source import ParquetSource


@pytest.fixture
def train(cifar_folder):
    """Ten images in two files, in row groups of 3, 3, 3 and 1."""
    return parquet_parts(f"{cifar_folder}/cifar10-*", seed=0).train


@pytest.fixture
def groups_read(monkeypatch):
    """Which (file name, row group) are read from disk, in order."""
    read = []
    original = pq.ParquetFile.read_row_group

    def read_row_group(self, index, **options):
        read.append(index)
        return original(self, index, **options)

    monkeypatch.setattr(pq.ParquetFile, "read_row_group", read_row_group)
    return read


def test_every_row_of_every_file_is_its_own_image(train, pixels):
    assert [rows for file in train.source.files for rows in file.group_rows] == [3, 3, 3, 1]
    for index in range(10):
        assert np.array_equal(np.asarray(train.read(index)), pixels[index])
    assert train.name(0) == "cifar10-train-00000-of-00002.parquet row 0"
    assert train.name(6) == "cifar10-train-00001-of-00002.parquet row 0"


def test_a_row_group_is_read_when_it_is_asked_for_and_kept(train, groups_read):
    assert groups_read == []
    for index in (4, 3, 5, 4, 9, 4):
        train.read(index)
    assert groups_read == [1, 1]


def test_the_groups_kept_longest_make_room_and_one_is_always_kept(train, groups_read):
    source = ParquetSource(train.source.files, kept_bytes=1)
    for row in (0, 1, 2, 3, 0):
        source.read(row)
    assert groups_read == [0, 1, 0]
    size = source._kept[0].nbytes
    groups_read.clear()
    source = ParquetSource(train.source.files, kept_bytes=int(2.5 * size))
    for row in (0, 3, 0, 6, 0, 3):
        source.read(row)
    assert groups_read == [0, 1, 0, 1]


def test_threads_that_read_at_once_share_what_each_of_them_read(train, groups_read, pixels):
    source = ParquetSource(train.source.files)
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda row: np.asarray(source.read(row)), [*range(10)] * 8))
    assert all(np.array_equal(image, pixels[place % 10]) for place, image in enumerate(found))
    assert len(groups_read) == 4
    crowded = ParquetSource(train.source.files, kept_bytes=1)
    with ThreadPoolExecutor(8) as threads:
        assert len(list(threads.map(crowded.read, [0, 3, 6, 9] * 50))) == 200


def test_a_copy_for_another_process_carries_no_images(train, pixels):
    train.read(0)
    contents = pickle.dumps(train.source)
    assert len(contents) < 2000
    assert np.array_equal(np.asarray(pickle.loads(contents).read(7)), pixels[7])
    assert len(train.source._kept) == 1


def test_broken_and_absent_images_are_named_by_file_and_row(tmp_path, cifar_files, write_parquet):
    write_parquet(tmp_path / "train.parquet", [*cifar_files[:4], b"no image", None], [0] * 6)
    write_parquet(tmp_path / "test.parquet", cifar_files, [0] * 10)
    parts = parquet_parts(str(tmp_path), seed=0)
    troubles = []
    for index in (4, 5):
        with pytest.raises(ValueError) as failure:
            parts.train.read(index)
        troubles.append(str(failure.value))
    assert troubles[0].startswith(f"row 4 (counted from 0) of {tmp_path / 'train.parquet'} is broken")
    assert troubles[1] == f"row 5 (counted from 0) of {tmp_path / 'train.parquet'} has no image"


def test_a_file_that_is_gone_or_damaged_by_then_is_named(train, cifar_folder):
    path = cifar_folder / "cifar10-train-00001-of-00002.parquet"
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(ValueError, match=r"00001-of-00002.parquet is not a whole Parquet file"):
        train.read(6)
    path.unlink()
    with pytest.raises(ValueError, match=r"00001-of-00002.parquet"):
        train.read(6)


def test_small_sets_are_read_once():
    assert parquet_source.KEPT_BYTES == 256 * 1024 * 1024
