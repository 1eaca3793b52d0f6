"""Runs on a Ray cluster whose machines share the folder of the runs."""

import contextlib
import importlib.util
import logging
import math
import socket
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

import torch

from understudy.engine.stop import StopRequest
from understudy.reproduce.job import Job, Outcome, carry_out
from understudy.reproduce.pool import Pool


@contextlib.contextmanager
def on_ray(address: str, num_workers: int | None) -> Iterator[Pool]:
    """At most `num_workers` runs at once on the cluster at this address, each with its part of processors and GPUs.

    By default one for each GPU, or for each machine where there is none. Raises ValueError where ray is not installed
    or nothing answers at the address.
    """
    if importlib.util.find_spec("ray") is None:
        raise ValueError("--ray needs ray, which is not installed: pip install ray")
    import ray

    _check_answers(address)
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.WARNING)
    except ConnectionError as error:
        raise ValueError(
            f"--ray {address}: no cluster answers there ({error}); start one with: ray start --head"
        ) from None
    try:
        machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        num_gpus = int(sum(machine.get("GPU", 0) for machine in machines))
        slots = num_workers or num_gpus or len(machines)
        share = share_of(machines, slots)
        remote = ray.remote(max_retries=0)(carry_out_there).options(num_cpus=share["CPU"], num_gpus=share["GPU"])
        under_way: list[Any] = []

        def submit(job: Job) -> Future[Outcome]:
            under_way.append(remote.remote(job, max(1, int(share["CPU"]))))
            return under_way[-1].future()

        def stop() -> None:
            for one in under_way:
                ray.cancel(one)

        with StopRequest() as request:
            yield Pool(submit=submit, slots=slots, is_asked=lambda: request.reason is not None, stop=stop)
    finally:
        ray.shutdown()


def _check_answers(address: str) -> None:
    """ValueError where nothing listens at HOST:PORT; ray itself would try for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not (host and port.isdigit()):
        return
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except OSError as error:
        raise ValueError(
            f"--ray {address}: nothing answers there ({error.strerror}); `ray start --head` starts a cluster"
        ) from None


def share_of(machines: list[dict[str, float]], slots: int) -> dict[str, float]:
    """What one run asks for: GPUs or a whole part of one, and whole processors; some machine has both of them."""
    gpus = sum(machine.get("GPU", 0) for machine in machines)
    gpu = 0.0 if gpus == 0 else gpus // slots if slots <= gpus else 1 / math.ceil(slots / gpus)
    gpu = min(gpu, max(machine.get("GPU", 0) for machine in machines))
    fitting = [int(machine.get("CPU", 0)) for machine in machines if machine.get("GPU", 0) >= gpu]
    return {"CPU": max(1, min(max(fitting), sum(fitting) // slots)), "GPU": gpu}


def carry_out_there(job: Job, threads: int) -> Outcome:
    torch.set_num_threads(threads)
    return carry_out(job)
