"""What a run keeps of its networks for the report, against plain hooks and definitions."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from understudy import distil, load_data
from understudy.data import batches_in_order
from understudy.engine import execute
from understudy.engine.measure import seen
from understudy.models import build
from understudy.spec import read_settings
from understudy.taps import named_positions


class Pooled(nn.Module):
    """Two maps, the second pooled into a linear classifier: what speaks for its answer can be written down."""

    def __init__(self, width, size=3):
        super().__init__()
        self.first = nn.Conv2d(1, width, size, padding=size // 2)
        self.norm = nn.BatchNorm2d(width)
        self.second = nn.Conv2d(width, 2 * width, 3, stride=2, padding=1)
        self.relus = nn.ModuleList([nn.ReLU(), nn.ReLU()])
        self.fc = nn.Linear(2 * width, 10)

    def maps(self, images):
        early = self.relus[0](self.norm(self.first(images)))
        return early, self.relus[1](self.second(early))

    def forward(self, images):
        return self.fc(self.maps(images)[1].mean(dim=(2, 3)))


@pytest.fixture(scope="module")
def digits():
    return load_data("digits", per_class=5)


@pytest.fixture(scope="module")
def taught(digits, tmp_path_factory):
    """A run from one network to another, and what it has kept."""
    torch.manual_seed(0)
    student, teacher = Pooled(4), Pooled(8, size=5)
    out = tmp_path_factory.mktemp("seen") / "run"
    run = distil(student, teacher, digits, method="kd", epochs=1, batch_size=25, folder=out)
    return run.student.eval(), teacher.eval(), kept(run.folder)


def kept(folder):
    with np.load(folder / "seen.npz", allow_pickle=False) as found:
        return dict(found)


def measured(images, data, indices):
    return next(batches_in_order(images.subset(indices), data, batch_size=len(indices), device="cpu"))[0]


def shown(data):
    return [int((data.test.labels == label).nonzero()[0]) for label in range(6)]


def in_bytes(maps):
    return np.stack([(255 * one / one.max()).round().numpy() for one in maps.detach()])


def test_the_images_are_one_of_each_of_the_first_classes(taught, digits):
    *_, found = taught
    assert torch.equal(torch.from_numpy(found["images"]), digits.test.images[shown(digits)])


@pytest.mark.parametrize("role", ["student", "teacher"])
@pytest.mark.parametrize("place", [0, 1])
def test_maps_are_the_energy_of_the_features(taught, digits, role, place):
    student, teacher, found = taught
    network = {"student": student, "teacher": teacher}[role]
    features = network.maps(measured(digits.test, digits, shown(digits)))[place]
    expected = in_bytes(features.square().sum(dim=1))
    assert np.abs(found[f"maps {role} {place} relus.{place}"] - expected).max() <= 1
    assert expected.std() > 1


@pytest.mark.parametrize("role", ["student", "teacher"])
def test_what_speaks_for_the_answer_is_the_classifier_at_each_place(taught, digits, role):
    student, teacher, found = taught
    network = {"student": student, "teacher": teacher}[role]
    images = measured(digits.test, digits, shown(digits))
    features = network.maps(images)[1]
    rows = network.fc.weight[network(images).argmax(dim=1)]
    expected = F.relu((rows[:, :, None, None] * features).sum(dim=1))
    assert np.abs(found[f"answer {role}"] - in_bytes(expected)).max() <= 1


@pytest.mark.parametrize("role", ["student", "teacher"])
def test_images_lie_as_far_apart_as_what_enters_the_classifier(taught, digits, role):
    student, teacher, found = taught
    network = {"student": student, "teacher": teacher}[role]
    of_these = (digits.test.labels < 7).nonzero()[:, 0]
    assert len(of_these) < 300 and found["labels"].tolist() == digits.test.labels[of_these].tolist()
    with torch.no_grad():
        pooled = network.maps(measured(digits.test, digits, of_these.tolist()))[1].mean(dim=(2, 3))
    expected, kept_distances = torch.pdist(pooled), torch.pdist(torch.from_numpy(found[f"embedding {role}"]).float())
    assert torch.corrcoef(torch.stack([expected, kept_distances]))[0, 1] > 0.9999
    assert found["class_names"].tolist() == [str(digit) for digit in range(10)]


def test_of_many_images_some_are_arranged_from_the_first_to_nearly_the_last(digits, tmp_path, monkeypatch):
    monkeypatch.setattr(seen, "NUM_ARRANGED", 20)
    run = distil(Pooled(4), None, digits, method="none", epochs=1, batch_size=25, folder=tmp_path / "run")
    labels = digits.test.labels[digits.test.labels < 7]
    chosen = [index * len(labels) // 20 for index in range(20)]
    assert kept(run.folder)["labels"].tolist() == labels[chosen].tolist()
    assert chosen[-1] > 0.9 * len(labels)


def test_a_student_alone_keeps_its_own(digits, tmp_path):
    run = distil(Pooled(4), None, digits, method="none", epochs=1, batch_size=25, folder=tmp_path / "run")
    assert {key.split(" ")[1] for key in kept(run.folder) if " " in key} == {"student"}


def test_networks_are_left_as_they_were(digits, tmp_path):
    teacher = Pooled(8)
    teacher.train()
    teacher.norm.eval()
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    run = distil(Pooled(4), teacher, digits, method="kd", epochs=1, batch_size=25, folder=tmp_path / "run")
    assert all(torch.equal(value, before[name]) for name, value in teacher.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in run.student.modules())


def test_a_network_without_maps_keeps_how_it_arranges_images(digits, tmp_path):
    student = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10))
    run = distil(student, None, digits, method="none", epochs=1, batch_size=25, folder=tmp_path / "run")
    assert set(kept(run.folder)) == {"images", "labels", "class_names", "embedding student"}


def test_of_large_images_small_pictures_are_kept(data_folder, tmp_path):
    data_folder("scenes15")
    words = ["data.per_class=2", "student.model=timm:test_vit", "run.compile=off", "run.precision=float32"]
    named = {"task": "train", "data.name": "scenes15", "data.size": 160, "epochs": 1, "batch_size": 15}
    run = execute(read_settings(options=named, words=words), tmp_path / "run")
    found = kept(run.folder)
    assert found["images"].shape == (6, 3, 96, 96)
    maps = [value for key, value in found.items() if key.startswith("maps student")]
    assert maps and all(value.shape == (6, 10, 10) for value in maps)
    assert found["embedding student"].shape[0] == len(found["labels"]) == 7 * 20


def test_what_is_searched_by_embeddings_is_arranged_by_them(tmp_path):
    named = {"task": "train", "retrieval.loss": "multi_similarity", "student.model": "digits-1x4"}
    named |= {"data.name": "digits-disjoint", "batch_size": 40, "epochs": 1}
    run = execute(read_settings(options=named), tmp_path / "run")
    found = kept(run.folder)
    assert found["embedding student"].shape[1] == min(50, run.student(torch.zeros(2, 1, 8, 8)).shape[1])
    assert not any(key.startswith("answer") for key in found)


def test_a_larger_teacher_of_another_family_is_read_at_the_students_places(digits, tmp_path):
    """Places are pairs: both have as many, whatever each calls its own."""
    student, teacher = build("digits-1x4", num_classes=10, in_channels=1), Pooled(8)
    run = distil(student, teacher, digits, method="kd", epochs=1, batch_size=25, folder=tmp_path / "run")
    found = [key.split(" ") for key in kept(run.folder) if key.startswith("maps")]
    places = {role: [place for _, which, place, _ in found if which == role] for role in ("student", "teacher")}
    assert places["student"] == places["teacher"] == ["0", "1"]
    images = torch.zeros(2, 1, 8, 8)
    assert {key[3] for key in found if key[1] == "teacher"} == set(named_positions(teacher, "after_relu", images))
