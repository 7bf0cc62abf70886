# SPDX-License-Identifier: MIT
"""`bl2mqtt openbeken info`, `provision` and `calibrate` against a simulated module (HTTP and MQTT) and a
real broker. The module is judged by its flash and by what mosquitto_sub sees, not by what the command says."""

import json
import os
import pty
import re
import select
import socket
import threading
import time
import urllib.request

import jsonschema
import pytest
import yaml

from harness import BINARY, ROOT, Broker, Process, free_port, run, wait_for, write_config
from obk_module import Chip, Flash, ObkModule

TWIN_SCRIPT = b"logtype none\nBL0942opts 3\nstartDriver BL0942\n"
OLD_SCRIPT = b"startDriver NTP\nstartDriver BL0942\n"


@pytest.fixture
def module():
    """module(**options): a simulated module that starts fast and whose chips answer 80 times a second."""
    started = []

    def start(**options):
        options = {"speed": 80, "boot_s": 0.3, "restart_s": 0.2, **options}
        started.append(ObkModule(**options))
        return started[-1]

    yield start
    for each in started:
        each.close()


def provision(module, broker, *args, timeout=60, env=None, wait=15):
    url = broker if isinstance(broker, str) else broker.url
    return run("openbeken", "provision", "--host", module.host, "--mqtt", url, "--id", "utilities/sensor9",
               "--wait", wait, *args, timeout=timeout, env=env)


def set_up(broker, twin=False):
    """The flash of a module that was provisioned before."""
    flash = Flash()
    flash.values.update(host="127.0.0.1", port=broker.port, client="utilities/sensor9", flags=1 << 10 | 1 << 25)
    flash.files["autoexec.bat"] = TWIN_SCRIPT if twin else b"startDriver BL0942\n"
    return flash


def whole(result):
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def snapshot(module):
    """All of the module that a failed run must leave as it was."""
    values = dict(module.values)
    return {key: values[key] for key in ("flags", "host", "port", "client", "user", "startup")}, \
        module.flash.files.get("autoexec.bat")


# ---- provision, end to end ----

def test_two_channels_end_to_end(module, broker, folder):
    twin = module(twin=True)
    password = folder / "password"
    password.write_text("s3cret+/ %\n")
    watch = broker.subscribe("utilities/sensor9/#")
    result = provision(twin, broker, "--name", "Sensor 9", "--profile", "v-wifi-dl02-es", "--mqtt-user", "meter",
                       "--mqtt-password-file", password, "--json")
    answer = whole(result)
    assert answer["changed"] == ["autoexec.bat", "flags", "names", "MQTT settings"]
    assert answer["restarted"] and answer["online"] and answer["error"] is None
    assert answer["channels"] == {"a": {"voltage_v": 230.0, "current_a": 5.0, "power_w": 1100.0},
                                  "b": {"voltage_v": 230.0, "current_a": 2.0, "power_w": 430.0}}
    assert answer["warnings"] == []
    assert answer["chipset"] == "BK7231N" and answer["mac"] == "C8:47:8C:1A:2B:3C"

    # The module after its restart runs what is in its flash.
    assert twin.boots == 2
    flash = twin.flash
    assert flash.files == {"autoexec.bat": TWIN_SCRIPT}
    assert flash.values["host"] == "127.0.0.1" and flash.values["port"] == broker.port
    assert flash.values["client"] == "utilities/sensor9" and flash.values["group"] == "bekens_n"
    assert (flash.values["user"], flash.values["password"]) == ("meter", "s3cret+/ %")
    assert (flash.values["short"], flash.values["name"]) == ("sensor9", "Sensor 9")
    assert flash.values["flags"] == 1 << 10 | 1 << 25
    assert watch.wait("utilities/sensor9/power_b/get") == 430.0

    # The password is nowhere to be read, and the lines for bridge.yaml are good.
    assert "s3cret" not in result.stdout + result.stderr
    (device,) = yaml.safe_load(answer["config"])["devices"]
    assert device["topic"] == "utilities/sensor9" and list(device["channels"]) == ["a", "b"]
    config = write_config(folder, broker.url, [device])
    assert run("--config", config, "check").returncode == 0
    watch.close()


