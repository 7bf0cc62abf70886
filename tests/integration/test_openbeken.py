# SPDX-License-Identifier: MIT
"""`bl2mqtt openbeken info` and `calibrate` against a simulated module; and the simulated module itself."""

import socket
import urllib.request

import pytest

from harness import ROOT, Process, run, wait_for
from obk_module import Chip
from provisioning import TWIN_SCRIPT, whole

# ---- info ----

def test_info(obk):
    twin = obk(twin=True, boot_s=60)
    twin.flash.files["autoexec.bat"] = TWIN_SCRIPT
    twin.flash.values.update(host="192.0.2.1", client="a/b", flags=1 << 10 | 1 << 38)
    twin.chips[1].hertz = 0
    twin._boot()
    wait_for(lambda: twin.driver.shown[0], what="the first frame")
    before = len(twin.writes())
    answer = whole(run("openbeken", "info", "--host", f"http://{twin.host}/", "--json"))
    assert len(twin.writes()) == before
    assert answer["twin"] is True and answer["flags"] == [10, 38]
    assert answer["mqtt"] == {"host": "192.0.2.1", "port": 1883, "client_id": "a/b", "user": "homeassistant"}
    assert answer["autoexec"] == TWIN_SCRIPT.decode()
    assert answer["energy"]["voltage_v"] == pytest.approx(230.0)
    assert answer["energy"]["frequency_hz"] is None  # the firmware says inf, which is no JSON
    assert answer["energy"]["power_w"] == 0
    assert [w for w in answer["warnings"] if "Flag 25" in w] and [w for w in answer["warnings"] if "Flag 38" in w]

    text = run("openbeken", "info", "--host", twin.host)
    assert text.returncode == 0
    assert "BK7231N" in text.stdout and "192.0.2.1:1883 as a/b" in text.stdout
    assert "warning: Flag 38" in text.stderr


def test_info_of_a_fresh_module(obk):
    single = obk()
    answer = whole(run("openbeken", "info", "--host", single.host, "--json"))
    assert answer["twin"] is False and answer["energy"] is None and answer["autoexec"] is None
    assert any("MQTT is off" in warning for warning in answer["warnings"])
    for args in ([], ["--host", "x", "y"], ["--host", "x", "--what"], ["--host", ""]):
        assert run("openbeken", "info", *args).returncode == 2
    assert run("openbeken", "info", "--help").stdout.startswith("Usage:")


def test_info_of_what_is_no_module(obk):
    other = obk()
    for code in 403, 404, 500:
        other.fault("/api/info", "status", code, times=1)
        result = run("openbeken", "info", "--host", other.host)
        assert result.returncode == 1
        assert "does not look like an OpenBeken module" in result.stderr and f"HTTP {code}" in result.stderr


# ---- calibrate ----

def calibrate(obk, *args):
    return run("openbeken", "calibrate", "--host", obk.host, *args)


def running(obk, **options):
    """A module whose driver has read its chips."""
    started = obk(boot_s=60, **options)
    started.flash.values["flags"] = 1 << 10 | 1 << 25
    started.flash.files["autoexec.bat"] = TWIN_SCRIPT if options.get("twin") else b"startDriver BL0942\n"
    started._boot()
    wait_for(lambda: all(started.driver.shown[:len(started.driver.uarts)]), what="the first frames")
    return started


def test_calibrate(obk):
    single = running(obk)
    answer = whole(calibrate(single, "--voltage", "241.6", "--current", "5.1", "--power", "1180", "--json"))
    assert answer["set"] == {"voltage": 241.6, "current": 5.1, "power": 1180}
    assert answer["before"]["voltage_v"] == pytest.approx(230, abs=0.01)
    assert answer["after"]["voltage_v"] == pytest.approx(241.6, abs=0.01)
    assert [c for c in single.commands if "Set " in c] == ["VoltageSet 241.6", "CurrentSet 5.1", "PowerSet 1180"]
    assert single.values["divisors"]["V"] == pytest.approx(15188 * 230 / 241.6)
    assert ("POST", "/api/cmnd", "VoltageSet 241.6") in single.requests
    text = calibrate(single, "--power", "1100")
    assert text.returncode == 0 and "stays as it is" in text.stdout


def test_calibrate_refuses_a_twin(obk):
    twin = running(obk, twin=True)
    result = calibrate(twin, "--voltage", "241.6")
    assert result.returncode == 4
    assert "one calibration for both" in result.stderr and "bridge.yaml" in result.stderr
    assert not [c for c in twin.commands if c.startswith("VoltageSet")]


