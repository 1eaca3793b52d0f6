"""What a table's docstring declares stands on its page."""

from understudy.experiments import TABLES
from understudy.experiments.row import declared


def test_a_docstrings_differences_and_gaps_are_taken_to_the_end_of_their_paragraph():
    text = "A table.\n\nAll is well.\n\nSo. Differs from the paper: a\nb. Not known to us: c.\n\nNot known to us: d."
    assert declared(text) == "Differs from the paper: a b. Not known to us: c. Not known to us: d."
    assert declared("A table.") == declared(None) == ""


def test_the_tables_of_the_papers_say_so_on_their_pages():
    said = [name for name, table in TABLES.items() if "Differs from" in table.notes or "Not known to us" in table.notes]
    papers = [name for name in TABLES if name.startswith(("ab_table", "overhaul", "nst", "hdhe", "finetune"))]
    assert len(papers) == 16 and set(papers) <= set(said)
