# SPDX-License-Identifier: MIT
"""`bl2mqtt openbeken provision` against a simulated module (HTTP and MQTT) and a real broker. The module is
judged by its flash and by what mosquitto_sub sees, not by what the command says."""

import json
import socket
import threading

import jsonschema
import pytest
import yaml

from harness import ROOT, Broker, free_port, run, write_config
from obk_module import Chip
from provisioning import OLD_SCRIPT, TWIN_SCRIPT, provision, set_up, whole

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


# ---- profiles ----

def test_profiles_obey_their_schema():
    schema = json.loads((ROOT / "schema/profile.schema.json").read_text())
    jsonschema.Draft7Validator.check_schema(schema)
    profiles = {path.stem: yaml.safe_load(path.read_text()) for path in (ROOT / "schema/profiles").glob("*.yaml")}
    for name, profile in profiles.items():
        jsonschema.validate(profile, schema)
        assert profile["name"] == name
    assert {"bl0942-single", "bl0942-uart2", "bl0942-dual", "v-wifi-dl02-es", "bl0942-direct"} <= set(profiles)
    for key in ("autoexec", "flags"):
        broken = {k: v for k, v in profiles["bl0942-dual"].items() if k != key}
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(broken, schema)
    listed = whole(run("openbeken", "provision", "--list-profiles", "--json"))["profiles"]
    assert {p["name"]: p["title"] for p in listed} == {n: p["title"] for n, p in profiles.items()}
    text = run("openbeken", "provision", "--list-profiles")
    assert text.returncode == 0 and "V-Wifi-DL02-ES" in text.stdout


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
