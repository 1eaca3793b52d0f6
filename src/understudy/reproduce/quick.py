"""The same table in a minute: a few steps on a few images, to see that its runs work. Not a measurement."""

import functools
from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from understudy.data import BoxedImages, Dataset
from understudy.data.image_set import Images
from understudy.engine.plan import load_data
from understudy.experiments import Row, Table
from understudy.methods import find
from understudy.spec import Settings, StudentSettings
from understudy.spec.settings import DataSettings

# Four steps in a phase. Methods that compare images, and retrieval, want several of a class.
NUM_IMAGES, BATCH_SIZE, PER_CLASS = 64, 16, 4


def quick_table(table: Table) -> Table:
    """The table with short runs. Its rows have one key more, so that a quick cell is never taken for a real one."""
    rows = {name: _quick_row(row) for name, row in table.rows.items()}
    return replace(table, title=f"{table.title} (quick: a few steps on a few images)", rows=rows)


def _quick_row(row: Row) -> Row:
    return replace(row, keys={**row.keys, "quick": "yes"}, settings=quick_settings(row.settings))


def quick_settings(settings: Mapping[str, object]) -> dict[str, object]:
    """One epoch in each phase, in small batches."""
    phases = len(find(str(settings.get("method.name", "none"))).phases)
    short = {"epochs": phases, "batch_size": BATCH_SIZE, "run.compile": "off", "run.eval_every": phases}
    return {key: value for key, value in settings.items() if key != "data.epoch_images"} | short


def few_images(data: DataSettings) -> Dataset:
    """These data with a few images in every part."""
    return _read_few(data.model_dump_json())


# Kept for the next run: reading the whole set takes longer than the run.
@functools.lru_cache(maxsize=4)
def _read_few(data: str) -> Dataset:
    whole = load_data(Settings(student=StudentSettings(model=""), data=DataSettings.model_validate_json(data)))
    kept = _few(whole.train)
    place = {old: new for new, old in enumerate(kept.tolist())}
    return replace(
        whole,
        train=whole.train.subset(kept),
        test=whole.test.subset(_few(whole.test)),
        validation=None if whole.validation is None else whole.validation.subset(_few(whole.validation)),
        mislabelled={place[old]: right for old, right in whole.mislabelled.items() if old in place},
    )


def _few(images: Images) -> Tensor:
    """At most about NUM_IMAGES, of the first classes that have any, PER_CLASS or more of each; with boxes the first."""
    if isinstance(images, BoxedImages):
        return torch.arange(min(NUM_IMAGES, len(images)))
    labels = images.labels.cpu()
    present = labels.unique()
    per_class = max(PER_CLASS, NUM_IMAGES // len(present))
    chosen = [(labels == label).nonzero()[:per_class, 0] for label in present[: NUM_IMAGES // per_class]]
    return torch.cat(chosen).sort().values
