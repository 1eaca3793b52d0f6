"""Selective distillation: regress only onto those of the teacher's features that are well embedded.

Ge, Zhao, Li & Li, "Low-resolution Face Recognition in the Wild via Selective Knowledge Distillation", IEEE
Transactions on Image Processing 2019, arXiv 1811.09998.

No code of the paper is public. Known is that a graph cut selects the images and that the student regresses the
selected features. The energy of that cut, its graph and its weights are OUR RECONSTRUCTION, not the paper's:

    E(alpha) = sum_i alpha_i (u_i - tau) + smoothness * sum over mutual neighbours i, j of w_ij |alpha_i - alpha_j|

Image i is kept where alpha_i = 1. Its cost u_i is low where its feature lies closer to its own class than to any
other; w_ij is high where two neighbours are close. Features are compared at unit length.

Differs from the paper: the student learns from labels and selected features at once, from random weights; there it is
trained on images of low resolution first, and tuned with the features afterwards.
"""

import numpy as np
import torch
import torch.nn.functional as F
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import breadth_first_order, maximum_flow
from torch import Tensor

from understudy.ops import at_least_float32

ROWS_AT_ONCE = 1024  # so that no N x N matrix of similarities stands in memory
LARGEST_CAPACITY = 2**29  # scipy's flow counts in 32 bits and adds up the two directions of an edge
HALVINGS = 50  # of the interval that holds tau, down to neighbouring numbers in float64


def select(
    features: Tensor, labels: Tensor, keep: float = 0.75, smoothness: float = 0.1, neighbours: int = 5
) -> Tensor:
    """True for the well embedded images: (N, d), (N,) -> (N,), at least round(keep * N) of them and at least one.

    A higher tau keeps the same images and more: of these sets, the smallest that is large enough. Without smoothing
    and equal costs it has exactly the size asked for; with smoothing, images that hang together enter together, and
    it may be much larger. Computed in float64 on the CPU; nothing is random. A feature's scale changes nothing.
    Raises ValueError for a `keep` outside (0, 1], fewer than 1 of `neighbours`, a `smoothness` that is negative or not
    finite, features that are not (N, d), empty or not finite, and labels that are not as many.
    """
    if not 0 < keep <= 1:
        raise ValueError(f"keep is {keep}; give the fraction of the images to keep, above 0 and at most 1")
    costs, graph = unary_costs(features, labels), neighbour_graph(features, neighbours)
    wanted = max(1, round(keep * len(costs)))
    low, high, kept = costs.min(), costs.max(), np.ones(len(costs), dtype=bool)
    for _ in range(HALVINGS):
        threshold = (low + high) / 2
        tried = cut(costs, graph, threshold, smoothness)
        if tried.sum() < wanted:
            low = threshold
        else:
            high, kept = threshold, tried
    return torch.from_numpy(kept).to(features.device)


def unary_costs(features: Tensor, labels: Tensor) -> np.ndarray:
    """Distance to the centre of the own class's other images, minus that to the nearest centre of another class.

    (N, d), (N,) -> (N,) in float64. Negative where an image is well embedded. An image alone in its class has no centre
    to be far from: its first distance counts as 0. Where all images share one class, the second does. Raises ValueError
    for features that are not (N, d), empty or not finite, and for labels that are not as many.
    """
    points = _unit_points(features)
    if len(labels) != len(points):
        raise ValueError(f"{len(points)} features came with {len(labels)} labels; give one label for each feature")
    _, own, counts = labels.detach().cpu().unique(return_inverse=True, return_counts=True)
    sums = torch.zeros(len(counts), points.shape[1], dtype=points.dtype).index_add_(0, own, points)
    others = (counts[own] - 1)[:, None]
    inside = (points - (sums[own] - points) / others.clamp(min=1)).norm(dim=1)
    inside = torch.where(others[:, 0] > 0, inside, 0.0)
    outside = torch.cat([
        torch.cdist(block, sums / counts[:, None], compute_mode="donot_use_mm_for_euclid_dist")
        .scatter(1, block_own[:, None], torch.inf)
        .amin(dim=1)
        for block, block_own in zip(points.split(ROWS_AT_ONCE), own.split(ROWS_AT_ONCE), strict=True)
    ])  # fmt: skip
    return (inside - torch.where(outside.isfinite(), outside, 0.0)).numpy()


