# SPDX-License-Identifier: MIT
"""The `bl2mqtt flash` commands that only read, against modules and lines that make it hard for them."""

import json

import pytest

from beken_module import answer, flash, operations, refusal


def test_a_flash_that_does_not_answer(module, folder):
    """Its id and all that is read is 00: probe tells the rest and exits 3, backup makes no file."""
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
