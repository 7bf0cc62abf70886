# SPDX-License-Identifier: MIT
"""The loop keeps polling on time while the disk or the name server hangs; and what systemd is told
about it. Evidence are the stamps of consecutive readings in the database."""

import contextlib
import os
import pathlib
import signal
import socket
import threading
import time

import yaml

import house
from harness import BINARY, during, pause, preloaded, wait_for, write_config

FULL = os.environ.get("TEST_FULL") == "1"
INTERVAL_MS = 500
MARGIN_MS = 400  # less than one interval: not a single poll may be missed
STOP_S = next(float(line.split("=")[1].rstrip("s\n")) for line in
              open(pathlib.Path(__file__).parents[2] / "packaging/bl2mqtt.service.in") if line.startswith("TimeoutStopSec"))


def start(spawn, folder, server, env):
    config = write_config(folder, server, [house.house(folder, f"{INTERVAL_MS}ms", report_interval="500ms")])
    return spawn("--config", config, "run", env=env)


def seconds(began):
    return time.monotonic() - began


def reading_age_ms(stored):
    with contextlib.suppress(Exception):  # no table yet
        return time.time() * 1000 - stored.newest_ms()
    return 0


def wait_stored(stored, count=3):
    def there():
        with contextlib.suppress(Exception):
            return len(stored.rows("a")) >= count and len(stored.rows("b")) >= count
    wait_for(there, 15, "the first stored readings", every=0.1)


def assert_on_time(stored, what, since_ms=0):
    for name in "ab":
        distances = stored.distances(name, since_ms)
        assert len(distances) > 5
        print(f"figure: {what}: channel {name}: {len(distances)} distances of {INTERVAL_MS} ms, "
              f"p99 {house.percentile(distances, 99)} ms, max {max(distances)} ms")
        assert max(distances) <= INTERVAL_MS + MARGIN_MS


def test_disk_stalls(folder, broker, spawn, chips):
    switch, stored = folder / "stall", house.Stored(folder)
    watch = broker.subscribe("bl2mqtt/#", "homeassistant/#")
    process = start(spawn, folder, broker.url,
                    preloaded("slow_fsync", SLOW_FSYNC_MS=5000, SLOW_FSYNC_FILE=switch))
    wait_stored(stored)
    for name, chip in chips.items():
        house.load(chip, {"a": 13700, "b": -9000}[name])
    switch.touch()
    wait_for(lambda: reading_age_ms(stored) > 2000, 5, "the disk to stall")
    # What a user sets is stored too. That must not make the loop wait for the disk either.
    broker.publish("bl2mqtt/house/set", {"report_interval": 1})
    oldest = max(reading_age_ms(stored) for _ in during(2.5, every=0.1))
    switch.unlink()
    assert oldest > 4000, "the stall was not felt; nothing was tested"
    wait_for(lambda: reading_age_ms(stored) < 2000, 15, "the disk to come back")
    house.settle(chips, folder)
    assert_on_time(stored, "fsync stalls 5 s")
    assert process.stop() == 0
    stored.assert_consistent()
    states = [m["at"] for m in watch.messages if m["topic"] == "bl2mqtt/house"]
    print(f"figure: maximum silence on MQTT {max(b - a for a, b in zip(states, states[1:])):.2f} s")
    assert max(b - a for a, b in zip(states, states[1:])) < 2.2
    house.judge_states(watch.messages, house.announced_keys(watch.messages))
    assert yaml.safe_load((folder / "bridge.yaml").read_text())["devices"][0]["report_interval"] == "1s"


