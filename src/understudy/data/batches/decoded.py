"""Batches of images that are decoded when they are asked for: which images, in which view, whatever is made of them."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from understudy.data.batches.decoding import Decoding, Key
from understudy.data.batches.epochs import Epochs
from understudy.data.crops import Crops
from understudy.data.fit import Fit

# What was decoded and for which indices -> images on the device (B, C, H, W) and what is known of them.
Finish = Callable[[Any, Tensor], tuple[Tensor, Any]]


class DecodedBatches:
    """Training batches. What is shown of an image is a pure function of seed, view and image, down to the bit.

    The number of workers, how far they are ahead and where an epoch is entered change nothing. `augment=None` shows
    images as they are measured.
    """

    def __init__(self, epochs: Epochs, decoding: Decoding, finish: Finish, augment: Crops | Fit | None) -> None:
        self.seed = epochs.seed
        self.batch_size = epochs.batch_size
        self.augment = augment
        self._epochs = epochs
        self._decoding = decoding
        self._finish = finish

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches in an epoch's images, as of images in memory."""
        return self._epochs.steps

    def epoch(self, number: int, first_step: int = 0) -> Iterator[tuple[Tensor, Any]]:
        """Batches `first_step`, `first_step + 1`, ... of an epoch: images (B, C, H, W) and labels (B,), or targets.

        One epoch or view at a time: beginning another ends this one.
        """
        self._epochs.check_step(first_step)
        return self._batches([self._key(number, step) for step in range(first_step, self.steps_per_epoch)])

    def batch(self, number: int, step: int) -> tuple[Tensor, Any]:
        """A step of an epoch by itself; an epoch that is being read goes on undisturbed."""
        key = self._key(number, step)
        return self._finish(self._decoding.one(key), self._indices(key))

    def chosen(self, number: int, step: int) -> Tensor:
        """Which images of the set make up a step of an epoch: their indices (B,), on the processor."""
        return self._epochs.chosen(number, step)

    def view(self, number: int) -> int | None:
        """Which view of every image an epoch shows; None where they are drawn anew each time."""
        return self._epochs.view(number)

    def in_view(self, view: int) -> Iterator[Tensor]:
        """A view of all images in the set's order, in whole batches (B, C, H, W).

        The last batch is filled up with the first images. Raises ValueError for a view that no epoch shows.
        """
        order = self._epochs.whole_set(view)
        return self._images([(indices, self._drawn_for(view, 0)) for indices in order.split(self.batch_size)])

    def close(self) -> None:
        """End the processes."""
        self._decoding.close()

    def _key(self, number: int, step: int) -> Key:
        view = self.view(number)
        shown = self._epochs.shown(number, step) if view is None else self.chosen(number, step)
        return shown, self._drawn_for(view, number)

    def _drawn_for(self, view: int | None, number: int) -> str | None:
        """From which words follows what is drawn for the images."""
        if self.augment is None:
            return None
        what = f"epoch {number}" if view is None else f"view {view}"
        return f"{what} of seed {self.seed}"

    def _indices(self, key: Key) -> Tensor:
        return key[0] % self._epochs.num_images

    def _images(self, keys: list[Key]) -> Iterator[Tensor]:
        """Who wants the first batch alone, to compare, does not set the processes to decode others ahead."""
        first, *others = keys
        yield self._finish(self._decoding.one(first), self._indices(first))[0]
        yield from (images for images, _ in self._batches(others))

    def _batches(self, keys: list[Key]) -> Iterator[tuple[Tensor, Any]]:
        for key, found in zip(keys, self._decoding.read(keys), strict=True):
            yield self._finish(found, self._indices(key))


def decoded_in_order(
    num_images: int, decoder: Any, finish: Finish, *, batch_size: int, workers: int, pin: bool
) -> Iterator[tuple[Tensor, Any]]:
    """Every image once, in order and with nothing drawn for it. The last batch may be smaller."""
    keys: list[Key] = [(indices, None) for indices in torch.arange(num_images).split(batch_size)]
    # No more processes than batches.
    decoding = Decoding(decoder, workers=min(workers, len(keys)), pin=pin)

    def batches() -> Iterator[tuple[Tensor, Any]]:
        try:
            for (indices, _), found in zip(keys, decoding.read(keys), strict=True):
                yield finish(found, indices)
        finally:
            decoding.close()

    return batches()
