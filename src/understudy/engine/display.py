"""What a run shows while it goes on."""

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


class Display:
    """Lines of text, and one live bar per phase with its loss, speed and time left."""

    def __init__(self, console: Console):
        self.console = console
        self.progress = Progress(
            TextColumn("{task.description}", table_column=None, markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[status]}", markup=False),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
        )
        self.bar: int | None = None

    def say(self, text: str) -> None:
        self.console.print(text, highlight=False, soft_wrap=True, markup=False)

    def start(self, name: str, num_steps: int, done: int) -> None:
        """A phase begins, or goes on after `done` steps."""
        self.progress.start()
        self.bar = self.progress.add_task(name, total=num_steps, completed=done, status="")

    def step(self) -> None:
        if self.bar is not None:
            self.progress.advance(self.bar)  # pyright: ignore[reportArgumentType]

    def status(self, text: str) -> None:
        if self.bar is not None:
            self.progress.update(self.bar, status=text)  # pyright: ignore[reportArgumentType]

    def stop(self) -> None:
        """The bars stay as they are; the terminal is free again."""
        if self.bar is not None:
            self.progress.stop()
            self.bar = None


def silent() -> Display:
    """A display that shows nothing."""
    return Display(Console(quiet=True))
