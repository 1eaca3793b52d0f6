import hashlib
import pickle

import numpy as np
import pytest
import torch
from torchvision.datasets import CIFAR10, CIFAR100

from understudy.data import load

CLASSES10 = [f"kind {index}" for index in range(10)]
CLASSES100 = [f"kind {index}" for index in range(100)]


def write(path, contents) -> list[str]:
    """[file name, MD5], as torchvision lists its files."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(contents))
    return [path.name, hashlib.md5(path.read_bytes()).hexdigest()]


def as_row(pixels: np.ndarray) -> np.ndarray:
    """(N, height, width, 3) to the archive's (N, 3072): all red, all green, all blue."""
    return pixels.transpose(0, 3, 1, 2).reshape(len(pixels), -1)


@pytest.fixture
def archive10(tmp_path, pixels, monkeypatch):
    """A folder with a CIFAR-10 of torchvision's layout, four images to train on in two files and two to test on."""
    files = tmp_path / "cifar-10-batches-py"
    first = write(files / "data_batch_1", {"data": as_row(pixels[:3]), "labels": [3, 1, 4]})
    second = write(files / "data_batch_2", {"data": as_row(pixels[3:4]), "labels": [1]})
    test = write(files / "test_batch", {"data": as_row(pixels[4:6]), "labels": [5, 9]})
    meta = write(files / "batches.meta", {"label_names": CLASSES10})
    monkeypatch.setattr(CIFAR10, "train_list", [first, second])
    monkeypatch.setattr(CIFAR10, "test_list", [test])
    monkeypatch.setattr(CIFAR10, "meta", {"filename": meta[0], "key": "label_names", "md5": meta[1]})
    return tmp_path


def test_cifar10_is_read_from_torchvisions_folder(archive10, pixels):
    cifar10 = load("cifar10", folder=archive10)
    assert cifar10.train.labels.tolist() == [3, 1, 4, 1] and cifar10.test.labels.tolist() == [5, 9]
    assert torch.equal(cifar10.train.images.permute(0, 2, 3, 1), torch.from_numpy(pixels[:4]))
    assert torch.equal(cifar10.test.images.permute(0, 2, 3, 1), torch.from_numpy(pixels[4:6]))
    assert cifar10.train.class_names == tuple(CLASSES10) and cifar10.mean == (125.3, 123.0, 113.9)


def test_cifar100_is_read_with_its_fine_labels(tmp_path, pixels, monkeypatch):
    files = tmp_path / "cifar-100-python"
    rows = {"data": as_row(pixels[:2]), "fine_labels": [99, 7], "coarse_labels": [1, 2]}
    monkeypatch.setattr(CIFAR100, "train_list", [write(files / "train", rows)])
    monkeypatch.setattr(CIFAR100, "test_list", [write(files / "test", rows)])
    meta = write(files / "meta", {"fine_label_names": CLASSES100})
    monkeypatch.setattr(CIFAR100, "meta", {"filename": meta[0], "key": "fine_label_names", "md5": meta[1]})
    cifar100 = load("cifar100", folder=tmp_path)
    assert cifar100.train.labels.tolist() == [99, 7] and cifar100.num_classes == 100


def test_parquet_files_come_before_torchvisions_folder(archive10, cifar_folder):
    assert archive10 == cifar_folder
    assert len(load("cifar10", folder=cifar_folder).train) == 10


@pytest.mark.parametrize("file", ["data_batch_2", "test_batch"])
def test_a_damaged_or_missing_file_of_the_archive_is_refused(archive10, file):
    path = archive10 / "cifar-10-batches-py" / file
    path.write_bytes(path.read_bytes() + b"!")
    with pytest.raises(ValueError, match=r"cifar10: the files in .*cifar-10-batches-py are not the official"):
        load("cifar10", folder=archive10)
    path.unlink()
    with pytest.raises(ValueError, match=r"fetch them with data.download=true"):
        load("cifar10", folder=archive10)


def test_a_download_happens_only_on_request_and_into_the_folder(archive10, monkeypatch):
    files, elsewhere = archive10 / "cifar-10-batches-py", archive10 / "elsewhere"
    asked = []

    def download(self):
        asked.append(self.root)
        if elsewhere.exists():
            elsewhere.rename(files)

    monkeypatch.setattr(CIFAR10, "download", download)
    load("cifar10", folder=archive10)
    files.rename(elsewhere)
    with pytest.raises(ValueError, match="cifar10 was not found"):
        load("cifar10", folder=archive10)
    assert asked == []
    assert len(load("cifar10", folder=archive10, download=True).train) == 4
    assert asked and set(asked) == {archive10}
