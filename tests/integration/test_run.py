# SPDX-License-Identifier: MIT
"""The main job on real bytes: simulated chips on ptys -> bl2mqtt run -> SQLite, MQTT, discovery."""

import json
import signal
import sqlite3
import subprocess
import time

import pytest

from harness import ROOT, SimulatedMeter, pause, run, wait_for, write_config

# Factors of the 80 A example board; the simulated chips are given the same.
VOLTAGE, CURRENT, POWER = 15883.34, 128118.87, 317.931
CALIBRATION = {"voltage": VOLTAGE, "current": CURRENT, "power": POWER}
FACTORS = ("--calibration", f"{VOLTAGE},{CURRENT},{POWER}")
KWH_PER_COUNT = 419430.4 / (3.6e6 * POWER)


def constant(volt, ampere, watt, hertz=50):
    return ("--voltage", volt, "--current", ampere, "--power", watt, "--frequency", hertz)


@pytest.fixture
def two_meters(folder):
    meters = [SimulatedMeter(folder / "usb-a", *FACTORS, *constant(231.4, 6.612, 1523.6)),
              SimulatedMeter(folder / "usb-b", *FACTORS, *constant(229.8, 0.934, -211.2, 50.06))]
    yield meters
    for meter in meters:
        meter.close()


def house(folder, **more):
    device = {"id": "house", "name": "House meter", "driver": "bl0942", "interval": "250ms",
              "report_interval": "1s",
              "channels": {"a": {"port": f"{folder}/usb-a", "calibration": CALIBRATION},
                           "b": {"port": f"{folder}/usb-b", "calibration": CALIBRATION}}}
    device.update(more)
    return device


def start(spawn, folder, broker, device=None, env=None, **sections):
    config = write_config(folder, broker.url, [device or house(folder)], **sections)
    process = spawn("--config", config, "run", env=env)
    return config, process


def database(folder):
    return sqlite3.connect(f"file:{folder}/data/history.db?mode=ro", uri=True)


def totals(folder):
    """(imported, exported) counts per channel name, as stored."""
    with database(folder) as db:
        return {name: (imported, exported) for name, imported, exported in db.execute(
            "SELECT c.channel, t.imported, t.exported FROM channel c JOIN total t ON t.channel = c.number")}


def first_counter(folder, channel):
    """The chip's counter when the channel was first seen: its total counts from there."""
    with database(folder) as db:
        counter, imported, exported = db.execute(
            "SELECT t.counter, t.imported, t.exported FROM channel c JOIN total t ON t.channel = c.number "
            "WHERE c.channel = ?", (channel,)).fetchone()
    return counter - imported - exported


def complete(state):
    return isinstance(state, dict) and state.get("power_a") is not None and state.get("power_b") is not None


def near(value, truth, percent=0.2, absolute=0.0):
    assert value == pytest.approx(truth, rel=percent / 100, abs=absolute), (value, truth)


def test_every_property_of_both_channels(folder, broker, spawn, two_meters):
    watch = broker.subscribe("bl2mqtt/#")
    start(spawn, folder, broker)
    state = watch.wait("bl2mqtt/house", complete)
    truth = [{"v": 231.4, "i": 6.612, "p": 1523.6, "f": 50.0}, {"v": 229.8, "i": 0.934, "p": -211.2, "f": 50.06}]
    for name, t in zip("ab", truth):
        apparent = t["v"] * t["i"]
        near(state[f"voltage_{name}"], t["v"])
        near(state[f"current_{name}"], t["i"], absolute=0.0006)
        near(state[f"power_{name}"], t["p"], absolute=0.06)
        near(state[f"power_apparent_{name}"], apparent, absolute=0.06)
        # A small difference of two large squares: its own error is what 0.2 % of S and P make of it.
        near(state[f"power_reactive_{name}"], (apparent**2 - t["p"]**2) ** 0.5, percent=3)
        near(state[f"power_factor_{name}"], 100 * t["p"] / apparent, absolute=0.51)
        near(state[f"ac_frequency_{name}"], t["f"], absolute=0.021)  # the chip's own steps of 0.02 Hz
        assert state[f"energy_flow_{name}"] == ("consuming" if t["p"] > 0 else "producing")
    near(state["power"], 1523.6 - 211.2, absolute=0.2)
    assert state["data_problem"] is False
    assert watch.payloads("bl2mqtt/house/availability")[-1] == '{"state":"online"}'
    assert watch.payloads("bl2mqtt/bridge/state")[-1] == '{"state":"online"}'


