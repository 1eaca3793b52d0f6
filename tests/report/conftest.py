"""Run folders as the engine leaves them, with plausible numbers and no training."""

import json
import math
from pathlib import Path

import pytest

STEPS_PER_EPOCH = 390
LAYERS = ("block1.layer.1.bn1", "block2.layer.1.bn1", "block3.layer.1.bn1", "bn1")
TEACHER = {
    "name": "wrn22-4",
    "parameters": 4302202,
    "multiply_adds": 640_000_000,
    "weights": "teachers/wrn22-4.safetensors",
    "sha256": "7e" * 32,
    "scores": {"accuracy_pct": 91.62},
}
PHASES = {
    "none": [("train", 6, {}, True)],
    "kd": [("train", 6, {"kd": 1.0}, True)],
    "ab+kd": [("initialise", 1, {"ab": 0.003}, False), ("train", 5, {"kd": 1.0}, False)],
}
TITLES = {"none": "cross-entropy", "kd": "KD", "ab+kd": "AB+KD"}


class RunFolders:
    """Makes run folders under one root: `folders.make("ab+kd", 83.61)`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def make(self, method, accuracy_pct, *, name=None, folder=None, teacher=TEACHER, task="distill",
             phases=None, finished_epochs=None, steps_behind=0, student="wrn16-2", seed=0, title=None,
             agreement=0.8, split="test"):  # fmt: skip
        """A run that ends at `accuracy_pct`; killed after `finished_epochs` where that is given."""
        path = self.root / (folder or name or method)
        path.mkdir(parents=True)
        phases = phases or PHASES[method]
        total = sum(phase[1] for phase in phases)
        done = total if finished_epochs is None else finished_epochs
        title = title or TITLES.get(method, method)
        facts = self._facts(method, name or method, title, phases, task, teacher)
        facts["student"]["name"], facts["seed"] = student, seed
        write(path / "run.json", facts)
        (path / "settings.yaml").write_text(f"method: {method}\nstudent: {student}\nlr: 0.1\n")
        measures = agreement if teacher and method != "none" else None
        lines = list(self._records(phases, done, steps_behind, accuracy_pct, measures, split))
        (path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        if finished_epochs is None:
            epochs = [line for line in lines if line["kind"] == "epoch"]
            write(path / "summary.json", self._summary(facts, phases, epochs, split, measures))
        return path

    def _facts(self, method, name, title, phases, task, teacher):
        return {
            "understudy": "0.1.0",
            "task": task,
            "name": name,
            "command": f"understudy {task} --student wrn16-2 --method {method} --data cifar10",
            "started": "2025-03-04T10:11:12+00:00",
            "headline": {"name": "accuracy_pct"},
            "seed": 0,
            "batch_size": 128,
            "method": {
                "name": method,
                "title": title,
                "paper": "Heo et al., AAAI 2019",
                "teacher_mode": "eval",
                "phases": [
                    {
                        "name": phase,
                        "epochs": epochs,
                        "steps": epochs * STEPS_PER_EPOCH,
                        "terms": {
                            term: {"weight": weight, "positions": [[layer, layer] for layer in LAYERS]}
                            for term, weight in terms.items()
                        },
                        "labels": labels,
                    }
                    for phase, epochs, terms, labels in phases
                ],
            },
            "student": {"name": "", "parameters": 691674, "multiply_adds": 101_000_000, "weights": None},
            "teacher": teacher,
            "data": {"name": "cifar10", "train_images": 50000, "test_images": 10000, "validation_images": 0,
                     "classes": 10, "image_shape": [3, 32, 32], "sha256": "c1" * 32},
            "precision": {"dtype": "bfloat16", "channels_last": True, "compile": True, "device": "cpu"},
            "versions": {"python": "3.11.9", "torch": "2.15.0"},
            "hardware": {"cpu": "Some CPU @ 2.40GHz", "cores": 2, "gpu": None, "memory_gib": 23},
        }  # fmt: skip

    def _records(self, phases, done, steps_behind, accuracy_pct, agreement, split):
        epoch, total = 0, sum(phase[1] for phase in phases)
        for phase, epochs, terms, labels in phases:
            for _ in range(epochs):
                if epoch == done and not steps_behind:
                    return
                epoch += 1
                last = STEPS_PER_EPOCH if epoch <= done else steps_behind
                for step in range(50, last + 1, 50):
                    at = epoch - 1 + step / STEPS_PER_EPOCH
                    yield {"kind": "steps", "phase": phase, "epoch": epoch,
                           "step": (epoch - 1) * STEPS_PER_EPOCH + step, "lr": 0.1,
                           "terms": values(terms, labels, at), "images_per_s": 220.0}  # fmt: skip
                if epoch > done:
                    return
                share = 0.0 if phase == "initialise" else (epoch / total) ** 0.3
                accuracy = {"accuracy_pct": round(10 + (accuracy_pct - 10) * share, 2), "loss": 2.3 - share}
                yield {"kind": "epoch", "phase": phase, "epoch": epoch, "step": epoch * STEPS_PER_EPOCH,
                       "terms": values(terms, labels, epoch - 0.5), "scores": {split: accuracy},
                       "agreement": agreements(agreement, epoch / total), "train_s": 230.5 + epoch,
                       "images_per_s": 217.25 if phase == "initialise" else 203.5}  # fmt: skip

    def _summary(self, facts, phases, epochs, split, agreement):
        curve = {record["epoch"]: record["scores"][split]["accuracy_pct"] for record in epochs}
        best = max(curve, key=curve.__getitem__)
        times = [(phase[0], [line for line in epochs if line["phase"] == phase[0]]) for phase in phases]
        return {
            "scores": epochs[-1]["scores"][split],
            "headline": "accuracy_pct",
            "split": split,
            "epoch": len(epochs),
            "best": {"score": curve[best], "epoch": best},
            "teacher_scores": (facts["teacher"] or {}).get("scores"),
            "parameters": facts["student"]["parameters"],
            "multiply_adds": facts["student"]["multiply_adds"],
            "agreement": agreements(agreement, 1.0),
            "wall_s": 1432.5,
            "phases": [
                {"name": name, "epochs": len(lines), "train_s": sum(line["train_s"] for line in lines),
                 "images": 49920 * len(lines), "images_per_s": lines[0]["images_per_s"]}
                for name, lines in times
            ],
            "student_sha256": ("a5" if facts["task"] == "train" else "b6") * 32,
        }  # fmt: skip


def write(path: Path, found: object) -> None:
    path.write_text(json.dumps(found, indent=1))


def values(terms, labels, at):
    """Every term of a phase `at` epochs into the run: falling, with some noise."""
    noise = 1 + 0.08 * math.sin(37.0 * at)
    found = {term: (600.0 if term == "ab" else 3.0) * weight * math.exp(-0.6 * at) * noise for term, weight in
             terms.items()}  # fmt: skip
    if labels:
        found["task"] = 2.1 * math.exp(-0.25 * at) * noise
    return {"loss": sum(found.values()), **found}


def agreements(level, share):
    return level and {layer: round(level - 0.04 * at + 0.1 * share, 4) for at, layer in enumerate(LAYERS)}


@pytest.fixture
def folders(tmp_path):
    return RunFolders(tmp_path / "runs")


@pytest.fixture
def four_runs(folders):
    """A student alone, with KD, with AB+KD in two phases, and one killed on the way."""
    return [
        folders.make("none", 82.28, name="alone", teacher=None, task="train"),
        folders.make("kd", 80.20, agreement=0.62),
        folders.make("ab+kd", 88.84),
        folders.make("ab+kd", 87.0, name="ab+kd, killed", finished_epochs=2, steps_behind=200, agreement=0.7),
    ]
