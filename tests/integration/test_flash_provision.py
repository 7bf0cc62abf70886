# SPDX-License-Identifier: MIT
"""`bl2mqtt flash provision`: one command from a module as it was bought to both channels on the broker.
The module is `simulate module`; when its application starts, obk_boot.py reads the flash with a decoder of
its own and lives as the configuration there says."""

import json
import os
import pathlib
import stat
import sys

import pytest
import yaml

import obk_boot
from beken_images import APP, make_qio
from beken_module import Module, attended, operations
from harness import ROOT, free_port, run, wait_for, write_config

HERE = pathlib.Path(__file__).resolve().parent
CLIENT = "utilities/sensor9"
PROFILE = "v-wifi-dl02-es"


class World:
    """A module on the bench, the Wi-Fi around it, and the meter it sits in."""

    def __init__(self, folder, broker, chip="BK7231N", networks=None, chips=None, args=("--power-cycle-on-open",),
                 **options):
        self.folder, self.broker = folder, broker
        self.http_port = free_port()
        self.log = folder / "boots.jsonl"
        self.log.touch()
        world = {"networks": networks or {"ExampleNet": "example-pass-1"}, "http_port": self.http_port,
                 "log": str(self.log),
                 "chips": chips or {"1": {"volts": 231.0, "amps": 5.0, "watts": 1100.0},
                                    "2": {"volts": 231.0, "amps": 2.0, "watts": 430.0}}}
        (folder / "world.json").write_text(json.dumps(world))
        program = folder / "application"
        program.write_text(f"#!/bin/sh\nexec {sys.executable} {HERE}/obk_boot.py {folder}/world.json \"$1\"\n")
        program.chmod(0o755)
        self.flash_path = folder / "module.flash"
        self.module = Module(folder, chip, args=[*args, "--reset-every", "0", "--flash", self.flash_path, "--on-boot",
                                                 program], **options)

    def boots(self):
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def close(self):
        if self.module.running():
            self.module.stop()
        self.module.close()


@pytest.fixture
def bench(folder, broker):
    started = []

    def start(**options):
        started.append(World(folder, broker, **options))
        return started[-1]

    yield start
    for world in started:
        world.close()


@pytest.fixture
def secrets(folder):
    (folder / "wifi").write_text("example-pass-1\n")
    (folder / "mqtt").write_text("s3cret pass\n")
    return folder


def image(folder, chip="BK7231N", twin=True, name=None, **options):
    path = folder / (name or f"{chip}-{'twin' if twin else 'plain'}.bin")
    path.write_bytes(make_qio(chip, app_length=40000, size=0x20000, twin=twin, **options))
    return path


def arguments(world, firmware, *more, wait=20, profile=PROFILE):
    return ["flash", "provision", "--port", world.module.port, "--firmware", firmware, "--profile", profile,
            "--client-id", CLIENT, "--wifi-ssid", "ExampleNet", "--wifi-password-file", world.folder / "wifi",
            "--mqtt-host", "127.0.0.1", "--mqtt-port", world.broker.port, "--module-host",
            f"127.0.0.1:{world.http_port}", "--backup", world.folder / "saved.bin", "--timeout", 15, "--progress", "none",
            "--yes", *([f"--wait={wait}"] if wait else []), *more]


def provision(world, firmware, *more, **options):
    env = options.pop("env", None)
    return run(*arguments(world, firmware, *more, **options), timeout=120, env=env)


def whole(result):
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def steps(answer):
    return {step["step"]: step["result"] for step in answer["steps"]}


# ---- the whole road ----

