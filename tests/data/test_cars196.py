import numpy as np
import pytest
from scipy.io import savemat

from understudy.data.named.cars196 import cars196

# As in cars_annos.mat: a struct array, and a cell array of names.
FIELDS = [(name, object) for name in ("relative_im_path", "bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2", "class", "test")]


@pytest.fixture
def folder(tmp_path, write_image):
    root = tmp_path / "cars196"
    rows = [(f"car_ims/{row:06d}.jpg", 1, 1, 5, 5, label, row % 2) for row, label in enumerate((1, 2, 3, 3, 1), 1)]
    for row, (name, *_) in enumerate(rows, 1):
        write_image(root / name, (row, 0, 0))
    names = np.array(["AM General Hummer SUV 2000", "Acura RL Sedan 2012", "Acura TL Sedan 2012"], dtype=object)
    annotations = np.empty((1, 5), dtype=FIELDS)
    for place, row in enumerate(rows):
        annotations[0, place] = row
    savemat(root / "cars_annos.mat", {"annotations": annotations, "class_names": names[None]})
    return tmp_path


def test_the_first_models_are_trained_on_whatever_the_official_division_by_image(folder):
    found = cars196(folder)
    assert found.train.class_names == ("AM General Hummer SUV 2000", "Acura RL Sedan 2012")
    assert found.test.class_names == ("Acura TL Sedan 2012",)
    assert found.train.labels.tolist() == [0, 1, 0] and found.test.labels.tolist() == [0, 0]
    assert found.train.read(2).getpixel((0, 0))[0] == 5


def test_what_is_not_there_is_named(folder):
    savemat(folder / "cars196" / "cars_annos.mat", {"annotations": 1})
    with pytest.raises(ValueError, match="cars_annos.mat has no class_names"):
        cars196(folder)
    for broken in (b"", b"version https://git-lfs.github.com/spec/v1\n" * 9):
        (folder / "cars196" / "cars_annos.mat").write_bytes(broken)
        with pytest.raises(ValueError, match=r"cars_annos.mat cannot be read \(.*; fetch it again"):
            cars196(folder)
    (folder / "cars196" / "cars_annos.mat").unlink()
    with pytest.raises(ValueError, match="has no cars_annos.mat; expected there car_ims, cars_annos.mat"):
        cars196(folder)
