# SPDX-License-Identifier: MIT
"""What follows from measured values: today, costs, alarms, the device's own totals; over restarts."""

import json
import signal
import sqlite3
import threading

import pytest

from harness import decode, free_port, run, wait_for, write_config
from test_requests import Bridge
from web import Client

CONSTANT = {"load": "constant"}
TARIFF = [{"currency": "EUR", "price": 0.3, "feed_in": 0.08, "standing_charge": 0.5}]


def configure(folder, broker, channels, **more):
    device = {"id": "house", "driver": "simulator", "interval": "200ms", "report_interval": "1s",
              "channels": channels, **more}
    path = write_config(folder, broker.url, [device])
    document = json.loads(path.read_text())
    document["tariffs"] = TARIFF
    path.write_text(json.dumps(document))
    return path


def last_state(watch):
    """The newest state; the last message of all is empty where a device was removed."""
    return decode([payload for payload in watch.payloads("bl2mqtt/house") if str(payload)][-1])


def ask(config, *args):
    result = run("--config", config, "history", *args, "--device", "house", "--json")
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def test_today_is_what_the_history_says_over_restarts(folder, broker, spawn):
    config = configure(folder, broker, {"a": CONSTANT, "b": CONSTANT})
    watch = broker.subscribe("bl2mqtt/house")
    for minimum in (0.002, 0.004):
        service = spawn("--config", config, "run")
        watch.clear()
        state = watch.wait("bl2mqtt/house", lambda s: (s.get("energy_today") or 0) >= minimum, timeout=30)
        assert state["energy_today"] == pytest.approx(state["energy_today_a"] + state["energy_today_b"], abs=0.0021)
        assert state["energy_month"] >= state["energy_today"]
        assert state["day_start"] < state["last_seen"] and state["month_start"] <= state["day_start"]
        assert state["demand_a"] > 0 and state["demand"] > state["demand_a"]
        assert state["problem_text"] is None
        service.stop()
    last = last_state(watch)
    today = ask(config, "energy", "--from", last["day_start"], "--bucket", "day")
    rows = today if isinstance(today, list) else today["rows"]
    kwh = sum(row["energy_kwh"] for row in rows)
    assert last["energy_today"] <= kwh <= last["energy_today"] + 0.003
    money = ask(config, "cost", "--from", last["day_start"], "--bucket", "day")
    assert last["cost_today"] == pytest.approx(sum(row["cost"] for row in money["rows"]), abs=0.0011)
    assert last["cost_today"] >= 0.5


def test_alarms_survive_a_restart(folder, broker, spawn):
    alarms = [{"name": "load", "when": "power > 1", "for": "1s", "until": "power < -1"},
              {"name": "low", "when": "voltage < 100"}]
    config = configure(folder, broker, {"a": CONSTANT}, alarms=alarms)
    watch = broker.subscribe("bl2mqtt/#")
    service = spawn("--config", config, "run")
    watch.wait("bl2mqtt/house", lambda s: s.get("alarm_load") is True, timeout=20)
    event = watch.wait("bl2mqtt/bridge/event", lambda e: e["type"] == "alarm_began")
    assert event["device"] == "house" and event["data"]["name"] == "load"
    assert last_state(watch)["alarm_low"] is False
    wait_for(lambda: "load" in (folder / "data/preferences.json").read_text(), 5, "the stored alarm")
    service.stop()
    # within the hysteresis from the first value on, so that only a restored alarm can be on
    config = configure(folder, broker, {"a": CONSTANT},
                       alarms=[{"name": "load", "when": "power > 1", "for": "1h", "until": "power < -1"}])
    again = broker.subscribe("bl2mqtt/#")
    spawn("--config", config, "run")
    again.wait("bl2mqtt/house", lambda s: s.get("power") is not None and s.get("alarm_load") is True, timeout=20)
    assert not [e for e in map(decode, again.payloads("bl2mqtt/bridge/event")) if e["type"].startswith("alarm")]


def test_a_removed_channel_moves_no_total(folder, broker, spawn):
    config = configure(folder, broker, {"a": CONSTANT, "b": CONSTANT})
    watch = broker.subscribe("bl2mqtt/house")
    service = spawn("--config", config, "run")
    watch.wait("bl2mqtt/house", lambda s: (s.get("energy_b") or 0) >= 0.002, timeout=30)
    service.stop()
    before = last_state(watch)
    for channels in ({"a": CONSTANT}, {"a": CONSTANT, "c": CONSTANT}, {"a": CONSTANT, "b": CONSTANT}):
        config = configure(folder, broker, channels)
        watch = broker.subscribe("bl2mqtt/house")
        service = spawn("--config", config, "run")
        state = watch.wait("bl2mqtt/house", lambda s: s.get("energy") is not None and s.get("power") is not None, timeout=20)
        assert set(f"energy_{name}" for name in channels) <= set(state), "the suffixes stay"
        assert before["energy"] <= state["energy"] <= before["energy"] + 0.005, (channels, before, state)
        service.stop()
        before = last_state(watch)


