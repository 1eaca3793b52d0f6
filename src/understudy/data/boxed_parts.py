"""A set of images with boxes, divided into images to train on and to test on, and what is taken of it."""

from dataclasses import dataclass, replace

import torch

from understudy.data.boxed_images import BoxedImages
from understudy.data.seeds import seed_of


@dataclass(frozen=True, kw_only=True, eq=False)
class BoxedParts:
    """The parts of a set; `note` says where they were found."""

    name: str
    train: BoxedImages
    test: BoxedImages
    validation: BoxedImages | None = None
    note: str

    def chosen(self, *, percent: float | None, validation: float, seed: int) -> "BoxedParts":
        """With `validation` of the train images held out, and of the rest `percent`, drawn without regard to classes.

        An image shows objects of several classes: there is no share of each.
        """
        order = torch.randperm(
            len(self.train), generator=torch.Generator().manual_seed(seed_of("boxed images of seed", seed))
        )
        num_held = round(validation * len(order))
        if validation and not 0 < num_held < len(order):
            raise ValueError(
                f"validation={validation:g} of {len(order)} images leaves {num_held} to measure on and "
                f"{len(order) - num_held} to train on; give a share that leaves some of each"
            )
        rest = order[num_held:]
        if percent is not None:
            if not 0 < percent <= 100:
                raise ValueError(f"percent={percent:g}: expected above 0 and at most 100")
            rest = rest[: max(1, round(percent / 100.0 * len(rest)))]
        if num_held == 0 and percent is None:
            return self
        held = self.train.subset(order[:num_held].sort().values) if num_held else self.validation
        return replace(self, train=self.train.subset(rest.sort().values), validation=held)
