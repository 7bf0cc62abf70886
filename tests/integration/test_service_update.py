# SPDX-License-Identifier: MIT
"""New firmware for modules from Home Assistant: the running service offers what the user put into a folder, and
installs it on request."""

import contextlib
import json
import socket
import threading
import time

import jsonschema
import pytest

from beken_images import make_ota
from discovery_rules import check, check_state
from harness import PATIENCE, ROOT, wait_for, write_config
from obk_module import Flash, ObkModule

REQUEST, RESPONSE = "bl2mqtt/bridge/request/device/update", "bl2mqtt/bridge/response/device/update"


@pytest.fixture
def meter(broker):
    """meter(client, **options): a module that is set up for the broker."""
    started = []

    def start(client="meters/1", flags=1 << 10 | 1 << 25, **options):
        flash = Flash()
        flash.values.update(host="127.0.0.1", port=broker.port, client=client, flags=flags)
        flash.files["autoexec.bat"] = (b"logtype none\nBL0942opts 3\n" if options.get("twin") else b"") + b"startDriver BL0942\n"
        module = ObkModule(**{"boot_s": 0.1, "restart_s": 0.2, "speed": 40, "version": "1.18.0", **options}, flash=flash)
        module.booted -= 100
        started.append(module)
        return module

    yield start
    for each in started:
        each.close()


def device(module, name="meter", channels="a"):
    return {"id": name, "driver": "openbeken", "topic": module.values["client"], "host": module.host,
            "channels": {channel: {} for channel in channels}}


@pytest.fixture
def service(folder, broker, spawn):
    def start(*devices, images=None):
        images = images or folder / "images"
        images.mkdir(exist_ok=True)
        config = write_config(folder, broker.url, list(devices), openbeken={"images": str(images)})
        process = spawn("--config", config, "run")
        process.wait_line("Connected")
        return process, broker.subscribe("bl2mqtt/#", "homeassistant/#", "cmnd/#")

    return start


def put(folder, name, content):
    (folder / "images").mkdir(exist_ok=True)
    (folder / "images" / name).write_bytes(content)


def update_of(state):
    return {k: v for k, v in state["update"].items() if k in ("installed_version", "latest_version")}


def test_offered_installed_and_told(folder, broker, meter, service):
    put(folder, "new.rbl", make_ota("BK7231N", "1.18.300"))
    put(folder, "older.rbl", make_ota("BK7231N", "1.18.20"))
    put(folder, "other.rbl", make_ota("BK7231T", "1.18.400"))
    put(folder, "broken.rbl", b"RBL\0 no package")
    put(folder, "readme.txt", b"not looked at")
    module = meter(upload_bytes_per_s=40000, unpack_s=0.5)
    process, watch = service(device(module))
    state = watch.wait("bl2mqtt/meter", lambda s: s["update"].get("latest_version") == "1.18.300", timeout=25)
    assert state["update"] == {"installed_version": "1.18.0", "latest_version": "1.18.300", "in_progress": False,
                               "update_percentage": None}
    jsonschema.validate(state, json.loads((ROOT / "schema/mqtt/device_state.json").read_text()))
    process.wait_line("broken.rbl")

    # What Home Assistant makes of it.
    topic = "homeassistant/device/bl2mqtt_test_meter/config"
    announced = watch.wait(topic)
    assert check(topic, announced) == []
    assert check_state(topic, announced, {"bl2mqtt/meter": state, "bl2mqtt/bridge/state": {"state": "online"},
                                          "bl2mqtt/meter/availability": {"state": "online"}}) == []
    component = announced["components"]["update"]
    assert component["command_topic"] == REQUEST and component["platform"] == "update"

    broker.publish(component["command_topic"], component["payload_install"])
    answer = watch.wait(RESPONSE, timeout=30)
    assert answer == {"status": "ok", "data": {"id": "meter", "from": "1.18.0", "to": "1.18.300"}}
    assert module.version == "1.18.300" and module.boots == 2
    watch.wait("bl2mqtt/meter", lambda s: not s["update"]["in_progress"] and update_of(s) == {"installed_version": "1.18.300", "latest_version": "1.18.300"})
    seen = [json.loads(p)["update"] for p in watch.payloads("bl2mqtt/meter")]
    percentages = [u["update_percentage"] for u in seen if u["in_progress"]]
    assert len(percentages) >= 2 and percentages == sorted(percentages) and all(0 <= p <= 100 for p in percentages)
    assert watch.wait("bl2mqtt/bridge/event", lambda e: e["type"] == "update_done")["device"] == "meter"

    # Nothing newer is left.
    broker.publish(REQUEST, {"id": "meter", "transaction": 7})
    refused = watch.wait(RESPONSE, lambda a: a.get("transaction") == 7)
    assert refused["status"] == "error" and "newer than 1.18.300" in refused["error"]
    watch.close()


