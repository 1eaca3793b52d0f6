"""What every test may ask for: one thread, a seeded generator, the folder with the data sets."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

# Before torch is imported anywhere: workers side by side must not each take every core.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import torch


@pytest.fixture
def generator() -> torch.Generator:
    """A generator on the CPU that starts at the same state in every test."""
    return torch.Generator().manual_seed(0)


@pytest.fixture
def data_folder() -> Callable[[str], Path]:
    """A function from a set's name, such as "cifar10", to the folder that holds its Parquet files.

    The folder is the one that UNDERSTUDY_DATA names. Where it has no file of that set, the test is skipped
    and says which set is missing.
    """

    def folder_with(name: str) -> Path:
        place = os.environ.get("UNDERSTUDY_DATA")
        if not place:
            pytest.skip(f"data set {name!r} is missing: UNDERSTUDY_DATA is not set")
        folder = Path(place)
        if not any(folder.glob(f"{name}-*.parquet")):
            pytest.skip(f"data set {name!r} is missing: no {name}-*.parquet in UNDERSTUDY_DATA={place}")
        return folder

    return folder_with


@pytest.fixture
def call(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., tuple[int, str, str]]:
    """Run `understudy WORDS` in an empty folder; (exit status, standard output, standard error)."""
    from understudy import cli

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["understudy", *map(str, words)])
        status = 0
        try:
            cli.main()
        except SystemExit as stop:
            status = int(stop.code or 0)
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow tests first: one that comes last would keep one process busy while the others have nothing to do."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skips a test marked gpu where there is no CUDA device."""
    if item.get_closest_marker("gpu") and not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
