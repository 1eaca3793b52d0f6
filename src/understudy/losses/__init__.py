"""One function per distance: student first, teacher second, a scalar out, averaged over the batch."""

from understudy.losses.ab import activation_agreement, activation_boundary
from understudy.losses.at import attention, attention_energy, attention_gradient, attention_map, attention_to_energy
from understudy.losses.bss import boundary_batch, boundary_samples
from understudy.losses.dtl import dtl
from understudy.losses.fitnet import hint
from understudy.losses.fsp import flow_matrix, fsp
from understudy.losses.ft import Paraphraser, Translator, factor, factor_transfer
from understudy.losses.jacobian import attention_peak, jacobian
from understudy.losses.kd import kd
from understudy.losses.kd_svd import kd_svd
from understudy.losses.lp import lp
from understudy.losses.mhgd import GraphHead, mhgd
from understudy.losses.nst import nst
from understudy.losses.ofd import MarginReLU, negative_mean, partial_l2
from understudy.losses.rkd import rkd_angle, rkd_distance
from understudy.losses.selective import regression, select

__all__ = [
    "GraphHead",
    "MarginReLU",
    "Paraphraser",
    "Translator",
    "activation_agreement",
    "activation_boundary",
    "attention",
    "attention_energy",
    "attention_gradient",
    "attention_map",
    "attention_peak",
    "attention_to_energy",
    "boundary_batch",
    "boundary_samples",
    "dtl",
    "factor",
    "factor_transfer",
    "flow_matrix",
    "fsp",
    "hint",
    "jacobian",
    "kd",
    "kd_svd",
    "lp",
    "mhgd",
    "negative_mean",
    "nst",
    "partial_l2",
    "regression",
    "rkd_angle",
    "rkd_distance",
    "select",
]
