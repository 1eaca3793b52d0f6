"""The papers' tables as data, and their pages. Reads settings and run folders only, never torch."""

from understudy.experiments.ab_table1 import AB_TABLE1
from understudy.experiments.methods_digits import METHODS_DIGITS
from understudy.experiments.methods_small_data import METHODS_SMALL_DATA
from understudy.experiments.row import Row, Table
from understudy.experiments.scenes15_mobilenet import SCENES15_MOBILENET
from understudy.experiments.teachers import TEACHERS, TeacherRecipe

# One table per file; their names are those of the files of measured numbers.
TABLES: dict[str, Table] = {
    table.name: table for table in (AB_TABLE1, METHODS_SMALL_DATA, METHODS_DIGITS, SCENES15_MOBILENET)
}

__all__ = ["TABLES", "TEACHERS", "Row", "Table", "TeacherRecipe"]
