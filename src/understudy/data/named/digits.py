"""The handwritten digits that ship with scikit-learn: 1,797 scans of 8x8, no download.

Alpaydin & Kaynak, "Optical Recognition of Handwritten Digits", UCI, 1998 (its test part).
"""

import numpy as np
import torch

from understudy.data.augment import Augment
from understudy.data.image_set import Dataset, ImageSet
from understudy.data.subsets import take_of_each_class

NUM_TEST_PER_CLASS = 36  # 360 of 1,797: a fifth
SPLIT_SEED = 0  # scikit-learn names no test part; this one is fixed, whatever seed a run has


def digits() -> Dataset:
    """1,437 images to train on and 360 to test on, 36 of each digit; (1, 8, 8), 0..16 stretched to 0..255."""
    from sklearn.datasets import load_digits

    scans, labels = load_digits(return_X_y=True)
    pixels = np.round(np.asarray(scans) * (255 / 16)).astype(np.uint8)
    everything = ImageSet(
        images=torch.from_numpy(pixels).view(-1, 1, 8, 8),
        labels=torch.from_numpy(np.asarray(labels, dtype=np.int64)),
        class_names=tuple("0123456789"),
    )
    test, train = take_of_each_class(everything, counts=[NUM_TEST_PER_CLASS] * 10, seed=SPLIT_SEED)
    train_pixels = train.images.double()
    return Dataset(
        name="digits",
        train=train,
        test=test,
        mean=(round(train_pixels.mean().item(), 1),),
        std=(round(train_pixels.std().item(), 1),),
        augment=Augment(pad=1, flip=False),
    )