def test_from_the_vendors_firmware_to_both_channels(bench, secrets, folder, broker):
    world = bench()
    before = world.module.flash()
    watch = broker.subscribe(f"{CLIENT}/#")
    result = provision(world, image(folder), "--name", "House meter", "--mqtt-user", "meter", "--mqtt-password-file",
                       folder / "mqtt", "--json")
    answer = whole(result)
    assert set(steps(answer).values()) == {"done"}
    assert list(steps(answer)) == ["broker", "probe", "link-test", "fit", "backup", "vendor", "write", "configuration",
                                   "restart", "connect", "firmware", "readings"]
    assert answer["channels"] == {"a": {"voltage_v": 231.0, "current_a": 5.0, "power_w": 1100.0},
                                  "b": {"voltage_v": 231.0, "current_a": 2.0, "power_w": 430.0}}
    assert answer["online"] and answer["error"] is None and answer["warnings"] == [] and answer["configured"]
    assert answer["firmware"] == {"kind": "QIO", "version": "1.18.300", "twin": True}
    assert watch.wait(f"{CLIENT}/power_b/get") == 430.0
    watch.close()

    # What is on the module, by a decoder that knows nothing of the program's.
    (boot,) = [b for b in world.boots() if b["openbeken"]]
    config = boot["config"]
    assert (config["ssid"], config["wifi_password"]) == ("ExampleNet", "example-pass-1")
    assert (config["host"], config["port"], config["client"]) == ("127.0.0.1", broker.port, CLIENT)
    assert (config["user"], config["password"]) == ("meter", "s3cret pass")
    assert (config["short"], config["name"]) == ("sensor9", "House meter")
    assert config["startup"] == "backlog logtype none; BL0942opts 3; startDriver BL0942"
    assert config["flags"] >> 25 & 1 and config["flags"] >> 10 & 1 and not config["flags"] >> 30 & 1

    # The backup is the module as it was; what the vault said (here: nothing) is beside it.
    assert (folder / "saved.bin").read_bytes() == before
    assert answer["vendor"]["found"] is False and "key block" in answer["vendor"]["reason"]
    vendor = pathlib.Path(answer["vendor"]["file"])
    assert vendor.parent == folder and stat.S_IMODE(vendor.stat().st_mode) == 0o600
    assert json.loads(vendor.read_text())["found"] is False
    assert "s3cret" not in result.stdout + result.stderr and "example-pass" not in result.stdout + result.stderr

    # The lines for bridge.yaml are good, and begin with the profile's factors.
    (device,) = yaml.safe_load(answer["config"])["devices"]
    assert device["channels"]["b"]["calibration"]["current"] == 510
    assert run("--config", write_config(folder, broker.url, [device]), "check").returncode == 0

    # Again: nothing is written, the backup is kept, and it ends as well.
    saved = (folder / "saved.bin.json").read_text()
    again = whole(provision(world, image(folder), "--name", "House meter", "--mqtt-user", "meter",
                            "--mqtt-password-file", folder / "mqtt", "--json"))
    assert again["write"]["written"] == 0 and not again["configured"] and list(again["channels"]) == ["a", "b"]
    assert (folder / "saved.bin.json").read_text() == saved


def test_t_without_waiting(bench, secrets, folder):
    world = bench(chip="BK7231T")
    result = provision(world, image(folder, "BK7231T", twin=False), profile="bl0942-single", wait=None)
    assert result.returncode == 0, result.stderr
    assert "The module starts now" in result.stdout and "driver: openbeken" in result.stdout
    wait_for(lambda: any(b["joined"] for b in world.boots()), what="the module on the Wi-Fi")
    for step in ("probe", "link-test", "backup", "write", "configuration", "restart"):
        assert f", {step}: " in result.stderr


def test_dry_run_changes_nothing(bench, secrets, folder):
    world = bench()
    before = world.module.flash()
    result = run(*[a for a in arguments(world, image(folder), "--dry-run", "--json") if "wifi-password" not in str(a)
                   and a != folder / "wifi"], timeout=60)
    answer = whole(result)
    assert answer["dry_run"] and not (folder / "saved.bin").exists()
    assert steps(answer)["fit"] == "done" and steps(answer)["write"] == "left out"
    assert world.module.flash() == before
    assert operations(world.module.stop()) == 0


