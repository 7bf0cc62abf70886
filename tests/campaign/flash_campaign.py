#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Writes firmware onto simulated modules through bad lines, many times, and kills the flasher in mid write,
many times, and prints what came of it. A short run of both is part of the integration tests.

    tests/campaign/flash_campaign.py [--runs 200] [--kills 50] [--seed 1] [--jobs 8] [--verbose]
                                     [--binary build/release/bridge/bl2mqtt]

Each run has a seed of its own. A line that loses bytes in both directions, late and doubled replies, a
flash so slow that an unpaced sender overruns the chip, a reset in mid write, an adapter that vanishes:
every run must end with the right contents everywhere, or with a refusal before anything was erased. After
a kill -9 at random the next run must finish, and send only what is missing. Some modules run side by side,
because they mostly wait. All BK7231T together must end without one operation below 0x11000.
"""

import argparse
import collections
import json
import pathlib
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration"))

import beken_images  # noqa: E402
import beken_module  # noqa: E402
import simulator  # noqa: E402
from beken_images import APP, SECTOR  # noqa: E402
from beken_module import Module, attended, operations, write_backup  # noqa: E402
from flash_helper import missing  # noqa: E402

SPEED = 20
KILL_SPEED = 8
LOSS = 1 / 20000


def choose(rng, short):
    """A chip and its misfortunes."""
    kind = rng.choice(["N", "N", "N", "M", "T", "T-clean"])
    chip = {"N": "BK7231N", "M": "BK7231M"}.get(kind, "BK7231T")
    faults = {"program_us": rng.choice([150, 150, 400, 700]), "late": rng.choice([0, 0.001]),
              "late_ms": rng.choice([60, 300]), "duplicate": rng.choice([0, 0.01]),
              "split": rng.choice([0, 0.01])}
    if kind != "T-clean":
        faults["loss_to_chip"] = faults["loss_to_host"] = LOSS
    elif rng.random() < 0.5:
        faults["late"] = 0
    if rng.random() < 0.3:
        faults["brownout_at_program"] = rng.randrange(1, 1500)
    if rng.random() < 0.2:
        faults["vanish_at_program"] = rng.randrange(1, 1500)
        faults["vanish_resets"] = rng.choice([0, 1])
        faults["vanish_s"] = 1 if short else 3
    return kind, chip, faults


def expected(before, chip, image):
    """What the flash must hold afterwards: the image where it belongs, the rest as before."""
    skip = beken_images.APP if chip == "BK7231T" else 0
    after = bytearray(before)
    after[skip:len(image)] = image[skip:]
    return bytes(after)


def run(seed, folder, short=False):
    """One write; returns (what it was, how it ended, retries, seconds, problem or None)."""
    rng = random.Random(seed)
    kind, chip, faults = choose(rng, short)
    image = beken_images.make_qio(chip, app_length=rng.choice([30000] if short else [60000, 100000]), seed=seed)
    path = pathlib.Path(folder) / "image.bin"
    path.write_bytes(image)
    module = Module(folder, chip, speed=SPEED, seed=seed, **faults)
    try:
        before = module.flash()
        backup = pathlib.Path(folder) / f"backup-{seed}.bin"
        # Most runs find the backup of an interrupted run, some make their own.
        made = short or rng.random() < 0.7
        if made:
            write_backup(backup, before, chip, None if chip == "BK7231T" else "0x1560EB")
        start = time.monotonic()
        result = attended(module, "flash", "write", path, "--port", module.port, "--backup", backup, "--json",
                          "--progress", "none")
        seconds = time.monotonic() - start
        after = module.flash()
        stats = module.stop()
    finally:
        module.close()
    retries = 0
    if result.returncode == 0:
        retries = json.loads(result.stdout)["retries"]
        wanted = expected(before, chip, image)
        wrong = [i for i in range(0, len(after), 4096) if after[i:i + 4096] != wanted[i:i + 4096]]
        problem = f"wrong contents at {[hex(i) for i in wrong[:5]]}" if wrong else None
        if backup.read_bytes() != before:
            problem = "the backup is wrong"
        return kind, "written", retries, seconds, problem, result.stderr, faults
    if result.returncode == 4 and operations(stats) == 0 and after == before:
        return kind, "refused", retries, seconds, None, result.stderr, faults
    problem = f"exit {result.returncode}, {operations(stats)} flash operations: {result.stderr.strip()}"
    return kind, "failed", retries, seconds, problem, result.stderr, faults


def until_write(process, address):
    """Reads the steps until that sector is on its way."""
    for line in process.stderr:
        step = json.loads(line)
        if step["stage"] == "write" and step["address"] >= address:
            return
    raise AssertionError(f"ended with {process.wait()} before 0x{address:X} was written")


def kill(seed, folder):
    """kill -9 at a random moment of a write, then the same command again; returns like run()."""
    rng = random.Random(seed)
    chip = rng.choice(["BK7231N", "BK7231N", "BK7231T"])
    image = beken_images.make_ua(chip, rng.choice([60000, 100000, 160000]), seed=seed)
    path = pathlib.Path(folder) / "image.bin"
    path.write_bytes(image)
    module = Module(folder, chip, speed=KILL_SPEED, seed=seed, args=("--reset-every", "0.5"))
    command = ["flash", "write", path, "--port", module.port, "--no-backup"]
    place = APP + SECTOR * rng.randrange(len(image) // SECTOR)
    wait_s = rng.uniform(0, 0.1)
    try:
        before = module.flash()
        start = time.monotonic()
        process = subprocess.Popen([beken_module.BINARY, *map(str, command), "--progress", "json"],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        until_write(process, place)
        time.sleep(wait_s)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        left = missing(module.flash(), image)
        result = attended(module, *command, "--json", "--progress", "none")
        seconds = time.monotonic() - start
        after = module.flash()
        module.stop()
    finally:
        module.close()
    facts = {"killed_at": hex(place), "left": left}
    wanted = before[:APP] + image.ljust(-(-len(image) // SECTOR) * SECTOR, b"\xff")
    wanted += before[len(wanted):]
    if result.returncode != 0:
        return chip, "failed", 0, seconds, f"exit {result.returncode}", result.stderr, facts
    done = json.loads(result.stdout)
    problem = None
    # The module may have finished the sector under way after the kill.
    if not left - 1 <= done["written"] + done["blanked"] <= left:
        problem = f"{left} sectors were missing and {done['written']} written"
    if after != wanted:
        problem = "wrong contents"
    return chip, "finished", done["retries"], seconds, problem, result.stderr, facts


def campaign(title, job, seeds, options):
    """Runs job for each seed; prints figures; returns how many went wrong."""
    def one(seed):
        with tempfile.TemporaryDirectory(prefix="bl2mqtt-campaign-") as folder:
            return seed, job(seed, folder)

    ends = collections.Counter()
    figures = collections.defaultdict(list)
    bad = 0
    start = time.monotonic()
    with ThreadPoolExecutor(options.jobs) as pool:
        for seed, (kind, end, retries, seconds, problem, words, facts) in pool.map(one, seeds):
            ends[kind, end] += 1
            figures[kind, end].append((retries, seconds))
            if options.verbose:
                print(f"seed {seed} {kind} {end} {retries} retries {seconds:.1f} s {facts}\n{words}", flush=True)
            if problem is not None:
                bad += 1
                print(f"seed {seed} ({kind}, {facts}): {problem}\n{words}", flush=True)
    print(f"figure: {len(seeds)} {title} from seed {options.seed}, {options.jobs} side by side, "
          f"{time.monotonic() - start:.0f} s, {bad} bad")
    for key in sorted(ends):
        retries, seconds = zip(*figures[key])
        print(f"figure: {key[0]:8} {key[1]:8} {ends[key]:4}   retries mean {statistics.mean(retries):5.1f} max "
              f"{max(retries):3}   seconds mean {statistics.mean(seconds):5.1f} max {max(seconds):5.1f}", flush=True)
    return bad


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1, help="of the first run")
    parser.add_argument("--jobs", type=int, default=8, help="modules side by side")
    parser.add_argument("--binary", default=beken_module.BINARY)
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()
    beken_module.BINARY = simulator.BINARY = options.binary
    bad = 0
    if options.runs:
        bad += campaign(f"writes over bad lines at {SPEED} x real time", run,
                        range(options.seed, options.seed + options.runs), options)
    if options.kills:
        bad += campaign(f"kills in mid write at {KILL_SPEED} x real time", kill,
                        range(options.seed, options.seed + options.kills), options)
    census = beken_module.CENSUS
    print(f"figure: {census.counted} of {census.started} BK7231T counted, {census.operations} operations below 0x11000")
    return 1 if bad or census.operations or census.counted != census.started else 0


if __name__ == "__main__":
    sys.exit(main())
