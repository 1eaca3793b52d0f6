"""The nearest of many embeddings through the index of a library, faiss: the same ranks as by brute force."""

# Shapes: Q queries, N images to be found, d numbers in an embedding; M of the nearest are looked at.

import importlib.util

import torch
from torch import Tensor

# From so many similarities on the index is used, where it is installed: it keeps the nearest of each query, not all.
FROM = 2**28


def is_of_use(query_Qd: Tensor, found_Nd: Tensor) -> bool:
    """Whether the index takes these: it is for single precision on the processor."""
    is_large = len(query_Qd) * len(found_Nd) >= FROM
    takes = query_Qd.dtype == torch.float32 and query_Qd.device.type == "cpu"
    return is_large and takes and importlib.util.find_spec("faiss") is not None


def ranks_by_index(
    query_Qd: Tensor,
    labels_Q: Tensor,
    found_Nd: Tensor,
    found_labels_N: Tensor,
    *,
    below: int,
    margin: float,
    own_place_Q: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """How many images of other classes are as near as the nearest of the own, for ranks below `below`, (Q,).

    A rank of `below` or more stands for any that large. -1 where no image of the class is to be found. The second
    answer has the queries, (n,), whose rank is not settled: so many others are as near as the own to within `margin`
    that they may go on behind the M nearest. `own_place_Q` says where a query itself stands among those to be found.
    """
    import faiss

    # One more is the query itself, and one more still shows whether others are as near as the last that counts.
    number = min(len(found_Nd), below + 2)
    index = faiss.IndexFlatIP(found_Nd.shape[1])
    index.add(found_Nd.contiguous().numpy())
    answer = index.search(query_Qd.contiguous().numpy(), number)
    similarity_QM, place_QM = map(torch.from_numpy, answer)
    is_own_QM = found_labels_N[place_QM] == labels_Q[:, None]
    is_other_QM = ~is_own_QM
    if own_place_Q is not None:
        is_own_QM &= place_QM != own_place_Q[:, None]
    nearest_Q = similarity_QM.masked_fill(~is_own_QM, -torch.inf).amax(dim=1)
    as_near_QM = similarity_QM >= nearest_Q[:, None] - margin
    ranks_Q = (as_near_QM & is_other_QM).sum(dim=1)
    is_unsettled_Q = as_near_QM[:, -1] & (ranks_Q < below) & (number < len(found_Nd))
    images_of_class = torch.bincount(found_labels_N, minlength=int(labels_Q.max()) + 1)
    is_alone_Q = images_of_class[labels_Q] == (0 if own_place_Q is None else 1)
    ranks_Q[is_alone_Q] = -1
    return ranks_Q, (is_unsettled_Q & ~is_alone_Q).nonzero()[:, 0]
