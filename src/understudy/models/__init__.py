"""Networks by name: our own, timm's, torchvision's, and the user's; and embedding networks made of them."""

from understudy.models.blocks import block_of, blocks, weights_by_block
from understudy.models.build import NAMES, build, is_for_32_pixels, torchvision_options, user_arguments
from understudy.models.cut import cut_of
from understudy.models.embed import embed
from understudy.models.embedding import Form, Head, Unit, classifier, end_of
from understudy.models.hdhe import HeadsOnTrunk, ensemble
from understudy.models.said import model_said
from understudy.models.selection import select_weights
from understudy.models.weights import load_weights, read_metadata, save_weights

__all__ = [
    "NAMES",
    "Form",
    "Head",
    "HeadsOnTrunk",
    "Unit",
    "block_of",
    "blocks",
    "build",
    "classifier",
    "cut_of",
    "embed",
    "end_of",
    "ensemble",
    "is_for_32_pixels",
    "load_weights",
    "model_said",
    "read_metadata",
    "save_weights",
    "select_weights",
    "torchvision_options",
    "user_arguments",
    "weights_by_block",
]
