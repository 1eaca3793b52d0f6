"""Several processes of this machine: one that is killed loses nothing, and a stop saves everything."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from tests.reproduce.watching import LONG, holders, steps_of, wait_for

pytestmark = pytest.mark.slow  # processes, each of which loads torch


def test_a_killed_process_loses_nothing_and_nothing_is_done_twice(carry_out, small, tmp_path):
    small(at=LONG, none=LONG)
    killed = []

    def kill():
        checkpoint = wait_for(lambda: list((tmp_path / "runs").glob("at-*/checkpoint.pt")))[0]
        (log,) = (tmp_path / "runs").glob("at-*.log")
        killed.append(holders(log)[-1])
        os.kill(killed[0], signal.SIGKILL)
        assert checkpoint.exists()

    killer = threading.Thread(target=kill)
    killer.start()
    is_complete, said = carry_out(num_workers=2)
    killer.join()
    assert is_complete and "at, seed 0: failed: its process ended with exit code -9" in said
    (log,) = (tmp_path / "runs").glob("at-*.log")
    assert holders(log)[0] == killed[0] and len(holders(log)) == 2 and "going on at step" in log.read_text()
    for path in (tmp_path / "runs").glob("*-*.log"):
        assert len(holders(path)) == (2 if path == log else 1)
        steps = steps_of(path.with_suffix(""))
        assert steps == sorted(set(steps))
    assert os.getpid() not in {number for path in (tmp_path / "runs").rglob("*.log") for number in holders(path)}


PROGRAM = """
from understudy.cli import main
main()
"""


def test_asked_to_stop_all_processes_save_and_the_same_command_goes_on(tmp_path):
    command = [sys.executable, "-c", PROGRAM, "reproduce", "methods_digits", "none", "kd"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    started = subprocess.Popen([*command, "--workers", "2"], cwd=tmp_path, **pipes)
    wait_for(lambda: [log for log in (tmp_path / "runs").glob("*-*/metrics.jsonl") if log.stat().st_size])
    started.send_signal(signal.SIGTERM)
    said, complaints = started.communicate(timeout=120)
    assert started.returncode == 1 and "of 3 runs are left" in said and complaints == ""
    # One was training; the other may just have begun, and has nothing to save.
    assert "stopped: stopped by SIGTERM at step" in said and list((tmp_path / "runs").glob("*-*/checkpoint.pt"))
    again = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=280)
    assert again.returncode == 0, again.stderr
    assert "going on at step" in again.stdout
