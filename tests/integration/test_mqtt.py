# SPDX-License-Identifier: MIT
"""The publisher and the announcer against a real mosquitto, through the program mqtt_probe: what
happens on the wire when the broker restarts, the link freezes, DNS hangs, certificates are wrong, the
process dies, Home Assistant starts, and devices change."""

import json
import os
import pathlib
import select
import socket
import subprocess
import threading
import time

import jsonschema
import pytest

from discovery_rules import check, check_state
from harness import BINARY, PATIENCE, ROOT, Broker, decode, free_port, pause, wait_for

BUILD = pathlib.Path(BINARY).resolve().parents[1]
PROBE = os.environ.get("TEST_MQTT_PROBE", str(BUILD / "tests/integration/tools/mqtt_probe"))
# Names ending in .test are this machine, and looking them up takes SLOW_DNS_MS.
NAMES = {"LD_PRELOAD": str(BUILD / "tests/integration/preload/slow_dns.so"),
         "ASAN_OPTIONS": "verify_asan_link_order=0"}
STATE = "bl2mqtt/bridge/state"
HOUSE = {"house": ["a", "b"]}
CONFIG = "homeassistant/device/bl2mqtt_home_{}/config"


class Probe:
    def __init__(self, server, env=None, **options):
        self.lines = []
        self.log = []
        self._process = subprocess.Popen([PROBE, json.dumps({"server": server, **options})],
                                         stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                         stderr=subprocess.PIPE, text=True, errors="replace",
                                         env={**os.environ, **(env or {})})
        for stream, lines in ((self._process.stdout, self.lines), (self._process.stderr, self.log)):
            threading.Thread(target=self._read, args=(stream, lines), daemon=True).start()

    @staticmethod
    def _read(stream, lines):
        for line in stream:
            lines.append(line.rstrip("\n"))

    def say(self, *words):
        self._process.stdin.write(" ".join(map(str, words)) + "\n")
        self._process.stdin.flush()

    def wait(self, start, timeout=10.0, count=1):
        """The count-th line that begins so."""
        def find():
            found = [line for line in list(self.lines) if line.startswith(start)]
            return found[count - 1] if len(found) >= count else None
        try:
            return wait_for(find, timeout, f"{start!r} for the {count}. time")
        except AssertionError as error:
            raise AssertionError("\n".join([str(error), *self.lines, *self.log])) from None

    def wait_log(self, text, timeout=10.0):
        try:
            return wait_for(lambda: next((x for x in list(self.log) if text in x), None), timeout, text)
        except AssertionError as error:
            raise AssertionError("\n".join([str(error), *self.lines, *self.log])) from None

    def count(self, start):
        return sum(line.startswith(start) for line in list(self.lines))

    def health(self):
        before = self.count("health")
        self.say("health")
        return json.loads(self.wait("health", count=before + 1).split(" ", 1)[1])

    def close(self, timeout_ms=5000):
        """Closes the publisher; returns the milliseconds it took."""
        self.say("close", timeout_ms)
        took = int(self.wait("closed", 15).split()[1])
        assert self._process.wait(15) == 0, "\n".join(self.log)
        assert not any("Sanitizer" in line for line in self.log), "\n".join(self.log)
        return took

    def kill(self):
        self._process.kill()
        self._process.wait()


class Proxy:
    """TCP in between, that can be cut and frozen."""

    def __init__(self, target):
        self.target = target
        self.frozen = False
        self.refusing = False
        self._pairs = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self):
        return f"mqtt://127.0.0.1:{self.port}"

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self.refusing:
                client.close()
                continue
            pair = (client, socket.create_connection(("127.0.0.1", self.target)))
            self._pairs.append(pair)
            threading.Thread(target=self._forward, args=pair, daemon=True).start()

    def _forward(self, client, server):
        other = {client: server, server: client}
        try:
            while True:
                for ready in select.select(list(other), [], [], 0.05)[0]:
                    if self.frozen:
                        pause(0.05, "frozen")
                        continue
                    data = ready.recv(65536)
                    if not data:
                        raise OSError
                    other[ready].sendall(data)
        except (OSError, ValueError):
            client.close()
            server.close()

    def cut(self):
        """Breaks what stands and takes nothing new, until restore()."""
        self.refusing = True
        for pair in self._pairs:
            for end in pair:
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
        self._pairs.clear()

    def restore(self):
        self.refusing = self.frozen = False

    def close(self):
        self._listener.close()
        self.cut()


