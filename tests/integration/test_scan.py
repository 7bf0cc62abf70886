# SPDX-License-Identifier: MIT
"""`bl2mqtt scan` and `bl2mqtt ports` against the simulated meter on a pty."""

import contextlib
import fcntl
import json
import os
import pty
import threading
import tty

import pytest

from harness import run, wait_for


@pytest.fixture
def meter(spawn, folder):
    """meter("--address", 2): a simulated meter; returns the link to its port."""
    links = []

    def start(*args):
        links.append(folder / ("usb-adapter" + "-again" * len(links)))
        link = links[-1]
        process = spawn("simulate", "meter", "--link", link, *args)
        process.wait_line("Port:")
        return link
    return start


def scan(link, *args):
    result = run("scan", "--port", link, "--json", *args)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def test_finds_every_address(meter):
    link = meter("--address", 0, "--address", 1, "--address", 2, "--address", 3, "--load", "constant",
                 "--voltage", 231.5, "--current", 10, "--power", -2000, "--first-count", 4711)
    answer = scan(link)
    assert answer["port"] == str(link)
    assert [(c["baud"], c["address"]) for c in answer["chips"]] == [(4800, a) for a in range(4)]
    for chip in answer["chips"]:
        assert abs(chip["voltage_estimate_v"] - 231.5) < 0.5
        assert abs(chip["voltage_raw"] / 15883.3 - 231.5) < 0.5
        assert abs(chip["current_raw"] / 128118.9 - 10) < 0.05
        assert abs(chip["power_raw"] / 317.9 + 2000) < 10
        assert abs(chip["frequency_hz"] - 50) < 0.1
        assert 4711 <= chip["energy_raw"] < 4811
        assert chip["mode"] == 0x87  # nothing was changed, also not by the scan before this answer
    assert scan(link, "--baud", 4800)["chips"][0]["mode"] == 0x87


def test_finds_the_baud_rate(meter):
    answer = scan(meter("--baud", 9600, "--address", 2))
    assert [(c["baud"], c["address"]) for c in answer["chips"]] == [(9600, 2)]
    assert "baud: 9600" in answer["config"]


def test_config_lines_are_yaml_for_these_chips(meter):
    yaml = pytest.importorskip("yaml")
    link = meter("--address", 1, "--address", 2, "--frequency", 60, "--voltage", 120)
    answer = scan(link, "--baud", 4800)
    (device,) = yaml.safe_load(answer["config"])["devices"]
    assert device["driver"] == "bl0942"
    assert device["mains"] == {"frequency": 60}
    assert device["channels"] == {"a": {"port": str(link), "baud": 4800, "address": 1},
                                  "b": {"port": str(link), "baud": 4800, "address": 2}}


def test_two_ports_are_one_device(meter, folder):
    """A clamp meter has a port for each chip; what is printed is one block, to be pasted as it is."""
    yaml = pytest.importorskip("yaml")
    links = [meter("--address", 1), meter("--address", 2)]
    ports = [word for link in links for word in ("--port", link)]
    result = run("scan", *ports, "--baud", 4800, "--json")
    assert result.returncode == 0, result.stderr
    answer = json.loads(result.stdout)
    assert answer["ports"] == [str(link) for link in links]
    assert [(chip["port"], chip["address"]) for chip in answer["chips"]] == [(str(links[0]), 1), (str(links[1]), 2)]
    text = run("scan", *ports, "--baud", 4800).stdout
    assert text.count("devices:") == 1 and answer["config"] in text
    assert max(map(len, text.split("For bridge.yaml")[0].splitlines())) <= 80
    (device,) = yaml.safe_load(answer["config"])["devices"]
    assert device["channels"] == {name: {"port": str(link), "baud": 4800, "address": address}
                                  for name, link, address in (("a", links[0], 1), ("b", links[1], 2))}
    # one that is missing is said, and the other one is printed all the same
    result = run("scan", "--port", folder / "none", "--port", links[1], "--baud", 4800)
    assert result.returncode == 3 and "a: {port: " in result.stdout and str(folder / "none") in result.stderr