def test_version_is_asked_for_and_two_channels_want_a_twin_build(folder, broker, meter, service):
    """The module was there before the service, so it does not tell by itself."""
    put(folder, "plain.rbl", make_ota("BK7231N", "1.18.300"))
    module = meter(twin=True)
    wait_for(lambda: module._client and module._client.is_connected(), what="the module")
    _, watch = service(device(module, channels="ab"))
    watch.wait("cmnd/meters/1/publishAll", timeout=25)
    watch.wait("bl2mqtt/meter", lambda s: update_of(s) == {"installed_version": "1.18.0", "latest_version": "1.18.0"})
    broker.publish(REQUEST, {"id": "meter"})
    assert "and two channels" in watch.wait(RESPONSE)["error"]
    watch.close()


def test_a_module_that_answers_its_own_answers_is_not_asked(folder, broker, meter, service):
    modules = [meter(), meter("meters/2", flags=1 << 10 | 1 << 25 | 1 << 30)]
    for module in modules:
        wait_for(lambda: module._client and module._client.is_connected(), what="the module")
    _, watch = service(device(modules[0]), device(modules[1], "second"))
    watch.wait("cmnd/meters/1/publishAll", timeout=25)  # both would be asked at that moment
    watch.wait("bl2mqtt/meter", lambda s: update_of(s).get("installed_version") == "1.18.0")
    assert not watch.payloads("cmnd/meters/2/publishAll")
    modules[1].run("restart")  # it tells by itself when it connects
    watch.wait("bl2mqtt/second", lambda s: update_of(s).get("installed_version") == "1.18.0")
    watch.close()


def test_what_is_refused_and_what_fails(folder, broker, meter, service):
    put(folder, "new.rbl", make_ota("BK7231N", "1.18.300"))
    module = meter()
    other = meter("meters/2", boot_s=600)
    silent = {"id": "fixed", "driver": "simulator", "channels": {"a": {}}}
    process, watch = service(device(module), device(other, "silent"), silent)
    watch.wait("bl2mqtt/meter", lambda s: s["update"].get("latest_version") == "1.18.300", timeout=25)
    assert "update" not in watch.wait("bl2mqtt/fixed")

    def ask(body, words):
        broker.publish(REQUEST, {**body, "transaction": words})
        answer = watch.wait(RESPONSE, lambda a: a.get("transaction") == words, timeout=15)
        assert answer["status"] == "error" and words in answer["error"], answer

    ask({}, "id")
    ask({"id": "nobody"}, "no OpenBeken module")
    ask({"id": "fixed"}, "no OpenBeken module")
    ask({"id": "silent"}, "has not told which firmware")
    module.fault("/api/ota", "status", 500)
    ask({"id": "meter"}, "HTTP 500")
    watch.wait("bl2mqtt/meter", lambda s: not s["update"]["in_progress"])
    assert watch.wait("bl2mqtt/bridge/event", lambda e: e["type"] == "update_failed")
    module.faults.clear()

    # One at a time; and a service that stops breaks it off, so that the module goes on as it was.
    wait_for(lambda: module.boots == 2, what="the restart after the failure")
    watch.wait("bl2mqtt/meter/availability")
    module.upload_bytes_per_s = 8000
    watch.clear()
    broker.publish(REQUEST, {"id": "meter"})
    watch.wait("bl2mqtt/meter", lambda s: s["update"]["in_progress"] and (s["update"]["update_percentage"] or 0) > 0)
    ask({"id": "meter"}, "under way already")
    begun = time.monotonic()
    assert process.stop() == 0
    assert time.monotonic() - begun < 8 * PATIENCE
    wait_for(lambda: module.boots == 3, what="the restart of the module")
    assert module.version == "1.18.0"
    watch.close()