@pytest.fixture
def start():
    """start(server, **options) runs a probe; killed at the end if it still runs."""
    probes = []

    def make(server, **options):
        probes.append(Probe(server, **options))
        return probes[-1]

    yield make
    for probe in probes:
        probe.kill()


@pytest.fixture
def proxy(broker):
    instance = Proxy(broker.port)
    yield instance
    instance.close()


def schema(name):
    return json.loads((ROOT / "schema/mqtt" / f"{name}.json").read_text())


# ---- the publisher ----

def test_order_after_connect(folder, start):
    broker = Broker(folder, "log_type all\n")
    try:
        probe = start(broker.url)
        probe.say("publish 0 1 x/state 1")  # asked for before there is a connection
        probe.say("subscribe x/set")
        probe.say("publish 1 1 x/kept 1")
        probe.wait("connected")
        received = wait_for(lambda: [line for line in broker.process.lines
                                     if "Received PUBLISH" in line or "Received SUBSCRIBE" in line][:4]
                            if "x/kept" in broker.process.output else None, 10, "all to arrive")
        assert STATE in received[0] and "SUBSCRIBE" in received[1], received
        assert "x/state" in received[2] and "x/kept" in received[3], received
        broker.publish("x/set", "hello")
        assert probe.wait("message") == "message 0 x/set hello"
        probe.close()
    finally:
        broker.stop()


def test_only_the_latest_value_after_an_outage(broker, proxy, start):
    watch = broker.subscribe("x/#", STATE)
    probe = start(proxy.url)
    probe.wait("connected")
    probe.say("publish 0 1 x/state before")
    watch.wait("x/state")
    proxy.cut()
    probe.wait("disconnected")
    for i in range(200):
        probe.say("publish 0 1 x/state", i)
        probe.say("publish 1 1 x/kept", i)
        probe.say("event 1 x/event", i)
    assert probe.health()["dropped"] == 200  # the events; nobody wants them late
    watch.clear()
    proxy.restore()
    probe.wait("connected", 20, count=2)
    watch.wait("x/kept")
    probe.say("event 1 x/event now")
    watch.wait("x/event")
    topics = [m["topic"] for m in watch.messages]
    assert topics[0] == STATE, topics
    assert watch.payloads("x/state") == ["199"]
    assert watch.payloads("x/kept") == ["199"]
    assert watch.payloads("x/event") == ["now"]
    lost = probe.wait_log("was lost")
    back = probe.wait_log("again")
    assert "warning" in lost and "warning" in back  # both edges, at one level
    probe.close()


def test_broker_restart(broker, start):
    probe = start(broker.url)
    probe.say("subscribe x/set")
    probe.say("publish 1 1 x/kept value")
    probe.wait("connected")
    broker.stop()
    probe.wait("disconnected")
    probe.wait_log("nothing listens on port")
    broker.start()  # it has no persistence: everything retained is gone
    probe.wait("connected", 20, count=2)
    watch = broker.subscribe("#")
    assert watch.wait("x/kept") == "value"
    assert watch.wait(STATE) == {"state": "online"}
    broker.publish("x/set", "hello")
    assert probe.wait("message") == "message 0 x/set hello"
    health = probe.health()
    assert health["connected"] and health["reconnects"] == 1 and health["loop_late_ms"] < 1000
    probe.close()


def test_half_open_link(broker, proxy, start):
    probe = start(proxy.url, keepalive_ms=1000)
    watch = broker.subscribe("x/#")
    probe.wait("connected")
    proxy.frozen = True
    probe.say("publish 0 1 x/state in-the-dark")
    began = time.monotonic()
    probe.wait("disconnected", 12)
    assert time.monotonic() - began < 8 * PATIENCE
    assert not watch.payloads("x/state")
    proxy.cut()
    proxy.restore()
    probe.wait("connected", 20, count=2)
    assert watch.wait("x/state") == "in-the-dark"  # it was not acknowledged, so it is sent again
    probe.close()


