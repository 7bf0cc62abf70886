# SPDX-License-Identifier: MIT
"""`bl2mqtt watch`: the live table, on a terminal, as text and as JSON lines."""

import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import termios

import pytest

from harness import PATIENCE, BINARY, run, wait_for, write_config


@pytest.fixture
def service(folder, broker, spawn):
    config = write_config(folder, broker.url, [
        {"id": "house", "name": "House meter", "driver": "simulator", "interval": "200ms", "report_interval": "500ms",
         "channels": {"a": {}, "b": {}}},
        {"id": "shed", "driver": "simulator", "interval": "200ms", "report_interval": "500ms", "channels": {"a": {}}}])
    process = spawn("--config", config, "run")
    process.wait_line("shed a is online")
    return config


def test_once(service, broker):
    result = run("--config", service, "watch", "--once")
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0].split()[:4] == ["channel", "V", "A", "W"]
    labels = [re.match(r"House meter(?: [ab])?|shed", line)[0] for line in lines[1:]]
    assert sorted(labels) == ["House meter", "House meter a", "House meter b", "shed"]
    volts = next(line for line in lines if line.startswith("House meter a")).split()[3]
    assert 180 < float(volts) < 280
    only = run("--config", service, "watch", "--once", "--device", "shed").stdout
    assert "shed" in only and re.search(r"shed +\d", only)
    # without a configuration
    result = run("watch", "--server", broker.url, "--once", env={"BL2MQTT_CONFIG": "/nonexistent"})
    assert result.returncode == 0 and "House meter a" in result.stdout


def test_json_lines(service):
    result = run("--config", service, "watch", "--json", "--seconds", 3)
    assert result.returncode == 0, result.stderr
    states = [json.loads(line) for line in result.stdout.splitlines()]
    assert {state["device"] for state in states} == {"house", "shed"}
    assert len(states) >= 4 and all(set(state) == {"device", "state"} for state in states)
    assert all("power_a" in state["state"] for state in states if state["device"] == "house")


def test_on_a_terminal(service):
    """Drawn over itself, never wider than the terminal, and ended by Ctrl-C."""
    near, far = pty.openpty()
    fcntl.ioctl(far, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    process = subprocess.Popen([BINARY, "--config", service, "watch"], stdin=far, stdout=far, stderr=far)
    os.close(far)
    shown = b""

    def twice():
        nonlocal shown
        shown += os.read(near, 65536)
        return shown.count(b"\x1b[H") >= 3 and b"House meter a" in shown and b"Ctrl-C" in shown
    wait_for(twice, 20, "the third table, and the values")
    process.send_signal(signal.SIGINT)
    status = process.wait(10 * PATIENCE)
    assert status == 0, os.read(near, 65536)
    os.close(near)
    for screen in shown.decode().split("\x1b[H")[1:]:
        lines = [re.sub(r"\x1b\[[0-9]*[A-Za-z]", "", line) for line in screen.splitlines()]
        assert max(map(len, lines)) <= 79 and len(lines) <= 24
    assert "House meter a" in shown.decode() and "Ctrl-C" in shown.decode()


def test_nobody_is_there(broker, folder):
    result = run("watch", "--server", broker.url, "--once")
    assert result.returncode == 3 and "service" in result.stderr
    result = run("watch", "--server", "mqtt://127.0.0.1:1", "--once")
    assert result.returncode == 3 and "broker" in result.stderr
    result = run("watch", "--user", "x")
    assert result.returncode == 2 and "--server" in result.stderr
