"""A matplotlib figure as SVG that can stand inside a page: no addresses, no ids shared with others."""

from io import StringIO
from typing import Any
from xml.etree import ElementTree

import matplotlib
from matplotlib.figure import Figure
from matplotlib.text import Text

from .palette import LIGHT

# Text stays text (light, searchable, in the page's font), and the same figure gives the same ids.
SETTINGS: dict[Any, Any] = {"svg.fonttype": "none", "svg.hashsalt": "understudy"}
ROUND = {"stroke-linejoin": "round", "stroke-linecap": "butt"}
OUTSIDE = ("metadata", "style")


def inline_svg(figure: Figure, *, name: str, description: str) -> str:
    """The figure as one <svg> element: as wide as its box, its colours CSS variables.

    `name` goes before its ids and must be different for every drawing of a page. `description` is read aloud;
    a drawing without one is passed over.
    """
    words_as_they_are(figure)
    buffer = StringIO()
    with matplotlib.rc_context(SETTINGS):
        figure.savefig(buffer, format="svg", transparent=True)
    root = ElementTree.fromstring(buffer.getvalue())
    wanted = {_local(value) for element in root.iter() for value in element.attrib.values() if "#" in value}
    _clean(root, name, wanted)
    spoken = {"role": "img", "aria-label": description} if description else {"aria-hidden": "true"}
    root.attrib = {"viewBox": root.attrib["viewBox"], **spoken, **ROUND}
    return ElementTree.tostring(root, encoding="unicode")


def words_as_they_are(figure: Figure) -> None:
    """Names come from users: a dollar sign in them starts no formula."""
    for text in figure.findobj(Text):
        text.set_parse_math(False)


def _clean(element: ElementTree.Element, name: str, wanted: set[str]) -> None:
    """Removes namespaces and what no reader needs, here and below."""
    element.tag = _without_namespace(element.tag)
    for key, value in list(element.attrib.items()):
        del element.attrib[key]
        key = _without_namespace(key)
        if key == "id":
            value = f"{name}-{value}" if value in wanted else ""
        elif key == "style":
            value = _in_variables(value)
        elif value.startswith(("#", "url(#")):
            value = value.replace("#", f"#{name}-")
        if value:
            element.set(key, value)
    for child in list(element):
        if _without_namespace(child.tag) in OUTSIDE:
            element.remove(child)
        else:
            _clean(child, name, wanted)


def _local(reference: str) -> str:
    """The id in "#id" and in "url(#id)"."""
    return reference.partition("#")[2].rstrip(")")


def _without_namespace(tag: str) -> str:
    return tag.rpartition("}")[2]


def _in_variables(style: str) -> str:
    """Colours by their role; no fonts, so that the page's is used."""
    for role, colour in LIGHT.items():
        style = style.replace(colour, f"var(--{role})")
    return ";".join(part for part in style.split(";") if not part.strip().startswith("font-family"))
