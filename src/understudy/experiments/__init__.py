"""The papers' tables as data, and their pages. Reads settings and run folders only, never torch."""

from understudy.experiments.ab_table1 import AB_TABLE1
from understudy.experiments.methods_digits import METHODS_DIGITS
from understudy.experiments.methods_small_data import METHODS_SMALL_DATA
from understudy.experiments.row import Row
from understudy.experiments.scenes15_mobilenet import SCENES15_MOBILENET

# Table name -> row name -> row. One table per file.
TABLES: dict[str, dict[str, Row]] = {
    "ab_table1": AB_TABLE1,
    "methods_small_data": METHODS_SMALL_DATA,
    "methods_digits": METHODS_DIGITS,
    "scenes15_mobilenet": SCENES15_MOBILENET,
}

__all__ = ["TABLES", "Row"]
