"""What a run's networks make of test images, kept for its report: where they look, and which images they put together.

Where a network looks is the attention map of Zagoruyko & Komodakis, "Paying More Attention to Attention", ICLR 2017,
section 3.1. What speaks for its answer is the class activation map of Selvaraju et al., "Grad-CAM", ICCV 2017, section
3, for the class that it answers, on the last of its maps.
"""

import io
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from understudy.data import BoxedImages, Dataset, ImageFiles, ImageSet, batches_in_order
from understudy.engine.plan import Plan
from understudy.losses import attention_energy
from understudy.modes import evaluating
from understudy.precision import Precision
from understudy.spec import write_whole
from understudy.spec.run_files import SEEN
from understudy.taps import Tapped, as_map, named_positions, pairs, size_seen

ROLE = "after_relu"
# A row of small pictures; as many dots, in as many colours, as a chart can hold of several networks.
NUM_SHOWN, LONGEST_SIDE = 6, 96
NUM_ARRANGED, NUM_CLASSES, NUM_DIRECTIONS = 300, 7, 50
BATCH_SIZE = 50


def keep_seen(plan: Plan, precision: Precision, out: Path) -> None:
    """Write `seen.npz`, which the report draws; nothing of images that show objects in boxes.

    - `images` (N, C, H, W) and `maps STUDENT_OR_TEACHER PLACE POSITION` (N, H', W'), both in uint8, one of each class;
      a map's largest value is 255. `answer STUDENT_OR_TEACHER` is of the same kind.
    - `labels` (M,), `class_names` (K,), and `embedding STUDENT_OR_TEACHER` (M, D): what enters the classifier, or is
      answered where there is none, in the D directions in which it varies most.

    What a network has no positions for is left out.
    """
    test = plan.data.test
    if isinstance(test, BoxedImages):
        return
    networks = {"student": plan.student} | ({"teacher": plan.teacher} if plan.teacher is not None else {})
    with evaluating(*networks.values()):
        kept: dict[str, Any] = _look(test, plan, networks, precision) | _arrange(test, plan, networks, precision)
    held = io.BytesIO()
    np.savez_compressed(held, **kept)
    write_whole(out / SEEN, held.getvalue())


def _look(
    test: ImageSet | ImageFiles, plan: Plan, networks: dict[str, nn.Module], precision: Precision
) -> dict[str, np.ndarray]:
    """One image of each of a few classes, and the maps that the networks make of them."""
    labels = test.labels
    first = [int((labels == label).nonzero()[0]) for label in labels.unique()[:NUM_SHOWN]]
    images = _read(test, first, plan.data, precision)
    kept = {"images": _pixels(images, plan.data)}
    for role, names in _positions(networks, images).items():
        # A position that a network does not come to on every image cannot be shown.
        with suppress(RuntimeError):
            kept |= _maps(role, networks[role], names, images, plan.task.answers_classes)
    return kept


def _positions(networks: dict[str, nn.Module], images: Tensor) -> dict[str, list[str]]:
    """Where to look, in order: at the same places in both networks; nowhere where none can be named."""
    with suppress(ValueError):
        if "teacher" not in networks:
            return {"student": list(named_positions(networks["student"], ROLE, images))}
        found = pairs(networks["student"], networks["teacher"], ROLE, images)
        return {"student": [own.name for own, _ in found], "teacher": [wanted.name for _, wanted in found]}
    return {}


def _maps(role: str, network: nn.Module, names: list[str], images: Tensor, answers: bool) -> dict[str, np.ndarray]:
    size = size_seen(network, images)
    with Tapped(network, names, images) as tapped:
        with torch.enable_grad():
            output, features = tapped(images.clone().requires_grad_())
        maps = {name: as_map(feature, size) for name, feature in features.items()}
        kept = {
            f"maps {role} {place} {name}": _in_bytes(attention_energy(feature.detach()))
            for place, (name, feature) in enumerate(maps.items())
            if feature.ndim == 4
        }
        speaks = _speaks_for(output, features[names[-1]], size) if answers and isinstance(output, Tensor) else None
        return kept if speaks is None else kept | {f"answer {role}": _in_bytes(speaks)}


