"""Every method as a declaration, and how declarations are found, joined and changed."""

from understudy.methods.chosen import chosen
from understudy.methods.combine import adjust, combine, find
from understudy.methods.declare import EMBEDDING, LOGITS, Aspects, Method, Phase, TeacherMode, Term
from understudy.methods.options import own_options
from understudy.methods.table import METHODS

__all__ = [
    "EMBEDDING",
    "LOGITS",
    "METHODS",
    "Aspects",
    "Method",
    "Phase",
    "TeacherMode",
    "Term",
    "adjust",
    "chosen",
    "combine",
    "find",
    "own_options",
]
