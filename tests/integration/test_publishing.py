# SPDX-License-Identifier: MIT
"""How often a state is published: by what changed, or at a pace that is set."""

import json
import time

import house
from harness import pause, wait_for, write_config


def start(folder, broker, spawn, **device):
    made = house.house(folder, interval="500ms", **device)
    if "report_interval" not in device:
        del made["report_interval"]
    config = write_config(folder, broker.url, [made], bridge={"log_level": "info"})
    process = spawn("--config", config, "run")
    watch = broker.subscribe("bl2mqtt/house", "bl2mqtt/house/availability")
    watch.wait("bl2mqtt/house", lambda s: s["power_a"] is not None and s["power_b"] is not None, 15)
    return process, watch


def times(watch, since=0.0):
    return [m["at"] for m in list(watch.messages) if m["topic"] == "bl2mqtt/house" and m["at"] >= since]


def test_what_stands_still_is_published_once_a_minute(folder, broker, spawn, chips):
    process, watch = start(folder, broker, spawn, max_interval="8s")
    pause(12, "the values of the start have come to rest")
    began = time.monotonic()
    pause(20, "what is published meanwhile is counted")
    quiet = times(watch, began)
    assert 2 <= len(quiet) <= 4, quiet
    # A step is shown soon, and the last value stands.
    house.load(chips["a"], 3000)
    stepped = time.monotonic()
    watch.wait("bl2mqtt/house", lambda s: (s["power_a"] or 0) > 2900, 8)
    house.load(chips["a"], 3001)  # within the deadband
    wait_for(lambda: any(abs(json.loads(p)["power_a"] - 3001) < 0.6 for p in watch.payloads("bl2mqtt/house")[-1:]), 20,
             "the value that it came to rest at")
    assert min(b - a for a, b in zip(times(watch, stepped), times(watch, stepped)[1:])) > 4
    assert process.stop() == 0


def test_a_problem_is_published_at_once(folder, broker, spawn, chips):
    process, watch = start(folder, broker, spawn)
    watch.wait("bl2mqtt/house", lambda s: not s["data_problem"])
    began = time.monotonic()
    chips["a"].close()
    watch.wait("bl2mqtt/house", lambda s: s["power_a"] is None, 10)
    watch.wait("bl2mqtt/house", lambda s: s["data_problem"], 10)
    print(f"figure: a channel that is silent is shown after {time.monotonic() - began:.1f} s")
    assert process.stop() == 0


def test_a_pace_that_is_set_is_kept_changed_or_not(folder, broker, spawn, chips):
    process, watch = start(folder, broker, spawn, report_interval="2s")
    began = time.monotonic()
    pause(20, "what is published meanwhile is counted")
    kept = times(watch, began)
    assert 8 <= len(kept) <= 12, [b - a for a, b in zip(kept, kept[1:])]
    assert process.stop() == 0


def same_value(payload, value):
    text = payload.decode() if isinstance(payload, bytes) else payload
    return text == value if isinstance(value, str) else json.loads(text) == value


def test_each_value_on_a_topic_of_its_own(folder, broker, spawn, chips):
    made = house.house(folder, interval="500ms", report_interval="2s", output="both")
    process = spawn("--config", write_config(folder, broker.url, [made]), "run")
    watch = broker.subscribe("bl2mqtt/house", "bl2mqtt/house/#")
    watch.wait("bl2mqtt/house", lambda s: s["power_a"] is not None and s["power_b"] is not None, 15)
    state = json.loads(watch.payloads("bl2mqtt/house")[-1])
    watch.wait("bl2mqtt/house", lambda s: s["last_seen"] != state["last_seen"], 15)  # all of the state before has come
    for key, value in state.items():
        assert any(same_value(payload, value) for payload in watch.payloads(f"bl2mqtt/house/{key}")), key
    assert process.stop() == 0


def test_without_json_nothing_is_announced(folder, broker, spawn, chips):
    process, watch = start(folder, broker, spawn, report_interval="2s", retain=True)
    assert process.stop() == 0
    made = house.house(folder, interval="500ms", report_interval="2s", output="attributes", retain=True)
    process = spawn("--config", write_config(folder, broker.url, [made]), "run")
    watch = broker.subscribe("bl2mqtt/house/power_a")
    wait_for(lambda: len(watch.payloads("bl2mqtt/house/power_a")) >= 3, 15, "three states")

    def kept():
        fresh = broker.subscribe("bl2mqtt/house/#", "homeassistant/device/#", "bl2mqtt/bridge/state")
        fresh.catch_up()
        return {m["topic"] for m in fresh.messages if m["payload"] and m["retain"] and "house" in m["topic"]}

    wait_for(lambda: kept() == {"bl2mqtt/house/availability"}, 15, "the old state and the announcement to be cleared")
    assert process.stop() == 0
