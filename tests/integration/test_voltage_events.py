# SPDX-License-Identifier: MIT
"""Sags, swells and interruptions of a simulated chip's mains, as events and on record."""

import datetime
import json

from harness import SimulatedMeter, run, wait_for
from test_requests import Bridge
from test_run import CALIBRATION, FACTORS, constant


def test_voltage_events(folder, broker, spawn):
    meter = SimulatedMeter(folder / "usb", *FACTORS, *constant(230, 1, 200))
    try:
        device = {"id": "house", "driver": "bl0942", "interval": "250ms", "channels": {
            "a": {"port": str(meter.link), "calibration": CALIBRATION}}}
        bridge = Bridge(folder, broker, spawn, device)
        watch = bridge.watch
        watch.wait("bl2mqtt/house", lambda s: s["voltage"] is not None and 229 < s["voltage"] < 231)

        def events(kind):
            return [e for p in watch.payloads("bl2mqtt/bridge/event") if (e := json.loads(p))["type"] == kind]

        def until_seen(volt, kind):
            meter.tell(f"load {volt} 1 200")
            wait_for(lambda: events(f"voltage_{kind}_began"), 20, f"a {kind} to begin")
            meter.tell("load 230 1 200")
            return wait_for(lambda: events(f"voltage_{kind}"), 20, f"the {kind} to end")[0]

        sag = until_seen(190, "sag")
        assert 185 < sag["data"]["voltage"] < 207 and sag["data"]["seconds"] > 0 and not sag["data"]["cut"], sag
        assert sag["device"] == "house" and sag["channel"] == "a"
        swell = until_seen(260, "swell")
        assert 253 < swell["data"]["voltage"] < 262, swell
        # a chip that restarts shows 0 V for a moment, a pulled adapter nothing: no interruption
        meter.tell("reset")
        meter.tell("unplug")
        watch.wait("bl2mqtt/house/availability", lambda a: a["state"] == "offline", 30)
        meter.tell("replug")
        wait_for(lambda: json.loads(watch.payloads("bl2mqtt/house/availability")[-1])["state"] == "online", 40, "the chip")
        assert not events("voltage_interruption_began")
        # switched off, live
        assert not bridge.good("device/options", {"id": "house", "options": {"mains": {"events": {"enabled": False}}}})["restart_required"]
        before = len(events("voltage_sag_began"))
        meter.tell("load 150 1 200")
        watch.wait("bl2mqtt/house", lambda s: s["voltage"] is not None and s["voltage"] < 160, 20)
        assert len(events("voltage_sag_began")) == before
        wait_for(lambda: "voltage_swell" in run("--config", bridge.config, "history", "events", "--device", "house", "--json").stdout, 20, "the record")
        rows = json.loads(run("--config", bridge.config, "history", "events", "--device", "house", "--json").stdout)
        kinds = [r["kind"] for r in rows]
        assert kinds.count("voltage_sag") == 1 and kinds.count("voltage_swell") == 1 and "voltage_sag_began" not in kinds
        stored = next(r for r in rows if r["kind"] == "voltage_sag")
        assert "V (" in stored["message"] and not [r for r in rows if "voltage_v" in r and "voltage_" not in r["kind"]]
        assert abs(stored["voltage_v"] - sag["data"]["voltage"]) < 0.051 and abs(stored["seconds"] - sag["data"]["seconds"]) < 0.051
        assert stored["cut"] is False
        # the report counts them, by command and by MQTT alike
        now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
        span = {"from": "2026-01-01", "to": now, "bucket": "week"}
        printed = run("--config", bridge.config, "history", "voltage", "--device", "house", "--json",
                      *(part for name, value in span.items() for part in (f"--{name}", value)))
        weeks = json.loads(printed.stdout)
        assert bridge.good("history/voltage", {"device": "house", **span}) == weeks
        last = [week for week in weeks if week["sags"] is not None]
        assert sum(w["sags"] for w in last) == 1 and sum(w["swells"] for w in last) == 1, last
        assert sum(w["interruptions"] for w in last) == 0
        assert abs(min(w["deepest_v"] for w in last if w["deepest_v"]) - sag["data"]["voltage"]) <= 0.05
        assert {w["nominal_v"] for w in weeks} == {230} and weeks[0]["sags"] is None
        bridge.bad("device/options", {"id": "house", "options": {"mains": {"events": {"sag": 101}}}}, "sag")
        # one that is under way goes on over a change of the device, and is on record after a stop
        bridge.good("device/options", {"id": "house", "options": {"mains": {"events": {"enabled": True}}}})
        began = len(events("voltage_sag_began"))
        wait_for(lambda: len(events("voltage_sag_began")) > began, 20, "the sag that is there")
        bridge.good("device/options", {"id": "house", "options": {"channels": {"a": {"noise_floor": 1}}}})
        watch.wait("bl2mqtt/bridge/devices", lambda d: d[0]["id"] == "house")
        assert bridge.process.stop() == 0
        rows = json.loads(run("--config", bridge.config, "history", "events", "--device", "house", "--json").stdout)
        last = [r for r in rows if r["kind"] == "voltage_sag"]
        assert len(last) == 2 and last[-1]["cut"] is True and abs(last[-1]["voltage_v"] - 150) < 3, last
    finally:
        meter.close()
