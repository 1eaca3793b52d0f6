"""One function per distance: student first, teacher second, a scalar out, averaged over the batch."""

from understudy.losses.ab import activation_agreement, activation_boundary
from understudy.losses.kd import kd

__all__ = ["activation_agreement", "activation_boundary", "kd"]
