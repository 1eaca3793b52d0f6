"""The whole job on data that ships with scikit-learn: a teacher, three students, a table, a picture and a page."""

import time
from pathlib import Path

from rich.console import Console

from understudy.engine.display import Display
from understudy.engine.run import execute
from understudy.report import comparison, picture, print_table, read_run, write_page
from understudy.spec import Settings, read_settings

TEACHER, STUDENT = "digits-2x16", "digits-1x4"
# A small budget: two passes for the activation boundaries, two for the classifier.
EPOCHS = "2+2"
# The paper weighs a mean neuron by 49; its 3/1000 is that for layers of 16,384 neurons. The deepest layer here has 256.
AB_WEIGHT = 49.152 / 256

STUDENTS = {
    "alone": ("none", []),
    "KD": ("kd", []),
    "AB+KD": ("ab+kd", [f"terms.ab.weight={AB_WEIGHT}", "terms.kd.weight=1", "method.labels=true"]),
}


def run_demo(out: Path, seed: int, console: Console) -> Path:
    """Carry out all four runs in the folder `out` (finished ones are only read); the page's path."""
    started = time.perf_counter()
    teacher = out / "teacher"
    console.print("[bold]1/4[/bold] a teacher learns the digits", highlight=False)
    execute(_teacher(seed), teacher, display=Display(console))
    for number, (name, (method, words)) in enumerate(STUDENTS.items(), start=2):
        console.print(f"\n[bold]{number}/4[/bold] a student learns: {name}", highlight=False)
        execute(_student(teacher, method, words, seed), out / name, display=Display(console))
    runs = [read_run(folder) for folder in (teacher, *(out / name for name in STUDENTS))]
    console.print()
    print_table(comparison(runs), console)
    page = write_page(runs, out / "report.html", "What the digits student learnt")
    picture(runs, out / "demo.png")
    console.print(f"\ndone in {time.perf_counter() - started:.0f} s", highlight=False)
    console.print(f"picture: {out / 'demo.png'}", highlight=False, soft_wrap=True)
    console.print(f"report:  {page}", highlight=False, soft_wrap=True)
    return page


def _teacher(seed: int) -> Settings:
    return read_settings(
        options={
            "task": "train",
            "student.model": TEACHER,
            "data.name": "digits",
            "epochs": 12,
            "batch_size": 64,
            "optim.sched": "onecycle",
            "run.seed": seed,
        }
    )


def _student(teacher: Path, method: str, words: list[str], seed: int) -> Settings:
    return read_settings(
        options={
            "student.model": STUDENT,
            "teacher.model": TEACHER,
            "teacher.weights": str(teacher / "student.safetensors"),
            "method.name": method,
            "data.name": "digits",
            "epochs": EPOCHS,
            "batch_size": 32,
            "run.seed": seed,
        },
        words=words,
    )
