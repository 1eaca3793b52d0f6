"""Settings from a file, options and words: which wins, and what a mistake is told."""

import pytest

from understudy.spec import SettingsError, known_keys, read_settings


def write(tmp_path, text):
    path = tmp_path / "run.yaml"
    path.write_text(text)
    return path


def mistake(**sources) -> str:
    with pytest.raises(SettingsError) as caught:
        read_settings(**sources)
    return str(caught.value)


def test_words_win_over_options_and_options_over_the_file(tmp_path):
    file = write(
        tmp_path, "student: {model: wrn16-2}\nepochs: 3\noptim:\n  lr: 1e-3\n  momentum: 0.5\nbatch_size: 32\n"
    )
    settings = read_settings(file=file, options={"epochs": "1+5", "batch_size": None}, words=["optim.momentum=0.7"])
    assert (settings.epochs, settings.batch_size) == ((1, 5), 32)
    assert (settings.optim.lr, settings.optim.momentum) == (1e-3, 0.7)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("optim: {wieght_decay: 1}", "optim.wieght_decay: there is no such setting; nearest: optim.weight_decay"),
        ("optim: {lr: fast}", "optim.lr: found 'fast', expected a valid number"),
        ("batch_size: 0", "batch_size: found 0, expected greater than or equal to 1"),
        ("run: {precision: half}", "run.precision: found 'half', expected 'auto', 'float32' or 'bfloat16'"),
        ("lr: 0.1", "lr: there is no such setting; nearest: optim.lr"),
        ("epochs: 1-5", "epochs: found '1-5', expected whole numbers joined by +"),
    ],
)
def test_a_mistake_in_a_file_is_told_with_file_line_key_and_what_is_allowed(tmp_path, line, words):
    file = write(tmp_path, f"student: {{model: wrn16-2}}\n\n{line}\n")
    assert mistake(file=file) == mistake(file=file) and f"{file}, line 3, {words}" in mistake(file=file)


def test_all_mistakes_are_told_at_once(tmp_path):
    file = write(tmp_path, "student: {model: wrn16-2}\nbatch_size: 0\noptim:\n  lr: -1\n")
    lines = mistake(file=file, words=["run.seed=x"]).splitlines()
    assert [line.split(": ")[0].rpartition(" ")[2] for line in lines] == ["batch_size", "optim.lr", "run.seed"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [1", "not valid YAML"),
        ("- a\n- b", "expected keys with values, found a sequence"),
        ("epochs: 1\nepochs: 2", "line 2, epochs: found twice, first in line 1"),
    ],
)
def test_a_file_that_is_no_settings_file_is_named(tmp_path, text, words):
    assert words in mistake(file=write(tmp_path, text))


def test_a_missing_file_and_a_word_without_value_are_named(tmp_path):
    assert "cannot be read" in mistake(file=tmp_path / "none.yaml")
    assert mistake(words=["optim.lr"]) == "found 'optim.lr', expected section.key=value, as in optim.lr=0.05"


def test_a_missing_student_and_a_train_run_with_a_method_are_told():
    assert mistake().startswith("student.model: missing; give a name from `understudy list models`")
    told = mistake(options={"task": "train", "student.model": "wrn16-2", "method.name": "kd"})
    assert told == "a train run has no teacher and no method; use distill"


def test_a_terms_numbers_are_read_by_its_name():
    settings = read_settings(options={"student.model": "wrn16-2"}, words=["terms.ab.margin=2", "terms.ab.weight=1e-2"])
    assert settings.terms == {"ab": {"margin": 2.0, "weight": 0.01}}


def test_known_keys_are_those_that_can_be_set():
    keys = known_keys()
    assert {"optim.lr", "run.seed", "data.percent", "teacher.weights", "epochs"} <= set(keys)
    assert "optim" not in keys


@pytest.mark.parametrize("word", ["on", "off", "auto"])
def test_on_and_off_are_words_here_though_yaml_has_them_as_truth_values(word):
    settings = read_settings(options={"student.model": "wrn16-2"}, words=[f"run.compile={word}"])
    assert settings.run.compile == word


