"""Words of messages: lists of names that are cut, and settings that can be pasted into a shell."""

import shlex

import pytest
import yaml

from understudy.spec import as_word, few, nearest


@pytest.mark.parametrize(
    ("count", "told"),
    [(0, ""), (1, "0"), (4, "0, 1, 2, 3"), (5, "0, 1, 2, 3 and 1 more"), (1004, "0, 1, 2, 3 and 1,000 more")],
)
def test_long_lists_are_cut_with_how_many_more_there_are(count, told):
    assert few(range(count)) == told


@pytest.mark.parametrize(
    "values", [["dog", "cat"], ["no", "a, b", "it's"], ["größe", ""], [0.485, 1.0], ["x" * 500] * 3]
)
def test_a_setting_comes_out_of_a_shell_as_it_went_in(values):
    (word,) = shlex.split(as_word("a.b", values))
    key, _, value = word.partition("=")
    assert key == "a.b" and yaml.safe_load(value) == values


def test_the_nearest_name_is_found_whatever_its_capitals():
    assert nearest("CIFAR10", ["cifar10", "digits"]) == "; nearest: cifar10"
    assert nearest("mobilenet", ["MobileNet-v1"]) == "; nearest: MobileNet-v1"
