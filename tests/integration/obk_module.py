#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A simulated Wi-Fi module with OpenBeken firmware: its web server on a loopback port and its MQTT
client, with the habits of the real one that a program on the other side has to live with:

- the status line ends with a bare LF, there is no Content-Length, the connection is closed after each
  answer, the reason is always OK; /api/del answers two bytes and no header at all;
- GET /cm answers {} to what it does not know, and runs a command of more than 123 characters twice;
  POST /api/cmnd tells (501 unknown, 400 not done);
- settings reach the flash 3 s after the last change; a restart comes 3 s after it was asked for, and
  what runs afterwards is what the flash has;
- MQTT: `connected` retained, will offline, no DISCONNECT, readings per quantity on a change of more
  than its threshold after 5 frames or anyway after 60, truncated, not retained; a value counts as sent
  also while there is no connection;
- POST /api/ota takes whatever comes and says how much it was; MQTT is off from then on, and what was counted
  since the last save is not saved; only a restart brings the new firmware, and only if the bootloader finds the
  package whole and can unpack it, else the old one goes on;
- an empty message on CLIENT/<channel>/get makes it publish the channel; anything that is no number means
  channel 0;
- flag 30: SENSOR every 3 s, STATE with it on connecting and before every channel that it publishes; it takes
  what it hears on its own tele/ and stat/ topics for commands, so that its answer to Status 8 makes it answer
  again, forever (here 200 times);
- a twin build knows BL0942opts and has one calibration for both chips, set from the chip that was read
  last; a normal build reads one chip, on the UART that flag 26 says.

Frames of the chips come `speed` times a second instead of once; starting, saving and restarting take the
seconds that are given; uptime counts real seconds.

