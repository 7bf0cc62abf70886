#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What alarms and derived sensors cost: CPU time and memory of the service without them and with them. Prints; never passes
or fails.

    tests/bench/bench_control.py [--binary build/release/bridge/bl2mqtt] [--seconds 60] [--rounds 3]

Ten meters of two channels each, simulated within the service and read five times a second: 100 readings a second. Counted
are CPU time of all threads, which does not depend on how busy the machine is, and resident memory. The variants take
turns, so that a machine that changes changes them all.

  bare       no alarms, no tariff; voltage events off. Day, month and demand are always followed
  alarms     16 alarms for each device, all that there can be, of which none begins
  costs      a tariff with windows, dynamic prices, and CO2 intensities
  voltage    voltage events
  all        all of these, and a balanced sum over all channels
"""

import argparse
import json
import pathlib
import statistics
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "integration"))

import harness  # noqa: E402

DEVICES, INTERVAL_MS, SETTLE_S = 10, 200, 8
ALARMS = [{"name": f"n{n}", "when": f"{('power_a', 'voltage_b', 'current_a', 'energy_today')[n % 4]} > {100000 + n}", "for": "1s",
           "until": f"{('power_a', 'voltage_b', 'current_a', 'energy_today')[n % 4]} < 1"} for n in range(16)]
TARIFF = [{"currency": "EUR", "price": 0.1, "dynamic": True, "factor": 1.19, "standing_charge": 0.4,
           "windows": [{"from": "22:00", "to": "06:00", "price": 0.05}]}]
VARIANTS = {"bare": (), "alarms": ("alarms",), "costs": ("costs",), "voltage": ("voltage",), "all": ("alarms", "costs", "voltage", "sum")}


def configure(folder, url, parts):
    devices = []
    for number in range(DEVICES):
        device = {"id": f"d{number}", "driver": "simulator", "interval": f"{INTERVAL_MS}ms", "report_interval": "10s",
                  "channels": {"a": {}, "b": {}}, "mains": {"events": {"enabled": "voltage" in parts}}}
        if "alarms" in parts:
            device["alarms"] = ALARMS
        devices.append(device)
    if "sum" in parts:
        devices.append({"id": "grid", "driver": "virtual", "channels": {
            "net": {"balance": True, "sum": [f"d{number}/{channel}" for number in range(DEVICES) for channel in "ab"]}}})
    path = harness.write_config(folder, url, devices, bridge={"log_level": "warning"}, history={"commit_interval": "5s"})
    if "costs" in parts:
        document = json.loads(path.read_text())
        document.update(tariffs=TARIFF, prices={"file": "prices.json"}, co2={"file": "prices.json"})
        path.write_text(json.dumps(document))
        start = int(time.time()) // 900 * 900 - 96 * 900
        rows = [{"start": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(start + 900 * n)), "value": n / 1000} for n in range(192)]
        (pathlib.Path(folder) / "data").mkdir(exist_ok=True)
        (pathlib.Path(folder) / "data/prices.json").write_text(json.dumps(rows))
    return path


def cpu_seconds(pid):
    return sum(int((task / "schedstat").read_text().split()[0]) for task in pathlib.Path(f"/proc/{pid}/task").iterdir()) / 1e9


def resident_mb(pid):
    line = next(line for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def measure(binary, parts, seconds):
    """CPU seconds for an hour, MB."""
    with tempfile.TemporaryDirectory(prefix="bl2mqtt-bench-") as folder:
        broker = harness.Broker(folder)
        service = harness.Process([binary, "--config", configure(folder, broker.url, parts), "run"])
        watch = broker.subscribe(f"bl2mqtt/d{DEVICES - 1}")
        watch.wait(f"bl2mqtt/d{DEVICES - 1}", lambda s: s["power_a"] is not None and s["energy_today"] is not None, 60)
        time.sleep(SETTLE_S)
        before, begun = cpu_seconds(service.pid), time.monotonic()
        time.sleep(seconds)
        cpu = (cpu_seconds(service.pid) - before) / (time.monotonic() - begun) * 3600
        memory = resident_mb(service.pid)
        assert service.running(), service.output[-2000:]
        service.stop()
        watch.close()
        broker.stop()
        return cpu, memory


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default=str(harness.ROOT / "build/release/bridge/bl2mqtt"))
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    harness.BINARY = options.binary
    found = {name: [] for name in VARIANTS}
    for _ in range(options.rounds):
        for name, parts in VARIANTS.items():
            found[name].append(measure(options.binary, parts, options.seconds))
    for name, values in found.items():
        cpu, memory = (statistics.median(column) for column in zip(*values))
        print(f"figure: {name}: {cpu:.1f} s of CPU an hour at 100 readings a second, RSS {memory:.2f} MB", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
