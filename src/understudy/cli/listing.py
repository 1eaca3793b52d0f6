"""`understudy list`."""

from enum import StrEnum
from typing import Annotated

import typer

from understudy.cli.app import app, console


class Listing(StrEnum):
    """What `understudy list` lists."""

    methods = "methods"
    models = "models"
    data = "data"
    tables = "tables"
    settings = "settings"


@app.command("list")
def list_(
    what: Annotated[Listing, typer.Argument(help="what to list")],
    markdown: Annotated[bool, typer.Option("--markdown", help="methods only: a page with phases and weights")] = False,
) -> None:
    """List the methods, models, data sets, published tables, or settings there are."""
    if what is Listing.tables:
        from understudy.experiments import TABLES

        for table in TABLES.values():
            for name, row in table.rows.items():
                published = f"{row.published:.2f} {row.metric.replace('_', ' ')}" if row.published is not None else "-"
                pair = f"{row.keys['teacher']} -> {row.keys['student']}"
                console().print(f"{table.name} {name}: {pair}, {published}", highlight=False)
        return
    from understudy.engine import listings

    if markdown:
        if what is not Listing.methods:
            raise ValueError(f"--markdown is for methods, found {what.value}")
        print(listings.methods_page(), end="")
        return
    console().print(listings.LISTINGS[what.value]())