def test_slow_name_lookup_blocks_nobody(broker, start):
    probe = start(f"mqtt://broker.test:{broker.port}", env={**NAMES, "SLOW_DNS_MS": str(int(2500 * PATIENCE))})
    began = time.monotonic()
    progress = probe.health()["progress"]
    for i in range(1000):
        probe.say("publish 1 1 x/kept", i)
    wait_for(lambda: probe.health()["progress"] > progress, what="a sign of life of the publisher")
    health = probe.health()
    assert time.monotonic() - began < 2.5 * PATIENCE and not health["connected"]
    assert health["loop_late_ms"] < 1000
    assert health["progress"] > progress  # the watchdog sees a living thread
    probe.wait("connected")
    assert broker.subscribe("x/kept").wait("x/kept") == 999
    probe.close()


def test_close_while_the_name_lookup_hangs(broker, start):
    probe = start(f"mqtt://broker.test:{broker.port}", env={**NAMES, "SLOW_DNS_MS": "60000"})
    probe.health()
    pause(0.3, "the lookup has begun by then")
    began = time.monotonic()
    assert probe.close(500) < 700 * PATIENCE
    assert time.monotonic() - began < 3 * PATIENCE


def test_last_will_and_clean_stop(broker, start):
    watch = broker.subscribe(STATE, "x/#")
    probe = start(broker.url)
    watch.wait(STATE, lambda p: p == {"state": "online"})
    probe.kill()
    watch.wait(STATE, lambda p: p == {"state": "offline"})
    watch.clear()
    probe = start(broker.url)
    watch.wait(STATE, lambda p: p == {"state": "online"})
    probe.say("publish 1 1 x/last word")
    assert probe.close() < 3000
    assert watch.wait(STATE, lambda p: p == {"state": "offline"})
    assert [m["topic"] for m in watch.messages] == [STATE, "x/last", STATE]
    assert all(m["retain"] == 0 for m in watch.messages)
    assert broker.subscribe(STATE).wait(STATE) == {"state": "offline"}  # retained


def test_message_bounds(broker, start):
    probe = start(broker.url)
    probe.say("subscribe x/#")
    probe.wait("connected")
    most = 512 << 10
    broker.publish("x/long", b"x" * (most + 1))
    broker.publish("x/max", b"y" * most)
    assert len(probe.wait("message")) == len("message 0 x/max ") + most
    assert probe.health()["dropped"] == 1
    probe.wait_log("dropped")
    probe.close()


def test_flood_is_paced(broker, start):
    """Thousands of topics at once: all arrive, with at most 32 unacknowledged."""
    watch = broker.subscribe("flood/#")
    probe = start(broker.url)
    probe.wait("connected")
    for i in range(3000):
        probe.say(f"publish 0 1 flood/{i} {i}")
    wait_for(lambda: len(watch.messages) >= 3000, 20, "3000 messages")
    assert sorted(int(m["payload"]) for m in watch.messages) == list(range(3000))
    probe.close()


def test_same_client_id_twice(broker, start):
    first = start(broker.url, version=5, client_id="twin")
    first.wait("connected")
    second = start(broker.url, version=5, client_id="twin")
    second.wait("connected")
    first.wait_log("same client id")
    first.kill()
    second.kill()


def test_wrong_password(folder, start):
    passwords = pathlib.Path(folder) / "passwords"
    subprocess.run(["mosquitto_passwd", "-b", "-c", passwords, "me", "right"], check=True)
    passwords.chmod(0o600)
    broker = Broker(folder, f"allow_anonymous false\npassword_file {passwords}\n")
    try:
        for version in (4, 5):
            probe = start(broker.url, user="me", password="wrong", version=version)
            assert "mqtt.password" in probe.wait_log("refused the connection")
            probe.kill()
        probe = start(broker.url, user="me", password="right")
        probe.wait("connected")
        probe.close()
    finally:
        broker.stop()


# ---- TLS ----

