"""What the kernel says of this very process."""

import os
import socket
import threading
from pathlib import Path

import pytest

from loadtest.measure.procfs import NoProcess, Usage, cpu_share, listening_pid, usage, waited_ns


def test_an_open_file_and_a_thread_are_seen() -> None:
    before = usage(os.getpid())
    assert before.rss_mb > 5
    ended = threading.Event()
    thread = threading.Thread(target=ended.wait)
    thread.start()
    with Path("/dev/null").open("rb"):
        after = usage(os.getpid())
    ended.set()
    thread.join()
    assert (after.fds, after.threads) == (before.fds + 1, before.threads + 1)
    assert after.cpu_ns >= before.cpu_ns


def test_a_name_with_brackets_does_not_shift_the_fields(tmp_path: Path) -> None:
    folder = tmp_path / "7"
    (folder / "fd").mkdir(parents=True)
    (folder / "stat").write_text("7 (a b) c) S 1 7 7 0 -1 4194560 9 0 0 0 200 100 0 0 20 0 3 0 5 0 0\n")
    (folder / "statm").write_text("10 5 1 1 0 1 0\n")
    ticks = os.sysconf("SC_CLK_TCK")
    found = usage(7, tmp_path)
    assert found == Usage(300 * (10**9 // ticks), 5 * os.sysconf("SC_PAGE_SIZE"), 0, 3)


def test_no_process_is_told(tmp_path: Path) -> None:
    with pytest.raises(NoProcess):
        usage(1, tmp_path)


def test_waiting_for_a_core_is_the_second_number_of_schedstat(tmp_path: Path) -> None:
    (tmp_path / "schedstat").write_text("123 456 7\n")
    assert waited_ns(tmp_path) == 456
    assert waited_ns(tmp_path / "nothing") == 0
    assert waited_ns() >= 0


def test_a_share_is_cpu_over_wall() -> None:
    assert cpu_share(Usage(10, 0, 0, 1), Usage(60, 0, 0, 1), 100) == 0.5


def test_a_listener_is_found_by_its_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert listening_pid(port) == os.getpid()
    assert listening_pid(port) is None