def test_a_terms_option_may_be_a_number_a_word_or_a_truth_value():
    words = ["terms.nst.kernel=gaussian", "terms.ab.clip=true", "terms.ab.weight=1e-2", "terms.kd_svd.k=2"]
    settings = read_settings(options={"student.model": "wrn16-2"}, words=words)
    assert settings.terms == {
        "nst": {"kernel": "gaussian"}, "ab": {"clip": True, "weight": 0.01}, "kd_svd": {"k": 2},
    }  # fmt: skip
    assert isinstance(settings.terms["kd_svd"]["k"], int)


def test_renames_are_read_from_words_and_files_with_dots_numbers_and_nothing(tmp_path):
    words = ["linear=fc", "layer1.0=block", "0=1", "backbone="]
    settings = read_settings(options={"student.model": "wrn16-2"}, words=[f"student.rename.{word}" for word in words])
    expected = {"linear": "fc", "layer1.0": "block", "0": "1", "backbone": ""}
    assert settings.student.rename == expected
    file = write(
        tmp_path, "student: {model: wrn16-2, rename: {linear: fc, layer1.0: block, 0: 1, backbone: }, weights: }"
    )
    assert read_settings(file=file).student == settings.student
    assert read_settings(file=write(tmp_path, "student: {model: wrn16-2, rename: {}}")).student.rename is None


@pytest.mark.parametrize(
    ("word", "words"),
    [
        ("student.rename=fc", "student.rename: found 'fc', expected old and new names, as in teacher.rename.linear=fc"),
        ("student.rename.a=[1]", "student.rename.a: found [1], expected a valid string"),
    ],
)
def test_a_rename_that_is_none_is_told(word, words):
    assert mistake(options={"student.model": "wrn16-2"}, words=[word]) == words


def test_a_key_without_a_value_in_a_file_means_none(tmp_path):
    settings = read_settings(file=write(tmp_path, "student:\n  model: wrn16-2\n  weights:\ndata: {percent: }\n"))
    assert settings.student.weights is None and settings.data.percent is None


def test_rates_go_by_names_with_dots_in_the_order_given(tmp_path):
    words = ["layer1=0.1", "layer1.0=1", "*.bn?=0", "layer1.0.conv1.weight=1e-2", "layer1=2"]
    settings = read_settings(options={"student.model": "wrn16-2"}, words=[f"optim.rates.{word}" for word in words])
    expected = {"layer1.0": 1.0, "*.bn?": 0.0, "layer1.0.conv1.weight": 0.01, "layer1": 2.0}
    assert settings.optim.rates == expected and [*(settings.optim.rates or {})] == [*expected]
    file = write(tmp_path, "student: {model: a}\noptim:\n  rates:\n    layer1: 0.1\n    layer1.0: 1\n    0: 3\n")
    found = read_settings(file=file, words=["optim.rates.layer1=5"]).optim.rates
    assert list(found.items()) == [("layer1.0", 1.0), ("0", 3.0), ("layer1", 5.0)]


