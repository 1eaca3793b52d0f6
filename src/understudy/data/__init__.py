"""Labelled images: where they come from, which part of them, how they are read, and in what batches."""

from understudy.data.augment import Augment
from understudy.data.batches import Batches, in_order
from understudy.data.choose import Loading
from understudy.data.crops import Crops
from understudy.data.file_batches import FileBatches
from understudy.data.image_files import ImageFiles
from understudy.data.image_set import Dataset, Images, ImageSet
from understudy.data.loading import batches_in_order, training_batches
from understudy.data.mixing import Mixing
from understudy.data.sources import load

__all__ = [
    "Augment",
    "Batches",
    "Crops",
    "Dataset",
    "FileBatches",
    "ImageFiles",
    "ImageSet",
    "Images",
    "Loading",
    "Mixing",
    "batches_in_order",
    "in_order",
    "load",
    "training_batches",
]
