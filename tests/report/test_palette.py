import pytest

from understudy.report.palette import DARK, LIGHT, NUM_SERIES, looks


def luminance(colour):
    """Relative luminance after WCAG 2.2."""
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("role", [role for role in LIGHT if role not in ("paper", "grid")])
def test_words_and_lines_stand_out_from_the_paper(palette, role):
    bright, dim = sorted((luminance(palette[role]), luminance(palette["paper"])), reverse=True)
    assert (bright + 0.05) / (dim + 0.05) >= 4.5


def test_no_two_of_many_runs_look_alike():
    found = looks(3 * NUM_SERIES)
    assert len({(look.colour, look.dash) for look in found}) == len(found)
    assert len({look.marker for look in found[:NUM_SERIES]}) == NUM_SERIES


def test_runs_look_different_without_their_lines_too():
    # Bars and dots have colour and mark alone.
    seen = [(look.colour, look.marker) for look in looks(40)]
    assert len(set(seen)) == 40
