# SPDX-License-Identifier: MIT
"""`bl2mqtt calibrate` against simulated chips whose true factors are not the configured ones."""

import json
import sqlite3
import threading

import pytest

from harness import SimulatedMeter, run, wait_for, write_config

CONFIGURED = {"voltage": 15883.3, "current": 128118.9, "power": 317.9313}
CHIP = {"voltage": 15883.3 * 1.03, "current": 128118.9 * 1.02, "power": 317.9313 * 1.03 * 1.02}
TRUE = ("--voltage", 231.4, "--current", 6.612, "--power", 1520.0)


def meter(folder, volts=231.4, amperes=6.612, watts=1520.0):
    factors = ",".join(str(CHIP[name]) for name in ("voltage", "current", "power"))
    return SimulatedMeter(folder / "usb-a", "--calibration", factors, "--voltage", volts, "--current",
                          amperes, "--power", watts, "--frequency", 50)


@pytest.fixture
def chip(folder):
    instance = meter(folder)
    yield instance
    instance.close()


def configure(folder, url, calibration=None, **history):
    channel = {"port": f"{folder}/usb-a", **({"calibration": calibration} if calibration else {})}
    device = {"id": "house", "driver": "bl0942", "interval": "250ms", "report_interval": "250ms",
              "channels": {"a": channel}}
    return write_config(folder, url, [device], history={"commit_interval": "250ms", **history})


def calibrate(config, *args, seconds=2, expected=0):
    result = run("--config", config, "calibrate", "--device", "house", "--channel", "a", "--seconds",
                 seconds, *args, "--json")
    assert result.returncode == expected, result.stderr
    return json.loads(result.stdout) if expected == 0 else result.stderr.splitlines()[-1]


def calibrations(folder):
    with sqlite3.connect(f"file:{folder}/data/history.db?mode=ro", uri=True) as db:
        return db.execute("SELECT voltage, current, power, origin FROM calibration ORDER BY id").fetchall()


def near(answer, percent=0.2):
    for name in CHIP:
        assert answer["new"][name] == pytest.approx(CHIP[name], rel=percent / 100), answer


def test_with_the_service_running(folder, broker, spawn, chip):
    config = configure(folder, broker.url)
    watch = broker.subscribe("bl2mqtt/#")
    service = spawn("--config", config, "run")
    first = watch.wait("bl2mqtt/house", lambda s: isinstance(s, dict) and s.get("power"))
    assert first["power"] == pytest.approx(1520 * 1.03 * 1.02, rel=0.005)  # wrong factors
    chip.tell("load 231.4 60 13700")  # some energy, counted under the wrong factors
    watch.wait("bl2mqtt/house", lambda s: (s["energy"] or 0) > 0.005, timeout=15)
    watch.clear()
    chip.tell("load 231.4 6.612 1520")
    watch.wait("bl2mqtt/house", lambda s: (s["power"] or 9e9) < 1600)

    shown = calibrate(config, *TRUE, "--dry-run")
    assert not shown["stored"] and shown["valid_from"] is None
    near(shown)
    assert shown["old"]["voltage"] == pytest.approx(CONFIGURED["voltage"], rel=1e-5)
    assert shown["shown"]["voltage_v"] == pytest.approx(231.4 * 1.03, rel=0.002)
    assert shown["consistent"] and not shown["reversed"]
    assert len(calibrations(folder)) == 1

    watch.clear()
    answer = calibrate(config, *TRUE)
    near(answer)
    assert answer["stored"] and answer["valid_from"]
    state = watch.wait("bl2mqtt/house", lambda s: isinstance(s, dict) and s["power"] == pytest.approx(1520, rel=0.002))
    assert state["voltage"] == pytest.approx(231.4, abs=0.5)
    assert state["current"] == pytest.approx(6.612, rel=0.002)
    watch.wait("bl2mqtt/bridge/event", lambda e: e["type"] == "calibrated")
    energies = [json.loads(p)["energy"] for p in watch.payloads("bl2mqtt/house")]
    assert energies == sorted(energies) and energies[-1] - energies[0] < 0.01
    assert [row[3] for row in calibrations(folder)] == [1, 2]

    # it holds after a restart, without a word in bridge.yaml; and the total goes on
    assert service.stop() == 0
    with sqlite3.connect(f"file:{folder}/data/history.db?mode=ro", uri=True) as db:
        base, = db.execute("SELECT base_imported_uwh FROM total").fetchone()
    assert base > 0
    watch.clear()
    service = spawn("--config", config, "run")
    service.wait_line("uses the calibration that was measured")
    state = watch.wait("bl2mqtt/house", lambda s: isinstance(s, dict) and s.get("power"))
    assert state["power"] == pytest.approx(1520, rel=0.002)
    assert energies[-1] <= state["energy"] < energies[-1] + 0.01
    assert service.stop() == 0

    # until the configured factors are changed
    configure(folder, broker.url, CONFIGURED | {"power": 320.0})
    watch.clear()
    service = spawn("--config", config, "run")
    state = watch.wait("bl2mqtt/house", lambda s: isinstance(s, dict) and s.get("power"))
    assert state["power"] == pytest.approx(1520 * CHIP["power"] / 320, rel=0.002)
    assert state["energy"] >= energies[-1]
    assert [row[3] for row in calibrations(folder)] == [1, 2, 1]


