"""Names in files and in networks: what a rename touches, and which would help."""

import pytest

from understudy.models.renames import fitted, propose, renamed


@pytest.mark.parametrize(
    ("rename", "name", "expected"),
    [
        ({"linear": "fc"}, "linear.weight", "fc.weight"),
        ({"linear": "fc"}, "head.linear.weight", "head.fc.weight"),
        ({"layer1.0": "block"}, "layer1.0.conv1.weight", "block.conv1.weight"),
        ({"a": "b"}, "a.a.ba", "b.b.ba"),
        ({"backbone": ""}, "backbone.conv.weight", "conv.weight"),
        ({"inner": ""}, "outer.inner.weight", "outer.weight"),
        ({r"layer(\d)": r"group\1.layer"}, "layer3.1.bn1.bias", "group3.layer.1.bn1.bias"),
        ({"^conv": "stem.conv"}, "conv.weight", "stem.conv.weight"),
        ({"^(.*)": r"net.\1"}, "conv.weight", "net.conv.weight"),
        ({"a": "b", "b": "c"}, "a.weight", "c.weight"),
    ],
)
def test_a_rename_replaces_whole_parts(rename, name, expected):
    assert renamed([name], rename) == [expected]


def test_a_rename_leaves_parts_of_words_and_what_it_does_not_name():
    assert renamed(["linear.weight", "bilinear.weight", "linear2.bias"], {"linear": "fc"}) == [
        "fc.weight",
        "bilinear.weight",
        "linear2.bias",
    ]
    assert renamed(["conv.weight", "0.conv.weight"], {"^conv": "stem"}) == ["stem.weight", "0.conv.weight"]


@pytest.mark.parametrize(
    ("rename", "words"),
    [
        ({"linaer": "fc"}, "linaer=fc touches no name in the file, as linear.weight, conv.weight"),
        ({"(": "fc"}, r"the rename \(=fc is no regular expression: "),
        ({"linear": r"\3"}, "is no regular expression: invalid group reference"),
        ({"linear": "conv"}, "the renames linear=conv give several tensors the name conv.weight"),
    ],
)
def test_a_rename_that_cannot_be_meant_is_told(rename, words):
    with pytest.raises(ValueError, match=words):
        fitted({"linear.weight": 1, "conv.weight": 2}, ["fc.weight"], rename)


def test_no_more_is_unwrapped_than_makes_names_known():
    own = ["model.conv.weight", "model.fc.weight"]
    assert fitted({f"module.{name}": 1 for name in own}, own, {}).keys() == set(own)
    assert fitted(dict.fromkeys(own, 1), own, {}).keys() == set(own)
    assert fitted({"module.a": 1, "b": 2}, ["a", "b"], {}) == {"module.a": 1, "b": 2}
    assert fitted({"module.x.a": 1}, ["y.a"], {"x": "y"}) == {"y.a": 1}


def test_names_are_paired_by_shape_and_last_part_in_the_order_of_their_numbers():
    own = {f"block.{n}.{leaf}": (4,) for n in range(12) for leaf in ("weight", "bias")}
    found = {name.replace("block", "layers"): shape for name, shape in sorted(own.items())}
    assert propose(own, found) == {"layers": "block"}
    assert propose({f"a.{n}.weight": (4,) for n in (9, 10)}, {f"b.{n}.weight": (4,) for n in (0, 1)}) == {
        "b.0": "a.9",
        "b.1": "a.10",
    }
    assert propose({**own, "fc.weight": (3, 4)}, {**found, "linear.weight": (3, 4)}) == {
        "layers": "block",
        "linear": "fc",
    }


@pytest.mark.parametrize(
    "found",
    [
        pytest.param({"linear.weight": (3, 5)}, id="another shape"),
        pytest.param({"linear.bias": (3, 4)}, id="another kind"),
        pytest.param({"linear.weight": (3, 4), "more.weight": (3, 4)}, id="one too many"),
        pytest.param({}, id="none"),
        pytest.param({"fc.weight": (3, 4)}, id="all fit"),
    ],
)
def test_nothing_is_proposed_that_would_not_make_everything_fit(found):
    assert propose({"fc.weight": (3, 4)}, found) == {}


def test_nothing_is_proposed_that_would_break_what_fits():
    # `a` becomes `b` at one place, and must stay at the other.
    assert propose({"x.b.weight": (1,), "y.a.weight": (2,)}, {"x.a.weight": (1,), "y.a.weight": (2,)}) == {}


def test_a_wrapping_may_be_renamed_itself():
    file = {"model.conv.weight": 1, "model.fc.bias": 2}
    own = ["backbone.conv.weight", "backbone.fc.bias"]
    assert fitted(file, own, {"model": "backbone"}) == dict(zip(own, (1, 2), strict=True))
    with pytest.raises(ValueError, match="modle=backbone touches no name in the file, as model.conv.weight"):
        fitted(file, own, {"modle": "backbone"})