@pytest.mark.parametrize(
    ("word", "words"),
    [
        ("optim.rates=3", "optim.rates: found 3, expected patterns and factors, as in optim.rates.layer1=0.1"),
        ("optim.rates.fc=-1", "optim.rates.fc: found -1, expected greater than or equal to 0"),
        ("optim.rates.layer1.0=much", "optim.rates.layer1.0: found 'much', expected a valid number"),
    ],
)
def test_a_rate_that_is_none_is_told(word, words):
    assert mistake(options={"student.model": "wrn16-2"}, words=[word]).startswith(words)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["data.classes=[1,"], r"data\.classes: found '\[1,', which is no whole value; quote one with spaces"),
        (["optim.opt=adamw"], r"optim: opt=adamw wants an lr of its own"),
        (["seed=3"], r"seed: there is no such setting; nearest: run\.seed"),
        (["size=64"], r"nearest: data\.size"),
        (["learning_rate=0.1"], r"nearest: optim\.lr"),
        (["optim.learning_rate=0.1"], r"nearest: optim\.lr"),
        (["opt.lr=0.1"], r"opt\.lr: there is no such setting; nearest: optim\.lr"),
        (["OPTIM.LR=0.1"], r"nearest: optim\.lr"),
        (["optim.wd=0.1"], r"nearest: optim\.weight_decay"),
        (["kd.temperature=1"], r"a number of a method's term is given as terms\.NAME\.temperature"),
        (["method=kd"], r"method: found 'kd', expected a section, as in method\.name=kd"),
        (["more_teachers=[{model: m, weight: 1}]"], r"more_teachers\.0\.weight: .* nearest: weights"),
        (
            ["terms.ab.positions.layer1=features.3"],
            r"found 'features\.3' below terms\.ab\.positions, which takes one value",
        ),
        (["terms.ab.margin=[1]"], r"^terms\.ab\.margin: found \[1\], expected one number or word$"),
        (["batch_size=yes"], r"batch_size: found True, expected a number"),
        (["epochs=true"], r"epochs: found True, expected a number"),
        (["data.classes=[on,off]"], r"expected names; quote those that YAML reads as truth values"),
        (["data.name=2020-13-45"], r"data\.name: found '2020-13-45', which is no whole value"),
        (["run.seed=18446744073709551615"], r"run\.seed: .* less than"),
        (["retrieval.loss=triplet", "data.mixup=0.2"], r"losses of embeddings take one label"),
    ],
)
def test_mistakes_in_words_say_what_is_meant(words, told):
    with pytest.raises(SettingsError, match=told):
        read_settings(options={"student.model": "wrn16-2"}, words=words)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b"optim:\n  lr: !foo 3\n", r"line 2, optim\.lr: cannot be read as a value"),
        (b"data:\n  name: 2020-13-45\n", r"line 2, data\.name: cannot be read as a value"),
        ("student:\n  model: m\xf6\n".encode("latin-1"), r"no text in UTF-8"),
    ],
)
def test_a_file_that_yaml_cannot_turn_into_values_is_told_with_its_place(tmp_path, text, told):
    (tmp_path / "own.yaml").write_bytes(text)
    with pytest.raises(SettingsError, match=rf"own\.yaml.*{told}"):
        read_settings(file=tmp_path / "own.yaml")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["detection.fpn=true", "retrieval.loss=triplet"], "retrieval and detection are two tasks"),
        (["detection.fpn=true", "data.mixup=0.2"], "change labels of whole images"),
        (["detection.fpn=true", "data.smoothing=0.1"], "change labels of whole images"),
        (["detection.fpn=true", "student.size=32"], "a detector sees the images at data.size"),
        (["detection.fpn=true", "run.compile=on"], "another number of boxes each"),
        (["data.scale=[0.9,0.5]"], r"data.scale: found \[0.9, 0.5\], expected the least first"),
        (["more_teachers.0.model=wrn22-4"], "more_teachers stand beside a first one"),
    ],
)
def test_settings_that_do_not_go_together_are_told(words, told):
    with pytest.raises(SettingsError, match=told):
        read_settings(options={"student.model": "wrn16-2"}, words=words)


def test_a_section_given_whole_keeps_what_a_later_word_does_not_change():
    options = {"student.model": "s", "optim": {"opt": "adamw", "lr": 0.001}, "run": {"seed": 3}}
    found = read_settings(options=options, words=["optim.weight_decay=0.05", "run.device=cpu", "optim.rates.fc=2"])
    assert (found.optim.opt, found.optim.lr, found.optim.weight_decay) == ("adamw", 0.001, 0.05)
    assert (found.run.seed, found.run.device, found.optim.rates) == (3, "cpu", {"fc": 2.0})
    words = ["optim={opt: adamw, lr: 0.001}", "optim.lr=0.002", "terms={ab: {margin: 2}}", "terms.ab.weight=1"]
    found = read_settings(options={"student.model": "s"}, words=words)
    assert (found.optim.opt, found.optim.lr) == ("adamw", 0.002)
    assert found.terms == {"ab": {"margin": 2, "weight": 1}}


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("data.mean=0.5", r"data.mean: found 0.5, expected a list, as in data.mean=\[0.5\]"),
        ("data.scale=[0.5]", r"data.scale: found \[0.5\], expected a longer list"),
        ("data.folder=2024", "data.folder: found 2024, expected a path; quote one that looks like a number"),
        ("terms.kd=4", "terms.kd: found 4, expected a section, as in terms.kd.weight=4"),
        ("phases.train=0.01", "phases.train: found 0.01, expected a section, as in phases.train.lr=0.01"),
        ("optim.lr=.inf", "optim.lr: found inf, expected a finite number"),
    ],
)
def test_what_would_be_right_is_said_without_the_names_of_types(word, told):
    with pytest.raises(SettingsError, match=told):
        read_settings(options={"student.model": "s"}, words=[word])


