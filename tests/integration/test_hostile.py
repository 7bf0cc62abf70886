# SPDX-License-Identifier: MIT
"""A client on the broker that means harm: junk on everything the service listens to."""

import contextlib
import json
import random
import socket
import struct
import time

import house
from harness import BINARY, pause, wait_for, write_config

FLOOD = 10000
SANITIZED = b"__asan_init" in open(BINARY, "rb").read()
# The sanitizer's own books grow with every place that allocates; its quarantine is switched off.
GROWTH_KB = 16384 if SANITIZED else 2048


class RawClient:
    """The minimum of MQTT 3.1.1 that floods a broker: CONNECT and PUBLISH with QoS 0."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), 10)
        self._send(0x10, b"\x00\x04MQTT\x04\x02\x00\x00" + self._text(b"hostile"))
        assert self.socket.recv(4)[3] == 0

    @staticmethod
    def _text(raw):
        return struct.pack(">H", len(raw)) + raw

    def _send(self, kind, body):
        length, rest = b"", len(body)
        while True:
            rest, digit = rest >> 7, rest & 0x7F
            length += bytes([digit | (0x80 if rest else 0)])
            if not rest:
                break
        self.socket.sendall(bytes([kind]) + length + body)

    def publish(self, topic, payload, retain=False):
        self._send(0x31 if retain else 0x30, self._text(topic.encode()) + payload)

    def close(self):
        self.socket.close()


class Junk:
    NAMES = ("health_check", "log_level", "device/energy/set", "x", "device/rename", "a/b/c/d/e/f", "\U0001f4a3", "%s%n",
             "x" * 300, "restart/", "device/energy/set/")
    WORDS = ("house", "a", "z", "", "\x00", "é" * 200, "debug", "id", "channel", "energy", "report_interval", "transaction",
             "level", "../../etc/passwd", "%s%s%n", "{{ states }}")

    def __init__(self, seed):
        self.dice = random.Random(seed)

    def topic(self):
        kind = self.dice.random()
        if kind < 0.6:
            return "bl2mqtt/bridge/request/" + self.dice.choice(self.NAMES)
        if kind < 0.9:
            return f"bl2mqtt/{self.dice.choice(('house', 'house', 'x', 'x' * 200, 'bridge', '$'))}/set"
        return "homeassistant/status"

    def value(self, depth=0):
        kind = self.dice.randrange(9 if depth < 3 else 6)
        if kind < 2:
            return json.dumps(self.dice.choice(self.WORDS))
        if kind < 6:
            return self.dice.choice(("1e999", "-1", "0", "null", "true", "9223372036854775808", "NaN", "1e-300", "0.1", ""))
        if kind < 8:
            inside = (f"{json.dumps(self.dice.choice(self.WORDS))}:{self.value(depth + 1)}"
                      for _ in range(self.dice.randrange(5)))
            return "{" + ",".join(inside) + "}"
        return "[" + ",".join(self.value(depth + 1) for _ in range(self.dice.randrange(5))) + "]"

    def payload(self):
        kind = self.dice.random()
        if kind < 0.6:
            return self.value().encode()
        if kind < 0.8:
            return self.dice.randbytes(self.dice.randrange(200))
        if kind < 0.85:
            return b"[" * self.dice.randrange(5000)
        if kind < 0.9:
            return b'{"a":' * self.dice.randrange(2000)
        if kind < 0.92:
            return self.dice.randbytes(30000)
        return self.dice.choice((b"", b"online", b"offline", b"{", b"\xff\xfe", b'{"report_interval":2}'))

    def flood(self, client, count):
        for number in range(count):
            client.publish(self.topic(), self.payload())
            if number % 50 == 0:
                pause(0.01, "or most of it never gets beyond the bounded queues")


def resident_kb(pid):
    line = next(line for line in open(f"/proc/{pid}/status") if line.startswith("VmRSS"))
    return int(line.split()[1])


def answered(broker, watch):
    """Seconds until a question is answered; asked again every second, as what comes on top of a flood may
    be dropped with it."""
    began = time.monotonic()

    def ask():
        mark = str(time.monotonic())
        broker.publish("bl2mqtt/bridge/request/health_check", {"transaction": mark})
        with contextlib.suppress(AssertionError):
            watch.wait("bl2mqtt/bridge/response/health_check",
                       lambda a: isinstance(a, dict) and a.get("transaction") == mark, 1)
            return True

    wait_for(ask, 20, "an answer")
    return time.monotonic() - began


def test_flood_of_junk(folder, broker, spawn, seed):
    junk, stored = Junk(seed), house.Stored(folder)
    chips = {name: house.meter(folder / f"usb-{name}") for name in "ab"}
    client = RawClient(broker.port)
    try:
        # Retained before the service comes, on what it publishes itself.
        for topic in ("bl2mqtt/bridge/state", "bl2mqtt/house", "bl2mqtt/house/availability", "bl2mqtt/bridge/info",
                      "bl2mqtt/bridge/devices", "bl2mqtt/bridge/request/restart", "bl2mqtt/house/set",
                      "homeassistant/device/bl2mqtt_test_house/config", "homeassistant/status"):
            client.publish(topic, junk.dice.choice((b"{", b"\xff" * 500, b"[" * 20000, b"null")), retain=True)
        config = write_config(folder, broker.url, [house.house(folder)], bridge={"log_level": "error"})
        process = spawn("--config", config, "run",
                        env={"ASAN_OPTIONS": "quarantine_size_mb=0:thread_local_quarantine_size_kb=0"})
        watch = broker.subscribe("bl2mqtt/house", "bl2mqtt/house/availability", "bl2mqtt/bridge/state",
                                 "bl2mqtt/bridge/response/#", "homeassistant/device/#")
        watch.wait("bl2mqtt/house", lambda s: isinstance(s, dict) and s["energy_a"] is not None, 15)
        watch.wait("bl2mqtt/bridge/state", lambda s: s == {"state": "online"})
        watch.wait("homeassistant/device/bl2mqtt_test_house/config",
                   lambda c: isinstance(c, dict) and "components" in c)
        keys = house.announced_keys(watch.messages)
        for name, chip in chips.items():
            house.load(chip, {"a": 15000, "b": -9000}[name])
        junk.flood(client, FLOOD // 5)  # warms up what stays: buffers, arenas, the inbox
        answered(broker, watch)
        before = resident_kb(process.pid)
        watch.clear()
        began = time.monotonic()
        junk.flood(client, FLOOD)
        sent = time.monotonic() - began
        waited = answered(broker, watch)
        grown = resident_kb(process.pid) - before
        answers = sum(m["topic"].startswith("bl2mqtt/bridge/response/") for m in watch.messages)
        print(f"figure: {FLOOD} junk messages in {sent:.1f} s, {answers} of them answered; the next question answered in "
              f"{waited:.2f} s; resident memory grew by {grown} kB from {before} kB")
        assert process.running(), process.output[-3000:]
        assert grown < GROWTH_KB
        assert answers > FLOOD / 10  # it was not just dropped
        assert waited < 5
        house.settle(chips, folder)
        assert process.stop() == 0, process.output[-3000:]
        assert house.judge_states(watch.messages, keys) > 0
        assert max(stored.distances("a")) < 1500
        stored.assert_consistent()
    finally:
        client.close()
        for chip in chips.values():
            chip.close()
