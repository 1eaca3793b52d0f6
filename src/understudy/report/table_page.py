"""A table as one HTML file that needs nothing else, and its picture as a file of its own."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
from markupsafe import Markup
from matplotlib.figure import Figure

from .palette import DARK, LIGHT
from .svg import SETTINGS, inline_svg, words_as_they_are
from .template import html_template


def table_html(
    *,
    title: str,
    citation: str,
    notes: Sequence[str],
    pictures: Sequence[Figure],
    headings: Sequence[str],
    columns: Sequence[Sequence[str]],
    tables: Sequence[Mapping[str, Sequence[tuple[str, str, bool]]]],
) -> str:
    """The page: for each heading a picture and a table of words under its columns, label by label: what was measured,
    what was published, and whether it was measured at all."""
    drawn = [
        Markup(inline_svg(figure, name=f"table{index}", description=f"{title}: {heading}"))
        for index, (figure, heading) in enumerate(zip(pictures, headings, strict=True))
    ]
    return html_template("table.html.j2").render(
        title=title,
        citation=citation,
        notes=notes,
        parts=list(zip(headings, drawn, columns, tables, strict=True)),
        palettes={"light": LIGHT, "dark": DARK},
    )


def save_svg(figure: Figure, path: Path) -> None:
    """The picture in its light colours, with text as text; the same figure gives the same bytes."""
    words_as_they_are(figure)
    with matplotlib.rc_context(SETTINGS):
        figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})
