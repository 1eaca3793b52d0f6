"""CUB-200-2011, transfer learning: Heo et al., AAAI 2019, table 5.

A ResNet-50 that knows ImageNet's classes teaches a MobileNet 200 species of birds from a few images of each.

Run:    understudy reproduce ab_table5 1 --teacher-weights FILE
Expect: 13.38 % accuracy for AB + DTL with 1 image of each class, with the paper's teacher.
"""

from understudy.experiments.ab_transfer import CITATION, transfer_table

SAMPLES = (1, 5, 10, 20, 30)

# Accuracy in per cent at each number of images of a class.
PUBLISHED = {
    "imagenet_pretrained": (8.01, 29.84, 48.83, 69.02, 74.70),
    "random_init": (2.40, 10.68, 25.54, 44.43, 56.63),
    "dtl": (5.35, 26.29, 42.15, 48.24, 62.05),
    "dtl+fitnet": (10.70, 36.75, 50.74, 52.85, 63.93),
    "dtl+fsp": (7.06, 29.43, 42.44, 43.96, 56.52),
    "at+dtl": (6.65, 28.56, 44.43, 52.80, 63.70),
    "dtl+jacobian": (7.85, 31.02, 45.39, 49.41, 60.11),
    "ab+dtl": (13.38, 45.39, 57.11, 62.93, 70.54),
}

AB_TABLE5 = transfer_table(
    name="ab_table5",
    title="CUB-200-2011: accuracy with few training images of each class",
    citation=f"{CITATION}, table 5",
    dataset="cub_2011",
    data="cub200",
    samples=SAMPLES,
    published=PUBLISHED,
)
