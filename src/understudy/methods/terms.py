"""The comparisons that methods are made of, as the design-aspects table of the overhaul paper writes them.

Weights are for wide residual networks on 32-pixel images in SGD at a rate of 0.1, with their source beside them.
Networks whose layers have other sizes want other ones: `run.balance` sets them by the gradients.
"""

from dataclasses import replace

from understudy.connectors import Conv1x1BN, LinearHead, MatchLength, MatchWidth
from understudy.losses.ab import activation_boundary, signs
from understudy.losses.at import attention_energy, attention_gradient, attention_to_energy
from understudy.losses.bss import boundary_batch, boundary_weight, clean_weight
from understudy.losses.dtl import dtl
from understudy.losses.fitnet import hint
from understudy.losses.fsp import fsp
from understudy.losses.ft import Paraphraser, Translator, factor_transfer
from understudy.losses.jacobian import attention_peak, jacobian
from understudy.losses.kd import kd
from understudy.losses.kd_svd import kd_svd
from understudy.losses.lp import lp
from understudy.losses.mhgd import GraphHead, mhgd
from understudy.losses.nst import nst
from understudy.losses.ofd import MarginReLU, partial_l2
from understudy.losses.rkd import rkd_angle, rkd_distance
from understudy.losses.selective import regression, select
from understudy.methods.declare import LOGITS, Aspects, Term

CONNECTOR = "1x1 conv + BN"
CONNECTOR_IF_NEEDED = "1x1 conv + BN where widths differ"

KD = Term(
    name="kd",
    tap=LOGITS,
    distance=kd,
    options={"temperature": 4.0},
    source="Hinton et al. 2014; T = 4 as in the AT and NST experiments",
    aspects=Aspects(teacher="softened softmax", student="softened softmax", distance="KL"),
)

# The second phase of the AB authors' program.
KD_AS_AB = replace(
    KD,
    weight=1.0 / 3.0**2,
    options={"temperature": 3.0},
    source="the AB authors' CIFAR-10 code: T = 3, without the factor T^2",
)

DTL = Term(
    name="dtl",
    tap="embedding",
    teacher_tap=LOGITS,
    student=LinearHead,
    distance=dtl,
    weight=0.1,
    source="the AB authors' code for MIT scenes has 10 times the mean over 1000 classes; this is as much for each "
    "logit of 10 classes, where 10 diverged at a rate of 0.1",
    aspects=Aspects(teacher="centred", student="linear head, centred", distance="L2", missing="mean of the logits"),
)

DTL_OF_1000 = replace(DTL, weight=10.0, source="the AB authors' code for MIT scenes: 10, for a teacher of 1000 classes")

# Soft cross-entropy at T = 3 without T^2, as the divergence: the gradient is the same, the teacher's entropy left out.
BSS_CLEAN = replace(
    KD_AS_AB,
    name="bss_clean",
    schedule=clean_weight,
    source="the BSS authors' code: T = 3, no T^2, weight from 4 to 1",
)
BSS = replace(
    BSS_CLEAN,
    name="bss",
    inputs=boundary_batch,
    schedule=boundary_weight,
    source="the BSS authors' code: T = 3, no T^2, weight from 2 to 0 at three quarters of the phase",
    aspects=Aspects(teacher="softened softmax", student="softened softmax", distance="KL on boundary samples"),
)

HINT = Term(
    name="fitnet",
    tap="after_relu",
    layers="last",
    student=Conv1x1BN,
    distance=hint,
    over="elements",
    weight=200.0,
    source="100 times the mean square, as RepDistiller has it (NST's comparison: lambda = 100, over what is not known "
    "to us); the last group as in the AB paper's tables; the FitNet paper's is not known to us",
    aspects=Aspects(student=CONNECTOR, distance="L2"),
)

LP = Term(
    name="lp",
    tap="before_relu",
    student=MatchWidth,
    distance=lp,
    weight=3e-3,
    ladder=0.5,
    options={"p": 2.0},
    source="the AB paper's is not known to us; AB's weight and ladder",
    aspects=Aspects(teacher="ReLU", student=f"{CONNECTOR_IF_NEEDED}, ReLU", distance="Lp", missing="negative features"),
)

AB = Term(
    name="ab",
    tap="before_relu",
    teacher=signs,
    student=MatchWidth,
    distance=activation_boundary,
    weight=3e-3,
    ladder=0.5,
    options={"margin": 1.0},
    source="the AB authors' CIFAR-10 code: 3/1000, each earlier layer half of the next",
    aspects=Aspects(
        teacher="binarization", student=CONNECTOR_IF_NEEDED, distance="marginal L2", missing="feature values"
    ),
)

AB_OF_SCENES = replace(AB, weight=1e-3, source="the AB authors' code for MIT scenes: 1/1000")

