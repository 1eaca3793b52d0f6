import pytest

from understudy.data.parquet.shards import find_shards


def put(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def found(folder):
    return [str(path.relative_to(folder)) for path in find_shards(folder, "cifar10", "train")]


@pytest.mark.parametrize(
    "names",
    [
        ["cifar10-train.parquet"],
        ["cifar10-train-00000-of-00001.parquet"],
        [f"cifar10-train-{shard:05d}-of-00012.parquet" for shard in range(12)],
        [f"cifar10-train-{shard}-of-12.parquet" for shard in range(12)],
        ["cifar10/train.parquet"],
        ["cifar10/train-00000-of-00002.parquet", "cifar10/train-00001-of-00002.parquet"],
        ["cifar10/plain_text/train-00000-of-00001.parquet"],
        ["cifar10/cifar10-train.parquet"],
    ],
)
def test_finds_every_layout_in_the_order_of_the_shards(tmp_path, names):
    put(tmp_path, *names)
    put(tmp_path, "cifar10-test.parquet", "cifar100-train.parquet", "train.parquet", "cifar10/test.parquet")
    assert found(tmp_path) == names


def test_the_outer_folder_comes_first(tmp_path):
    put(tmp_path, "cifar10-train.parquet", "cifar10/train.parquet")
    assert found(tmp_path) == ["cifar10-train.parquet"]


def test_none_found_is_an_empty_list_even_without_the_folder(tmp_path):
    put(tmp_path, "cifar100-train.parquet")
    assert found(tmp_path) == [] and found(tmp_path / "nowhere") == []


def test_missing_shards_are_named_with_how_many_there_should_be(tmp_path):
    put(tmp_path, "cifar10-train-00001-of-00004.parquet", "cifar10-train-00002-of-00004.parquet")
    with pytest.raises(ValueError, match=r"cifar10 train in .*: 2 of 4 shards .* 00000-of-00004, 00003-of-00004;"):
        found(tmp_path)


@pytest.mark.parametrize(
    "other", ["cifar10-train.parquet", "cifar10-train-00000-of-00003.parquet", "cifar10-train-1-of-2.parquet"]
)
def test_files_that_contradict_each_other_are_refused(tmp_path, other):
    put(tmp_path, "cifar10-train-00000-of-00002.parquet", "cifar10-train-00001-of-00002.parquet", other)
    with pytest.raises(ValueError, match=rf"contradict each other: .*{other}"):
        found(tmp_path)