def openssl(*args, cwd):
    subprocess.run(["openssl", *args], cwd=cwd, check=True, capture_output=True)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """ca, other (a CA that signed nothing), server (for broker.test only), client."""
    folder = tmp_path_factory.mktemp("tls")
    for ca in ("ca", "other"):
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                "-subj", f"/CN=test {ca}", "-keyout", f"{ca}.key", "-out", f"{ca}.pem", cwd=folder)
    (folder / "san").write_text("subjectAltName=DNS:broker.test\n")
    for name in ("server", "client"):
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}",
                "-keyout", f"{name}.key", "-out", f"{name}.csr", cwd=folder)
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
                "-days", "2", "-extfile", "san", "-out", f"{name}.pem", cwd=folder)
    return folder


@pytest.fixture
def tls_broker(folder, certificates):
    port, strict = free_port(), free_port()
    files = f"cafile {certificates}/ca.pem\ncertfile {certificates}/server.pem\nkeyfile {certificates}/server.key\n"
    broker = Broker(folder, f"listener {port} 127.0.0.1\n{files}"
                            f"listener {strict} 127.0.0.1\n{files}require_certificate true\n")
    broker.tls_port, broker.strict_port = port, strict
    yield broker
    broker.stop()


def test_tls(tls_broker, certificates, start):
    def begin(server, **options):
        return start(server, env=NAMES, **options)

    ca = str(certificates / "ca.pem")
    good, strict = f"mqtts://broker.test:{tls_broker.tls_port}", f"mqtts://broker.test:{tls_broker.strict_port}"
    wrong_name = f"mqtts://other.test:{tls_broker.tls_port}"
    probes = {
        "good": begin(good, ca=ca, client_id="good"),
        "good5": begin(good, ca=ca, client_id="good5", version=5),
        "insecure": begin(wrong_name, insecure=1, client_id="insecure"),
        "client": begin(strict, ca=ca, cert=str(certificates / "client.pem"),
                        key=str(certificates / "client.key"), client_id="client"),
        "wrong name": begin(wrong_name, ca=ca, client_id="wrong-name"),
        "other ca": begin(good, ca=str(certificates / "other.pem"), client_id="other-ca"),
        "system ca": begin(good, client_id="system-ca"),
        "no certificate": begin(strict, ca=ca, client_id="no-certificate"),
        "plain port": begin(f"mqtts://broker.test:{tls_broker.port}", ca=ca, client_id="plain-port"),
        "tls port": begin(f"mqtt://broker.test:{tls_broker.tls_port}", client_id="tls-port"),
    }
    for name in ("good", "good5", "insecure", "client"):
        probes[name].wait("connected")
    assert "not for this host name" in probes["wrong name"].wait_log("cannot be reached")
    for name in ("other ca", "system ca"):
        assert "certificate verify failed" in probes[name].wait_log("TLS with the MQTT broker")
    # Whether the broker's refusal arrives before or after the handshake is a matter of timing.
    assert "mqtt.cert" in probes["no certificate"].wait_log("The MQTT broker")
    assert "does not answer in TLS" in probes["plain port"].wait_log("cannot be reached")
    assert "whether it wants mqtts://" in probes["tls port"].wait_log("without an answer")
    for name in ("wrong name", "other ca", "system ca", "no certificate", "plain port", "tls port"):
        assert not probes[name].count("connected"), name
    probes["good"].close()
    probes["other ca"].close()


def test_bad_options(start, certificates):
    for options in ({"server": "mqtt//x"}, {"server": "mqtts://x", "ca": "/nonexistent"},
                    {"server": "mqtt://x", "ca": str(certificates / "ca.pem")}):
        probe = start(**options)
        assert probe.wait("error mqtt.")


# ---- the announcer ----

def caught_up(broker, watch):
    """Everything the broker had until now has reached the watcher of homeassistant/#."""
    marker = f"homeassistant/marker/{time.monotonic_ns()}"
    broker.publish(marker, "x")
    watch.wait(marker)


def announced(broker, *devices, timeout=10):
    """The retained discovery message of each device as an independent client gets it."""
    watch = broker.subscribe("homeassistant/#")
    try:
        return {device: watch.wait(CONFIG.format(device), timeout=timeout) for device in devices}
    finally:
        watch.close()


