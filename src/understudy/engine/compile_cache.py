"""Where compiled code is kept between runs."""

import os
from collections.abc import Callable
from pathlib import Path

# torch reads the folder from this variable whenever it compiles, and from nowhere else.
VARIABLE = "TORCHINDUCTOR_CACHE_DIR"


def keep_compiled_code(say: Callable[[str], None]) -> None:
    """Let torch keep what it compiles in the user's cache folder, so that the next run like this one starts at once.

    A folder that the environment names stays. torch's own choice is below the folder for temporary files, which is
    emptied when the machine starts; it is left, and said to be, where the user's cache cannot be written.
    """
    if VARIABLE in os.environ:
        return
    try:
        # A user without a home is a RuntimeError.
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "understudy" / "torchinductor"
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError) as error:
        say(f"compiled code is not kept for later runs: {error}; {VARIABLE} names another folder")
        return
    os.environ[VARIABLE] = str(folder)
