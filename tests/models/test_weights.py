"""Weights on disk: the same bits back, and every misfit named."""

import argparse
import copy
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from understudy.models import build, load_weights, read_metadata, save_weights


@pytest.fixture
def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))


def check_loads(network, path, rename=None):
    """Every tensor of the file arrives in a network that was all zeros."""
    twin = copy.deepcopy(network)
    for tensor in twin.state_dict().values():
        tensor.zero_()
    load_weights(twin, path, rename)
    assert all(
        torch.equal(a, b) for a, b in zip(network.state_dict().values(), twin.state_dict().values(), strict=True)
    )


def test_saving_and_loading_gives_the_same_bits(network, tmp_path):
    path = tmp_path / "a.safetensors"
    save_weights(network, path, {"model": "own"})
    check_loads(network, path)
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


def test_a_classifier_of_other_classes_is_told_with_the_setting_for_it(tmp_path):
    network, path = nn.Sequential(nn.Linear(4, 6), nn.Linear(6, 3)), tmp_path / "five.safetensors"
    for there, words in (
        (
            nn.Sequential(nn.Linear(4, 6), nn.Linear(6, 5)),
            "knows 5 classes: .* teacher.class_names=.*, or .* teacher.num_classes=5",
        ),
        (nn.Sequential(nn.Linear(4, 6), nn.Linear(7, 5)), r"expected \(3,\)$"),
        (nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 3)), r"expected \(3, 6\)$"),
    ):
        save_weights(there, path, {})
        with pytest.raises(ValueError, match=words):
            load_weights(network, path)


def test_plain_state_dicts_are_read_and_pickles_are_not_run(network, tmp_path):
    torch.save(network.state_dict(), tmp_path / "plain.pt")
    load_weights(network, tmp_path / "plain.pt")
    torch.save(network, tmp_path / "whole.pt")
    with pytest.raises(ValueError, match="does not hold plain tensors but a torch.nn.modules.container.Sequential"):
        load_weights(network, tmp_path / "whole.pt")


@pytest.mark.parametrize("holders", [("state_dict",), ("model",), ("net",), ("model", "state_dict")])
def test_weights_are_found_among_what_else_a_training_program_kept(network, tmp_path, holders):
    content = network.state_dict()
    for holder in holders:
        content = {"epoch": 3, "accuracy": 91.5, holder: content}
    torch.save(content, tmp_path / "checkpoint.pt")
    check_loads(network, tmp_path / "checkpoint.pt")


def test_a_checkpoint_without_weights_is_told_with_what_it_holds(network, tmp_path):
    torch.save({"epoch": 3, "optimizer": {}}, tmp_path / "checkpoint.pt")
    with pytest.raises(ValueError, match="holds a dict of epoch, optimizer, expected tensors by name"):
        load_weights(network, tmp_path / "checkpoint.pt")


def test_of_a_programs_checkpoint_the_part_that_fits_alone_is_taken(network, tmp_path):
    own = network.state_dict()
    whole = {**{f"model.{name}": value for name, value in own.items()}, "criterion.weight": torch.ones(3)}
    save_file(whole, tmp_path / "lightning.safetensors")
    other = copy.deepcopy(network)
    torch.nn.init.zeros_(next(other.parameters()))
    load_weights(other, tmp_path / "lightning.safetensors")
    assert all(torch.equal(value, own[name]) for name, value in other.state_dict().items())
    # Two networks of one kind: which one is meant nobody knows.
    both = {f"{role}.{name}": value.clone() for role in ("student", "teacher") for name, value in own.items()}
    save_file(both, tmp_path / "both.safetensors")
    with pytest.raises(ValueError, match="unexpected: student"):
        load_weights(network, tmp_path / "both.safetensors")


@pytest.mark.parametrize("wrapping", ["module.", "_orig_mod.", "model.", "student.", "model.module._orig_mod."])
def test_what_wraps_every_name_is_taken_off(network, tmp_path, wrapping):
    save_file({f"{wrapping}{name}": v for name, v in network.state_dict().items()}, tmp_path / "a.safetensors")
    check_loads(network, tmp_path / "a.safetensors")


def test_advice_is_for_the_section_that_the_network_stands_in(tmp_path):
    network, path = nn.Sequential(nn.Linear(4, 3)), tmp_path / "other.safetensors"
    save_weights(nn.Sequential(nn.Linear(4, 5)), path, {})
    with pytest.raises(ValueError, match=r"knows 5 classes: name them in its order with student.class_names=\[...\]$"):
        load_weights(network, path, section="student")
    save_file({"fc.weight": torch.zeros(3, 4), "fc.bias": torch.zeros(3)}, path)
    with pytest.raises(ValueError, match=r"add student.rename.fc=0$"):
        load_weights(network, path, section="student")


@pytest.mark.filterwarnings("ignore:`torch.jit:FutureWarning")
def test_files_that_hold_no_weights_are_told_for_what_they_are(network, tmp_path):
    (tmp_path / "empty.pt").touch()
    with pytest.raises(ValueError, match=r"empty.pt is empty; was its writing cut off\?"):
        load_weights(network, tmp_path / "empty.pt")
    torch.jit.trace(network.eval(), torch.zeros(1, 3, 8, 8)).save(str(tmp_path / "program.pt"))
    with pytest.raises(ValueError, match=r"program.pt is a TorchScript program, .* save the weights alone"):
        load_weights(network, tmp_path / "program.pt")


def test_a_network_that_has_such_a_name_itself_is_loaded_under_it(network, tmp_path):
    outer = nn.Module()
    outer.model = network
    for prefix in ("", "model."):
        state = {f"{prefix}{name}": value for name, value in outer.state_dict().items()}
        save_file(state, tmp_path / "a.safetensors")
        check_loads(outer, tmp_path / "a.safetensors")


