"""The pages' templates, which lie beside this file: strict, and what is filled in is escaped."""

from jinja2 import Environment, PackageLoader, StrictUndefined, Template


def html_template(name: str) -> Template:
    """The template of this name; what it does not get is an error."""
    return Environment(
        loader=PackageLoader("understudy.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    ).get_template(name)
