# SPDX-License-Identifier: MIT
"""`bl2mqtt openbeken provision`: what it sees on the broker afterwards, and its options."""

import json
import os
import pty
import select
import time

import pytest

from harness import BINARY, free_port, run, wait_for
from obk_module import Chip
from provisioning import provision, set_up

# ---- what is seen on the broker ----

def test_module_that_cannot_reach_the_broker(obk, broker):
    single = obk(boot_s=60, flash=set_up(broker))
    result = provision(single, broker, "--profile", "bl0942-single", "--json", wait=2)
    assert result.returncode == 3 and "did not connect" in result.stderr
    answer = json.loads(result.stdout)
    assert answer["online"] is False and "did not connect" in answer["error"]


def test_second_chip_that_is_silent(obk, broker):
    twin = obk(twin=True, flash=set_up(broker, twin=True))
    twin.chips[2].mode = "silent"
    result = provision(twin, broker, "--profile", "bl0942-dual", "--json", wait=4)
    assert result.returncode == 3
    assert "channel b" in result.stderr and "UART 2" in result.stderr
    assert list(json.loads(result.stdout)["channels"]) == ["a"]


@pytest.mark.parametrize("chip, words", [
    (Chip(volts=12.0), "voltage is not that of the mains"),
    (Chip(amps=60.0, watts=1000.0), "more than the meter can carry"),
    (Chip(amps=1.0, watts=1000.0), "more than voltage times current")])
def test_readings_that_cannot_be(obk, broker, chip, words):
    single = obk(chips={1: chip}, flash=set_up(broker))
    result = provision(single, broker, "--profile", "bl0942-single", wait=3)
    assert result.returncode == 5 and words in result.stderr


def test_retained_readings_are_not_taken_for_new_ones(obk, broker):
    for name in ("voltage", "current", "power"):
        broker.publish(f"utilities/sensor9/{name}/get", "230", retain=True)
    single = obk(flash=set_up(broker))
    single.chips[1].mode = "silent"
    result = provision(single, broker, "--profile", "bl0942-single", wait=2)
    assert result.returncode == 3 and "published no voltage" in result.stderr


def test_what_came_before_the_restart_does_not_count(obk, broker):
    """MQTT settings work at once: the module is online and publishes before its restart, then never again."""
    flash = set_up(broker)
    flash.values["flags"] = 1 << 10
    single = obk(flash=flash, restart_s=2.0)
    wait_for(lambda: single._client and single._client.is_connected(), what="the connection")
    single.boot_s = 60
    result = provision(single, broker, "--profile", "bl0942-single", wait=6)
    assert result.returncode == 3 and "did not connect" in result.stderr


# ---- options ----

def test_usage_errors(obk, broker, folder):
    single = obk()
    base = ["--host", single.host, "--mqtt", "mqtt://192.0.2.2", "--id", "x"]
    empty = folder / "empty"
    empty.write_text("\n")
    for args, words in [
            (["--mqtt", "mqtt://x", "--id", "x"], "--host"),
            (["--host", single.host, "--id", "x"], "--mqtt"),
            (["--host", single.host, "--mqtt", "mqtt://x"], "--client-id"),
            ([*base, "--id", "a/+"], "wildcards"),
            ([*base, "--id", "a//b"], "topic"),
            ([*base, "--id", "x" * 64], "63"),
            ([*base, "--mqtt", "mqtts://x"], "TLS"),
            ([*base, "--mqtt", "mqtt://u:p@x"], "options of their own"),
            ([*base, "--name", 'a"b'], "quotation"),
            ([*base, "--wait", "-1"], "--wait"),
            ([*base, "--timeout", "0"], "--timeout"),
            ([*base, "--profile", "nonsense"], "v-wifi-dl02-es"),
            ([*base, "--profile", "bl0942-direct"], "port: /dev/serial/by-id/usb-A"),
            ([*base, "--mqtt-password-file", empty], "user"),
            ([*base, "--mqtt-user", "u", "--mqtt-password-file", empty], "password"),
            ([*base, "--mqtt-user", "u", "--mqtt-password-file", folder / "none"], "none"),
            ([*base, "--mqtt-user", "u"], "OBK_MQTT_PASSWORD"),
            ([*base, "--host", "a b"], "--host"),
            ([*base, "--host", "1.2.3.4/x"], "--host"),
            ([*base, "--host", "u@1.2.3.4"], "--host"),
            (["--host", "192.0.2.1", "--mqtt", "mqtt://localhost", "--id", "x"], "module itself"),
            ([*base, "word"], "word"),
            ([*base, "--password", "x"], "--help")]:
        result = run("openbeken", "provision", *args, stdin="")
        assert result.returncode == 2, (args, result.stderr)
        assert words in result.stderr, (args, result.stderr)
    assert single.requests == []
    assert run("openbeken", "provision", "--help").stdout.startswith("Usage:")


def test_password_from_the_terminal(obk, broker):
    single = obk()
    pid, fd = pty.fork()
    if pid == 0:
        os.execv(BINARY, [BINARY, "openbeken", "provision", "--host", single.host, "--mqtt", broker.url, "--id", "x",
                          "--mqtt-user", "u", "--wait", "0"])
    seen = b""

    def read_until(found, timeout):
        nonlocal seen
        deadline = time.monotonic() + timeout
        while not found() and time.monotonic() < deadline:
            if not select.select([fd], [], [], 0.2)[0]:
                continue
            try:
                seen += os.read(fd, 1000)
            except OSError:  # the other side is closed
                return

    read_until(lambda: b"MQTT password: " in seen, 10)
    os.write(fd, b"typed words\n")
    read_until(lambda: False, 12)
    os.close(fd)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, seen
    assert single.flash.values["password"] == "typed words"
    assert b"typed words" not in seen  # not echoed


def test_web_password(obk, broker, folder):
    single = obk(web_password="hunter2")
    result = run("openbeken", "info", "--host", single.host)
    assert result.returncode == 4 and "--web-password-file" in result.stderr
    file = folder / "web"
    file.write_text("hunter2\n")
    assert run("openbeken", "info", "--host", single.host, "--web-password-file", file).returncode == 0
    assert run("openbeken", "info", "--host", single.host, env={"OBK_WEB_PASSWORD": "hunter2"}).returncode == 0
    wrong = run("openbeken", "info", "--host", single.host, env={"OBK_WEB_PASSWORD": "hunter3"})
    assert wrong.returncode == 4 and "wrong" in wrong.stderr


def test_proxy_of_the_environment_is_not_asked(obk):
    single = obk()
    env = {"http_proxy": f"http://127.0.0.1:{free_port()}"}
    assert run("openbeken", "info", "--host", single.host, env=env).returncode == 0
