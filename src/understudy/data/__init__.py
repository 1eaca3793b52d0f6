"""Labelled images: where they come from, which part of them, how they are read, and in what batches."""

from understudy.data.augment import Augment
from understudy.data.batches.boxed import Target
from understudy.data.batches.mixing import Mixing
from understudy.data.batches.resident import Batches
from understudy.data.boxed_images import BoxedImages, Objects
from understudy.data.choose import Loading
from understudy.data.crops import Crops
from understudy.data.fit import Fit
from understudy.data.image_files import ImageFiles
from understudy.data.image_set import Dataset, Images, ImageSet
from understudy.data.loading import TrainingBatches, batches_in_order, training_batches
from understudy.data.sources import load

__all__ = [
    "Augment",
    "Batches",
    "BoxedImages",
    "Crops",
    "Dataset",
    "Fit",
    "ImageFiles",
    "ImageSet",
    "Images",
    "Loading",
    "Mixing",
    "Objects",
    "Target",
    "TrainingBatches",
    "batches_in_order",
    "load",
    "training_batches",
]
