"""What the teacher answers to every training image, stored once and read from then on.

Images that come again, whose teacher does not look at the rest of the batch, get the same answer every time. Where a
phase's answers cannot be stored, the live teacher gives them, and the run says why.
"""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from filelock import FileLock, Timeout
from torch import Tensor

from understudy.data import Dataset, TrainingBatches
from understudy.distiller import Distiller, Wanted
from understudy.engine.display import Display
from understudy.engine.records import folder
from understudy.engine.teacher_cache.plan import ask, plan_stores
from understudy.engine.teacher_cache.stores import Store, Stores, each
from understudy.precision import Precision
from understudy.spec import whole_file


class TeacherCache:
    """The answers of `distiller.wanted` to the images of `batches`, in the folder `root`.

    What is stored for the `epochs` of each phase is decided here, and said. In the phase that the distiller is in,
    `open` then has a view ready, and `rows` answers for images of it.
    """

    def __init__(
        self,
        root: Path,
        limit_gb: float,
        *,
        distiller: Distiller,
        batches: TrainingBatches,
        data: Dataset,
        epochs: tuple[int, ...],
        precision: Precision,
        display: Display,
    ):
        if root.exists() and not root.is_dir():
            raise ValueError(f"run.teacher_cache={root} is a file; give the name of a folder")
        root.mkdir(parents=True, exist_ok=True)
        self.root = root
        self.distiller = distiller
        self.batches = batches
        self.precision = precision
        self.display = display
        self.num_images = len(data.train)
        self.stores = plan_stores(
            root,
            limit_gb,
            distiller=distiller,
            batches=batches,
            data=data,
            epochs=epochs,
            precision=precision,
            say=display.say,
        )
        self._opened: dict[Path, Tensor] = {}

    def serves(self) -> bool:
        """Whether the phase's answers are stored; elsewhere the live teacher gives them."""
        return self.distiller.phase_index in self.stores

    def open(self, view: int, between: Callable[[], None] = lambda: None) -> None:
        """Have a view's answers ready, from disk or from the teacher; `between` is called between batches.

        The first batch of what is found is compared with the live teacher: where it is not equal to the bit, the view
        is filled again. What another run is filling is waited for.
        """
        stores = {store.path(view): store for store in each(self._stores_of_phase())}
        if stores.keys() <= self._opened.keys():
            return
        if self._missing(view, stores):
            with self._alone(between):
                missing = self._missing(view, stores)
                if missing:
                    self._fill(view, {path: stores[path] for path in missing}, between)
        for path, store in stores.items():
            rows = store.rows.map(path, self.num_images)
            assert rows is not None
            self._opened[path] = rows

    def rows(self, view: int, chosen: Tensor) -> Wanted | None:
        """What `distiller.wanted` answers to these images (B,) of the set, in this view; None for the live teacher.

        The view was opened before. `chosen` is on the processor, so nothing waits for the device.
        """
        if not self.serves():
            return None
        stores = self._stores_of_phase()
        # Terms that take the same from the teacher share it.
        read = {store.path(view): store for store in each(stores)}
        found = {path: store.rows.decode(self._gather(self._opened[path], chosen)) for path, store in read.items()}
        return {name: [found[store.path(view)] for store in own] for name, own in stores.items()}

    def _gather(self, rows: Tensor, chosen: Tensor) -> Tensor:
        """The chosen rows on the device; it fetches them by itself, from pinned memory, where that is not this one."""
        if self.precision.device.type == "cpu":
            return rows.index_select(0, chosen)
        pinned = torch.empty((len(chosen), *rows.shape[1:]), dtype=rows.dtype, pin_memory=True)
        return torch.index_select(rows, 0, chosen, out=pinned).to(self.precision.device, non_blocking=True)

    # Filling ----------------------------------------------------------------------------------------------------------

    def _missing(self, view: int, stores: dict[Path, Store]) -> list[Path]:
        """The files that are not there, or do not hold what the teacher answers now."""
        found = {path: store.rows.map(path, self.num_images) for path, store in stores.items()}
        if all(rows is None for rows in found.values()):
            return [*stores]
        live = self._by_path(view, self._ask(next(self.batches.in_view(view))))
        return [
            path
            for path, rows in found.items()
            if rows is None
            or not torch.equal(stores[path].rows.decode(rows[: len(live[path])]), live[path][: len(rows)].cpu())
        ]

    def _fill(self, view: int, stores: dict[Path, Store], between: Callable[[], None]) -> None:
        """Ask the teacher for the whole view; the files appear when it is complete."""
        stale = any(path.exists() for path in stores)
        self.display.say(
            f"teacher cache: the teacher answers for view {view + 1} of {self.num_images:,} images"
            + (", whose stored answers are not what it says now" if stale else "")
        )
        left = self.num_images
        with contextlib.ExitStack() as stack:
            files = {}
            for path, store in stores.items():
                store.folder.mkdir(exist_ok=True)
                folder.write_json(store.folder / "about.json", store.about)
                files[path] = stack.enter_context(whole_file(path))
                files[path].write(store.rows.header(self.num_images))
            for images in self.batches.in_view(view):
                between()
                answers = self._by_path(view, self._ask(images))
                for path, file in files.items():
                    file.write(stores[path].rows.encode(answers[path][:left]).data)
                left -= len(images)

    def _ask(self, images: Tensor) -> Wanted:
        return ask(self.distiller, images, self.precision)

    def _stores_of_phase(self) -> Stores:
        return self.stores.get(self.distiller.phase_index, {})

    def _by_path(self, view: int, answers: Wanted) -> dict[Path, Tensor]:
        return {
            store.path(view): tensor
            for name, own in self._stores_of_phase().items()
            for store, tensor in zip(own, answers[name], strict=True)
        }

    @contextlib.contextmanager
    def _alone(self, between: Callable[[], None]) -> Iterator[None]:
        """One run at a time fills the folder. The lock is the operating system's, and ends with the process."""
        lock = FileLock(self.root / "lock")
        try:
            while not lock.is_locked:
                between()
                with contextlib.suppress(Timeout):
                    lock.acquire(timeout=0.1)
            yield
        finally:
            lock.release()
