"""METHODS: every method of the line, as the design-aspects table of the overhaul paper writes them.

Weights are for wide residual networks on 32-pixel images in SGD at a rate of 0.1, with their source beside them.
Networks whose layers have other sizes want other ones: `run.balance` sets them by the gradients.
"""

from dataclasses import replace

from understudy.connectors import Conv1x1BN, LinearHead, MatchLength, MatchWidth
from understudy.losses.ab import activation_boundary, signs
from understudy.losses.at import attention, attention_gradient
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
from understudy.methods.declare import LOGITS, Aspects, Method, Phase, Term

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
    source="100 times the mean square, as NST's comparison (lambda = 100) and RepDistiller have it; the last group as "
    "in the AB paper's tables; the FitNet paper's is not known to us",
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
    distance=attention,
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
    aspects=Aspects(
        teacher="input gradient", student="input gradient", distance="L2", missing="all but the gradient's direction"
    ),
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

# The AB paper's 20 + 100 epochs: a constant rate and no labels in the first. FitNet, FSP and Lp as in its tables.
INITIALISE = Phase(name="initialise", labels=0.0, share=20 / 120, optim={"sched": "constant"})
TRAIN = Phase(name="train", share=100 / 120)
TRAIN_AS_AB = replace(TRAIN, terms=(KD_AS_AB,), labels=0.0)

HINTON = "Hinton, Vinyals & Dean, NIPS workshop 2014"
HEO_AB = "Heo, Lee, Yun & Choi, AAAI 2019"
ROMERO = "Romero et al., ICLR 2015"
YIM = "Yim, Joo, Bae & Kim, CVPR 2017"
ZAGORUYKO = "Zagoruyko & Komodakis, ICLR 2017"
SRINIVAS = "Srinivas & Fleuret, ICML 2018"
HUANG = "Huang & Wang, arXiv 2017"