def test_calibrate_a_twin_build_that_reads_one_chip(obk):
    twin = obk(twin=True, boot_s=60)
    twin.flash.files["autoexec.bat"] = b"BL0942opts 1\nstartDriver BL0942\n"
    twin._boot()
    wait_for(lambda: twin.driver.shown[0], what="the first frame")
    assert calibrate(twin, "--voltage", "241.6").returncode == 0


@pytest.mark.parametrize("chip, args, words", [
    (Chip(amps=0.0, watts=0.0), ["--current", "5"], "connect a steady load"),
    (Chip(watts=-1100.0), ["--power", "1100"], "clamp"),
    (Chip(volts=0.0), ["--voltage", "230"], "does the chip answer"),
    (Chip(volts=40.0), ["--voltage", "230"], "more than a calibration repairs")])
def test_calibrate_refuses_what_cannot_be_right(obk, chip, args, words):
    single = running(obk, chips={1: chip})
    divisors = dict(single.values["divisors"])
    result = calibrate(single, *args)
    assert result.returncode == 4 and words in result.stderr
    assert single.values["divisors"] == divisors


def test_calibrate_without_a_driver(obk):
    result = calibrate(obk(), "--voltage", "230")
    assert result.returncode == 4 and "No energy driver" in result.stderr


def test_calibrate_checks_the_answers(obk):
    single = running(obk)
    single.fault("/api/cmnd", "wrong", '{"error":400, "msg":"Bad argument", "res":{}}', body="CurrentSet")
    result = calibrate(single, "--voltage", "240", "--current", "5.1")
    assert result.returncode == 1
    assert "The current was not set, but what came before it was" in result.stderr and "Bad argument" in result.stderr


def test_calibrate_that_has_no_effect(obk, monkeypatch):
    single = running(obk)
    monkeypatch.setattr(single, "_cmd_voltageset", lambda arguments: None)
    result = calibrate(single, "--voltage", "241.6")
    assert result.returncode == 5 and "accepted the voltage, but measures 230" in result.stderr


def test_calibrate_usage(obk):
    single = obk()
    for args in ([], ["--voltage", "0"], ["--voltage", "abc"], ["--voltage", "nan"], ["--power", "-5"],
                 ["--voltage", "230", "--current", "1", "--power", "300"], ["--voltage", "230", "x"], ["--what"]):
        assert calibrate(single, *args).returncode == 2, args
    assert single.requests == []
    assert run("openbeken", "calibrate", "--help").stdout.startswith("Usage:")


# ---- the simulated module itself, where the command does not look ----

def raw(obk, request):
    with socket.create_connection(("127.0.0.1", obk.port)) as connection:
        connection.sendall(request)
        data = b""
        while piece := connection.recv(4096):
            data += piece
    return data


def test_simulated_module_has_the_firmwares_habits(obk):
    single = obk()
    info = raw(single, b"GET /api/info HTTP/1.1\r\n\r\n")
    assert info.startswith(b"HTTP/1.1 200 OK\nContent-type: application/json\r\n")
    assert b"content-length" not in info.lower()
    assert raw(single, b"GET /api/del/x HTTP/1.1\r\n\r\n") == b"Error"
    assert raw(single, b"GET /cm?cmnd=Nonsense HTTP/1.1\r\n\r\n").endswith(b"\r\n\r\n{}")
    unknown = raw(single, b"POST /api/cmnd HTTP/1.1\r\nContent-Length: 8\r\n\r\nNonsense")
    assert unknown.startswith(b"HTTP/1.1 501 OK\n") and b'"error":501' in unknown
    long_command = "VCPPublishIntervals%205%2060" + "%20" * 110
    raw(single, f"GET /cm?cmnd={long_command} HTTP/1.1\r\n\r\n".encode())
    assert len([c for c in single.commands if c.startswith("VCP")]) == 2
    missing = raw(single, b"GET /api/lfs/x HTTP/1.1\r\n\r\n")
    assert missing.startswith(b"HTTP/1.1 404 OK\n") and b'"error": -2' in missing


def test_simulated_module_loses_what_it_had_no_time_to_save(obk):
    single = obk()
    urllib.request.urlopen(f"http://{single.host}/cfg_name?shortName=new&name=new").close()
    raw(single, b"POST /api/reboot HTTP/1.1\r\nContent-Length: 0\r\n\r\n")
    wait_for(lambda: single.boots == 2, what="the restart")
    assert single.values["short"] == "obk1A2B3C4D"


def test_simulated_module_as_a_program():
    process = Process(["/usr/bin/python3", ROOT / "tests/integration/obk_module.py", "--twin"])
    try:
        url = process.wait_line("http://").strip()
        assert whole(run("openbeken", "info", "--host", url, "--json"))["twin"]
    finally:
        process.kill()
