"""The source of one of our networks as a file of its own, which needs torch and safetensors only."""

import sys
from pathlib import Path

from understudy.engine import facts
from understudy.export.student import Student

NAME = "model.py"

LOAD = '''

def load(path=None):
    """The network with the weights in `path`, model.safetensors beside this file by default, ready to be asked."""
    from pathlib import Path

    from safetensors.torch import load_file

    network = from_name({model!r}, {num_classes}, {in_channels})
    network.load_state_dict(load_file(path or Path(__file__).with_name("model.safetensors")))
    return network.eval()
'''


def is_ours(student: Student) -> bool:
    """Whether the network comes from understudy's own files, not from timm, torchvision or the user."""
    return ":" not in student.model


def source_of(student: Student) -> str:
    """The file of the network's family, with a function `load()` at its end."""
    module = sys.modules[type(student.network).__module__]
    assert module.__file__ is not None
    load = LOAD.format(
        model=student.model, num_classes=student.data.num_classes, in_channels=student.data.image_shape[0]
    )
    origin = f"# From understudy {facts.versions()['understudy']}, Apache-2.0.\n\n"
    return origin + Path(module.__file__).read_text(encoding="utf-8") + load