@pytest.mark.parametrize("mode", ["device", "component"])
def test_everything_obeys_the_rules(broker, folder, start, mode):
    watch = broker.subscribe("#")
    probe = start(broker.url, memory=f"{folder}/{mode}.json", mode=mode, base=f"{mode}/base",
                  bridge_id=mode, devices={"house": ["a", "b"], "Single-1": ["a"]})
    probe.wait("idle")
    for command in ("state", "messages"):
        probe.say(command)
    watch.wait(f"{mode}/base/bridge/logging")
    watch.wait(f"{mode}/base/bridge/health")
    watch.wait(f"{mode}/base/Single-1")
    states = {m["topic"]: decode(m["payload"]) for m in watch.messages}
    discovery = {m["topic"]: m["payload"] for m in watch.messages if m["topic"].endswith("/config")}
    assert len(discovery) == 3 if mode == "device" else len(discovery) > 40
    for topic, payload in discovery.items():
        assert check(topic, payload) == [], topic
        assert check_state(topic, payload, states) == [], topic
    for topic, name in (("info", "bridge_info"), ("devices", "bridge_devices"), ("state", "state"),
                        ("health", "bridge_health"), ("event", "bridge_event"),
                        ("logging", "bridge_logging")):
        jsonschema.validate(states[f"{mode}/base/bridge/{topic}"], schema(name))
    for device in ("house", "Single-1"):
        jsonschema.validate(states[f"{mode}/base/{device}"], schema("device_state"))
        jsonschema.validate(states[f"{mode}/base/{device}/availability"], schema("state"))
    info = json.dumps(states[f"{mode}/base/bridge/info"])
    assert "hunter2" not in info and "mqtt://x" in info
    assert states[f"{mode}/base/house"]["energy"] == 9422.407  # 2 x 4711.203999999: summed, then rounded down
    order = [m["topic"] for m in watch.messages if m["topic"].endswith("/config")]
    assert f"bl2mqtt_{mode}_bridge" in order[0]  # via_device must be known before it is referred to
    probe.close()
    watch.close()


def test_gap_between_devices(broker, folder, start):
    watch = broker.subscribe("homeassistant/#")
    probe = start(broker.url, memory=f"{folder}/a.json", devices={f"d{i}": ["a"] for i in range(5)})
    probe.wait("idle")
    watch.wait(CONFIG.format("d4"))
    times = [m["at"] for m in watch.messages]
    assert len(times) == 6 and times[-1] - times[0] > 0.2, times  # five gaps of 50 ms
    probe.close()


def test_birth(broker, folder, start):
    probe = start(broker.url, memory=f"{folder}/a.json", devices=HOUSE)
    probe.wait("idle")
    watch = broker.subscribe(CONFIG.format("house"))
    watch.wait(CONFIG.format("house"))  # the retained one
    watch.clear()
    broker.publish("homeassistant/status", "offline")
    for payload in ("Online", "online", "ONLINE"):  # one answer for all of them
        broker.publish("homeassistant/status", payload)
    probe.wait("refresh")
    assert watch.wait(CONFIG.format("house"))
    assert len(watch.messages) == 1 and probe.count("refresh") == 1
    broker.publish("homeassistant/status", "online")  # soon after: answered, but later
    began = time.monotonic()
    probe.wait("refresh", count=2)
    assert time.monotonic() - began > 0.15
    assert len(watch.messages) == 2
    probe.close()


def test_removed_component_and_device(broker, folder, start):
    memory = pathlib.Path(folder) / "a.json"
    probe = start(broker.url, memory=str(memory), devices={"house": ["a", "b"], "gone": ["a"]})
    probe.wait("idle")
    probe.close()
    assert {r["device"] for r in json.loads(memory.read_text())["devices"]} == {"bridge", "house", "gone"}

    watch = broker.subscribe("homeassistant/#")
    watch.wait(CONFIG.format("gone"))
    watch.clear()
    probe = start(broker.url, memory=str(memory), devices={"house": ["a"]})
    probe.wait("idle")
    caught_up(broker, watch)
    first, second = [m for m in watch.messages if m["topic"] == CONFIG.format("house")]
    assert second["at"] - first["at"] > 0.25  # settle_ms
    first, second = json.loads(first["payload"])["components"], json.loads(second["payload"])["components"]
    assert first["power_b"] == {"platform": "sensor"} and len(first["power"]) > 1
    assert "power_b" not in second and "power_a" not in second and "power" in second
    assert watch.wait(CONFIG.format("gone"), lambda p: p == "" or p is None) in ("", None)
    assert {r["device"] for r in json.loads(memory.read_text())["devices"]} == {"bridge", "house"}
    watch.clear()
    probe.close()

    probe = start(broker.url, memory=str(memory), devices={"house": ["a"]})  # and nothing is left to do
    probe.wait("idle")
    caught_up(broker, watch)
    assert len([m for m in watch.messages if m["topic"] == CONFIG.format("house")]) == 1
    assert not [m for m in watch.messages if "gone" in m["topic"]]
    probe.close()


