"""Labelled images in memory: where they come from, which part of them, and in what batches."""

from understudy.data.augment import Augment
from understudy.data.batches import Batches, in_order
from understudy.data.image_set import Dataset, ImageSet
from understudy.data.sources import NAMES, load

__all__ = ["NAMES", "Augment", "Batches", "Dataset", "ImageSet", "in_order", "load"]
