# SPDX-License-Identifier: MIT
"""What the broker has under the bridge's own topics: repaired when others overwrite it, cleared when nothing
stands behind it, and never a fight with another bridge."""

import json
import time

import pytest

from harness import Broker, pause, wait_for, write_config

STATE = "bl2mqtt/bridge/state"
HEALTH = "bl2mqtt/bridge/health"


def device(name="house", **more):
    return {"id": name, "driver": "simulator", "channels": {"a": {}}, "interval": "1s", "report_interval": "1s", **more}


@pytest.fixture
def service(folder, broker, spawn):
    def start(*devices, to=None, **sections):
        sections.setdefault("bridge", {}).setdefault("log_level", "info")
        config = write_config(folder, (to or broker).url, list(devices) or [device()], **sections)
        process = spawn("--config", config, "run")
        process.wait_line("Connected")
        return process

    return start


def retained(broker, topic="#"):
    """{topic: payload} of what the broker keeps."""
    broker.publish("end", "1", retain=True)  # comes last, as its filter does
    watch = broker.subscribe(topic, "end")
    wait_for(lambda: len(watch.payloads("end")) == (2 if topic == "#" else 1), what="the end of the list")
    kept = {m["topic"]: m["payload"] for m in watch.messages if m.get("retain") and m["topic"] != "end"}
    watch.close()
    return kept


def problems(watch, words, timeout=30):
    return watch.wait(HEALTH, lambda h: any(words in p for p in h["problems"]), timeout)


@pytest.mark.parametrize("topic,junk", [
    (STATE, '{"state":"offline"}'), (STATE, ""), ("bl2mqtt/house/availability", '{"state":"offline"}'),
    ("bl2mqtt/house/availability", ""), ("bl2mqtt/bridge/info", "junk"), ("bl2mqtt/bridge/devices", "[]"), (HEALTH, "{}"),
    ("homeassistant/device/bl2mqtt_test_house/config", '{"device":{}}')])
def test_an_overwritten_topic_is_repaired(broker, service, topic, junk):
    process = service()
    wait_for(lambda: "online" in retained(broker).get("bl2mqtt/house/availability", ""), what="the device")
    good = retained(broker, topic)[topic]
    if "homeassistant" in topic:
        pause(6, "what is announced twice within seconds is dropped by Home Assistant")
    watch = broker.subscribe(topic, HEALTH)
    broker.publish(topic, junk, retain=True)
    began = time.monotonic()
    same = (lambda p: p.keys() == json.loads(good).keys()) if topic == HEALTH else (lambda p: p == json.loads(good))
    wait_for(lambda: (p := retained(broker, topic).get(topic)) and p != junk and same(json.loads(p)), 8, "the repair")
    print(f"figure: {topic} repaired after {time.monotonic() - began:.1f} s")
    if topic != HEALTH:  # which may have been published anew before the repair was due
        process.wait_line(f"published on {topic}")
    if topic != HEALTH and "homeassistant" not in topic:
        problems(watch, "Another client publishes")
    assert process.stop() == 0


def test_repairs_are_rare_when_somebody_insists(broker, service):
    process = service()
    wait_for(lambda: STATE in retained(broker, STATE), what="the state")
    watch = broker.subscribe(STATE)
    for _ in range(40):
        broker.publish(STATE, '{"state":"offline"}', retain=True)
        pause(0.25, "somebody insists")
    repairs = sum("online" in p for p in watch.payloads(STATE)) - 1
    lines = [line for line in process.lines if "belongs to this bridge" in line]
    assert 2 <= repairs <= 6 and len(lines) <= 4, (repairs, lines)
    wait_for(lambda: "online" in retained(broker, STATE)[STATE], 20, "the last word")
    assert process.stop() == 0


def test_two_bridges_on_one_base_topic_do_not_fight(folder, broker, spawn, tmp_path):
    processes = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        config = write_config(tmp_path / name, broker.url, [device(name)], bridge={"id": name, "log_level": "info"})
        processes.append(spawn("--config", config, "run"))
        processes[-1].wait_line("Connected")
        if name == "one":
            watch = broker.subscribe("bl2mqtt/bridge/info", HEALTH)
            watch.wait("bl2mqtt/bridge/info")
    processes[1].wait_line('The bridge "one" publishes below bl2mqtt')
    processes[0].wait_line('The bridge "two" publishes below bl2mqtt')
    problems(watch, "Each bridge needs a base topic")
    pause(3, "the first repairs are done")
    watch.clear()
    pause(8, "no more may come now")
    assert len(watch.payloads("bl2mqtt/bridge/info")) <= 1  # no war
    kept = retained(broker, "bl2mqtt/#")
    assert "bl2mqtt/one/availability" in kept and "bl2mqtt/two/availability" in kept
    for process in processes:
        assert process.stop() == 0


