"""What would go wrong in a run, before it does."""

from understudy.engine.doctor.examine import examine
from understudy.engine.doctor.finding import Finding, problems

__all__ = ["Finding", "examine", "problems"]
