"""Whatever happens in a worker's process, its caller gets a value or an error in time, and so does the next one.

The functions run are those of the standard library and of the solvers: anything importable will do.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import pytest

from tapas_opt.errors import DeadlinePassed, InvalidInput, NotFound, WorkerFailed
from tapas_opt.mip import cpsat, highs, process
from tapas_opt.mip.model import MipModel
from tapas_opt.mip.result import MipStatus
from tapas_opt.mip.worker import Worker, Workers

GIB = 2**30
LONG_S = 20.0
"""A deadline that no test here comes near."""


@pytest.fixture(scope="module")
def worker():
    with Worker(memory_bytes=4 * GIB) as shared:
        yield shared


@pytest.fixture(autouse=True)
def the_next_run_works(request):
    """After each test that uses the shared worker, the next caller is served."""
    yield
    if "worker" in request.fixturenames:
        assert request.getfixturevalue("worker").run(pow, 2, 10, deadline_s=LONG_S) == 1024


def is_alive(pid):
    """Whether the process runs; a zombie waits for its parent and does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until(condition):
    until = time.monotonic() + LONG_S
    while not condition() and time.monotonic() < until:
        time.sleep(0.01)
    return condition()


def test_runs_share_a_process_that_is_not_ours(worker):
    first, second = (worker.run(os.getpid, deadline_s=LONG_S) for _ in range(2))
    assert first == second != os.getpid()


def test_a_hung_process_is_ended_at_the_deadline(worker):
    began = time.monotonic()
    pid = worker.run(os.getpid, deadline_s=LONG_S)
    with pytest.raises(DeadlinePassed, match=r"0\.3 s"):
        worker.run(time.sleep, 60, deadline_s=0.3, grace_s=0.1)
    assert time.monotonic() - began < LONG_S
    assert wait_until(lambda: not is_alive(pid))


def test_a_process_that_holds_the_interpreter_lock_is_ended_too(worker):
    """sum over a range never lets another thread of that process run for long."""
    with pytest.raises(DeadlinePassed):
        worker.run(sum, range(10**12), deadline_s=0.2, grace_s=0)


def test_an_order_that_a_stopped_process_does_not_read_does_not_block_for_good(worker):
    """The order is larger than the socket's buffer, so that sending it waits for a reader."""
    os.kill(worker.run(os.getpid, deadline_s=LONG_S), signal.SIGSTOP)
    with pytest.raises(DeadlinePassed):
        worker.run(len, bytes(10**7), deadline_s=0.3, grace_s=0)


def test_large_orders_and_values_come_through(worker):
    block = bytes(range(256)) * 40_000
    assert worker.run(bytes.swapcase, block, deadline_s=LONG_S) == block.swapcase()


@pytest.mark.parametrize(
    ("function", "argument", "said"),
    [
        (os._exit, 7, "exit code 7"),
        (signal.raise_signal, signal.SIGSEGV, "SIGSEGV"),
        (bytearray, 6 * GIB, "MemoryError"),
        (sys.exit, "done", "SystemExit: done"),
        (float, "seven", "ValueError: could not convert"),
        (exec, "raise KeyboardInterrupt", "KeyboardInterrupt"),
    ],
    ids=["exits", "segfaults", "memory", "sys.exit", "raises", "interrupted"],
)
def test_a_failing_run_is_told_in_one_line_and_prints_nothing(worker, capfd, function, argument, said):
    with pytest.raises(WorkerFailed, match=said) as failure:
        worker.run(function, argument, deadline_s=LONG_S)
    assert "\n" not in str(failure.value)
    assert capfd.readouterr() == ("", "")


def test_what_cannot_be_sent_back_is_a_failure(worker):
    with pytest.raises(WorkerFailed, match="pickle"):
        worker.run(threading.Lock, deadline_s=LONG_S)


def test_an_answer_that_cannot_be_read_is_a_failure(worker):
    """It pickles as ``int("x")``, which fails only where it is read."""
    spoilt = "type('Spoilt', (), {'__reduce__': lambda self: (int, ('x',))})()"
    with pytest.raises(WorkerFailed, match="cannot be read"):
        worker.run(eval, spoilt, deadline_s=LONG_S)


def test_a_value_of_the_wrong_kind_is_handed_over_as_it_is(worker):
    """The worker knows no solver: whoever calls it checks what came, as `MipArrays.worst_violation` does."""
    model = MipModel()
    x = model.columns("x", upper=1, cost=-1, integer=True)
    model.add(model.rows("r", upper=0), x, 1)
    assert worker.run(str, "not a result", deadline_s=LONG_S) == "not a result"
    other = MipModel()
    other.columns("x", upper=1, cost=-1, integer=True)
    lie = worker.run(partial(highs.solve, other.arrays(), deadline_s=5), deadline_s=LONG_S)
    assert model.arrays().worst_violation(lie.values) == 1


