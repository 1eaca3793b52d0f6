"""Networks by name: our own, timm's, torchvision's, and the user's."""

from understudy.models.blocks import block_of, blocks, weights_by_block
from understudy.models.build import NAMES, build
from understudy.models.cut import cut_of
from understudy.models.weights import load_weights, read_metadata, save_weights

__all__ = [
    "NAMES",
    "block_of",
    "blocks",
    "build",
    "cut_of",
    "load_weights",
    "read_metadata",
    "save_weights",
    "weights_by_block",
]
