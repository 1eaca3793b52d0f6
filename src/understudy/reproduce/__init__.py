"""Published numbers measured here: which runs a table needs, carrying them out, and what came of them."""

from understudy.reproduce.reproduce import reproduce
from understudy.reproduce.rows import choose_rows

__all__ = ["choose_rows", "reproduce"]