def test_our_own_errors_come_back_whole_and_keep_the_process(worker):
    model = MipModel()
    model.columns("x", ["a"], upper=float("nan"), integer=True)
    pid = worker.run(os.getpid, deadline_s=LONG_S)
    with pytest.raises(InvalidInput, match=r"column x\[a\]") as refused:
        worker.run(partial(highs.solve, model.arrays(), deadline_s=1), deadline_s=LONG_S)
    assert refused.value.faults[0].where == "column x[a]"
    assert worker.run(os.getpid, deadline_s=LONG_S) == pid


def test_another_thread_cancels_a_run(worker):
    assert not worker.cancel()
    threading.Timer(0.2, worker.cancel).start()
    with pytest.raises(WorkerFailed, match="cancelled"):
        worker.run(time.sleep, 60, deadline_s=LONG_S)


def test_one_run_at_a_time_and_waiting_counts(worker):
    """The second caller's deadline passes while the first still runs; the first is not disturbed."""
    outcome = []
    first = threading.Thread(target=lambda: outcome.append(worker.run(time.sleep, 0.8, deadline_s=LONG_S)))
    first.start()
    assert wait_until(worker._turn.locked)
    with pytest.raises(DeadlinePassed, match="busy"):
        worker.run(os.getpid, deadline_s=0.1, grace_s=0)
    first.join()
    assert outcome == [None]


