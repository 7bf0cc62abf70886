#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Figures of the flasher against the simulated module at true speed: backup and write over pure line time,
and what 64 KiB erases save. Prints; never passes or fails.

    tests/bench/bench_flash.py [--bauds 115200,460800,921600,2000000] [--binary build/release/bridge/bl2mqtt]

Line time is what the bytes of the commands and answers take at the rate, 10 bits each, nothing else. Erasing
and the chip's own CRC (400 kB/s, the only published figure) are its own time and are counted apart. Above
921600 baud the flash is slower than the line: what it needs to program the sectors is shown beside.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration"))

import beken_images  # noqa: E402
import beken_module  # noqa: E402
import simulator  # noqa: E402

SECTOR_BYTES = 12 + 4111  # a read's command and answer; a write's are the same in sum
FLASH_SECTORS = 512
APP_SECTORS = 216  # with 17 of the bootloader what a real OpenBK7231N_QIO holds besides FF
PROGRAM_US = 150  # for 32 bytes, as the simulator has it by default


def flash(module, *args):
    result = subprocess.run([beken_module.BINARY, "flash", *map(str, args), "--port", str(module.port), "--json",
                             "--progress", "none"], stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(result.stdout)


def program_seconds(sectors):
    """What the simulated flash needs, 32 bytes at a time, with its usual time for each."""
    return sectors * 4096 / 32 * PROGRAM_US / 1e6


def line_seconds(sectors, baud):
    return sectors * SECTOR_BYTES * 10 / baud


def measure(folder, baud):
    image = beken_images.make_qio("BK7231N", app_length=APP_SECTORS * 4096, size=0x129F70)
    sectors = [image[i:i + 4096] for i in range(0, len(image), 4096)]
    sent = sum(sector.strip(b"\xff") != b"" for sector in sectors)
    path = pathlib.Path(folder) / "image.bin"
    path.write_bytes(image)
    module = beken_module.Module(folder, speed=1, seed=baud, args=("--power-cycle-on-open",))
    try:
        backup = flash(module, "backup", "--output", pathlib.Path(folder) / f"backup-{baud}", "--baud", baud)
        write = flash(module, "write", path, "--no-backup", "--baud", baud)
        counts = module.stop()["flash"]
    finally:
        module.close()
    pure = line_seconds(FLASH_SECTORS, baud)
    read, crc = backup["seconds"]["read"], backup["seconds"]["crc"]
    print(f"figure: {baud:8} baud: backup {read:6.1f} s / line {pure:6.1f} s = {read / pure:.3f}"
          f"   with CRC {(read + crc) / pure:.3f} (CRC {crc:.1f} s)", flush=True)
    pure = line_seconds(sent, baud)
    seconds = write["seconds"]
    print(f"figure: {baud:8} baud: write  {seconds['write']:6.1f} s / line {pure:6.1f} s = "
          f"{seconds['write'] / pure:.3f} (flash {program_seconds(sent):.1f} s)   erase {seconds['erase']:.1f} s ({counts['erases_64k']} x 64 KiB, "
          f"{counts['erases_4k']} x 4 KiB), CRC {seconds['crc']:.1f} s, all {seconds['total']:.1f} s, "
          f"{write['retries']} retries", flush=True)


def erases(folder):
    """One MiB in blocks, and as much in sectors, as far as a command can be made to do it."""
    module = beken_module.Module(folder, speed=1, seed=1, flash=bytes(0x200000), args=("--power-cycle-on-open",))

    def erase(address, length):
        before = module.tell("stats")["flash"]
        flash(module, "erase", "--address", address, "--length", length, "--trace",
              pathlib.Path(folder) / "trace")
        after = module.tell("stats")["flash"]
        return (after["erases_64k"] - before["erases_64k"], after["erases_4k"] - before["erases_4k"],
                trace_seconds(pathlib.Path(folder) / "trace"))

    try:
        big, none, blocks = erase(0x100000, 0x80000)
        # Fifteen sectors of a block cannot be erased at once.
        _, small, sectors = erase(0x20000, 0xF000)
    finally:
        module.close()
    print(f"figure: erase 512 KiB: {big} x 64 KiB + {none} x 4 KiB {blocks:.2f} s; in sectors alone "
          f"{sectors / small * 128:.2f} s (from {small} measured)")


def trace_seconds(path):
    """From each FlashErase command to its answer."""
    total, start = 0.0, None
    for line in path.read_text().splitlines():
        at, direction, *hexes = line.split()
        if direction == ">" and hexes[:3] == ["01", "e0", "fc"] and hexes[3:5] == ["ff", "f4"] and hexes[7] == "0f":
            start = float(at)
        elif direction == "<" and start is not None:
            total += float(at) - start
            start = None
    return total


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bauds", default="115200,460800,921600,2000000")
    parser.add_argument("--binary", default=beken_module.BINARY)
    options = parser.parse_args()
    beken_module.BINARY = simulator.BINARY = options.binary
    with tempfile.TemporaryDirectory(prefix="bl2mqtt-bench-") as folder:
        erases(folder)
        for baud in options.bauds.split(","):
            measure(folder, int(baud))
    return 0


if __name__ == "__main__":
    sys.exit(main())