def test_without_a_service(folder, broker, spawn, chip):
    config = configure(folder, broker.url, CONFIGURED)
    shown = calibrate(config, *TRUE, "--dry-run")
    near(shown)
    assert not (folder / "data/history.db").exists()
    answer = calibrate(config, *TRUE)
    near(answer)
    assert [row[3] for row in calibrations(folder)] == [1, 2]
    watch = broker.subscribe("bl2mqtt/#")
    service = spawn("--config", config, "run")
    service.wait_line("uses the calibration that was measured")
    state = watch.wait("bl2mqtt/house", lambda s: isinstance(s, dict) and s.get("power"))
    assert state["power"] == pytest.approx(1520, rel=0.002)
    assert service.stop() == 0

    # the line for bridge.yaml is the same calibration, now configured
    line = answer["config"]
    assert line.startswith("calibration: {voltage: ")
    pairs = (pair.split(": ") for pair in line[len("calibration: {"):-1].split(", "))
    configure(folder, broker.url, {name: float(factor) for name, factor in pairs})
    service = spawn("--config", config, "run")
    service.wait_line("house a is online")
    assert "totals go on" not in service.output and "that was measured" not in service.output
    rows = wait_for(lambda: len(calibrations(folder)) == 3 and calibrations(folder), what="the third row")
    assert rows[1][:3] == rows[2][:3] and rows[2][3] == 1


def test_loads_that_will_not_do(folder, broker):
    config = configure(folder, broker.url)
    instance = meter(folder, amperes=0.05, watts=11.0)
    try:
        assert "too small" in calibrate(config, "--power", 11, expected=4)
        assert "too small" in calibrate(config, "--current", 0.04, expected=4)
        assert "clamp is closed" in calibrate(config, "--power", 2000, expected=4)
        instance.tell("load 230 0 0")
        assert "no-load threshold" in calibrate(config, "--power", 40, expected=4)
        assert not calibrations(folder)
    finally:
        instance.close()


def test_an_unsteady_load(folder, broker):
    config = configure(folder, broker.url)
    instance = SimulatedMeter(folder / "usb-a", "--load", "household", "--seed", 7)
    try:
        instance.tell("load 230 4 900")
        timer = threading.Timer(1.5, lambda: instance.tell("load 230 4.4 1000"))
        timer.start()
        assert "unsteady" in calibrate(config, "--power", 950, seconds=3, expected=4)
        timer.join()
    finally:
        instance.close()


def test_three_factors_that_do_not_agree_are_told(folder, broker, chip):
    config = configure(folder, broker.url)
    result = run("--config", config, "calibrate", "--device", "house", "--channel", "a", "--seconds", 2,
                 "--power", 1400, "--dry-run")
    assert result.returncode == 0, result.stderr
    assert "do not agree" in result.stderr
    assert "Nothing was stored" in result.stdout and "calibration: {voltage:" in result.stdout


