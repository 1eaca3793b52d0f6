import pytest

from understudy.data.named.torchvision_table import TORCHVISION
from understudy.data.names import BY_ADDRESS, IN_MEMORY, OFFICIAL, data_folder, found_in, is_there
from understudy.data.parts import parts


def read(name, folder, **options):
    return parts(name, **{"folder": folder, "seed": 0, "download": False} | options)


@pytest.fixture
def sets_folder(tmp_path, cifar_files, write_parquet):
    """A data folder with the sets `mine` and `stl10` as Parquet files."""
    for name in ("mine", "stl10"):
        write_parquet(tmp_path / f"{name}-train.parquet", cifar_files[:4], [0, 1, 0, 1])
        write_parquet(tmp_path / f"{name}-test.parquet", cifar_files[:2], [0, 1])
    return tmp_path


def test_parquet_files_of_a_name_come_before_torchvisions(sets_folder):
    assert len(read("mine", sets_folder).train) == len(read("stl10", sets_folder).train) == 4


def test_folders_and_patterns_are_read_as_they_are_given(sets_folder, write_image, monkeypatch):
    for name in ("a/1", "a/2", "b/1", "b/2"):
        write_image(sets_folder / "home" / "pets" / f"{name}.png")
    monkeypatch.setenv("HOME", str(sets_folder / "home"))
    assert len(read("folder:~/pets", sets_folder).train) == 2
    assert len(read(f"parquet:{sets_folder}/mine-*.parquet", sets_folder).test) == 2
    monkeypatch.chdir(sets_folder)
    assert len(read("parquet:mine-*.parquet", sets_folder).test) == 2


@pytest.mark.parametrize("name", OFFICIAL)
def test_official_layouts_are_looked_for_in_the_data_folder(name, tmp_path):
    with pytest.raises(ValueError, match=f"{name}: there is no {tmp_path / OFFICIAL[name].place.strip('/')}"):
        read(name, tmp_path)


def test_torchvisions_sets_are_looked_for_in_the_data_folder(tmp_path):
    with pytest.raises(ValueError, match=f"dtd was not found whole in {tmp_path}"):
        read("dtd", tmp_path)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("mnie", "; did you mean mine"),
        ("flower102", "; did you mean flowers102"),
        ("floder:a/b", "; did you mean folder:a/b?"),
        ("parqet:x-*", "; did you mean parquet:x-*"),
        ("zzzzzzzz", "; Parquet files in {folder} are of mine"),
    ],
)
def test_an_unknown_name_gets_the_known_those_found_and_the_nearest(name, hint, sets_folder):
    with pytest.raises(ValueError) as caught:
        read(name, sets_folder)
    message = str(caught.value)
    assert message.startswith(f"unknown data set {name!r}; known are digits, cifar10, ")
    assert hint.format(folder=sets_folder) in message
    assert all(known in message for known in (*OFFICIAL, *TORCHVISION, *BY_ADDRESS))


def test_a_prefix_alone_and_a_set_held_in_memory_are_explained(tmp_path):
    with pytest.raises(ValueError, match="^folder: names nothing; expected folder:PATH$"):
        read("folder:", tmp_path)
    with pytest.raises(ValueError, match=r"digits is held in memory whole.*load_data\('digits'\)"):
        read("digits", tmp_path)


def test_sets_in_parquet_files_are_found_wherever_they_may_lie(sets_folder, write_parquet, cifar_files):
    for place in (
        "hub/train-00000-of-00002.parquet",
        "deep/data/train.parquet",
        "named/named-train.parquet",
        # Of another name than its folder's, and too deep: nothing would read them.
        "other/mine-train.parquet",
        "deeper/one/two/train.parquet",
        "x-test.parquet",
    ):
        write_parquet(sets_folder / place, cifar_files[:1], [0])
    assert found_in(sets_folder) == ["deep", "hub", "mine", "named", "stl10"]
    assert found_in(sets_folder / "absent") == []


def test_a_place_of_several_files_is_there_when_all_are(tmp_path):
    (tmp_path / "a").mkdir()
    assert is_there("a/", tmp_path) and not is_there("a/, b.mat", tmp_path)
    (tmp_path / "b.mat").touch()
    assert is_there("a/, b.mat", tmp_path)


def test_the_data_folder_is_that_of_the_environment_variable_else_data(monkeypatch, tmp_path):
    monkeypatch.setenv("UNDERSTUDY_DATA", str(tmp_path))
    assert data_folder() == tmp_path
    monkeypatch.delenv("UNDERSTUDY_DATA")
    assert str(data_folder()) == "data"


def test_no_name_stands_for_two_sets():
    names = [*IN_MEMORY, *OFFICIAL, *TORCHVISION]
    assert len(names) == len(set(names))
