"""The images that the settings name."""

from understudy.data import Dataset, Loading, load
from understudy.spec import DataSettings, Settings


def load_data(settings: Settings) -> Dataset:
    """The data set, divided and reduced as the settings say. Raises ValueError where it is not there."""
    wanted = settings.data
    return load(
        wanted.name,
        folder=wanted.folder,
        percent=wanted.percent,
        mislabel=wanted.mislabel,
        per_class=wanted.per_class,
        validation=wanted.validation,
        seed=wanted.seed,
        download=wanted.download,
        classes=wanted.classes,
        loading=loading_of(wanted),
    )


def loading_of(wanted: DataSettings) -> Loading:
    """How images are read, with mean and std in units of bytes."""
    return Loading(
        how=wanted.loading,
        size=wanted.size,
        crop_pct=wanted.crop_pct,
        scale=wanted.scale,
        hflip=wanted.hflip,
        workers=wanted.workers,
        memory_gb=wanted.memory_gb,
        mean=wanted.mean and tuple(255 * value for value in wanted.mean),
        std=wanted.std and tuple(255 * value for value in wanted.std),
    )