def test_energy_is_right_to_the_count(folder, broker, spawn):
    with_nothing = constant(230, 0, 0)
    meters = [SimulatedMeter(folder / "usb-a", *FACTORS, *with_nothing, "--first-count", 0xFFFFF0),
              SimulatedMeter(folder / "usb-b", *FACTORS, *with_nothing)]
    try:
        watch = broker.subscribe("bl2mqtt/house")
        _, process = start(spawn, folder, broker)
        # Counting begins with the second reading that others agree with; nothing flows before.
        watch.wait("bl2mqtt/house", lambda s: complete(s) and None not in (s["energy_a"], s["energy_b"]))
        before = [meter.truth() for meter in meters]
        meters[0].tell("load 230 60 13700")   # about 10 counts a second: it wraps within 2 s
        meters[1].tell("load 230 40 -9100")
        pause(4, "the counter wraps")
        for meter in meters:
            meter.tell("load 230 0 0")
        after = [meter.truth() for meter in meters]
        expected = {"a": (after[0]["counts_imported"] - before[0]["counts_imported"], 0),
                    "b": (0, after[1]["counts_exported"] - before[1]["counts_exported"])}
        assert expected["a"][0] > 25 and expected["b"][1] > 15
        # The refresh of WATT lags by up to 800 ms, so truth goes on a little after the load is gone.
        pause(1.5, "see above")
        after = [meter.truth() for meter in meters]
        expected = {"a": (after[0]["counts_imported"] - before[0]["counts_imported"], 0),
                    "b": (0, after[1]["counts_exported"] - before[1]["counts_exported"])}
        wait_for(lambda: totals(folder) == expected, 8, f"totals {expected}; they are {totals(folder)}")
        state = watch.wait("bl2mqtt/house", lambda s: complete(s) and (s["energy_a"] or 0) > 0)
        watch.clear()
        state = watch.wait("bl2mqtt/house", complete)
        assert state["energy_a"] == pytest.approx(expected["a"][0] * KWH_PER_COUNT, abs=0.001)
        assert state["energy_produced_b"] == pytest.approx(expected["b"][1] * KWH_PER_COUNT, abs=0.001)
        assert state["energy_b"] == 0 and state["energy_produced_a"] == 0
        assert process.stop() == 0
        assert totals(folder) == expected
    finally:
        for meter in meters:
            meter.close()


def test_clean_stop(folder, broker, spawn, two_meters):
    watch = broker.subscribe("bl2mqtt/#")
    _, process = start(spawn, folder, broker)
    wait_for(lambda: len(watch.payloads("bl2mqtt/house")) > 3, 10, "a few states")
    assert process.stop() == 0
    wait_for(lambda: watch.payloads("bl2mqtt/bridge/state")[-1] == '{"state":"offline"}', 5, "offline")
    with database(folder) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert db.execute("SELECT count(*) FROM reading").fetchone()[0] > 2


def test_last_will_after_kill(folder, broker, spawn, two_meters):
    watch = broker.subscribe("bl2mqtt/bridge/state")
    _, process = start(spawn, folder, broker)
    watch.wait("bl2mqtt/bridge/state", lambda s: s == {"state": "online"})
    process.signal(signal.SIGKILL)
    watch.wait("bl2mqtt/bridge/state", lambda s: s == {"state": "offline"})


