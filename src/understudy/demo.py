"""The whole job on data that ships with scikit-learn: a teacher, three students, a table, a picture and a page."""

import time
from pathlib import Path

from rich.console import Console

from understudy.engine.display import Display
from understudy.engine.run import execute
from understudy.report import comparison, picture, print_table, read_run, write_page
from understudy.spec import Settings, read_settings, run_files

TEACHER, STUDENT = "digits-2x16", "digits-2x8"
# Where transfer matters most: the teacher saw 1,437 scans, the students get five of each digit, 50 in all.
PER_CLASS, BATCH_SIZE, EPOCHS = 5, 25, "40+160"

# The papers' weights are for larger networks: every term is balanced to the length of the labels' gradient instead.
STUDENTS = {"alone": ("none", []), "KD": ("kd", ["run.balance=1"]), "AB+KD": ("ab+kd", ["run.balance=1"])}


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
    console.print(f"picture: {out / 'demo.png'}", highlight=False, soft_wrap=True, markup=False)
    console.print(f"report:  {page}", highlight=False, soft_wrap=True, markup=False)
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
            "teacher.weights": str(teacher / run_files.STUDENT),
            "method.name": method,
            "data.name": "digits",
            "data.per_class": PER_CLASS,
            "epochs": EPOCHS,
            "batch_size": BATCH_SIZE,
            "run.seed": seed,
        },
        words=words,
    )