def test_removal_survives_an_outage(broker, proxy, folder, start):
    """Cut between the two steps: the first one is repeated, or the component would stay forever."""
    memory = f"{folder}/a.json"
    probe = start(broker.url, memory=memory, devices=HOUSE)
    probe.wait("idle")
    probe.close()
    watch = broker.subscribe("homeassistant/#")
    watch.wait(CONFIG.format("house"))
    watch.clear()
    probe = start(proxy.url, memory=memory, devices={"house": ["a"]}, settle_ms=1000)
    watch.wait(CONFIG.format("house"))
    proxy.cut()
    probe.wait("disconnected")
    proxy.restore()
    probe.wait("connected", 20, count=2)
    probe.wait("idle", 15)
    caught_up(broker, watch)
    payloads = [json.loads(p)["components"] for p in watch.payloads(CONFIG.format("house"))]
    assert "power_b" in payloads[-2] and "power_b" not in payloads[-1]
    assert all("power_b" in p for p in payloads[:-1])
    probe.close()


def test_removed_by_the_user(broker, proxy, folder, start):
    """Deleting an entity in Home Assistant empties the shared topic; that is respected."""
    events = broker.subscribe("bl2mqtt/bridge/event")
    probe = start(proxy.url, memory=f"{folder}/a.json", devices=HOUSE)
    probe.wait("idle")
    broker.publish(CONFIG.format("house"), "", retain=True)
    event = events.wait("bl2mqtt/bridge/event")
    assert event["type"] == "removed_in_homeassistant" and event["device"] == "house"
    jsonschema.validate(event, schema("bridge_event"))
    proxy.cut()
    probe.wait("disconnected")
    proxy.restore()
    probe.wait("connected", 20, count=2)
    probe.wait("idle", count=2)
    with pytest.raises(AssertionError):
        announced(broker, "house", timeout=0.5)
    assert announced(broker, "bridge")
    broker.publish("homeassistant/status", "online")
    probe.wait("refresh")
    assert announced(broker, "house")
    assert len(events.messages) == 1
    probe.close()


def test_entity_removed_by_the_user_in_component_mode(broker, folder, start):
    events = broker.subscribe("bl2mqtt/bridge/event")
    probe = start(broker.url, memory=f"{folder}/a.json", devices=HOUSE, mode="component")
    probe.wait("idle")
    topic = "homeassistant/sensor/bl2mqtt_home_house/current_a/config"
    broker.publish(topic, "", retain=True)
    assert events.wait("bl2mqtt/bridge/event")["data"] == {"entity": "current_a"}
    broker.stop()
    probe.wait("disconnected")
    broker.start()
    probe.wait("idle", 20, count=2)
    watch = broker.subscribe("homeassistant/#")
    watch.wait(topic.replace("_a/", "_b/"))
    assert not watch.payloads(topic)
    probe.close()


def test_mode_switch(broker, folder, start):
    memory = f"{folder}/a.json"
    single = "homeassistant/sensor/bl2mqtt_home_house/power_a/config"
    watch = broker.subscribe("homeassistant/#")
    for old, new in (("device", "component"), ("component", "device")):
        topics = {"device": CONFIG.format("house"), "component": single}
        watch.clear()
        probe = start(broker.url, memory=memory, devices=HOUSE, mode=old)
        probe.wait("idle")
        probe.close()
        caught_up(broker, watch)
        watch.clear()
        probe = start(broker.url, memory=memory, devices=HOUSE, mode=new)
        probe.wait("idle", 15)
        caught_up(broker, watch)
        of_interest = [(m["topic"], decode(m["payload"]) or "") for m in watch.messages
                       if m["topic"] in topics.values()]
        assert [t for t, _ in of_interest] == [topics[old], topics[new], topics[old]], of_interest
        assert of_interest[0][1] == {"migrate_discovery": True}
        assert of_interest[2][1] == ""
        unique = of_interest[1][1] if new == "component" else of_interest[1][1]["components"]["power_a"]
        assert unique["unique_id"] == "bl2mqtt_home_house_power_a"
        probe.close()


