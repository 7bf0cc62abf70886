# SPDX-License-Identifier: MIT
"""`bl2mqtt flash` against `simulate module`, the real binary on a real pty: what it finds out, and that what
it writes is there and the rest as before."""

import fcntl
import hashlib
import json
import os
import random
import re

import pytest

from beken_images import APP, SECTOR, make_qio
from beken_module import answer, flash, operations, put
from flash_helper import CONFIG, ON_OPEN, RF, TESTS
from harness import run

# ---------------------------------------------------------------------- knowing

@pytest.mark.parametrize("chip,bootloader,flash_id,protected", [
    ("BK7231N", "BK7231N_1.0.1", "0x1560EB", True),
    ("BK7231M", None, "0x1560EB", True),
    ("BK7231T", "BK7231S_1.0.5", None, None),
])
def test_probe(module, chip, bootloader, flash_id, protected):
    sim = module(chip)
    facts = answer(sim, "probe")
    rf = sim.flash()[RF[chip]:]
    assert facts["chip"] == chip
    assert facts["flash_id"] == flash_id
    assert facts["flash_name"] == ("TH25Q16HB" if flash_id else None)
    assert facts["flash_size"] == 0x200000
    assert facts["protected"] is protected
    assert facts["mac"] == ":".join(f"{b:02x}" for b in rf[0x24:0x2A])
    assert facts["baud"] == 115200
    if bootloader:
        assert facts["bootloader"] == bootloader
    assert operations(sim.stop()) == 0


@pytest.mark.parametrize("args,application", [
    (("--contents", "openbeken"), "openbeken"),
    (("--contents", "blank"), "blank"),
    (("--vault", "VAULT"), "tuya"),
])
def test_probe_tells_the_application(module, folder, args, application):
    needle = bytes.fromhex("46DCED0E672F3B70AE1276A3F8712E03")
    vault = put(folder, "vault", bytes(32) + needle * 254)
    args = [str(vault) if arg == "VAULT" else arg for arg in args]
    assert answer(module(args=[*ON_OPEN, *args]), "probe")["application"] == application


def test_no_module_is_exit_3_with_a_reason(module):
    sim = module(args=("--reset-every", "0"))
    result = run("flash", "probe", "--port", sim.port, "--timeout", 0.5)
    assert result.returncode == 3
    assert "not one byte came in" in result.stderr and "P10" in result.stderr
    result = run("flash", "probe", "--port", "/dev/not-there", "--timeout", 2)
    assert result.returncode == 3


def test_link_test_finds_the_highest_clean_rate(module):
    report = answer(module(max_clean_baud=500000, over_baud_loss=0.01), "link-test")
    assert [rate["baud"] for rate in report["rates"]] == [115200, 230400, 460800, 921600]
    errors = [rate["errors"] for rate in report["rates"]]
    assert errors[:3] == [0, 0, 0] and errors[3] > 0
    assert report["recommended_baud"] == 460800
    assert "460800" in report["verdict"] and "921600" in report["verdict"]


# ---------------------------------------------------------------------- round trips

@pytest.mark.parametrize("chip", ["BK7231N", "BK7231T"])
def test_round_trip(module, folder, chip):
    sim = module(chip)
    before = sim.flash()
    saved = folder / "saved.bin"
    image = make_qio(chip)
    path = put(folder, "image.bin", image)
    result = answer(sim, "write", path, "--backup", saved)
    assert result["verified"]
    assert saved.read_bytes() == before
    facts = json.loads((folder / "saved.bin.json").read_text())
    assert facts["sha256"] == hashlib.sha256(before).hexdigest()
    assert facts["chip"] == chip and facts["mac"] and facts["time"]
    assert sorted(p.name for p in folder.glob("saved*")) == ["saved.bin", "saved.bin.json"]

    start = APP if chip == "BK7231T" else 0
    after = sim.flash()
    assert after[start:len(image)] == image[start:]
    assert after[:start] == before[:start] and after[len(image):] == before[len(image):]

    # Written again, nothing is left to do.
    again = answer(sim, "write", path, "--no-backup")
    assert again["written"] == 0 and again["blanked"] == 0 and again["equal"] == again["sectors"]
    assert flash(sim, "verify", path).returncode == 0

    # A byte changes behind our back: verify names its sector, and only that one is sent.
    sim.stop()
    changed = bytearray(after)
    changed[APP + 0x2345] ^= 1
    sim = module(chip, flash=bytes(changed))
    result = flash(sim, "verify", path, "--json")
    assert result.returncode == 5
    assert json.loads(result.stdout)["differing"] == [{"address": APP + 0x2000, "length": SECTOR}]
    fixed = answer(sim, "write", path, "--no-backup")
    assert fixed["written"] == 1 and fixed["blanked"] == 0

    restored = answer(sim, "restore", saved)
    assert restored["guarded"] == (18 if chip == "BK7231T" else 1)
    assert sim.flash() == before


