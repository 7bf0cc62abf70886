#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The table of docs/benchmarks.md: what the service costs, beside mosquitto_sub and, where it is installed, vzlogger.
Prints; never passes or fails: a figure that cannot be had says why.

    tests/bench/bench_table.py [--binary build/release/bridge/bl2mqtt] [--only memory,cpu,...] [--seconds 60]
                               [--folder FOLDER]

FOLDER is on the disk that is meant; default: a new one in the current folder. Counts that do not depend on how busy the
machine is come first: memory, CPU time, context switches, system calls, instructions, bytes. Times are medians of
three. `before` is commit aafdec7, on another machine of the same kind.
"""

import argparse
import collections
import http.server
import json
import os
import pathlib
import re
import resource
import shutil
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "integration")]

import beken_module  # noqa: E402
import harness  # noqa: E402
import simulator  # noqa: E402
from module_messages import Module, publish_packet  # noqa: E402

ROWS = []
FIRST_COUNT = 5000000  # a counter as it is after months: a low one makes the driver look for a chip's restart


def row(name, before, after, aim):
    ROWS.append((name, before, after, aim))
    print(f"figure: {name}: {after} (before {before}, aim {aim})", flush=True)


# ---- what the kernel counts ----

def memory(pid):
    """RSS and PSS in MB."""
    fields = dict(line.split(":", 1) for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:])
    return [int(fields[key].split()[0]) / 1024 for key in ("Rss", "Pss")]


def counters(pid):
    """CPU seconds and context switches of all threads, bytes handed to the disk."""
    counted = collections.Counter()
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        counted["cpu"] += int((task / "schedstat").read_text().split()[0]) / 1e9
        for line in (task / "status").read_text().splitlines():
            if "ctxt_switches" in line:
                counted["switches"] += int(line.split()[1])
    for line in pathlib.Path(f"/proc/{pid}/io").read_text().splitlines():
        key, value = line.split(":")
        counted[key] = int(value)
    return counted


def over(pid, seconds):
    before, begun = counters(pid), time.monotonic()
    time.sleep(seconds)
    after, took = counters(pid), time.monotonic() - begun
    return {key: (after[key] - before[key]) / took for key in after}


def system_calls(pid, seconds):
    strace = subprocess.Popen(["strace", "-c", "-f", "-p", str(pid)], stderr=subprocess.PIPE, text=True)
    time.sleep(seconds)
    strace.send_signal(signal.SIGINT)
    total = [line for line in strace.communicate()[1].splitlines() if line.endswith("total")]
    return int(total[0].split()[-3 if len(total[0].split()) > 5 else -2]) / seconds


def instructions(*command):
    """Of a whole run, in millions."""
    result = subprocess.run(["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", *map(str, command)],
                            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    return int(re.search(r"Collected : (\d+)", result.stderr)[1]) / 1e6


def median_ms(*command, runs=3):
    """User and system time of a command, in ms: neither waiting nor other processes are in it."""
    times = []
    for _ in range(runs):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([*map(str, command)], stdout=subprocess.DEVNULL, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(1000 * (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime))
    return statistics.median(times)


# ---- a service with simulated chips ----

class Service:
    """The service with `channels` simulated chips, four on a line as soon as there are more than two."""

    def __init__(self, folder, channels=2, commit="1m", **sections):
        self.folder = pathlib.Path(tempfile.mkdtemp(dir=folder))
        self.broker = harness.Broker(self.folder)
        per_line = 1 if channels <= 2 else 4
        self.meters, devices = [], []
        for first in range(0, channels, per_line):
            addresses = range(min(per_line, channels - first))
            link = self.folder / f"line{first}"
            self.meters.append(harness.SimulatedMeter(link, "--first-count", FIRST_COUNT, addresses=addresses))
            devices.append({"id": f"d{first}", "driver": "bl0942", "interval": "1s",
                            "channels": {"abcd"[a]: {"port": str(link), "address": a} for a in addresses}})
        self.config = harness.write_config(self.folder, self.broker.url, devices, bridge={"log_level": "info"},
                                           history={"commit_interval": commit}, **sections)
        self.watch = self.broker.subscribe("bl2mqtt/+/availability", "bl2mqtt/bridge/response/#")
        self.process = harness.Process([harness.BINARY, "--config", self.config, "run"])
        harness.wait_for(lambda: len({m["topic"] for m in self.watch.messages if "online" in m["payload"]}) == len(devices),
                         120, "all devices")
        time.sleep(8)
        self.pid = self.process.pid

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stop()
        for meter in self.meters:
            meter.close()
        self.broker.stop()
        shutil.rmtree(self.folder)


class Sink:
    """A time-series engine that takes everything."""

    def __init__(self):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_):
                pass
        self.server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


# ---- the rows ----

def measure_memory(folder, options):
    del options
    with Service(folder) as service:
        row("RSS (PSS), two meters, no TLS, no page", "10.5 to 11.1 MB", "%.1f (%.1f) MB" % tuple(memory(service.pid)), "8 MB")
    page = {"web": {"listen": f"127.0.0.1:{harness.free_port()}"}}
    with Service(folder, **page) as service:
        row("RSS (PSS), two meters, with the page", "-", "%.1f (%.1f) MB" % tuple(memory(service.pid)), "-")
    sinks = {"sinks": [{"id": "s", "url": Sink().url, "database": "d", "interval": "1s"}]}
    folder_config = harness.write_config

    def with_sinks(*args, **kwargs):
        path = folder_config(*args, **kwargs)
        path.write_text(json.dumps({**json.loads(path.read_text()), **sinks}))
        return path
    harness.write_config = with_sinks
    try:
        with Service(folder) as service:
            row("RSS (PSS) with one sink", "15.7 MB", "%.1f (%.1f) MB" % tuple(memory(service.pid)), "11 MB")
    finally:
        harness.write_config = folder_config


def measure_flat(folder, options):
    del options
    with Service(folder) as service:
        def reload(_):
            service.process.signal(signal.SIGHUP)
            time.sleep(0.3)

        def change(number):
            service.watch.clear()
            service.broker.publish("bl2mqtt/bridge/request/options",
                                   {"options": {"bridge": {"log_level": "info" if number % 2 else "debug"}}})
            service.watch.wait("bl2mqtt/bridge/response/options")
        for what, act in (("reloads", reload), ("changes of settings", change)):
            act(0)
            act(1)
            time.sleep(2)
            before = memory(service.pid)[0]
            for number in range(100):
                act(number)
            time.sleep(2)
            row(f"RSS after 100 {what}", "+0.3 MB", f"{memory(service.pid)[0] - before:+.2f} MB", "flat")


def show_cpu(name, before, rates, aim):
    row(f"{name}: CPU", before, f"{3600 * rates['cpu']:.1f} s/h", aim)


def measure_cpu(folder, options):
    with Service(folder) as service:
        rates = over(service.pid, options.seconds)
        show_cpu("two meters at 1 Hz", "26 s/h", rates, "12 s/h")
        row("two meters: context switches", "71/s", f"{rates['switches']:.1f}/s", "20/s")
        row("two meters: system calls", "-", f"{system_calls(service.pid, min(options.seconds, 20)):.0f}/s", "-")
    measure_vzlogger(folder, options)


def measure_vzlogger(folder, options):
    """Two channels from its own random source, once a second, to MQTT: it neither polls a line nor stores."""
    if shutil.which("vzlogger") is None:
        row("vzlogger, two channels: RSS, CPU", "12.2 MB, 15 s/h", "not measured: not packaged in Debian", "-")
        return
    broker = harness.Broker(folder)
    meter = {"enabled": True, "protocol": "random", "interval": 1, "max": 100, "min": 0}
    channel = {"api": "null", "uuid": "00000000-0000-0000-0000-000000000000", "identifier": "x"}
    config = pathlib.Path(folder) / "vzlogger.conf"
    config.write_text(json.dumps({"retry": 0, "verbosity": 0, "log": "/dev/null", "local": {"enabled": False},
                                  "mqtt": {"enabled": True, "host": "127.0.0.1", "port": broker.port, "topic": "v"},
                                  "meters": [{**meter, "channels": [channel]} for _ in range(2)]}))
    process = harness.Process(["vzlogger", "-f", "-c", config])
    time.sleep(8)
    rates = over(process.pid, options.seconds)
    row("vzlogger, two channels: RSS, CPU", "12.2 MB, 15 s/h",
        f"{memory(process.pid)[0]:.1f} MB, {3600 * rates['cpu']:.1f} s/h", "-")
    process.kill()
    broker.stop()


def measure_disk(folder, options):
    for commit in ("1m", "5s"):
        with Service(folder, commit=commit) as service:
            time.sleep(65)  # what a start writes is not of every day
            rates = over(service.pid, max(options.seconds, 600))
        row(f"bytes written per day, commits every {commit}", "133 MB" if commit == "5s" else "-",
            f"{rates['write_bytes'] * 86400 / 1e6:.0f} MB", "70 MB" if commit == "1m" else "-")


def measure_ingest(folder, options):
    """bench_openbeken.py in numbers."""
    del folder
    for modules, before in ((100, "-"), (1000, "9.6 s"), (5000, "16.9 s")):
        rounds = 50000 // modules
        result = subprocess.run([sys.executable, HERE / "bench_openbeken.py", "--modules", str(modules), "--rounds", str(rounds),
                                 "--binary", harness.BINARY], capture_output=True, text=True, check=True)
        found = re.search(r"sent .*: (\d+)/s\n(?:.*\n)*?.*per million\n", result.stdout)
        theirs = float(re.search(r"CPU ([\d.]+) s per million\n", result.stdout)[1])
        ours = float(re.search(r"CPU ([\d.]+) s per million messages", result.stdout)[1])
        stored = re.search(r"counter: ([\d.]+) %", result.stdout)[1]
        peak = re.search(r"(\d+) MB at most", result.stdout)[1]
        row(f"{modules} modules: CPU per million messages", before,
            f"{ours:.1f} s = {ours / theirs:.1f} x mosquitto_sub's {theirs:.1f} s", "1.8 x")
        row(f"{modules} modules: stored, peak memory", "93.5 to 96.7 %" if modules == 5000 else "-",
            f"{stored} % at {found[1]}/s, {peak} MB", "100 %")


def measure_burst(folder, options):
    """So many messages in one write to the broker: how many readings become of them, and what is dropped."""
    del options
    for count in (1000, 10000, 100000):
        with tempfile.TemporaryDirectory(dir=folder) as place:
            broker = harness.Broker(place)
            device = {"id": "m", "driver": "mqtt", "mapping": "zigbee2mqtt-pj1203a", "topic": "burst", "channels": {"a": {}, "b": {}}}
            page = f"127.0.0.1:{harness.free_port()}"
            config = harness.write_config(place, broker.url, [device], bridge={"log_level": "error"}, web={"listen": page})
            watch = broker.subscribe("bl2mqtt/bridge/state")
            process = harness.Process([harness.BINARY, "--config", config, "run"])
            watch.wait("bl2mqtt/bridge/state", lambda s: s["state"] == "online")
            time.sleep(3)
            before = counters(process.pid)
            sender = Module(broker.port, "burst")
            payload = json.dumps({"power_a": 1, "energy_a": 1, "update_frequency": 10})
            sender.socket.sendall(b"".join(publish_packet("burst", payload) for _ in range(count)))
            received, health = -1, {"mqtt": {"received": 0}}
            while health["mqtt"]["received"] > received:  # until no more come
                received = health["mqtt"]["received"]
                time.sleep(3)
                health = json.load(urllib.request.urlopen(f"http://{page}/api/v1/health"))
            took = counters(process.pid)["cpu"] - before["cpu"]
            row(f"{count} messages at once", "-", f"CPU {1e6 * took / received:.1f} s per million, "
                f"{health['mqtt']['dropped']} dropped of {health['mqtt']['received']}, {memory(process.pid)[0]:.1f} MB after", "linear")
            process.stop()
            broker.stop()


def measure_queries(folder, options):
    del options
    bench = pathlib.Path(harness.BINARY).resolve().parents[1] / "tests/bench/bench_page_history"
    subprocess.run([bench, folder], check=True)
    config = harness.write_config(folder, "mqtt://127.0.0.1:1", [
        {"id": "house", "driver": "bl0942", "channels": {n: {"port": f"/dev/none-{n}"} for n in "ab"}}], bridge={"data_dir": str(folder)})
    last_ms = sqlite3.connect(f"{folder}/history.db").execute("SELECT max(key) FROM sample").fetchone()[0] >> 15

    def ago(days):
        return time.strftime("%Y-%m-%d", time.localtime(last_ms / 1000 - days * 86400))

    base = [harness.BINARY, "--config", config, "history"]
    energy = [*base, "energy", "--device", "house", "--json", "--to", ago(0), "--from"]
    for name, before, command, aim in (
            ("year by hour", "52 to 66 ms", [*energy, ago(365), "--bucket", "hour"], "30 ms"),
            ("month by hour", "-", [*energy, ago(30), "--bucket", "hour"], "a twelfth of it"),
            ("month by day", "16 ms", [*energy, ago(30), "--bucket", "day"], "8 ms"),
            ("export of a day, one channel", "247 ms", [*base, "export", "--device", "house", "--channel", "a", "--format", "csv", "--from",
                                                        ago(1), "--to", ago(0)], "100 ms")):
        row(name, before, f"{median_ms(*command):.0f} ms of CPU, {instructions(*command):.0f} million instructions", aim)


def measure_backup(folder, options):
    del options
    beken_module.BINARY = simulator.BINARY = harness.BINARY
    for name, flash in (("a flash that is full", os.urandom(0x200000)), ("a flash as the simulator makes it up", None)):
        times = []
        for _ in range(1 if flash else 3):
            module = beken_module.Module(folder, speed=1, seed=1, flash=flash, args=("--power-cycle-on-open",))
            begun = time.monotonic()
            result = subprocess.run([harness.BINARY, "flash", "backup", "--output", f"{folder}/backup", "--port", str(module.port),
                                     "--json", "--progress", "none"], capture_output=True, text=True)
            times.append(time.monotonic() - begun)
            module.close()
            for left in pathlib.Path(folder).glob("backup*"):
                left.unlink()
        if result.returncode == 0:
            seconds = json.loads(result.stdout)["seconds"]
            row(f"whole backup of {name}", "29 s", f"{statistics.median(times):.1f} s (reading {seconds['read']:.1f}, "
                f"the chip's own CRC {seconds['crc']:.1f})", "26 s")
        else:
            row(f"whole backup of {name}", "29 s", f"not measured: {result.stderr.strip().splitlines()[-1]}", "26 s")


def measure_channels(folder, options):
    for channels, before in ((1, "14 s/h"), (10, "27 s/h"), (100, "75 s/h")):
        with Service(folder, channels=channels) as service:
            show_cpu(f"{channels} channels", before, over(service.pid, options.seconds), "keep")


SECTIONS = {"memory": measure_memory, "flat": measure_flat, "cpu": measure_cpu, "disk": measure_disk, "ingest": measure_ingest,
            "burst": measure_burst, "queries": measure_queries, "backup": measure_backup, "channels": measure_channels}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default=harness.BINARY)
    parser.add_argument("--only", default=",".join(SECTIONS))
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--folder", default=".")
    options = parser.parse_args()
    harness.BINARY = os.path.abspath(options.binary)
    for name in options.only.split(","):
        with tempfile.TemporaryDirectory(prefix="bl2mqtt-bench-", dir=options.folder) as folder:
            try:
                SECTIONS[name](folder, options)
            except Exception as error:  # a figure less is no reason to lose the others
                row(name, "-", f"not measured: {type(error).__name__}: {str(error)[:200]!r}", "-")
    print("\n| figure | before | now | aim |\n|---|---|---|---|")
    for cells in ROWS:
        print("| " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
