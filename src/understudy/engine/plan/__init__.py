"""What a run will do: its settings with the networks, data and phases they name."""

from understudy.engine.plan.check import check_classes, check_names
from understudy.engine.plan.images import load_data, loading_of
from understudy.engine.plan.make import make_plan
from understudy.engine.plan.plan import Plan

__all__ = ["Plan", "check_classes", "check_names", "load_data", "loading_of", "make_plan"]
