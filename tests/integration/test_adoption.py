# SPDX-License-Identifier: MIT
"""Modules that join and leave a running service on request, and what is kept of them."""

import json
import sqlite3
import subprocess
import time

import jsonschema
import pytest
import yaml

from harness import PATIENCE, ROOT, pause, run, wait_for, write_config
from obk_module import Chip, Flash, ObkModule

ADOPT = "bl2mqtt/bridge/request/device/adopt"
ADOPTED = "bl2mqtt/bridge/response/device/adopt"


def schema(name):
    return json.loads((ROOT / "schema/mqtt" / f"{name}.json").read_text())


@pytest.fixture
def module(broker):
    """module(client, **options): one that is set up for the broker."""
    started = []

    def start(client="utilities/sensor9", flags=1 << 10, **options):
        flash = Flash()
        flash.values.update(host="127.0.0.1", port=broker.port, client=client, flags=flags)
        flash.files["autoexec.bat"] = (b"logtype none\nBL0942opts 3\n" if options.get("twin") else b"") + b"startDriver BL0942\n"
        started.append(ObkModule(**{"boot_s": 0.1, "speed": 60, **options}, flash=flash))
        return started[-1]

    yield start
    for each in started:
        each.close()


@pytest.fixture
def service(folder, broker, spawn):
    """service(*devices): started, connected, and a watch on all that is said."""
    def start(*devices, **sections):
        config = write_config(folder, broker.url, list(devices), **sections)
        process = spawn("--config", config, "run")
        watch = broker.subscribe("bl2mqtt/#", "homeassistant/#", "cmnd/#")
        watch.wait("bl2mqtt/bridge/state", lambda s: s["state"] == "online")
        process.wait_line("Connected")
        return process, watch, config

    return start


def ask(broker, watch, name, body, transaction):
    broker.publish(f"bl2mqtt/bridge/request/{name}", {**body, "transaction": transaction})
    answer = watch.wait(f"bl2mqtt/bridge/response/{name}", lambda a: a.get("transaction") == transaction)
    jsonschema.validate(answer, schema("response"))
    return answer


def query(folder, sql):
    with sqlite3.connect(f"file:{folder}/data/history.db?mode=ro", uri=True) as db:
        return db.execute(sql).fetchall()


def test_a_module_joins_works_and_is_kept(folder, broker, module, service, spawn):
    twin = module(twin=True, chips={1: Chip(), 2: Chip(amps=2.0, watts=430.0)})
    process, watch, config = service()
    assert "no devices yet" in process.output
    request = {"topic": "utilities/sensor9", "id": "workshop", "name": "Workshop: \"A\" é", "channels": ["a", "b"]}
    jsonschema.validate(request, schema("request_device_adopt"))
    wait_for(lambda: twin._client and twin._client.is_connected(), what="the module")
    asked = time.monotonic()
    answer = ask(broker, watch, "device/adopt", request, "t1")
    assert answer["status"] == "ok", answer
    jsonschema.validate(answer["data"], schema("response_device_adopt"))
    assert answer["data"] == {"id": "workshop", "topic": "utilities/sensor9", "name": request["name"],
                              "channels": ["a", "b"], "new": True}
    assert "id: workshop" in config.read_text() and not (folder / "data/devices.d").exists()
    # At once: its values were asked for, it is published, announced and on all lists.
    state = watch.wait("bl2mqtt/workshop", lambda s: s.get("power_a") is not None)
    assert time.monotonic() - asked < 4 * PATIENCE
    assert (state["voltage_a"], state["power_a"]) == (230.0, 1100.0)
    watch.wait("bl2mqtt/workshop/availability", lambda s: s["state"] == "online")
    watch.wait("homeassistant/device/bl2mqtt_test_workshop/config", lambda c: c["device"]["name"] == request["name"])
    watch.wait("bl2mqtt/bridge/devices", lambda d: [x["id"] for x in d] == ["workshop"])
    watch.wait("bl2mqtt/bridge/info", lambda i: [d["id"] for d in i["config"]["devices"]] == ["workshop"])
    watch.wait("bl2mqtt/bridge/event", lambda e: e["type"] == "device_joined" and e["device"] == "workshop")
    wait_for(lambda: query(folder, "SELECT count(*) FROM reading r JOIN channel c ON c.number = r.key & 32767 "
                                   "WHERE c.device = 'workshop'")[0][0] > 1, what="its history")
    # Asked again, nothing happens.
    again = ask(broker, watch, "device/adopt", {"topic": "utilities/sensor9"}, 2)
    assert again["data"] == {**answer["data"], "new": False}
    # It is there after a restart, and a command sees it too. A start writes nothing.
    before = config.read_text()
    watch.wait("bl2mqtt/workshop", lambda s: (s.get("energy_a") or 0) > 0, timeout=20)
    assert process.stop() == 0
    energy = max(json.loads(p)["energy_a"] or 0 for p in watch.payloads("bl2mqtt/workshop"))
    watch.clear()
    spawn("--config", config, "run")
    state = watch.wait("bl2mqtt/workshop", lambda s: s.get("power_b") is not None)
    assert state["power_a"] == 1100.0 and state["energy_a"] >= energy > 0
    assert config.read_text() == before
    assert "1 device, 2 channels" in run("--config", config, "check").stdout