def test_text_for_people(meter):
    link = meter("--load", "constant", "--voltage", 230, "--current", 1)
    result = run("scan", "--port", link, "--baud", 4800)
    assert result.returncode == 0
    assert "230." in result.stdout or "229." in result.stdout
    assert f"a: {{port: {link}, baud: 4800, address: 0}}" in result.stdout
    assert "4800 baud" in result.stderr and "baud ..." not in result.stdout


def test_finds_chips_behind_junk(meter):
    link = meter("--fault", "junk_before=1")
    assert [c["address"] for c in scan(link, "--baud", 4800)["chips"]] == [0]


@contextlib.contextmanager
def raw_pty(reply=b""):
    """A pty on which nobody is, or something that answers each request with the same bytes."""
    master, slave = pty.openpty()
    tty.setraw(slave)
    path = os.ttyname(slave)

    def talk():
        with contextlib.suppress(OSError):
            while os.read(master, 64):
                os.write(master, reply)

    thread = threading.Thread(target=talk, daemon=True)
    thread.start()
    try:
        yield path
    finally:
        os.close(slave)
        os.close(master)
        thread.join(2)


def test_nobody_answers():
    with raw_pty() as path:
        result = run("scan", "--port", path, "--json", "--baud", 4800)
    assert result.returncode == 3
    assert json.loads(result.stdout) == {"port": path, "chips": [], "config": ""}
    for word in ("RX", "TX", "pull-up", "isolat"):
        assert word in result.stderr, result.stderr


def test_something_else_answers():
    with raw_pty(b"login: ") as path:
        result = run("scan", "--port", path, "--baud", 4800)
    assert result.returncode == 3
    assert "other bytes were received" in result.stderr
    assert result.stdout == ""


def test_busy_port_names_its_holder():
    with raw_pty() as path:
        fd = os.open(path, os.O_RDWR | os.O_NOCTTY)
        fcntl.flock(fd, fcntl.LOCK_EX)
        result = run("scan", "--port", path)
        os.close(fd)
    assert result.returncode == 4
    assert f"(pid {os.getpid()})" in result.stderr


def test_wrong_ports_and_options(folder):
    result = run("scan", "--port", folder / "nothing")
    assert result.returncode == 3
    assert "bl2mqtt ports" in result.stderr
    file = folder / "file"
    file.write_text("")
    assert run("scan", "--port", file).returncode == 1
    for args in ([], ["--port"], ["--port", "x", "--baud", "1200"], ["--port", "x", "y"], ["--what"],
                 ["--port", "x", "--baud", "4800x"]):
        result = run("scan", *args)
        assert result.returncode == 2, args
        assert result.stderr
    assert run("scan", "--help").stdout.startswith("Usage:")


def test_port_that_goes_away_during_a_scan(spawn, folder):
    link = folder / "adapter"
    process = spawn("simulate", "meter", "--link", link)
    process.wait_line("Port:")
    scanner = spawn("scan", "--port", link)
    scanner.wait_line("Asking at 4800 baud")
    process.kill()
    scanner.wait_line("has gone")
    wait_for(lambda: not scanner.running(), what="the end of the scan")
    assert scanner.stop() == 1


def test_ports():
    result = run("ports", "--json")
    assert result.returncode == 0, result.stderr
    for port in json.loads(result.stdout)["ports"]:
        assert sorted(port) == ["by_id", "by_path", "description", "holder", "path", "serial",
                                "usb_pid", "usb_vid"]
        assert port["path"].startswith("/dev/")
    text = run("ports")
    assert text.returncode == 0
    assert text.stdout or "no serial ports" in text.stderr
    assert run("ports", "extra").returncode == 2
    assert run("ports", "--extra").returncode == 2
    assert run("ports", "--help").stdout.startswith("Usage:")
