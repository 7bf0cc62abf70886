#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Figures of many devices that come and go while a meter is read: how long it takes, memory before, at most,
with them, and after they were removed, CPU, and how late the meter's polls were meanwhile. A second part
reads devices with a mapping: memory and CPU for 1,000 of them. Prints; never passes or fails.

    tests/bench/bench_adopt.py [--modules 2500] [--mapped 1000] [--interval 10]
                               [--binary build/release/bridge/bl2mqtt]

--interval N: each mapped meter sends a message every N seconds.
"""

import argparse
import json
import os
import pathlib
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration"))

import harness  # noqa: E402
import house  # noqa: E402
from module_messages import Module, publish_packet  # noqa: E402

SETTLE_S = 10
LONGEST_S = 90
MEASURE_S = 30


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mb(pid, key="VmRSS"):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(key):
            return int(line.split()[1]) / 1024
    return 0


def lateness(folder, since_ms):
    """Milliseconds that the meter's polls were late: 99 of 100, and the latest."""
    late = sorted(distance - 200 for distance in house.Stored(folder).distances("a", since_ms))
    return (late[len(late) * 99 // 100], late[-1]) if late else (0, 0)


def requests(broker, name, key, wanted, there):
    """Asks for all that is missing until it is done: a burst may be more than the bridge takes at once."""
    watch = broker.subscribe("bl2mqtt/bridge/devices")
    sender = Module(broker.port, "bench-sender")
    begin = time.monotonic()
    while time.monotonic() - begin < LONGEST_S:
        lists = watch.payloads("bl2mqtt/bridge/devices")
        known = {device["id"] for device in json.loads(lists[-1])} if lists else set()
        missing = [one for one in wanted if (one in known) != there]
        if lists and not missing:
            break
        sender.socket.sendall(b"".join(publish_packet(f"bl2mqtt/bridge/request/{name}", json.dumps(body))
                                       for body in map(key, missing)))
        count = len(lists)
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            time.sleep(0.2)
            if len(watch.payloads("bl2mqtt/bridge/devices")) > count:
                count, deadline = len(watch.payloads("bl2mqtt/bridge/devices")), time.monotonic() + 5
    watch.close()
    return [one for one in wanted if one not in missing]


def step(words, bridge, folder, work):
    since_ms, begin, cpu = time.time() * 1000, time.monotonic(), cpu_seconds(bridge.pid)
    done = work()
    seconds = time.monotonic() - begin
    time.sleep(SETTLE_S)
    p99, latest = lateness(folder, since_ms)
    print(f"{words:9} {len(done):5} in {seconds:5.1f} s, CPU {cpu_seconds(bridge.pid) - cpu:5.1f} s, "
          f"polls late {p99} ms (99 of 100), {latest} ms at most; memory {memory_mb(bridge.pid):.1f} MB")
    return done


def adoption(options, folder, broker, bridge):
    before = memory_mb(bridge.pid)
    print(f"before    memory {before:.1f} MB")
    ids = [f"m{n:04d}" for n in range(options.modules)]
    step("adopted", bridge, folder, lambda: requests(
        broker, "device/adopt", lambda one: {"topic": f"bench/{one}", "id": one, "channels": ["a"]}, ids, True))
    with_them = memory_mb(bridge.pid)
    step("removed", bridge, folder, lambda: requests(broker, "device/remove", lambda one: {"id": one}, ids, False))
    after = memory_mb(bridge.pid)
    print(f"memory    {(with_them - before) * 1024 / options.modules:.1f} kB a device, {after - before:+.1f} MB "
          f"after they left, {memory_mb(bridge.pid, 'VmHWM'):.0f} MB at most")


def start(options, folder, broker, devices):
    config = harness.write_config(folder, broker.url, devices, bridge={"log_level": "error"},
                                  homeassistant={"enabled": True})
    bridge = harness.Process([options.binary, "--config", config, "run"])
    broker.subscribe("bl2mqtt/bridge/state").wait("bl2mqtt/bridge/state", lambda s: s["state"] == "online", timeout=120)
    time.sleep(SETTLE_S)
    return bridge


def mapped(options, folder, broker):
    empty = start(options, folder, broker, [])
    base = memory_mb(empty.pid)
    empty.stop(timeout=60)
    devices = [{"id": f"t{n:04d}", "driver": "mqtt", "mapping": "tasmota", "topic": f"t{n:04d}", "channels": {"a": {}}}
               for n in range(options.mapped)]
    bridge = start(options, folder, broker, devices)
    idle = memory_mb(bridge.pid)
    sender = Module(broker.port, "bench-mapped")
    begin, cpu, sent = time.monotonic(), cpu_seconds(bridge.pid), 0
    while (now := time.monotonic() - begin) < MEASURE_S:
        while sent < now * options.mapped / options.interval:
            turn = sent // options.mapped
            payload = json.dumps({"ENERGY": {"Total": round(10 + turn / 1000, 3), "Power": 430 + turn % 7, "Voltage": 230,
                                             "Current": 1.9}})
            sender.socket.sendall(publish_packet(f"tele/t{sent % options.mapped:04d}/SENSOR", payload))
            sent += 1
        time.sleep(0.02)
    cpu = cpu_seconds(bridge.pid) - cpu
    rss = memory_mb(bridge.pid)
    print(f"mapped    {options.mapped} meters, a message every {options.interval} s each: memory {idle:.1f} MB at rest, "
          f"{rss:.1f} MB at work, {base:.1f} MB without them: {(rss - base) * 1024 / options.mapped:.1f} kB a meter; "
          f"{100 * cpu / MEASURE_S:.1f} % of a core")
    bridge.stop(timeout=60)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--modules", type=int, default=2500)
    parser.add_argument("--mapped", type=int, default=1000)
    parser.add_argument("--interval", type=float, default=10)
    parser.add_argument("--binary", default=harness.BINARY)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bl2mqtt-bench-") as path:
        path = pathlib.Path(path)
        broker = harness.Broker(path)
        for name in ("adopt", "mapped"):
            (path / name).mkdir()
        if options.modules > 0:
            chip = house.meter(path / "adopt/usb-a")
            bridge = start(options, path / "adopt", broker,
                           [house.house(path / "adopt", interval="200ms", channels="a", report_interval="1s")])
            adoption(options, path / "adopt", broker, bridge)
            bridge.stop(timeout=60)
            chip.close()
        if options.mapped > 0:
            mapped(options, path / "mapped", broker)
        broker.stop()


if __name__ == "__main__":
    main()
