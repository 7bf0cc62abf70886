# SPDX-License-Identifier: MIT
"""`bl2mqtt openbeken update` against a simulated module that has a bootloader's mind of its own about
packages, and packages that are made by the published rules."""

import json
import signal

import pytest

from beken_images import make_ota, make_qio, make_rbl, make_ua, make_ug
from harness import BINARY, Process, pause, run, wait_for
from obk_module import Chip, Flash, ObkModule

TWIN_SCRIPT = b"logtype none\nBL0942opts 3\nstartDriver BL0942\n"


@pytest.fixture
def module():
    started = []

    def start(**options):
        options = {"speed": 80, "boot_s": 0.3, "restart_s": 0.2, **options}
        flash = options.setdefault("flash", Flash())
        flash.files.setdefault("autoexec.bat", TWIN_SCRIPT if options.get("twin") else b"startDriver BL0942\n")
        started.append(ObkModule(**options))
        started[-1].booted -= 100  # so that a restart can be reported by the uptime
        return started[-1]

    yield start
    for each in started:
        each.close()


def put(folder, name, content):
    path = folder / name
    path.write_bytes(content)
    return path


def update(module, path, *args, timeout=40):
    return run("openbeken", "update", "--host", module.host, path, *args, timeout=timeout)


def test_new_version_and_everything_stays(module, folder, broker):
    flash = Flash()
    flash.values.update(host="127.0.0.1", port=broker.port, client="meters/1", flags=1 << 10 | 1 << 25,
                        divisors={"V": 15000.0, "A": 251000.0, "W": 600.0})
    flash.energy = [12345.6, 77.0]
    single = module(flash=flash, unpack_s=1.0)
    wait_for(lambda: single.driver.shown[0], what="a reading")
    path = put(folder, "new.rbl", make_ota("BK7231N", "1.18.300"))
    before = single.flash.copy_values()
    result = update(single, path, "--json", "--progress", "json")
    assert result.returncode == 0, result.stderr
    answer = json.loads(result.stdout)
    assert (answer["from"], answer["to"], answer["updated"]) == ("1.18.0", "1.18.300", True)
    assert answer["image"] == {"chip": "BK7231N", "version": "1.18.300", "twin": False, "bytes": path.stat().st_size}
    assert answer["energy_before"]["total_wh"] >= 12345.6
    assert answer["energy_after"]["total_wh"] >= answer["energy_before"]["total_wh"]
    assert answer["energy_after"]["voltage_v"] == pytest.approx(answer["energy_before"]["voltage_v"], 0.01)
    assert answer["warnings"] == [] and answer["error"] is None
    assert single.version == "1.18.300" and single.boots == 2
    assert single.flash.copy_values() == before  # calibration and all other settings
    assert [r[:2] for r in single.writes()] == [("POST", "/api/ota"), ("POST", "/api/reboot")]
    steps = [json.loads(line) for line in result.stderr.splitlines()]
    stages = [step["stage"] for step in steps if "stage" in step]
    assert list(dict.fromkeys(stages)) == ["check", "upload", "restart", "verify"]
    assert [s for s in steps if s.get("stage") == "upload"][-1]["done"] == path.stat().st_size

    # It has that version now.
    again = update(single, path)
    assert again.returncode == 0 and "already" in again.stderr and single.boots == 2
    forced = update(single, path, "--reinstall")
    assert forced.returncode == 0, forced.stderr
    assert single.boots == 3 and "runs version 1.18.300; before it was 1.18.300" in forced.stdout


def test_dry_run_changes_nothing(module, folder):
    single = module()
    result = update(single, put(folder, "new.rbl", make_ota("BK7231N")), "--dry-run", "--json")
    assert result.returncode == 0 and "Nothing was changed" in result.stderr
    answer = json.loads(result.stdout)
    assert answer["dry_run"] and not answer["updated"] and answer["to"] == "1.18.300"
    assert single.writes() == [] and single.package is None


@pytest.mark.parametrize("chipset, made_for, fits", [
    ("BK7231N", "BK7231T", False), ("BK7231T", "BK7231N", False), ("BK7231T", "BK7231T", True),
    ("BK7231M", "BK7231N", True), ("BK7231N", "BK7231M", True), ("BK7238", "BK7231N", False), ("XR809", "BK7231N", False)])
def test_package_and_chip(module, folder, chipset, made_for, fits):
    single = module(chipset=chipset)
    # Named as if it were right: only the content counts.
    path = put(folder, f"Open{chipset}_1.18.300.rbl", make_ota(made_for))
    result = update(single, path, "--dry-run")
    assert result.returncode == (0 if fits else 4), result.stderr
    if not fits:
        assert "Nothing was changed" in result.stderr and chipset in result.stderr
    assert single.writes() == []


