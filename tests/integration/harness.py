# SPDX-License-Identifier: MIT
"""What the integration tests share: the binary under test, a private broker, processes that are
always cleaned up, and waiting for something to become true (never a bare sleep)."""

import bisect
import contextlib
import json
import math
import os
import pathlib
import queue
import shutil
import signal
import socket
import subprocess
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.environ.get("TEST_BINARY", str(ROOT / "build/release/bridge/bl2mqtt"))
PRELOAD = pathlib.Path(BINARY).resolve().parents[1] / "tests/integration/preload"


def preloaded(*libraries, **variables):
    """Environment for `spawn` that puts these libraries of tests/integration/preload before libc."""
    paths = [PRELOAD / f"{name}.so" for name in libraries]
    assert all(path.exists() for path in paths), paths  # the loader would go on without
    sanitizer = os.environ.get("ASAN_OPTIONS", "")
    return {"LD_PRELOAD": " ".join(map(str, paths)),
            "ASAN_OPTIONS": ":".join(filter(None, (sanitizer, "verify_asan_link_order=0"))),
            **{name: str(value) for name, value in variables.items()}}


# How much longer than on an idle machine something may take before a test gives up. Waiting costs time only where
# the test fails anyway, so this is generous: a small computer that is busy with other things must pass as well.
PATIENCE = float(os.environ.get("TEST_PATIENCE", "4"))


def wait_for(predicate, timeout=10.0, what="condition", every=0.02):
    """Returns the predicate's first true value; fails with what was waited for. `timeout` is for an idle machine."""
    timeout *= PATIENCE
    deadline = time.monotonic() + timeout
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout} s in vain for {what}")
        time.sleep(every)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def pause(seconds, why):
    """The only sleep, with `during`: for a moment that is the test's input, or for something that must not happen meanwhile. `why`
    says which. Whatever can be seen to happen is waited for with wait_for."""
    assert why
    time.sleep(seconds)


def during(seconds, every=0.02):
    """Goes round for so long: an observation that must hold all the time, or a load that lasts. Yields what is left."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        yield left
        time.sleep(min(every, left))


def run(*args, timeout=30, env=None, cwd=None, stdin=None):
    """Runs one command of the binary to its end; returns CompletedProcess with text."""
    return subprocess.run([BINARY, *map(str, args)], capture_output=True, text=True, timeout=timeout * PATIENCE,
                          env={**os.environ, **(env or {})}, cwd=cwd, input=stdin)


class Starvation(threading.Thread):
    """For how long the processes under test were ready to run and the machine had no processor for them, as the kernel
    counts it. A test that looks at distances in time takes this away first, and so judges the program alone."""

    def __init__(self):
        super().__init__(daemon=True)
        self.lock = threading.Lock()
        self.waited = {}  # process id: nanoseconds at the last look
        self.samples = [(time.time() * 1000, 0.0)]  # wall clock and sum, both in ms

    def watch(self, pid):
        with self.lock:
            self.waited[pid] = 0
            if self.ident is None:
                self.start()

    def look(self):
        grown = 0
        with self.lock:
            for pid, before in list(self.waited.items()):
                try:
                    now = int(pathlib.Path(f"/proc/{pid}/schedstat").read_text().split()[1])
                except (OSError, IndexError):  # it has ended
                    del self.waited[pid]
                    continue
                grown += now - before
                self.waited[pid] = now
            self.samples.append((time.time() * 1000, self.samples[-1][1] + grown / 1e6))

    def run(self):
        while True:
            self.look()
            time.sleep(0.1)

    def between(self, begin_ms, end_ms):
        """How much of that span, by the wall clock."""
        with self.lock:
            before = bisect.bisect_right(self.samples, (begin_ms, math.inf)) - 1
            behind = bisect.bisect_left(self.samples, (end_ms, 0.0))
            if before < 0 or behind >= len(self.samples):
                return 0.0  # another clock than this one
            return self.samples[behind][1] - self.samples[before][1]


STARVATION = Starvation()


class Process:
    """A background process whose output is kept; killed at the end of the test."""

    def __init__(self, args, env=None, cwd=None):
        self.args = [str(a) for a in args]
        self.lines = []
        self._process = subprocess.Popen(self.args, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                         stdin=subprocess.DEVNULL, text=True, errors="replace",
                                         env={**os.environ, **(env or {})}, cwd=cwd)
        STARVATION.watch(self.pid)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self._process.stdout:
            self.lines.append(line.rstrip("\n"))

    @property
    def pid(self):
        return self._process.pid

    @property
    def output(self):
        return "\n".join(self.lines)

    def running(self):
        return self._process.poll() is None

    def wait_line(self, text, timeout=10.0):
        def find():
            return next((line for line in list(self.lines) if text in line), None)
        try:
            return wait_for(find, timeout, f"the line {text!r}")
        except AssertionError as error:
            raise AssertionError(f"{error}\n--- output of {self.args[0]}:\n{self.output}") from None

    def stop(self, number=signal.SIGTERM, timeout=15.0):
        """Signals, waits, returns the exit status; SIGKILL if it does not go."""
        self.signal(number)
        try:
            status = self._process.wait(timeout * PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise AssertionError(f"{self.args[:2]} did not stop in {timeout} s\n{self.output}") from None
        self._reader.join(2)
        return status

    def signal(self, number):
        if self.running():
            self._process.send_signal(number)

    def kill(self):
        with contextlib.suppress(Exception):
            self._process.kill()
            self._process.wait(5)


class Broker:
    """A mosquitto of the test's own on a free loopback port; can be stopped and started again."""

    def __init__(self, folder, extra=""):
        self.folder = pathlib.Path(folder)
        self.port = free_port()
        self.config = self.folder / "mosquitto.conf"
        self.config.write_text(f"listener {self.port} 127.0.0.1\nallow_anonymous true\n"
                               f"persistence false\nmax_queued_messages 100000\nuser root\n{extra}")
        self.process = None
        self.start()

    @property
    def url(self):
        return f"mqtt://127.0.0.1:{self.port}"

    def start(self):
        binary = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
        self.process = Process([binary, "-c", self.config])
        wait_for(self._accepts, 10, "mosquitto to listen")

    def _accepts(self):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 0.2):
            return True
        return False

    def stop(self, number=signal.SIGTERM):
        if self.process is not None:
            self.process.stop(number)
            self.process = None

    def publish(self, topic, payload, retain=False, qos=1):
        if not isinstance(payload, (str, bytes)):
            payload = json.dumps(payload)
        # mosquitto_pub has an option of its own for an empty payload.
        args = ["mosquitto_pub", "-h", "127.0.0.1", "-p", str(self.port), "-t", topic, "-q", str(qos), "-s" if payload else "-n"]
        subprocess.run(args + (["-r"] if retain else []), check=True, timeout=10,
                       input=payload if isinstance(payload, bytes) else payload.encode())

    def subscribe(self, *topics):
        return Subscriber(self.port, topics)