def test_folder_that_is_not_there(folder, broker, meter, spawn):
    module = meter()
    config = write_config(folder, broker.url, [device(module)], openbeken={"images": str(folder / "nothing")})
    process = spawn("--config", config, "run")
    process.wait_line("nothing) cannot be read")
    assert process.running()


def test_without_a_folder_there_is_no_update(folder, broker, meter, spawn):
    module = meter()
    spawn("--config", write_config(folder, broker.url, [device(module)]), "run").wait_line("Connected")
    watch = broker.subscribe("bl2mqtt/#", "homeassistant/#")
    assert "update" not in watch.wait("bl2mqtt/meter")
    assert "update" not in watch.wait("homeassistant/device/bl2mqtt_test_meter/config")["components"]
    broker.publish(REQUEST, {"id": "meter"})
    assert "openbeken.images" in watch.wait(RESPONSE)["error"]
    watch.close()


class Listener:
    """A stranger's HTTP server: keeps what it is sent."""

    def __init__(self, host="127.0.0.1"):
        self.socket = socket.create_server((host, 0))
        self.received = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.socket.accept()
                client.settimeout(2)
                with contextlib.suppress(OSError):
                    self.received.append(client.recv(65536))
                    client.sendall(b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=x\r\nContent-Length: 0\r\n\r\n")
                    self.received.append(client.recv(65536))
                client.close()

    @property
    def address(self):
        return "%s:%d" % self.socket.getsockname()


@pytest.mark.parametrize("address", ["port", "plain"])
def test_the_password_goes_to_no_address_that_came_over_mqtt(folder, broker, meter, spawn, address):
    put(folder, "new.rbl", make_ota("BK7231N", "1.18.300"))
    stranger = Listener()
    known = {"id": "meter", "driver": "openbeken", "topic": "meters/1", "channels": {"a": {}}}
    config = write_config(folder, broker.url, [known],
                          openbeken={"images": str(folder / "images"), "web_password": "swordfish"})
    process = spawn("--config", config, "run")
    process.wait_line("Connected")
    watch = broker.subscribe("bl2mqtt/#")
    broker.publish("meters/1/build", "Built on Jul  1 2024 00:00:00 version 1.17.0 OpenBK7231N_1.17.0")
    broker.publish("meters/1/ip", stranger.address if address == "port" else "127.0.0.1")
    broker.publish("meters/1/voltage/get", "230")

    def offered():
        broker.publish("meters/1/build", "OpenBK7231N 1.17.0 Jul  1 2024 00:00:00")
        return any(json.loads(p).get("update", {}).get("latest_version") == "1.18.300" for p in watch.payloads("bl2mqtt/meter"))

    wait_for(offered, 25, "the offer", every=0.5)
    broker.publish(REQUEST, {"id": "meter", "transaction": 1})
    answer = watch.wait(RESPONSE, lambda a: a.get("transaction") == 1)
    assert answer["status"] == "error" and "`host`" in answer["error"]
    assert not stranger.received
    process.stop()
    watch.close()


def test_an_update_by_reported_address_needs_the_right_client_id(folder, broker, meter, service):
    """Somebody else's module under the device's address, and the right one by its host."""
    put(folder, "new.rbl", make_ota("BK7231N", "1.18.300"))
    module, other = meter(), meter("meters/2", boot_s=600)
    wrong = dict(device(module), host=other.host)
    _, watch = service(wrong)
    watch.wait("bl2mqtt/meter", lambda s: s["update"].get("latest_version") == "1.18.300", timeout=25)
    broker.publish(REQUEST, {"id": "meter"})
    answer = watch.wait(RESPONSE)
    assert answer["status"] == "error" and "meters/2" in answer["error"] and other.version == "1.18.0"
    watch.close()
