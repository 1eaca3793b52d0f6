"""Data that are named by where they lie."""

import re


def kind_of_address(data: object) -> str | None:
    """What kind of address the data have, without its path: "folder", "parquet-disjoint"; None for a set's name."""
    address = re.fullmatch(r"(folder|parquet|coco|voc):.*?(-disjoint)?", str(data), re.DOTALL)
    return None if address is None else "".join(filter(None, address.groups()))
