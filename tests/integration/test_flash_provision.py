# SPDX-License-Identifier: MIT
"""`bl2mqtt flash provision`: one command from a module as it was bought to both channels in the bridge's state.
No step of it is done by the test itself."""

import json
import os
import pathlib
import pty
import signal
import stat
import termios

import pytest
import yaml

import obk_boot
from beken_images import make_ua
from beken_module import operations
from harness import BINARY, ROOT, run, wait_for, write_config
from provision_bench import CLIENT, PROFILE, arguments, bench, image, provision, secrets, steps, whole  # noqa: F401
from tuya_vaults import usual_vault

# ---- the whole road ----

def test_one_command_from_the_shop_to_the_bridge(bench, secrets, folder, broker, spawn):
    """The service knows of no device; the module runs its vendor's firmware. One command later both channels
    are in the bridge's state."""
    world = bench(vault=usual_vault().bytes())
    before = world.module.flash()
    config = write_config(folder, broker.url, [])
    spawn("--config", config, "run").wait_line("Connected")
    watch = broker.subscribe("bl2mqtt/#", "homeassistant/#", f"{CLIENT}/#")
    result = run("--config", config, *arguments(world, image(folder), "--name", "House meter", "--mqtt-user", "meter",
                                                "--mqtt-password-file", folder / "mqtt", "--adopt", "--json"), timeout=120)
    answer = whole(result)
    assert set(steps(answer).values()) == {"done"}
    assert list(steps(answer)) == ["broker", "probe", "link-test", "fit", "backup", "vendor", "write", "configuration",
                                   "restart", "connect", "firmware", "readings", "adopt"]
    assert answer["channels"] == {"a": {"voltage_v": 231.0, "current_a": 5.0, "power_w": 1100.0},
                                  "b": {"voltage_v": 231.0, "current_a": 2.0, "power_w": 430.0}}
    assert answer["online"] and answer["error"] is None and answer["warnings"] == [] and answer["configured"]
    assert answer["firmware"] == {"kind": "QIO", "version": "1.18.300", "twin": True}

    # In the bridge, with the profile's factors to begin with (531.7 of 1000).
    assert answer["adopted"]["id"] == "utilities_sensor9" and answer["adopted"]["channels"] == ["a", "b"]
    state = watch.wait("bl2mqtt/utilities_sensor9",
                       lambda m: m["power_a"] and m["power_b"] and m["power_b"] > 500 and m["current_a"])
    assert state["power_a"] == pytest.approx(1100 / 0.5317, 0.001)
    assert state["power_b"] == pytest.approx(430 / 0.5317, 0.001)
    assert state["voltage_b"] == pytest.approx(231 / 1.0458, 0.001)
    watch.wait("bl2mqtt/utilities_sensor9/availability", lambda m: m == {"state": "online"})
    assert any("power_b" in m["payload"] for m in watch.messages if m["topic"].startswith("homeassistant/"))
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

    # The backup is the module as it was; what its vault said is beside it, without its secrets.
    assert (folder / "saved.bin").read_bytes() == before
    vendor = pathlib.Path(answer["vendor"]["file"])
    assert vendor.parent == folder and stat.S_IMODE(vendor.stat().st_mode) == 0o600
    told = json.loads(vendor.read_text())
    assert answer["vendor"]["found"] and told["found"]
    again = whole(run("flash", "tuya", folder / "saved.bin", "--json"))
    assert told == {key: value for key, value in again.items() if key in told} and "********" in json.dumps(told["keys"])
    assert "s3cret" not in result.stdout + result.stderr and "example-pass" not in result.stdout + result.stderr
    # The backup holds what the owner told the vendor's firmware.
    assert stat.S_IMODE((folder / "saved.bin").stat().st_mode) == 0o600

    # The lines for bridge.yaml are good, too.
    (device,) = yaml.safe_load(answer["config"])["devices"]
    assert device["channels"]["b"]["calibration"]["current"] == 510
    lines = write_config(folder, broker.url, [device], bridge={"data_dir": str(folder / "elsewhere")})
    assert run("--config", lines, "check").returncode == 0

    # Again: nothing is written, the backup is kept, and it ends as well.
    saved = (folder / "saved.bin.json").read_text()
    again = whole(provision(world, image(folder), "--name", "House meter", "--mqtt-user", "meter",
                            "--mqtt-password-file", folder / "mqtt", "--json"))
    assert again["write"]["written"] == 0 and not again["configured"] and list(again["channels"]) == ["a", "b"]
    assert (folder / "saved.bin.json").read_text() == saved


def test_service_that_does_not_run(bench, secrets, folder, broker):
    """Everything is done but the last step: that is said, and the lines are printed all the same."""
    broker.publish("bl2mqtt/bridge/state", {"state": "offline"}, retain=True)  # it ran once
    world = bench(saved=True)
    config = write_config(folder, broker.url, [])
    result = run("--config", config, *arguments(world, image(folder), "--adopt"), timeout=120)
    assert "No bridge runs on the broker" in result.stderr and "says offline" in result.stderr
    assert result.returncode == 3 and 'step "adopt" failed' in result.stderr and "into bridge.yaml" in result.stderr
    assert "channel b: 231.0 V" in result.stdout and "topic: \"utilities/sensor9\"" in result.stdout


