import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from understudy.data.parquet.in_memory import read_images

KNOWN = tuple("abcdefghij")


def read(*paths, label_columns=("label",)):
    return read_images(list(paths), label_columns=label_columns, known_class_names=KNOWN, size=(32, 32))


def test_images_come_pixel_by_pixel_in_the_order_of_rows_and_files(tmp_path, pixels, cifar_files, write_parquet):
    paths = [tmp_path / "1.parquet", tmp_path / "0.parquet"]
    write_parquet(paths[0], cifar_files[:7], [3, 1, 4, 1, 5, 9, 2])
    write_parquet(paths[1], cifar_files[7:], [6, 5, 0])
    result = read(*paths)
    assert result.labels.tolist() == [3, 1, 4, 1, 5, 9, 2, 6, 5, 0]
    assert result.images.shape == (10, 3, 32, 32) and result.images.is_contiguous()
    assert torch.equal(result.images.permute(0, 2, 3, 1), torch.from_numpy(pixels))


def test_grey_images_become_three_equal_channels(tmp_path, pixels, encode, write_parquet):
    write_parquet(tmp_path / "grey.parquet", [encode(pixels[0, :, :, 0])], [0])
    images = read(tmp_path / "grey.parquet").images
    assert torch.equal(images[0], torch.from_numpy(pixels[0, :, :, 0]).expand(3, 32, 32))


def test_the_names_of_the_hub_are_accepted_and_fine_labels_preferred(tmp_path, cifar_files, write_parquet):
    path = tmp_path / "hub.parquet"
    write_parquet(path, cifar_files, list(range(10)), columns=("img", "fine_label"))
    table = pq.read_table(path)
    pq.write_table(table.append_column("label", pa.array([0] * 10, type=pa.int64())), path)
    assert read(path, label_columns=("fine_label", "label")).labels.tolist() == list(range(10))


NAMES = [f"class {index}" for index in range(10)]
HUB = {"info": {"features": {"label": {"names": NAMES, "_type": "ClassLabel"}}}}


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({"class_names": NAMES}, tuple(NAMES)),
        ({"huggingface": HUB}, tuple(NAMES)),
        ({"class_names": NAMES[::-1], "huggingface": HUB}, tuple(NAMES[::-1])),
        ({"huggingface": {"info": {"features": {"label": {"dtype": "int64"}}}}}, KNOWN),
        ({}, KNOWN),
    ],
)
def test_class_names_come_from_the_metadata_else_the_known_ones(
    tmp_path, cifar_files, write_parquet, metadata, expected
):
    write_parquet(tmp_path / "a.parquet", cifar_files[:1], [0], metadata=metadata)
    assert read(tmp_path / "a.parquet").class_names == expected


def test_class_names_that_differ_in_number_or_between_files_are_refused(tmp_path, cifar_files, write_parquet):
    a, b = tmp_path / "a.parquet", tmp_path / "b.parquet"
    write_parquet(a, cifar_files[:1], [0], metadata={"class_names": NAMES[:9]})
    with pytest.raises(ValueError, match=r"a\.parquet: its metadata must list 10 class names, found 9"):
        read(a)
    write_parquet(a, cifar_files[:1], [0], metadata={"class_names": NAMES})
    write_parquet(b, cifar_files[:1], [0], metadata={"class_names": NAMES[::-1]})
    with pytest.raises(ValueError, match=r"a\.parquet, b\.parquet: their class names differ"):
        read(a, b)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (("picture", "label"), "no image column: expected image or img, found picture, label"),
        (("image", "target"), "no label column: expected label, found image, target"),
    ],
)
def test_a_missing_column_is_named_with_those_that_are_there(tmp_path, cifar_files, write_parquet, columns, message):
    write_parquet(tmp_path / "a.parquet", cifar_files, [0] * 10, columns=columns)
    with pytest.raises(ValueError, match=rf"a\.parquet has {message}"):
        read(tmp_path / "a.parquet")


def test_columns_of_another_type_are_refused(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"image": ["x.png"], "label": [0]}), path)
    with pytest.raises(ValueError, match="'image' must be a struct .* in 'bytes', found string"):
        read(path)
    pq.write_table(pa.table({"image": [{"bytes": b"", "path": ""}], "label": ["cat"]}), path)
    with pytest.raises(ValueError, match="'label' must be of integers, found string"):
        read(path)


def test_broken_absent_and_wrongly_sized_images_are_listed_at_once(
    tmp_path, pixels, cifar_files, encode, write_parquet
):
    good, bad = tmp_path / "good.parquet", tmp_path / "bad.parquet"
    wide = encode(np.zeros((32, 40, 3), dtype=np.uint8))
    write_parquet(good, cifar_files, [0] * 10)
    write_parquet(bad, [cifar_files[0], b"no image", None, wide, cifar_files[0][:300]], [0] * 5)
    with pytest.raises(ValueError) as caught:
        read(good, bad)
    message = str(caught.value)
    assert message.startswith("4 of 15 images cannot be used: ") and "good.parquet" not in message
    for row, cause in enumerate(["is broken", "has no image", "is 40x32 (width x height), expected 32x32"], 1):
        assert f"row {row} (counted from 0) of {bad} {cause}" in message
    assert f"row 4 (counted from 0) of {bad} is broken" in message


def test_a_null_in_place_of_the_whole_image_is_an_absent_image(tmp_path):
    image_type = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    table = pa.table({"image": pa.array([None], type=image_type), "label": [0]})
    pq.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(ValueError, match=r"row 0 .*a\.parquet has no image"):
        read(tmp_path / "a.parquet")


def test_of_many_broken_images_fifty_are_listed_and_the_rest_counted(tmp_path, write_parquet):
    write_parquet(tmp_path / "a.parquet", [b"no image"] * 60, [0] * 60)
    with pytest.raises(ValueError, match=r"^60 of 60 images .*row 49 .*; and 10 more$") as caught:
        read(tmp_path / "a.parquet")
    assert "row 50 " not in str(caught.value)


def test_labels_out_of_range_are_named_with_row_and_what_is_allowed(tmp_path, cifar_files, write_parquet):
    path = tmp_path / "a.parquet"
    write_parquet(path, cifar_files[:5], [0, 10, 9, -1, None])
    with pytest.raises(ValueError) as caught:
        read(path)
    assert str(caught.value) == (
        "3 of 5 labels are not in 0..9 (rows are counted from 0): "
        f"row 1 of {path} has 10; row 3 of {path} has -1; row 4 of {path} has none"
    )


def test_a_truncated_file_is_named(tmp_path, cifar_files, write_parquet):
    path = tmp_path / "a.parquet"
    write_parquet(path, cifar_files, [0] * 10)
    whole = path.read_bytes()
    for contents in (whole[:-100], whole[: len(whole) // 2], b""):
        path.write_bytes(contents)
        with pytest.raises(ValueError, match=r"a\.parquet is not a whole Parquet file"):
            read(path)


def test_a_file_damaged_inside_is_named(tmp_path, cifar_files, write_parquet):
    path = tmp_path / "a.parquet"
    write_parquet(path, cifar_files, [0] * 10)
    contents = bytearray(path.read_bytes())
    contents[4:60] = b"\xff" * 56
    path.write_bytes(contents)
    with pytest.raises(ValueError, match=r"a\.parquet is not a whole Parquet file"):
        read(path)
