"""What evaluate prints, at the widths of terminals."""

import io

import pytest
from rich.console import Console

from understudy.report.measurement import print_measurement


def measured(num_classes, **changes):
    classes = [
        {
            "name": f"class {index}",
            "num_images": 1000,
            "accuracy_pct": 99.0 - index,
            "taken_for": f"class {index - 1}" if index else None,
            "taken_for_pct": float(index),
        }
        for index in range(num_classes)
    ]
    return {
        "model": "wrn16-2",
        "data": "cifar10",
        "split": "test",
        "num_images": 10000,
        "accuracy_pct": 82.44,
        "error_pct": 17.56,
        "top5_pct": 99.28,
        "nll": 0.54041,
        "mean_confidence_pct": 88.32,
        "ece_pct": 5.91,
        "teacher": {"model": "wrn22-4", "accuracy_pct": 91.6, "equal_pct": 84.2, "kl": 0.3125},
        "parameters": 691674,
        "precision": {"dtype": "float32"},
        "runtime": "torch",
        "images_per_s": 705.2,
        "per_class": classes,
        **changes,
    }


def printed(found, width=80, **options):
    console = Console(file=io.StringIO(), width=width)
    print_measurement(found, console, **options)
    return console.file.getvalue()


def test_the_sums_stand_first():
    text = printed(measured(10))
    for words in (
        "wrn16-2 on 10,000 test images of cifar10",
        "accuracy 82.44 %, error 17.56 %, top-5 99.28 %",
        "cross-entropy 0.5404, mean confidence 88.32 %, expected calibration error 5.91 %",
        "teacher wrn22-4 (91.60 %): 84.20 % of the answers equal, KL 0.3125",
        "691,674 parameters, float32, torch, 705 images/s",
    ):
        assert words in text


def test_what_was_not_measured_is_left_out():
    text = printed(measured(3, top5_pct=None, teacher=None, parameters=None))
    assert "top-5" not in text and "teacher" not in text and "parameters" not in text and "None" not in text


def rows(text):
    return [line.split()[1] for line in text.splitlines() if line.startswith("class ") and "images" not in line]


def test_the_fifteen_worst_classes_are_shown_from_the_worst_on():
    text = printed(measured(40))
    assert rows(text) == [str(index) for index in range(39, 24, -1)]
    assert "and 25 classes more, better read than these: --all" in text
    everything = printed(measured(40), all_classes=True)
    assert len(rows(everything)) == 40 and "--all" not in everything


def test_a_class_without_images_stands_last_and_without_numbers():
    found = measured(3)
    found["per_class"][2] |= {"num_images": 0, "accuracy_pct": None, "taken_for": None, "taken_for_pct": 0.0}
    assert rows(printed(found)) == ["1", "0", "2"]


@pytest.mark.parametrize("width", [80, 120])
def test_long_names_stay_whole_and_numbers_on_their_line(width):
    found = measured(2)
    name = "[bold]great white shark, man-eater, Carcharodon carcharias, of the order Lamniformes"
    found["per_class"][1] |= {"name": name, "taken_for": name}
    text = printed(found, width=width)
    assert all(len(line) <= width for line in text.splitlines())
    assert text.count("[bold]") == 2 and "Lamniformes" in text and "98.00" in text and "1,000" in text