def test_name_server_hangs(folder, broker, spawn, chips):
    hang = 30 if FULL else 7
    stored = house.Stored(folder)
    watch = broker.subscribe("bl2mqtt/#")
    with Notified(folder) as manager:
        began = time.monotonic()
        process = start(spawn, folder, f"mqtt://broker.test:{broker.port}",
                        {**preloaded("slow_dns", SLOW_DNS_MS=hang * 1000), **manager.environment(3)})
        wait_stored(stored)
        for name, chip in chips.items():
            house.load(chip, {"a": 13700, "b": -9000}[name])
        watch.wait("bl2mqtt/bridge/state", lambda s: s == {"state": "online"}, timeout=hang + 10)
        assert seconds(began) >= hang
        assert_on_time(stored, f"name look-up hangs {hang} s")
        assert manager.longest_hunger() < 3  # a dead name server is no reason to be killed
    house.settle(chips, folder)
    assert process.stop() == 0
    stored.assert_consistent()


def test_both_hang_and_the_service_is_stopped(folder, broker, spawn, chips):
    switch, stored = folder / "stall", house.Stored(folder)
    env = preloaded("slow_dns", "slow_fsync", SLOW_DNS_MS=60000, SLOW_FSYNC_MS=60000, SLOW_FSYNC_FILE=switch)
    process = start(spawn, folder, f"mqtt://broker.test:{broker.port}", env)
    wait_stored(stored)
    for name, chip in chips.items():
        house.load(chip, {"a": 13700, "b": -9000}[name])
    switch.touch()
    wait_for(lambda: reading_age_ms(stored) > (10000 if FULL else 3000), 15, "the disk to stall")
    began = time.monotonic()
    assert process.stop(timeout=STOP_S) == 0
    print(f"figure: disk and name server hang: stopped {seconds(began):.1f} s after SIGTERM (systemd allows {STOP_S:.0f})")
    assert "lost" in process.output  # it says what that means for the readings

    # The energy of that time is there with the next start, to the count.
    switch.unlink()
    process = start(spawn, folder, broker.url, None)
    house.settle(chips, folder, timeout=15)
    assert process.stop() == 0
    stored.assert_consistent()


def test_history_in_use(folder, broker, spawn, chips):
    """A start that finds the history in use ends in a way that makes systemd try again, not with 2, which
    stands for a configuration that must be changed first: the other one may be itself. So it is after a
    reload while the disk hangs, when the old history cannot be let go."""
    switch, stored = folder / "stall", house.Stored(folder)
    env = preloaded("slow_fsync", SLOW_FSYNC_MS=60000, SLOW_FSYNC_FILE=switch)
    process = start(spawn, folder, broker.url, env)
    wait_stored(stored)
    second = start(spawn, folder, broker.url, None)
    wait_for(lambda: not second.running(), 10, "the end of the second one")
    assert second.stop() == 1 and "in use" in second.output, second.output
    if FULL:
        switch.touch()
        wait_for(lambda: reading_age_ms(stored) > 2000, 5, "the disk to stall")
        process.signal(signal.SIGHUP)
        wait_for(lambda: not process.running(), 15, "the end")
        assert process.stop() == 1, process.output


def test_both_hang_for_a_while(folder, broker, spawn, chips):
    switch, stored = folder / "stall", house.Stored(folder)
    hang = 30 if FULL else 7
    env = preloaded("slow_dns", "slow_fsync", SLOW_DNS_MS=hang * 1000, SLOW_FSYNC_MS=5000, SLOW_FSYNC_FILE=switch)
    process = start(spawn, folder, f"mqtt://broker.test:{broker.port}", env)
    watch = broker.subscribe("bl2mqtt/#")
    wait_stored(stored)
    for name, chip in chips.items():
        house.load(chip, {"a": 13700, "b": -9000}[name])
    switch.touch()
    wait_for(lambda: reading_age_ms(stored) > 4000, 15, "the disk to stall")
    switch.unlink()
    watch.wait("bl2mqtt/house", lambda s: s["power_a"] is not None, timeout=hang + 10)
    wait_for(lambda: reading_age_ms(stored) < 2000, 15, "the disk to come back")
    house.settle(chips, folder)
    assert_on_time(stored, f"fsync stalls 5 s while the name look-up hangs {hang} s")
    assert process.stop() == 0
    stored.assert_consistent()


