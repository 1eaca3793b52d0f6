"""Batches of several images of each of a few classes, as losses of pairs want them.

The idea of pytorch-metric-learning's MPerClassSampler, drawn from a given generator: an epoch stays a pure function of
its seed and number.
"""

import torch
from torch import Tensor


class ByClass:
    """Batches of `per_class` images of each of batch_size / per_class of the classes in `labels` (N,).

    Where there are fewer classes, they come again in the batch, with other images as far as they have others. Raises
    ValueError where such batches cannot be made.
    """

    def __init__(self, labels: Tensor, *, batch_size: int, per_class: int) -> None:
        self._labels = labels.cpu()
        self._classes = self._labels.unique()
        self._batch_size = batch_size
        self._per_class = per_class
        if batch_size % per_class or batch_size < 2 * per_class:
            raise ValueError(
                f"a batch of {batch_size} cannot hold {per_class} images of each of its classes: give a batch_size "
                f"that is a multiple of {per_class}, {2 * per_class} or more"
            )

    def order(self, num_images: int, generator: torch.Generator) -> Tensor:
        """What an epoch of so many images shows, in whole batches; image i of N is i the first time, i + N the second.

        Classes come in turn, in an order that is drawn anew when all have come; so do the images of a class, which
        repeats within a batch only where it has fewer than `per_class`.
        """
        images = {int(each): _Turns((self._labels == each).nonzero()[:, 0], generator) for each in self._classes}
        turns = _Turns(self._classes, generator)
        chosen: list[Tensor] = []
        for _ in range(num_images // self._batch_size):
            classes = turns.next(self._batch_size // self._per_class).tolist()
            chosen += [images[each].next(self._per_class) for each in classes]
        return _times(torch.cat(chosen), len(self._labels))


def by_class(labels: Tensor, batch_size: int, per_class: int) -> ByClass | None:
    """How batches are made up; None where nothing is asked for."""
    return ByClass(labels, batch_size=batch_size, per_class=per_class) if per_class else None


def _times(order: Tensor, num_images: int) -> Tensor:
    """The same images, each one's second time told from its first: i, i + N, i + 2 N, ..."""
    place = order.argsort(stable=True)
    ordered = order[place]
    first = torch.searchsorted(ordered, ordered)
    times = torch.empty_like(order)
    times[place] = torch.arange(len(order)) - first
    return order + times * num_images


class _Turns:
    """Some numbers, one after the other, shuffled anew whenever all have come."""

    def __init__(self, numbers: Tensor, generator: torch.Generator):
        self._numbers = numbers
        self._generator = generator
        self._waiting = numbers[:0]

    def next(self, count: int) -> Tensor:
        """The next `count`, different from each other where there are so many."""
        if len(self._waiting) >= count:
            taken, self._waiting = self._waiting[:count], self._waiting[count:]
            return taken
        taken, missing = self._waiting, count - len(self._waiting)
        fresh = self._shuffled()
        # Those just taken wait until the others have come.
        is_taken = torch.isin(fresh, taken)
        fresh = torch.cat([fresh[~is_taken], fresh[is_taken]])
        while len(fresh) < missing:
            fresh = torch.cat([fresh, self._shuffled()])
        self._waiting = fresh[missing:]
        return torch.cat([taken, fresh[:missing]])

    def _shuffled(self) -> Tensor:
        return self._numbers[torch.randperm(len(self._numbers), generator=self._generator)]
