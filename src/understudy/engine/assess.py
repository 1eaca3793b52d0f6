"""Measuring weights on disk."""

import json
from dataclasses import dataclass
from pathlib import Path

import torch

from understudy.data import load
from understudy.engine import facts
from understudy.engine.evaluate import Scores, evaluate
from understudy.engine.networks import build_network, loading_as_trained, locate
from understudy.engine.precision import choose
from understudy.models import read_metadata
from understudy.spec import NetworkSettings, RunSettings


@dataclass(frozen=True, kw_only=True)
class Assessment:
    """What was measured, on what, in which precision."""

    model: str
    data: str
    dtype: str
    parameters: int
    scores: Scores


def evaluate_file(
    checkpoint: str, *, model: str | None, data: str | None, folder: Path | None, precision: str
) -> Assessment:
    """The test scores of a run's student, of a student's own file, or of any weights with the name of their model.

    Raises ValueError where the file does not say what the options leave out.
    """
    if model is None:
        wanted = locate(checkpoint, None)
        if wanted.weights is None:
            raise ValueError(
                f"found {checkpoint!r}; give a run's folder, a .safetensors file, or --model with the file"
            )
    else:
        wanted = NetworkSettings(model=model, weights=Path(checkpoint))
    assert wanted.weights is not None
    metadata = read_metadata(wanted.weights)
    name = data or metadata.get("data")
    if name is None:
        raise ValueError(f"{wanted.weights} does not say on which data it was trained; give --data")
    # The set may have more classes than the student was trained on.
    is_own = metadata.get("data") == name and "class_names" in metadata
    classes = json.loads(metadata["class_names"]) if is_own else None
    images = load(name, folder=folder, classes=classes, loading=loading_as_trained(metadata, name))
    network = build_network(wanted, images)
    chosen = choose(
        RunSettings.model_validate({"precision": precision, "compile": "off"}),
        multiply_adds=facts.multiply_adds(network, torch.zeros(1, *images.image_shape))[1],
        phase_multiply_adds=0.0,
    )
    chosen.place(network)
    return Assessment(
        model=wanted.model,
        data=name,
        dtype=str(chosen.facts()["dtype"]),
        parameters=facts.num_parameters(network),
        scores=evaluate(network, images.test, images, chosen),
    )
