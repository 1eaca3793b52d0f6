import numpy as np
import torch
from sklearn.datasets import load_digits

from understudy.data import load


def test_every_scan_is_in_train_or_test_once_with_its_label():
    digits = load("digits")
    scans, labels = load_digits(return_X_y=True)
    expected = sorted(
        (int(label), *(int(level * 255 / 16 + 0.5) for level in scan))
        for scan, label in zip(np.asarray(scans), np.asarray(labels), strict=True)
    )
    found = sorted(
        (label, *image.flatten().tolist())
        for part in (digits.train, digits.test)
        for image, label in zip(part.images, part.labels.tolist(), strict=True)
    )
    assert found == expected


def test_the_split_is_balanced_and_of_the_stated_size():
    digits = load("digits")
    assert (len(digits.train), len(digits.test)) == (1437, 360)
    assert torch.bincount(digits.test.labels).tolist() == [36] * 10
    assert digits.image_shape == (1, 8, 8) and digits.num_classes == 10
    assert digits.train.images.max() == 255 and digits.train.images.min() == 0


def test_the_split_is_the_same_for_every_seed_and_machine():
    assert load("digits", seed=5).fingerprint() == load("digits").fingerprint()
    # Recorded from this split: results with digits are comparable only while it holds.
    assert load("digits").fingerprint() == "c35dd0c8bcbeb3487858f981df247c56232a63e32d4ef13a7c610e2c75e880b8"


def test_mean_and_std_are_those_of_the_train_images():
    digits = load("digits")
    pixels = digits.train.images.numpy().astype(np.float64)
    assert abs(digits.mean[0] - pixels.mean()) < 0.06 and abs(digits.std[0] - pixels.std()) < 0.06


def test_digits_are_moved_by_one_pixel_and_never_flipped():
    assert (load("digits").augment.pad, load("digits").augment.flip) == (1, False)
