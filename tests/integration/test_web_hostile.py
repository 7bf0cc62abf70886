# SPDX-License-Identifier: MIT
"""HTTP clients that mean harm: slow, silent, half-closed, oversize and many. The chips are read on time all the while,
and others are served."""

import contextlib
import random
import socket
import time

import house
import pytest
import web
from harness import wait_for

INTERVAL_MS = 250
IDLE = 1000


@pytest.fixture
def service(folder, spawn, broker, chips):
    client, process = web.start(folder, spawn, broker.url)
    client.process = process
    wait_for(lambda: client.json("/api/v1/state/house")["voltage_a"], 20, "a reading")
    return client


@pytest.fixture
def undisturbed(folder, service):
    """Whatever the test did: no reading is missing, and the service answers."""
    stored = house.Stored(folder)
    wait_for(lambda: stored.newest_ms(), 10, "a reading in the history")
    begun = stored.newest_ms()
    yield
    ended = int(time.time() * 1000)
    wait_for(lambda: stored.newest_ms() > ended, 20, "the readings of the test in the history")
    for channel in "ab":
        distances = stored.distances(channel, begun)
        missing = [distance for distance in distances if distance > 2 * INTERVAL_MS + 100]
        assert not missing, f"{channel}: {missing} of {len(distances)}"
    assert service.answers() and service.process.running()
    assert "ERROR: AddressSanitizer" not in service.process.output


def connect(service):
    raw = socket.create_connection(("127.0.0.1", service.port), timeout=10)
    raw.settimeout(20)
    return raw


def head(service, line="GET /api/v1/state HTTP/1.1"):
    return f"{line}\r\nHost: 127.0.0.1:{service.port}\r\n".encode()


def test_idle_connections(service, undisturbed):
    """A thousand that say nothing: each further one is served, as the oldest make room."""
    raws = []
    try:
        for number in range(IDLE):
            raws.append(connect(service))
            if number % 100 == 99:
                assert service.get("/api/v1/state")[0] == 200
    finally:
        for raw in raws:
            raw.close()


def test_slow_headers(service, undisturbed):
    """One byte at a time does not hold a connection for longer than the first request may take."""
    raws = [connect(service) for _ in range(50)]
    begun = time.monotonic()
    for raw in raws:
        raw.sendall(head(service))

    def all_closed():
        for raw in list(raws):
            try:
                raw.sendall(b"X")
                raw.settimeout(0.001)
                if raw.recv(100) == b"":
                    raws.remove(raw)
            except TimeoutError:
                pass
            except OSError:
                raws.remove(raw)
        return not raws
    wait_for(all_closed, 40, "the server to close them", every=0.5)
    assert time.monotonic() - begun > 5, "they were not served slowly; nothing was tested"


def test_half_closed(service, undisturbed):
    """A peer that sends no more but reads gets its answer."""
    raw = connect(service)
    raw.sendall(head(service) + b"Connection: close\r\n\r\n")
    raw.shutdown(socket.SHUT_WR)
    answer = b""
    with contextlib.suppress(ConnectionResetError):
        while got := raw.recv(65536):
            answer += got
    assert answer.startswith(b"HTTP/1.1 200")
    raw.close()
    for _ in range(100):  # and those that go before the answer do no harm
        gone = connect(service)
        gone.sendall(head(service, "GET /api/v1/history/events HTTP/1.1") + b"\r\n")
        gone.close()


@pytest.mark.parametrize("size, status", [(65536, (404,)), (65537, (413,)), (10**9, (413,))])
def test_body_that_is_announced(service, undisturbed, size, status):
    raw = connect(service)
    raw.sendall(head(service, "POST /api/v1/request/nothing HTTP/1.1") + f"Content-Length: {size}\r\n\r\n".encode())
    with contextlib.suppress(OSError):
        raw.sendall(b" " * min(size, 70000))
    answer = b""
    with contextlib.suppress(ConnectionResetError):
        answer = raw.recv(4096)
    assert int(answer.split()[1]) in status
    raw.close()


def test_body_without_end(service, undisturbed):
    """In pieces, without a length: an error or the end of the connection, and no memory."""
    raw = connect(service)
    raw.sendall(head(service, "POST /api/v1/request/nothing HTTP/1.1") + b"Transfer-Encoding: chunked\r\n\r\n")
    piece = b"4000\r\n" + b"x" * 0x4000 + b"\r\n"
    with pytest.raises(OSError):
        for _ in range(10000):
            raw.sendall(piece)
    raw.close()


def test_long_headers(service, undisturbed):
    for line in (b"GET /" + b"a" * 100000 + b" HTTP/1.1\r\n", head(service) + b"X: " + b"a" * 100000 + b"\r\n",
                 head(service) + b"".join(b"X%d: y\r\n" % i for i in range(5000))):
        raw = connect(service)
        with contextlib.suppress(OSError):
            raw.sendall(line + b"\r\n")
            assert raw.recv(100).split()[1] in (b"400", b"413", b"414", b"431", b"500")
        raw.close()


def test_reader_that_does_not_read(service, undisturbed):
    """Long answers that nobody takes: other questions are answered, and the queries end."""
    raws = []
    for _ in range(12):
        raw = connect(service)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        raw.sendall(head(service, "GET /api/v1/history/power?device=house&channel=a&bucket=1s&from=today&to=tomorrow HTTP/1.1")
                    + b"\r\n")
        raws.append(raw)
    assert service.get("/api/v1/state")[0] == 200
    for raw in raws:
        raw.close()
    wait_for(lambda: service.get("/api/v1/history/events")[0] == 200, 40, "a free thread", every=0.5)


def test_junk(service, undisturbed, seed):
    dice = random.Random(seed)
    lines = [b"GET / HTTP/1.1\r\n\r\n", b"\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00", b"GET\r\n", b"GET / HTTP/9.9\r\n\r\n",
             b"GET  / \r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET /%00 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
             b"GET /?%00=%ff&&&=& HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", b"POST /api/v1/login HTTP/1.1\r\nContent-Length: -1\r\n\r\n"]
    for number in range(300):
        raw = connect(service)
        junk = dice.choice(lines) if dice.random() < 0.5 else dice.randbytes(dice.randrange(1, 2000))
        with contextlib.suppress(OSError):
            raw.sendall(junk)
            if number % 10 == 0:
                raw.shutdown(socket.SHUT_WR)
                raw.recv(1000)
        raw.close()
