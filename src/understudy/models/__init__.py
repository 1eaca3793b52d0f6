"""Networks by name: our own, timm's, torchvision's, and the user's."""

from understudy.models.build import NAMES, build
from understudy.models.weights import load_weights, read_metadata, save_weights

__all__ = ["NAMES", "build", "load_weights", "read_metadata", "save_weights"]
