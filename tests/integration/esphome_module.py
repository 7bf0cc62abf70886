# SPDX-License-Identifier: MIT
"""A simulated Wi-Fi module with ESPHome and two `bl0942` sensors, with the habits of the real one (component
mqtt and bl0942 of ESPHome 2026.10):

- `<prefix>/status`: online, retained, after each connect; offline as will and at an orderly end;
- `<prefix>/sensor/<object id>/state`: one number as text, QoS 0, retained, once per update interval;
- after each connect the last values are sent again, whether or not the chip still answers;
- raw: registers as whole numbers (references 1, accuracy_decimals 0), the frequency in hertz;
  ordinary: volts, amperes, watts and kilowatt hours, rounded as by default;
- a chip counts on while the module is away; a restarted module has no values to send again."""

import threading

import paho.mqtt.client as mqtt

KV, KI, KP = 15883.34, 128118.87, 317.94  # counts per volt, ampere, watt
WATT_SECONDS = 419430.4  # of one count, by counts per watt


class Chip:
    def __init__(self, watts=1000.0, volts=230.0, first_count=1000):
        self.watts, self.volts = watts, volts
        self.first = self.total = float(first_count)  # never wraps, never restarts
        self.base = 0  # of the counter's present life
        self.silent = False

    def run(self, seconds):
        self.total += abs(self.watts) * KP / WATT_SECONDS * seconds

    @property
    def counter(self):
        return int(self.total - self.base) % (1 << 24)

    def restart(self):
        self.base = self.total


class Module:
    def __init__(self, port, prefix="em-attic", names=("a", "b"), raw=True, interval=0.25, speed=1.0, chips=None):
        self.prefix, self.names, self.raw = prefix, names, raw
        self.interval, self.speed, self.port = interval, speed, port
        self.chips = chips or [Chip(first_count=1000 * (i + 1)) for i in range(len(names))]
        self.last = {}
        self.client = None
        self.ended = threading.Event()
        self.lock = threading.RLock()
        self.connect()
        self.thread = threading.Thread(target=self._measure, daemon=True)
        self.thread.start()

    def connect(self):
        client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2) if hasattr(mqtt, "CallbackAPIVersion") else mqtt.Client()
        client.will_set(f"{self.prefix}/status", "offline", retain=True)
        client.connect("127.0.0.1", self.port, keepalive=15)
        client.loop_start()
        with self.lock:
            self.client = client
            client.publish(f"{self.prefix}/status", "online", retain=True)
            for topic, payload in self.last.items():
                client.publish(topic, payload, retain=True)

    def lose_wifi(self):
        """Without a DISCONNECT: the broker sends the will."""
        with self.lock:
            client, self.client = self.client, None
        client.loop_stop()
        client.socket().close()

    def restart(self):
        self.lose_wifi()
        self.last.clear()

    def publish_once(self):
        with self.lock:
            for name, chip in zip(self.names, self.chips):
                if not chip.silent:
                    self._publish_chip(name, chip)

    def _publish_chip(self, name, chip):
        amperes = abs(chip.watts) / chip.volts
        if self.raw:
            values = {"voltage": f"{chip.volts * KV:.0f}", "current": f"{amperes * KI:.0f}",
                      "power": f"{chip.watts * KP:.0f}", "cf": f"{chip.counter}", "frequency": "49.975"}
        else:
            kwh = chip.counter * WATT_SECONDS / KP / 3.6e6
            values = {"voltage": f"{chip.volts:.1f}", "current": f"{amperes:.3f}", "power": f"{chip.watts:.2f}",
                      "energy": f"{kwh:.3f}", "frequency": "49.98"}
        for quantity, payload in values.items():
            topic = f"{self.prefix}/sensor/{quantity}_{name}/state"
            self.last[topic] = payload
            if self.client is not None:
                self.client.publish(topic, payload, retain=True)

    def _measure(self):
        while not self.ended.wait(self.interval):
            for chip in self.chips:
                chip.run(self.interval * self.speed)
            self.publish_once()

    def close(self):
        self.ended.set()
        self.thread.join()
        if self.client is not None:
            self.client.publish(f"{self.prefix}/status", "offline", retain=True).wait_for_publish(2)
            self.client.loop_stop()
            self.client.disconnect()
