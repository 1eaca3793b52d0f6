"""Rows of tensors on disk: what comes back is what was written, in as many bytes as were said."""

import numpy as np
import pytest
import torch

from understudy.engine.teacher_cache.rows import RowFormat
from understudy.spec import whole_file

DTYPES = (torch.bool, torch.int8, torch.bfloat16, torch.float16, torch.float32, torch.float64, torch.int64)


def example(shape, dtype, channels_last=False):
    values = torch.randn(5, *shape, generator=torch.Generator().manual_seed(0)) * 3
    if dtype in (torch.bool, torch.int8):
        values = values > 0 if dtype == torch.bool else values.sign().to(dtype)
    else:
        values = values.to(dtype)
    return values.to(memory_format=torch.channels_last) if channels_last else values


def write(path, rows, *batches, num_rows):
    with whole_file(path) as file:
        file.write(rows.header(num_rows))
        for batch in batches:
            file.write(rows.encode(batch).data)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("shape", "channels_last"), [((), False), ((10,), False), ((3, 2, 5), False), ((3, 2, 5), True), ((4, 6), False)]
)
def test_what_was_written_comes_back_equal_in_type_and_layout(tmp_path, dtype, shape, channels_last):
    values = example(shape, dtype, channels_last)
    rows = RowFormat.of(values)
    write(tmp_path / "rows.npy", rows, values[:3], values[3:], num_rows=5)
    assert (tmp_path / "rows.npy").stat().st_size == rows.file_bytes(5)
    mapped = rows.map(tmp_path / "rows.npy", 5)
    assert mapped is not None
    chosen = torch.tensor([4, 0, 0, 2])
    back = rows.decode(mapped.index_select(0, chosen))
    assert torch.equal(back, values[chosen]) and back.dtype == dtype and back.shape == values[chosen].shape
    assert not channels_last or back.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("dtype", [torch.bool, torch.int8])
def test_truth_values_and_signs_take_a_bit_each(tmp_path, dtype):
    values = example((3, 2, 5), dtype)
    rows = RowFormat.of(values)
    write(tmp_path / "rows.npy", rows, values, num_rows=5)
    # Thirty of them are four bytes.
    assert np.load(tmp_path / "rows.npy").shape == (5, 4)


def test_bytes_that_are_no_signs_stay_bytes_and_may_not_become_some(tmp_path):
    values = torch.arange(10, dtype=torch.int8).view(5, 2)
    rows = RowFormat.of(values)
    assert not rows.is_bits and torch.equal(rows.decode(torch.from_numpy(rows.encode(values))), values)
    with pytest.raises(ValueError, match="bytes that were all .1 or -1 .* answer them as torch.int16"):
        RowFormat.of(torch.ones(5, 2, dtype=torch.int8)).encode(values)


def test_numpy_reads_the_files(tmp_path):
    write(
        tmp_path / "maps.npy", RowFormat.of(example((2, 3), torch.float32)), example((2, 3), torch.float32), num_rows=5
    )
    assert np.array_equal(np.load(tmp_path / "maps.npy"), example((2, 3), torch.float32).numpy())


def test_a_file_appears_whole_or_not_at_all(tmp_path):
    path = tmp_path / "rows.npy"
    with pytest.raises(KeyboardInterrupt), whole_file(path) as file:
        file.write(b"half of it")
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []
    # What a killed process left is written over.
    (tmp_path / "rows.partial.npy").write_bytes(b"half of it, and more of it")
    with whole_file(path) as file:
        file.write(b"all of it")
    assert [one.name for one in tmp_path.iterdir()] == ["rows.npy"] and path.read_bytes() == b"all of it"


def test_a_file_of_another_length_is_none(tmp_path):
    values = example((10,), torch.float32)
    rows, path = RowFormat.of(values), tmp_path / "rows.npy"
    assert rows.map(path, 5) is None
    write(path, rows, values, num_rows=5)
    assert rows.map(path, 4) is None
    path.write_bytes(path.read_bytes()[:-1])
    assert rows.map(path, 5) is None
