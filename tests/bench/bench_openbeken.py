#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Figures of the service reading many OpenBeken modules through a real mosquitto, beside mosquitto_sub
discarding the same messages in the same run: messages per second, CPU per million messages, memory,
readings stored. Prints; never passes or fails.

    tests/bench/bench_openbeken.py [--modules 5000] [--rounds 10] [--rate 0] [--homeassistant]
                                   [--binary build/release/bridge/bl2mqtt]

--rate N: at most N messages per second (0: as fast as the broker takes them).
"""

import argparse
import os
import pathlib
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration"))

import harness  # noqa: E402
from module_messages import Module, publish_packet  # noqa: E402

TOPICS = 7


def client(number):
    return f"meters/m{number:04d}"


def round_of(number, turn):
    """The seven topics of one module: what a real one sends when all values changed."""
    name = client(number)
    values = {"voltage": f"{230 + turn % 7 / 10:.1f}", "current": f"{2 + turn % 5 / 1000:.3f}",
              "power": f"{430 + turn % 9 / 100:.2f}", "138": f"{50 + turn % 3 / 100:.2f}",
              "power_apparent": "460.00", "power_factor": "0.93", "energycounter": f"{1000 + number + turn * 0.779:.3f}"}
    return b"".join(publish_packet(f"{name}/{key}/get", value) for key, value in values.items())


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mb(pid, key):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(key):
            return int(line.split()[1]) / 1024
    return 0


class Discarder:
    """mosquitto_sub that throws away; the bytes of its pipe are counted, one per message."""

    def __init__(self, port):
        self.process = subprocess.Popen(["mosquitto_sub", "-p", str(port), "-t", "meters/+/+/get", "-N", "-F", "x"],
                                        stdout=subprocess.PIPE)
        self.count, self.last = 0, 0.0
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        while data := os.read(self.process.stdout.fileno(), 1 << 20):
            self.count += len(data)
            self.last = time.monotonic()


def send(port, modules, rounds, rate):
    sender = Module(port, "bench-sender")
    begin = time.monotonic()
    sent = 0
    for turn in range(rounds):
        blocks = []
        for number in range(modules):
            blocks.append(round_of(number, turn))
            if len(blocks) == 50 or number == modules - 1:
                sender.socket.sendall(b"".join(blocks))
                sent += TOPICS * len(blocks)
                blocks = []
                if rate > 0:
                    time.sleep(max(0.0, begin + sent / rate - time.monotonic()))
    return time.monotonic() - begin


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--modules", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--rate", type=int, default=0)
    parser.add_argument("--homeassistant", action="store_true")
    parser.add_argument("--binary", default=harness.BINARY)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bl2mqtt-bench-") as path:
        measure(options, pathlib.Path(path))


def settle(broker, bridge, options):
    """Until the questions to all modules, states and, with Home Assistant, all announcements are out."""
    begin = time.monotonic()
    if options.homeassistant:
        watch = broker.subscribe("homeassistant/device/+/config")
        harness.wait_for(lambda: len({m["topic"] for m in watch.messages}) > options.modules, 600, "all announcements", 1)
        watch.close()
        print(f"announced      {options.modules} devices in {time.monotonic() - begin:.0f} s, CPU {cpu_seconds(bridge.pid):.1f} s "
              f"since the start, {memory_mb(bridge.pid, 'VmRSS'):.0f} MB, {memory_mb(bridge.pid, 'VmHWM'):.0f} MB at most")
    time.sleep(15)


def stored(folder):
    with sqlite3.connect(f"file:{folder}/data/history.db?mode=ro", uri=True) as db:
        return db.execute("SELECT count(*), count(energy) FROM reading").fetchone()


def measure(options, folder):
    broker = harness.Broker(folder)
    devices = [{"id": f"m{n:04d}", "driver": "openbeken", "topic": client(n), "report_interval": "10s", "energy_unit": "Wh",
                "channels": {"a": {}}} for n in range(options.modules)]
    config = harness.write_config(folder, broker.url, devices, bridge={"log_level": "error"},
                                  homeassistant={"enabled": options.homeassistant})
    config.write_text(config.read_text().replace("  ", "").replace("\n", " "))  # one line: the file has a bound
    begin = time.monotonic()
    bridge = harness.Process([options.binary, "--config", config, "run"])
    watch = broker.subscribe("bl2mqtt/bridge/state")
    watch.wait("bl2mqtt/bridge/state", lambda s: s["state"] == "online", timeout=120)
    print(f"{options.modules} modules; ready after {time.monotonic() - begin:.1f} s")
    settle(broker, bridge, options)
    discarder = Discarder(broker.port)
    time.sleep(1)
    idle = memory_mb(bridge.pid, "VmRSS")
    cpu, their_cpu = cpu_seconds(bridge.pid), cpu_seconds(discarder.process.pid)
    total = options.modules * options.rounds * TOPICS
    begin = time.monotonic()
    seconds = send(broker.port, options.modules, options.rounds, options.rate)
    harness.wait_for(lambda: discarder.count >= total or time.monotonic() - discarder.last > 5, 120, "mosquitto_sub")
    theirs = discarder.last - begin
    harness.wait_for(lambda: stored(folder)[1] >= options.modules * options.rounds or
                     time.monotonic() - begin > theirs + 60, 600, "the database", 0.2)
    ours = time.monotonic() - begin
    time.sleep(3)
    cpu, their_cpu = cpu_seconds(bridge.pid) - cpu, cpu_seconds(discarder.process.pid) - their_cpu
    rss, peak = memory_mb(bridge.pid, "VmRSS"), memory_mb(bridge.pid, "VmHWM")
    status = bridge.stop(timeout=60)
    readings, energies = stored(folder)
    print(f"sent           {total} messages in {seconds:.1f} s: {total / seconds:.0f}/s")
    print(f"mosquitto_sub  {discarder.count} in {theirs:.1f} s: {discarder.count / theirs:.0f}/s, "
          f"CPU {their_cpu / max(discarder.count, 1) * 1e6:.1f} s per million")
    print(f"bridge         {total} in {ours:.1f} s, the last transaction included: {total / ours:.0f}/s, "
          f"{100 * theirs / ours:.0f} % of mosquitto_sub's")
    print(f"bridge         CPU {cpu / total * 1e6:.1f} s per million messages, all in")
    print(f"stored         {readings} readings of {options.modules * options.rounds}, {energies} with a counter: "
          f"{100 * energies / (options.modules * options.rounds):.1f} %")
    print(f"memory         {idle:.0f} MB before, {rss:.0f} MB after, {peak:.0f} MB at most; exit status {status}")
    discarder.process.kill()
    broker.stop()


if __name__ == "__main__":
    main()
