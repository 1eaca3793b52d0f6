"""Which augmented version of each image an epoch shows."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Views:
    """View v of an image depends on the seed, v and the image alone: whoever asks for it again finds the same pixels.

    With `count` = V, the epochs 1, 2, 3, ... show the views 0, 1, ..., V - 1, 0, ... in turn; with 0, each its own: the
    views 0, 1, 2, ... without an end. With None there are no views: an epoch shows an image several times, and each
    time it is drawn anew.
    """

    count: int | None

    @classmethod
    def of(cls, wanted: int, *, is_augmented: bool, comes_again: bool) -> "Views":
        """Those of `wanted` views, 0 for none that come again; an image that is not augmented has one.

        `comes_again` says whether an epoch shows an image several times. Raises ValueError for fewer than 0.
        """
        if wanted < 0:
            raise ValueError(f"views must be 0 (every epoch its own) or more, found {wanted}")
        if not is_augmented:
            return cls(1)
        return cls(None if comes_again and not wanted else wanted)

    def of_epoch(self, number: int) -> int | None:
        """The view that epoch 1, 2, ... shows; None where it has none."""
        if self.count is None:
            return None
        return (number - 1) % self.count if self.count else number - 1

    def check(self, view: int) -> None:
        """ValueError for a view that no epoch shows."""
        if self.count is None:
            raise ValueError(f"there is no view {view}: an epoch draws an image anew each time that it shows it")
        if view < 0 or (self.count and view >= self.count):
            raise ValueError(f"there is no view {view}: the images have {self.count or 'one for each epoch'}")