def test_a_module_leaves_and_nothing_of_it_stays_on_the_broker(folder, broker, module, service):
    module()
    process, watch, config = service({"id": "own", "driver": "simulator", "channels": {"a": {}}, "interval": "1s"})
    assert ask(broker, watch, "device/adopt", {"topic": "utilities/sensor9"}, 1)["data"]["id"] == "sensor9"
    watch.wait("homeassistant/device/bl2mqtt_test_sensor9/config")
    watch.wait("bl2mqtt/sensor9", lambda s: s.get("power") is not None)
    assert "no device" in ask(broker, watch, "device/remove", {"id": "../own"}, 3)["error"]
    assert ask(broker, watch, "device/remove", {"id": "sensor9"}, 4) == {
        "status": "ok", "data": {"id": "sensor9"}, "transaction": 4}
    assert "sensor9" not in config.read_text()
    watch.wait("bl2mqtt/bridge/event", lambda e: e["type"] == "device_left")
    watch.wait("homeassistant/device/bl2mqtt_test_sensor9/config", lambda c: c == "")
    watch.wait("bl2mqtt/sensor9/availability", lambda a: a == "")
    watch.wait("bl2mqtt/bridge/devices", lambda d: [x["id"] for x in d] == ["own"])
    late = broker.subscribe("#")
    wait_for(lambda: late.payloads("bl2mqtt/own/availability"), what="what the broker keeps")
    late.catch_up()
    assert not [m["topic"] for m in late.messages if "sensor9" in m["topic"] and m.get("retain") and
                not m["topic"].startswith("utilities/")]
    assert query(folder, "SELECT count(*) FROM channel WHERE device = 'sensor9'") == [(1,)]  # the past stays
    # And it may come back, under its old id, with its total.
    answer = ask(broker, watch, "device/adopt", {"topic": "utilities/sensor9", "energy_unit": "Wh"}, 5)
    assert answer["data"]["id"] == "sensor9" and answer["data"]["new"]
    watch.wait("bl2mqtt/bridge/devices", lambda d: [x["id"] for x in d] == ["own", "sensor9"])
    assert process.stop() == 0


