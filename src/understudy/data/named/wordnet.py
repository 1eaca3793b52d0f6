"""Words for the classes of ImageNet, which are numbered as in WordNet."""

from collections import Counter
from collections.abc import Mapping, Sequence


def first_words(numbers: Sequence[str], words: Mapping[str, str]) -> tuple[str, ...]:
    """The first of the synonyms "goldfish, Carassius auratus" of every number; the number itself where there are none.

    Where two classes share it, as two do crane, the number follows in brackets, so that every name is there once.
    """
    first = [words.get(number, number).split(",")[0].strip() for number in numbers]
    count = Counter(first)
    return tuple(f"{word} ({number})" if count[word] > 1 else word for number, word in zip(numbers, first, strict=True))
