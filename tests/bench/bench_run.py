#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Figures of the running service: memory, CPU, latency from a packet's last byte to the subscriber's
hands, bytes per reading on disk. Prints; never passes or fails.

    tests/bench/bench_run.py [--seconds 60] [--binary build/release/bridge/bl2mqtt]
"""

import argparse
import os
import pathlib
import pty
import select
import sqlite3
import struct
import sys
import tempfile
import threading
import time
import tty

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration"))

import harness  # noqa: E402


def checksum(values):
    return ~sum(values) & 0xFF


class StampedChip:
    """The minimum a BL0942 must do for the driver, with the moment each packet's last byte was written."""

    def __init__(self, link):
        self.master, slave = pty.openpty()
        tty.setraw(slave)
        self.slave = slave
        os.symlink(os.ttyname(slave), link)
        self.registers = {0x19: 0x87, 0x14: 0x0B, 0x1D: 0}
        self.counter = 0
        self.stamps = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _packet(self):
        self.counter += 1
        body = bytearray([0x55])
        body += struct.pack("<I", 837000 + self.counter % 97)[:3] + struct.pack("<I", 3650000 + self.counter % 89)[:3]
        body += struct.pack("<I", 300000)[:3] + struct.pack("<i", 480000 + self.counter % 83)[:3]
        body += struct.pack("<I", self.counter)[:3] + struct.pack("<H", 20000) + bytes([0, 0, 1, 0])
        return bytes(body) + bytes([checksum([0x58, *body])])

    def _serve(self):
        pending = bytearray()
        while True:
            select.select([self.master], [], [])
            try:
                pending += os.read(self.master, 256)
            except OSError:
                return
            while len(pending) >= 2:
                if pending[0] == 0x58:
                    if pending[1] == 0xAA:
                        time.sleep(0.048)  # what 23 bytes take at 4800 baud
                        os.write(self.master, self._packet())
                        self.stamps.append(time.monotonic())
                    else:
                        value = struct.pack("<I", self.registers.get(pending[1], 0))[:3]
                        os.write(self.master, value + bytes([checksum([0x58, pending[1], *value])]))
                    del pending[:2]
                elif pending[0] == 0xA8:
                    if len(pending) < 6:
                        break
                    self.registers[pending[1]] = int.from_bytes(pending[2:5], "little")
                    del pending[:6]
                else:
                    del pending[0]


def memory_kb(pid):
    fields = {}
    for name in ("status", "smaps_rollup"):
        for line in open(f"/proc/{pid}/{name}"):
            key, _, rest = line.partition(":")
            fields[key] = rest.split()[0] if rest.split() else ""
    return fields


def cpu_seconds(pid):
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def percentile(values, percent):
    return sorted(values)[min(len(values) - 1, int(len(values) * percent / 100))] if values else float("nan")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--binary", default=harness.BINARY)
    options = parser.parse_args()
    harness.BINARY = options.binary
    with tempfile.TemporaryDirectory(prefix="bl2mqtt-bench-") as folder:
        broker = harness.Broker(folder)
        chips = [StampedChip(f"{folder}/{name}") for name in "ab"]
        device = {"id": "house", "driver": "bl0942", "interval": "1s", "report_interval": "1s",
                  "channels": {name: {"port": f"{folder}/{name}"} for name in "ab"}}
        config = harness.write_config(folder, broker.url, [device], bridge={"log_level": "info"},
                                      history={"commit_interval": "5s"})
        watch = broker.subscribe("bl2mqtt/house")
        process = harness.Process([options.binary, "--config", config, "run"])
        watch.wait("bl2mqtt/house", lambda s: s.get("power_a") and s.get("power_b"))
        time.sleep(3)
        watch.clear()
        for chip in chips:
            chip.stamps.clear()
        cpu, begun = cpu_seconds(process.pid), time.monotonic()
        time.sleep(options.seconds)
        cpu, took = cpu_seconds(process.pid) - cpu, time.monotonic() - begun
        memory = memory_kb(process.pid)
        # A state message belongs to the last packet before it: the one that completed the round.
        latencies = []
        stamps = sorted(s for chip in chips for s in chip.stamps)
        for message in watch.messages:
            before = [s for s in stamps if s <= message["at"]]
            if before:
                latencies.append(1000 * (message["at"] - before[-1]))
        process.stop()
        broker.stop()
        # A realistic count of rows: the same database grown by the same writer in bench_history.
        with sqlite3.connect(f"{folder}/data/history.db") as db:
            rows = db.execute("SELECT count(*) FROM reading").fetchone()[0]
        print(f"figure: RSS {int(memory['VmRSS'])/1024:.1f} MB, peak {int(memory['VmHWM'])/1024:.1f} MB, "
              f"PSS {int(memory['Pss'])/1024:.1f} MB, private dirty {int(memory['Private_Dirty'])/1024:.1f} MB")
        print(f"figure: CPU {100*cpu/took:.2f} % of a core = {cpu/took*3600:.1f} s per hour at 2 channels x 1 Hz")
        print(f"figure: last byte -> subscriber p50 {percentile(latencies, 50):.1f} ms, p99 {percentile(latencies, 99):.1f} ms "
              f"({len(latencies)} messages, mosquitto and mosquitto_sub included)")
        print(f"figure: {rows} readings stored")


main()