def test_second_run_changes_nothing(module, broker):
    single = module()
    arguments = ("--name", "Plug", "--profile", "bl0942-single", "--json")
    assert whole(provision(single, broker, *arguments))["restarted"]
    before, boots = len(single.writes()), single.boots
    answer = whole(provision(single, broker, *arguments))
    assert answer["changed"] == [] and not answer["restarted"] and answer["online"]
    assert list(answer["channels"]) == ["a"]
    assert len(single.writes()) == before and single.boots == boots


def test_script_as_startup_command(module, broker):
    """As `flash provision` leaves it: the same lines are there already, in another place."""
    flash = set_up(broker)
    flash.values.update(startup="backlog startDriver BL0942", name="Plug", short="sensor9")
    flash.files.clear()
    single = module(flash=flash)
    answer = whole(provision(single, broker, "--name", "Plug", "--profile", "bl0942-single", "--json"))
    assert answer["changed"] == [] and single.flash.files == {} and list(answer["channels"]) == ["a"]


def test_profile_with_pins_is_for_the_cable(module, broker, folder):
    own = folder / "own.yaml"
    own.write_text((ROOT / "schema/profiles/bl0942-single.yaml").read_text() + "pins: [{pin: 26, role: Rel, channel: 1}]\n")
    single = module()
    result = provision(single, broker, "--profile", own)
    assert result.returncode == 2 and "flash provision" in result.stderr and single.requests == []


def test_second_uart_and_old_script(module, broker):
    chip = Chip(volts=120.4, amps=1.5, watts=180.0, hertz=60.0)
    single = module(chips={2: chip})
    single.flash.files["autoexec.bat"] = OLD_SCRIPT
    answer = whole(provision(single, broker, "--profile", "bl0942-uart2", "--json"))
    assert answer["kept_old_script"] and "names" not in answer["changed"]
    assert single.flash.files["autoexec.old"] == OLD_SCRIPT
    assert single.flash.files["autoexec.bat"] == b"logtype none\nstartDriver BL0942\n"
    assert single.flash.values["flags"] >> 26 & 1
    assert single.flash.values["name"] == "OpenBK7231N_1A2B3C4D"
    assert answer["channels"]["a"] == {"voltage_v": 120.4, "current_a": 1.5, "power_w": 180.0}


def test_without_profile_only_mqtt(module, broker):
    single = module()
    single.flash.files["autoexec.bat"] = OLD_SCRIPT
    single._boot()
    answer = whole(provision(single, broker, "--json"))
    assert answer["changed"] == ["MQTT settings"] and answer["config"] == ""
    assert single.flash.files == {"autoexec.bat": OLD_SCRIPT}
    assert single.flash.values["flags"] == 1 << 10
    assert any("Flag 25" in warning for warning in answer["warnings"])


def test_text_for_people(module, broker):
    flash = set_up(broker, twin=True)
    flash.values["flags"] = 1 << 10
    twin = module(twin=True, flash=flash, chips={1: Chip(), 2: Chip(amps=2.0, watts=-430.0)})
    result = provision(twin, broker, "--profile", "bl0942-dual")
    assert result.returncode == 0, result.stderr
    assert "channel a: 230.0 V, 5.000 A, 1100.00 W\nchannel b: 230.0 V, 2.000 A, -430.00 W\n" in result.stdout
    assert "clamp is the wrong way round" in result.stderr and "invert: true" in result.stderr
    for said in ("Flag 25 on:", "Restarting", "online"):
        assert said in result.stderr


# ---- nothing sent, nothing changed ----

def test_dry_run_sends_nothing(module, folder):
    twin = module(twin=True)
    result = provision(twin, "mqtt://192.0.2.1:1883", "--name", "N", "--profile", "bl0942-dual", "--mqtt-user", "u",
                       "--dry-run", "--json", env={"OBK_MQTT_PASSWORD": "topsecret"})
    requests = whole(result)["requests"]
    assert twin.requests == []
    assert "topsecret" not in result.stdout + result.stderr
    shown = [(r["method"], r["path"], r["body"]) for r in requests]
    assert ("POST", "/api/lfs/autoexec.bat", TWIN_SCRIPT.decode()) in shown
    assert ("POST", "/api/cmnd", "SetFlag 25 1") in shown
    assert ("GET", "/cfg_name?shortName=sensor9&name=N", "") in shown
    assert shown[-1] == ("POST", "/api/reboot", "")
    assert any(path.startswith("/cfg_mqtt_set?host=192.0.2.1&port=1883&client=utilities%2Fsensor9&user=u&password=***")
               for _, path, _ in shown)
    text = provision(twin, "mqtt://192.0.2.1", "--profile", "bl0942-dual", "--dry-run", "--mqtt-user", "u")
    assert text.returncode == 0 and "password=***" in text.stdout and "Nothing was sent." in text.stderr
    assert twin.requests == []