def test_names_joined_by_commas_are_a_list_and_whole_epochs_may_have_a_point():
    words = ["data.classes=cat,dog", "epochs=20.0", "detection.positions=in4b"]
    found = read_settings(options={"student.model": "s"}, words=words)
    assert found.data.classes == ("cat", "dog") and found.epochs == (20,)
    assert found.detection is not None and found.detection.positions == ("in4b",)


def test_an_empty_section_is_one_without_settings(tmp_path):
    (tmp_path / "own.yaml").write_text("student:\n  model: wrn16-2\noptim:\nteacher:\n")
    found = read_settings(file=tmp_path / "own.yaml")
    assert found.optim.lr == 0.1 and found.teacher is None


def test_one_number_of_a_phase_may_be_written_in_two_ways():
    words = (["phases.train.lr=1e-2"], ["phases.train.lr=0.01"])
    one, other = (read_settings(options={"student.model": "wrn16-2"}, words=each) for each in words)
    assert one == other


def test_each_of_several_teachers_has_settings_of_its_own(tmp_path):
    options = {"student.model": "s", "teacher.model": "a", "more_teachers": [{"model": "b"}, {"model": "c"}]}
    found = read_settings(options=options, words=["more_teachers.1.mean=[0.5]", "more_teachers.0.size=64"])
    assert [(one.model, one.mean, one.size) for one in found.more_teachers] == [("b", None, 64), ("c", (0.5,), None)]
    (tmp_path / "run.yaml").write_text("student: {model: s}\nteacher: {model: a}\nmore_teachers: [{model: b}]\n")
    found = read_settings(file=tmp_path / "run.yaml", words=["more_teachers.0.rename.linear=fc"])
    assert found.more_teachers[0].model == "b" and found.more_teachers[0].rename == {"linear": "fc"}
    with pytest.raises(SettingsError, match=r"more_teachers\.0\.mena: there is no such setting; nearest: mean"):
        read_settings(options=options, words=["more_teachers.0.mena=[0.5]"])
    with pytest.raises(SettingsError, match=r"more_teachers\.2\.model: missing"):
        read_settings(options=options, words=["more_teachers.2.mean=[0.5]"])


def test_the_home_folder_may_be_meant(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    words = ["run.teacher_cache=~/cache", "data.folder=~/data", "student.weights=~/w.pt"]
    found = read_settings(options={"student.model": "s"}, words=words)
    places = (found.run.teacher_cache, found.data.folder, found.student.weights)
    assert list(map(str, places)) == ["/home/me/cache", "/home/me/data", "/home/me/w.pt"]


def test_sections_of_which_all_lines_are_commented_out_are_empty(tmp_path):
    (tmp_path / "own.yaml").write_text(
        "student: {model: s}\nterms:\n  ab:\nphases:\nmore_teachers:\nretrieval:\nteacher:\n"
    )
    found = read_settings(file=tmp_path / "own.yaml")
    assert found.terms == {"ab": {}} and found.phases == {} and found.more_teachers == ()
    assert found.retrieval is not None and found.teacher is None
    (tmp_path / "own.yaml").write_text("student: {model: s}\nretrieval: null\n")
    assert read_settings(file=tmp_path / "own.yaml").retrieval is None
