"""`understudy list`."""

from enum import StrEnum
from pathlib import Path
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
    name: Annotated[str | None, typer.Argument(help="tables only: the rows of this one", show_default=False)] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="methods only: a page with phases and weights")] = False,
    form: Annotated[
        str | None,
        typer.Option("--to", help="tables only: print NAME as markdown, latex, csv or html", show_default=False),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="tables only: write a page and a picture of every table", show_default=False),
    ] = None,
    results: Annotated[Path, typer.Option("--results", help="tables only: where the measured numbers are")] = Path(
        "results"
    ),
) -> None:
    """List the methods, models, data sets, published tables, or settings there are."""
    if what is Listing.tables:
        if markdown:
            raise ValueError("--markdown is for methods; a table is printed so with --to markdown")
        if out is not None and (name or form):
            raise ValueError("--out writes every table and takes no NAME and no --to; leave them out")
        _tables(name, form, out, results)
        return
    if name or form or out:
        raise ValueError(f"NAME, --to and --out are for tables, found {what.value}")
    from understudy.engine import listings

    if markdown:
        if what is not Listing.methods:
            raise ValueError(f"--markdown is for methods, found {what.value}")
        print(listings.methods_page(), end="")
        return
    console().print(listings.LISTINGS[what.value]())


def _tables(name: str | None, form: str | None, out: Path | None, results: Path) -> None:
    from understudy.cli.table_listing import find_table, show_rows, show_tables
    from understudy.table_pages import table_text, write_pages

    if out is not None:
        written = write_pages(out, results)
        console().print(f"{len(written)} files in {out}", highlight=False)
    elif name is None:
        if form is not None:
            raise ValueError("--to is for one table; give its name, as in `understudy list tables ab_table1 --to csv`")
        show_tables(console(), results)
    elif form is not None:
        print(table_text(find_table(name), form, results), end="")
    else:
        show_rows(console(), find_table(name), results)
