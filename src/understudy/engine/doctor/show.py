"""The findings in a terminal: problems first, in full, then a line for each thing that is fine."""

from collections.abc import Sequence

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from understudy.engine.doctor.finding import Finding, problems

MARKS = {"error": ("✗ error", "bold red"), "warning": ("! warning", "bold yellow")}
WIDEST = 100
LONGEST = 600


def show(findings: Sequence[Finding], console: Console, title: str) -> None:
    """What is wrong, why it matters and what to do, then what is fine, then how many of each."""
    width = min(WIDEST, console.width - 2)
    console.print(Text(title, style="bold"))
    console.print()
    for one in problems(findings):
        mark, style = MARKS[one.severity]
        console.print(Text.assemble((mark, style), "  ", (one.check, "bold")))
        told = [Text(part, style=tone) for part, tone in ((one.found, ""), (one.why, "dim")) if part]
        for text in told:
            console.print(Padding(text, (0, 0, 0, 2), expand=False), width=width, highlight=False)
        if one.do:
            console.print(_arrow(_shortened(one.do)), width=width, highlight=False)
        console.print()
    fine = [one for one in findings if one.severity == "fine"]
    if fine:
        console.print(_fine(fine), width=width, highlight=False)
        console.print()
    console.print(_counts(findings), highlight=False)


def _shortened(do: str) -> str:
    """A list of a thousand classes is read from the JSON."""
    return do if len(do) <= LONGEST else f"{do[:LONGEST]} ... (whole with --json)"


def _arrow(do: str) -> Table:
    row = Table.grid(padding=(0, 1))
    row.add_row(Text("  →", style="cyan"), Text(do, style="cyan", overflow="fold"))
    return row


def _fine(findings: Sequence[Finding]) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for one in findings:
        table.add_row(Text.assemble(("✓ ", "green"), one.check), Text(one.found, style="dim"))
    return table


def _counts(findings: Sequence[Finding]) -> Text:
    counts = {name: sum(one.severity == name for one in findings) for name in ("error", "warning", "fine")}
    words = [
        (f"{counts['error']} error{'s' * (counts['error'] != 1)}", "bold red" if counts["error"] else ""),
        (f"{counts['warning']} warning{'s' * (counts['warning'] != 1)}", "bold yellow" if counts["warning"] else ""),
        (f"{counts['fine']} fine", "green"),
    ]
    return Text(", ").join(Text(word, style=style) for word, style in words)
