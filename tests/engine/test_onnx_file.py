"""ONNX files of others: any input that is a batch of images, and an explanation for the rest."""

import pytest
import torch
from onnx import TensorProto

from understudy.engine.evaluate import onnx_file
from understudy.engine.evaluate.onnx_file import open_onnx


def test_a_file_for_any_number_of_images_answers_each(write_sums, tmp_path, generator):
    network = open_onnx(write_sums(tmp_path / "sums.onnx"))
    assert (network.batch_size, network.image_shape, network.takes_pixels) == (None, (1, 8, 8), False)
    assert network.metadata == {"model": "sums"}
    for size in (1, 3, 8):
        images = torch.randn(size, 1, 8, 8, generator=generator)
        torch.testing.assert_close(network(images), images.sum(dim=(1, 2)))


def test_a_file_for_four_images_answers_ten(write_sums, tmp_path, generator):
    network = open_onnx(write_sums(tmp_path / "four.onnx", shape=(4, 1, 8, 8)))
    images = torch.randn(10, 1, 8, 8, generator=generator)
    assert network.batch_size == 4
    torch.testing.assert_close(network(images), images.sum(dim=(1, 2)))


def test_a_file_that_wants_pixels_says_so(write_sums, tmp_path):
    network = open_onnx(write_sums(tmp_path / "pixels.onnx", kind=TensorProto.UINT8))
    pixels = torch.full((2, 1, 8, 8), 200, dtype=torch.uint8)
    assert network.takes_pixels and network(pixels).eq(1600).all()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"inputs": 2}, "in0: tensor.float.*in1: .*expected one input of images"),
        ({"kind": TensorProto.INT64}, "expected one input of images, .B, C, H, W. in float32 or uint8"),
    ],
)
def test_another_input_is_told(write_sums, tmp_path, changes, words):
    with pytest.raises(ValueError, match=words):
        open_onnx(write_sums(tmp_path / "other.onnx", **changes))


def test_what_is_no_onnx_file_is_told(tmp_path):
    (tmp_path / "photo.onnx").write_bytes(b"not a network")
    with pytest.raises(ValueError, match=r"photo\.onnx is not an ONNX file"):
        open_onnx(tmp_path / "photo.onnx")
    with pytest.raises(ValueError, match="there is no file"):
        open_onnx(tmp_path / "nowhere.onnx")


def test_missing_packages_are_told_with_the_command_that_installs_them(tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_file, "find_spec", lambda name: None if name.startswith("onnx") else object())
    with pytest.raises(
        ValueError, match=r"needs onnx, onnxruntime, onnxscript; .*pip install onnx onnxruntime onnxscript"
    ):
        open_onnx(tmp_path / "any.onnx")
