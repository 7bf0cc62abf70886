# SPDX-License-Identifier: MIT
"""`bl2mqtt openbeken provision` when something goes wrong: which step failed is said, and the module works as
it did."""

import re

import pytest

from harness import run
from provisioning import OLD_SCRIPT, provision, snapshot, whole

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
def test_failing_step_leaves_the_module_as_it_was(obk, step, kind):
    twin = obk(twin=True, boot_s=60)
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


def test_startup_command_that_would_spoil_the_second_chip(obk):
    """It runs before autoexec.bat; BL0942opts after startDriver is too late."""
    twin = obk(twin=True, boot_s=60)
    twin.values.update(startup="backlog startDriver BL0942; startDriver NTP")
    before = snapshot(twin)
    result = provision(twin, "mqtt://127.0.0.1", "--profile", "bl0942-dual", wait=0)
    assert result.returncode == 4, result.stderr
    assert "startup command" in result.stderr and "Nothing was changed" in result.stderr
    assert snapshot(twin) == before and not twin.writes()
    # One that does not start it, or reads both chips, is no hindrance.
    for harmless in "startDriver NTP", "backlog logtype none; BL0942opts 3; startDriver BL0942":
        twin.values.update(startup=harmless)
        assert provision(twin, "mqtt://127.0.0.1", "--profile", "bl0942-dual", wait=0).returncode == 0


@pytest.mark.parametrize("step", STEPS)
def test_step_whose_answer_is_lost_is_undone_too(obk, step):
    """The module did it, but the answer never came."""
    twin = obk(twin=True, boot_s=60)
    twin.values.update(host="192.0.2.7", client="before", port=1884)
    before = snapshot(twin)
    path, method, body = STEPS[step]
    twin.fault(path, "after", 2, times=1, method=method, body=None if body == "never" else body)
    result = provision(twin, "mqtt://127.0.0.1", "--name", "N", "--profile", "bl0942-dual", "--timeout", 1.0, wait=0)
    assert result.returncode == 3, result.stderr
    assert f'The step "{step}" failed' in result.stderr
    assert snapshot(twin) == before


def test_undo_that_fails_is_said(obk):
    twin = obk(twin=True)
    twin.fault("/cfg_name", "status", 500, times=1)
    twin.fault("/api/del/autoexec.bat", "wrong", "Error")
    result = provision(twin, "mqtt://127.0.0.1", "--name", "N", "--profile", "bl0942-dual", wait=0)
    assert result.returncode == 1
    assert "could not all be put back" in result.stderr and "works as it did" not in result.stderr
    assert twin.values["flags"] == 1 << 10  # the rest was


def test_setting_that_does_not_stick(obk, monkeypatch):
    twin = obk(twin=True)
    monkeypatch.setattr(twin, "_cmd_setflag", lambda arguments: None)  # says OK, does nothing
    result = provision(twin, "mqtt://127.0.0.1", "--profile", "bl0942-dual", wait=0)
    assert result.returncode == 1 and "does not have it now" in result.stderr
    assert "autoexec.bat" not in twin.flash.files


def test_faults_while_looking_change_nothing(obk):
    for kind, (value, status, _) in KINDS.items():
        single = obk()
        single.fault("/api/info", kind, value)
        result = provision(single, "mqtt://127.0.0.1", "--profile", "bl0942-single", "--timeout", 1.0)
        assert result.returncode == status, (kind, result.stderr)
        assert single.writes() == []
        single.close()


def test_reading_is_repeated_when_the_connection_breaks(obk):
    single = obk()
    single.fault("/api/info", "reset", times=2)
    assert run("openbeken", "info", "--host", single.host).returncode == 0
    assert [path for _, path, _ in single.requests].count("/api/info") == 3


def test_script_that_breaks_off_is_noticed(obk):
    """Without Content-Length only the list of files says that some of it is missing."""
    single = obk()
    single.flash.files["autoexec.bat"] = OLD_SCRIPT
    single.fault("/api/lfs/autoexec.bat", "wrong", OLD_SCRIPT.decode()[:10], method="GET")
    result = provision(single, "mqtt://127.0.0.1", "--profile", "bl0942-single")
    assert result.returncode == 1 and "10 bytes" in result.stderr
    assert single.writes() == []


def test_restart_that_fails(obk, broker):
    single = obk()
    single.fault("/api/reboot", "status", 500)
    result = provision(single, broker, "--profile", "bl0942-single")
    assert result.returncode == 1
    assert 'the step "restart" failed' in result.stderr and "power off and on" in result.stderr
    assert single.flash.values["client"] == "utilities/sensor9"  # it was given time to save


def test_module_that_does_not_come_back(obk, broker):
    single = obk(restart_s=30)
    result = provision(single, broker, "--profile", "bl0942-single", wait=3)
    assert result.returncode == 3 and "did not come back" in result.stderr
