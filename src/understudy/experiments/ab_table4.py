"""MIT scenes, transfer learning: Heo et al., AAAI 2019, table 4.

A ResNet-50 that knows ImageNet's classes teaches a MobileNet 67 indoor scenes from a few images of each.

Run:    understudy reproduce ab_table4 5 --teacher-weights FILE
Expect: 43.36 % accuracy for AB + DTL with 5 images of each class, with the paper's teacher.
"""

from understudy.experiments.ab_transfer import CITATION, transfer_table

SAMPLES = (5, 10, 20, 40, 80)

# Accuracy in per cent at each number of images of a class.
PUBLISHED = {
    "imagenet_pretrained": (32.39, 42.46, 52.99, 62.54, 69.78),
    "random_init": (11.12, 17.99, 30.37, 43.88, 56.94),
    "dtl": (20.52, 34.55, 49.78, 59.48, 64.93),
    "dtl+fitnet": (29.55, 43.81, 53.51, 63.36, 66.57),
    "dtl+fsp": (25.60, 39.63, 51.42, 60.08, 63.73),
    "at+dtl": (22.61, 35.37, 49.10, 60.15, 65.15),
    "dtl+jacobian": (26.64, 38.28, 51.34, 61.19, 63.96),
    "ab+dtl": (43.36, 56.72, 66.34, 70.75, 74.10),
}

AB_TABLE4 = transfer_table(
    name="ab_table4",
    title="MIT scenes: accuracy with few training images of each class",
    citation=f"{CITATION}, table 4",
    dataset="mit_scenes",
    data="mit67",
    samples=SAMPLES,
    published=PUBLISHED,
)
