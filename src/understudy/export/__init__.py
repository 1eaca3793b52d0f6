"""A finished run's student as files for others: weights alone, ONNX, a program of torch.export, and a card."""

from understudy.export.export import Exported, export_run
from understudy.export.same_answers import ExportError

__all__ = ["ExportError", "Exported", "export_run"]