def test_files_that_are_no_good(module, folder):
    single = module()
    good = make_ota("BK7231N")
    turned = bytearray(good)
    turned[5000] ^= 1
    too_big = make_ota("BK7231N", length=1200000)
    cases = {
        "qio": (make_qio("BK7231N"), "QIO"), "ua": (make_ua("BK7231N"), "UA"), "ug": (make_ug(), "UG"),
        "cut": (good[:-100], "cut short"), "turned": (bytes(turned), "damaged"), "text": (b"hello" * 100, "unknown"),
        "foreign key": (make_ota("BK7231N", key=b"x" * 32), "another key"),
        "junk inside": (make_rbl(), "cannot be unpacked"), "too big": (too_big, "has room for"), "empty": (b"", "unknown"),
    }
    for name, (content, words) in cases.items():
        result = update(single, put(folder, "x.rbl", content))
        assert result.returncode == 4, (name, result.stderr)
        assert words in result.stderr, (name, result.stderr)
    assert update(single, folder / "not-there.rbl").returncode == 2
    assert single.requests == []  # all of it before the module is asked


def test_channel_that_would_be_lost(module, folder):
    twin = module(twin=True)
    plain, doubled = put(folder, "1.rbl", make_ota("BK7231N")), put(folder, "2.rbl", make_ota("BK7231N", twin=True))
    result = update(twin, plain)
    assert result.returncode == 4 and "channel b would be gone" in result.stderr and "--lose-channel" in result.stderr
    assert twin.writes() == []
    assert update(twin, doubled, "--dry-run").returncode == 0
    assert update(twin, plain, "--lose-channel", "--dry-run").returncode == 0


def test_upload_that_breaks_off(module, folder):
    """MQTT is off after half an upload: the module must be restarted, and goes on as it was."""
    single = module()
    single.fault("/api/ota", "cut", 8000)
    result = update(single, put(folder, "new.rbl", make_ota("BK7231N")))
    assert result.returncode == 1, result.stderr
    assert "broke" in result.stderr and "goes on with the firmware it had" in result.stderr
    wait_for(lambda: single.boots == 2, what="the restart")
    assert single.version == "1.18.0"


def test_bootloader_that_does_not_take_it(module, folder):
    single = module()
    single._take_package = lambda: None
    result = update(single, put(folder, "new.rbl", make_ota("BK7231N")), "--json")
    assert result.returncode == 5 and "did not take the package" in result.stderr
    assert json.loads(result.stdout)["updated"] is False


@pytest.mark.parametrize("kind, value, status, words", [
    ("status", 500, 1, "HTTP 500"), ("wrong", '{"size":7}', 1, "took 7 of"), ("wrong", "{}", 1, "not what OpenBeken"),
    ("redirect", None, 1, "another address")])
def test_answers_to_the_upload(module, folder, kind, value, status, words):
    single = module()
    single.fault("/api/ota", kind, value)
    result = update(single, put(folder, "new.rbl", make_ota("BK7231N")))
    assert result.returncode == status and words in result.stderr and "the firmware it had" in result.stderr


def test_module_that_stays_away(module, folder):
    single = module(restart_s=30)
    result = update(single, put(folder, "new.rbl", make_ota("BK7231N")), "--wait", 2)
    assert result.returncode == 3 and "has taken the package" in result.stderr and "power off and on" in result.stderr


def test_counter_and_calibration_that_are_lost_are_told(module, folder):
    single = module(chips={1: Chip(volts=230.0)})
    single.flash.energy = [5000.0, 0.0]
    wait_for(lambda: single.driver.shown[0], what="a reading")
    take = single._take_package

    def forget():
        take()
        single.flash.energy = [4990.0, 0.0]
        single.flash.values["divisors"] = {"V": 14000.0, "A": 251210.0, "W": 598.0}

    single._take_package = forget
    result = update(single, put(folder, "new.rbl", make_ota("BK7231N")), "--json")
    assert result.returncode == 0, result.stderr
    warnings = " ".join(json.loads(result.stdout)["warnings"])
    assert "EnergyCntReset 500" in warnings and "lost its calibration" in warnings


def test_stopped_while_sending(module, folder):
    single = module(upload_bytes_per_s=20000)
    path = put(folder, "new.rbl", make_ota("BK7231N", length=200000))
    process = Process([BINARY, "openbeken", "update", "--host", single.host, path, "--progress", "json"])
    wait_for(lambda: single.package is not None, what="the upload")
    pause(0.3, "in the middle of the upload")
    assert process.stop(signal.SIGINT) == 1
    assert "Stopped." in process.output and "the firmware it had" in process.output
    wait_for(lambda: single.boots == 2, what="the restart")
    assert single.version == "1.18.0"


def test_usage(module, folder):
    path = put(folder, "new.rbl", make_ota("BK7231N"))
    for args in ([path], ["--host", "127.0.0.1:1"], ["--host", "127.0.0.1:1", path, "more"],
                 ["--host", "127.0.0.1:1", path, "--wait", "0"], ["--host", "127.0.0.1:1", path, "--progress", "x"]):
        assert run("openbeken", "update", *args).returncode == 2, args
    assert run("openbeken", "update", "--host", "127.0.0.1:1", path).returncode == 3
    assert run("openbeken", "update", "--help").stdout.startswith("Usage:")
