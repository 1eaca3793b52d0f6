"""The command line: parses, calls, prints. torch is imported inside the commands, so that --help answers at once."""

# A command registers itself where its file is imported; the order is that of --help.
from understudy.cli import run, doctor, evaluate, export, layers, listing, tables  # noqa: F401, I001
from understudy.cli.app import app, main

__all__ = ["app", "main"]
