# SPDX-License-Identifier: MIT
"""The `bl2mqtt flash` commands that only read, against modules and lines that make it hard for them."""

import json
import re

import pytest

from beken_module import answer, flash, operations, refusal
from harness import run
from tuya_vaults import usual_vault


def test_a_flash_that_does_not_answer(module, folder):
    """Its id and all that is read is 00: probe says the rest and exits 3, backup makes no file."""
    sim = module(unreadable=1)
    result = flash(sim, "probe", "--json")
    facts = json.loads(result.stdout)
    assert result.returncode == 3
    assert "flash chip does not (id 0x000000)" in result.stderr and "P24" in result.stderr
    assert facts["chip"] == "BK7231N" and facts["flash_id"] == "0x000000"
    assert [facts[key] for key in ("bootloader", "flash_name", "flash_size", "mac")] == [None] * 4
    words = flash(sim, "probe")
    assert words.returncode == 3 and "does not answer (0x000000)" in words.stdout
    refusal(flash(sim, "backup", "--output", folder / "saved.bin"), sim, "does not (id 0x000000)")
    assert not list(folder.glob("saved*"))


@pytest.mark.parametrize("fill,word", [(b"\xff", "it is empty"), (b"\x00", "hold P24 low")])
def test_backup_of_nothing_gives_its_own_advice(module, folder, fill, word):
    """The flash answers, but holds nothing; `flash backup` has no --no-backup to say."""
    sim = module(flash=fill * 0x200000)
    assert answer(sim, "probe")["bootloader"] == ("erased" if fill == b"\xff" else "all zero")
    result = flash(sim, "backup", "--output", folder / "saved.bin")
    assert "--no-backup" not in result.stderr
    refusal(result, sim, word)
    assert not list(folder.glob("saved*"))


@pytest.mark.parametrize("chip", ["BK7231N", "BK7231T"])
def test_reading_leaves_the_flash_alone(module, folder, chip):
    """A probe changes nothing. The others let a T's bootloader protect its flash, as each checksum does."""
    sim = module(chip)
    answer(sim, "probe")
    assert sim.tell("stats")["flash"]["status_writes"] == 0
    answer(sim, "link-test", "--rates", "921600")
    answer(sim, "backup", "--output", folder / "saved.bin")
    stats = sim.stop()
    assert operations(stats) == 0
    assert stats["flash"]["status_writes"] == (1 if chip == "BK7231T" else 0)


# ---------------------------------------------------------------------- link test

def bauds(report):
    return [rate["baud"] for rate in report["rates"]]


def test_link_test_of_a_good_line(module):
    report = answer(module(), "link-test")
    assert bauds(report) == [115200, 230400, 460800, 921600] and report["not_tested"] == []
    assert report["recommended_baud"] == 921600 and report["not_tested_reason"] is None
    assert report["verdict"] == "The line is clean at 921600 baud."


def test_link_test_stops_where_hardly_anything_gets_across(module):
    """Faster than that the module could be lost; what was not tried is named, and why."""
    report = answer(module(max_clean_baud=200000, over_baud_loss=0.02), "link-test")
    assert bauds(report) == [115200, 230400] and report["not_tested"] == [460800, 921600]
    assert "230400" in report["not_tested_reason"] and report["not_tested_reason"] in report["verdict"]
    assert report["recommended_baud"] == 115200
    assert report["verdict"].startswith("The line is clean at 115200 baud. At 230400 baud ")


@pytest.mark.parametrize("chip", ["BK7231N", "BK7231T"])
def test_no_rate_is_clean_above_one_that_was_not(module, chip):
    """One byte lost in 20000: short tests at single rates pass by luck, so the passing ones are tested longer."""
    for number in range(2):
        report = answer(module(chip, seed=100 + number, loss_to_chip=1 / 20000, loss_to_host=1 / 20000), "link-test")
        errors = {rate["baud"]: rate["errors"] for rate in report["rates"]}
        first = min((baud for baud in errors if errors[baud] > 0), default=None)
        assert first is not None, report
        assert all(errors[baud] > 0 for baud in errors if baud > first), report
        clean = [baud for baud in errors if errors[baud] == 0]
        if clean:
            assert report["recommended_baud"] == max(clean) < first
        else:
            assert "No rate is clean" in report["verdict"]


def test_link_test_asks_for_each_rate_once_from_slow_to_fast(module):
    """A rate that the module does not know says nothing about the others."""
    report = answer(module(min_baud=200000), "link-test", "--rates", "921600,57600,2000000,57600")
    assert bauds(report) == [57600, 921600, 2000000]
    assert [rate["usable"] for rate in report["rates"]] == [False, True, True]
    assert report["recommended_baud"] == 921600 and "57600 baud does not work" in report["verdict"]


def test_link_test_of_a_hopeless_line(module):
    sim = module(loss_to_host=0.003)
    report = answer(sim, "link-test")
    assert report["recommended_baud"] is None and "not fit for use" in report["verdict"]
    assert report["not_tested"] == [230400, 460800, 921600]
    assert flash(sim, "link-test").stdout.count("-  not tried") == 3


def test_chips_that_can_be_named(folder):
    """All that the help names are taken (and then there is no such port), nothing else is."""
    words = run("flash", "probe", "--help").stdout
    named = re.findall(r"BK72[0-9]+[A-Z]?", words[words.index("--chip"):words.index("--timeout")])
    assert len(named) == len(set(named)) == 8
    for name in ["auto", "bk7231n", *named]:
        assert run("flash", "probe", "--port", folder / "none", "--chip", name, "--timeout", 1).returncode == 3
    result = run("flash", "probe", "--port", folder / "none", "--chip", "BK7231X")
    assert result.returncode == 2 and all(name in result.stderr for name in named)


@pytest.mark.parametrize("chip,at", [("BK7231N", 0x1D3000), ("BK7231T", 0x1D8000)])
def test_esphome_is_not_taken_for_the_vendors_firmware(module, folder, chip, at):
    """ESPHome leaves the vendor's key block in the flash; its own data base tells."""
    (folder / "vault").write_bytes(usual_vault().bytes())
    first = module(chip, seed=3, args=("--vault", folder / "vault"))
    content = bytearray(first.flash())
    assert answer(first, "probe")["application"] == "tuya"
    first.stop()
    content[at:at + 20] = b"\x00\xff\xff\xff\xf0\xff\xff\xffFDB0\xff\xff\xff\xff"
    sim = module(chip, seed=4, flash=bytes(content))
    assert answer(sim, "probe")["application"] == "libretiny"
