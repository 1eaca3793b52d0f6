"""The network as a program of torch.export, which needs PyTorch but not the network's source."""

import json
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

NAME = "model.pt2"
# Where the metadata lies in the file.
FACTS = "facts.json"


def write_program(network: nn.Module, images: Tensor, path: Path, metadata: Mapping[str, str]) -> None:
    with warnings.catch_warnings():
        # The exporter warns of its own parts; what counts is whether the file answers as the network does.
        warnings.simplefilter("ignore")
        program = torch.export.export(network, (images,), dynamic_shapes=({0: torch.export.Dim("batch")},))
        # Which lines of which files of this machine a node came from.
        for node in program.graph.nodes:
            node.meta.pop("stack_trace", None)
        torch.export.save(program, path, extra_files={FACTS: json.dumps(dict(metadata))})


def read_program(path: Path) -> Callable[[Tensor], Tensor]:
    """The program in the file. Loading one runs what is in it: only for files of one's own."""
    return torch.export.load(path).module()
