# SPDX-License-Identifier: MIT
"""The bench for `bl2mqtt flash provision`: a simulated module, the Wi-Fi around it, and the meter it sits in.
When the module's application starts, obk_boot.py reads the flash with a decoder of its own and lives as the
configuration there says. Fixtures `bench` and `secrets` are for import."""

import json
import pathlib
import sys

import pytest

from beken_images import make_qio
from beken_module import Module, write_backup
from harness import free_port, run

HERE = pathlib.Path(__file__).resolve().parent
CLIENT = "utilities/sensor9"
PROFILE = "v-wifi-dl02-es"


class World:
    """A module on the bench, the Wi-Fi around it, and the meter it sits in."""

    def __init__(self, folder, broker, chip="BK7231N", networks=None, chips=None, args=("--power-cycle-on-open",),
                 vault=None, saved=False, **options):
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
        if vault is not None:
            (folder / "vault").write_bytes(vault)
            args = [*args, "--vault", folder / "vault"]
        # The boot ROM waits 6 to 20 ms for the flasher. These tests are about the steps behind that, on machines that
        # may be too busy for it; test_flash_trouble has the real window.
        options = {"boot_window_ms": 500, "boot_limit_ms": 5000, **options}
        self.module = Module(folder, chip, args=[*args, "--reset-every", "0", "--flash", self.flash_path, "--on-boot",
                                                 program], **options)

        if saved:  # as if an interrupted run had got so far: reading all of the flash takes a while
            write_backup(folder / "saved.bin", self.module.flash(), chip, "0x1560EB")

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
            f"127.0.0.1:{world.http_port}", "--backup", world.folder / "saved.bin", "--timeout", 60, "--progress", "none",
            "--yes", *(["--wait-time", wait] if wait else []), *more]


def provision(world, firmware, *more, **options):
    env = options.pop("env", None)
    return run(*arguments(world, firmware, *more, **options), timeout=120, env=env)


def whole(result):
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def steps(answer):
    return {step["step"]: step["result"] for step in answer["steps"]}
