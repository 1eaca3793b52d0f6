"""A table as one HTML file that needs nothing else, and its picture as a file of its own."""

from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path

import matplotlib
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup
from matplotlib.figure import Figure

from .palette import DARK, LIGHT
from .svg import SETTINGS, inline_svg, words_as_they_are


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
    source = files("understudy.report").joinpath("table.html.j2").read_text(encoding="utf-8")
    strict = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    drawn = [
        Markup(inline_svg(figure, name=f"table{index}", description=f"{title}: {heading}"))
        for index, (figure, heading) in enumerate(zip(pictures, headings, strict=True))
    ]
    return strict.from_string(source).render(
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
