import json
import re
import subprocess
import sys
from html.parser import HTMLParser

import pytest

from understudy.report import read_run, write_page
from understudy.report.table import columns, comparison

pytestmark = pytest.mark.slow

VOID = {"meta", "link", "br", "img", "input", "hr"}


class Reader(HTMLParser):
    """Collects tags, the texts of table cells, and what was never closed."""

    def __init__(self):
        super().__init__()
        self.tags, self.cells, self.open, self.wrong = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag in ("td", "th"):
            self.cells.append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)

    def handle_data(self, data):
        if self.open and {"td", "th"} & set(self.open):
            self.cells[-1] += data


def page_of(paths, tmp_path, **settings):
    return write_page([read_run(path) for path in paths], tmp_path / "page.html", **settings).read_text()


def read(text):
    reader = Reader()
    reader.feed(text)
    assert not reader.wrong and not reader.open
    return reader


def test_the_table_on_the_page_is_the_comparison(four_runs, tmp_path):
    rows = comparison([read_run(path) for path in four_runs])
    expected = [column.cell(row) for row in rows for column in columns(rows)]
    start = len(columns(rows))
    cells = [cell.strip() for cell in read(page_of(four_runs, tmp_path)).cells]
    assert cells[start : start + len(expected)] == expected
    assert {"88.84", "11.16", "91.62", "692 k", "101 M", "84.0", "217 + 204", "23 min 52 s"} <= set(expected)


def test_every_decimal_number_on_the_page_comes_from_a_run_folder(four_runs, tmp_path):
    text = re.sub(r"<(style|svg)\b.*?</\1>", " ", page_of(four_runs, tmp_path), flags=re.DOTALL)
    shown = set(re.findall(r"(?<![\w.])\d+\.\d+(?![\w.])", re.sub(r"<[^>]+>", " ", text)))
    known = {6.56}
    for path in four_runs:
        run = read_run(path)
        for found in (run.facts, run.summary, *run.epochs, *re.findall(r"\d+\.\d+", run.settings)):
            known |= set(numbers_in(found))
        agreement = (run.summary or run.epochs[-1]).get("agreement")
        known |= {sum(agreement.values()) / len(agreement)} if agreement else set()
    known |= {100 - number for number in known} | {100 * number for number in known}
    known |= {number / size for number in known for size in (1e3, 1e6)}
    strange = [word for word in shown if not any(matches(word, number) for number in known)]
    assert len(shown) > 20
    assert strange == []


def numbers_in(found):
    if isinstance(found, dict | list):
        for child in found.values() if isinstance(found, dict) else found:
            yield from numbers_in(child)
    elif isinstance(found, int | float):
        yield float(found)
    elif isinstance(found, str):
        yield from (float(number) for number in re.findall(r"\d+\.\d+", found))


def matches(word, number):
    return f"{number:.{len(word.partition('.')[2])}f}" == word


def test_names_are_escaped_everywhere(folders, tmp_path):
    sly = '<script>alert("x")</script>'
    teacher = {"name": sly, "weights": sly, "scores": {"accuracy_pct": 90.0}}
    paths = [folders.make("kd", 80.0, name=sly, folder="sly", title=sly, student=sly, teacher=teacher,
                          phases=[(sly, 1, {sly: 1.0}, True), ("train", 1, {"kd": 1.0}, True)])]  # fmt: skip
    facts = json.loads((paths[0] / "run.json").read_text())
    facts.update(command=sly, started=sly, hardware={sly: sly}, versions={"torch": sly})
    facts["data"]["name"] = facts["method"]["paper"] = sly
    facts["method"]["phases"][0]["terms"][sly]["positions"] = [[sly, sly]]
    (paths[0] / "run.json").write_text(json.dumps(facts))
    (paths[0] / "settings.yaml").write_text(sly)
    text = page_of(paths, tmp_path, title=sly)
    assert "script" not in {tag for tag, _ in read(text).tags}
    assert text.count("&lt;script&gt;") > 20


def test_the_page_refers_to_nothing_outside_itself(four_runs, tmp_path):
    text = page_of(four_runs, tmp_path)
    for tag, attributes in read(text).tags:
        assert tag not in ("script", "img", "iframe", "object", "embed")
        for name in ("src", "href", "xlink:href", "srcset", "action"):
            assert attributes.get(name, "#").startswith(("#", "data:"))
    assert not re.findall(r"https?:|//\w+\.|@import|@font-face", text)
    assert all(target.startswith("#") for target in re.findall(r"url\(\s*['\"]?([^)]*)", text))


def test_the_page_is_light_and_the_same_every_time(four_runs, tmp_path):
    text = page_of(four_runs, tmp_path)
    assert len(text.encode()) < 500_000
    assert page_of(four_runs, tmp_path) == text


