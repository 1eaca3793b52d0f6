"""Sizes in memory in words."""

import pytest

from understudy.spec.sizes import size_in_words


@pytest.mark.parametrize(
    ("size_bytes", "words"),
    [
        (0, "0.00 KiB"),
        (29_900, "29.2 KiB"),
        (1_022_976, "999 KiB"),
        (1_023_500, "0.98 MiB"),
        (2.5 * 2**30, "2.50 GiB"),
        (2**42, "4096 GiB"),
    ],
)
def test_a_size_is_told_in_the_unit_that_suits(size_bytes, words):
    assert size_in_words(size_bytes) == words