def neighbour_graph(features: Tensor, neighbours: int = 5) -> csr_array:
    """w_ij = exp(-||f_i - f_j||^2 / (2 sigma^2)) where i and j are among each other's nearest.

    (N, d) -> (N, N), sparse and symmetric. sigma^2 is the mean squared distance of an image to its nearest
    `neighbours`, or to all others where there are fewer; where all of those coincide, the weights are 1. Raises
    ValueError for fewer than 1 of `neighbours`, and for features that are not (N, d), empty or not finite.
    """
    points = _unit_points(features)
    if neighbours < 1:
        raise ValueError(f"neighbours is {neighbours}; a graph needs 1 or more")
    count = min(neighbours, len(points) - 1)
    nearest, squared = [], []
    for index, block in enumerate(points.split(ROWS_AT_ONCE)):
        similarity = block @ points.T
        similarity.diagonal(index * ROWS_AT_ONCE).fill_(-torch.inf)
        nearest.append(similarity.topk(count, dim=1).indices)
        squared.append((block[:, None] - points[nearest[-1]]).square().sum(dim=2))
    distance = torch.cat(squared).flatten()
    variance = distance.mean()
    weights = torch.where(variance > 0, torch.exp(-distance / (2 * variance)), 1.0).numpy()
    rows = np.repeat(np.arange(len(points)), count)
    directed = csr_array(coo_array((weights, (rows, torch.cat(nearest).flatten().numpy())), shape=(len(points),) * 2))
    return csr_array(directed.minimum(directed.T))


def _unit_points(features: Tensor) -> Tensor:
    """The features at unit length, in float64 on the CPU; a feature of zeros stays one."""
    if features.ndim != 2 or len(features) == 0 or not features.isfinite().all():
        raise ValueError(f"features of shape {tuple(features.shape)}; give one vector an image, (N, d), all finite")
    return F.normalize(features.detach().cpu().double(), dim=1)


def cut(costs: np.ndarray, graph: csr_array, threshold: float, smoothness: float) -> np.ndarray:
    """The labelling of least energy, True where an image is kept; of several, the one that keeps fewest.

    (N,), (N, N) -> (N,). A minimal cut, by maximal flow. Terms of the energy are rounded up to whole multiples of the
    largest / 2^29, and to that resolution the minimum is exact. A higher threshold keeps the same images and more.
    Raises ValueError for a `smoothness` that is negative or not finite.
    """
    if not 0 <= smoothness < np.inf:
        raise ValueError(f"smoothness is {smoothness}; a cut needs 0 or more")
    gain, loss = np.maximum(threshold - costs, 0), np.maximum(costs - threshold, 0)
    total = gain.sum() + loss.sum()
    if total == 0:
        return np.zeros(len(costs), dtype=bool)
    pairs, images = graph.tocoo(), np.arange(len(costs))
    source, sink = len(costs), len(costs) + 1
    # No minimal cut goes through an edge of strength `total`; a stronger one would only cost the others resolution.
    strength = np.minimum(smoothness * pairs.data, total)
    capacity = np.concatenate([gain, loss, strength])
    capacity = np.ceil(capacity / capacity.max() * LARGEST_CAPACITY).astype(np.int32)
    # Older SciPys find a flow only where places are numbered in 32 bits.
    rows = np.concatenate([np.full_like(images, source), images, pairs.row]).astype(np.int32)
    columns = np.concatenate([images, np.full_like(images, sink), pairs.col]).astype(np.int32)
    network = csr_array(coo_array((capacity, (rows, columns)), shape=(len(costs) + 2,) * 2))
    residual = network - maximum_flow(network, source, sink).flow
    residual.eliminate_zeros()  # the search below follows every arc that is stored
    reached = np.zeros(len(costs) + 2, dtype=bool)
    reached[breadth_first_order(residual, source, return_predecessors=False)] = True
    return reached[: len(costs)]


def regression(student: Tensor, teacher: Tensor, keep: Tensor | None = None) -> Tensor:
    """Squared distance of two embeddings, summed over one image where it is kept and 0 where not.

    (B, d), (B, d), (B,) -> (), averaged over the batch: dropped images count in its size. `keep` is bool, or a
    weight for each image; None keeps all. Raises ValueError for embeddings of unequal shapes, and for a `keep` that is
    not (B,).
    """
    if student.shape != teacher.shape:
        raise ValueError(
            f"student {tuple(student.shape)} and teacher {tuple(teacher.shape)} differ in shape; project the student"
        )
    difference = at_least_float32(student) - at_least_float32(teacher.detach())
    squared = difference.square().flatten(1).sum(dim=1)
    if keep is None:
        return squared.mean()
    if keep.shape != squared.shape:
        raise ValueError(f"keep of shape {tuple(keep.shape)} for {len(squared)} images; give one value an image")
    return (keep.to(squared.dtype) * squared).mean()
