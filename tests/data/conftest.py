import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from understudy.data import ImageSet


@pytest.fixture
def encode() -> Callable[[np.ndarray], bytes]:
    """A function from (height, width, 3) or (height, width) in uint8 to the bytes of a lossless file."""

    def png(pixels: np.ndarray) -> bytes:
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, format="PNG")
        return file.getvalue()

    return png


@pytest.fixture
def pixels() -> np.ndarray:
    """Ten different images, (10, 32, 32, 3)."""
    return np.random.default_rng(0).integers(0, 256, (10, 32, 32, 3), dtype=np.uint8)


@pytest.fixture
def write_parquet() -> Callable[..., None]:
    """A function that writes a file in Hugging Face's layout, in row groups of three; None is a null."""

    def write(
        path: Path,
        images: list[bytes | None],
        labels: list[int | None],
        *,
        columns: tuple[str, str] = ("image", "label"),
        metadata: dict[str, object] | None = None,
    ) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        structs = [{"bytes": contents, "path": f"{row}.png"} for row, contents in enumerate(images)]
        image_type = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        arrays = [pa.array(structs, type=image_type), pa.array(labels, type=pa.int64())]
        schema = pa.schema(
            [(columns[0], image_type), (columns[1], pa.int64())],
            metadata={key: json.dumps(value) for key, value in (metadata or {}).items()},
        )
        pq.write_table(pa.Table.from_arrays(arrays, schema=schema), path, row_group_size=3)

    return write


@pytest.fixture
def cifar_files(pixels: np.ndarray, encode: Callable[[np.ndarray], bytes]) -> list[bytes]:
    return [encode(image) for image in pixels]


@pytest.fixture
def cifar_folder(tmp_path: Path, cifar_files: list[bytes], write_parquet: Callable[..., None]) -> Path:
    """A folder with a ten-image cifar10: train in two shards (labels 0..5 and 6..9), test in one file."""
    files = cifar_files
    write_parquet(tmp_path / "cifar10-train-00000-of-00002.parquet", files[:6], list(range(6)))
    write_parquet(tmp_path / "cifar10-train-00001-of-00002.parquet", files[6:], list(range(6, 10)))
    write_parquet(tmp_path / "cifar10-test.parquet", files[::-1], list(range(9, -1, -1)))
    return tmp_path


@pytest.fixture
def image_set() -> ImageSet:
    """60 random colour images of 9x7 in three classes of 10, 20 and 30, shuffled."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.tensor([0] * 10 + [1] * 20 + [2] * 30)[torch.randperm(60, generator=generator)]
    images = torch.randint(0, 256, (60, 3, 9, 7), dtype=torch.uint8, generator=generator)
    return ImageSet(images=images, labels=labels, class_names=("ant", "bee", "cat"))


@pytest.fixture
def write_image() -> Callable[..., None]:
    """A function that writes an image of one colour, 8x6 (width x height) unless told otherwise."""

    def write(path: Path, colour: tuple[int, int, int] = (0, 0, 0), size: tuple[int, int] = (8, 6)) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size, colour).save(path, format="PNG")

    return write
