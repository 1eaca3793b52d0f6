"""Tables, figures and one HTML page, made from run folders on disk. Nothing here needs torch."""

from .page import write_page
from .picture import picture
from .run_folder import Run, read_run, read_runs
from .table import Row, comparison
from .terminal import print_table

__all__ = ["Row", "Run", "comparison", "picture", "print_table", "read_run", "read_runs", "write_page"]
