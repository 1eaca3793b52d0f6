"""Method + teacher + student -> one module that answers the loss and its named terms."""

from understudy.distiller.comparisons import Comparison, Site
from understudy.distiller.distiller import TASK, Distiller, Wanted
from understudy.distiller.objective import cross_entropy

__all__ = ["TASK", "Comparison", "Distiller", "Site", "Wanted", "cross_entropy"]
