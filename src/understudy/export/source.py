"""The source of one of our networks as a file of its own, which needs torch and safetensors only."""

import ast
import sys
from pathlib import Path

from understudy.engine import facts
from understudy.export.student import Student
from understudy.models import cut_of, end_of

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


def has_source(student: Student) -> bool:
    """Whether `source_of` answers all of the network: it is ours, as it is."""
    return is_ours(student) and end_of(student.network) is None and cut_of(student.network) is None


def source_of(student: Student) -> str:
    """The file of the network's family, after what it takes from others of ours; a function `load()` at the end."""
    load = LOAD.format(
        model=student.model, num_classes=student.data.num_classes, in_channels=student.data.image_shape[0]
    )
    origin = f"# From understudy {facts.versions()['understudy']}, Apache-2.0.\n\n"
    return origin + "\n\n".join(_files(type(student.network).__module__, set())) + load


def _files(module: str, seen: set[str]) -> list[str]:
    """The texts of a module and of those of ours that it imports, each once and before it is needed."""
    if module in seen:
        return []
    seen.add(module)
    path = sys.modules[module].__file__
    assert path is not None
    text = Path(path).read_text(encoding="utf-8")
    lines, before = text.splitlines(), []
    for node in ast.parse(text).body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("understudy."):
            assert node.module is not None and not any(alias.asname for alias in node.names)
            before += _files(node.module, seen)
            # What is imported stands further up in the one file.
            for number in range(node.lineno, (node.end_lineno or node.lineno) + 1):
                lines[number - 1] = ""
    return [*before, "\n".join(lines) + "\n"]