def test_t_without_waiting(bench, secrets, folder):
    world = bench(chip="BK7231T")
    profile = folder / "plug.yaml"
    profile.write_text((ROOT / "schema/profiles/bl0942-single.yaml").read_text().replace("name: bl0942-single", "name: plug") +
                       "pins:\n  - {pin: 26, role: Rel_n, channel: 1}\n  - {pin: 8, role: WifiLED_n, channel: 0}\n")
    result = provision(world, image(folder, "BK7231T", twin=False), profile=profile, wait=None)
    assert result.returncode == 0, result.stderr
    assert "The module starts now" in result.stdout and "driver: openbeken" in result.stdout
    boot = wait_for(lambda: next((b for b in world.boots() if b["joined"]), None), what="the module on the Wi-Fi")
    assert boot["chip"] == "BK7231T" and boot["config"]["startup"] == "backlog startDriver BL0942"
    assert (boot["config"]["roles"][26], boot["config"]["channels"][26], boot["config"]["roles"][8]) == (2, 1, 9)
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
    result = provision(world, image(folder), "--json")
    answer = whole(result)
    (boot,) = [b for b in world.boots() if b["openbeken"]]
    assert boot["config"]["roles"][26] == 1
    # The user of its earlier broker is nobody's business here.
    assert (boot["config"]["user"], boot["config"]["password"]) == ("", "")
    assert 'had the user "meter"' in result.stderr
    assert boot["config"]["name"] == "EnergyMeter_0001" and boot["config"]["client"] == CLIENT
    assert answer["channels"]["b"]["power_w"] == 430.0


def test_progress_in_json_is_nothing_but_json(bench, secrets, folder):
    """To the last sentence, also when the port is closed again; and the trace is nobody else's to read."""
    world = bench(saved=True, networks={"ExampleNet": "another"})
    trace = folder / "trace"
    trace.touch(mode=0o644)
    result = run(*[a if a != "none" else "json" for a in arguments(world, image(folder), "--trace", trace, wait=1)])
    lines = [json.loads(line) for line in result.stderr.splitlines()]
    assert all({"stage", "done", "total", "address", "retries", "baud"} <= set(line) for line in lines)
    assert lines[-1]["exit_status"] == result.returncode == 3 and 'step "connect" failed' in lines[-1]["message"]
    assert any("step 9" in line.get("message", "").lower() for line in lines)
    assert stat.S_IMODE(trace.stat().st_mode) == 0o600 and trace.stat().st_size > 0


# ---- what is wrong before a port is opened ----

def test_usage(folder, secrets):
    firmware, plain = image(folder), image(folder, twin=False)
    empty, short, long = folder / "too-short", folder / "typo", folder / "long"
    empty.write_text("\n")
    short.write_text("exampl\n")
    long.write_text("x" * 65 + "\n")
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
            ("seconds from 1", 2, ["--yes", "--wait-time", "x"], {}), ("without a value", 2, ["--yes=1"], {}),
            ("needs a value", 2, ["--yes", "--name"], {}), ("BL0942opts", 4, ["--yes"], {"firmware": plain}),
            ("at most 32 bytes", 2, ["--yes"], {"wifi_ssid": "a\nb"}), ("too-short: ", 2, ["--yes"], {"wifi_password_file": empty}),
            ("is it the right one", 2, ["--yes"], {"wifi_password_file": short}),
            ("at most 64", 2, ["--yes"], {"wifi_password_file": long}),
            ("not-there", 3, ["--yes"], {"mqtt_host": "localhost2.example"}),
            ("wifi: ", 4, ["--yes"], {"firmware": folder / "wifi"}), ("not-there", 3, ["--yes"], {})):
        result = ask(*more, **changes)
        if words == "wifi: ":
            assert result.returncode == 4, result.stderr
            continue
        assert result.returncode == status and words in result.stderr, (words, result.returncode, result.stderr)
    assert run("flash", "provision", "--help").stdout.startswith("Usage:")


def test_json_before_anything_is_opened(folder, secrets):
    result = run("flash", "provision", "--firmware", image(folder), "--progress", "json", "--port", "/dev/not-there")
    (line,) = result.stderr.splitlines()
    assert json.loads(line)["exit_status"] == result.returncode == 2 and "--profile" in json.loads(line)["message"]


def test_what_a_file_leaves_open_is_said(folder, secrets):
    """As `flash write` says it."""
    firmware = folder / "ua.bin"
    firmware.write_bytes(make_ua("BK7231N", 8000, tells_length=False))
    result = run("flash", "provision", "--port", "/dev/not-there", "--firmware", firmware, "--profile", "bl0942-single",
                 "--client-id", "x", "--wifi-ssid", "n", "--wifi-open", "--mqtt-host", "192.0.2.1", "--yes", "--json")
    (warning,) = json.loads(result.stdout)["warnings"]
    assert "filler" in warning and warning in result.stderr


def test_terminal_shows_again_what_is_typed(folder):
    """Ctrl-C while the password is asked for: a terminal without its echo would be a riddle."""
    pid, fd = pty.fork()
    if pid == 0:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # a test run in the background ignores it, and children inherit that
        os.execv(BINARY, [str(a) for a in (
            BINARY, "flash", "provision", "--port", "/dev/not-there", "--firmware", image(folder), "--profile", PROFILE,
            "--client-id", "x", "--wifi-ssid", "n", "--mqtt-host", "192.0.2.1", "--yes")])
    def echoes():
        return bool(termios.tcgetattr(fd)[3] & termios.ECHO)
    wait_for(lambda: not echoes(), 10, "the question")
    os.write(fd, b"half a pass\x03")
    assert os.WTERMSIG(os.waitpid(pid, 0)[1]) == signal.SIGINT
    assert echoes()
    os.close(fd)
