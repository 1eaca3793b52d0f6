"""What the networks of several runs make of the same test images, beside each other: from each run's seen.npz."""

import base64
import io
import zipfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from PIL import Image
from sklearn.manifold import TSNE
from sklearn.neighbors import NearestNeighbors
from threadpoolctl import threadpool_limits

from understudy.spec.run_files import SEEN

from .figures import legend_mark
from .palette import Look, looks
from .quantities import fraction_as_percent
from .run_folder import Run
from .svg import inline_svg

COLOURS = colormaps["viridis"]
# Pixels of the page's pictures; smaller ones are shown in squares, so that no map looks finer than it is.
CELL, GAP = 64, 6
PANEL_INCHES = 2.4
# t-SNE's perplexity is about the number of neighbours that an image has.
MOST_NEIGHBOURS, FEWEST_IMAGES = 30, 10


@dataclass(frozen=True, kw_only=True)
class Seer:
    """One network, what it is called, and its part of a run's file."""

    label: str
    role: str
    kept: dict[str, np.ndarray]

    def maps(self) -> dict[str, np.ndarray]:
        """What they show -> the maps (N, H, W), in bytes. Places are called by the size that the student has there."""
        own, students = self._maps_of(self.role), self._maps_of("student")
        # Where the student's are not there, by its own.
        sizes = {place: f"{found.shape[1]} x {found.shape[2]}" for place, found in (own | students).items()}
        again = Counter(sizes.values())
        numbered = {
            place: size if again[size] == 1 else f"{size}, {list(sizes.values())[:place].count(size) + 1}"
            for place, size in sizes.items()
        }
        return {f"where it looks, {numbered[place]}": found for place, found in own.items()} | self._answer()

    def _maps_of(self, role: str) -> dict[int, np.ndarray]:
        named = [(key.split(" "), found) for key, found in self.kept.items() if key.startswith(f"maps {role} ")]
        return {int(words[2]): found for words, found in named}

    def _answer(self) -> dict[str, np.ndarray]:
        found = self.kept.get(f"answer {self.role}")
        return {} if found is None else {"what speaks for its answer": found}

    @property
    def embedding(self) -> np.ndarray:
        """(M, D), around zero; no rows where the network has none."""
        return self.kept.get(f"embedding {self.role}", np.empty((0, 0))).astype(np.float32)


def seers(runs: Sequence[Run], names: Sequence[str]) -> list[list[Seer]]:
    """The runs' networks, together where they saw the same images: first the teachers, each once, then the students."""
    together: dict[bytes, list[tuple[Run, str, dict[str, np.ndarray]]]] = {}
    for run, name in zip(runs, names, strict=True):
        kept = _read(run.folder / SEEN)
        if kept:
            together.setdefault(kept["images"].tobytes(), []).append((run, name, kept))
    return [_teachers(found) + _students(found) for found in together.values()]


def _students(found: Sequence[tuple[Run, str, dict[str, np.ndarray]]]) -> list[Seer]:
    return [Seer(label=name, role="student", kept=kept) for _, name, kept in found]


def _teachers(found: Sequence[tuple[Run, str, dict[str, np.ndarray]]]) -> list[Seer]:
    teachers: dict[str, tuple[str, dict[str, np.ndarray]]] = {}
    for run, _, kept in found:
        teacher = run.facts["teacher"]
        if teacher:
            teachers.setdefault(teacher.get("sha256") or teacher["name"], (teacher["name"], kept))
    return [Seer(label=f"teacher, {name}", role="teacher", kept=kept) for name, kept in teachers.values()]


def _read(path: Path) -> dict[str, np.ndarray]:
    """What is in the file; nothing where there is none. ValueError where it is broken."""
    if not path.is_file():
        return {}
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as kept:
            return dict(kept)
    except (EOFError, OSError, ValueError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"{path}: not what a run writes there ({error}); remove it, the report does without"
        ) from error


