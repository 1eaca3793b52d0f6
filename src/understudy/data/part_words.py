"""The words by which a file or a folder says that its images are to train, to test or to validate on."""

import re

PARTS = ("train", "test", "validation")
_PART_OF = {"train": "train", "training": "train", "test": "test", "testing": "test"} | dict.fromkeys(
    ("val", "valid", "validation"), "validation"
)


def part_in(*texts: str) -> str:
    """ "train", "test" or "validation", by the first of the texts that says one of them and no other; else ""."""
    for text in texts:
        said = {_PART_OF[word] for word in re.split(r"[^a-z]+", text.lower()) if word in _PART_OF}
        if len(said) == 1:
            return said.pop()
    return ""
