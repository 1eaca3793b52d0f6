"""The network as an ONNX file that takes any number of images."""

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from understudy.engine.evaluate.onnx_file import open_onnx

NAME = "model.onnx"


def write_onnx(network: nn.Module, images: Tensor, path: Path, metadata: Mapping[str, str], input_name: str) -> None:
    """One file, weights inside, with the metadata and nothing of the machine it was made on."""
    with warnings.catch_warnings():
        # The exporter warns of its own parts; what counts is whether the file answers as the network does.
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            network,
            (images,),
            dynamo=True,
            verbose=False,
            input_names=[input_name],
            output_names=["logits"],
            dynamic_shapes=({0: torch.export.Dim("batch")},),
        )
    assert program is not None
    # The exporter notes for every node which lines of which files it came from.
    for node in program.model.graph.all_nodes():
        node.metadata_props.clear()
    program.model.metadata_props.update(metadata)
    program.save(str(path), external_data=False)


def read_onnx(path: Path) -> Callable[[Tensor], Tensor]:
    return open_onnx(path)
