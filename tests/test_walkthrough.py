"""docs/from_folder_to_onnx.md, carried out command by command as it stands, at an epoch for each phase."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps
from sklearn.datasets import load_digits

from understudy.data import Crops

PAGE = Path(__file__).parents[1] / "docs" / "from_folder_to_onnx.md"
NUM_TRAIN, NUM_VAL = 40, 10


def draw_photos(folder):
    """Three digits as photographs of 64 pixels, in a folder for each class."""
    scans, labels = load_digits(return_X_y=True)
    for label, name in enumerate(("apple", "bell", "cup")):
        of_class = np.uint8(scans[labels == label][: NUM_TRAIN + NUM_VAL] * (255 / 16)).reshape(-1, 8, 8)
        for index, scan in enumerate(of_class):
            place = folder / ("train" if index < NUM_TRAIN else "val") / name
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(scan).resize((64, 64)).convert("RGB").save(place / f"{index}.jpg")


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def prepared(photo, folder, **facts):
    """The pixels that the page's program makes of a photo."""
    (program,) = blocks("python")
    start, end = program.index("image = "), program.index("(logits,)")
    names = {"Image": Image, "ImageOps": ImageOps, "np": np, "side": 64, "facts": facts}
    photo.save(folder / "photo.jpg", quality=95)
    exec(program[start:end].replace('"photo.jpg"', repr(str(folder / "photo.jpg"))), names)
    return names["pixels"].astype(int)


@pytest.mark.parametrize("size", [(300, 200), (200, 301), (64, 64)])
def test_the_programs_images_are_those_that_a_run_is_measured_on(tmp_path, size):
    noise = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    photo = Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC)
    cropped = prepared(photo, tmp_path, crop_pct="0.875")
    read = Image.open(tmp_path / "photo.jpg")
    assert (cropped == Crops(size=64).middle(read).permute(1, 2, 0).numpy()).all()
    whole = np.asarray(ImageOps.fit(read, (64, 64), Image.Resampling.BILINEAR)).astype(int)
    assert np.abs(prepared(photo, tmp_path) - whole).max() <= 3


@pytest.mark.slow
def test_the_walk_from_a_folder_of_images_to_onnx_ends_with_a_class(call, tmp_path):
    draw_photos(tmp_path / "photos")
    Image.open(tmp_path / "photos/val/bell/41.jpg").save(tmp_path / "photo.jpg")
    printed = []
    for command in "".join(blocks("sh")).splitlines():
        short = command.replace("--epochs 30", "--epochs 2").replace("--epochs 6+24", "--epochs 1+1")
        words = shlex.split(short)
        assert words[0] == "understudy"
        status, out, err = call(*words[1:])
        # The doctor may find a teacher of two epochs ill.
        assert status in ((0, 1) if words[1] == "doctor" else (0,)), f"{short}\n{out}{err}"
        printed.append(out)
    assert (tmp_path / "confusion.svg").exists() and (tmp_path / "report.html").exists()
    assert any("held in memory" in text for text in printed)
    (program,) = blocks("python")
    ended = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True)
    assert ended.stdout.strip() in ("apple", "bell", "cup"), ended.stderr