def test_configuration_that_was_there_keeps_the_rest(bench, secrets, folder):
    """A module that ran OpenBeken: pins, and what nobody asked for, stay."""
    example = bytearray((ROOT / "tests/data/obk_config_example.bin").read_bytes())
    example[0x33E + 26], example[0x35E + 26] = 1, 1
    example[3] = obk_boot.tiny_crc8(example[4:])
    world = bench(args=("--power-cycle-on-open",))
    flash = bytearray(world.module.flash())
    world.close()
    flash[0x1D1000:0x1D2000] = bytes(example).ljust(4096, b"\xff")
    (folder / "module.flash").write_bytes(flash)
    world = bench()
    answer = whole(provision(world, image(folder), "--json"))
    (boot,) = [b for b in world.boots() if b["openbeken"]]
    assert boot["config"]["roles"][26] == 1 and boot["config"]["user"] == "meter"
    assert boot["config"]["name"] == "EnergyMeter_0001" and boot["config"]["client"] == CLIENT
    assert answer["channels"]["b"]["power_w"] == 430.0


# ---- what a person from the forum met ----

def test_image_for_the_other_chip(bench, secrets, folder):
    world = bench()
    before = world.module.flash()
    profile = folder / "any.yaml"
    profile.write_text((ROOT / "schema/profiles/bl0942-single.yaml").read_text().replace("name: bl0942-single", "name: any"))
    result = provision(world, image(folder, "BK7231T", twin=False, name="OpenBK7231N_QIO.bin"), profile=profile)
    assert result.returncode == 4
    assert "BK7231T" in result.stderr and "BK7231N" in result.stderr and 'step "fit" said no' in result.stderr
    assert world.module.flash() == before and not (folder / "saved.bin").exists()


def test_adapter_that_dies_at_sector_e(bench, secrets, folder):
    """The adapter vanishes in the middle of a sector, comes back, and the same command goes on by itself."""
    world = bench(args=(), vanish_at_program=14 * 128 + 50, vanish_s=0.4, vanish_resets=1)
    world.module.tell("power-cycle")
    result = attended(world.module, *arguments(world, image(folder), "--json"))
    answer = whole(result)
    assert list(answer["channels"]) == ["a", "b"]
    assert answer["write"]["reconnects"] >= 1


def test_interrupted_and_run_again(bench, secrets, folder):
    """The adapter stays away: the command ends with what to do, and the next one finishes the work."""
    world = bench(vanish_at_program=14 * 128 + 50, vanish_s=4)
    result = run(*[a if a != 15 else 1 for a in arguments(world, image(folder), "--json")], timeout=60)
    assert result.returncode in (1, 3), result.stderr
    answer = json.loads(result.stdout)
    assert steps(answer)["write"] == "failed" and steps(answer)["backup"] == "done"
    assert "Run the same command again" in answer["error"]
    wait_for(lambda: os.path.exists(world.module.port), 10, "the adapter")
    answer = whole(provision(world, image(folder), "--json"))
    assert answer["write"]["equal"] > 0 and list(answer["channels"]) == ["a", "b"]
    (boot,) = [b for b in world.boots() if b["openbeken"]]
    assert boot["joined"]


def test_build_that_reads_one_chip(bench, secrets, folder):
    world = bench()
    result = provision(world, image(folder, twin=False))
    assert result.returncode == 4
    assert "channel b would never appear" in result.stderr and "ENABLE_BL_TWIN" in result.stderr
    assert world.boots() == []  # the module was not even touched

    # Forced, it is told again when the module runs.
    result = provision(world, image(folder, twin=False), "--force", "--json")
    assert result.returncode == 4, result.stderr
    answer = json.loads(result.stdout)
    assert steps(answer)["connect"] == "done" and steps(answer)["firmware"] == "failed"
    assert "does not know BL0942opts" in answer["error"] and "openbeken update" in answer["error"]


