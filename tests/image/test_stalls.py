"""A stage that stands still: where each rank was, in the log and in few words in the report."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.image import supervisor_fakes as fakes

from sftrun_api.reports import Stage
from sftrun_trainer import children, heartbeats, logs, processes, stalls, verdicts, wakes

pytestmark = pytest.mark.processes

RANKS = """
import os, subprocess, sys
code = '''
import faulthandler, select, signal, sys, threading
if {registered}:
    faulthandler.register(signal.SIGUSR1, all_threads=True)
def prefetch():
    select.select([], [], [], 60)
def wait_for_the_others():
    select.select([], [], [], 60)
def read_a_batch():
    wait_for_the_others()
threading.Thread(target=prefetch, daemon=True).start()
print("up", flush=True)
read_a_batch()
'''
ranks = [
    subprocess.Popen(
        [sys.executable, "-c", code.format(registered=int(sys.argv[1]))],
        env=dict(os.environ, RANK=str(n)), start_new_session=True,
    )
    for n in range(8)
]
for rank in ranks:
    rank.wait()
"""


def stalled(folder: Path, *, registered: bool) -> tuple[children.ChildEnding, str]:
    """Returns how eight ranks that hang in each other end, and what their log says."""
    order = children.Order(
        argv=(sys.executable, "-c", RANKS, str(int(registered))),
        environment=dict(os.environ),
        events=folder / "events",
        look_every=0.02,
    )
    log = logs.Log(path=folder / "log", redact=str, echo=io.BytesIO())
    child = children.Child(order=order, log=log, wake=wakes.Wakes())
    fakes.wait_until(lambda: log.tail().count("up") == 8, what="the ranks are not up")
    beats = heartbeats.Heartbeats(clock=time.monotonic, timeout=0.3)
    beats.stepped()
    ending = child.run(beats=beats, take=lambda _: None)
    log.close()
    return ending, (folder / "log").read_text()


def test_the_report_says_where_each_rank_was(tmp_path: Path) -> None:
    ending, text = stalled(tmp_path, registered=True)
    assert (ending.how, ending.returncode) == ("Stalled", -9)
    lines = ending.stacks.splitlines()[-8:]
    for rank, line in enumerate(lines):
        assert line.startswith(f"rank {rank} (process ")
        assert line.endswith(
            ": wait_for_the_others (<string>:8) < read_a_batch (<string>:10) < <module> (<string>:13)"
        )
    # In the log stand all threads of each, one process after another.
    heads = [line for line in text.splitlines() if line.startswith("sftrun: stacks of rank")]
    assert len(heads) == 8
    for section in text.split("sftrun: stacks of rank")[1:]:
        assert section.count("in prefetch") == section.count("in wait_for_the_others") == 1
    end = verdicts.judge(
        stage=Stage.TRAIN, step=7, ending=ending, failure=None, silent_for=9.0, folder=tmp_path, model="m"
    )
    assert (end.reason, end.log_tail) == ("Stalled", ending.stacks)


def test_a_process_that_cannot_say_it_itself_is_read_from_outside(tmp_path: Path) -> None:
    ending, _ = stalled(tmp_path, registered=False)
    for line in ending.stacks.splitlines()[-8:]:
        # Where the kernel forbids to read another process, that is said.
        assert "wait_for_the_others (<string>:8)" in line or stalls.NO_STACK in line


def test_nobody_is_killed_by_being_asked(tmp_path: Path) -> None:
    sleeper = subprocess.Popen(
        [sys.executable, "-c", "import select; print(flush=True); select.select([], [], [], 60)"],
        env={**os.environ, processes.MARK: "stack-test"},
        stdout=subprocess.PIPE,
    )
    try:
        assert sleeper.stdout is not None
        sleeper.stdout.readline()
        assert processes.marked("stack-test") == (sleeper.pid,)
        log = logs.Log(path=tmp_path / "log", redact=str, echo=io.BytesIO())
        assert str(sleeper.pid) in stalls.dump("stack-test", log=log)
        assert sleeper.poll() is None
        assert str(sleeper.pid) in log.tail()
        assert processes.kill_marked("stack-test") == 1
        assert sleeper.wait(30) == -9
    finally:
        sleeper.kill()
        sleeper.wait()


FAULTHANDLER = """\
Thread 0x00007f1 [pt_autograd_0] (most recent call first):
  <no Python frame>

Thread 0x00007f2 (most recent call first):
  File "/usr/lib/python3.11/threading.py", line 331 in wait

Current thread 0x00007f3 (most recent call first):
  File "/venv/torch/distributed/distributed_c10d.py", line 4159 in all_gather_into_tensor
  File "/venv/deepspeed/comm/torch.py", line 217 in all_gather_into_tensor
  File "/venv/deepspeed/comm/comm.py", line 117 in log_wrapper
  File "/venv/deepspeed/runtime/zero/partition_parameters.py", line 1234 in _all_gather
  File "/venv/transformers/trainer.py", line 1922 in compute_loss
"""
PY_SPY = """\
Process 4242: python -m sftrun_trainer.worker
Python v3.11.7 (/usr/bin/python3.11)

Thread 4243 (idle): "Thread-1"
    wait (threading.py:331)
Thread 4242 (active): "MainThread"
    barrier (torch/distributed/distributed_c10d.py:4800)
    on_save (callbacks.py:210)
"""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            FAULTHANDLER,
            "all_gather_into_tensor (distributed_c10d.py:4159) < all_gather_into_tensor (torch.py:217) < "
            "log_wrapper (comm.py:117) < _all_gather (partition_parameters.py:1234)",
        ),
        (PY_SPY, "barrier (distributed_c10d.py:4800) < on_save (callbacks.py:210)"),
        ("", stalls.NO_STACK),
        ("Error: Permission Denied: Try running again with elevated permissions", stalls.NO_STACK),
    ],
)
def test_in_few_words(text: str, words: str) -> None:
    assert stalls.in_few_words(text) == words