OFD = Term(
    name="ofd",
    tap="before_relu",
    teacher=MarginReLU,
    student=Conv1x1BN,
    distance=partial_l2,
    weight=1e-3,
    ladder=0.5,
    source="the overhaul authors' CIFAR-100 code: 1/1000, each earlier layer half of the next",
    aspects=Aspects(teacher="margin ReLU", student=CONNECTOR, distance="partial L2", missing="negative features"),
)

AT = Term(
    name="at",
    tap="group_end",
    teacher=attention_energy,
    distance=attention_to_energy,
    over="positions",
    weight=1e3,
    options={"power": 2.0},
    source="the AT authors' code: 1000 times the mean over images and positions",
    aspects=Aspects(teacher="attention", student="attention", distance="L2", missing="channel dims"),
)

AT_GRADIENT = Term(
    name="at_gradient",
    tap=LOGITS,
    distance=attention_gradient,
    needs=("labels", "images"),
    weight=10.0,
    source="the paper's is not known to us; ours",
    aspects=Aspects(teacher="input gradient", student="input gradient", distance="L2", missing="all but the gradient"),
)

NST = Term(
    name="nst",
    tap="after_relu",
    layers="last",
    distance=nst,
    weight=25.0,
    options={"kernel": "polynomial"},
    source="the NST paper, eq. 3: lambda/2 with lambda = 50; for the Gaussian kernel 100, that is terms.nst.weight=50",
    aspects=Aspects(
        teacher="unit channels", student="unit channels", distance="squared MMD", missing="order and scale of channels"
    ),
)

FSP = Term(
    name="fsp",
    tap="group_end",
    span=2,
    student=MatchWidth,
    distance=fsp,
    weight=5e-4,
    source="half the sum times 1/1000, as in a public TensorFlow implementation; the paper's is not known to us",
    aspects=Aspects(
        teacher="correlation",
        student=f"{CONNECTOR_IF_NEEDED}, correlation",
        distance="L2",
        missing="spatial dims",
    ),
)

JACOBIAN = Term(
    name="jacobian",
    tap="group_end",
    teacher=attention_peak,
    student=attention_peak,
    distance=jacobian,
    needs=("images",),
    weight=1.0,
    source="the paper's is not known to us; ours",
    aspects=Aspects(teacher="gradient", student="gradient", distance="L2", missing="channel dims"),
)

FT = Term(
    name="ft",
    tap="after_relu",
    layers="last",
    guide=Paraphraser,
    student=Translator,
    distance=factor_transfer,
    needs=("guide",),
    weight=500.0,
    source="the FT authors' code: 500 times the mean over the factor's elements",
    aspects=Aspects(teacher="auto encoder", student="auto encoder", distance="L1", missing="auto encoded"),
)

KD_SVD = Term(
    name="kd_svd",
    tap="after_relu",
    span=2,
    student=MatchWidth,
    distance=kd_svd,
    clip=True,
    weight=128.0,
    options={"k": 1},
    source="the sum over a batch of 128 in the authors' code, clipped to the task's gradient",
    aspects=Aspects(
        teacher="singular vectors",
        student=f"{CONNECTOR_IF_NEEDED}, singular vectors",
        distance="L2 of RBF relations",
        missing="spatial dims",
    ),
)

MHGD = Term(
    name="mhgd",
    tap="after_relu",
    span=2,
    student=MatchWidth,
    guide=GraphHead,
    distance=mhgd,
    needs=("guide",),
    clip=True,
    across_images=True,
    weight=128.0,
    source="the sum over a batch of 128 in the authors' code, clipped to the task's gradient",
    aspects=Aspects(
        teacher="singular vectors, attention graph",
        student=f"{CONNECTOR_IF_NEEDED}, singular vectors, attention graph",
        distance="KL",
        missing="all but relations between images",
    ),
)

RKD_DISTANCE = Term(
    name="rkd_distance",
    tap="embedding",
    distance=rkd_distance,
    across_images=True,
    weight=25.0,
    source="an author's advice for classification: 25 to 100; 25 and 50 are usual",
    aspects=Aspects(
        teacher="pairs' distances", student="pairs' distances", distance="Huber", missing="place and scale"
    ),
)
RKD_ANGLE = replace(
    RKD_DISTANCE,
    name="rkd_angle",
    distance=rkd_angle,
    weight=50.0,
    source="an author's advice for classification: 25 to 100; 25 and 50 are usual",
    aspects=Aspects(teacher="triples' angles", student="triples' angles", distance="Huber", missing="place and scale"),
)

SELECTIVE = Term(
    name="selective",
    tap="embedding",
    student=MatchLength,
    distance=regression,
    needs=("keep",),
    select=select,
    over="elements",
    weight=16.0,
    options={"keep": 0.75, "smoothness": 0.1},
    source="the paper's is not known to us; ours, a gradient about as long as the labels' at the start",
    aspects=Aspects(teacher="selection by graph cut", student="linear where lengths differ", distance="L2"),
)
