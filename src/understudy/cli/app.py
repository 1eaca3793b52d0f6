"""The program: its commands hang on `app`, and its mistakes end in one sentence."""

import os
import sys

import typer
import typer.main
from rich.console import Console

from understudy.spec import RunFailedError, setting_called

STOPPED_BY_KEY = 130

app = typer.Typer(
    name="understudy",
    help="Move what a large vision network knows into a small one.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)


def console() -> Console:
    """The terminal, as wide as it is, or 120 columns where there is none; of several processes the first one has it."""
    # As `processes.is_launched` has it, without torch, which no command waits for to say that it was misspelt.
    if "TORCHELASTIC_RUN_ID" in os.environ and os.environ.get("RANK") != "0":
        return Console(quiet=True)
    out = Console()
    return out if out.is_terminal or "COLUMNS" in os.environ else Console(width=120)


def main() -> None:
    """Exit status 0 when done, 2 for a mistake in what was asked, 1 for a run that failed or was stopped."""
    try:
        words = [_at_home(word) for word in sys.argv[1:]]
        _refuse_settings_as_options(words)
        app(standalone_mode=True, args=words)
    except ValueError as error:
        _fail(error, 2)
    except RunFailedError as error:
        _fail(error, 1)
    except SystemExit as ending:
        # A key pressed where there is nothing to save; typer's number for it says that a signal ended the program.
        if ending.code != STOPPED_BY_KEY:
            raise
        sys.exit(1)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        _fail(error, 1)


def _refuse_settings_as_options(words: list[str]) -> None:
    """ValueError for --lr 0.1, with how a setting is given, where the command takes settings and has no such option."""
    parameters = getattr(typer.main.get_command(app), "commands", {}).get(words[0] if words else "")
    known = {name for one in getattr(parameters, "params", ()) for name in (*one.opts, *one.secondary_opts)}
    if "words" not in known:
        return
    for place, word in enumerate(words[1:], 2):
        option, equals, value = word.partition("=")
        if not option.startswith("--") or option in (*known, "--", "--help"):
            continue
        setting = setting_called(option)
        if setting is not None:
            value = value if equals else next(iter(words[place : place + 1]), "")
            raise ValueError(
                f"there is no option {option}; settings are given as words: {setting}={value or 'VALUE'} "
                f"(`understudy list settings` has all of them)"
            )


def _at_home(word: str) -> str:
    """--out=~/runs as shells have `--out ~/runs`: ~ is the home folder there too."""
    option, equals, value = word.partition("=")
    return f"{option}={os.path.expanduser(value)}" if equals and option.startswith("--") else word


def _fail(error: Exception, status: int) -> None:
    for line in str(error).splitlines():
        sys.stderr.write(f"understudy: {line}\n")
    sys.exit(status)