def test_what_a_dry_run_shows_is_what_is_sent(module, broker):
    twin = module(twin=True)
    twin.flash.files["autoexec.bat"] = OLD_SCRIPT
    twin.values["flags"] = 1 << 30 | 1 << 38 | 1 << 40
    arguments = ("--name", "N", "--profile", "bl0942-dual", "--json")
    shown = {(r["method"], r["path"]) + ((r["body"],) if "autoexec.old" not in r["path"] else ())
             for r in whole(provision(twin, broker, "--dry-run", *arguments))["requests"]}
    assert provision(twin, broker, *arguments, wait=0).returncode == 0
    sent = {(m, p) + ((b,) if "autoexec.old" not in p else ()) for m, p, b in twin.requests}
    # Beyond what is shown, only the old script is read back.
    assert sent - shown <= {("GET", "/api/lfs/autoexec.old")}
    assert shown <= sent


def test_build_without_twin_is_refused(module, broker):
    single = module(twin=False)
    result = provision(single, broker, "--profile", "v-wifi-dl02-es")
    assert result.returncode == 4
    assert "cannot read two BL0942" in result.stderr and "ENABLE_BL_TWIN" in result.stderr
    assert "Nothing was changed" in result.stderr
    assert single.writes() == [] and single.boots == 1


def test_client_id_of_another_module(module, broker):
    broker.publish("utilities/sensor9/connected", "online", retain=True)
    single = module()
    result = provision(single, broker, "--profile", "bl0942-single")
    assert result.returncode == 4 and "Another module is online" in result.stderr
    assert single.writes() == []


def test_broker_is_looked_at_first(module):
    single = module()
    result = provision(single, f"mqtt://127.0.0.1:{free_port()}", "--profile", "bl0942-single")
    assert result.returncode == 3
    assert "Nothing was changed" in result.stderr and "the port in --mqtt is right" in result.stderr
    assert single.writes() == []


def test_broker_that_refuses(module, folder):
    passwords = folder / "passwords"
    passwords.write_text("")
    strict = Broker(folder, f"allow_anonymous false\npassword_file {passwords}\n")
    single = module()
    result = provision(single, strict, "--profile", "bl0942-single")
    strict.stop()
    assert result.returncode == 1
    assert "refuses us" in result.stderr and "--mqtt-user" in result.stderr and "Nothing was changed" in result.stderr
    assert single.writes() == []


def test_wrong_host():
    result = run("openbeken", "provision", "--host", f"127.0.0.1:{free_port()}", "--mqtt", "mqtt://127.0.0.1", "--id", "x")
    assert result.returncode == 3
    assert "Nobody answers" in result.stderr and "router" in result.stderr
    result = run("openbeken", "info", "--host", "no-such-host.invalid")
    assert result.returncode == 3 and "not known" in result.stderr


def test_something_else_answers(module):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()

        def talk():
            connection, _ = listener.accept()
            connection.recv(1000)
            connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
            connection.close()

        thread = threading.Thread(target=talk, daemon=True)
        thread.start()
        result = run("openbeken", "info", "--host", f"127.0.0.1:{listener.getsockname()[1]}")
        thread.join(5)
    assert result.returncode == 1 and "not an OpenBeken module" in result.stderr


# ---- steps that fail ----