As a program:  obk_module.py --http-port 8080 [--twin] [--voltage V] [--current A] [--power W]
"""

import argparse
import base64
import contextlib
import gzip
import io
import json
import math
import re
import socket
import struct
import subprocess
import threading
import time
import urllib.parse
import zlib

import paho.mqtt.client as mqtt

from beken_images import ota_crypt

DEFAULT_FLAGS = 1 << 10
RAW_PER_UNIT = {"V": 15188.0, "A": 251210.0, "W": 598.0}
COUNTS_PER_WH = 1 / 0.1948  # at the default power divisor
QUANTITIES = (  # name, decimals, threshold
    ("voltage", 1, 0.25), ("current", 3, 0.002), ("power", 2, 0.25), ("frequency", 2, 0.02),
    ("power_apparent", 2, 0.25), ("power_reactive", 2, 0.25), ("power_factor", 2, 0.05),
    ("energycounter", 3, 0.1), ("energycounter_today", 3, 0.1), ("energycounter_last_hour", 3, 0.1))


def truncate(value, decimals):
    """As the firmware prints: cut, not rounded; not-a-number is 0."""
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    if math.isnan(value):
        value = 0.0
    scale = 10 ** decimals
    return f"{math.trunc(round(value * scale, 6)) / scale:.{decimals}f}"


class Chip:
    """A BL0942 as the module sees it: true values in, raw counts out."""

    def __init__(self, volts=230.0, amps=5.0, watts=1100.0, hertz=50.0):
        self.volts, self.amps, self.watts, self.hertz = volts, amps, watts, hertz
        self.mode = "ok"  # or "silent"
        self.pulses = 0.0

    def raw(self, seconds):
        self.pulses += abs(self.watts) * seconds / 3600 * COUNTS_PER_WH
        return {"V": self.volts * RAW_PER_UNIT["V"], "A": self.amps * RAW_PER_UNIT["A"],
                "W": self.watts * RAW_PER_UNIT["W"], "pulses": int(self.pulses)}


class Flash:
    """What survives a restart."""

    def __init__(self):
        self.values = {"short": "obk1A2B3C4D", "name": "OpenBK7231N_1A2B3C4D", "host": "", "port": 1883,
                       "client": "obk1A2B3C4D", "group": "bekens_n", "user": "homeassistant", "password": "x",
                       "flags": DEFAULT_FLAGS, "startup": "", "divisors": dict(RAW_PER_UNIT)}
        self.files = {}
        self.energy = [0.0, 0.0]

    def copy_values(self):
        values = dict(self.values)
        values["divisors"] = dict(self.values["divisors"])
        return values


class Driver:
    """The running BL0942 driver: last readings of each chip and what was last sent of them."""

    def __init__(self, uarts):
        self.uarts = uarts
        self.shown = [None, None]
        self.first_pulses = [None, None]
        self.last_raw = None  # of the chip read last: what calibration takes for "now"
        self.sent = {}
        self.today = [0.0, 0.0]


def unpack(package):
    """What a bootloader makes of an over-the-air package: the app, or None if it is not whole."""
    if len(package) < 96 or package[:4] != b"RBL\0" or zlib.crc32(package[:92]) != struct.unpack("<I", package[92:96])[0]:
        return None
    crc, _, raw, size = struct.unpack("<IIII", package[76:92])
    body = package[96:96 + size]
    if len(body) != size or zlib.crc32(body) != crc:
        return None
    try:
        return gzip.GzipFile(fileobj=io.BytesIO(ota_crypt(body, decrypt=True))).read(raw)
    except (OSError, EOFError, zlib.error, subprocess.CalledProcessError):
        return None


class Fault:
    """What happens to requests whose path begins with `path`: kind is status (code), hang, slow (seconds), reset (after
    half of the answer), wrong (body), huge, redirect, garbage; times: how often, None forever."""

    def __init__(self, path, kind, value=None, times=None, method=None, body=None):
        self.path, self.kind, self.value, self.times = path, kind, value, times
        self.method, self.body = method, body

    def applies(self, method, path, body):
        if not path.startswith(self.path) or (self.method and method != self.method) or self.times == 0:
            return False
        if self.body is not None and self.body not in body:
            return False
        if self.times is not None:
            self.times -= 1
        return True


class ObkModule:
    def __init__(self, http_port=0, twin=False, speed=1.0, boot_s=16.0, chips=None, web_password="",
                 chipset="BK7231N", settle_s=3.0, restart_s=3.0, flash=None, version=None, unpack_s=0.0,
                 upload_bytes_per_s=None):
        self.twin, self.speed, self.boot_s = twin, speed, boot_s
        self.settle_s, self.restart_s = settle_s, restart_s
        self.web_password, self.chipset = web_password, chipset
        self.version = version or ("1.18.0_twin" if twin else "1.18.0")
        self.unpack_s, self.upload_bytes_per_s = unpack_s, upload_bytes_per_s
        self.package = None  # in the download area
        self.unpacking_until = 0.0
        self.built = "Nov 22 2026 08:31:57"
        self.chips = chips or {1: Chip(), 2: Chip(amps=2.0, watts=430.0)}  # by UART
        self.flash = flash or Flash()
        self.faults = []
        self.requests = []  # (method, path, body) in order
        self.commands = []
        self.boots = 0
        self.own_answers = 0  # taken for commands
        self._tele_topics, self._tele_due = False, math.inf
        self._lock = threading.RLock()
        self._stop = threading.Event()
        self._dirty_since = None
        self._restart_at = None
        self._client = None
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(("127.0.0.1", http_port))
        self._listener.listen(16)
        self.port = self._listener.getsockname()[1]
        self._boot()
        self._threads = [threading.Thread(target=self._serve, daemon=True),
                         threading.Thread(target=self._live, daemon=True)]
        for thread in self._threads:
            thread.start()

    @property
    def host(self):
        return f"127.0.0.1:{self.port}"

    def close(self):
        self._stop.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(3)
        self._drop_mqtt()

    def fault(self, *args, **kwargs):
        self.faults.append(Fault(*args, **kwargs))

    def writes(self):
        """The requests so far that may have changed something."""
        with self._lock:
            return [r for r in self.requests if r[1].startswith(("/cfg_", "/api/del", "/api/reboot", "/startup"))
                    or (r[0] == "POST" and r[1].startswith("/api/") and r[2] != "BL0942opts")]

    # ---- life ----

    def _take_package(self):
        """The bootloader's part of a start."""
        package, self.package = self.package, None
        app = unpack(package) if package is not None else None
        if app is None:
            return
        self.unpacking_until = time.monotonic() + self.unpack_s
        found = re.search(rb"OpenBK7231[A-Z] (\S+) ", app)
        self.version = found.group(1).decode()
        self.built = f"Nov 23 2026 {self.boots:02}:00:00"
        self.twin = b"BL0942opts" in app

    def _boot(self):
        self.boots += 1
        self._take_package()
        self.booted = time.monotonic()
        self.values = self.flash.copy_values()
        self.driver = None
        self.opts = 0
        self.log_uart = True
        self.intervals = (5, 60)
        self._mqtt_due = self.booted + self.boot_s
        self._next_frame = self.booted + 1 / self.speed
        self.run(self.values["startup"])
        for line in self.flash.files.get("autoexec.bat", b"").decode("utf-8", "replace").splitlines():
            self.run(line)

    def _live(self):
        while not self._stop.wait(0.01):
            now = time.monotonic()
            with self._lock:
                if self._dirty_since is not None and now - self._dirty_since >= self.settle_s:
                    self._save()
                if self._restart_at is not None and now >= self._restart_at:
                    self._restart_at = None
                    self._dirty_since = None  # what was not saved is lost
                    self._drop_mqtt()
                    self._boot()
                if self._mqtt_due is not None and now >= self._mqtt_due:
                    self._connect_mqtt()
                if now >= self._tele_due and self._client is not None and self._client.is_connected():
                    self._tele(self._client)
                if self.driver is not None and now >= self._next_frame:
                    self._next_frame += 1 / self.speed
                    self._frame()

    def _save(self):
        self.flash.values = {**self.values, "divisors": dict(self.values["divisors"])}
        self._dirty_since = None

    def _changed(self):
        self._dirty_since = time.monotonic()

    def flag(self, number):
        return bool(self.values["flags"] >> number & 1)

    # ---- MQTT ----

    def _connect_mqtt(self):
        self._mqtt_due = None
        if not self.values["host"]:
            return
        client = mqtt.Client(client_id=self.values["client"], clean_session=True)
        client.username_pw_set(self.values["user"], self.values["password"])
        topic = self.values["client"]
        client.will_set(f"{topic}/connected", "offline", qos=1, retain=True)
        client.on_connect = lambda c, u, f, rc: self._on_connect(c, topic, rc)
        client.on_message = self._on_message
        client.reconnect_delay_set(16, 16)
        client.connect_async(self.values["host"], self.values["port"], keepalive=100)
        client.loop_start()
        self._client = client

    def _on_connect(self, client, topic, rc):
        if rc != 0:
            return
        client.publish(f"{topic}/connected", "online", qos=2, retain=True)
        client.subscribe([(f"cmnd/{topic}/+", 1), (f"{topic}/+/set", 1), (f"{topic}/+/get", 1)])
        self._tele_topics = self.flag(30)
        if self._tele_topics:
            client.subscribe([(f"tele/{topic}/+", 1), (f"stat/{topic}/+", 1)])
        self._tele(client)
        if self.flag(10):
            self._tell_self(client)

    def _tell_self(self, client):
        build = f"Open{self.chipset} {self.version} {self.built}"
        for key, value in (("host", self.values["short"]), ("build", build), ("uptime", str(self.uptime)),
                           ("ip", "127.0.0.1"), ("rssi", "-58")):
            client.publish(f"{self.values['client']}/{key}", value, qos=1)

    def _cmd_publishall(self, arguments):
        if self._client is not None:
            self._tell_self(self._client)

    def _tele(self, client):
        if not self.flag(30):
            return
        self._tele_due = time.monotonic() + 3
        client.publish(f"tele/{self.values['client']}/STATE", '{"Uptime":"0T00:00:16","POWER":"ON"}', qos=1)
        if self.driver is not None:
            client.publish(f"tele/{self.values['client']}/SENSOR",
                           '{"Time":"0000-00-00T00:00:00","ENERGY":' + self._energy_text() + ',"TempUnit":"C"}', qos=1)

    def _channel_asked(self, client, name):
        digits = re.match(r"\d*", name).group()
        self._tele(client)
        self._publish(str(int(digits or 0)), "0", qos=1)

    def _on_message(self, client, userdata, message):
        own = re.fullmatch(re.escape(self.values["client"]) + r"/([^/]+)/get", message.topic)
        if own:
            if not message.payload:
                with self._lock:
                    self._channel_asked(client, own.group(1))
            return
        heads = ("cmnd",) + (("tele", "stat") if self._tele_topics else ())
        prefix = next((f"{h}/{self.values['client']}/" for h in heads
                       if message.topic.startswith(f"{h}/{self.values['client']}/")), None)
        if prefix is None:
            return
        name = message.topic[len(prefix):]
        if re.fullmatch(r"STATUS(8|10)", name):
            self.own_answers += 1
            if self.own_answers > 200:
                return
            message.payload, name = name[6:].encode(), "Status"
        with self._lock:
            code, _, answer = self.command(f"{name} {message.payload.decode('utf-8', 'replace')}")
        if code == 200 and name.lower() == "status":
            number = message.payload.decode() or ""
            client.publish(f"stat/{self.values['client']}/STATUS{number if number in ('8', '10') else ''}",
                           answer, qos=1)

    def _drop_mqtt(self):
        """The socket dies; the firmware never says goodbye, so the broker sends the will."""
        client, self._client = self._client, None
        if client is None:
            return
        with contextlib.suppress(Exception):
            client.socket().shutdown(socket.SHUT_RDWR)
        client.on_message = None
        # Its thread may be waiting for our lock, so it is not waited for here.
        threading.Thread(target=client.loop_stop, daemon=True).start()

    def _publish(self, name, payload, qos=0):
        if self._client is not None and self._client.is_connected():
            suffix = "" if self.flag(50) else "/get"
            self._client.publish(f"{self.values['client']}/{name}{suffix}", payload, qos=qos, retain=self.flag(7))

    # ---- measuring ----

    def _frame(self):
        for index, uart in enumerate(self.driver.uarts):
            chip = self.chips.get(uart)
            # What the log prints on UART2 is noise to the chip there.
            if chip is None or chip.mode != "ok" or (uart == 2 and self.log_uart):
                continue
            slot = index if len(self.driver.uarts) > 1 else 0
            self._take(slot, chip.raw(1.0), chip)

    def _take(self, slot, raw, chip):
        driver, divisors = self.driver, self.values["divisors"]
        driver.last_raw = raw
        if driver.first_pulses[slot] is not None:
            wh = (raw["pulses"] - driver.first_pulses[slot]) / COUNTS_PER_WH * RAW_PER_UNIT["W"] / divisors["W"]
            self.flash.energy[slot] += wh
            driver.today[slot] += wh
        driver.first_pulses[slot] = raw["pulses"]
        volts, amps, watts = (raw[key] / divisors[key] for key in ("V", "A", "W"))
        if not self.flag(25):
            watts = max(watts, 0.0)
        if self.flag(38):  # no relay is configured, which counts as all open
            watts = amps = 0.0
        apparent = volts * amps
        values = {"voltage": volts, "current": amps, "power": watts,
                  "frequency": chip.hertz if chip.hertz else math.inf, "power_apparent": apparent,
                  "power_reactive": math.sqrt(max(apparent ** 2 - watts ** 2, 0)),
                  "power_factor": watts / apparent if apparent else 1.0,
                  "energycounter": self.flash.energy[slot], "energycounter_today": driver.today[slot],
                  "energycounter_last_hour": 0.0}
        driver.shown[slot] = values
        self._publish_due(slot, values)

    def _publish_due(self, slot, values):
        minimum, forced = self.intervals
        for name, decimals, threshold in QUANTITIES:
            last, frames = self.driver.sent.get((slot, name), (0.0, 0))
            frames += 1
            value = values[name]
            changed = math.isinf(value) or abs(value - last) > threshold
            if not ((changed and frames >= minimum) or frames >= forced):
                self.driver.sent[(slot, name)] = (last, frames)
                continue
            self.driver.sent[(slot, name)] = (value, 0)
            shown = value / 1000 if self.flag(40) and name.startswith("energycounter") else value
            topic = ("138" if slot == 0 else "frequency_b") if name == "frequency" else \
                name + ("_b" if slot == 1 else "")
            self._publish(topic, truncate(shown, decimals))

    # ---- commands ----

    def run(self, line):
        for part in (line or "").split(";"):
            if part.strip():
                self.command(part.strip())

    def command(self, text):
        """(HTTP code, message, JSON text of the answer)"""
        name, _, rest = text.strip().partition(" ")
        arguments = rest.split()
        handler = getattr(self, "_cmd_" + name.lower(), None)
        if handler is None or (name.lower() == "bl0942opts" and not self.twin):
            return 501, "Unknown command", "{}"
        self.commands.append(text.strip())
        return handler(arguments) or (200, "OK", "{}")

    def _cmd_backlog(self, arguments):
        self.run(" ".join(arguments))

    def _cmd_logtype(self, arguments):
        self.log_uart = arguments[:1] != ["none"]

    def _cmd_bl0942opts(self, arguments):
        if arguments:
            self.opts = int(arguments[0])

    def _cmd_startdriver(self, arguments):
        if not arguments:
            return 400, "Not enough arguments for this command", "{}"
        if arguments[0].lower() == "bl0942" and self.driver is None:
            single = [2 if self.flag(26) else 1]
            self.driver = Driver({0: single, 1: [1], 2: [2], 3: [1, 2]}[self.opts] if self.twin else single)
        return None

    def _cmd_vcppublishintervals(self, arguments):
        self.intervals = (int(arguments[0]), int(arguments[1]))

    def _cmd_setflag(self, arguments):
        if len(arguments) < 2:
            return 400, "Not enough arguments for this command", "{}"
        bit = 1 << int(arguments[0])
        self.values["flags"] = self.values["flags"] | bit if int(arguments[1]) else self.values["flags"] & ~bit
        self._changed()
        return None

    def _cmd_flags(self, arguments):
        self.values["flags"] = int(arguments[0])
        self._changed()

    def _cmd_restart(self, arguments):
        self._restart_at = time.monotonic() + self.restart_s

    def _calibrate(self, key, arguments):
        if not arguments:
            return 400, "Not enough arguments for this command", "{}"
        true = float(arguments[0])
        raw = self.driver.last_raw[key] if self.driver and self.driver.last_raw else 0
        if true == 0 or raw == 0:
            return 400, "Command found but returned error", "{}"
        self.values["divisors"][key] = raw / true
        self._changed()
        return None

    def _cmd_voltageset(self, arguments):
        return self._calibrate("V", arguments)

    def _cmd_currentset(self, arguments):
        return self._calibrate("A", arguments)

    def _cmd_powerset(self, arguments):
        return self._calibrate("W", arguments)

    def _cmd_status(self, arguments):
        number = arguments[0] if arguments else "0"
        sensors = {"Time": "0000-00-00T00:00:00", "TempUnit": "C"}
        text = json.dumps({"StatusSNS": sensors})
        if self.driver is not None:
            text = text.replace('"TempUnit"', '"ENERGY":' + self._energy_text() + ',"TempUnit"')
        if number in ("8", "10"):
            return 200, "OK", text
        friendly = self.values["name"]
        whole = {"Status": {"Module": 0, "DeviceName": self.values["short"], "FriendlyName": [friendly],
                            "Topic": self.values["client"]},
                 "StatusPRM": {"Uptime": self.uptime, "RestartReason": "HardwareWatchdog"},
                 "StatusFWR": {"Version": "OpenBK7231N", "SDK": "obk", "Hardware": self.chipset},
                 "StatusMQT": {"MqttHost": self.values["host"], "MqttPort": self.values["port"],
                               "MqttClient": self.values["client"], "MqttUser": self.values["user"]}}
        return 200, "OK", json.dumps(whole)[:-1] + "," + text[1:]

    def _energy_text(self):
        shown = self.driver.shown[0] or dict.fromkeys((q[0] for q in QUANTITIES), 0.0)
        frequency = "inf" if math.isinf(shown["frequency"]) else f"{shown['frequency']:f}"
        return (f'{{"Power": {shown["power"]:f},"ApparentPower": {shown["power_apparent"]:f},'
                f'"ReactivePower": {shown["power_reactive"]:f},"Factor":{shown["power_factor"]:f},'
                f'"Voltage":{shown["voltage"]:f},"Current":{shown["current"]:f},"Frequency":{frequency},'
                f'"ConsumptionTotal":{self.flash.energy[0]:f},"Yesterday": 0.000000,'
                f'"ConsumptionLastHour":0.000000}}')

    # ---- HTTP ----

    @property
    def uptime(self):
        return int(time.monotonic() - self.booted)

    @property
    def build(self):
        return f"Built on {self.built} version {self.version}"

    def _serve(self):
        while not self._stop.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection):
        with connection, contextlib.suppress(OSError):
            connection.settimeout(5)
            data = b""
            while b"\r\n\r\n" not in data:
                piece = connection.recv(4096)
                if not piece:
                    return
                data += piece
            head, _, body = data.partition(b"\r\n\r\n")
            length = re.search(rb"content-length: *(\d+)", head, re.I)
            method, path = head.split(b" ")[:2]
            if time.monotonic() < self.unpacking_until:
                return  # the bootloader has no network
            if path == b"/api/ota":
                self._drop_mqtt()
                self._mqtt_due = None
                self.package = b""
            while len(body) < int(length.group(1)) if length else False:
                piece = connection.recv(4096)
                if not piece or self._cut_upload(path, body):
                    return
                body += piece
                if self.upload_bytes_per_s:
                    self._stop.wait(len(piece) / self.upload_bytes_per_s)
            self._answer(connection, method.decode(), path.decode(), body, head)

    def _cut_upload(self, path, body):
        """A fault "cut" on /api/ota: the connection dies after `value` bytes, which are in the flash then."""
        fault = next((f for f in self.faults if f.kind == "cut" and len(body) >= f.value and path == b"/api/ota"), None)
        if fault is not None:
            self.faults.remove(fault)
            self.package = body
        return fault is not None

    def _answer(self, connection, method, path, body, head):
        text = body.decode("utf-8", "replace")
        with self._lock:
            self.requests.append((method, path, text if path != "/api/ota" else f"{len(body)} bytes"))
            fault = next((f for f in self.faults if f.kind != "cut" and f.applies(method, path, text)), None)
            if fault is None or fault.kind in ("after", "slow"):
                answer = self._whole_answer(method, path, body, head)
            else:
                answer = None
        if fault is not None and fault.kind == "slow":
            self._stop.wait(fault.value)
        if answer is not None and (fault is None or fault.kind == "slow"):
            connection.sendall(answer[:700])  # in pieces, as the firmware does
            connection.sendall(answer[700:])
            return
        self._misbehave(connection, fault)

    def _misbehave(self, connection, fault):
        if fault.kind == "status":
            connection.sendall(self._page(fault.value, "text/html", "<html>Internal Server Error</html>"))
        elif fault.kind in ("hang", "after"):
            self._stop.wait(fault.value or 30)
        elif fault.kind == "reset":
            connection.sendall(self._page(200, "application/json", '{"uptime_s":3'))
            self._stop.wait(0.05)  # the bytes before the reset are on their way
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif fault.kind == "wrong":
            connection.sendall(self._page(200, "application/json", fault.value))
        elif fault.kind == "huge":
            connection.sendall(self._page(200, "application/json", ""))
            for _ in range(256):
                connection.sendall(b"x" * 65536)
        elif fault.kind == "redirect":
            connection.sendall(f"HTTP/1.1 302 OK\nLocation: http://{self.host}{fault.path}\r\n\r\n".encode())
        elif fault.kind == "garbage":
            connection.sendall(bytes(range(256)) * 4)

    @staticmethod
    def _page(code, kind, body):
        if isinstance(body, str):
            body = body.encode()
        return (f"HTTP/1.1 {code} OK\nContent-type: {kind}\r\nConnection: close\r\n"
                "Access-Control-Allow-Origin: *\r\n\r\n").encode() + body

    def _json(self, code, value):
        return self._page(code, "application/json", value if isinstance(value, str) else json.dumps(value))

    def _authorised(self, head):
        if not self.web_password:
            return True
        wanted = base64.b64encode(f"admin:{self.web_password}".encode())
        return re.search(rb"authorization: *basic " + re.escape(wanted), head, re.I) is not None

    def _whole_answer(self, method, path, body, head):
        if not self._authorised(head):
            return self._page(401, "text/plain", "")
        where, _, query = path.partition("?")
        arguments = dict(urllib.parse.parse_qsl(query, keep_blank_values=True))
        if where == "/api/info":
            return self._json(200, self._info())
        if where == "/cm":
            return self._json(200, self._cm(arguments.get("cmnd", "")))
        if where == "/api/cmnd" and method == "POST":
            code, message, answer = self.command(body.decode("utf-8", "replace"))
            key = "success" if code == 200 else "error"
            return self._json(code, f'{{"{key}":{code}, "msg":"{message}", "res":{answer}}}')
        if where == "/api/ota" and method == "POST":
            self.package = body
            return self._json(200, {"size": len(body)})
        if where == "/api/reboot" and method == "POST":
            self._restart_at = time.monotonic() + self.restart_s
            return self._json(200, '{"reboot":3}')
        if where.startswith("/api/lfs/"):
            return self._files(method, urllib.parse.unquote(where[len("/api/lfs/"):]), body)
        if where.startswith("/api/del/"):
            gone = self.flash.files.pop(urllib.parse.unquote(where[len("/api/del/"):]), None)
            return b"OK" if gone is not None else b"Error"
        if where in ("/cfg_mqtt_set", "/cfg_name", "/startup_command"):
            getattr(self, "_set" + where.replace("/", "_"))(arguments)
            self._changed()
            return self._page(200, "text/html", "<html>Please wait for module to connect...</html>")
        return self._page(404, "text/html", "<html>not found</html>")

    def _info(self):
        values = self.values
        return {"uptime_s": self.uptime, "build": self.build, "ip": "127.0.0.1", "mac": "C8:47:8C:1A:2B:3C",
                "flags": str(values["flags"]), "mqtthost": f"{values['host']}:{values['port']}",
                "mqtttopic": values["client"], "chipset": self.chipset, "webapp": "https://example.org/",
                "shortName": values["short"], "startcmd": values["startup"], "supportsSSDP": 0,
                "supportsClientDeviceDB": True}

    def _cm(self, text):
        code, _, answer = self.command(text)
        if len(text) > 123:
            code, _, answer = self.command(text)
        return answer if code == 200 else "{}"

    def _files(self, method, name, body):
        if method == "POST":
            self.flash.files[name] = body
            return self._json(200, {"fname": name, "size": len(body)})
        if name == "":
            return self._json(200, {"dir": "", "content": [{"name": n, "type": 1, "size": len(b)}
                                                           for n, b in self.flash.files.items()]})
        if name not in self.flash.files:
            return self._json(404, {"fname": name, "error": -2})
        return self._page(200, "text/plain", self.flash.files[name])

    def _set_cfg_mqtt_set(self, arguments):
        before = (self.values["host"], self.values["port"], self.values["client"])
        self.values["host"] = arguments.get("host", "")
        for key in ("client", "group", "user", "password"):
            if arguments.get(key):
                self.values[key] = arguments[key]
        if arguments.get("port"):
            self.values["port"] = int(arguments["port"])
        if before != (self.values["host"], self.values["port"], self.values["client"]):
            self._drop_mqtt()
        self._mqtt_due = time.monotonic() + 5 / self.speed if self._client is None else None

    def _set_cfg_name(self, arguments):
        self.values["short"] = arguments.get("shortName", self.values["short"])[:32]
        self.values["name"] = arguments.get("name", self.values["name"])[:64]

    def _set_startup_command(self, arguments):
        if arguments.get("startup_cmd") == "1":
            self.values["startup"] = arguments.get("data", "")[:1567]


def main():
    parser = argparse.ArgumentParser(description="A simulated Wi-Fi module with OpenBeken firmware.")
    parser.add_argument("--http-port", type=int, default=0, help="0: any free one; it is printed")
    parser.add_argument("--twin", action="store_true", help="a build that can read two chips")
    parser.add_argument("--voltage", type=float, default=230.0)
    parser.add_argument("--current", type=float, default=5.0)
    parser.add_argument("--power", type=float, default=1100.0)
    parser.add_argument("--boot", type=float, default=16.0, help="seconds from start to MQTT")
    options = parser.parse_args()
    chips = {1: Chip(options.voltage, options.current, options.power), 2: Chip(amps=2.0, watts=430.0)}
    module = ObkModule(options.http_port, twin=options.twin, boot_s=options.boot, chips=chips)
    print(f"http://{module.host}", flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        threading.Event().wait()
    module.close()


if __name__ == "__main__":
    main()
