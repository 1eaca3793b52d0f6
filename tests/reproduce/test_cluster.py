"""A Ray cluster: each run's share of it, and a worker that is killed."""

import os
import signal
import threading
from pathlib import Path

import pytest

import understudy
from tests.reproduce.watching import LONG, holders, steps_of, wait_for
from understudy.reproduce.cluster import share_of

SMALL, LARGE, GPU = {"CPU": 4.0}, {"CPU": 16.0}, {"CPU": 8.0, "GPU": 2.0}


@pytest.mark.parametrize(
    ("machines", "slots", "share"),
    [
        ([SMALL, SMALL], 2, {"CPU": 4, "GPU": 0}),
        ([SMALL, SMALL], 8, {"CPU": 1, "GPU": 0}),
        ([SMALL, LARGE], 1, {"CPU": 16, "GPU": 0}),
        ([SMALL], 100, {"CPU": 1, "GPU": 0}),
        ([GPU], 2, {"CPU": 4, "GPU": 1}),
        ([GPU], 8, {"CPU": 1, "GPU": 0.25}),
        ([GPU], 3, {"CPU": 2, "GPU": 0.5}),
        ([LARGE, GPU, GPU], 4, {"CPU": 4, "GPU": 1}),
        ([LARGE, GPU, GPU], 1, {"CPU": 8, "GPU": 2}),
        ([LARGE, GPU], 4, {"CPU": 2, "GPU": 0.5}),
    ],
)
def test_a_run_asks_for_its_share_and_never_for_more_than_one_machine_has(machines, slots, share):
    assert share_of(machines, slots) == share


def test_without_ray_it_says_how_to_get_it(carry_out, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"--ray needs ray.*pip install ray"):
        carry_out("none", ray="127.0.0.1:1")


def test_an_address_at_which_nothing_answers_is_told_at_once(carry_out):
    pytest.importorskip("ray", reason="ray is not installed")
    with pytest.raises(ValueError, match="--ray 127.0.0.1:1: nothing answers there .*ray start --head"):
        carry_out("none", ray="127.0.0.1:1")


@pytest.fixture
def cluster(monkeypatch):
    """The address of a cluster of two machines with one processor each, which are processes here."""
    pytest.importorskip("ray", reason="ray is not installed")
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("PYTHONPATH", str(Path(understudy.__file__).parents[1]))
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    found = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    found.add_node(num_cpus=1)
    yield found.address
    found.shutdown()


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("ignore")  # ray's own
def test_a_worker_killed_in_the_middle_loses_nothing_and_nothing_is_done_twice(carry_out, small, cluster, tmp_path):
    small(at=LONG, none=LONG)
    killed = []

    def kill():
        wait_for(lambda: list((tmp_path / "runs").glob("at-*/checkpoint.pt")))
        killed.append(holders(next((tmp_path / "runs").glob("at-*.log")))[-1])
        os.kill(killed[0], signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    is_complete, said = carry_out(ray=cluster)
    killer.join()
    assert is_complete and "at, seed 0: failed: WorkerCrashedError" in said
    processes = {path: holders(path) for path in (tmp_path / "runs").rglob("*.log")}
    for path, carriers in processes.items():
        assert len(carriers) == (2 if path.name.startswith("at-") else 1)
        steps = steps_of(path.with_name(path.name.removesuffix(".log")))
        assert steps == sorted(set(steps))
    assert os.getpid() not in {number for carriers in processes.values() for number in carriers}
