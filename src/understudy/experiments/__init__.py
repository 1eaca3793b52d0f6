"""The papers' tables as data, and their pages. Reads settings and run folders only, never torch."""

from understudy.experiments.row import Row, Table
from understudy.experiments.tables import TABLES
from understudy.experiments.teachers import TEACHERS, TeacherRecipe

__all__ = ["TABLES", "TEACHERS", "Row", "Table", "TeacherRecipe"]