def test_many_threads_all_get_their_own_answer(worker):
    answers = {}

    def square(n):
        answers[n] = worker.run(pow, n, 2, deadline_s=LONG_S)

    threads = [threading.Thread(target=square, args=(n,)) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == {n: n * n for n in range(20)}


def test_a_process_is_replaced_after_its_runs():
    with Worker(runs_per_process=2) as worker:
        pids = [worker.run(os.getpid, deadline_s=LONG_S) for _ in range(4)]
    assert pids[0] == pids[1] != pids[2] == pids[3]


def test_a_spare_that_died_is_passed_over():
    with Worker() as worker:
        assert worker.wait_until_ready(LONG_S)
        for pid in worker.pids:
            os.kill(pid, signal.SIGKILL)
        assert wait_until(lambda: not any(process.alive for process in worker._idle))
        assert worker.run(pow, 2, 3, deadline_s=LONG_S) == 8


def test_a_warm_up_that_fails_is_told_to_each_caller():
    with Worker(warm_up=partial(float, "seven")) as worker:
        for _ in range(2):
            with pytest.raises(WorkerFailed, match="ValueError"):
                worker.run(os.getpid, deadline_s=LONG_S)


def test_a_process_still_starting_at_the_deadline_is_kept_for_the_next_run():
    with Worker(warm_up=partial(time.sleep, 0.7)) as worker:
        pids = worker.pids
        with pytest.raises(DeadlinePassed, match="ready"):
            worker.run(os.getpid, deadline_s=0.05, grace_s=0)
        assert worker.run(os.getpid, deadline_s=LONG_S) == pids[0]


def test_closing_ends_the_run_and_leaves_no_process():
    worker = Worker()
    worker.start()
    pids = worker.pids
    threading.Timer(0.3, worker.close).start()
    with pytest.raises(WorkerFailed, match="closed"):
        worker.run(time.sleep, 60, deadline_s=LONG_S)
    worker.close()
    assert not any(map(is_alive, pids))
    with pytest.raises(WorkerFailed, match="closed"):
        worker.run(os.getpid, deadline_s=LONG_S)


ORPHANS = """
import sys, threading, time
from tapas_opt.mip.worker import Worker
worker = Worker()
worker.wait_until_ready(20)
threading.Thread(target=lambda: worker.run(time.sleep, 60, deadline_s=60), daemon=True).start()
time.sleep(0.2)
print(*worker.pids, flush=True)
time.sleep(60)
"""


def test_no_process_outlives_a_parent_that_is_killed():
    """The script has no ``if __name__ == "__main__"``: a worker never runs its parent's main module again."""
    parent = subprocess.Popen([sys.executable, "-c", ORPHANS], stdout=subprocess.PIPE, text=True)
    with parent:
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(pids) == 2
        assert all(map(is_alive, pids))
        parent.kill()
    assert wait_until(lambda: not any(map(is_alive, pids)))


def test_a_worker_started_in_a_thread_outlives_the_thread():
    worker = Worker()
    starter = threading.Thread(target=worker.start)
    starter.start()
    starter.join()
    try:
        pids = worker.pids
        assert worker.run(os.getpid, deadline_s=LONG_S) == pids[0]
    finally:
        worker.close()


def test_ctrl_c_does_not_reach_the_process(worker):
    os.kill(worker.run(os.getpid, deadline_s=LONG_S), signal.SIGINT)
    assert worker.run(pow, 3, 2, deadline_s=LONG_S) == 9
    assert os.getpgid(worker.run(os.getpid, deadline_s=LONG_S)) != os.getpgid(0)


def test_each_solver_has_a_process_of_its_own_and_solves_there(knapsack):
    with Workers(memory_bytes=8 * GIB) as workers:
        results = [
            workers["highs"].run(partial(highs.solve, knapsack, deadline_s=10), deadline_s=LONG_S),
            workers["cpsat"].run(partial(cpsat.solve, knapsack, deadline_s=10), deadline_s=LONG_S),
        ]
        assert workers["highs"] is workers["highs"]
        assert not set(workers["highs"].pids) & set(workers["cpsat"].pids)
        pids = workers["highs"].pids + workers["cpsat"].pids
    assert [(r.status, r.objective) for r in results] == [(MipStatus.OPTIMAL, -220)] * 2
    assert not any(map(is_alive, pids))


def test_workers_know_their_solvers():
    with Workers() as workers, pytest.raises(NotFound, match="cpsat, highs, pyomo"):
        workers["abacus"]
    with pytest.raises(WorkerFailed, match="closed"):
        workers["highs"]


def telling(worker, code, **limits):
    """Run a line of Python whose ``tell`` is the worker's; what came back, or how it failed, and the news."""
    heard = []
    source = f"lambda tell, sleep=__import__('time').sleep, os=__import__('os'): ({code})"
    function = worker_side(source)
    try:
        outcome = worker.run(function, on_news=heard.append, **{"deadline_s": LONG_S} | limits)
    except (WorkerFailed, DeadlinePassed) as error:
        outcome = error
    return outcome, heard


class worker_side:  # noqa: N801 - reads as a function
    """Picklable: unpickled over there as the lambda that its source says."""

    def __init__(self, source):
        self.source = source

    def __reduce__(self):
        return eval, (self.source,)


def test_news_come_before_the_value(worker):
    assert telling(worker, "[tell(n) for n in range(3)] and 'done'") == ("done", [0, 1, 2])


def test_news_that_came_before_the_process_was_ended_count(worker):
    """A solver that overruns its deadline has not worked for nothing."""
    error, heard = telling(worker, "tell('half'), sleep(60)", deadline_s=0.3, grace_s=0)
    assert isinstance(error, DeadlinePassed)
    assert heard == ["half"]


def test_a_process_that_ends_in_the_middle_of_a_message_leaves_what_came_before(worker):
    """A header that promises 1,000 bytes, then 3 bytes, then nothing: as after a kill while it sends."""
    fd = "next(int(f) for f in os.listdir('/proc/self/fd') if 'socket' in os.path.realpath('/proc/self/fd/'+f))"
    code = f"tell('whole'), os.write({fd}, (1000).to_bytes(4, 'big') + b'abc'), os._exit(9)"
    error, heard = telling(worker, code)
    assert isinstance(error, WorkerFailed)
    assert "exit code 9" in str(error)
    assert heard == ["whole"]


def test_a_process_killed_while_it_sends_leaves_what_came_before(worker):
    """Each message is larger than the socket's buffer, so that most kills come in the middle of one."""
    error, heard = telling(worker, "[tell(bytes([n % 256]) * 10**6) for n in range(10**6)]", deadline_s=0.3, grace_s=0)
    assert isinstance(error, DeadlinePassed)
    assert heard
    assert [len(set(news)) for news in heard] == [1] * len(heard)
    assert [news[0] for news in heard] == [n % 256 for n in range(len(heard))]


def test_a_huge_answer_is_not_read(worker, monkeypatch):
    """It would fill the memory of the process that asked."""
    monkeypatch.setattr(process, "MESSAGE_BYTES", 10**6)
    with pytest.raises(WorkerFailed, match="more than 1,000,000 bytes"):
        worker.run(bytes, 10**7, deadline_s=LONG_S)


def test_news_told_after_the_run_are_dropped(worker):
    """A thread of a solver that goes on must not be taken for the next run's answer."""
    thread = "__import__('threading').Thread(target=lambda: (sleep(0.2), tell('late'))).start()"
    assert telling(worker, f"{thread}, 'done'")[0] == (None, "done")
    time.sleep(0.4)
    assert telling(worker, "'next'") == ("next", [])


def test_an_event_cancels_a_run_and_frees_the_worker(worker):
    """Whoever waits no longer must not keep others waiting."""
    cancel = threading.Event()
    threading.Timer(0.2, cancel.set).start()
    error, heard = telling(worker, "tell('half'), sleep(60)", cancel=cancel)
    assert "cancelled" in str(error)
    assert heard == ["half"]


def test_an_event_cancels_a_run_that_waits_for_its_turn(worker):
    first = threading.Thread(target=lambda: worker.run(time.sleep, 0.8, deadline_s=LONG_S))
    first.start()
    assert wait_until(worker._turn.locked)
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(WorkerFailed, match="cancelled"):
        worker.run(os.getpid, deadline_s=LONG_S, cancel=cancel)
    assert first.is_alive()
    first.join()


def test_a_run_whose_news_cannot_be_taken_ends_its_process(worker):
    def refuse(news):
        raise ValueError(news)

    pid = worker.run(os.getpid, deadline_s=LONG_S)
    with pytest.raises(ValueError, match="half"):
        worker.run(
            worker_side("lambda tell: (tell('half'), __import__('time').sleep(60))"), deadline_s=LONG_S, on_news=refuse
        )
    assert wait_until(lambda: not is_alive(pid))