def test_unplugged_and_back_under_another_name(folder, broker, spawn, two_meters):
    watch = broker.subscribe("bl2mqtt/#")
    start(spawn, folder, broker)
    watch.wait("bl2mqtt/house", lambda s: complete(s) and s["energy_a"] is not None)
    watch.clear()  # the states from before both channels had been read
    two_meters[0].tell("unplug")
    state = watch.wait("bl2mqtt/house", lambda s: s["power_a"] is None and s["power_b"] is not None)
    assert state["energy_a"] is not None and state["data_problem"] is True
    assert watch.payloads("bl2mqtt/house/availability") == []  # one channel is enough to be online
    two_meters[1].tell("unplug")
    watch.wait("bl2mqtt/house/availability", lambda s: s == {"state": "offline"})
    pause(1, "the chips count while nobody reads them")
    watch.clear()
    for meter in two_meters:
        meter.tell("replug")  # a new pty under the same link
    watch.wait("bl2mqtt/house/availability", lambda s: s == {"state": "online"}, timeout=15)
    watch.wait("bl2mqtt/house", complete, timeout=15)
    events = [json.loads(p)["type"] for p in watch.payloads("bl2mqtt/bridge/event")]
    assert "port_back" in events
    # What the chip counted while it was away is in the total, to the count.
    two_meters[0].tell("load 230 0 0")
    pause(1.5, "the chip's WATT lags behind the load")
    truth = two_meters[0].truth()["counter"] - first_counter(folder, "a")
    wait_for(lambda: totals(folder)["a"][0] == truth, 8, f"{truth} counts; stored are {totals(folder)}")


def test_broker_away(folder, broker, spawn, two_meters):
    watch = broker.subscribe("bl2mqtt/#")
    _, process = start(spawn, folder, broker)
    watch.wait("bl2mqtt/house", complete)
    watch.close()
    broker.stop()
    process.wait_line("onnection", timeout=10)
    pause(3, "nobody takes the messages meanwhile")
    with database(folder) as db:
        before = db.execute("SELECT count(*) FROM reading").fetchone()[0]

    def stored():
        with database(folder) as db:
            return db.execute("SELECT count(*) FROM reading").fetchone()[0]

    wait_for(lambda: stored() > before + 8, 5, "readings to be stored without a broker")
    broker.start()
    returned = time.monotonic()
    watch = broker.subscribe("bl2mqtt/#", "homeassistant/#")
    watch.wait("bl2mqtt/bridge/state", lambda s: s == {"state": "online"}, timeout=35)
    connected = time.monotonic()
    watch.wait("bl2mqtt/house/availability", lambda s: s == {"state": "online"}, timeout=5)
    watch.wait("bl2mqtt/house", complete, timeout=5)
    watch.wait("homeassistant/device/bl2mqtt_test_house/config", lambda c: "components" in c, timeout=5)
    print(f"figure: broker back -> online {connected - returned:.1f} s -> all right {time.monotonic() - connected:.2f} s")


def test_killed_again_and_again_loses_no_energy(folder, broker, spawn):
    meter = SimulatedMeter(folder / "usb-a", *FACTORS, *constant(230, 50, 11000))
    try:
        device = house(folder, channels={"a": {"port": f"{folder}/usb-a", "calibration": CALIBRATION}})
        watch = broker.subscribe("bl2mqtt/house")
        config, process = start(spawn, folder, broker, device)
        watch.wait("bl2mqtt/house", lambda s: s["energy"] and s["energy"] > 0)
        floor = 0.0
        baseline = None
        for round_number in range(4):
            pause(0.7 + 0.4 * round_number, "the moment of the kill is the input")
            if baseline is None:
                baseline = first_counter(folder, "a")
            process.signal(signal.SIGKILL)
            floor = max([floor] + [json.loads(p)["energy"] or 0 for p in watch.payloads("bl2mqtt/house")])
            pause(0.3, "the chip counts while nobody reads it")
            watch.clear()
            process = spawn("--config", config, "run")
            state = watch.wait("bl2mqtt/house", lambda s: s["energy"] is not None)
            assert state["energy"] >= 0
            watch.wait("bl2mqtt/house", lambda s: s["power"] is not None, timeout=15)
        meter.tell("load 230 0 0")
        pause(1.5, "the chip's WATT lags behind the load")
        truth = meter.truth()["counter"] - baseline
        wait_for(lambda: totals(folder)["a"][0] == truth, 8, f"{truth} counts; stored {totals(folder)}")
        assert floor <= totals(folder)["a"][0] * KWH_PER_COUNT + 0.001
        with database(folder) as db:
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            assert db.execute("SELECT sum(imported) FROM reading").fetchone()[0] == truth
    finally:
        meter.close()


