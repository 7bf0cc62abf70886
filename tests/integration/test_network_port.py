# SPDX-License-Identifier: MIT
"""BL0942 chips behind a network: tcp://, rfc2217://, tcp-listen://, with Debian's ser2net and with a server that does
what networks do."""

import json
import shutil
import socket

import pytest

from harness import SimulatedMeter, free_port, pause, run, wait_for, write_config
from house import CALIBRATION, FACTORS, KWH_PER_COUNT, counted, load
from serial_server import Ser2net, Server

needs_ser2net = pytest.mark.skipif(shutil.which("ser2net") is None, reason="ser2net is not installed")


@pytest.fixture
def things():
    """things(Class, ...): made now, closed at the end, newest first."""
    made = []

    def make(kind, *args, **options):
        made.append(kind(*args, **options))
        return made[-1]
    yield make
    for thing in reversed(made):
        thing.close()


def chip(things, folder, *args, baud=4800):
    return things(SimulatedMeter, folder / "usb", *FACTORS, "--baud", baud, "--voltage", 230, "--current", 0,
                  "--power", 0, "--first-count", 1000, "--seed", 1, *args)


def service(folder, broker, spawn, port, baud=4800, **channel):
    device = {"id": "house", "driver": "bl0942", "interval": "250ms", "report_interval": "250ms",
              "channels": {"a": {"port": port, "baud": baud, "calibration": CALIBRATION, **channel}}}
    config = write_config(folder, broker.url, [device])
    subscriber = broker.subscribe("bl2mqtt/#")
    return spawn("--config", config, "run"), subscriber


def online(subscriber, timeout=20):
    return subscriber.wait("bl2mqtt/house/availability", lambda s: s["state"] == "online", timeout)


def power(subscriber, watts, timeout=20):
    return subscriber.wait("bl2mqtt/house", lambda s: s["power"] is not None and abs(s["power"] - watts) < 3, timeout)


# ---- scan ----

def scan(port, *args, status=0):
    result = run("scan", "--port", port, "--json", *args, timeout=60)
    assert result.returncode == status, result.stderr
    return json.loads(result.stdout), result.stderr


@needs_ser2net
def test_scan_raw(things, folder):
    chip(things, folder, "--power", -2000, "--current", 9)
    server = things(Ser2net, folder, folder / "usb")
    answer, _ = scan(server.name)
    assert [(c["baud"], c["address"]) for c in answer["chips"]] == [(4800, 0)]
    assert server.name in answer["config"]


@needs_ser2net
def test_scan_rfc2217_finds_the_baud_rate(things, folder):
    chip(things, folder, "--power", -2000, "--current", 9, baud=9600)
    server = things(Ser2net, folder, folder / "usb", rfc2217=True)
    answer, _ = scan(server.name)
    assert [(c["baud"], c["address"]) for c in answer["chips"]] == [(9600, 0)]
    assert answer["chips"][0]["power_raw"] < 0  # its sign is a byte 0xFF


def test_scan_of_nobody():
    _, words = run_scan(f"tcp://127.0.0.1:{free_port()}", 3)
    assert "cannot be reached" in words
    _, words = run_scan("tcp://nobody.invalid:1234", 3)
    assert "not found" in words
    for port in ("tcp://host", "udp://host:1", "tcp-listen://:1"):
        code, words = run_scan(port, 2)
        assert "tcp" in words


def run_scan(port, status):
    result = run("scan", "--port", port, timeout=60)
    assert result.returncode == status, result.stderr
    return result.returncode, result.stderr


# ---- flashing ----

@needs_ser2net
def test_flash_by_rfc2217(things, folder, spawn):
    spawn("simulate", "module", "--link", folder / "usb").wait_line("usb")
    server = things(Ser2net, folder, folder / "usb", rfc2217=True, baud=115200)
    result = run("flash", "probe", "--port", server.name, "--json", timeout=90)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["chip"] == "BK7231N"
    refused = run("flash", "probe", "--port", server.name.replace("rfc2217", "tcp"))
    assert refused.returncode == 2 and "rfc2217://" in refused.stderr


# ---- the service ----

@needs_ser2net
@pytest.mark.parametrize("rfc2217", [False, True])
def test_ser2net(things, folder, broker, spawn, rfc2217):
    meter = chip(things, folder, baud=9600 if rfc2217 else 4800)
    server = things(Ser2net, folder, folder / "usb", rfc2217=rfc2217)
    _, subscriber = service(folder, broker, spawn, server.name)
    online(subscriber)
    load(meter, -4600)
    state = power(subscriber, -4600)
    assert state["voltage"] == pytest.approx(230, rel=0.002)


@needs_ser2net
def test_port_already_in_use(things, folder, broker, spawn):
    meter = chip(things, folder)
    server = things(Ser2net, folder, folder / "usb")
    other = socket.create_connection(("127.0.0.1", server.port))
    process, subscriber = service(folder, broker, spawn, server.name)
    process.wait_line("Port already in use", 20)
    assert not [p for p in subscriber.payloads("bl2mqtt/house/availability") if "online" in p]
    other.close()
    online(subscriber, 15)
    load(meter, 1000)
    power(subscriber, 1000)