@pytest.mark.parametrize("args, words", [
    ((), "--device and --channel"),
    (("--device", "house", "--channel", "a"), "at least one true value"),
    (("--device", "house", "--channel", "a", "--power", "-40"), "0.001"),
    (("--device", "house", "--channel", "a", "--power", "40W"), "without a unit"),
    (("--device", "house", "--channel", "a", "--power", "40", "--seconds", "1"), "2 to 3600"),
    (("--device", "garden", "--channel", "a", "--power", "40"), "no device"),
    (("--device", "house", "--channel", "b", "--power", "40"), "no channel"),
])
def test_wrong_words(folder, args, words):
    config = configure(folder, "mqtt://127.0.0.1:1")
    result = run("--config", config, "calibrate", *args)
    assert result.returncode == 2 and words in result.stderr
    assert result.stdout == ""


def test_no_chip(folder):
    config = configure(folder, "mqtt://127.0.0.1:1")
    result = run("--config", config, "calibrate", "--device", "house", "--channel", "a", "--power", 40,
                 "--seconds", 2)
    assert result.returncode == 3
    assert "gave only 0 readings" in result.stderr


def test_a_service_without_a_broker_is_left_alone(folder, spawn, chip):
    config = configure(folder, "mqtt://127.0.0.1:1")
    service = spawn("--config", config, "run")
    service.wait_line("house a is online")
    result = run("--config", config, "calibrate", "--device", "house", "--channel", "a", *TRUE, "--seconds", 2)
    assert result.returncode == 3
    assert "calibration: {voltage:" in result.stdout and "could not be told" in result.stderr
    assert len(calibrations(folder)) == 1


def test_the_request_refuses_nonsense(folder, broker, spawn):
    config = write_config(folder, broker.url, [{"id": "house", "driver": "simulator", "channels": {"a": {}}}])
    watch = broker.subscribe("bl2mqtt/bridge/response/#")
    spawn("--config", config, "run").wait_line("house a is online")
    response = "bl2mqtt/bridge/response/device/calibration/set"
    for i, (body, words) in enumerate([
            ({"id": "house", "channel": "a"}, "which factors"),
            ({"id": "house", "channel": "a", "power": 0}, "from 1 to"),
            ({"id": "house", "channel": "a", "power": -300}, "from 1 to"),
            ({"id": "house", "channel": "z", "power": 300}, "no channel"),
            ({"id": "house", "channel": "a", "power": 300}, "contradict each other"),
            ({"id": "house", "channel": "a", "voltage": 17000}, "contradict each other"),
            ({"id": "barn", "channel": "a", "power": 300}, "no device")]):
        broker.publish("bl2mqtt/bridge/request/device/calibration/set", {**body, "transaction": i})
        answer = watch.wait(response, lambda a, i=i: a["transaction"] == i)
        assert answer["status"] == "error" and words in answer["error"], answer
    broker.publish("bl2mqtt/bridge/request/device/calibration/set",
                   {"id": "house", "channel": "a", "power": 300, "force": True, "transaction": 99})
    answer = watch.wait(response, lambda a: a["transaction"] == 99)
    assert answer["status"] == "ok" and answer["data"]["power"] == 300 and answer["data"]["voltage"] > 10000


def test_another_bridge_on_the_same_topics(folder, broker, spawn, chip):
    """Its retained bridge/info is not ours: nothing is asked. Its refusal is not our service's answer."""
    config = configure(folder, broker.url)
    service = spawn("--config", config, "run")
    service.wait_line("house a is online")
    info = broker.subscribe("bl2mqtt/bridge/info").wait("bl2mqtt/bridge/info", lambda i: isinstance(i, dict))
    ask = broker.subscribe("bl2mqtt/bridge/request/#")
    broker.publish("bl2mqtt/bridge/info", {**info, "bridge_id": "other"}, retain=True)
    said = calibrate(config, *TRUE, expected=4)
    assert '"other"' in said and "base_topic" in said
    assert not [m for m in ask.messages if m["topic"].endswith("calibration/set")]
    # ours again, and another one that refuses at once whatever it is asked
    broker.publish("bl2mqtt/bridge/info", info, retain=True)
    stop = threading.Event()

    def refuse():
        seen = 0
        while not stop.wait(0.005):
            for message in ask.messages[seen:]:
                seen += 1
                transaction = json.loads(message["payload"])
                broker.publish(message["topic"].replace("request", "response"),
                               {"data": {}, "status": "error", "error": "no such device",
                                "transaction": transaction["transaction"]})
    thread = threading.Thread(target=refuse)
    thread.start()
    try:
        assert calibrate(config, *TRUE)["stored"] is True
    finally:
        stop.set()
        thread.join()