def test_what_is_refused(folder, broker, service):
    process, watch, config = service({"id": "own", "driver": "simulator", "channels": {"a": {}}},
                                     {"id": "known", "driver": "openbeken", "topic": "plugs/known", "channels": {"a": {}}})
    assert ask(broker, watch, "device/adopt", {"topic": "plugs/known", "id": "other"}, 0)["data"] == {
        "id": "known", "topic": "plugs/known", "name": "known", "channels": ["a"], "new": False}
    for number, (body, words) in enumerate([
            ({}, "topic"),
            ({"topic": 5}, "topic"),
            ({"topic": ""}, "topic"),
            ({"topic": "a/#"}, "topic"),
            ({"topic": "x" * 64}, "topic"),
            ({"topic": "bl2mqtt/x"}, "among the bridge's own"),
            ({"topic": "x", "id": "own"}, "already"),
            ({"topic": "x", "id": "bridge"}, "already"),
            ({"topic": "x", "id": "../../etc/passwd"}, "id"),
            ({"topic": "x", "id": "Big"}, "id"),
            ({"topic": "x", "name": "a\nb"}, "name"),
            ({"topic": "x", "name": "n" * 300}, "name"),
            ({"topic": "x", "channels": []}, "channels"),
            ({"topic": "x", "channels": "a"}, "channels"),
            ({"topic": "x", "channels": ["a", "a"]}, "channels"),
            ({"topic": "x", "channels": ["c"]}, "channels"),
            ({"topic": "x", "energy_unit": "J"}, "energy_unit"),
            ({"topic": "x", "chanels": ["a"]}, "chanels")], 1):
        answer = ask(broker, watch, "device/adopt", body, number)
        assert "devices." not in answer["error"]  # keys are called as in the request
        assert answer["status"] == "error" and words in answer["error"], (body, answer)
    assert "topic: x" not in config.read_text()
    (folder / "data/devices.d").mkdir()
    (folder / "data/devices.d/mine.yaml").write_text("# mine\n")
    # What is wrong with a file of former versions is said with its place, by check as well as at the next start.
    result = run("--config", config, "check")
    assert result.returncode == 2 and f"{folder}/data/devices.d/mine.yaml:1:1: This file must hold" in result.stderr
    (folder / "data/devices.d/mine.yaml").write_text("id: mine\ndriver: openbeken\ntopic: plugs/known\nchannels: {a: }\n")
    result = run("--config", config, "check")
    assert result.returncode == 2 and "devices.d/mine.yaml:3:8: Another device has the same topic" in result.stderr
    answer = ask(broker, watch, "restart", {}, "r")
    assert answer["status"] == "error" and "mine.yaml:3:8" in answer["error"]
    assert process.running()


def test_a_device_is_called_by_its_name(folder, broker, service):
    """Zigbee2MQTT's clients use the friendly name as the id; every request that takes a device takes it, if no other has it."""
    def device(name, called, **more):
        return {"id": name, "name": called, "driver": "simulator", "channels": {"a": {}}, "interval": "1s", **more}
    process, watch, config = service(device("one", "Oven"), device("two", "Twin"), device("three", "Twin"),
                                     device("four", "one"), device("five", "Cellar pump"))
    watch.wait("bl2mqtt/five", lambda s: s["energy"] is not None)
    for number, name in enumerate(("device/raw", "device/disable", "device/enable", "device/options", "history/gaps",
                                   "history/energy", "device/energy/set", "device/calibration/set"), 1):
        extra = {"options": {"report_interval": "2s"}, "channel": "a", "energy": 5, "voltage": 15000, "force": True}
        needed = {"device/options": ("options",), "device/energy/set": ("channel", "energy"),
                  "device/calibration/set": ("channel", "voltage", "force")}.get(name, ())
        body = {key: extra[key] for key in needed}
        answer = ask(broker, watch, name, {"id": "Cellar pump", **body}, f"n{number}")
        assert answer["status"] == "ok", (name, answer)
        if name in ("device/raw", "device/disable", "device/enable", "device/energy/set"):
            assert answer["data"]["id"] == "five", answer
        several = ask(broker, watch, name, {"id": "Twin", **body}, f"s{number}")
        assert several["status"] == "error" and "two and three" in several["error"], (name, several)
    # An id comes before a name, on topics as well.
    assert ask(broker, watch, "device/disable", {"id": "one"}, "id")["data"] == {"id": "one"}
    broker.publish("bl2mqtt/Oven/set/report_interval", "7")
    wait_for(lambda: yaml.safe_load(config.read_text())["devices"][0].get("report_interval") == "7s", what="the file's change")
    assert ask(broker, watch, "device/remove", {"id": "Oven", "force": True}, "r")["data"] == {"id": "one"}
    assert "There is no device" in ask(broker, watch, "device/remove", {"id": "Oven"}, "again")["error"]
    assert ask(broker, watch, "device/remove", {"id": "one"}, "named")["data"] == {"id": "four"}
    assert process.running()