class Subscriber:
    """mosquitto_sub, so that an independent client judges what arrives."""

    running = set()  # they would ask for their broker forever: conftest.py ends them with their test

    def __init__(self, port, topics):
        args = ["mosquitto_sub", "-h", "127.0.0.1", "-p", str(port), "-q", "1", "-F", "%j", "-i", f"watch-{os.urandom(4).hex()}"]
        self._port, self._marker, self._marked = port, f"test/marker/{os.urandom(4).hex()}", threading.Event()
        for topic in (*topics, self._marker):
            args += ["-t", topic]
        self.messages = []
        self._queue = queue.Queue()
        self._process = subprocess.Popen(args, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                                         errors="replace")
        self.running.add(self)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self._process.stdout:
            message = json.loads(line)
            if message["topic"].startswith("test/marker/"):
                if message["topic"] == self._marker:
                    self._marked.set()
                continue
            message["at"] = time.monotonic()
            message["payload"] = message.get("payload") or ""  # %j says null for an empty payload
            self.messages.append(message)

    def payloads(self, topic):
        return [m["payload"] for m in list(self.messages) if m["topic"] == topic]

    def wait(self, topic, predicate=lambda payload: True, timeout=10.0):
        """The first message on topic (JSON decoded where it is JSON) that satisfies the predicate."""
        def find():
            for message in list(self.messages):
                if message["topic"] != topic:
                    continue
                value = decode(message["payload"])
                if predicate(value):
                    return (value,)
            return None
        return wait_for(find, timeout, f"a message on {topic}")[0]

    def catch_up(self):
        """Until everything has come that the broker had for this subscriber: a broker keeps the order."""
        def marked():
            subprocess.run(["mosquitto_pub", "-h", "127.0.0.1", "-p", str(self._port), "-t", self._marker, "-q", "1",
                            "-n"], check=True, timeout=10)
            return self._marked.wait(0.3)
        self._marked.clear()
        wait_for(marked, 10, "the broker's messages")

    def clear(self):
        self.messages.clear()

    def close(self):
        self.running.discard(self)
        self._process.kill()
        self._process.wait()


def decode(payload):
    try:
        return json.loads(payload)
    except (TypeError, ValueError, RecursionError):
        return payload


class SimulatedMeter:
    """`bl2mqtt simulate meter` under control of the test: a pty under a stable link name."""

    def __init__(self, link, *args, addresses=(0,)):
        self.link = str(link)
        command = [BINARY, "simulate", "meter", "--link", self.link, "--control", "-", *map(str, args)]
        for address in addresses:
            command += ["--address", str(address)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                         bufsize=1)
        STARVATION.watch(self._process.pid)
        self._answers = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        wait_for(lambda: os.path.exists(self.link), 10, f"the simulated meter at {self.link}")

    def _read(self):
        for line in self._process.stdout:
            if line.startswith("{"):
                self._answers.put(json.loads(line))

    @property
    def pid(self):
        return self._process.pid

    def tell(self, command):
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()

    def truth(self, address=0):
        while not self._answers.empty():
            self._answers.get()
        self.tell("truth")
        answer = self._answers.get(timeout=10)
        return next(chip for chip in answer["chips"] if chip["address"] == address)

    def close(self):
        with contextlib.suppress(OSError):
            self._process.terminate()
        self._process.wait(10)


def write_config(folder, broker_url, devices, **sections):
    """A bridge.yaml as JSON, which is YAML: returns its path. devices: list of dicts."""
    config = {"bridge": {"id": "test", "data_dir": str(pathlib.Path(folder) / "data"), "log_level": "debug"},
              "mqtt": {"server": broker_url}, "history": {"commit_interval": "1s", "clock_wait": "0s"},
              "web": {"listen": "off"}, "devices": devices}
    for name, values in sections.items():
        config.setdefault(name, {}).update(values)
    path = pathlib.Path(folder) / "bridge.yaml"
    path.write_text(json.dumps(config, indent=2))
    return path