MQTT_SET = "/cfg_mqtt_set"
STEPS = {  # name in the sentence: path, method, body
    "autoexec.bat": ("/api/lfs/autoexec.bat", "POST", "BL0942opts"),
    "flags": ("/api/cmnd", "POST", "SetFlag 25"),
    "names": ("/cfg_name", "GET", None),
    "MQTT settings": (MQTT_SET, "GET", "never"),
}
KINDS = {  # kind: value, exit status, words
    "status": (500, 1, "HTTP 500|not what OpenBeken answers"),
    "reset": (None, 1, "broke"),
    "wrong": ('{"fname":"x"}', 1, "not what OpenBeken answers|does not have it now"),
    "huge": (None, 1, "longer than"),
    "redirect": (None, 1, "another address"),
    "hang": (3, 3, "No whole answer"),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("step", STEPS)
def test_failing_step_leaves_the_module_as_it_was(module, step, kind):
    twin = module(twin=True, boot_s=60)
    twin.flash.files["autoexec.bat"] = OLD_SCRIPT
    twin.values.update(host="192.0.2.7", client="before", port=1884)
    before = snapshot(twin)
    path, method, body = STEPS[step]
    value, status, words = KINDS[kind]
    twin.fault(path, kind, value, times=1, method=method, body=None if body == "never" else body)
    result = provision(twin, "mqtt://127.0.0.1", "--name", "N", "--profile", "bl0942-dual", "--timeout", 1.0, wait=0)
    assert result.returncode == status, result.stderr
    assert f'The step "{step}" failed' in result.stderr
    assert re.search(words, result.stderr)
    assert "works as it did" in result.stderr
    assert snapshot(twin) == before
    assert not any(path == "/api/reboot" for _, path, _ in twin.requests)


@pytest.mark.parametrize("step", STEPS)
def test_step_whose_answer_is_lost_is_undone_too(module, step):
    """The module did it, but the answer never came."""
    twin = module(twin=True, boot_s=60)
    twin.values.update(host="192.0.2.7", client="before", port=1884)
    before = snapshot(twin)
    path, method, body = STEPS[step]
    twin.fault(path, "after", 2, times=1, method=method, body=None if body == "never" else body)
    result = provision(twin, "mqtt://127.0.0.1", "--name", "N", "--profile", "bl0942-dual", "--timeout", 1.0, wait=0)
    assert result.returncode == 3, result.stderr
    assert f'The step "{step}" failed' in result.stderr
    assert snapshot(twin) == before


def test_undo_that_fails_is_said(module):
    twin = module(twin=True)
    twin.fault("/cfg_name", "status", 500, times=1)
    twin.fault("/api/del/autoexec.bat", "wrong", "Error")
    result = provision(twin, "mqtt://127.0.0.1", "--name", "N", "--profile", "bl0942-dual", wait=0)
    assert result.returncode == 1
    assert "could not all be put back" in result.stderr and "works as it did" not in result.stderr
    assert twin.values["flags"] == 1 << 10  # the rest was


def test_setting_that_does_not_stick(module, monkeypatch):
    twin = module(twin=True)
    monkeypatch.setattr(twin, "_cmd_setflag", lambda arguments: None)  # says OK, does nothing
    result = provision(twin, "mqtt://127.0.0.1", "--profile", "bl0942-dual", wait=0)
    assert result.returncode == 1 and "does not have it now" in result.stderr
    assert "autoexec.bat" not in twin.flash.files


def test_faults_while_looking_change_nothing(module):
    for kind, (value, status, _) in KINDS.items():
        single = module()
        single.fault("/api/info", kind, value)
        result = provision(single, "mqtt://127.0.0.1", "--profile", "bl0942-single", "--timeout", 1.0)
        assert result.returncode == status, (kind, result.stderr)
        assert single.writes() == []
        single.close()


def test_reading_is_repeated_when_the_connection_breaks(module):
    single = module()
    single.fault("/api/info", "reset", times=2)
    assert run("openbeken", "info", "--host", single.host).returncode == 0
    assert [path for _, path, _ in single.requests].count("/api/info") == 3


def test_script_that_breaks_off_is_noticed(module):
    """Without Content-Length only the list of files tells that some of it is missing."""
    single = module()
    single.flash.files["autoexec.bat"] = OLD_SCRIPT
    single.fault("/api/lfs/autoexec.bat", "wrong", OLD_SCRIPT.decode()[:10], method="GET")
    result = provision(single, "mqtt://127.0.0.1", "--profile", "bl0942-single")
    assert result.returncode == 1 and "10 bytes" in result.stderr
    assert single.writes() == []


def test_restart_that_fails(module, broker):
    single = module()
    single.fault("/api/reboot", "status", 500)
    result = provision(single, broker, "--profile", "bl0942-single")
    assert result.returncode == 1
    assert 'the step "restart" failed' in result.stderr and "power off and on" in result.stderr
    assert single.flash.values["client"] == "utilities/sensor9"  # it was given time to save


def test_module_that_does_not_come_back(module, broker):
    single = module(restart_s=30)
    result = provision(single, broker, "--profile", "bl0942-single", wait=3)
    assert result.returncode == 3 and "did not come back" in result.stderr


# ---- what is seen on the broker ----

def test_module_that_cannot_reach_the_broker(module, broker):
    single = module(boot_s=60, flash=set_up(broker))
    result = provision(single, broker, "--profile", "bl0942-single", "--json", wait=2)
    assert result.returncode == 3 and "did not connect" in result.stderr
    answer = json.loads(result.stdout)
    assert answer["online"] is False and "did not connect" in answer["error"]


def test_second_chip_that_is_silent(module, broker):
    twin = module(twin=True, flash=set_up(broker, twin=True))
    twin.chips[2].mode = "silent"
    result = provision(twin, broker, "--profile", "bl0942-dual", "--json", wait=4)
    assert result.returncode == 3
    assert "channel b" in result.stderr and "UART 2" in result.stderr
    assert list(json.loads(result.stdout)["channels"]) == ["a"]


@pytest.mark.parametrize("chip, words", [
    (Chip(volts=12.0), "voltage is not that of the mains"),
    (Chip(amps=60.0, watts=1000.0), "more than the meter can carry"),
    (Chip(amps=1.0, watts=1000.0), "more than voltage times current")])
def test_readings_that_cannot_be(module, broker, chip, words):
    single = module(chips={1: chip}, flash=set_up(broker))
    result = provision(single, broker, "--profile", "bl0942-single", wait=4)
    assert result.returncode == 5 and words in result.stderr


def test_retained_readings_are_not_taken_for_new_ones(module, broker):
    for name in ("voltage", "current", "power"):
        broker.publish(f"utilities/sensor9/{name}/get", "230", retain=True)
    single = module(flash=set_up(broker))
    single.chips[1].mode = "silent"
    result = provision(single, broker, "--profile", "bl0942-single", wait=2)
    assert result.returncode == 3 and "published no voltage" in result.stderr


def test_what_came_before_the_restart_does_not_count(module, broker):
    """MQTT settings work at once: the module is online and publishes before its restart, then never again."""
    flash = set_up(broker)
    flash.values["flags"] = 1 << 10
    single = module(flash=flash, restart_s=2.0)
    wait_for(lambda: single._client and single._client.is_connected(), what="the connection")
    single.boot_s = 60
    result = provision(single, broker, "--profile", "bl0942-single", wait=6)
    assert result.returncode == 3 and "did not connect" in result.stderr


# ---- options ----

def test_usage_errors(module, broker, folder):
    single = module()
    base = ["--host", single.host, "--mqtt", "mqtt://192.0.2.2", "--id", "x"]
    empty = folder / "empty"
    empty.write_text("\n")
    for args, words in [
            (["--mqtt", "mqtt://x", "--id", "x"], "--host"),
            (["--host", single.host, "--id", "x"], "--mqtt"),
            (["--host", single.host, "--mqtt", "mqtt://x"], "--id"),
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


def test_password_from_the_terminal(module, broker):
    single = module()
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


def test_web_password(module, broker, folder):
    single = module(web_password="hunter2")
    result = run("openbeken", "info", "--host", single.host)
    assert result.returncode == 4 and "--web-password-file" in result.stderr
    file = folder / "web"
    file.write_text("hunter2\n")
    assert run("openbeken", "info", "--host", single.host, "--web-password-file", file).returncode == 0
    assert run("openbeken", "info", "--host", single.host, env={"OBK_WEB_PASSWORD": "hunter2"}).returncode == 0
    wrong = run("openbeken", "info", "--host", single.host, env={"OBK_WEB_PASSWORD": "hunter3"})
    assert wrong.returncode == 4 and "wrong" in wrong.stderr


def test_proxy_of_the_environment_is_not_asked(module):
    single = module()
    env = {"http_proxy": f"http://127.0.0.1:{free_port()}"}
    assert run("openbeken", "info", "--host", single.host, env=env).returncode == 0


# ---- info ----

def test_info(module):
    twin = module(twin=True, boot_s=60)
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


def test_info_of_a_fresh_module(module):
    single = module()
    answer = whole(run("openbeken", "info", "--host", single.host, "--json"))
    assert answer["twin"] is False and answer["energy"] is None and answer["autoexec"] is None
    assert any("MQTT is off" in warning for warning in answer["warnings"])
    for args in ([], ["--host", "x", "y"], ["--host", "x", "--what"], ["--host", ""]):
        assert run("openbeken", "info", *args).returncode == 2
    assert run("openbeken", "info", "--help").stdout.startswith("Usage:")


# ---- calibrate ----

def calibrate(module, *args):
    return run("openbeken", "calibrate", "--host", module.host, *args)


def running(module, **options):
    """A module whose driver has read its chips."""
    started = module(boot_s=60, **options)
    started.flash.values["flags"] = 1 << 10 | 1 << 25
    started.flash.files["autoexec.bat"] = TWIN_SCRIPT if options.get("twin") else b"startDriver BL0942\n"
    started._boot()
    wait_for(lambda: all(started.driver.shown[:len(started.driver.uarts)]), what="the first frames")
    return started


def test_calibrate(module):
    single = running(module)
    answer = whole(calibrate(single, "--voltage", "241.6", "--current", "5.1", "--power", "1180", "--json"))
    assert answer["set"] == {"voltage": 241.6, "current": 5.1, "power": 1180}
    assert answer["before"]["voltage_v"] == pytest.approx(230, abs=0.01)
    assert answer["after"]["voltage_v"] == pytest.approx(241.6, abs=0.01)
    assert [c for c in single.commands if "Set " in c] == ["VoltageSet 241.6", "CurrentSet 5.1", "PowerSet 1180"]
    assert single.values["divisors"]["V"] == pytest.approx(15188 * 230 / 241.6)
    assert ("POST", "/api/cmnd", "VoltageSet 241.6") in single.requests
    text = calibrate(single, "--power", "1100")
    assert text.returncode == 0 and "stays as it is" in text.stdout


def test_calibrate_refuses_a_twin(module):
    twin = running(module, twin=True)
    result = calibrate(twin, "--voltage", "241.6")
    assert result.returncode == 4
    assert "one calibration for both" in result.stderr and "bridge.yaml" in result.stderr
    assert not [c for c in twin.commands if c.startswith("VoltageSet")]


def test_calibrate_a_twin_build_that_reads_one_chip(module):
    twin = module(twin=True, boot_s=60)
    twin.flash.files["autoexec.bat"] = b"BL0942opts 1\nstartDriver BL0942\n"
    twin._boot()
    wait_for(lambda: twin.driver.shown[0], what="the first frame")
    assert calibrate(twin, "--voltage", "241.6").returncode == 0


@pytest.mark.parametrize("chip, args, words", [
    (Chip(amps=0.0, watts=0.0), ["--current", "5"], "connect a steady load"),
    (Chip(watts=-1100.0), ["--power", "1100"], "clamp"),
    (Chip(volts=0.0), ["--voltage", "230"], "does the chip answer"),
    (Chip(volts=40.0), ["--voltage", "230"], "more than a calibration mends")])
def test_calibrate_refuses_what_cannot_be_right(module, chip, args, words):
    single = running(module, chips={1: chip})
    divisors = dict(single.values["divisors"])
    result = calibrate(single, *args)
    assert result.returncode == 4 and words in result.stderr
    assert single.values["divisors"] == divisors


def test_calibrate_without_a_driver(module):
    result = calibrate(module(), "--voltage", "230")
    assert result.returncode == 4 and "No energy driver" in result.stderr


def test_calibrate_checks_the_answers(module):
    single = running(module)
    single.fault("/api/cmnd", "wrong", '{"error":400, "msg":"Bad argument", "res":{}}', body="CurrentSet")
    result = calibrate(single, "--voltage", "240", "--current", "5.1")
    assert result.returncode == 1
    assert "The current was not set, but what came before it was" in result.stderr and "Bad argument" in result.stderr


def test_calibrate_that_has_no_effect(module, monkeypatch):
    single = running(module)
    monkeypatch.setattr(single, "_cmd_voltageset", lambda arguments: None)
    result = calibrate(single, "--voltage", "241.6")
    assert result.returncode == 5 and "accepted the voltage, but measures 230" in result.stderr


def test_calibrate_usage(module):
    single = module()
    for args in ([], ["--voltage", "0"], ["--voltage", "abc"], ["--voltage", "nan"], ["--power", "-5"],
                 ["--voltage", "230", "--current", "1", "--power", "300"], ["--voltage", "230", "x"], ["--what"]):
        assert calibrate(single, *args).returncode == 2, args
    assert single.requests == []
    assert run("openbeken", "calibrate", "--help").stdout.startswith("Usage:")


# ---- profiles ----

def test_profiles_obey_their_schema():
    schema = json.loads((ROOT / "schema/profile.schema.json").read_text())
    jsonschema.Draft7Validator.check_schema(schema)
    profiles = {path.stem: yaml.safe_load(path.read_text()) for path in (ROOT / "schema/profiles").glob("*.yaml")}
    for name, profile in profiles.items():
        jsonschema.validate(profile, schema)
        assert profile["name"] == name
    assert {"bl0942-single", "bl0942-uart2", "bl0942-dual", "v-wifi-dl02-es", "bl0942-direct"} <= set(profiles)
    for key in ("autoexec", "flags", "image"):
        broken = {k: v for k, v in profiles["bl0942-dual"].items() if k != key}
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(broken, schema)
    listed = whole(run("openbeken", "provision", "--list-profiles", "--json"))["profiles"]
    assert {p["name"]: p["title"] for p in listed} == {n: p["title"] for n, p in profiles.items()}
    assert whole(run("profiles", "--json"))["profiles"] == listed
    for command in (("openbeken", "provision", "--list-profiles"), ("profiles",)):
        text = run(*command)
        assert text.returncode == 0 and "V-Wifi-DL02-ES" in text.stdout


def test_profile_is_shown_whole(folder):
    shown = whole(run("profiles", "v-wifi-dl02-es", "--json"))
    source = yaml.safe_load((ROOT / "schema/profiles/v-wifi-dl02-es.yaml").read_text())
    assert shown["image"] == source["image"] and shown["image"]["chips"] == ["BK7231N"]
    assert shown["startup"] == "backlog logtype none; BL0942opts 3; startDriver BL0942"
    (device,) = yaml.safe_load(shown["bridge"])["devices"]
    for channel in source["channels"]:
        assert device["channels"][channel["name"]]["calibration"] == channel["calibration"]
    text = run("profiles", "v-wifi-dl02-es").stdout
    assert "TX2/RX2" in text and "backlog logtype none" in text and "25 on" in text and "twin" not in run(
        "profiles", "bl0942-single").stdout.lower()
    for args, words in ((["nonsense"], "There is no profile"), ([folder / "x.yaml"], "x.yaml"), (["a", "b"], "too many")):
        result = run("profiles", *args)
        assert result.returncode == 2 and words in result.stderr


def test_profile_from_a_file(module, broker, folder):
    text = (ROOT / "schema/profiles/bl0942-single.yaml").read_text()
    own = folder / "own.yaml"
    own.write_text(text.replace("name: bl0942-single", "name: own").replace(
        "  startDriver BL0942", "  startDriver BL0942\n  VCPPublishIntervals 1 10"))
    single = module()
    whole(provision(single, broker, "--profile", own, "--json", wait=0))
    assert single.flash.files["autoexec.bat"] == b"startDriver BL0942\nVCPPublishIntervals 1 10\n"
    own.write_text(text.replace("uart: 1", "uart: 9"))
    result = provision(single, broker, "--profile", own)
    assert result.returncode == 2 and f"{own}:" in result.stderr and "uart" in result.stderr


# ---- the simulated module itself, where the command does not look ----

def raw(module, request):
    with socket.create_connection(("127.0.0.1", module.port)) as connection:
        connection.sendall(request)
        data = b""
        while piece := connection.recv(4096):
            data += piece
    return data


def test_simulated_module_has_the_firmwares_habits(module):
    single = module()
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


def test_simulated_module_loses_what_it_had_no_time_to_save(module):
    single = module()
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
