"""METHODS: every method of the line, by its phases."""

from dataclasses import replace

from understudy.methods.declare import Method, Phase
from understudy.methods.terms import (
    AB,
    AB_OF_SCENES,
    AT,
    AT_GRADIENT,
    BSS,
    BSS_CLEAN,
    DTL,
    DTL_OF_1000,
    FSP,
    FT,
    HINT,
    JACOBIAN,
    KD,
    KD_AS_AB,
    KD_SVD,
    LP,
    MHGD,
    NST,
    OFD,
    RKD_ANGLE,
    RKD_DISTANCE,
    SELECTIVE,
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
        notes="KL at T = 3 without T^2 (a weight of 1/9 takes it out), no cross-entropy",
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
        notes="hints first, then cross-entropy; the paper's second stage has KD beside it",
    ),
    "fitnet_joint": Method(
        title="FitNet, jointly",
        paper=f"{ROMERO}, as in the NST paper's tables",
        family="activation",
        phases=(Phase(name="train", terms=(HINT,)),),
        notes="hints beside the labels, in one phase",
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
            Phase(name="paraphrase", guides=(FT,), labels=0.0, share=6 / 170, optim={"sched": "constant"}),
            Phase(name="train", terms=(FT,), share=164 / 170),
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
            replace(INITIALISE, terms=(AB_OF_SCENES, DTL_OF_1000), share=60 / 100),
            replace(TRAIN, terms=(DTL_OF_1000,), share=40 / 100),
        ),
        notes="the logits' head is learnt in both phases",
    ),
}