def test_what_a_day_had_stays_while_the_device_changes(folder, broker, spawn):
    """A change of the device asks the history anew; what was known is shown until that answers."""
    config = configure(folder, broker, {"a": CONSTANT, "b": CONSTANT})
    service, watch = spawn("--config", config, "run"), broker.subscribe("bl2mqtt/#")
    watch.wait("bl2mqtt/house", lambda s: (s.get("energy_today") or 0) > 0.002 and s["cost_today"] is not None, timeout=40)
    service.wait_line("Connected")
    for number, change in enumerate(({"mains": {"max_current": 63}}, {"channels": {"a": {"invert": False, "noise_floor": 0.5}}},
                                     {"alarms": [{"name": "high", "when": "power > 9000"}]}, {"interval": "300ms"},
                                     {"channels": {"a": {**CONSTANT, "calibration": {"voltage": 15000}}}})):
        before = last_state(watch)
        watch.clear()
        broker.publish("bl2mqtt/bridge/request/device/options", {"id": "house", "options": change, "transaction": number})
        answer = watch.wait("bl2mqtt/bridge/response/device/options", lambda a, n=number: a["transaction"] == n, 20)
        assert answer["status"] == "ok" and answer["data"]["changed"], answer
        watch.wait("bl2mqtt/house", lambda s, last=before: (s.get("energy_today") or 0) > last["energy_today"], timeout=30)
        for state in map(decode, watch.payloads("bl2mqtt/house")):
            for key in "energy_today", "energy_month", "energy_today_a", "cost_today", "cost_month":
                assert state[key] is not None and state[key] >= before[key] - 0.0011, (change, key, before[key], state[key])
    service.stop()
    last = last_state(watch)
    kwh = sum(row["energy_kwh"] for row in ask(config, "energy", "--from", last["day_start"], "--bucket", "day"))
    assert last["energy_today"] <= kwh <= last["energy_today"] + 0.004


def test_tariffs_change_live_under_questions(folder, broker, spawn):
    """50 changes while costs are asked for over HTTP and MQTT: all at once, no reading is lost, nothing begins anew."""
    port = free_port()
    device = {"id": "house", "driver": "simulator", "interval": "200ms", "channels": {"a": CONSTANT, "b": CONSTANT}}
    bridge = Bridge(folder, broker, spawn, device, web={"listen": f"127.0.0.1:{port}"})
    client, ended, answers = Client(port), threading.Event(), []

    def question():
        while not ended.is_set():
            answers.append(client.get("/api/v1/history/cost", device="house", bucket="day")[0])

    threads = [threading.Thread(target=question) for _ in range(2)]
    bridge.watch.wait("bl2mqtt/house", lambda s: (s.get("energy_today_a") or 0) > 0.001, timeout=30)
    assert "cost_today" not in last_state(bridge.watch) and "price" not in str(bridge.watch.payloads("bl2mqtt/bridge/price"))
    for thread in threads:
        thread.start()
    try:
        for number in range(50):
            tariffs = [] if number % 10 == 5 else [{"currency": ("EUR", "CHF")[number // 10 % 2], "price": round(0.1 + number / 100, 2)}]
            done = bridge.good("options", {"options": {"tariffs": tariffs}})
            assert done == {"changed": ["tariffs"], "restart_required": False}, (number, done)
            assert bridge.ask("history/cost", {"device": "house", "bucket": "day"})["status"] == ("ok" if tariffs else "error")
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    assert set(answers) <= {200, 400} and 200 in answers, set(answers)
    bridge.watch.wait("bl2mqtt/bridge/price", lambda p: p and p["price"] == 0.59 and p["currency"] == "EUR")
    state = bridge.watch.wait("bl2mqtt/house", lambda s: s.get("cost_today") is not None and
                              s["cost_today"] == pytest.approx(s["energy_today"] * 0.59, abs=0.0011))
    assert state["cost_today_a"] == pytest.approx(state["energy_today_a"] * 0.59, abs=0.0007)
    described = client.get("/api/v1/devices")[2]
    assert b'"EUR"' in described and b'"CHF"' not in described
    # a file that was edited, and SIGHUP, do the same
    bridge.config.write_text(bridge.config.read_text().replace("price: 0.59", "price: 1.0"))
    bridge.process.signal(signal.SIGHUP)
    bridge.watch.wait("bl2mqtt/house", lambda s: s.get("cost_today") is not None and
                      s["cost_today"] == pytest.approx(s["energy_today"], abs=0.0011))
    bridge.process.stop()
    gaps = ask(bridge.config, "gaps", "--min", "3s")
    assert not [gap for gap in gaps if gap["reason"] != "service_stopped"], gaps
    with sqlite3.connect(folder / "data/history.db") as db:
        assert db.execute("SELECT count(*) FROM event WHERE kind IN ('started', 'offline')").fetchone() == (1,)