def test_configuration_goes_to_its_place(module, folder):
    config = (TESTS / "data/obk_config_example.bin").read_bytes()
    path = put(folder, "config.bin", config)
    for chip in ("BK7231N", "BK7231T"):
        sim = module(chip)
        answer(sim, "write", path, "--no-backup")
        assert sim.flash()[CONFIG[chip]:CONFIG[chip] + SECTOR] == config.ljust(SECTOR, b"\xff")


def test_long_image_leaves_rf_alone(module, folder):
    """OpenBeken images with a configuration behind them hold FF where the RF sector is."""
    sim = module()
    before = sim.flash()
    image = bytearray(make_qio("BK7231N", size=0x1D2000))
    image[-102:] = b"\xff" * 102
    image[0x30000 - 102:0x30000] = make_qio("BK7231N", size=0x30000)[-102:]
    result = answer(sim, "write", put(folder, "long.bin", bytes(image)), "--no-backup")
    assert result["guarded"] == 1
    after = sim.flash()
    assert after[RF["BK7231N"]:][:SECTOR] == before[RF["BK7231N"]:][:SECTOR]
    assert after[:RF["BK7231N"]] == image[:RF["BK7231N"]]


def test_restore_full_brings_rf_back(module, folder):
    sim = module()
    before = sim.flash()
    saved = put(folder, "saved.bin", before)
    sim.stop()
    damaged = bytearray(before)
    damaged[0x1D0000:0x1D1000] = b"\xff" * SECTOR
    sim = module(flash=bytes(damaged))
    answer(sim, "restore", saved)
    assert sim.flash() == bytes(damaged)
    answer(sim, "restore", saved, "--full")
    assert sim.flash() == before


def test_erase(module):
    sim = module()
    before = sim.flash()
    facts = answer(sim, "erase", "--address", "0x1E5000", "--length", "0x2000")
    assert facts["verified"]
    after = sim.flash()
    assert after[0x1E5000:0x1E7000] == b"\xff" * 0x2000
    assert after[:0x1E5000] == before[:0x1E5000] and after[0x1E7000:] == before[0x1E7000:]


def test_64k_erases_where_they_pay(module, folder):
    sim = module(flash=bytes(0x200000 - SECTOR) + bytes(SECTOR))
    answer(sim, "erase", "--address", "0x2F000", "--length", "0x22000")
    flash_stats = sim.stop()["flash"]
    assert flash_stats["erases_64k"] == 2 and flash_stats["erases_4k"] == 2


def test_backup(module, folder):
    sim = module("BK7231T")
    saved = folder / "saved.bin"
    facts = answer(sim, "backup", "--output", saved)
    assert facts["bytes"] == 0x200000
    assert saved.read_bytes() == sim.flash()
    assert operations(sim.stop()) == 0


def test_backup_carries_no_blank_blocks(module, folder, seed):
    """What the chip's CRC shows to be blank needs no line time; a block with a single other byte does."""
    flash = bytearray(b"\xff" * 0x200000)
    flash[:0x40000] = random.Random(seed).randbytes(0x40000)
    flash[0x1A1234] = 0xFE
    sim = module(flash=bytes(flash))
    saved, trace = folder / "saved.bin", folder / "trace"
    facts = answer(sim, "backup", "--output", saved, "--trace", trace)
    assert facts["bytes"] == len(flash)
    assert saved.read_bytes() == flash
    read = {int.from_bytes(bytes.fromhex(found[1].replace(" ", "")), "little")
            for found in re.finditer(r"> 01 e0 fc ff f4 \S\S \S\S 09 ((?:\S\S ?){4})", trace.read_text())}
    looked_at = {address for address in read if not (address < 0x40000 or 0x1A0000 <= address < 0x1B0000)}
    assert read >= {*range(0, 0x40000, 4096), *range(0x1A0000, 0x1B0000, 4096)}
    assert len(looked_at) < 16  # the settings, and what tells who wrote the flash


@pytest.mark.parametrize("args", [
    ("write",), ("write", "a", "b"), ("write", "image.bin"), ("probe",), ("probe", "--port", "p", "--baud", "x"),
    ("probe", "--port", "p", "--reset", "x"), ("erase", "--port", "p", "--address", "0x1000"),
    ("erase", "--port", "p", "--address", "0x1001", "--length", "0x1000"), ("backup", "--port", "p"),
    ("write", "x", "--port", "p", "--backup", "b", "--no-backup"), ("image", "/no/such/file"),
    ("probe", "--port", "p", "--chip", "ESP32"), ("link-test", "--port", "p", "--rates", "115200,,"),
])
def test_usage_errors(args):
    result = run("flash", *args)
    assert result.returncode == 2, result.stderr
    assert result.stderr


def test_every_command_has_help():
    for command in ("probe", "link-test", "backup", "write", "verify", "restore", "erase", "image"):
        result = run("flash", command, "--help")
        assert result.returncode == 0 and f"bl2mqtt flash {command}" in result.stdout


def test_a_port_in_use_is_refused(module):
    sim = module()
    holder = os.open(sim.port, os.O_RDWR | os.O_NOCTTY)
    try:
        fcntl.flock(holder, fcntl.LOCK_EX)
        result = flash(sim, "probe")
        assert result.returncode == 4 and "in use" in result.stderr
    finally:
        os.close(holder)