def test_many_at_once(folder, broker, service):
    process, watch, config = service(homeassistant={"enabled": False})
    # Each is asked for twice, as by a client that does not wait for the answer: no second device comes of it.
    batch = "\n".join(json.dumps({"topic": f"shop/m{n}", "transaction": n}) for n in range(60) for _ in range(2))
    subprocess.run(["mosquitto_pub", "-h", "127.0.0.1", "-p", str(broker.port), "-t", ADOPT, "-l", "-q", "1"], input=batch, text=True, check=True)
    wait_for(lambda: len(watch.payloads(ADOPTED)) == 120, 20, "120 answers")
    answers = [json.loads(a) for a in watch.payloads(ADOPTED)]
    assert [a["data"]["id"] for a in answers if a["status"] == "ok" and a["data"]["new"]] == [f"m{n}" for n in range(60)]
    assert {a["data"]["id"] for a in answers if a["status"] == "ok"} == {f"m{n}" for n in range(60)}
    assert all("is being added already" in a["error"] for a in answers if a["status"] == "error")
    process.kill()  # even so, all are there again
    assert "60 devices" in run("--config", config, "check").stdout


def test_find_needs_no_configuration_and_adopts(folder, broker, module, service, spawn):
    twin = module(twin=True)
    single = module(client="plug")
    nothing = folder / "empty"
    nothing.mkdir()
    arguments = ("openbeken", "find", "--server", broker.url, "--minutes", "0.05")
    for each in twin, single:
        wait_for(lambda: each._client and each._client.is_connected(), what="the modules")
    alone = spawn(*arguments, "--adopt", "all", "--base-topic", "nobody", cwd=nothing)
    _, watch, config = service()
    answer = run(*arguments, "--adopt", "all", "--json", cwd=nothing)
    assert answer.returncode == 0, answer.stderr
    adopted = {m["topic"]: m["adopted"] for m in json.loads(answer.stdout)["modules"]}
    assert adopted["utilities/sensor9"]["channels"] == ["a", "b"] and adopted["plug"]["channels"] == ["a"]
    watch.wait("bl2mqtt/sensor9", lambda s: s.get("power_b") is not None)
    assert "2 devices, 3 channels" in run("--config", config, "check").stdout
    missing = run("--config", config, "openbeken", "find", "--minutes", "0.02", "--adopt", "other")
    assert missing.returncode == 3 and "client id other" in missing.stderr
    wait_for(lambda: not alone.running(), 20, "the search that found no service")
    for words in ("Only a running service can adopt", "- id: sensor9", "channels: {a: {}, b: {}}"):
        alone.wait_line(words)


def test_find_says_what_is_a_device_and_what_to_paste(folder, broker, module, service):
    single = module(client="plug")
    wait_for(lambda: single._client and single._client.is_connected(), what="the module")
    _, _, config = service()
    find = ("--config", config, "openbeken", "find", "--minutes", "0.05")
    broker.publish("gone/connected", "offline", retain=True)
    broker.publish("gone/build", "OpenBK7231N 1.18.0", retain=True)
    # Lines of what was just adopted would make it a device twice.
    adopted = run(*find, "--adopt", "plug")
    assert adopted.returncode == 0, adopted.stderr
    assert "# plug, online, adopted as the device plug\n" in adopted.stdout and "- id: plug" not in adopted.stdout
    assert "# gone, offline\n" in adopted.stdout and "  - id: gone\n" in adopted.stdout
    assert "# plug, online, a device already\n" in run(*find).stdout


def test_find_of_a_module_that_reads_the_second_chip_only(folder, broker, spawn):
    search = spawn("openbeken", "find", "--server", broker.url, "--minutes", "0.05", cwd=folder)
    search.wait_line("Listening")
    wait_for(lambda: broker.publish("upper/voltage_b/get", "230.0") or not search.running(), 30, "the end", every=0.3)
    search.wait_line("channels: {b: {}}")


