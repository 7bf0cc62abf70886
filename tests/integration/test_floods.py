# SPDX-License-Identifier: MIT
"""One client on the broker that sends as much as it can: the log, the record of events, the memory and the
polling of other meters stay within bounds."""

import json
import sqlite3
import time

import pytest

import house
from harness import during, pause, wait_for, write_config
from test_hostile import RawClient

SECONDS = 4
RATE = 5000


def flood(client, seconds, message):
    """message(n) -> (topic, payload), RATE times a second; returns how many were sent."""
    sent = 0
    for left in during(seconds, every=0.005):
        while sent < (seconds - left) * RATE:
            client.publish(*message(sent))
            sent += 1
    return sent


def events(folder):
    with sqlite3.connect(f"file:{folder}/data/history.db?mode=ro", uri=True) as db:
        return dict(db.execute("SELECT kind, count(*) FROM event GROUP BY kind").fetchall())


def test_refused_requests_do_not_fill_the_log(folder, broker, spawn, chips):
    config = write_config(folder, broker.url, [house.house(folder)], bridge={"log_level": "info"})
    process = spawn("--config", config, "run")
    watch = broker.subscribe("bl2mqtt/house", "bl2mqtt/bridge/logging")
    watch.wait("bl2mqtt/house", lambda s: s["energy_a"] is not None, 15)
    process.wait_line("Connected")
    client = RawClient(broker.port)
    topics = ("bl2mqtt/bridge/request/none/{}", "bl2mqtt/bridge/request/log_level", "bl2mqtt/house/set",
              "bl2mqtt/stranger{}/set")
    watch.clear()
    sent = flood(client, SECONDS, lambda n: (topics[n % 4].format(n), b'{"n":%d}' % n))
    wait_for(lambda: any("refused" in line for line in process.lines), what="a line about it")
    client.publish("bl2mqtt/bridge/request/log_level", b'{"level":"info"}')
    wait_for(lambda: process.running() and watch.payloads("bl2mqtt/house"), what="the meter's next state")
    lines = [line for line in process.lines if "refused" in line or "no device" in line]
    size = sum(map(len, process.lines))
    published = len(watch.payloads("bl2mqtt/bridge/logging"))
    print(f"figure: {sent} refused messages: {len(lines)} lines about them, {size} bytes of log, {published} published")
    assert 1 <= len(lines) < 20 and size < 20000
    assert published < 60
    assert process.stop() == 0
    client.close()


@pytest.mark.parametrize("flapping", [False, True])
def test_a_module_that_contradicts_itself_does_not_fill_the_history(folder, broker, spawn, flapping):
    device = {"id": "plug", "driver": "openbeken", "topic": "plug1", "channels": {"a": {}}}
    config = write_config(folder, broker.url, [device], bridge={"log_level": "info"})
    process = spawn("--config", config, "run")
    process.wait_line("Connected")
    client = RawClient(broker.port)

    def online():
        client.publish("plug1/voltage/get", b"230")  # again, as the first may come before the subscription
        return any("online" in line for line in process.lines)
    wait_for(online, what="the module to be online", every=0.2)

    def contradict(n):
        if n % 3 == 0 and flapping:
            return "plug1/connected", (b"offline", b"online")[n // 3 % 2]
        if n % 3 == 1:
            return "homeassistant/sensor/P_sensor_3/config", json.dumps({
                "dev": {"ids": ["P"], "name": "p"}, "uniq_id": "P_sensor_3", "~": "plug1",
                "stat_t": "~/energycounter/get", "unit_of_meas": ("Wh", "kWh")[n // 3 % 2]}).encode()
        return "plug1/voltage/get", b"%d" % (n % 400)

    sent = flood(client, SECONDS, contradict)
    pause(2, "a commit interval and more")
    assert process.stop() == 0
    kinds = events(folder)
    size = sum(map(len, process.lines))
    print(f"figure: {sent} contradictions: {kinds}, {size} bytes of log")
    assert max(kinds.values()) <= 10
    assert flapping or "unit_changed" in kinds, kinds
    assert size < 20000
    client.close()


def test_debug_lines_of_a_channel_are_bounded(folder, broker, spawn):
    """With log_level debug each reading has a line, but not more than 20 a second of one channel, whatever a client sends."""
    device = {"id": "plug", "driver": "openbeken", "topic": "plug1", "channels": {"a": {}}}
    config = write_config(folder, broker.url, [device], bridge={"log_level": "debug"})
    began = time.monotonic()
    process = spawn("--config", config, "run")
    process.wait_line("Connected")
    client = RawClient(broker.port)

    def measured():
        return [line for line in list(process.lines) if "plug a: as measured" in line]

    def first():
        client.publish("plug1/voltage/get", b"229")  # again, as the first may come before the subscription
        return measured()
    wait_for(first, what="the first reading", every=0.2)
    sent = 20000
    for n in range(sent):
        client.publish("plug1/voltage/get", b"%d" % (220 + n % 2))
    stored = house.Stored(folder)
    wait_for(lambda: stored.rows("a"), what="a commit", every=0.2)
    wait_for(lambda: "voltage 220000" in measured()[-1] or "voltage 221000" in measured()[-1], what="a line of the flood")
    assert process.stop() == 0
    lines, seconds = measured(), time.monotonic() - began
    print(f"figure: {sent} values of one channel at log_level debug: {len(lines)} lines of them in {seconds:.1f} s")
    assert 2 <= len(lines) <= 20 * seconds + 1
    assert len(lines) < sent / 20
    client.close()


def test_thousands_of_invented_modules_do_not_stop_the_polling(folder, broker, spawn, chips):
    """permit_join hears of 4,096 modules with the same last word; no meter is polled late because of it."""
    config = write_config(folder, broker.url, [house.house(folder, interval="200ms")], bridge={"log_level": "info"})
    process = spawn("--config", config, "run")
    watch = broker.subscribe("bl2mqtt/house", "bl2mqtt/bridge/response/#")
    watch.wait("bl2mqtt/house", lambda s: s["energy_a"] is not None, 15)
    process.wait_line("Connected")
    client = RawClient(broker.port)
    since_ms = time.time() * 1000
    broker.publish("bl2mqtt/bridge/request/permit_join", {"time": 6})
    pause(2, "it connects, and says so nowhere")
    for n in range(4096):
        client.publish(f"x/{n}/m/voltage/get", b"230")
        if n % 500 == 0:
            pause(0.05, "or the socket is full")
    answer = watch.wait("bl2mqtt/bridge/response/permit_join", timeout=60)
    listed = answer["data"]["modules"]
    assert len(listed) == 250 and len(listed) + answer["data"]["left_out"] > 3000
    assert len({m["id"] for m in listed}) == len(listed)
    pause(1.5, "a commit")
    assert process.stop() == 0
    late = max(house.Stored(folder).distances("a", since_ms)) - 200
    print(f"figure: 4096 invented modules and permit_join: the latest poll was {late} ms late")
    assert late < 600
    client.close()
