"""In memory or by worker processes: which of the two, and why."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from understudy.data import Augment, Crops, ImageFiles, ImageSet, Loading, choose, load, sources
from understudy.data.choose import default_workers, read_files
from understudy.data.in_memory import decode_files
from understudy.data.parts import Parts


@dataclass(frozen=True)
class Pictures:
    """One colour each, brighter by the row; the sizes (height, width) take turns."""

    sizes: tuple[tuple[int, int], ...]
    broken: tuple[int, ...] = ()

    def read(self, row: int) -> Image.Image:
        if row in self.broken:
            raise ValueError(f"{self.name(row)} is broken")
        height, width = self.sizes[row % len(self.sizes)]
        return Image.new("RGB", (width, height), (row, 2 * row, 255 - row))

    def name(self, row: int) -> str:
        return f"picture {row}"


def pictures(*sizes, first=0, count=30, broken=()) -> ImageFiles:
    return ImageFiles(
        source=Pictures(sizes or ((16, 16),), broken),
        rows=torch.arange(first, first + count),
        labels=torch.arange(count) % 3,
        class_names=("ant", "bee", "cat"),
    )


def read(*sizes, **settings):
    train, test = pictures(*sizes), pictures(*sizes, first=30, count=9)
    return read_files(Parts(name="pictures", train=train, test=test, note="found somewhere"), Loading(**settings))


@pytest.mark.parametrize(
    ("sizes", "settings", "said"),
    [
        ([(16, 12)], {}, "39 of 16x12 held in memory, 2.25e-05 GB"),
        ([(128, 128)], {}, "39 of 128x128 held in memory, 0.00192 GB"),
        ([(16, 12), (12, 16)], {"size": 16}, "39 of 16x16 held in memory, 3e-05 GB"),
        ([(300, 200), (12, 16)], {"size": 16, "how": "memory"}, "39 of 16x16 held in memory, 3e-05 GB"),
    ],
)
def test_small_images_of_one_size_are_held_in_memory(sizes, settings, said):
    data = read(*sizes, **settings)
    assert isinstance(data.train, ImageSet) and data.in_memory and data.workers == 0
    assert data.loading == said and data.note == "found somewhere"
    assert data.augment == Augment(pad=min(data.image_shape[1:]) // 8, flip=True)


@pytest.mark.parametrize(
    ("sizes", "settings", "why"),
    [
        ([(128, 129)], {}, "a side has 129 pixels, more than 128"),
        ([(16, 12)], {"size": 224}, "a side has 224 pixels, more than 128"),
        ([(16, 12), (12, 12)], {}, "they have sizes from 12x12 to 16x12 and data.size is not given"),
        ([(16, 12)], {"memory_gb": 2e-5}, "they would take 2.25e-05 GB, more than data.memory_gb=2e-05"),
        ([(16, 12)], {"how": "workers"}, "data.loading=workers"),
    ],
)
def test_others_are_decoded_by_workers(sizes, settings, why):
    data = read(*sizes, **settings, workers=3)
    assert isinstance(data.train, ImageFiles) and not data.in_memory
    assert data.loading == f"decoded by 3 worker processes and cropped to 224x224 ({why})"
    assert data.augment == Crops(size=224) and data.workers == 3 and data.image_shape == (3, 224, 224)


def test_settings_reach_crops_and_constants():
    data = read(how="workers", size=48, crop_pct=0.9, scale=(0.3, 0.7), hflip=False, mean=(1.0,) * 3, std=(2.0,) * 3)
    assert data.augment == Crops(size=48, crop_pct=0.9, scale=(0.3, 0.7), flip=False)
    assert data.mean == (1.0,) * 3 and data.std == (2.0,) * 3 and data.workers == default_workers()
    usual = read(how="workers")
    # ImageNet's, of 255.
    torch.testing.assert_close(torch.tensor(usual.mean) / 255, torch.tensor([0.485, 0.456, 0.406]))
    torch.testing.assert_close(torch.tensor(usual.std) / 255, torch.tensor([0.229, 0.224, 0.225]))
    assert read(hflip=False).augment.flip is False


def test_images_of_many_sizes_cannot_be_held_without_a_size():
    with pytest.raises(ValueError, match=r"of pictures go from 12x12 to 16x12; add data\.size=SIDE"):
        read((16, 12), (12, 12), how="memory")


def test_an_image_of_another_size_is_covered_and_its_middle_taken():
    pixels = np.zeros((20, 40, 3), dtype=np.uint8)
    pixels[:, 10:30] = 200

    class One:
        read = staticmethod(lambda row: Image.fromarray(pixels))
        name = staticmethod(str)

    files = ImageFiles(source=One(), rows=torch.zeros(1).long(), labels=torch.zeros(1).long(), class_names=("one",))
    found = decode_files(files, (10, 10))
    assert found.images.shape == (1, 3, 10, 10)
    assert found.images[0, :, :, 1:-1].eq(200).all()
    assert torch.equal(decode_files(files, (20, 40)).images[0].permute(1, 2, 0), torch.from_numpy(pixels))


def test_images_that_cannot_be_decoded_are_listed_once():
    with pytest.raises(ValueError, match="2 of 30 images cannot be used: picture 4 is broken; picture 9 is broken"):
        decode_files(pictures(broken=(9, 4)), (16, 16))


def test_broken_images_of_all_parts_are_listed_at_once():
    found = Parts(name="drawn", train=pictures(broken=(4,)), test=pictures(broken=(9,)), note="")
    with pytest.raises(ValueError, match="1 of 30 .*picture 4 is broken; 1 of 30 .*picture 9 is broken"):
        read_files(found, Loading(how="memory", size=16))


def test_a_set_that_is_larger_than_the_memory_is_refused_before_it_is_read(monkeypatch):
    found = Parts(name="drawn", train=pictures(), test=pictures(), note="")
    monkeypatch.setattr(choose.os, "sysconf", lambda name: {"SC_PHYS_PAGES": 9, "SC_PAGE_SIZE": 4096}[name])
    with pytest.raises(ValueError, match=r"drawn: 60 images of 16x16 would take 4.61e-05 GB.*data.loading=workers"):
        read_files(found, Loading(how="memory", size=16))


def test_a_set_in_memory_is_scaled_and_its_shifts_with_it():
    digits, larger = load("digits"), load("digits", loading=Loading(size=32, hflip=True))
    assert digits.loading == "1,797 of 8x8 held in memory, 0.000345 GB" and digits.augment == Augment(pad=1, flip=False)
    assert larger.image_shape == (1, 32, 32) and larger.augment == Augment(pad=4, flip=True)
    small = torch.nn.functional.avg_pool2d(larger.train.images.float(), 4)
    assert (small - digits.train.images.float()).abs().mean() < 25
    assert larger.mean == digits.mean
    assert load("digits", loading=Loading(mean=(7.0,))).mean == (7.0,)
    with pytest.raises(ValueError, match=r"data.size=500.*1,797 images of 500x500.*more than data.memory_gb=0.1"):
        load("digits", loading=Loading(size=500, memory_gb=0.1))
    with pytest.raises(ValueError, match="data.loading=workers is for images in files; those of digits"):
        load("digits", loading=Loading(how="workers"))


def test_constants_of_another_number_of_channels_are_refused():
    with pytest.raises(ValueError, match="each of the 1 channels, found 3 and 1"):
        load("digits", loading=Loading(mean=(1.0, 2.0, 3.0)))


# Parts of a set of files ------------------------------------------------------------------------------------------


@pytest.fixture
def named(monkeypatch):
    """A set `pictures` of 30 images to train on, 9 to measure on and 6 to choose by."""
    asked = []

    def parts(name, **options):
        asked.append((name, options))
        held_out = pictures(first=50, count=6)
        return Parts(name=name, train=pictures(), test=pictures(first=30, count=9), validation=held_out, note="here")

    monkeypatch.setattr(sources, "parts", parts)
    return asked


def test_a_name_is_asked_for_with_folder_and_download_and_divided_alike_whatever_the_seed(named, tmp_path):
    data = load("folder:photos", folder=tmp_path, seed=4, download=True)
    assert named == [("folder:photos", {"folder": Path(tmp_path), "seed": 0, "download": True})]
    assert len(data.train) == 30 and len(data.test) == 9 and len(data.validation) == 6 and data.note == "here"


def test_digits_and_signs_are_not_flipped_unless_asked_for(named):
    flips = [load(name).augment.flip for name in ("svhn", "pets")]
    assert flips == [False, True] and load("svhn", loading=Loading(hflip=True)).augment.flip


@pytest.mark.parametrize("how", ["memory", "workers"])
def test_subsets_and_classes_are_the_same_images_in_either_way(named, how):
    def labels(**wanted):
        found = load("pictures", loading=Loading(how=how, size=16), **wanted)
        return [torch.bincount(part.labels).tolist() for part in (found.train, found.test, found.validation)]

    assert labels(per_class=4) == [[4, 4, 4], [3, 3, 3], [2, 2, 2]]
    assert labels(percent=20) == [[2, 2, 2], [3, 3, 3], [2, 2, 2]]
    assert labels(validation=0.3) == [[7, 7, 7], [3, 3, 3], [3, 3, 3]]
    chosen = load("pictures", loading=Loading(how=how, size=16), classes=["cat", "ant"])
    assert chosen.train.class_names == chosen.validation.class_names == ("cat", "ant") and len(chosen.test) == 6
    if how == "memory":
        # Row 2 is the first cat, row 0 the first ant.
        assert chosen.train.images[0, 0, 0, 0] == 0 and chosen.train.labels[:2].tolist() == [1, 0]
    with pytest.raises(ValueError, match="unknown classes: 'kat'"):
        load("pictures", loading=Loading(how=how, size=16), classes=["kat"])


def test_the_subset_in_memory_is_the_subset_by_workers(named):
    held, decoded = (
        load("pictures", percent=40, validation=0.2, seed=5, loading=Loading(how=how, size=16))
        for how in ("memory", "workers")
    )
    assert torch.equal(held.train.labels, decoded.train.labels)
    shown = torch.stack([Crops(size=16, crop_pct=1.0).middle(decoded.train.read(i)) for i in range(len(decoded.train))])
    assert torch.equal(held.train.images, shown)


def test_files_and_the_way_they_are_cropped_are_in_the_fingerprint(named):
    def fingerprint(**settings):
        return load("pictures", loading=Loading(how="workers", **settings)).fingerprint()

    first = fingerprint()
    assert first == fingerprint(workers=5)
    others = [fingerprint(size=32), fingerprint(crop_pct=1.0), fingerprint(mean=(1.0,) * 3)]
    assert len({first, *others}) == 4


def test_parts_are_all_read_in_one_way(named):
    held, decoded = (load("pictures", loading=Loading(how=how, size=16)) for how in ("memory", "workers"))
    from dataclasses import replace

    with pytest.raises(ValueError, match=r"train is of ImageFiles, which go with augment=Crops\(...\)"):
        replace(decoded, augment=held.augment)
    with pytest.raises(ValueError, match=r"test is of ImageFiles, which go with augment=Crops"):
        replace(held, test=decoded.test)


def test_no_more_workers_than_sixteen(monkeypatch):
    for cores, expected in ((1, 0), (2, 1), (8, 7), (128, 16)):
        monkeypatch.setattr("os.sched_getaffinity", lambda pid, cores=cores: set(range(cores)))
        assert choose.default_workers() == expected
