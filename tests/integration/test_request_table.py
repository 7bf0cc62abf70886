# SPDX-License-Identifier: MIT
"""Every request of the service's own table succeeds once, with what its answer must have; what each refuses is in
test_requests.py. A request that is new in the table fails here until it has a case."""

import json
import os

import jsonschema
import pytest

import web
from beken_images import make_ota
from harness import ROOT, SimulatedMeter, free_port, wait_for
from home_assistant_socket import HomeAssistant
from obk_module import Flash, ObkModule
from test_requests import GARAGE, HOUSE, Bridge

TARIFF = [{"currency": "EUR", "price": 0.3}]
SPAN = {"device": "house", "channel": "a", "from": "today", "to": "now"}
RESPONSE = json.loads((ROOT / "schema/mqtt/response.json").read_text())


@pytest.fixture
def obk(broker):
    """A module with OpenBeken on the network, for which there is newer firmware."""
    flash = Flash()
    flash.values.update(host="127.0.0.1", port=broker.port, client="meters/1", flags=1 << 10 | 1 << 25)
    flash.files["autoexec.bat"] = b"startDriver BL0942\n"
    made = ObkModule(boot_s=0.1, restart_s=0.2, speed=40, version="1.18.0", upload_bytes_per_s=400000, unpack_s=0.2, flash=flash)
    made.booted -= 100
    yield made
    made.close()


def in_order(port, module_port, obk_host, backup):
    """(request, HTTP, body, what is true of the answer's data), in an order in which each finds what it needs. backup(): sends
    the last backup to the service."""
    return [
        ("health_check", False, {}, lambda d: d == {"healthy": True}),
        ("log_level", False, {"level": "info"}, lambda d: d == {"level": "info"}),
        ("options", False, {"options": {"tariffs": TARIFF}}, lambda d: d == {"changed": ["tariffs"], "restart_required": False}),
        ("ports", False, {}, lambda d: "ports" in d),
        ("scan", False, {"port": port}, lambda d: [c["address"] for c in d["chips"]] == [0]),
        ("mqtt/test", False, {}, lambda d: d["connected"] is True),
        ("permit_join", False, {"time": 1}, lambda d: d["connected"] and isinstance(d["modules"], list)),
        ("device/add", False, {"id": "attic", "driver": "simulator", "channels": {"a": {}}}, lambda d: d == {"id": "attic"}),
        ("device/adopt", False, {"topic": "meters/9", "id": "found", "channels": ["a"]}, lambda d: d["new"] and d["id"] == "found"),
        ("device/rename", False, {"from": "attic", "to": "Loft"}, lambda d: d == {"from": "attic", "to": "Loft"}),
        ("device/disable", False, {"id": "attic"}, lambda d: d == {"id": "attic"}),
        ("device/enable", False, {"id": "attic"}, lambda d: d == {"id": "attic"}),
        ("device/options", False, {"id": "attic", "options": {"retain": True}}, lambda d: d["changed"] == ["devices.attic.retain"]),
        ("device/raw", False, {"id": "house"}, lambda d: set(d["channels"]) == {"a", "b"}),
        ("device/calibrate", False, {"id": "garage", "channel": "a", "voltage": 230, "seconds": 3}, lambda d: not d["stored"]),
        ("device/calibration/set", False, {"id": "garage", "channel": "a", "voltage": 17000, "force": True},
         lambda d: d["voltage"] == 17000),
        ("device/energy/set", False, {"id": "garage", "channel": "a", "energy": 12}, lambda d: d == {"id": "garage", "channel": "a"}),
        ("device/update", False, {"id": "module"}, lambda d: d == {"id": "module", "from": "1.18.0", "to": "1.18.300"}),
        ("history/energy", False, SPAN, lambda d: isinstance(d, list) and d),
        ("history/power", False, SPAN, lambda d: isinstance(d, list) and d),
        ("history/cost", False, SPAN, lambda d: d["rows"] and d["currency"] == "EUR"),
        ("history/gaps", False, SPAN, lambda d: isinstance(d, list)),
        ("history/events", False, SPAN, lambda d: isinstance(d, list)),
        ("history/voltage", False, SPAN, lambda d: isinstance(d, list) and d),
        ("history/recalibrate", False, {"device": "garage", "channel": "a", "since": "today", "voltage": 16000, "dry_run": True}, bool),
        ("homeassistant/refresh", False, {}, lambda d: d == {}),
        ("homeassistant/purge", False, {}, lambda d: d == {"removed": 0}),
        ("homeassistant/backfill", False, {"dry_run": True}, lambda d: d == {"dry_run": True, "statistics": []}),
        ("openbeken/clear_announcements", False, {"topic": "plug"}, lambda d: d["cleared"] == 0),
        ("device/remove", False, {"id": "attic"}, lambda d: d == {"id": "attic"}),
        ("flash/profiles", False, {}, bool),
        ("flash/start", True, {"job": "backup", "port": module_port}, lambda d: isinstance(d, dict)),
        ("flash/cancel", True, {}, lambda d: isinstance(d, dict)),
        ("openbeken/provision", True, {"host": obk_host, "client_id": "meters/1", "mqtt_host": "127.0.0.1"}, lambda d: isinstance(d, dict)),
        ("flash/cancel", True, {}, lambda d: isinstance(d, dict)),
        ("backup", False, {"include_config": True}, backup),
        ("restore/check", True, {}, bool),
        ("restore/state", True, {}, lambda d: d["checking"] is False),
        ("restore", True, {"history": True}, lambda d: d == {}),
        ("restart", False, {}, lambda d: d == {}),
    ]


