"""Runs in several processes of this machine."""

import contextlib
import gc
import multiprocessing
import os
import queue
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

import torch

from understudy.engine.stop import StopRequest
from understudy.processes import share_machine
from understudy.reproduce.job import Job, Outcome, carry_out
from understudy.reproduce.pool import Pool


@contextlib.contextmanager
def in_processes(num_workers: int) -> Iterator[Pool]:
    """`num_workers` processes with a share of the threads each; one that dies fails its run and no other."""
    threads = max(1, torch.get_num_threads() // num_workers)
    workers = [Worker(threads, index, num_workers) for index in range(num_workers)]
    idle: queue.SimpleQueue[Worker] = queue.SimpleQueue()
    for worker in workers:
        idle.put(worker)

    def run_in_one(job: Job) -> Outcome:
        worker = idle.get()
        try:
            return worker.carry_out(job)
        finally:
            idle.put(worker)

    def submit(job: Job) -> Future[Outcome]:
        return executor.submit(run_in_one, job)

    def stop() -> None:
        for worker in workers:
            worker.stop()

    with StopRequest() as request, ThreadPoolExecutor(num_workers) as executor:
        try:
            yield Pool(submit=submit, slots=num_workers, is_asked=lambda: request.reason is not None, stop=stop)
        finally:
            stop()


class Worker:
    """A process that carries out one run after the other, on the CUDA device that its `index` says, if there are some.

    Where it has died, or a run in it has failed, the next run gets a new one.
    """

    def __init__(self, threads: int, index: int, num_workers: int):
        self.threads = threads
        self.index = index
        self.num_workers = num_workers
        self.process: BaseProcess | None = None
        self.pipe: Connection | None = None
        self.is_stopped = False

    def carry_out(self, job: Job) -> Outcome:
        if self.process is None or self.pipe is None or not self.process.is_alive():
            self.process, self.pipe = self._start()
        if self.is_stopped:
            self.process.terminate()
        try:
            self.pipe.send(job)
            outcome = self.pipe.recv()
        except (EOFError, OSError):
            self.process.join()
            return Outcome(kind="failed", reason=f"its process ended with exit code {self.process.exitcode}")
        if outcome.kind == "failed":
            # A CUDA device that failed once fails every later run of the process.
            self.pipe.close()
            self.process.join()
        return outcome

    def stop(self) -> None:
        """A run that is training saves and stops; a process that is doing anything else ends."""
        self.is_stopped = True
        if self.process is not None:
            self.process.terminate()

    def _start(self) -> tuple[BaseProcess, Connection]:
        # A forked process could not use CUDA, and would share the threads' locks.
        context = multiprocessing.get_context("spawn")
        here, there = context.Pipe()
        process = context.Process(target=_serve, args=(there, self.threads, self.index, self.num_workers))
        process.start()
        there.close()
        return process, here


def _serve(pipe: Connection, threads: int, index: int, num_workers: int) -> None:
    """Carry out what comes through the pipe until it is closed."""
    # Ctrl-C, and what else is sent to all processes of a command, is for the one that was started by hand: it asks this
    # one, and to be asked twice is to be killed.
    os.setpgrp()
    threading.Thread(target=_stop_with_parent, daemon=True).start()
    torch.set_num_threads(threads)
    share_machine(num_workers)
    if torch.cuda.is_available():
        torch.cuda.set_device(index % torch.cuda.device_count())
    with contextlib.suppress(EOFError, BrokenPipeError):
        while True:
            pipe.send(carry_out(pipe.recv()))
            # What this run had is the others' on the same device now.
            gc.collect()
            torch.cuda.empty_cache()


def _stop_with_parent() -> None:
    """Be asked to stop when the process that started this one is no more, however it ended."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)