def test_clamp_the_wrong_way_round(bench, secrets, folder):
    world = bench(chips={"1": {"volts": 230.0, "amps": 5.0, "watts": 1100.0},
                         "2": {"volts": 230.0, "amps": 2.0, "watts": -430.0}})
    result = provision(world, image(folder))
    assert result.returncode == 0, result.stderr
    assert "channel b: 230.0 V, 2.000 A, -430.00 W" in result.stdout
    assert "Channel b has negative power" in result.stderr and "invert: true" in result.stderr


def test_second_chip_that_is_silent(bench, secrets, folder):
    world = bench(chips={"1": {"volts": 230.0, "amps": 5.0, "watts": 1100.0},
                         "2": {"mode": "silent", "volts": 230.0, "amps": 2.0, "watts": 430.0}})
    result = provision(world, image(folder), "--json", wait=8)
    assert result.returncode == 3
    answer = json.loads(result.stdout)
    assert "channel b" in answer["error"] and "UART 2" in answer["error"] and list(answer["channels"]) == ["a"]


def test_wrong_wifi_password(bench, secrets, folder):
    world = bench(networks={"ExampleNet": "another"})
    result = provision(world, image(folder), wait=3)
    assert result.returncode == 3
    assert 'step "connect" failed' in result.stderr and "password of the Wi-Fi" in result.stderr
    assert "example-pass" not in result.stderr


def test_client_id_of_another(bench, secrets, folder, broker):
    broker.publish(f"{CLIENT}/connected", "online", retain=True)
    world = bench()
    result = provision(world, image(folder))
    assert result.returncode == 4 and "Another module is online" in result.stderr
    assert not (folder / "saved.bin").exists()


# ---- what is wrong before a port is opened ----

def test_usage(folder, secrets):
    firmware, plain = image(folder), image(folder, twin=False)
    base = {"--port": "/dev/not-there", "--firmware": firmware, "--profile": PROFILE, "--client-id": "x",
            "--wifi-ssid": "n", "--wifi-password-file": folder / "wifi", "--mqtt-host": "192.0.2.1"}

    def ask(*more, without=(), **changes):
        given = {**base, **{"--" + k.replace("_", "-"): v for k, v in changes.items()}}
        words = [w for k, v in given.items() if k not in without for w in (k, v)]
        return run("flash", "provision", *words, "--timeout", 1, *more)

    for option in base:
        if option != "--wifi-password-file":
            result = ask("--yes", without=[option])
            assert result.returncode == 2 and "Say" in result.stderr, (option, result.stderr)
    for words, status, more, changes in (
            ("say --yes", 2, [], {}), ("Wi-Fi password is needed", 2, ["--yes"], {"without": ["--wifi-password-file"]}),
            ("no profile", 2, ["--yes"], {"profile": "nonsense"}), ("wired to this machine", 2, ["--yes"], {"profile": "bl0942-direct"}),
            ("the module itself", 2, ["--yes"], {"mqtt_host": "127.0.0.1"}), ("--mqtt-port", 2, ["--yes", "--mqtt-port", "0"], {}),
            ("needs a user", 2, ["--yes", "--mqtt-password-file", folder / "mqtt"], {}),
            ("beginning of a topic", 2, ["--yes"], {"client_id": "a/+/b"}), ("either", 2, ["--yes", "--wifi-open"], {}),
            ("seconds from 1", 2, ["--yes", "--wait=x"], {}), ("takes no value", 2, ["--yes=1"], {}),
            ("needs a value", 2, ["--yes", "--name"], {}), ("BL0942opts", 4, ["--yes"], {"firmware": plain}),
            ("wifi: ", 4, ["--yes"], {"firmware": folder / "wifi"}), ("not-there", 3, ["--yes"], {})):
        result = ask(*more, **changes)
        if words == "wifi: ":
            assert result.returncode == 4, result.stderr
            continue
        assert result.returncode == status and words in result.stderr, (words, result.returncode, result.stderr)
    assert run("flash", "provision", "--help").stdout.startswith("Usage:")
