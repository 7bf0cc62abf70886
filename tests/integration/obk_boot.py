#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""OpenBeken or ESPHome as the application of a simulated module: what `simulate module --on-boot` runs. Reads the
flash, and if OpenBeken's code and a good configuration are there, lives as that configuration says, as a
simulated module (obk_module.py): joins a Wi-Fi that exists, connects to the broker, reads its chips. ESPHome's code
holds its node and broker, and lives as esphome_module.py.

The decoder of the configuration is made from the published layout alone (OpenBK7231T_App,
src/new_pins.h, src/new_cfg.c, src/tiny_crc8.c), apart from the one under test.

  obk_boot.py WORLD.json FLASH

WORLD: {"networks": {ssid: password}, "http_port": N, "chips": {"1": {volts, amps, watts, mode}, ...},
"log": FILE}; one line is appended to log per start.
"""

import json
import pathlib
import re
import struct
import sys
import threading

import beken_images
import esphome_module
from obk_module import Chip, Flash, ObkModule

CONFIG = {"BK7231N": 0x1D1000, "BK7231M": 0x1D1000, "BK7231T": 0x1E1000}
SIZE = 3584
TEXTS = {"ssid": (0x014, 64), "wifi_password": (0x054, 64), "host": (0x094, 256), "client": (0x194, 64),
         "user": (0x1D4, 64), "password": (0x214, 128), "short": (0x2DE, 32), "name": (0x2FE, 64),
         "group": (0x554, 64), "startup": (0x5E0, 1568)}


def tiny_crc8(data):
    """With the arithmetic shift of a signed char, as this firmware is built."""
    crc = 0
    for byte in data:
        for _ in range(8):
            mixed = (crc ^ byte) & 1
            crc = crc >> 1 | crc & 0x80
            if mixed:
                crc ^= 0x8C
            byte >>= 1
    return crc


def decode_config(block):
    """None where the firmware would start with factory settings."""
    block = block[:SIZE]
    if len(block) < SIZE or block[:3] != b"CFG" or tiny_crc8(block[4:]) != block[3]:
        return None
    config = {name: block[at:at + size].split(b"\0")[0].decode() for name, (at, size) in TEXTS.items()}
    config["version"], low, high = struct.unpack_from("<iII", block, 4)
    config["flags"] = low | high << 32
    config["port"] = struct.unpack_from("<i", block, 0x294)[0]
    config["roles"], config["channels"] = list(block[0x33E:0x35E]), list(block[0x35E:0x37E])
    return config


def app_code(flash):
    """(chip, code) of what stands at 0x11000, or None."""
    framed = flash[beken_images.APP:beken_images.APP + 0x20000]
    code = b"".join(framed[at:at + 32] for at in range(0, len(framed) - 33, 34))
    if code[0x100:0x108] == b"BK7231\0\0":
        return "BK7231M", code
    chip = "BK7231T" if code[0x100:0x108] == beken_images.T_MARK else "BK7231N"
    return chip, beken_images.crypt(code[:len(code) & ~3], 0x10000)


def boot_esphome(world, compiled):
    with open(world["log"], "a", encoding="utf-8") as log:
        log.write(json.dumps({"esphome": compiled}) + "\n")
    chips = [esphome_module.Chip(watts=truth["watts"], volts=truth["volts"]) for _, truth in sorted(world["chips"].items())]
    return esphome_module.Module(compiled["port"], prefix=compiled["node"], chips=chips)


def boot(world, flash):
    chip, code = app_code(flash)
    compiled = re.search(rb"compiled (\{[^}]*\})\0", code)
    if compiled is not None:
        return boot_esphome(world, json.loads(compiled.group(1)))
    version = re.search(rb"OpenBK7231[A-Z] (\S+) ", code)
    config = decode_config(flash[CONFIG[chip]:CONFIG[chip] + 4096])
    joined = config is not None and world["networks"].get(config["ssid"]) == config["wifi_password"]
    report = {"chip": chip, "openbeken": version is not None, "config": config, "joined": joined}
    with open(world["log"], "a", encoding="utf-8") as log:
        log.write(json.dumps(report) + "\n")
    if version is None or not joined:
        return None  # somebody else's application, or an access point that nobody joins
    stored = Flash()
    for name in ("host", "port", "client", "user", "password", "short", "name", "group", "startup", "flags"):
        stored.values[name] = config[name]
    chips = {}
    for uart, truth in world["chips"].items():
        mode = truth.pop("mode", "ok")
        chips[int(uart)] = Chip(**truth)
        chips[int(uart)].mode = mode
    return ObkModule(world["http_port"], twin=b"BL0942opts" in code, speed=80, boot_s=0.5, chips=chips, chipset=chip,
                     flash=stored, version=version.group(1).decode())


def main():
    world = json.loads(pathlib.Path(sys.argv[1]).read_text())
    module = boot(world, pathlib.Path(sys.argv[2]).read_bytes())
    if module is not None:
        threading.Event().wait()


if __name__ == "__main__":
    main()
