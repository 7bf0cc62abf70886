# SPDX-License-Identifier: MIT
"""Brokers that do not accept everything: real ones with limits, and one that means harm. The limit is named,
obeyed where that is possible, and there is no endless reconnect."""

import pathlib
import re
import socket
import struct
import threading

import pytest

from harness import Broker, during, wait_for, write_config
from test_hostile import resident_kb

DEVICE = {"id": "house", "driver": "simulator", "channels": {"a": {}, "b": {}}, "interval": "1s", "report_interval": "1s"}


def start(folder, broker, spawn, version, **mqtt):
    config = write_config(folder, broker.url, [DEVICE], mqtt={"version": version, **mqtt}, bridge={"log_level": "info"})
    return spawn("--config", config, "run")


def states_flow(watch, count=3, timeout=45):
    wait_for(lambda: len(watch.payloads("bl2mqtt/house")) >= count, timeout, "states")


def connects(process):
    return sum("Connected" in line for line in process.lines)


@pytest.mark.parametrize("version", ["3.1.1", "5"])
def test_packets_are_limited(folder, spawn, version):
    broker = Broker(folder, "max_packet_size 2048\n")
    watch = broker.subscribe("bl2mqtt/#")
    process = start(folder, broker, spawn, version)
    states_flow(watch)
    health = watch.wait("bl2mqtt/bridge/health", lambda h: any("2048 bytes" in p for p in h["problems"]), 70)
    named = next(p for p in health["problems"] if "2048 bytes" in p)
    assert "bytes). Raise" in named and ("bl2mqtt/" in named or "homeassistant/" in named)
    before = connects(process)
    assert before <= (1 if version == "5" else 3)
    count = len(watch.payloads("bl2mqtt/house"))
    states_flow(watch, count + 5)
    assert connects(process) == before and process.stop() == 0
    assert not any("access rules" in line for line in process.lines)  # what was held back cannot come back
    broker.stop()


def test_long_messages_are_dropped_without_a_word(folder, spawn):
    """mosquitto acknowledges them in 3.1.1 and delivers them to nobody."""
    broker = Broker(folder, "message_size_limit 3000\n")
    watch = broker.subscribe("bl2mqtt/house")
    process = start(folder, broker, spawn, "3.1.1")
    states_flow(watch)
    line = process.wait_line("does not give back", 30)
    assert "bl2mqtt/bridge/info" in line and "message_size_limit" in line and "access rules" in line
    assert process.stop() == 0
    broker.stop()


@pytest.mark.parametrize("version", ["3.1.1", "5"])
def test_nothing_is_retained(folder, spawn, version):
    broker = Broker(folder, "retain_available false\n")
    watch = broker.subscribe("bl2mqtt/#", "homeassistant/#")
    process = start(folder, broker, spawn, version)
    states_flow(watch)
    assert process.wait_line("keeps no retained messages", 1) if connects(process) == 0 else True
    watch.wait("bl2mqtt/bridge/health", lambda h: any("keeps no retained messages" in p for p in h["problems"]), 70)
    watch.wait("homeassistant/device/bl2mqtt_test_house/config")
    before = connects(process)
    states_flow(watch, len(watch.payloads("bl2mqtt/house")) + 5)
    assert connects(process) == before and process.stop() == 0
    broker.stop()


@pytest.mark.parametrize("version", ["3.1.1", "5"])
def test_the_user_wants_nothing_retained(folder, spawn, version):
    broker = Broker(folder, "retain_available false\n")
    watch = broker.subscribe("bl2mqtt/#", "homeassistant/#")
    process = start(folder, broker, spawn, version, retain=False)
    states_flow(watch)
    watch.wait("bl2mqtt/bridge/info")
    assert connects(process) == 1
    assert process.stop() == 0
    broker.stop()


def test_retain_false_leaves_nothing_on_a_broker_that_keeps(folder, broker, spawn):
    watch = broker.subscribe("bl2mqtt/#", "homeassistant/#")
    process = start(folder, broker, spawn, "3.1.1", retain=False)
    states_flow(watch)
    watch.wait("homeassistant/device/bl2mqtt_test_house/config")
    late = broker.subscribe("#")
    wait_for(lambda: broker.publish("end", "1") or late.payloads("end"), 10, "the end")  # it may subscribe late
    assert not [m for m in late.messages if m.get("retain")]
    assert process.stop() == 0


