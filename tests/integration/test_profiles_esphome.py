# SPDX-License-Identifier: MIT
"""`bl2mqtt profiles esphome`: the file, and that a module set up with it is read by the lines in it."""

import re

import pytest
import yaml

from esphome_module import Chip, Module
from harness import run, write_config


class Loader(yaml.SafeLoader):
    pass


Loader.add_constructor("!secret", lambda loader, node: f"secret {node.value}")


def written(*args):
    result = run("profiles", "esphome", *args)
    assert result.returncode == 0, result.stderr
    lines = re.search(r"# For bridge.yaml:\n((?:#.*\n)+)", result.stdout).group(1)
    return yaml.load(result.stdout, Loader), yaml.safe_load(re.sub(r"^#", "", lines, flags=re.M))["devices"]


@pytest.mark.parametrize("profile", ["v-wifi-dl02-es", "bl0942-dual"])
def test_registers_over_mqtt(profile):
    file, devices = written(profile, "--node", "em-attic")
    assert file["esphome"]["name"] == "em-attic" and file["bk72xx"]["board"] == "cbu"
    assert file["logger"]["baud_rate"] == 0
    assert file["wifi"]["ssid"].startswith("secret")
    assert {(u["tx_pin"], u["rx_pin"]) for u in file["uart"]} == {("P11", "P10"), ("P0", "P1")}
    assert len(file["sensor"]) == 2
    for sensor, letter in zip(file["sensor"], "AB"):
        assert sensor["reset"] is False and sensor["update_interval"] == "1s"
        assert all(sensor[f"{q}_reference"] == 1 for q in ("voltage", "current", "power", "energy"))
        assert sensor["energy"] == {"name": f"CF {letter}", "accuracy_decimals": 0}
    assert devices[0]["driver"] == "esphome" and devices[0]["topic"] == "em-attic"


def test_uarts_over_tcp():
    file, devices = written("v-wifi-dl02-es", "--tcp")
    assert [(t["role"], t["port"]) for t in file["uart_tcp"]] == [("server", 6638), ("server", 6639)]
    assert "sensor" not in file and "mqtt" not in file
    assert devices[0]["channels"]["b"]["port"] == "tcp://meter.local:6639"


def test_refusals():
    for args in (["nothing"], ["bl0942-direct"], ["bl0942-dual", "--node", "Mein Haus"], []):
        assert run("profiles", "esphome", *args).returncode == 2


def test_both_channels_with_public_firmware(folder, broker, spawn):
    """The forum user's way: the profile's file on the module, its lines in bridge.yaml, both channels there."""
    file, devices = written("v-wifi-dl02-es", "--node", "em-attic")
    names = [sensor["energy"]["name"].lower().split()[1] for sensor in file["sensor"]]
    module = Module(broker.port, prefix=file["esphome"]["name"], names=names, chips=[Chip(watts=2000), Chip(watts=-700)])
    try:
        config = write_config(folder, broker.url, devices)
        subscriber = broker.subscribe("bl2mqtt/#")
        spawn("--config", config, "run")
        state = subscriber.wait("bl2mqtt/em-attic", lambda s: s["power_a"] is not None and s["power_b"] is not None)
        assert state["power_a"] == pytest.approx(2000, rel=0.002)
        assert state["power_b"] == pytest.approx(-700, rel=0.002)
        assert state["voltage_a"] == pytest.approx(230, rel=0.002)
    finally:
        module.close()