def test_leaving_while_the_configuration_is_broken(folder, broker, module, service):
    process, watch, config = service()
    assert ask(broker, watch, "device/adopt", {"topic": "plug"}, 1)["status"] == "ok"
    text = config.read_text()
    config.write_text(text + "\n---\n{}\n")
    answer = ask(broker, watch, "device/remove", {"id": "plug"}, 2)
    assert answer["status"] == "error"
    assert not [e for e in watch.payloads("bl2mqtt/bridge/event") if "device_left" in e]  # it is still there
    config.write_text(text)
    assert ask(broker, watch, "device/remove", {"id": "plug"}, 3)["status"] == "ok"
    watch.wait("bl2mqtt/bridge/devices", lambda d: d == [])
    assert process.running()


def test_a_file_of_former_versions_is_read_and_moves_into_the_configuration(folder, broker, service):
    (folder / "data/devices.d").mkdir(parents=True)
    for name in "one", "two":
        (folder / f"data/devices.d/{name}.yaml").write_text(
            f"# Adopted by request.\nid: {name}\nname: \"{name}\"\ndriver: openbeken\ntopic: \"plugs/{name}\"\nchannels: {{a: {{}}}}\n")
    process, watch, config = service({"id": "own", "driver": "simulator", "channels": {"a": {}}})
    watch.wait("bl2mqtt/bridge/devices", lambda d: [x["id"] for x in d] == ["own", "one", "two"])
    assert ask(broker, watch, "device/rename", {"from": "one", "to": "First"}, 1)["status"] == "ok"
    assert ask(broker, watch, "device/remove", {"id": "two"}, 2)["status"] == "ok"
    watch.wait("bl2mqtt/bridge/devices", lambda d: [x["friendly_name"] for x in d] == ["own", "First"])
    assert list((folder / "data/devices.d").iterdir()) == []
    assert "name: First" in config.read_text() and "two" not in config.read_text()
    assert "2 devices" in run("--config", config, "check").stdout and process.running()


def test_find_options(folder):
    for args, words in [(["--server", "nonsense"], "mqtt.server is"),
                        (["--server", "mqtt://x", "--user", "u"], "OBK_MQTT_PASSWORD"),
                        (["--server", "mqtt://x", "--user", "u", "--password-file", folder / "none"], "none"),
                        (["--user", "u"], "--server"),
                        (["--adopt", "x", "--clear", "x"], "errands"),
                        ([], "--server names a broker")]:
        result = run("openbeken", "find", *args, cwd=folder, stdin="")
        assert result.returncode == 2 and words in result.stderr, (args, result.stderr)


def test_flag_30_is_never_asked_but_read(broker, module, service):
    loop = module(client="looping", flags=1 << 10 | 1 << 30)
    plain = module(client="plain")
    wait_for(lambda: loop._client and loop._client.is_connected() and plain._client and plain._client.is_connected(),
             what="the modules")
    began = time.monotonic()
    _, watch, _ = service({"id": "l", "driver": "openbeken", "topic": "looping", "channels": {"a": {}}},
                          {"id": "p", "driver": "openbeken", "topic": "plain", "channels": {"a": {}}})
    for device in "lp":
        watch.wait(f"bl2mqtt/{device}", lambda s: s.get("power") == 1100.0)
    online = next(m["at"] for m in watch.messages if m["topic"] == "bl2mqtt/bridge/state" and "online" in m["payload"])
    for device in "lp":
        first = next(m["at"] for m in watch.messages if m["topic"] == f"bl2mqtt/{device}" and
                     json.loads(m["payload"] or "{}").get("power") == 1100.0)
        assert first - online < 2, (device, first - online, online - began)
    pause(1.5, "a second question would have come by then")
    assert watch.payloads("cmnd/plain/Status") == ["8"]
    assert watch.payloads("cmnd/looping/Status") == []
    assert loop.own_answers == 0
    # The simulated module really would loop: not the bridge's doing here.
    broker.publish("cmnd/looping/Status", "8")
    wait_for(lambda: loop.own_answers > 20, what="the loop that is avoided")
