"""Runs: from settings to a trained student in its folder."""

from understudy.engine.distil import distil
from understudy.engine.run import Result, execute

__all__ = ["Result", "distil", "execute"]
