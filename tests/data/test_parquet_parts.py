import numpy as np
import pytest
import torch

from understudy.data.parquet.parts import has_parquet, named_parquet_parts, parquet_parts, summary

NAMES = {"class_names": ["ant", "bee"]}


@pytest.fixture
def write(tmp_path, cifar_files, write_parquet):
    """A function that writes so many images, labelled 0, 1, 0, 1, ..., to a file below the folder of the test."""

    def write_rows(name, count=4, **options):
        write_parquet(tmp_path / name, cifar_files[:count], [row % 2 for row in range(count)], **options)

    return write_rows


@pytest.mark.parametrize(
    "names",
    [
        ("x-train.parquet", "x-test.parquet"),
        ("train-00000-of-00001.parquet", "validation-00000-of-00001.parquet"),
        ("train/0000.parquet", "test/0000.parquet"),
        ("plain/training.parquet", "plain/Val.parquet"),
        ("test_of_mine/a_train.parquet", "test_of_mine/a_test.parquet"),
    ],
)
def test_files_are_divided_as_they_or_their_folders_are_named(tmp_path, write, names):
    write(names[0], 6)
    write(names[1], 4)
    parts = parquet_parts(str(tmp_path / "**" / "*.parquet"), seed=0)
    assert (len(parts.train), len(parts.test), parts.validation) == (6, 4, None)
    assert "divided as they are named (files: train 1, test 1)" in parts.note


def test_validation_beside_test_stays_validation(tmp_path, write):
    for name, count in (("train", 6), ("test", 4), ("validation", 2)):
        write(f"{name}.parquet", count)
    parts = parquet_parts(str(tmp_path), seed=0)
    assert (len(parts.train), len(parts.test), len(parts.validation)) == (6, 4, 2)


@pytest.mark.parametrize(
    "names", [("a.parquet", "b.parquet"), ("train-0.parquet", "train-1.parquet"), ("test/a.parquet", "test/b.parquet")]
)
def test_files_of_one_kind_are_divided_by_seed(tmp_path, write, names):
    for name in names:
        write(name, 10)
    parts = parquet_parts(str(tmp_path / "**" / "*.parquet"), seed=4)
    assert torch.bincount(parts.test.labels).tolist() == [2, 2] and len(parts.train) == 16
    assert parts.note.endswith("drawn by seed 4")


def test_files_that_say_nothing_beside_files_that_do_are_named(tmp_path, write):
    for name in ("train.parquet", "test.parquet", "more.parquet"):
        write(name)
    with pytest.raises(ValueError, match=r"named for train or test, but not .*more\.parquet; name all of them"):
        parquet_parts(str(tmp_path), seed=0)


def test_files_to_test_on_alone_are_refused(tmp_path, write):
    write("test.parquet")
    with pytest.raises(ValueError, match="files to test on alone: .*test.parquet; none is to train on"):
        parquet_parts(str(tmp_path), seed=0)


def test_a_pattern_that_matches_nothing_is_answered_with_what_lies_there(tmp_path, write):
    write("train.parquet")
    with pytest.raises(ValueError, match=r"tran\*.parquet matches no file; .* has train.parquet"):
        parquet_parts(str(tmp_path / "tran*.parquet"), seed=0)


HUB = {"info": {"features": {"label": {"names": ["ape", "bat"], "_type": "ClassLabel"}}}}


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({**NAMES, "huggingface": HUB}, ("ant", "bee")),
        ({"huggingface": HUB}, ("ape", "bat")),
        ({}, ("0", "1")),
    ],
)
def test_classes_are_named_by_the_metadata_else_by_their_numbers(tmp_path, write, metadata, expected):
    write("train.parquet", metadata=metadata)
    write("test.parquet", 1)
    parts = parquet_parts(str(tmp_path), seed=0)
    assert parts.train.class_names == parts.test.class_names == expected


def test_the_largest_label_of_any_file_counts(tmp_path, cifar_files, write_parquet):
    write_parquet(tmp_path / "train.parquet", cifar_files[:2], [0, 1])
    write_parquet(tmp_path / "test.parquet", cifar_files[:2], [4, 0])
    assert parquet_parts(str(tmp_path), seed=0).train.class_names == ("0", "1", "2", "3", "4")


def test_metadata_that_differs_and_labels_beyond_it_are_refused(tmp_path, write, cifar_files, write_parquet):
    write("train.parquet", metadata=NAMES)
    write("test.parquet", metadata={"class_names": ["bee", "ant"]})
    with pytest.raises(ValueError, match="metadata differ between .*test.parquet and .*train.parquet"):
        parquet_parts(str(tmp_path), seed=0)
    write_parquet(tmp_path / "test.parquet", cifar_files[:3], [0, 2, None])
    with pytest.raises(ValueError, match=r"2 of 3 labels are not in 0..1 .*row 1 of .* has 2; row 2 of .* has none"):
        parquet_parts(str(tmp_path), seed=0)


