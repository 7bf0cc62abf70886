# SPDX-License-Identifier: MIT
"""A module with OpenBeken firmware as the broker sees it: a bare MQTT 3.1.1 client of the test's own,
with the will, the retained birth and the topics that the firmware uses."""

import socket
import struct


def text(value):
    data = value if isinstance(value, bytes) else value.encode()
    return struct.pack(">H", len(data)) + data


def packet(kind, body):
    length, size = b"", len(body)
    while True:
        length += bytes([size % 128 | (0x80 if size >= 128 else 0)])
        size //= 128
        if size == 0:
            return bytes([kind]) + length + body


def publish_packet(topic, payload, retain=False):
    data = payload if isinstance(payload, bytes) else str(payload).encode()
    return packet(0x31 if retain else 0x30, text(topic) + data)  # QoS 0


class Module:
    """client: its client id and the prefix of its topics."""

    def __init__(self, port, client):
        self.client = client
        self.socket = socket.create_connection(("127.0.0.1", port), 5)
        will = text(f"{client}/connected") + text("offline")
        # clean session, will, will QoS 1, will retained; keepalive 100 s
        self.socket.sendall(packet(0x10, text("MQTT") + bytes([4, 0x2E]) + struct.pack(">H", 100) +
                                   text(client) + will))
        assert self.socket.recv(4) == b"\x20\x02\x00\x00"
        self.raw(f"{client}/connected", "online", retain=True)

    def raw(self, topic, payload, retain=False):
        self.socket.sendall(publish_packet(topic, payload, retain))

    def say(self, name, payload, retain=False):
        self.raw(f"{self.client}/{name}/get", payload, retain)

    def values(self, suffix="", **values):
        names = {"frequency": "frequency_b" if suffix else "138", "energy": "energycounter" + suffix}
        for name, value in values.items():
            self.say(names.get(name, name + suffix), value)

    def status8(self, power, voltage, current, frequency, total):
        self.raw(f"stat/{self.client}/STATUS8",
                 '{"StatusSNS":{"Time":"2026-11-22T08:47:10","ENERGY":{"Power": %.6f,"ApparentPower": 1.0,'
                 '"ReactivePower": 1.0,"Factor":0.99,"Voltage":%.6f,"Current":%.6f,"Frequency":%s,'
                 '"ConsumptionTotal":%.6f,"Yesterday": 0.000000,"ConsumptionLastHour":0.000000},'
                 '"TempUnit":"C"}}' % (power, voltage, current, frequency, total))

    def announce(self, long_name, unit="Wh"):
        """Two of the announcements it makes to Home Assistant."""
        device = '"dev":{"ids":["%s"],"name":"%s","mf":"BK7231N","cu":"http://192.0.2.9/index"}' % (
            long_name, self.client.split("/")[-1])
        for number, name, key in ((0, "voltage", '"V"'), (3, "energycounter", '"%s"' % unit)):
            self.raw(f"homeassistant/sensor/{long_name}_sensor_{number}/config",
                     '{%s,"~":"%s","avty_t":"~/connected","uniq_id":"%s_sensor_%d","stat_t":"~/%s/get",'
                     '"unit_of_meas":%s}' % (device, self.client, long_name, number, name, key), retain=True)

    def die(self):
        """As in a power cut that the broker notices at once: it publishes the will."""
        self.socket.close()