@pytest.mark.parametrize("version", ["3.1.1", "5"])
def test_only_qos_0(folder, spawn, version):
    broker = Broker(folder, "max_qos 0\n")
    watch = broker.subscribe("bl2mqtt/#")
    process = start(folder, broker, spawn, version)
    states_flow(watch)
    watch.wait("bl2mqtt/bridge/health", lambda h: any("QoS 0" in p for p in h["problems"]), 70)
    before = connects(process)
    states_flow(watch, len(watch.payloads("bl2mqtt/house")) + 5)
    assert connects(process) == before and process.stop() == 0
    broker.stop()


class HostileBroker:
    """Accepts a client, then sends the beginning of one huge PUBLISH, for as long as it is taken."""

    def __init__(self, announced=268435455, topic=b"bl2mqtt/bridge/request/x"):
        self.announced, self.topic = announced, topic
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.sent = self.connections = 0
        self.versions = []
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self):
        return f"mqtt://127.0.0.1:{self.listener.getsockname()[1]}"

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        try:
            hello = client.recv(4096)
            version = hello[hello.index(b"MQTT") + 4]
            self.versions.append(version)
            client.sendall(b"\x20\x03\x00\x00\x00" if version == 5 else b"\x20\x02\x00\x00")
            client.recv(4096)
            length, rest = b"", self.announced
            while True:
                rest, digit = rest >> 7, rest & 0x7F
                length += bytes([digit | (0x80 if rest else 0)])
                if not rest:
                    break
            client.sendall(b"\x30" + length + struct.pack(">H", len(self.topic)) + self.topic)
            chunk = b"x" * 65536
            while True:
                client.sendall(chunk)
                self.sent += len(chunk)
        except (OSError, ValueError, IndexError):
            client.close()


@pytest.mark.parametrize("server, library, calls", [
    ("mqtt://127.0.0.1:1", "libpaho-mqtt3a.so.1", ("recv",)),
    ("mqtts://127.0.0.1:1", "libpaho-mqtt3as.so.1", ("recv", "SSL_read"))])
def test_the_library_reads_through_the_guard(folder, spawn, server, library, calls):
    """It is loaded when it is needed, with TLS only for mqtts://, and what it reads with is the program's own."""
    config = write_config(folder, server, [DEVICE])
    process = spawn("--config", config, "run", env={"LD_DEBUG": "bindings", "LD_DEBUG_OUTPUT": str(folder / "bindings")})
    process.wait_line("cannot be reached")
    loaded = pathlib.Path(f"/proc/{process.pid}/maps").read_text()
    assert ("libssl.so" in loaded) == ("libcrypto.so" in loaded) == ("SSL_read" in calls)
    assert "libmicrohttpd" not in loaded and "libcurl" not in loaded
    assert process.stop() == 0
    bound = "".join(path.read_text(errors="replace") for path in folder.glob("bindings.*"))
    for call in calls:
        assert re.search(rf"/{re.escape(library)} \[0\] to \S*bl2mqtt \[0\]: normal symbol `{call}'", bound), call


@pytest.mark.parametrize("version", ["3.1.1", "5"])
def test_a_huge_packet_is_not_buffered(folder, spawn, version):
    hostile = HostileBroker()
    config = write_config(folder, hostile.url, [DEVICE], mqtt={"version": version}, bridge={"log_level": "info"})
    process = spawn("--config", config, "run",
                    env={"ASAN_OPTIONS": "quarantine_size_mb=0:thread_local_quarantine_size_kb=0"})
    process.wait_line("The connection to the MQTT broker", 30)
    most = max(resident_kb(process.pid) for _ in during(6))
    first = next(line for line in process.lines if "was lost" in line)
    assert "packet of 268435" in first and "16777216" in first, first
    print(f"figure: announced 268 MB, {hostile.sent >> 10} kB sent over {hostile.connections} connections; "
          f"resident memory at most {most} kB")
    assert most < 200000 and hostile.sent < 64 << 20
    assert process.stop() == 0
    hostile.listener.close()