STATE_OF_OURS = json.dumps({"power": 1.0, "last_seen": "2026-01-01T00:00:00+00:00", "frame_errors": 0, "data_problem": False,
                            "report_interval": 5})


def test_ghosts_are_cleared_and_others_stay(broker, service):
    """A broker that was put back to an older state, and a bridge that has lost its memory."""
    others = {"bl2mqtt/notes": "mine", "bl2mqtt/other/availability": "online", "bl2mqtt/x/y/z": "1",
              "bl2mqtt/json": '{"power": 5}', "homeassistant/device/bl2mqtt_test2_gone/config": '{"device":{}}',
              "homeassistant/sensor/zigbee/power/config": '{"name":"x"}', "homeassistant/device/zigbee/config": "{}"}
    ghosts = {"bl2mqtt/gone/availability": '{"state":"online"}', "bl2mqtt/gone": STATE_OF_OURS,
              "homeassistant/device/bl2mqtt_test_gone/config": '{"device":{},"components":{}}',
              "bl2mqtt/old/availability": '{"state":"offline"}',
              "homeassistant/sensor/bl2mqtt_test_old/power/config": '{"name":"x"}',
              "homeassistant/binary_sensor/bl2mqtt_test_old/data_problem/config": '{"name":"x"}',
              "homeassistant/sensor/bl2mqtt_test_house/power/config": '{"name":"component mode"}'}
    for topic, payload in {**others, **ghosts}.items():
        broker.publish(topic, payload, retain=True)
    process = service()
    wait_for(lambda: not ghosts.keys() & retained(broker).keys(), 25, "the ghosts to go")
    kept = retained(broker)
    assert {t: kept.get(t) for t in others} == others
    assert "bl2mqtt/house/availability" in kept
    assert process.stop() == 0


def test_retain_switched_off(broker, service):
    process = service(device(retain=True))
    wait_for(lambda: "bl2mqtt/house" in retained(broker), what="a retained state")
    assert process.stop() == 0
    process = service(device(retain=False))
    wait_for(lambda: "bl2mqtt/house" not in retained(broker), 10, "the old state to go")
    watch = broker.subscribe("bl2mqtt/house")
    watch.wait("bl2mqtt/house")
    assert process.stop() == 0


def test_what_is_not_announced_is_no_ghost(broker, service):
    """Announcements of devices that are there, but not for Home Assistant, on a broker that was put back."""
    ghosts = ["homeassistant/device/bl2mqtt_test_house/config", "homeassistant/sensor/bl2mqtt_test_house/power/config"]
    bridges = "homeassistant/device/bl2mqtt_test_bridge/config"
    for homeassistant, gone in (({}, ghosts), ({"enabled": False}, [*ghosts, bridges])):
        for topic in (*ghosts, bridges):
            broker.publish(topic, '{"device":{},"components":{}}', retain=True)
        broker.publish("homeassistant/device/bl2mqtt_test_houses/config", "{}", retain=True)  # another bridge's
        process = service(device(homeassistant=False), homeassistant=homeassistant)
        wait_for(lambda gone=gone: not set(gone) & retained(broker).keys(), 25, "the ghosts to go")
        assert "homeassistant/device/bl2mqtt_test_houses/config" in retained(broker)
        assert process.stop() == 0


def test_another_discovery_prefix(broker, service):
    old = {"homeassistant/device/bl2mqtt_test_house/config", "homeassistant/device/bl2mqtt_test_bridge/config"}
    process = service()
    wait_for(lambda: old <= retained(broker).keys(), what="the announcements")
    assert process.stop() == 0
    broker.publish("homeassistant/device/bl2mqtt_other_house/config", "{}", retain=True)
    for _ in range(2):  # once, and when the broker is put back to the time before
        process = service(homeassistant={"discovery_prefix": "ha/two"})
        wait_for(lambda: not old & retained(broker).keys(), 25, "the old announcements to go")
        wait_for(lambda: "ha/two/device/bl2mqtt_test_house/config" in retained(broker), what="the new ones")
        assert "homeassistant/device/bl2mqtt_other_house/config" in retained(broker)
        assert process.stop() == 0
        for topic in old:
            broker.publish(topic, '{"device":{},"components":{}}', retain=True)