def test_another_folder_changes_no_name_of_an_image(tmp_path, write):
    prints = []
    for place in ("here", "there/deep"):
        write(f"{place}/train/0.parquet")
        write(f"{place}/test/0.parquet")
        parts = parquet_parts(str(tmp_path / place), seed=0)
        prints.append((parts.train.fingerprint(), parts.test.fingerprint()))
    assert prints[0] == prints[1] and prints[0][0] != prints[0][1]


def test_addresses_elsewhere_are_read_through_fsspec(cifar_folder, pixels, monkeypatch):
    import fsspec

    elsewhere = fsspec.filesystem("memory")
    for path in cifar_folder.glob("*.parquet"):
        elsewhere.pipe_file(f"/sets/{path.name}", path.read_bytes())
    try:
        for pattern in ("memory://sets/cifar10-*.parquet", "memory://sets"):
            parts = parquet_parts(pattern, seed=0)
            assert (len(parts.train), len(parts.test)) == (10, 10)
            assert np.array_equal(np.asarray(parts.train.read(7)), pixels[7])
        here = parquet_parts(str(cifar_folder), seed=0)
        assert here.train.fingerprint() == parts.train.fingerprint()
        elsewhere.pipe_file("/sets/cifar10-test.parquet", b"no file")
        with pytest.raises(ValueError, match="memory://.*cifar10-test.parquet is not a whole Parquet file"):
            parquet_parts("memory://sets", seed=0)
        with pytest.raises(ValueError, match="parquet:memory://sets/x-.* matches no file$"):
            parquet_parts("memory://sets/x-*", seed=0)
        # As a store does without credentials.
        for call, told in (("glob", "parquet:memory://sets cannot be listed"), ("_open", "cannot be opened")):
            with monkeypatch.context() as refused:
                refused.setattr(type(elsewhere), call, lambda *_, **__: {}["no credentials"])
                with pytest.raises(ValueError, match=rf"{told} \(KeyError: 'no credentials'\)"):
                    parquet_parts("memory://sets", seed=0)
    finally:
        elsewhere.rm("/sets", recursive=True)


def test_addresses_that_need_what_is_not_installed_say_so(monkeypatch):
    with pytest.raises(ValueError, match="parquet:nowhere://x cannot be opened: .*nowhere"):
        parquet_parts("nowhere://x", seed=0)
    monkeypatch.setitem(__import__("sys").modules, "fsspec", None)
    with pytest.raises(ValueError, match="fsspec, which is not installed: pip install fsspec"):
        parquet_parts("memory://x", seed=0)


def test_a_name_is_found_in_the_data_folder(tmp_path, write):
    write("mine-train-00000-of-00002.parquet")
    write("mine-train-00001-of-00002.parquet")
    write("mine-test.parquet", 2)
    write("hub/train-00000-of-00001.parquet", 10, metadata=NAMES)
    assert has_parquet("mine", tmp_path) and not has_parquet("min", tmp_path) and not has_parquet("../x", tmp_path)
    parts = named_parquet_parts("mine", folder=tmp_path, seed=0)
    assert (len(parts.train), len(parts.test)) == (8, 2)
    assert len(named_parquet_parts("hub", folder=tmp_path, seed=0).test) == 2
    assert summary("mine", tmp_path) == "8 images to train on, 2 to test on, 2 classes"
    assert summary("hub", tmp_path) == "10 images to train on, divided by seed, 2 classes"
    write("hub/validation-00000-of-00001.parquet", 4, metadata=NAMES)
    assert summary("hub", tmp_path) == "10 images to train on, 4 to test on, 2 classes"


def test_a_summary_says_why_a_set_cannot_be_loaded(tmp_path, write):
    write("other-train.parquet", columns=("image", "boxes"))
    assert summary("other", tmp_path).startswith("cannot be loaded: other-train.parquet has no label column")


@pytest.mark.parametrize(
    ("name", "num_train", "num_test", "num_classes", "size"),
    [("scenes15", 600, 300, 15, (128, 128)), ("cars32", 768, 320, 32, None), ("faces38", 228, 152, 38, (92, 112))],
)
def test_the_real_sets_are_read_by_name(data_folder, name, num_train, num_test, num_classes, size):
    parts = named_parquet_parts(name, folder=data_folder(name), seed=0)
    assert (len(parts.train), len(parts.test), len(parts.train.class_names)) == (num_train, num_test, num_classes)
    image = parts.test.read(num_test - 1)
    assert image.mode == "RGB" and size in (None, image.size)


def test_a_missing_shard_of_a_pattern_is_named(tmp_path, write):
    write("train-00000-of-00003.parquet")
    write("train-00002-of-00003.parquet")
    write("test.parquet")
    with pytest.raises(ValueError, match="train, .*train: 1 of 3 shards are missing: 00001-of-00003"):
        parquet_parts(str(tmp_path / "*.parquet"), seed=0)
    write("train-00001-of-00003.parquet")
    assert len(parquet_parts(str(tmp_path / "*.parquet"), seed=0).train) == 12
