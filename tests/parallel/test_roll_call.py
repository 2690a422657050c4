"""Processes report to the first one; threads stand for them here, the sockets are real."""

from __future__ import annotations

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from jaxllm.errors import UserError
from jaxllm.parallel.roll_call import roll_call


@pytest.fixture
def address() -> str:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return f"127.0.0.1:{free.getsockname()[1]}"


def _said(address, count, number, timeout=20.0):
    try:
        roll_call(address, count, number, timeout=timeout)
    except UserError as error:
        return str(error)
    return "begin"


def _all(calls):
    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(lambda call: _said(*call), calls))


def test_all_begin_when_all_have_come_and_the_port_is_free_again(address) -> None:
    assert _all([(address, 3, number) for number in range(3)]) == ["begin"] * 3
    with socket.create_server(("127.0.0.1", int(address.rpartition(":")[2]))):
        pass


def test_who_has_come_is_named_to_all_when_some_do_not(address) -> None:
    host = socket.gethostname()
    for said in _all([(address, 4, 0, 1.5), (address, 4, 2, 1.5)]):
        assert "2 of 4 processes have come" in said
        assert f"0 ({host}), 2 ({host}); missing: 1, 3" in said


def test_a_first_process_that_is_not_there_is_named(address) -> None:
    assert f"process 0 cannot be reached at {address}" in _said(address, 2, 1, 0.6)


def test_processes_that_were_told_other_numbers_are_refused(address) -> None:
    said = _all([(address, 2, 0, 5.0), (address, 3, 1, 5.0)])
    assert all("expects 3 processes, process 0 2" in one for one in said)


def test_a_process_that_was_started_anew_and_a_stranger_do_no_harm(address) -> None:
    host, _, port = address.rpartition(":")
    first = threading.Thread(target=_said, args=(address, 3, 0))
    first.start()
    gone = None
    while gone is None:
        try:
            gone = socket.create_connection((host, int(port)), 1)
        except OSError:
            time.sleep(0.02)
    with gone:
        gone.sendall(b'{"id": 1, "of": 3, "host": "a"}\n')
    with socket.create_connection((host, int(port)), 1) as stranger:
        stranger.sendall(b"GET / HTTP/1.1\n")
        assert _all([(address, 3, number) for number in (1, 2)]) == ["begin"] * 2
    first.join()


@pytest.mark.parametrize("wrong", ["10.0.0.2", "10.0.0.2:0", ":8476", "host:port"])
def test_an_address_without_host_or_port_is_told(wrong) -> None:
    assert "write HOST:PORT" in _said(wrong, 2, 0)