def test_another_base_topic(broker, service):
    process = service()
    wait_for(lambda: {"bl2mqtt/bridge/devices", "bl2mqtt/house/availability"} <= retained(broker).keys(), what="all")
    assert process.stop() == 0
    broker.publish("bl2mqtt/foreign", "stays", retain=True)
    process = service(mqtt={"base_topic": "energy/meters"})
    wait_for(lambda: [t for t in retained(broker) if t.startswith("bl2mqtt/")] == ["bl2mqtt/foreign"], 25, "the old base to go")
    assert "energy/meters/bridge/info" in retained(broker)
    assert process.stop() == 0
    # the broker is put back to the time before
    broker.publish("bl2mqtt/bridge/info", {"bridge_id": "test"}, retain=True)
    broker.publish("bl2mqtt/house", STATE_OF_OURS, retain=True)
    for topic in ("bl2mqtt/bridge/state", "bl2mqtt/house/availability", "bl2mqtt/gone/availability"):
        broker.publish(topic, '{"state":"online"}', retain=True)
    process = service(mqtt={"base_topic": "energy/meters"})
    wait_for(lambda: [t for t in retained(broker) if t.startswith("bl2mqtt/")] == ["bl2mqtt/foreign"], 25, "it to go again")
    assert process.stop() == 0


def test_an_old_base_topic_that_belongs_to_another_bridge_now(broker, service):
    process = service()
    wait_for(lambda: "bl2mqtt/bridge/info" in retained(broker), what="info")
    assert process.stop() == 0
    broker.publish("bl2mqtt/bridge/info", {"bridge_id": "neighbour"}, retain=True)
    process = service(mqtt={"base_topic": "mine"})
    wait_for(lambda: "bl2mqtt/house/availability" not in retained(broker), 25, "our device to go")
    assert "bl2mqtt/bridge/state" in retained(broker)
    assert process.stop() == 0


def test_a_clean_stop_leaves_everything_offline(broker, service):
    process = service()
    wait_for(lambda: "online" in retained(broker).get("bl2mqtt/house/availability", ""), what="the device")
    assert process.stop() == 0
    kept = retained(broker)
    assert kept["bl2mqtt/house/availability"] == kept[STATE] == '{"state":"offline"}'


def test_discovery_goes_before_state_and_availability(broker, service):
    process = service(device(retain=True), device("second", retain=True))
    topic = "homeassistant/device/bl2mqtt_test_second/config"
    wait_for(lambda: {topic, "bl2mqtt/second"} <= retained(broker).keys(), what="both")
    assert process.stop() == 0
    watch = broker.subscribe("bl2mqtt/second", "bl2mqtt/second/availability", topic)
    wait_for(lambda: len(watch.messages) >= 3, what="what is kept")
    watch.clear()
    process = service(device(retain=True))
    wait_for(lambda: len([m for m in watch.messages if m["payload"] == ""]) >= 3, 25, "all to be cleared")
    order = [m["topic"] for m in watch.messages if m["payload"] == ""]
    assert order[0] == topic and set(order) == {topic, "bl2mqtt/second", "bl2mqtt/second/availability"}
    assert process.stop() == 0


@pytest.mark.parametrize("version", ["3.1.1", "5"])
@pytest.mark.parametrize("denied", ["write", "read"])
def test_access_rules(folder, spawn, service, version, denied):
    """The broker lets the bridge write or read only some of its topics, and in 3.1.1 does not say so."""
    rules = folder / "rules"
    rules.write_text({"write": "topic read #\ntopic write homeassistant/#\ntopic write bl2mqtt/+\n",
                      "read": "topic write #\ntopic read homeassistant/#\ntopic read bl2mqtt/bridge/request/#\n"}[denied])
    broker = Broker(folder, f"acl_file {rules}\n")
    process = service(to=broker, mqtt={"version": version})
    line = process.wait_line("bl2mqtt/bridge/", 30) if version == "3.1.1" or denied == "read" else process.wait_line("refused", 30)
    assert "access rules" in line, line
    assert process.stop() == 0
    broker.stop()


def test_component_mode_without_a_memory(broker, service):
    ghost = "homeassistant/sensor/bl2mqtt_test_house/reactive_energy/config"
    device_mode = "homeassistant/device/bl2mqtt_test_house/config"
    for topic in (ghost, device_mode):
        broker.publish(topic, '{"name":"x"}', retain=True)
    process = service(homeassistant={"discovery": "component"})
    wait_for(lambda: not {ghost, device_mode} & retained(broker).keys(), 20, "the leftovers to go")
    wait_for(lambda: "homeassistant/sensor/bl2mqtt_test_house/power/config" in retained(broker), what="the announcements")
    assert process.stop() == 0