def test_reload_takes_the_new_configuration(folder, broker, spawn, two_meters):
    watch = broker.subscribe("bl2mqtt/#", "homeassistant/#")
    config, process = start(spawn, folder, broker)
    watch.wait("bl2mqtt/house", complete)
    write_config(folder, broker.url, [house(folder, id="garage", name="Garage")])
    process.signal(signal.SIGHUP)
    watch.wait("bl2mqtt/garage", complete)
    # The old device is gone from Home Assistant, and its retained topics with it.
    wait_for(lambda: watch.payloads("homeassistant/device/bl2mqtt_test_house/config")[-1] == "", 8,
             "the old device's discovery to be cleared")
    wait_for(lambda: watch.payloads("bl2mqtt/house/availability")[-1] == "", 8, "the old availability to be cleared")
    # A broken configuration does not touch a running bridge.
    config.write_text("devices: [")
    watch.clear()
    process.signal(signal.SIGHUP)
    process.wait_line("stays in force")
    broker.publish("bl2mqtt/bridge/request/restart", {"transaction": 1})
    answer = watch.wait("bl2mqtt/bridge/response/restart")
    assert answer["status"] == "error" and "bridge.yaml:2:1:" in answer["error"]
    watch.wait("bl2mqtt/garage", complete)
    assert watch.payloads("bl2mqtt/bridge/state") == []
    assert process.stop() == 0


def test_history_energy_answers_while_the_service_runs(folder, broker, spawn, two_meters):
    watch = broker.subscribe("bl2mqtt/house")
    config, process = start(spawn, folder, broker)
    watch.wait("bl2mqtt/house", lambda s: complete(s) and (s["energy_a"] or 0) > 0, timeout=15)
    pause(1.5, "a commit")
    result = run("--config", config, "history", "energy", "--device", "house", "--channel", "a", "--from", "today",
                 "--to", "now", "--bucket", "day", "--json", env={"TZ": "Europe/Berlin"})
    assert result.returncode == 0, result.stderr
    rows = json.loads(result.stdout)
    assert len(rows) == 1
    assert rows[0]["energy_kwh"] > 0 and rows[0]["energy_produced_kwh"] == 0
    near(rows[0]["power_mean_w"], 1523.6)
    assert rows[0]["start"].endswith(("+01:00", "+02:00"))


def test_ids_and_errors_of_requests(folder, broker, spawn, two_meters):
    watch = broker.subscribe("bl2mqtt/#")
    start(spawn, folder, broker)
    watch.wait("bl2mqtt/house", complete)

    def ask(name, payload):
        watch.clear()
        broker.publish(f"bl2mqtt/bridge/request/{name}", payload)
        return watch.wait(f"bl2mqtt/bridge/response/{name}")

    answer = ask("health_check", {"transaction": "t1"})
    assert answer["status"] == "ok" and answer["transaction"] == "t1" and answer["data"]["healthy"] is True
    answer = ask("device/energy/set", {"id": "house", "channel": "a", "energy": 4711.5, "transaction": 7})
    assert answer["status"] == "ok" and answer["transaction"] == 7
    assert watch.wait("bl2mqtt/house", lambda s: (s["energy_a"] or 0) >= 4711.5)["energy_a"] < 4711.6
    for bad in ({"id": "nobody", "channel": "a", "energy": 1}, {"id": "house", "channel": "z", "energy": 1},
                {"id": "house", "channel": "a", "energy": -1}, {"id": "house", "channel": "a", "energy": "5"},
                {"id": "house"}, "nonsense", {"id": "house", "channel": "a", "energy": 1, "enregy_produced": 2}, b"\x00\xff", "[" * 5000, {"id": "house", "channel": "a", "energy": 1e300}):
        answer = ask("device/energy/set", bad)
        assert answer["status"] == "error" and answer["error"].endswith("."), (bad, answer)
    assert ask("no/such/request", {})["status"] == "error"

    broker.publish("bl2mqtt/house/set", {"report_interval": 3})
    assert watch.wait("bl2mqtt/house", lambda s: s["report_interval"] == 3)
    for bad in ({"report_interval": 0}, {"report_interval": "x"}, "5", "[" * 9000, {"voltage_a": 1}):
        broker.publish("bl2mqtt/house/set", bad)
    answer = ask("health_check", "")
    assert answer["status"] == "ok"


