# SPDX-License-Identifier: MIT
"""Both chips of a module with ESPHome (driver: esphome), against a real broker."""

import json

import pytest

from esphome_module import KP, WATT_SECONDS, Chip, Module
from harness import run, wait_for, write_config

WH_PER_COUNT = WATT_SECONDS / KP / 3600


def attic(**more):
    channel = {"calibration": {"voltage": 15883.34, "current": 128118.87}}
    return {"id": "attic", "driver": "esphome", "topic": "em-attic", "report_interval": "1s",
            "channels": {"a": channel, "b": channel}, **more}


@pytest.fixture
def module(broker):
    started = []

    def start(**options):
        started.append(Module(broker.port, **options))
        return started[-1]
    yield start
    for one in started:
        one.close()


def service(folder, broker, spawn, *devices):
    config = write_config(folder, broker.url, list(devices) or [attic()])
    subscriber = broker.subscribe("bl2mqtt/#")
    process = spawn("--config", config, "run")
    return process, subscriber


def test_both_channels(folder, broker, spawn, module):
    chips = [Chip(watts=1500), Chip(watts=-430, volts=231)]
    module(chips=chips)
    _, subscriber = service(folder, broker, spawn)
    state = subscriber.wait("bl2mqtt/attic", lambda s: s["power_a"] is not None and s["power_b"] is not None)
    assert state["voltage_a"] == pytest.approx(230, rel=0.002)
    assert state["voltage_b"] == pytest.approx(231, rel=0.002)
    assert state["power_a"] == pytest.approx(1500, rel=0.002)
    assert state["power_b"] == pytest.approx(-430, rel=0.002)
    assert state["current_a"] == pytest.approx(1500 / 230, rel=0.002)
    assert state["ac_frequency_a"] == pytest.approx(49.975, abs=0.02)
    assert subscriber.wait("bl2mqtt/attic/availability", lambda s: s["state"] == "online")


def energies(subscriber):
    state = json.loads(subscriber.payloads("bl2mqtt/attic")[-1])
    return [state["energy_a"], state["energy_produced_b"]]


def test_wifi_loss_restarts_and_old_values(folder, broker, spawn, module):
    chips = [Chip(watts=15000, first_count=30000), Chip(watts=-9000, first_count=50000)]
    meter = module(chips=chips)
    _, subscriber = service(folder, broker, spawn)
    subscriber.wait("bl2mqtt/attic", lambda s: (s["energy_a"] or 0) > 0 and (s["energy_produced_b"] or 0) > 0)

    meter.lose_wifi()
    subscriber.wait("bl2mqtt/attic/availability", lambda s: s["state"] == "offline")
    subscriber.clear()
    wait_for(lambda: chips[0].total > chips[0].first + 60, what="counts while nobody could read them")
    meter.connect()
    subscriber.wait("bl2mqtt/attic/availability", lambda s: s["state"] == "online")

    meter.restart()
    subscriber.clear()
    wait_for(lambda: not meter.client, what="the module's restart")
    meter.connect()
    subscriber.wait("bl2mqtt/attic/availability", lambda s: s["state"] == "online")
    for chip in chips:
        chip.watts = 0  # what is in flight arrives
    truth = [(chip.total - chip.first) * WH_PER_COUNT / 1000 for chip in chips]
    first = [chip.first for chip in chips]
    subscriber.wait("bl2mqtt/attic", lambda s: s["power_a"] == 0 and s["power_b"] == 0)
    wait_for(lambda: energies(subscriber)[0] > truth[0] - 0.02, what="all of channel a")
    wait_for(lambda: energies(subscriber)[1] > truth[1] - 0.02, what="all of channel b")
    for got, most, chip in zip(energies(subscriber), truth, first):
        assert got <= most + 0.001, chip


def test_a_chip_restarts(folder, broker, spawn, module):
    chips = [Chip(watts=15000, first_count=30000), Chip(watts=-9000, first_count=50000)]
    meter = module(chips=chips)
    _, subscriber = service(folder, broker, spawn)
    subscriber.wait("bl2mqtt/attic", lambda s: (s["energy_a"] or 0) > 0.005)
    with meter.lock:
        chips[0].restart()
    event = subscriber.wait("bl2mqtt/bridge/event", lambda e: e["data"].get("kind", e["type"]) == "counter_reset"
                            or "restarted" in e["message"])
    assert "restarted" in event["message"]
    before = energies(subscriber)[0]
    subscriber.wait("bl2mqtt/attic", lambda s: (s["energy_a"] or 0) > before)
    assert energies(subscriber)[0] < (chips[0].total - chips[0].first) * WH_PER_COUNT / 1000 + 0.001


def test_retained_values_of_a_dead_module(folder, broker, spawn):
    broker.publish("em-attic/status", "online", retain=True)
    for chip in "ab":
        for quantity, value in (("voltage", 3653168), ("current", 557), ("power", 477), ("cf", 4711)):
            broker.publish(f"em-attic/sensor/{quantity}_{chip}/state", value, retain=True)
    process, subscriber = service(folder, broker, spawn)
    subscriber.wait("bl2mqtt/bridge/state", lambda s: s["state"] == "online")
    live = Module(broker.port, prefix="other")  # others' messages and the passing of time change nothing
    live.close()
    assert process.running()
    for state in map(json.loads, subscriber.payloads("bl2mqtt/attic")):
        assert state["power_a"] is None and state["voltage_b"] is None and not state["energy_a"]


def test_ordinary_settings(folder, broker, spawn, module):
    module(raw=False, chips=[Chip(watts=1500), Chip(watts=-430)])
    _, subscriber = service(folder, broker, spawn)
    event = subscriber.wait("bl2mqtt/bridge/event", lambda e: "kilowatt hours" in e["message"])
    assert "profiles esphome" in event["message"]
    state = subscriber.wait("bl2mqtt/attic", lambda s: s["power_a"] is not None and s["power_b"] is not None)
    assert state["voltage_a"] == pytest.approx(230, abs=0.1)
    assert state["power_a"] == pytest.approx(1500, rel=0.002)
    assert state["power_b"] == pytest.approx(-430, rel=0.002)


def test_check(folder, broker):
    good = write_config(folder, broker.url, [attic()])
    assert run("--config", good, "check").returncode == 0
    for more, words in (({"topic": "bl2mqtt/attic"}, "own"), ({"topic": "a/#"}, "topic"), ({"interval": "1s"}, "interval")):
        bad = write_config(folder, broker.url, [attic(**more)])
        result = run("--config", bad, "check")
        assert result.returncode == 2 and words in result.stdout + result.stderr
