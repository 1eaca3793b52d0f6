from rich.console import Console

from understudy.data.named.torchvision_table import TORCHVISION
from understudy.data.names import IN_MEMORY, OFFICIAL
from understudy.engine.listings import data_names, settings


def shown() -> list[str]:
    console = Console(width=120)
    with console.capture() as capture:
        console.print(data_names())
    return capture.get().splitlines()


def line_of(name: str, lines: list[str]) -> str:
    return next(line for line in lines if line.split(" ")[0] == name)


def test_every_data_set_is_listed_with_its_place_and_whether_it_lies_there(tmp_path, monkeypatch):
    monkeypatch.setenv("UNDERSTUDY_DATA", str(tmp_path))
    (tmp_path / "flowers-102").mkdir()
    (tmp_path / "mit67").mkdir()
    (tmp_path / "own-train.parquet").write_bytes(b"damaged")
    lines = shown()
    assert max(map(len, lines)) <= 120
    assert str(tmp_path) in lines[0]
    for name, each in {**TORCHVISION, **OFFICIAL}.items():
        assert each.place in line_of(name, lines)
        assert line_of(name, lines).rstrip().endswith(" yes") == (name in ("flowers102", "mit67"))
    for name in (*IN_MEMORY, "folder:PATH", "parquet:PATTERN"):
        assert line_of(name, lines)
    assert "cannot be loaded: own-train.parquet is not a whole" in line_of("own", lines)


def test_a_data_folder_that_is_not_there_is_said_to_be_so(tmp_path, monkeypatch):
    monkeypatch.setenv("UNDERSTUDY_DATA", str(tmp_path / "nowhere"))
    assert "which is not there" in " ".join(shown()[:2])


def test_every_setting_is_explained_with_its_default():
    table = settings()
    keys, defaults, meanings = ([str(cell) for cell in column.cells] for column in table.columns)
    assert [key for key, meaning in zip(keys, meanings, strict=True) if not meaning] == []
    shown = dict(zip(keys, defaults, strict=True))
    assert shown["optim.lr"] == "0.1" and shown["epochs"] == "[20]" and shown["teacher.model"] == ""
    assert "data.classes=\\[cat,dog]" in dict(zip(keys, meanings, strict=True))["data.classes"]
