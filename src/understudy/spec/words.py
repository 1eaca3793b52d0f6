"""Lists of names in messages."""

import json
import shlex
from collections.abc import Iterable

import yaml


def few(things: Iterable[object], shown: int = 4) -> str:
    """'a, b, c, d and 3 more'; all of them where they are no more than `shown`."""
    words = [str(thing) for thing in things]
    more = f" and {len(words) - shown:,} more" if len(words) > shown else ""
    return ", ".join(words[:shown]) + more


def kind_of(thing: object) -> str:
    """'the class Net', 'a Net' or 'an int'."""
    if isinstance(thing, type):
        return f"the class {thing.__name__}"
    name = type(thing).__name__
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"


def as_word(key: str, values: Iterable[object]) -> str:
    """key='[a, b]' as it is typed in a shell: quoted for it, and each value as YAML needs it."""
    listed = yaml.safe_dump(list(values), default_flow_style=True, width=float("inf"), allow_unicode=True).strip()
    # Where some want quotes all get JSON's, which YAML reads as well: a shell would make a riddle of the single ones.
    plain = json.dumps(list(values), ensure_ascii=False) if "'" in listed else listed
    return f"{key}={shlex.quote(plain)}"
