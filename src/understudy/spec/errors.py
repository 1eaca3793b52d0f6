"""Endings of a run that are told in a sentence, without a traceback."""


class RunFailedError(RuntimeError):
    """What was asked could be begun and came to an end of its own; each kind of ending is a class of this one."""