def sheets(group: Sequence[Seer]) -> list[tuple[str, list[tuple[str, str]]]]:
    """What is shown, and for each network its name and a strip of pictures as an address; the images come first."""
    images = [("", _strip(np.moveaxis(group[0].kept["images"], 1, 3)))]
    shown: dict[str, list[tuple[str, str]]] = {}
    for seer in group:
        for title, maps in seer.maps().items():
            coloured = (255 * COLOURS(maps)[..., :3]).round().astype(np.uint8)
            shown.setdefault(title, []).append((seer.label, _strip(coloured)))
    last = "what speaks for its answer"
    return [(title, images + shown[title]) for title in sorted(shown, key=lambda title: title == last)]


def _strip(pictures: np.ndarray) -> str:
    """(N, H, W, C) in bytes beside each other, as the address of a PNG: in colour where there are three, else grey."""
    number, height, width, channels = pictures.shape
    coloured = pictures[..., :3] if channels >= 3 else pictures[..., :1].repeat(3, axis=3)
    side = CELL, max(1, round(CELL * height / width))
    strip = Image.new("RGBA", (number * (CELL + GAP) - GAP, side[1]))
    for place, picture in enumerate(coloured):
        scaled = Image.fromarray(picture).resize(
            side, Image.Resampling.BOX if width > CELL else Image.Resampling.NEAREST
        )
        strip.paste(scaled, (place * (CELL + GAP), 0))
    held = io.BytesIO()
    strip.save(held, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(held.getvalue()).decode()}"


def neighbours(group: Sequence[Seer], name: str) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Images as dots, close where the network puts them close: a chart for each network, with words to it.

    Before the charts the classes, each with its mark. A network that tells no two images apart has no chart.
    """
    arranged = [seer for seer in group if len(seer.embedding) >= FEWEST_IMAGES and seer.embedding.any()]
    charts = [(_dots_chart(seer, f"{name}-{index}"), _words(seer)) for index, seer in enumerate(arranged)]
    marks = [
        (legend_mark(look, f"{name}-mark{index}"), found) for index, (found, look) in enumerate(_classes(group[0]))
    ]
    return marks if charts else [], charts


def _classes(seer: Seer) -> list[tuple[str, Look]]:
    names = [str(seer.kept["class_names"][label]) for label in np.unique(seer.kept["labels"])]
    return [(name, replace(look, dash=" ")) for name, look in zip(names, looks(len(names)), strict=True)]


def _dots_chart(seer: Seer, name: str) -> str:
    embedding, labels = seer.embedding, seer.kept["labels"]
    perplexity = min(MOST_NEIGHBOURS, (len(embedding) - 1) / 3)
    # Threads are slower for so few, and beside other work by far.
    with threadpool_limits(1):
        dots = TSNE(perplexity=perplexity, init="pca", random_state=0).fit_transform(embedding)
    figure = Figure(figsize=(PANEL_INCHES, PANEL_INCHES))
    axes = figure.add_axes((0.02, 0.02, 0.96, 0.96))
    axes.set_axis_off()
    for label, (_, look) in zip(np.unique(labels), _classes(seer), strict=True):
        x, y = dots[labels == label].T
        axes.plot(x, y, look.marker, color=look.colour, markersize=3, markeredgewidth=0, alpha=0.85)
    return inline_svg(figure, name=name, description=f"Test images as {seer.label} arranges them")


def _words(seer: Seer) -> str:
    alike = fraction_as_percent(_alike(seer.embedding, seer.kept["labels"]))
    return f"{seer.label}: {alike} % are nearest to one of their class"


def _alike(embedding: np.ndarray, labels: np.ndarray) -> float:
    """The share of images whose nearest other one is of their class."""
    nearest = NearestNeighbors(n_neighbors=2).fit(embedding).kneighbors(embedding, return_distance=False)
    others = np.where(nearest[:, 0] == np.arange(len(labels)), nearest[:, 1], nearest[:, 0])
    return float((labels[others] == labels).mean())