def test_names_are_compared_after_the_renames(network, tmp_path):
    state = {f"module.{name.replace('0.', 'first.')}": value for name, value in network.state_dict().items()}
    save_file(state, tmp_path / "a.safetensors")
    check_loads(network, tmp_path / "a.safetensors", {"first": "0"})


def test_a_misfit_that_renames_would_mend_says_which(tmp_path):
    network = build("resnet8", num_classes=10)
    theirs = {"linear": "fc", "shortcut": "downsample"}
    state = network.state_dict()
    for own, other in theirs.items():
        state = {name.replace(own, other): value for name, value in state.items()}
    save_file(state, tmp_path / "theirs.safetensors")
    with pytest.raises(ValueError) as caught:
        load_weights(network, tmp_path / "theirs.safetensors")
    told = str(caught.value)
    assert "12 missing: layer2.0.shortcut.0.weight" in told and "12 unexpected: " in told
    assert "add teacher.rename.fc=linear teacher.rename.downsample=shortcut" in told
    check_loads(network, tmp_path / "theirs.safetensors", {"fc": "linear", "downsample": "shortcut"})


def test_renames_are_not_proposed_where_they_would_not_be_enough(network, tmp_path):
    state = {name.replace("0.", "first."): value for name, value in network.state_dict().items()}
    save_file({**state, "head.weight": torch.zeros(2)}, tmp_path / "a.safetensors")
    with pytest.raises(ValueError) as caught:
        load_weights(network, tmp_path / "a.safetensors")
    assert "teacher.rename" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("b.safetensors", b"no", "does not hold plain tensors"),
        ("b.pt", b"", "b.pt is empty"),
        ("log.txt", b"epoch: 3\n", "does not hold plain tensors"),
        ("note", b"hello", "does not hold plain tensors"),
    ],
)
def test_a_broken_file_is_named(network, tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=words):
        load_weights(network, tmp_path / name)


def test_a_folder_is_answered_with_the_file_in_it(network, tmp_path):
    (tmp_path / "run").mkdir()
    save_weights(network, tmp_path / "run" / "student.safetensors")
    with pytest.raises(ValueError, match=r"run is a folder; give the file of weights in it: .*student.safetensors$"):
        load_weights(network, tmp_path / "run")


def test_a_missing_file_is_answered_with_the_nearest(network, tmp_path):
    save_weights(network, tmp_path / "teacher.safetensors")
    with pytest.raises(ValueError, match=r"nearest: .*teacher\.safetensors"):
        load_weights(network, tmp_path / "taecher.safetensors")


@pytest.mark.parametrize("holder", ["model_state_dict", "student", "params"])
def test_weights_in_other_programs_checkpoints_are_found(network, tmp_path, holder):
    torch.save({"epoch": 3, holder: network.state_dict(), "optimizer": {}}, tmp_path / "last.pt")
    check_loads(network, tmp_path / "last.pt")


@pytest.mark.parametrize("core", [b"core", b"_core"])
def test_options_paths_and_numpys_numbers_beside_the_weights_do_not_matter(network, tmp_path, core):
    kept = {
        "args": argparse.Namespace(lr=0.1, output=Path("runs/here")),
        "best": np.float64(71.5),
        "epochs": [np.int64(3), np.float32(0.1), np.bool_(True)],
        "model": network.state_dict(),
    }
    # In the older format a pickle is as it is; numpy 1 has the older one of the two names.
    torch.save(kept, tmp_path / "last.pth", _use_new_zipfile_serialization=False)
    content, count = re.subn(rb"numpy\._?core\.", b"numpy." + core + b".", (tmp_path / "last.pth").read_bytes())
    assert count
    (tmp_path / "last.pth").write_bytes(content)
    check_loads(network, tmp_path / "last.pth")
    torch.save(kept, tmp_path / "newer.pth")
    check_loads(network, tmp_path / "newer.pth")


@pytest.mark.parametrize("names", [("state_dict", "state_dict_ema"), ("model", "model_ema")])
def test_of_averaged_weights_and_the_last_ones_the_averaged_are_read(network, tmp_path, names):
    last = {name: torch.zeros_like(value) for name, value in network.state_dict().items()}
    averaged = {f"module.{name}": value for name, value in network.state_dict().items()}
    torch.save(dict(zip(names, (last, {"n_averaged": torch.tensor(5), **averaged}), strict=True)), tmp_path / "last.pt")
    check_loads(network, tmp_path / "last.pt")


def test_of_a_runs_folder_the_student_is_proposed(network, tmp_path):
    for name in ("best.safetensors", "student.safetensors"):
        save_weights(network, tmp_path / name)
    torch.save({}, tmp_path / "checkpoint.pt")
    with pytest.raises(ValueError, match=r"is a folder; give the file of weights in it: .*student\.safetensors$"):
        load_weights(network, tmp_path)


def test_safetensors_are_known_by_what_they_begin_with(network, tmp_path):
    save_weights(network, tmp_path / "whole.safetensors", {"model": "own"})
    for name in ("other.SAFETENSORS", "without_ending"):
        (tmp_path / "whole.safetensors").rename(tmp_path / name)
        check_loads(network, tmp_path / name)
        assert read_metadata(tmp_path / name)["model"] == "own"
        (tmp_path / name).rename(tmp_path / "whole.safetensors")
    torch.save(network.state_dict(), tmp_path / "torch.bin")
    assert read_metadata(tmp_path / "torch.bin") == {}