def ended(client):
    status, _, body = client.get("/api/v1/job")
    return status == 200 and (json.loads(body) or {}).get("state") not in (None, "running")


def restored(client):
    status, answer = client.request("restore/state")
    last = answer["data"]["last"] if status == 200 else None
    assert last is None or last["ok"], last
    return (200, last) if last else None


def answers(client, what):
    """It may be between two lives."""
    status = what() if client.answers() else None
    return status is not None and status[0] == 200 and status


@pytest.fixture
def there():
    made = HomeAssistant({})
    yield made
    made.close()


def test_every_request_of_the_table_succeeds(folder, broker, spawn, module, obk, there):
    (folder / "images").mkdir()
    (folder / "images/new.rbl").write_bytes(make_ota("BK7231N", "1.18.300"))
    meter, port, bare = SimulatedMeter(folder / "usb"), free_port(), module(speed=1)
    own = {"id": "module", "driver": "openbeken", "topic": "meters/1", "host": obk.host, "channels": {"a": {}}}
    try:
        bridge = Bridge(folder, broker, spawn, HOUSE, GARAGE, own, web={"listen": f"127.0.0.1:{port}"},
                        openbeken={"images": str(folder / "images")},
                        homeassistant={"backfill": {"url": there.url, "token": there.token}})
        client = web.Client(port)
        wait_for(client.answers, 20, "the web server")
        table = bridge.watch.wait("bl2mqtt/bridge/info")["request_schema"]
        bridge.watch.wait("bl2mqtt/module", lambda s: s["update"].get("latest_version") == "1.18.300", 40)
        for device in "house", "garage":
            bridge.watch.wait(f"bl2mqtt/{device}", lambda s: (s["energy"] or 0) > 0 and s["energy_today"] is not None, 40)

        def sent(data):
            assert os.path.getsize(data["path"]) == data["bytes"] > 0
            status, _, archive = client.get(f"/api/v1/backups/{os.path.basename(data['path'])}")
            assert status == 200
            return client.ask("PUT", "/api/v1/upload/backup", archive)[0] == 200

        steps = in_order(meter.link, str(bare.port), obk.host, sent)
        assert {name for name, *_ in steps} == set(table), "requests without a case, or cases without a request"
        for name, over_http, body, holds in steps:
            if over_http:
                jsonschema.validate(body, table[name])
                status, answer = wait_for(lambda name=name, body=body: answers(client, lambda: client.request(name, body)), 30, name)
                assert status == 200 and answer["status"] == "ok", (name, answer)
                jsonschema.validate(answer, RESPONSE)
                data = answer["data"]
            else:
                jsonschema.validate(body, table[name])
                data = bridge.good(name, body, timeout=60)
            assert holds(data), (name, data)
            if name == "flash/cancel":
                wait_for(lambda: ended(client), 60, "the job's end")
            if name == "restore":
                wait_for(lambda: answers(client, lambda: restored(client)), 90, "the old history to be in its place")
                bridge.watch.clear()
                bridge.watch.wait("bl2mqtt/house", lambda s: s and s["power"] is not None, 40)
        assert bridge.process.running()
    finally:
        meter.close()