def _speaks_for(logits: Tensor, feature: Tensor, size: tuple[int, int]) -> Tensor | None:
    """Grad-CAM of the class that is answered: (B, H, W); None where the feature is no map on the way to the logits."""
    (gradient,) = torch.autograd.grad(logits.amax(dim=1).sum(), feature, allow_unused=True)
    if gradient is None or as_map(feature, size).ndim != 4:
        return None
    gradient_BCHW, feature_BCHW = (as_map(one, size) for one in (gradient, feature.detach()))
    return (gradient_BCHW.mean(dim=(2, 3), keepdim=True) * feature_BCHW).sum(dim=1).relu()


def _arrange(
    test: ImageSet | ImageFiles, plan: Plan, networks: dict[str, nn.Module], precision: Precision
) -> dict[str, np.ndarray]:
    """Evenly spaced images of a few classes, and where each network puts them."""
    labels = test.labels
    of_these = torch.isin(labels, labels.unique()[:NUM_CLASSES]).nonzero()[:, 0]
    count = min(NUM_ARRANGED, len(of_these))
    chosen = of_these[torch.arange(count) * len(of_these) // count]
    images = [_read(test, part, plan.data, precision) for part in chosen.split(BATCH_SIZE)]
    kept = {"labels": labels[chosen].cpu().numpy(), "class_names": np.array(test.class_names)}
    for role, network in networks.items():
        with suppress(ValueError, RuntimeError):
            kept[f"embedding {role}"] = _directions(_embeddings(network, images, plan.task.answers_classes))
    return kept


@torch.no_grad()
def _embeddings(network: nn.Module, images: list[Tensor], answers: bool) -> Tensor:
    """(M, C): what enters the classifier, or what a network without one answers."""
    if not answers:
        return torch.cat([network(some) for some in images])
    with Tapped(network, named_positions(network, "embedding", images[0]), images[0], stops=True) as tapped:
        return torch.cat([next(iter(tapped(some)[1].values())).flatten(1) for some in images])


def _directions(found_MC: Tensor) -> np.ndarray:
    """(M, D) in float16, D at most NUM_DIRECTIONS: as far apart as before, but for a scale and what varies little."""
    centred_MC = found_MC.double() - found_MC.double().mean(dim=0)
    left, lengths, _ = torch.linalg.svd(centred_MC, full_matrices=False)
    return (left * (lengths / lengths[0].clamp(min=1e-30)))[:, :NUM_DIRECTIONS].half().cpu().numpy()


def _read(test: ImageSet | ImageFiles, indices: Sequence[int] | Tensor, data: Dataset, precision: Precision) -> Tensor:
    some = test.subset(torch.as_tensor(indices))
    # So few are decoded before a worker process has started.
    here = replace(data, workers=0)
    (batch, _), *_ = batches_in_order(
        some,
        here,
        batch_size=len(some),
        device=precision.device,
        channels_last=precision.channels_last,
    )
    return batch


def _pixels(images: Tensor, data: Dataset) -> np.ndarray:
    mean, std = (torch.tensor(one, device=images.device).view(1, -1, 1, 1) for one in (data.mean, data.std))
    pixels = images * std + mean
    scale = LONGEST_SIDE / max(pixels.shape[-2:])
    if scale < 1:
        pixels = F.interpolate(pixels, scale_factor=scale, mode="area")
    return pixels.round().clamp(0, 255).byte().cpu().numpy()


def _in_bytes(map_BHW: Tensor) -> np.ndarray:
    peak_B11 = map_BHW.amax(dim=(1, 2), keepdim=True).clamp(min=1e-30)
    return (255 * map_BHW / peak_B11).round().byte().cpu().numpy()