METHODS: dict[str, Method] = {
    "none": Method(
        title="Cross-entropy",
        paper="no transfer: the student alone",
        phases=(Phase(name="train"),),
    ),
    "kd": Method(
        title="KD",
        paper=HINTON,
        family="response",
        phases=(Phase(name="train", terms=(KD,)),),
        notes="cross-entropy + T^2 KL, T = 4",
    ),
    "kd_only": Method(
        title="KD without labels",
        paper=f"{HINTON}, as in the AB authors' experiments",
        family="response",
        phases=(Phase(name="train", terms=(KD_AS_AB,), labels=0.0),),
        notes="KL at T = 3 without T^2, no cross-entropy",
    ),
    "dtl": Method(
        title="DTL",
        paper=f"{HEO_AB}, transfer learning",
        family="response",
        phases=(Phase(name="train", terms=(DTL,)),),
        notes="the teacher may know other classes; its logits get a head of their own, dropped afterwards",
    ),
    "bss": Method(
        title="BSS",
        paper="Heo, Lee, Yun & Choi, AAAI 2019 (adversarial samples supporting the decision boundary)",
        family="response",
        phases=(Phase(name="train", terms=(BSS_CLEAN, BSS)),),
        notes="cross-entropy + KD + KD on images moved to the teacher's boundary",
    ),
    "fitnet": Method(
        title="FitNet",
        paper=ROMERO,
        family="activation",
        phases=(replace(INITIALISE, terms=(HINT,)), TRAIN),
        notes="hints first, then cross-entropy; fitnet+kd has the paper's second stage",
    ),
    "lp": Method(
        title="Lp",
        paper=f"{HEO_AB}, table 7",
        family="activation",
        phases=(replace(INITIALISE, terms=(LP,)), TRAIN),
        notes="terms.lp.p=2, 1 or 0.5",
    ),
    "ab": Method(
        title="AB",
        paper=HEO_AB,
        family="activation",
        phases=(replace(INITIALISE, terms=(AB,)), TRAIN),
        notes="activation boundaries first, then cross-entropy",
    ),
    "ofd": Method(
        title="OFD",
        paper="Heo, Kim, Yun, Park, Kwak & Choi, ICCV 2019",
        family="activation",
        phases=(Phase(name="train", terms=(OFD,)),),
        teacher_mode="batch",
        notes="terms.ofd.form=authors has the margin of the authors' code",
    ),
    "at": Method(
        title="AT",
        paper=ZAGORUYKO,
        family="map",
        phases=(Phase(name="train", terms=(AT,)),),
    ),
    "at_gradient": Method(
        title="AT, gradient form",
        paper=f"{ZAGORUYKO}, section 3.2",
        family="map",
        phases=(Phase(name="train", terms=(AT_GRADIENT,)),),
    ),
    "nst": Method(
        title="NST",
        paper=HUANG,
        family="map",
        phases=(Phase(name="train", terms=(NST,)),),
        notes="terms.nst.kernel=polynomial, linear or gaussian",
    ),
    "fsp": Method(
        title="FSP",
        paper=YIM,
        family="map",
        phases=(replace(INITIALISE, terms=(FSP,)), TRAIN),
    ),
    "jacobian": Method(
        title="Jacobian",
        paper=SRINIVAS,
        family="map",
        phases=(Phase(name="train", terms=(JACOBIAN, replace(AT, name="jacobian_at"))),),
        notes="with attention transfer, as the paper's eq. 10",
    ),
    "ft": Method(
        title="FT",
        paper="Kim, Park & Kwak, NeurIPS 2018",
        family="map",
        phases=(
            Phase(name="paraphrase", guides=(FT,), labels=0.0, share=5 / 169, optim={"sched": "constant"}),
            Phase(name="train", terms=(FT,), share=164 / 169),
        ),
    ),
    "kd_svd": Method(
        title="KD-SVD",
        paper="Lee, Kim & Song, ECCV 2018",
        family="relation",
        phases=(Phase(name="train", terms=(KD_SVD,)),),
    ),
    "mhgd": Method(
        title="MHGD",
        paper="Lee & Song, BMVC 2019",
        family="relation",
        phases=(
            Phase(name="attend", guides=(MHGD,), labels=0.0, share=40 / 140, optim={"weight_decay": 0.0}),
            Phase(name="train", terms=(MHGD,), share=100 / 140),
        ),
    ),
    "rkd": Method(
        title="RKD",
        paper="Park, Kim, Lu & Cho, CVPR 2019",
        family="relation",
        phases=(Phase(name="train", terms=(RKD_DISTANCE, RKD_ANGLE)),),
    ),
    "selective": Method(
        title="Selective KD",
        paper="after Ge, Zhao, Li & Li, TIP 2019: our reconstruction",
        family="selection",
        phases=(Phase(name="train", terms=(SELECTIVE,)),),
        notes="no code of the paper is public; the graph cut's energy and all weights are ours",
    ),
    "ab+kd": Method(
        title="AB + KD",
        paper=HEO_AB,
        family="activation, response",
        phases=(replace(INITIALISE, terms=(AB,)), TRAIN_AS_AB),
        notes="as the authors trained: the second phase is kd_only; method.labels=true adds the cross-entropy",
    ),
    "fitnet+kd": Method(
        title="FitNet + KD",
        paper=f"{ROMERO}, as in the AB paper's tables",
        family="activation, response",
        phases=(replace(INITIALISE, terms=(HINT,)), TRAIN_AS_AB),
        notes="the second phase is kd_only",
    ),
    "fsp+kd": Method(
        title="FSP + KD",
        paper=f"{YIM}, as in the AB paper's tables",
        family="map, response",
        phases=(replace(INITIALISE, terms=(FSP,)), TRAIN_AS_AB),
        notes="the second phase is kd_only",
    ),
    "at+kd": Method(
        title="AT + KD",
        paper=f"{ZAGORUYKO}, as in the AB paper's tables",
        family="map, response",
        phases=(Phase(name="train", terms=(AT, KD_AS_AB), labels=0.0),),
        notes="jointly with kd_only",
    ),
    "jacobian+kd": Method(
        title="Jacobian + KD",
        paper=f"{SRINIVAS}, as in the AB paper's tables",
        family="map, response",
        phases=(Phase(name="train", terms=(JACOBIAN, replace(AT, name="jacobian_at"), KD_AS_AB), labels=0.0),),
        notes="jointly with kd_only",
    ),
    "fitnet+kd+nst": Method(
        title="FitNet + KD + NST",
        paper=f"{HUANG}, table 2",
        family="activation, response, map",
        phases=(Phase(name="train", terms=(HINT, KD, NST)),),
        notes="all at once, as the NST paper's tables",
    ),
    "ab+dtl": Method(
        title="AB + DTL",
        paper=f"{HEO_AB}, tables 4 and 5",
        family="activation, response",
        phases=(
            replace(INITIALISE, terms=(replace(AB, weight=1e-3), DTL_OF_1000), share=60 / 100),
            replace(TRAIN, terms=(DTL_OF_1000,), share=40 / 100),
        ),
        notes="the logits' head is learnt in both phases",
    ),
}