def test_provenance_of_every_run_is_told(four_runs, tmp_path):
    text = page_of(four_runs, tmp_path)
    for path in four_runs:
        run = read_run(path)
        for fact in (run.facts["command"], run.facts["started"], run.facts["data"]["sha256"], "2.15.0", run.settings):
            assert fact in text
    assert "7e" * 32 in text and "a5" * 32 in text
    assert "Some CPU @ 2.40GHz" in text
    assert "unfinished, 2 of 6 epochs" in text


def test_images_and_boxes_that_scroll_have_names(four_runs, tmp_path):
    for tag, attributes in read(page_of(four_runs, tmp_path)).tags:
        if tag == "svg":
            assert attributes.get("aria-label") or attributes.get("aria-hidden") == "true"
        if "scroll" in (attributes.get("class") or ""):
            assert attributes["aria-label"] and attributes["tabindex"] == "0"


@pytest.mark.parametrize("finished_epochs", [0, None])
def test_the_smallest_run_there_can_be_has_a_page(folders, tmp_path, finished_epochs):
    path = folders.make("none", 80.0, teacher=None, task="train", finished_epochs=finished_epochs)
    facts = json.loads((path / "run.json").read_text())
    kept = {name: facts[name] for name in ("task", "name", "headline", "method", "student", "teacher", "data")}
    (path / "run.json").write_text(json.dumps(kept))
    (path / "settings.yaml").unlink()
    assert "wrn16-2 learnt cifar10" in page_of([path], tmp_path)


def test_a_teacher_has_its_own_curves_and_does_not_stretch_those_of_its_students(folders, tmp_path):
    own = folders.make("none", 91.0, name="big", teacher=None, task="train", phases=[("train", 40, {}, True)])
    teacher = {"name": "wrn22-4", "sha256": "a5" * 32, "scores": {"accuracy_pct": 91.0}}
    text = page_of([own, folders.make("kd", 80.0, teacher=teacher)], tmp_path)
    drawings = re.findall(r'<svg[^>]*aria-label="accuracy.*?</svg>', text, flags=re.DOTALL)
    assert [">40</text>" in drawing for drawing in drawings] == [False, True]


def test_reports_need_no_torch(tmp_path):
    code = "import sys, understudy.report; sys.exit('torch' in sys.modules or 'matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=False).returncode == 0


def test_the_page_says_how_hard_each_term_pulls_at_the_phases_start(folders, tmp_path):
    folder = folders.make("ab+kd", 83.6)
    lines = [
        {"kind": "gradients", "phase": "initialise", "step": 0, "task": 2.0, "relative": {"ab": 0.125}},
        {"kind": "gradients", "phase": "initialise", "step": 100, "task": 2.0, "relative": {"ab": 9.0}},
        {"kind": "gradients", "phase": "train", "step": 390, "task": 0.0, "relative": {"kd": None}},
    ]
    with (folder / "metrics.jsonl").open("a") as file:
        file.write("".join(json.dumps(line) + "\n" for line in lines))
    reader = Reader()
    reader.feed(write_page([read_run(folder)], tmp_path / "page.html").read_text())
    start = reader.cells.index("times the labels'") + 1
    assert reader.cells[start : start + 8] == ["AB+KD", "initialise", "ab", "0.12", "AB+KD", "train", "kd", "–"]


def test_the_page_says_which_images_were_learnt_from_and_how_many_wrong_labels_were_left_out(folders, tmp_path):
    folder = folders.make("kd", 83.6)
    assert "Which images" not in page_of([folder], tmp_path)
    wrong = {"mislabelled": 200, "mislabelled_dropped": 150, "precision_pct": 12.0, "recall_pct": 75.0}
    records = [{"kind": "selection", "term": name, "kept": 48750, "images": 50000, **more}
               for name, more in (("selective", wrong), ("mine", {}))]  # fmt: skip
    with (folder / "metrics.jsonl").open("a") as file:
        file.write("".join(json.dumps(record) + "\n" for record in records))
    cells = read(page_of([folder], tmp_path)).cells
    start = cells.index("recall %") + 1
    assert cells[start : start + 7] == ["KD", "selective", "48,750", "1,250", "150 of 200", "12.00", "75.00"]
    assert cells[start + 7 : start + 14] == ["KD", "mine", "48,750", "1,250", "–", "–", "–"]


def test_what_compiling_took_stands_beside_the_time_of_its_phase(folders, tmp_path):
    path = folders.make("ab+kd", 88.84)
    assert "compiling" not in page_of([path], tmp_path)
    summary = json.loads((path / "summary.json").read_text())
    summary["phases"][0]["compile_s"], summary["phases"][1]["compile_s"] = 83.2, None
    (path / "summary.json").write_text(json.dumps(summary))
    with (path / "metrics.jsonl").open("a") as log:
        log.write(json.dumps({"kind": "compile", "phase": "initialise", "step": 1, "compile_s": 83.2}) + "\n")
    cells = [cell for cell in read(page_of([path], tmp_path)).cells if "compiling" in cell]
    assert len(cells) == 1 and cells[0].endswith(", 1 min 23 s of it compiling")