@needs_ser2net
def test_telnet_port_by_tcp(things, folder, broker, spawn):
    chip(things, folder)
    server = things(Ser2net, folder, folder / "usb", rfc2217=True)
    port = server.name.replace("rfc2217", "tcp")
    process, _ = service(folder, broker, spawn, port)
    process.wait_line("open", 20)
    # a frame without 0xFF passes; the greeting is junk in front of it, and no harm
    assert process.running()


def test_a_module_dials(things, folder, broker, spawn):
    meter = chip(things, folder)
    port = free_port()
    process, subscriber = service(folder, broker, spawn, f"tcp-listen://127.0.0.1:{port}?allow=127.0.0.1")
    module = things(Server, folder / "usb", dial=port)
    online(subscriber)
    load(meter, 2300)
    power(subscriber, 2300)
    module.drop()
    wait_for(lambda: module.connections == 2, 15, "the module to dial again")
    load(meter, 1300)
    power(subscriber, 1300)
    assert process.running()


def test_who_may_dial(things, folder, broker, spawn):
    chip(things, folder)
    port = free_port()
    process, subscriber = service(folder, broker, spawn, f"tcp-listen://:{port}?allow=192.0.2.7")
    module = things(Server, folder / "usb", dial=port)
    wait_for(lambda: module.connections >= 3, 15, "refusals")
    assert process.running() and module.requests == 0
    assert not [p for p in subscriber.payloads("bl2mqtt/house/availability") if "online" in p]


def test_faults(things, folder, broker, spawn):
    """Every fault, one after the other: back within 15 s after it ended, and nothing lost or invented."""
    meter = chip(things, folder)
    server = things(Server, folder / "usb")
    _, subscriber = service(folder, broker, spawn, server.name)
    online(subscriber)
    load(meter, 9000)
    power(subscriber, 9000)

    def back(watts):
        load(meter, watts)
        power(subscriber, watts, 15)

    server.split = True
    back(8000)
    server.delay = (0.0, 3.0)
    pause(8, "a slow network, for a while")
    server.delay = (0.0, 0.0)
    back(7000)
    for _ in range(10):
        server.inject()
        pause(0.3, "the other client asks again and again")
    back(6000)
    server.half_close()
    back(5500)
    server.drop()
    back(5000)
    server.refuse = True
    server.drop()
    subscriber.wait("bl2mqtt/house/availability", lambda s: s["state"] == "offline")
    subscriber.clear()
    server.refuse = False
    back(4500)
    before = server.connections
    server.swallow = True
    wait_for(lambda: server.connections > before, 20, "a new connection instead of the dead one")
    server.swallow = False
    back(4000)
    server.inject(b"Port already in use\r\n")
    load(meter, 0)
    power(subscriber, 0)
    truth = counted(meter)
    assert truth > 10

    def energy():
        state = json.loads(subscriber.payloads("bl2mqtt/house")[-1])
        return state["energy"] / KWH_PER_COUNT

    # the counts before the first reading, and the published decimals: 2.7 counts each
    wait_for(lambda: energy() > truth - 8, 15, "all that was counted")
    assert energy() <= truth + 0.5


def test_names_are_looked_up_elsewhere(things, folder, broker, spawn):
    """A name that is not found delays nobody: another line is read meanwhile."""
    meter = chip(things, folder)
    server = things(Server, folder / "usb")
    device = {"id": "house", "driver": "bl0942", "interval": "250ms", "report_interval": "250ms", "channels": {
        "a": {"port": server.name, "calibration": CALIBRATION}, "b": {"port": "tcp://nobody.invalid:6638"}}}
    config = write_config(folder, broker.url, [device])
    subscriber = broker.subscribe("bl2mqtt/#")
    process = spawn("--config", config, "run")
    process.wait_line("nobody.invalid", 20)
    load(meter, 1500)
    subscriber.wait("bl2mqtt/house", lambda s: s["power_a"] is not None and abs(s["power_a"] - 1500) < 3, 20)


def test_check(folder, broker):
    for port, status in (("tcp://192.168.1.31:8891", 0), ("rfc2217://ser2net:3333", 0), ("tcp-listen://:6638", 0),
                         ("tcp://host", 2), ("http://host:80", 2), ("tcp-listen://:6638?allow=x", 2)):
        config = write_config(folder, broker.url, [{"id": "house", "driver": "bl0942", "channels": {"a": {"port": port}}}])
        result = run("--config", config, "check")
        assert result.returncode == status, (port, result.stdout, result.stderr)
    both = {"a": {"port": "tcp://h:1"}, "b": {"port": "tcp://h:1"}}
    config = write_config(folder, broker.url, [{"id": "house", "driver": "bl0942", "channels": both}])
    assert run("--config", config, "check").returncode == 2