def test_several_chips_on_one_line(folder, broker, spawn):
    meter = SimulatedMeter(folder / "bus", *FACTORS, *constant(230, 1, 200), addresses=(0, 1, 2, 3))
    try:
        for address in range(4):
            meter.tell(f"@{address} load {230 + address} {address + 1} {100 * (address + 1)}")
        channels = {name: {"port": f"{folder}/bus", "address": address, "calibration": CALIBRATION}
                    for address, name in enumerate("abcd")}
        watch = broker.subscribe("bl2mqtt/house")
        start(spawn, folder, broker, house(folder, channels=channels, interval="1s"))
        state = watch.wait("bl2mqtt/house", lambda s: all(s[f"power_{c}"] for c in "abcd"), timeout=20)
        pause(2, "all averages are of the load")
        watch.clear()
        state = watch.wait("bl2mqtt/house", lambda s: all(s[f"power_{c}"] for c in "abcd"))
        for address, name in enumerate("abcd"):
            near(state[f"voltage_{name}"], 230 + address)
            near(state[f"power_{name}"], 100 * (address + 1), absolute=0.06)
        near(state["power"], 1000, absolute=0.5)
    finally:
        meter.close()


def test_simulator_driver_needs_no_hardware(folder, broker, spawn):
    device = {"id": "toy", "driver": "simulator", "channels": {"a": {"load": "household"}}}
    watch = broker.subscribe("bl2mqtt/toy")
    _, process = start(spawn, folder, broker, device, env={"BL2MQTT_BRIDGE__LOG_LEVEL": "debug"})
    state = watch.wait("bl2mqtt/toy", lambda s: s["voltage"] is not None)
    assert 200 < state["voltage"] < 260 and 49 < state["ac_frequency"] < 51
    process.wait_line("toy a: as measured, voltage ")
    # 4 MB that a service without HTTP has no use for.
    with open(f"/proc/{process.pid}/maps", encoding="ascii") as maps:
        assert "libcurl" not in maps.read()


def test_demo_runs_and_leaves_nothing_behind(folder, tmp_path):
    process = subprocess.run([str(ROOT / "scripts/demo"), "--raw", "--seconds", "6"], capture_output=True, text=True,
                             timeout=200, env={"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin", "TMPDIR": str(folder),
                                               "HOME": str(tmp_path)})
    assert process.returncode == 0, process.stderr
    assert "bl2mqtt/house {" in process.stdout and '"power_b":' in process.stdout
    assert "history energy" in process.stdout
    assert list(folder.iterdir()) == []
    left = subprocess.run(["pgrep", "-f", str(folder)], capture_output=True, text=True)
    assert left.stdout == ""


def test_start_is_no_problem_and_damage_is_told(folder, broker, spawn, two_meters):
    """Nothing is called a problem at a start; a database thrown aside is reported, and totals do not fall."""
    watch = broker.subscribe("bl2mqtt/#")
    config, process = start(spawn, folder, broker)
    watch.wait("bl2mqtt/house", lambda s: complete(s) and (s["energy_a"] or 0) > 0.001, timeout=20)
    assert not any(s["data_problem"] for s in map(json.loads, watch.payloads("bl2mqtt/house")))
    assert process.stop() == 0
    before = json.loads(watch.payloads("bl2mqtt/house")[-1])
    (folder / "data/history.db").write_bytes(bytes(range(256)) * 400)
    watch.clear()
    process = spawn("--config", config, "run")
    event = watch.wait("bl2mqtt/bridge/event", lambda e: e["type"] == "history_renewed")
    assert str(folder / "data/history.db.damaged-") in event["message"]
    watch.wait("bl2mqtt/bridge/health", lambda h: h["problem"] is True)
    watch.wait("bl2mqtt/house", lambda s: complete(s) and s["energy_a"] is not None)
    for state in map(json.loads, watch.payloads("bl2mqtt/house")):
        for key in ("energy", "energy_a", "energy_produced_b"):
            assert state[key] is None or state[key] >= before[key], (key, state[key], before[key])
        assert state["data_problem"] is False
    assert len(list((folder / "data").glob("history.db.damaged-*"))) >= 1