# ---- systemd ----

class Notified:
    """The receiving end of NOTIFY_SOCKET."""

    def __init__(self, folder):
        self.path = str(folder / "notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.received = []  # (when, text)
        threading.Thread(target=self._listen, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.shutdown(socket.SHUT_RDWR)  # ends the thread
        self.socket.close()

    def _listen(self):
        while True:
            text = self.socket.recv(4096).decode()
            if not text:
                return
            self.received.append((time.monotonic(), text))

    def environment(self, watchdog_s):
        return {"NOTIFY_SOCKET": self.path, "WATCHDOG_USEC": str(watchdog_s * 1000000)}

    def count(self, line):
        return sum(line in text.splitlines() for _, text in list(self.received))

    def longest_hunger(self):
        """Seconds between READY or a meal, and the next or now."""
        fed = [when for when, text in list(self.received) if "WATCHDOG=1" in text or "READY=1" in text]
        return max((b - a for a, b in zip(fed, fed[1:] + [time.monotonic()])), default=float("inf"))


def test_what_systemd_is_told(folder, broker, spawn, chips):
    switch = folder / "stall"
    config = write_config(folder, broker.url, [house.house(folder)])
    with Notified(folder) as manager:
        env = {**preloaded("slow_fsync", SLOW_FSYNC_MS=6000, SLOW_FSYNC_FILE=switch), **manager.environment(3)}
        # systemd names the process that it expects to hear from; exec keeps the shell's number.
        process = spawn("-c", 'WATCHDOG_PID=$$ exec "$0" "$@"', BINARY, "--config", config, "run", env=env,
                        program="/bin/sh")
        wait_for(lambda: manager.count("READY=1") == 1, 10, "READY=1")
        assert manager.received[0][1].startswith("READY=1\nSTATUS=Running")
        pause(6, "how often it is fed is counted")
        print(f"figure: watchdog of 3 s: fed every {manager.longest_hunger():.2f} s at most")
        assert manager.longest_hunger() < 2.9

        # Longer in one fsync than the watchdog allows: it must not be fed any more, until it goes on.
        switch.touch()
        pause(2.8, "it begins with the next commit; what went on before is still a meal")
        switch.unlink()
        fed = manager.count("WATCHDOG=1")
        pause(2.8, "it may not be fed meanwhile")
        assert manager.count("WATCHDOG=1") == fed
        wait_for(lambda: manager.count("WATCHDOG=1") > fed, 12, "the watchdog to be fed again")
        assert manager.longest_hunger() > 3

        assert manager.count("RELOADING=1") == 0 and manager.count("READY=1") == 1
        process.signal(signal.SIGHUP)
        wait_for(lambda: manager.count("READY=1") == 2, 10, "READY=1 after SIGHUP")
        words = [word for _, text in manager.received for word in text.splitlines() if word in ("RELOADING=1", "READY=1")]
        assert words == ["READY=1", "RELOADING=1", "READY=1"]
        fed = manager.count("WATCHDOG=1")
        wait_for(lambda: manager.count("WATCHDOG=1") > fed, 6, "the watchdog to be fed after the reload")
        assert manager.count("STOPPING=1") == 0
        assert process.stop() == 0
        assert manager.count("STOPPING=1") == 1


def test_no_watchdog_for_another_process(folder, broker, spawn, chips):
    """WATCHDOG_PID of another process: not ours to feed."""
    with Notified(folder) as manager:
        config = write_config(folder, broker.url, [house.house(folder)])
        process = spawn("--config", config, "run", env={**manager.environment(1), "WATCHDOG_PID": "1"})
        wait_for(lambda: manager.count("READY=1") == 1, 10, "READY=1")
        pause(1.5, "it may not be fed meanwhile")
        assert manager.count("WATCHDOG=1") == 0
        assert process.stop() == 0
