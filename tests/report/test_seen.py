"""The sheets and charts of what networks see, from files like those that the engine keeps."""

import base64
import io
import json

import numpy as np
import pytest
from PIL import Image

from understudy.report import read_run, seen, write_page
from understudy.spec.run_files import SEEN

RANDOM = np.random.default_rng(0)
PICTURES = RANDOM.integers(0, 256, (6, 3, 32, 32), dtype=np.uint8)


def keep(folder, *, images=PICTURES, teacher=True, answers=True, size=16, number=40, classes=4):
    """A file as the engine keeps it, with random maps at two places and embeddings that lie by class."""
    labels = np.arange(number) % classes
    found = {"images": images, "labels": labels, "class_names": np.array([f"<{n}>" for n in range(classes)])}
    for role in ("student", "teacher") if teacher else ("student",):
        for place, (height, width) in enumerate(((size, size), (size // 2, size // 2))):
            found[f"maps {role} {place} a b{place}"] = RANDOM.integers(0, 256, (6, height, width), dtype=np.uint8)
        if answers:
            found[f"answer {role}"] = RANDOM.integers(0, 256, (6, 4, 4), dtype=np.uint8)
        found[f"embedding {role}"] = (np.eye(classes)[labels] + 0.01 * RANDOM.normal(size=(number, classes))).astype(
            "f2"
        )
    np.savez_compressed(folder / SEEN, **found)
    return found


def groups_of(*paths):
    runs = [read_run(path) for path in paths]
    return seen.seers(runs, [path.name for path in paths])


def pixels(address):
    kind, _, rest = address.partition(",")
    assert kind == "data:image/png;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(rest))))


@pytest.fixture
def two_runs(folders):
    paths = [folders.make("kd", 80.0), folders.make("none", 70.0)]
    return paths, [keep(path, teacher=path.name == "kd") for path in paths]


def test_networks_that_saw_the_same_images_stand_together_the_teacher_first(two_runs, folders):
    paths, _ = two_runs
    paths = [
        *paths,
        folders.make("ab+kd", 85.0),
        folders.make("kd", 85.0, name="elsewhere"),
        folders.make("kd", 1.0, name="old"),
    ]
    keep(paths[2])
    keep(paths[3], images=255 - PICTURES)
    labels = [[seer.label for seer in group] for group in groups_of(*paths)]
    assert labels == [["teacher, wrn22-4", "kd", "none", "ab+kd"], ["teacher, wrn22-4", "elsewhere"]]


def test_two_teachers_are_two(folders):
    paths = [folders.make("kd", 80.0), folders.make("kd", 81.0, name="other")]
    facts = json.loads((paths[1] / "run.json").read_text())
    facts["teacher"] |= {"name": "resnet26", "sha256": "11" * 32}
    (paths[1] / "run.json").write_text(json.dumps(facts))
    for path in paths:
        keep(path)
    (group,) = groups_of(*paths)
    assert [seer.label for seer in group] == ["teacher, wrn22-4", "teacher, resnet26", "kd", "other"]


def test_sheets_are_named_by_size_and_the_answer_comes_last(two_runs):
    (group,) = groups_of(*two_runs[0])
    found = [(title, [label for label, _ in rows]) for title, rows in seen.sheets(group)]
    everyone = ["", "teacher, wrn22-4", "kd", "none"]
    titles = ["where it looks, 16 x 16", "where it looks, 8 x 8", "what speaks for its answer"]
    assert found == [(title, everyone) for title in titles]


def test_places_of_one_size_are_numbered(folders):
    path = folders.make("kd", 80.0)
    found = keep(path, answers=False)
    for role in ("student", "teacher"):
        found[f"maps {role} 1 a b1"] = found[f"maps {role} 0 a b0"]
    np.savez_compressed(path / SEEN, **found)
    (group,) = groups_of(path)
    assert [title for title, _ in seen.sheets(group)] == ["where it looks, 16 x 16, 1", "where it looks, 16 x 16, 2"]


def test_strips_show_every_picture_in_order(two_runs):
    paths, kept = two_runs
    (group,) = groups_of(*paths)
    _, rows = seen.sheets(group)[0]
    strip = pixels(rows[0][1])
    assert strip.shape == (64, 6 * 70 - 6, 4)
    for place in range(6):
        cell = strip[::2, 70 * place : 70 * place + 64 : 2]
        assert np.array_equal(cell[..., :3], np.moveaxis(PICTURES[place], 0, 2))
        assert (cell[..., 3] == 255).all() and (strip[:, 70 * place + 64 : 70 * place + 70, 3] == 0).all()
    # Bright is the larger: the colours' lightness grows with the map.
    student = kept[0]["maps student 0 a b0"]
    shown = pixels(rows[2][1])[::4, :64:4, :3].astype(float) @ (0.2126, 0.7152, 0.0722)
    order = np.argsort(student[0].ravel(), kind="stable")
    assert (np.diff(shown.ravel()[order]) >= -1.5).all() and np.ptp(shown) > 100


def test_grey_and_large_and_oblong_pictures_make_strips(folders):
    for name, shape, height in (("grey", (6, 1, 8, 8), 64), ("large", (6, 3, 96, 48), 128)):
        path = folders.make("kd", 80.0, name=name)
        keep(path, images=RANDOM.integers(0, 256, shape, dtype=np.uint8))
        (group,) = groups_of(path)
        assert pixels(seen.sheets(group)[0][1][0][1]).shape == (height, 414, 4)


def test_the_share_beside_their_class_is_counted_over_all_pairs(folders):
    path = folders.make("kd", 80.0)
    found = keep(path)
    for role, embedding in (("student", RANDOM.normal(size=(40, 5))), ("teacher", np.zeros((40, 5)))):
        found[f"embedding {role}"] = embedding.astype("f2")
    np.savez_compressed(path / SEEN, **found)
    points, labels = found["embedding student"].astype(float), found["labels"]
    gaps = np.linalg.norm(points[:, None] - points[None], axis=2) + np.diag(np.full(40, np.inf))
    share = 100 * (labels[gaps.argmin(axis=1)] == labels).mean()
    assert 0 < share < 100
    (group,) = groups_of(path)
    # The teacher tells no two images apart.
    ((_, words),) = seen.neighbours(group, "n")[1]
    assert words == f"kd: {share:.1f} % are nearest to one of their class"


def test_a_dot_for_each_image_and_a_mark_for_each_class(two_runs):
    (group,) = groups_of(*two_runs[0])
    marks, charts = seen.neighbours(group, "n")
    assert [name for _, name in marks] == ["<0>", "<1>", "<2>", "<3>"]
    assert len(charts) == 3 and all(svg.count("<use") == 40 for svg, _ in charts)


def test_too_few_images_are_not_arranged(folders):
    path = folders.make("kd", 80.0)
    keep(path, number=9)
    (group,) = groups_of(path)
    assert seen.neighbours(group, "n") == ([], [])


def test_the_page_shows_them_and_is_the_same_every_time(two_runs, tmp_path):
    runs = [read_run(path) for path in two_runs[0]]
    text = write_page(runs, tmp_path / "page.html").read_text()
    assert "What was transferred" in text and text.count("data:image/png;base64,") == 3 * 4
    assert "&lt;0&gt;" in text and "<0>" not in text
    assert write_page(runs, tmp_path / "again.html").read_text() == text


def test_a_page_of_runs_from_before_does_without(four_runs, tmp_path):
    text = write_page([read_run(path) for path in four_runs], tmp_path / "page.html").read_text()
    assert "What was transferred" not in text


def test_a_teachers_maps_stand_where_the_students_could_not_be_read(folders):
    path = folders.make("kd", 80.0)
    found = keep(path, answers=False)
    np.savez_compressed(path / SEEN, **{key: found[key] for key in found if not key.startswith("maps student")})
    (group,) = groups_of(path)
    rows = [(title, [label for label, _ in rows]) for title, rows in seen.sheets(group)]
    assert rows == [(f"where it looks, {size}", ["", "teacher, wrn22-4"]) for size in ("16 x 16", "8 x 8")]


@pytest.mark.parametrize("channels", [2, 4, 13])
def test_pictures_of_other_than_one_or_three_channels_are_shown(folders, channels):
    path = folders.make("kd", 80.0)
    images = RANDOM.integers(0, 256, (6, channels, 32, 32), dtype=np.uint8)
    keep(path, images=images)
    (group,) = groups_of(path)
    first = pixels(seen.sheets(group)[0][1][0][1])[::2, :64:2, :3]
    expected = np.moveaxis(images[0, :3], 0, 2) if channels >= 3 else np.repeat(images[0, 0][..., None], 3, axis=2)
    assert np.array_equal(first, expected)


@pytest.mark.parametrize("content", [b"", b"not an archive", b"PK\x03\x04broken"])
def test_a_broken_file_is_named(folders, content):
    path = folders.make("kd", 80.0)
    (path / SEEN).write_bytes(content)
    with pytest.raises(ValueError, match=r"seen\.npz: not what a run writes there .* remove it"):
        groups_of(path)
