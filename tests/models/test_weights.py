"""Weights on disk: the same bits back, and every misfit named."""

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from understudy.models import load_weights, read_metadata, save_weights


@pytest.fixture
def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))


def test_saving_and_loading_gives_the_same_bits(network, tmp_path):
    path = tmp_path / "a.safetensors"
    save_weights(network, path, {"model": "own"})
    twin = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    load_weights(twin, path)
    assert all(
        torch.equal(a, b) for a, b in zip(network.state_dict().values(), twin.state_dict().values(), strict=True)
    )
    assert read_metadata(path)["model"] == "own"
    assert [file.name for file in tmp_path.iterdir()] == ["a.safetensors"]


def test_equal_networks_give_equal_files(network, tmp_path):
    metadata = {f"key{index}": "value" for index in range(20)}
    for name in "abc":
        save_weights(network, tmp_path / name, metadata)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes() == (tmp_path / "c").read_bytes()


def test_half_precision_files_without_batch_norm_counters_are_read(network, tmp_path):
    state = {name: value.half() for name, value in network.state_dict().items() if not name.endswith("tracked")}
    save_file(state, tmp_path / "half.safetensors")
    load_weights(network, tmp_path / "half.safetensors")
    assert network[0].weight.dtype == torch.float32


def test_every_misfit_is_named_and_nothing_is_loaded(network, tmp_path):
    state = dict(network.state_dict())
    state["1.weight"] = torch.zeros(5)
    state["2.bias"] = state.pop("0.bias")
    before = network[0].weight.clone()
    state["0.weight"] = torch.zeros_like(before)
    save_file(state, tmp_path / "other.safetensors")
    with pytest.raises(ValueError) as caught:
        load_weights(network, tmp_path / "other.safetensors")
    for words in ("1 missing: 0.bias", "1 unexpected: 2.bias", r"1 misshaped: 1.weight (5,), expected (4,)"):
        assert words in str(caught.value)
    assert torch.equal(network[0].weight, before)


def test_plain_state_dicts_are_read_and_pickles_are_not_run(network, tmp_path):
    torch.save({"state_dict": network.state_dict()}, tmp_path / "plain.pt")
    load_weights(network, tmp_path / "plain.pt")
    torch.save(network, tmp_path / "whole.pt")
    with pytest.raises(ValueError, match="does not hold plain tensors"):
        load_weights(network, tmp_path / "whole.pt")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [("b.safetensors", b"no", "does not hold plain tensors"), ("b.pt", b"", "does not hold plain tensors")],
)
def test_a_broken_file_is_named(network, tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=words):
        load_weights(network, tmp_path / name)


def test_a_missing_file_is_answered_with_the_nearest(network, tmp_path):
    save_weights(network, tmp_path / "teacher.safetensors")
    with pytest.raises(ValueError, match=r"nearest: .*teacher\.safetensors"):
        load_weights(network, tmp_path / "taecher.safetensors")
