"""The network's source as a file of its own, in a Python that has no understudy."""

import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from understudy.export.loading import how_to_load
from understudy.export.source import NAME, has_source, is_ours, source_of
from understudy.models import NAMES, build, save_weights

pytestmark = pytest.mark.slow

PROGRAM = """
import sys
sys.modules["understudy"] = None  # as where it is not installed
sys.path.insert(0, {folder!r})
import torch
from model import load
from safetensors.torch import load_file, save_file
network = load()
assert not network.training
with torch.no_grad():
    save_file({{"logits": network(load_file({folder!r} + "/images")["images"])}}, {folder!r} + "/logits")
"""


def student_of(name):
    """What the source is made from, without a run."""
    torch.manual_seed(0)
    data = SimpleNamespace(num_classes=10, image_shape=(1, 8, 8))
    return SimpleNamespace(model=name, data=data, network=build(name, num_classes=10, in_channels=1).eval())


def test_a_network_that_is_cut_has_no_source_of_its_own_and_is_not_loaded_by_one():
    whole, cut = student_of("digits-2x8"), student_of("digits-2x8@stage2")
    cut.image_shape = whole.image_shape = (1, 8, 8)
    assert has_source(whole) and not has_source(cut)
    assert "model" in how_to_load(whole, "safetensors", with_normalisation=False)
    assert how_to_load(cut, "safetensors", with_normalisation=False) == ""
    assert "onnxruntime" in how_to_load(cut, "onnx", with_normalisation=False)


def test_the_card_builds_a_network_as_it_was_built(tmp_path, monkeypatch):
    """With what torchvision's and the user's are built with beside their classes."""
    (tmp_path / "grey_nets.py").write_text(
        "from torch import nn\n\ndef net(num_classes, in_channels):\n"
        "    return nn.Sequential(nn.Conv2d(in_channels, 2, 1), nn.Flatten(), nn.Linear(128, num_classes))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    for name, shape, expected in (
        ("grey_nets:net", (1, 8, 8), "net(num_classes=10, in_channels=1)"),
        ("torchvision:googlenet", (3, 64, 64), "num_classes=10, aux_logits=False, init_weights=True)"),
    ):
        network = nn.Linear(1, 1)
        data = SimpleNamespace(num_classes=10, image_shape=shape)
        student = SimpleNamespace(model=name, data=data, network=network, image_shape=shape)
        assert expected in how_to_load(student, "safetensors", with_normalisation=False)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["wrn10-1", "digits-2x8"])
def test_it_answers_the_same_bits_without_understudy(tmp_path, generator, name):
    student = student_of(name)
    save_weights(student.network, tmp_path / "model.safetensors")
    (tmp_path / NAME).write_text(source_of(student), encoding="utf-8")
    images = torch.randn(5, 1, 8, 8, generator=generator)
    save_file({"images": images}, tmp_path / "images")
    program = PROGRAM.format(folder=str(tmp_path))
    ended = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    with torch.no_grad():
        assert torch.equal(load_file(tmp_path / "logits")["logits"], student.network(images))


@pytest.mark.parametrize("name", NAMES)
def test_every_network_of_ours_is_built_by_its_one_file(name, monkeypatch):
    with torch.device("meta"):
        student = student_of(name)
        source = source_of(student)
        for module in [module for module in sys.modules if module.partition(".")[0] == "understudy"]:
            monkeypatch.setitem(sys.modules, module, None)
        names: dict = {"__name__": "model"}
        exec(compile(source, NAME, "exec"), names)
        network = names["from_name"](name, 10, 1)
    assert type(network).__name__ == type(student.network).__name__
    shapes, expected = (
        {key: value.shape for key, value in one.state_dict().items()} for one in (network, student.network)
    )
    assert shapes == expected and f"from_name({name!r}, 10, 1)" in source


def test_networks_of_others_are_not_ours():
    assert not any(is_ours(SimpleNamespace(model=name)) for name in ("timm:resnet18", "own.nets:small"))
    assert is_ours(SimpleNamespace(model="wrn16-2"))
