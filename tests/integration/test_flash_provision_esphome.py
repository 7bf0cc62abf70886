# SPDX-License-Identifier: MIT
"""The story of the owner of a two-chip meter, with firmware that everybody can build: from the vendor's firmware to both
channels in the bridge and in Home Assistant, by `flash provision` with what ESPHome compiled from the profile's file."""

import json
import re

import pytest

from beken_images import make_ua, make_uf2
from harness import run, wait_for, write_config
from provision_bench import PROFILE, bench, image, secrets, steps, whole  # noqa: F401
from test_profiles_esphome import written
from tuya_vaults import usual_vault

NODE = "em-attic"
ROAD = ["broker", "probe", "link-test", "fit", "backup", "vendor", "write", "restart", "connect", "readings"]


def compile_file(folder, broker, file, uf2=True):
    """What ESPHome's tool makes of the file: node and broker are in it, and what it takes for a serial line."""
    settings = json.dumps({"node": file["esphome"]["name"], "port": broker.port})
    app = make_ua("BK7231N", 40000, esphome=settings)
    path = folder / ("firmware.uf2" if uf2 else "firmware.bin")
    path.write_bytes(make_uf2(app) if uf2 else app)
    return path


def arguments(world, firmware, *more, wait=30):
    return ["flash", "provision", "--port", world.module.port, "--firmware", firmware, "--profile", PROFILE, "--client-id", NODE,
            "--mqtt-host", "127.0.0.1", "--mqtt-port", world.broker.port, "--module-host", "127.0.0.1", "--backup",
            world.folder / "saved.bin", "--timeout", 60, "--progress", "none", "--yes", "--wait-time", wait, *more]


def test_from_the_shop_to_both_channels(bench, folder, broker, spawn):
    world = bench(vault=usual_vault().bytes(), chips={"1": {"volts": 231.0, "amps": 5.0, "watts": 1100.0},
                                                      "2": {"volts": 231.0, "amps": 2.0, "watts": -430.0}})
    before = world.module.flash()
    file, devices = written(PROFILE, "--node", NODE)
    firmware = compile_file(folder, broker, file)
    config = write_config(folder, broker.url, [], homeassistant={"enabled": True})
    spawn("--config", config, "run").wait_line("Connected")
    watch = broker.subscribe("bl2mqtt/#", "homeassistant/#")
    answer = whole(run("--config", config, *arguments(world, firmware, "--name", "Attic", "--adopt", "--json"), timeout=120))
    assert list(steps(answer)) == [*ROAD, "adopt"] and set(steps(answer).values()) == {"done"}
    assert answer["online"] and answer["error"] is None
    for channel, watts in (("a", 1100), ("b", -430)):
        assert answer["channels"][channel]["voltage_v"] == pytest.approx(231, rel=0.002)
        assert answer["channels"][channel]["power_w"] == pytest.approx(watts, rel=0.002)
    (warning,) = answer["warnings"]
    assert "Channel b has negative power" in warning
    assert (folder / "saved.bin").read_bytes() == before and answer["vendor"]["found"]
    assert world.boots() == [{"esphome": {"node": NODE, "port": broker.port}}]

    device = answer["adopted"]["id"]
    state = watch.wait(f"bl2mqtt/{device}", lambda s: s["power_a"] is not None and s["power_b"] is not None)
    assert state["power_a"] == pytest.approx(1100, rel=0.002) and state["power_b"] == pytest.approx(-430, rel=0.002)
    assert state["voltage_b"] == pytest.approx(231, rel=0.002)
    watch.wait(f"bl2mqtt/{device}/availability", lambda s: s == {"state": "online"})
    wait_for(lambda: any("power_b" in m["payload"] for m in watch.messages if m["topic"].startswith("homeassistant/")),
             what="the announcement to Home Assistant")
    watch.close()

    # Set up once more, it is the device that it was: the last step is no failure, as with OpenBeken.
    again = whole(run("--config", config, *arguments(world, firmware, "--adopt", "--json"), timeout=120))
    assert set(steps(again).values()) <= {"done", "skipped"} and steps(again)["adopt"] == "done", again
    assert again["adopted"] == {"id": device, "topic": NODE, "name": "Attic", "channels": ["a", "b"], "new": False}

    # The lines for bridge.yaml are those of the profile's file, and good.
    lines = re.sub(r"\s+", " ", answer["config"])
    assert "driver: esphome" in lines and f"topic: {NODE}" in lines and "name: \"Attic\"" in lines
    assert devices[0]["topic"] == NODE


def test_a_chip_that_is_silent_and_a_broker_that_is_another(bench, folder, broker):
    """As with OpenBeken: everything is on the module, and what is missing is said."""
    world = bench(saved=True)
    file, _ = written(PROFILE, "--node", "another")
    firmware = compile_file(folder, broker, file, uf2=False)
    result = run(*arguments(world, firmware, "--json", wait=2), timeout=120)
    answer = json.loads(result.stdout)
    assert result.returncode == 3 and steps(answer)["write"] == "done" and steps(answer)["connect"] == "failed"
    assert f"as {NODE}" in answer["error"]


def test_wifi_belongs_into_the_file(bench, folder, broker, secrets):
    """ESPHome's image has the Wi-Fi in it: one that is given would be lost without a word. Nothing is opened."""
    file, _ = written(PROFILE, "--node", NODE)
    firmware = compile_file(folder, broker, file)
    base = ["flash", "provision", "--port", "/dev/not-there", "--firmware", firmware, "--profile", PROFILE, "--client-id",
            NODE, "--mqtt-host", "192.0.2.1", "--yes", "--timeout", 1]
    result = run(*base, "--wifi-ssid", "n", "--wifi-password-file", folder / "wifi")
    assert result.returncode == 2 and "was compiled into it" in result.stderr
    assert run(*base).returncode == 3  # and without it the road begins
    plain = [image(folder) if word == firmware else word for word in base]
    assert "--wifi-ssid" in run(*plain).stderr