def test_switched_off(broker, folder, start):
    memory = f"{folder}/a.json"
    probe = start(broker.url, memory=memory, devices=HOUSE)
    probe.wait("idle")
    probe.close()
    probe = start(broker.url, memory=memory, devices=HOUSE, enabled=0)
    probe.wait("idle")
    with pytest.raises(AssertionError):
        announced(broker, "house", timeout=0.5)
    assert json.loads(pathlib.Path(memory).read_text())["devices"] == []
    probe.close()


def test_damaged_memory(broker, folder, start):
    memory = pathlib.Path(folder) / "a.json"
    memory.write_bytes(b'{"devices":[{"bridge":"home","dev')
    probe = start(broker.url, memory=str(memory), devices=HOUSE)
    probe.wait_log("damaged")
    probe.wait("idle")
    assert announced(broker, "house", "bridge")
    assert (pathlib.Path(folder) / "a.json.damaged").exists()
    assert len(json.loads(memory.read_text())["devices"]) == 2
    probe.close()


def test_lost_memory(broker, folder, start):
    """What the broker kept says what has to be taken back."""
    memory = pathlib.Path(folder) / "a.json"
    probe = start(broker.url, memory=str(memory), devices=HOUSE)
    probe.wait("idle")
    probe.close()
    memory.unlink()
    watch = broker.subscribe(CONFIG.format("house"))
    probe = start(broker.url, memory=str(memory), devices={"house": ["a"]})
    watch.wait(CONFIG.format("house"), lambda p: p["components"].get("power_b") == {"platform": "sensor"})
    watch.wait(CONFIG.format("house"), lambda p: "power_b" not in p["components"])

    def remembered():
        devices = json.loads(memory.read_text())["devices"]
        return next((d["components"] for d in devices if d["device"] == "house"), {})
    wait_for(lambda: "power" in remembered() and "power_a" not in remembered(), 10, "the memory to be right")
    probe.close()


def test_hostile_retained_discovery(broker, folder, start):
    for payload in ("[" * 60000, "{\"components\":1}", "{\"components\":{\"a/b\":{\"platform\":\"x\",\"y\":1}}}",
                    "{\"components\":{\"a\":{\"platform\":1,\"y\":1}}}", b"\xff\xfe"):
        broker.publish(CONFIG.format("house"), payload, retain=True)
        probe = start(broker.url, memory=f"{folder}/a.json", devices=HOUSE)
        probe.wait("idle")
        broker.subscribe("homeassistant/#").wait(CONFIG.format("house"),
                                                 lambda p: check(CONFIG.format("house"), json.dumps(p)) == [])
        probe.close()


def test_memory_cannot_be_written(broker, folder, start):
    probe = start(broker.url, memory=f"{folder}/missing/a.json", devices=HOUSE)
    probe.wait_log("could not be remembered")
    probe.wait("idle")
    assert announced(broker, "house")  # announced all the same
    probe.close()


def test_requests_get_answers(broker, start):
    watch = broker.subscribe("bl2mqtt/bridge/response/#")
    probe = start(broker.url)
    probe.say("subscribe bl2mqtt/bridge/request/#")
    probe.wait("connected")
    for i, payload in enumerate((b"", b'{"transaction":"t"}', b"{", b"\xff\xfe", b"{" * 20000, b"{\"a\":1,\"a\":2}")):
        broker.publish(f"bl2mqtt/bridge/request/r{i}", payload)
        response = watch.wait(f"bl2mqtt/bridge/response/r{i}")
        jsonschema.validate(response, schema("response"))
        assert response["status"] == ("ok" if i < 2 else "error"), response
    assert decode(watch.payloads("bl2mqtt/bridge/response/r1")[0])["transaction"] == "t"
    probe.close()
