"""Recall@K: how often one of the K images nearest to a query shows its class.

Jegou, Douze & Schmid, "Product Quantization for Nearest Neighbor Search", TPAMI 2011; for classes as in Song et al.,
"Deep Metric Learning via Lifted Structured Feature Embedding", CVPR 2016.
"""

# Shapes: Q queries, N images to be found, d numbers in an embedding; B queries at a time.

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from understudy.ops import full_precision
from understudy.tasks.index import is_of_use, ranks_by_index

# Similarities are looked at so many at a time, whatever the size of the set.
MOST_SIMILARITIES = 2**24
# In units of the dtype's rounding: how far apart two equal similarities may come out.
ROUNDINGS = 32


def recall_pct(
    embeddings_Qd: Tensor,
    labels_Q: Tensor,
    ks: Sequence[int],
    gallery_Nd: Tensor | None = None,
    gallery_labels_N: Tensor | None = None,
) -> dict[int, float]:
    """K -> the share of queries, in per cent, that have an image of their class among their K nearest by cosine.

    Without a gallery the queries are searched among themselves, each without itself. An image of another class that is
    as near as the nearest of the query's own counts as nearer: a network that maps all images to one point finds
    nothing. Queries whose class has no other image cannot be answered, and are left out.

    Raises ValueError where none is left, for embeddings that are not (Q, d), or (N, d), with one label each, for such
    as are not finite, and for a gallery without labels or the other way round.
    """
    ranks = ranks_of_nearest(embeddings_Qd, labels_Q, gallery_Nd, gallery_labels_N, below=max(ks))
    ranks = ranks[ranks >= 0]
    if not len(ranks):
        raise ValueError(f"Recall@K: none of {len(labels_Q)} queries has another image of its class to be found")
    return {k: 100.0 * int((ranks < k).sum()) / len(ranks) for k in ks}


@torch.no_grad()
def ranks_of_nearest(
    embeddings_Qd: Tensor,
    labels_Q: Tensor,
    gallery_Nd: Tensor | None = None,
    gallery_labels_N: Tensor | None = None,
    below: int | None = None,
) -> Tensor:
    """How many images of other classes are as near to a query as the nearest of its own, or nearer: (Q,).

    This rank says all: one of the K nearest is of the query's class where it is below K. -1 where there is none at all.
    With `below` larger ranks need not be told apart, and large sets are searched through an index. Raises ValueError
    for embeddings that are not (Q, d), or (N, d), with one label each, for such as are not finite, and for a gallery
    without labels or the other way round.
    """
    _check(embeddings_Qd, labels_Q, gallery_Nd, gallery_labels_N)
    query_Qd = F.normalize(embeddings_Qd, dim=1)
    found_Nd, found_labels_N = query_Qd, labels_Q
    if gallery_Nd is not None and gallery_labels_N is not None:
        found_Nd, found_labels_N = F.normalize(gallery_Nd, dim=1), gallery_labels_N
    own_place_Q = torch.arange(len(query_Qd), device=query_Qd.device) if gallery_Nd is None else None
    margin = ROUNDINGS * torch.finfo(query_Qd.dtype).eps
    unsettled = torch.arange(len(query_Qd), device=query_Qd.device)
    ranks = torch.empty_like(unsettled)
    if below is not None and is_of_use(query_Qd, found_Nd):
        ranks, unsettled = ranks_by_index(
            query_Qd, labels_Q, found_Nd, found_labels_N, below=below, margin=margin, own_place_Q=own_place_Q
        )
    for rows in unsettled.split(max(1, MOST_SIMILARITIES // len(found_Nd))):
        with full_precision(query_Qd):
            similarity_BN = query_Qd[rows] @ found_Nd.T
        of_class_BN = labels_Q[rows, None] == found_labels_N
        nearest_B = _nearest(similarity_BN, of_class_BN, None if own_place_Q is None else own_place_Q[rows])
        nearer_BN = (similarity_BN >= nearest_B[:, None] - margin) & ~of_class_BN
        ranks[rows] = torch.where(nearest_B.isinf(), -1, nearer_BN.sum(dim=1))
    return ranks


def _nearest(similarity_BN: Tensor, of_class_BN: Tensor, own_place_B: Tensor | None) -> Tensor:
    """The largest similarity to an image of the query's class, (B,), -inf where there is none.

    `own_place_B` says where the queries themselves stand among those to be found.
    """
    of_class = similarity_BN.masked_fill(~of_class_BN, -torch.inf)
    if own_place_B is not None:
        of_class.scatter_(1, own_place_B[:, None], -torch.inf)
    return of_class.amax(dim=1)


def _check(embeddings: Tensor, labels: Tensor, gallery: Tensor | None, gallery_labels: Tensor | None) -> None:
    if (gallery is None) != (gallery_labels is None):
        raise ValueError("Recall@K: a gallery needs embeddings and labels; give both or neither")
    for what, vectors, own in (("query", embeddings, labels), ("gallery", gallery, gallery_labels)):
        if vectors is None or own is None:
            continue
        if vectors.ndim != 2 or own.shape != vectors.shape[:1]:
            raise ValueError(
                f"Recall@K: found {what} embeddings of {tuple(vectors.shape)} and labels of {tuple(own.shape)}, "
                f"expected (N, d) and (N,)"
            )
        broken = int((~vectors.isfinite()).any(dim=1).sum())
        if broken:
            raise ValueError(f"Recall@K: {broken} of {len(vectors)} {what} embeddings are not finite")
