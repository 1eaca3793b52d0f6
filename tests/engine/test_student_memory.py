"""What a student takes in memory: by hand, in proportion, and without a trace in the network."""

import copy

import pytest
import torch
from torch import nn

from understudy import distil, load_data
from understudy.engine.memory.student_memory import in_words, student_memory
from understudy.models import build


@pytest.fixture
def digits_data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return load_data("digits", per_class=2)


def test_a_layer_by_hand():
    """Five inputs, three outputs, in bytes of float32: weights and biases 18, the answer 3."""
    assert student_memory(nn.Linear(5, 3), (5,)) == {
        "weights_bytes": 4 * 18,
        "answer_bytes": 4 * 3,
        "training_bytes": 4 * 3,
    }


def test_a_chain_frees_in_answering_what_it_keeps_in_training():
    """Ten layers of 1,000: two maps are alive in an answer; a sigmoid's stays for its gradient, and enters a layer."""
    chain = nn.Sequential(*(part for _ in range(10) for part in (nn.Linear(1000, 1000), nn.Sigmoid())))
    memory = student_memory(chain, (1000,))
    assert memory["answer_bytes"] == 2 * 4000
    assert memory["training_bytes"] == 10 * 4000


def test_twice_the_width_is_twice_the_memory_of_an_image_and_four_times_that_of_weights():
    slim, wide = (student_memory(nn.Sequential(nn.Conv2d(w, w, 3), nn.ReLU()), (w, 32, 32)) for w in (32, 64))
    assert wide["answer_bytes"] == 2 * slim["answer_bytes"]
    assert wide["training_bytes"] == pytest.approx(2 * slim["training_bytes"], rel=0.01)
    assert wide["weights_bytes"] == pytest.approx(4 * slim["weights_bytes"], rel=0.01)


def test_no_trace_is_left_in_the_network():
    torch.manual_seed(0)
    network = nn.Sequential(build("digits-1x4", num_classes=10, in_channels=1), nn.Dropout())
    network[0].eval()
    before, random_state = copy.deepcopy(network.state_dict()), torch.get_rng_state()
    student_memory(network, (1, 8, 8))
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())
    assert torch.equal(torch.get_rng_state(), random_state)
    assert network.training and not network[0].training


class TwoAnswers(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 2)

    def forward(self, x):
        return {"a": [self.layer(x)], "b": x.sum()}


def test_networks_that_answer_several_tensors_are_measured_too():
    assert student_memory(TwoAnswers(), (4,))["answer_bytes"] == 4 * 2 + 4


def test_it_is_told_in_a_line():
    memory = {"weights_bytes": 2**20, "answer_bytes": 2**21, "training_bytes": 5 * 2**20}
    assert in_words(memory) == (
        "memory in float32: weights 1.00 MiB, an image's answer 2.00 MiB, an image of a training batch 5.00 MiB"
    )
    assert in_words(None) is None


class Remembers(nn.Linear):
    """A layer with a state that is no tensor."""

    def get_extra_state(self):
        return {"scale": 2}

    def set_extra_state(self, state):
        pass


def test_a_state_that_is_no_tensor_counts_for_nothing_and_is_told_before_a_run(digits_data):
    assert student_memory(Remembers(5, 3), (5,)) == student_memory(nn.Linear(5, 3), (5,))
    student = nn.Sequential(nn.Flatten(), Remembers(64, 10))
    with pytest.raises(ValueError, match=r"the student's state has 1\._extra_state, which is no tensor"):
        distil(student, None, digits_data, method="none", epochs=1, folder="run")
    student[1] = nn.Linear(64, 10)
    teacher = nn.Sequential(nn.Flatten(), Remembers(64, 10))
    assert distil(student, teacher, digits_data, method="kd", epochs=1, folder="run", quiet=True).accuracy_pct >= 0


def test_synchronised_batchnorms_are_measured_as_the_others(monkeypatch):
    """Where processes train together they refuse the processor; the statistics of two images are all they keep less."""
    monkeypatch.setattr("torch.distributed.is_available", lambda: True)
    monkeypatch.setattr("torch.distributed.is_initialized", lambda: True)
    plain = build("digits-1x4", num_classes=10, in_channels=1)
    found, other = (
        student_memory(network, (1, 8, 8)) for network in (nn.SyncBatchNorm.convert_sync_batchnorm(plain), plain)
    )
    assert found["answer_bytes"] == other["answer_bytes"] and found["weights_bytes"] == other["weights_bytes"]
    assert found["training_bytes"] == pytest.approx(other["training_bytes"], rel=0.05)
