# SPDX-License-Identifier: MIT
"""`bl2mqtt flash obk-config`: show and build on files, write on `simulate module`."""

import json
import pathlib
import random
import struct

import pytest

import obk_fields
import tuya_vaults
from beken_module import Module, operations
from harness import run

DATA = pathlib.Path(__file__).resolve().parents[1] / "data"
EXAMPLE = (DATA / "obk_config_example.bin").read_bytes()
SIZE, SECTOR = 3584, 4096
CONFIG = {"BK7231N": 0x1D1000, "BK7231T": 0x1E1000}

# The layout as published, by hand: name, offset, what the example holds there.
EXAMPLE_FIELDS = [
    ("generic_flags", 0x008, 0x400), ("wifi_ssid", 0x014, "ExampleNet"), ("wifi_password", 0x054, "example-pass-1"),
    ("mqtt_host", 0x094, "192.168.10.2"), ("mqtt_client_id", 0x194, "em-0001"), ("mqtt_user", 0x1D4, "meter"),
    ("mqtt_password", 0x214, "secret"), ("mqtt_port", 0x294, 1883),
    ("webapp_root", 0x298, "https://openbekeniot.github.io/webapp/"), ("short_name", 0x2DE, "em-0001"),
    ("name", 0x2FE, "EnergyMeter_0001"), ("ntp_server", 0x478, "217.147.223.78"), ("button_short", 0x4B8, 3),
    ("button_long", 0x4B9, 10), ("button_repeat", 0x4BA, 5), ("led_correction", 0x53C, [1.0, 1.0, 1.0]),
    ("led_gamma", 0x548, 2.2), ("led_min_rgb", 0x54C, 0.1), ("led_min_white", 0x550, 0.1),
    ("mqtt_group", 0x554, "bekens_n"), ("boot_success", 0x597, 5), ("ping_host", 0x5A0, "192.168.0.1"),
    ("startup_command", 0x5E0, "backlog startDriver BL0942; startDriver NTP"),
]
EXAMPLE_OPTIONS = ("--wifi-ssid", "ExampleNet", "--mqtt-host", "192.168.10.2", "--mqtt-client-id", "em-0001",
                   "--mqtt-user", "meter", "--name", "EnergyMeter_0001", "--startup-command",
                   "backlog startDriver BL0942; startDriver NTP")


def crc8(data):
    """The firmware's Tiny_CRC8 with its signed char."""
    crc = 0
    for byte in data:
        for _ in range(8):
            mix = (crc ^ byte) & 1
            crc = (crc >> 1) | (crc & 0x80)
            crc ^= 0x8C if mix else 0
            byte >>= 1
    return crc


def sealed(config):
    return config[:3] + bytes([crc8(config[4:SIZE])]) + config[4:]


def config(*args, env=None, check=True):
    result = run("flash", "obk-config", *args, env=env)
    assert not check or result.returncode == 0, result.stderr
    return result


@pytest.fixture
def put(folder):
    def put(name, content):
        path = folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path
    return put


def shown(path, *args):
    return json.loads(config("show", path, "--json", *args).stdout)


def built(folder, *args, env=None):
    path = folder / f"built-{random.randrange(1 << 30)}.bin"
    config("build", "--output", path, *args, env=env)
    content = path.read_bytes()
    assert len(content) == SIZE and content[3] == crc8(content[4:])
    assert path.stat().st_mode & 0o777 == 0o600
    return content


# ---------------------------------------------------------------------- files

def test_example_field_by_field(put):
    answer = shown(put("c.bin", EXAMPLE), "--show-secrets")
    assert (answer["valid"], answer["version"], answer["checksum"]) == (True, 5, 0x1E)
    fields = answer["fields"]
    for name, offset, value in EXAMPLE_FIELDS:
        assert fields.pop(name) == value, name
        if isinstance(value, str):
            assert EXAMPLE[offset:offset + len(value) + 1] == value.encode() + b"\0"
    empty = ([0] * 8, [0] * 32, [0] * 64, [0] * 5, 0, "", "0.0.0.0")
    assert all(value in empty for value in fields.values()), fields
    assert answer["flags"] == [10] and answer["pins"] == []


def test_example_rebuilt_byte_for_byte(folder, put):
    """Once from the options, once from what show says."""
    wifi = put("wifi", "example-pass-1\n")
    assert built(folder, *EXAMPLE_OPTIONS, "--wifi-password-file", wifi,
                 env={"OBK_MQTT_PASSWORD": "secret"}) == EXAMPLE
    told = config("show", put("c.bin", EXAMPLE), "--json", "--show-secrets").stdout
    assert built(folder, "--fields", put("c.json", told)) == EXAMPLE


def test_any_configuration_survives_show_and_build(folder, put, seed):
    """Also one whose bytes make no sense: nothing of it may get lost on the way through JSON."""
    rng = random.Random(seed)
    for kind in range(3):
        body = bytearray(rng.randbytes(SIZE) if kind == 0 else EXAMPLE)
        if kind == 1:
            for _ in range(40):
                body[rng.randrange(8, SIZE)] = rng.randrange(256)
        body[:8] = b"CFG\0" + struct.pack("<i", 5)
        wanted = sealed(bytes(body))
        told = config("show", put("c.bin", wanted), "--json", "--show-secrets").stdout
        assert built(folder, "--fields", put("c.json", told)) == wanted


def test_every_field_has_its_place(folder):
    """One option changes its own bytes and the checksum, and nothing else."""
    plain = built(folder)
    cases = [("--wifi-ssid2", "Other", 0xC00, b"Other\0"), ("--mqtt-port", "8883", 0x294, struct.pack("<i", 8883)),
             ("--ip-address", "192.168.1.20", 0x527, bytes([192, 168, 1, 20])),
             ("--pin-channels2", "31=7", 0x37E + 31, b"\x07"), ("--start-values", "63=-1", 0x3DE + 126, b"\xff\xff"),
             ("--calibration", "1=0.5", 0x49C, struct.pack("<f", 0.5)), ("--ping-interval", "60", 0x598, b"\x3c\0\0\0"),
             ("--mqtt-tls", "1", 0xCA5, b"\1"), ("--mqtt-certificate", "ca.pem", 0xCA7, b"ca.pem\0"),
             ("--web-off", "1", 0xCBB, b"\1"), ("--group-name", "g", 0x468, b"g\0"),
             ("--file-system-size", "0x8000", 0x4BC, struct.pack("<I", 0x8000)),
             ("--flag", "38=1", 0x00C, struct.pack("<I", 1 << 6)), ("--flag", "10=0", 0x008, bytes(4)),
             ("--led-map", "0,1,2,3,4", 0x537, bytes(range(5))), ("--mqtt-group", "all", 0x554, b"all\0"),
             ("--startup-command", "x" * 1567, 0x5E0, b"x" * 1567 + b"\0")]
    for option, value, offset, wanted in cases:
        content = built(folder, option, value)
        assert content[offset:offset + len(wanted)] == wanted, option
        width = 64 if option == "--mqtt-group" else len(wanted)
        left = bytearray(content)
        left[offset:offset + width] = plain[offset:offset + width]
        left[3] = plain[3]
        assert left == plain, option
    pin = built(folder, "--pin", "P6=rel:1", "--pin", "26=3:1:2")
    assert (pin[0x33E + 6], pin[0x35E + 6], pin[0x33E + 26], pin[0x35E + 26], pin[0x37E + 26]) == (1, 1, 3, 1, 2)


@pytest.mark.parametrize("option,value", [
    ("--wifi-ssid", "x" * 33), ("--mqtt-port", "0"), ("--mqtt-port", "65536"), ("--name", "a\nb"), ("--pin", "32=Rel:1"),
    ("--pin", "6=Lamp"), ("--pin", "6"), ("--flag", "64=1"), ("--flag", "1=2"), ("--pin-roles", "1,2"),
    ("--pin-roles", "6=256"), ("--ip-address", "1.2.3"), ("--ip-address", "1.2.3.256"), ("--led-gamma", "nan"),
    ("--startup-command", "x" * 1568), ("--clear", "nothing"), ("--mac", "12"), ("--mqtt-group", "x" * 64),
])
def test_what_does_not_fit_is_refused(folder, option, value):
    result = config("build", "--output", folder / "x.bin", option, value, check=False)
    assert result.returncode == 2 and result.stderr.startswith("bl2mqtt flash obk-config build: ")
    assert not (folder / "x.bin").exists()


def test_passwords_never_from_the_command_line_and_never_shown(folder, put):
    result = config("build", "--output", folder / "x.bin", "--wifi-password", "secret-4711", check=False)
    assert result.returncode == 2
    env = {"OBK_WIFI_PASSWORD": "secret-4711", "OBK_WEB_PASSWORD": "secret-4712", "OBK_MQTT_PASSWORD": "x" * 128}
    result = config("build", "--output", folder / "x.bin", env=env, check=False)
    assert result.returncode == 2 and "mqtt_password must be at most 127" in result.stderr
    env["OBK_MQTT_PASSWORD"] = "secret-4713"
    content = put("c.bin", built(folder, "--wifi-password-file", "-", env=env))
    assert b"secret-4711\0" in content.read_bytes() and b"secret-4712\0" in content.read_bytes()
    for args in ((), ("--json",)):
        result = config("show", content, *args)
        assert "secret-47" not in result.stdout + result.stderr
        assert "secret-4713" in config("show", content, *args, "--show-secrets").stdout
    masked = config("show", content, "--json").stdout
    result = config("build", "--output", folder / "y.bin", "--fields", put("m.json", masked), check=False)
    assert result.returncode == 2 and "masked" in result.stderr
    assert b"secret" not in built(folder, "--from", content, "--clear", "wifi-password", "--clear", "web_password",
                                  "--clear", "mqtt-password")


def test_dump_damage_and_old_versions(folder, put):
    flash = bytearray(tuya_vaults.dump())
    flash[0x1D1000:0x1D1000 + SIZE] = EXAMPLE
    assert shown(put("dump.bin", bytes(flash)))["address"] == 0x1D1000
    flash[0x1E1000:0x1E1000 + SIZE] = EXAMPLE
    flash[0x1D1000 + 100] ^= 1
    assert shown(put("dump.bin", bytes(flash)))["address"] == 0x1E1000  # the good one
    result = config("show", put("bad.bin", EXAMPLE[:200] + b"?" + EXAMPLE[201:]), "--json", check=False)
    assert result.returncode == 5 and "ignores" in result.stderr
    assert json.loads(result.stdout)["valid"] is False
    for nothing in (b"\xff" * 0x200000, b"CFG", b"", tuya_vaults.dump()):
        result = config("show", put("nothing.bin", nothing), check=False)
        assert result.returncode == 1 and "holds no OpenBeken configuration" in result.stderr
    # Version 3 covers 2016 bytes: what stands behind them does not exist there.
    old = b"CFG\0" + struct.pack("<i", 3) + EXAMPLE[8:2016] + b"\xff" * (SIZE - 2016)
    old = old[:3] + bytes([crc8(old[4:2016])]) + old[4:]
    path = put("old.bin", old)
    assert "web_password" not in shown(path)["fields"]
    changed = config("build", "--from", path, "--output", folder / "new.bin", "--wifi-ssid", "New")
    content = (folder / "new.bin").read_bytes()
    assert content[3] == crc8(content[4:2016]) and content[0x14:0x18] == b"New\0" and content[2016:] == old[2016:]
    result = config("build", "--from", path, "--output", folder / "n.bin", "--web-off", "1", check=False)
    assert result.returncode == 2 and "version 3" in result.stderr
    result = config("build", "--output", folder / "new.bin", check=False)
    assert result.returncode == 4 and "already there" in result.stderr
    assert changed.returncode == 0


def test_vendors_pins_go_in(folder, put):
    settings = {**tuya_vaults.PLUG, "rl1_lv": 0, "pwmhz": 1000}
    path = put("dump.bin", tuya_vaults.dump(tuya_vaults.usual_vault(settings).bytes()))
    content = built(folder, "--tuya", path)
    assert (content[0x33E + 6], content[0x35E + 6]) == (2, 1)  # Rel_n
    assert (content[0x33E + 26], content[0x33E + 8]) == (3, 8)  # Btn, WifiLED
    assert content[0x5E0:].startswith(b"backlog PWMFrequency 1000\0")
    result = config("build", "--output", folder / "x.bin", "--tuya", put("n.bin", tuya_vaults.dump()), check=False)
    assert result.returncode == 1 and "tells no pins" in result.stderr


def test_documented_fields_are_the_programs():
    assert obk_fields.documented() == obk_fields.table(), "python3 tests/integration/obk_fields.py --write repairs it"


def test_usage():
    for args in ((), ("shw",), ("build",), ("write",), ("show",), ("show", "a", "b")):
        assert config(*args, check=False).returncode == 2
    assert "--wifi-ssid" in config("build", "--help").stdout
    assert "show FILE" in config("--help").stdout


# ---------------------------------------------------------------------- on a module

@pytest.fixture
def module(folder):
    started = []

    def start(chip="BK7231N", **options):
        options.setdefault("args", ("--power-cycle-on-open",))
        started.append(Module(folder, chip, seed=len(started) + 1, **options))
        return started[-1]

    yield start
    try:
        for one in started:
            if one.running():
                one.stop()
    finally:
        for one in started:
            one.close()


def write(sim, *args, env=None, check=True):
    result = config("write", "--port", sim.port, "--progress", "none", "--timeout", 15, *args, env=env, check=check)
    return json.loads(result.stdout) if check and "--json" in args else result


def test_factory_user_goes_when_a_broker_is_named(module, folder):
    """No broker knows it; without a user the module must come as nobody."""
    answer = json.loads(config("build", "--output", folder / "a", "--mqtt-host", "192.0.2.1", "--json").stdout)
    assert (answer["fields"]["mqtt_user"], answer["fields"]["mqtt_password"]) == ("", "")
    answer = json.loads(config("build", "--output", folder / "b", "--wifi-ssid", "Net", "--json").stdout)
    assert answer["fields"]["mqtt_user"] == "homeassistant"
    fields = write(module("BK7231N"), "--mqtt-host", "192.0.2.1", "--json")["fields"]
    assert (fields["mqtt_user"], fields["mqtt_password"]) == ("", "")


@pytest.mark.parametrize("chip", ["BK7231N", "BK7231T"])
def test_written_where_there_was_none(module, chip):
    sim = module(chip)
    before = sim.flash()
    answer = write(sim, *EXAMPLE_OPTIONS, "--json", env={"OBK_WIFI_PASSWORD": "example-pass-1",
                                                         "OBK_MQTT_PASSWORD": "secret"})
    assert (answer["address"], answer["before"], answer["written"]) == (CONFIG[chip], "blank", 1)
    assert answer["fields"]["wifi_password"] == "********"
    after = sim.flash()
    at = CONFIG[chip]
    sector = after[at:at + SECTOR]
    assert sector[:3] == b"CFG" and sector[3] == crc8(sector[4:SIZE]) and sector[SIZE:] == b"\xff" * 512
    assert sector[0x14:0x1F] == b"ExampleNet\0" and sector[0x54:0x63] == b"example-pass-1\0"
    assert sector[0x554:0x55D] == (b"bekens_n\0" if chip == "BK7231N" else b"bekens_t\0")
    assert sector[0x2DE:0x2E6] == b"em-0001\0"
    assert after[:at] == before[:at] and after[at + SECTOR:] == before[at + SECTOR:]


def test_changed_in_place(module, folder):
    """Pins, flags and bytes that nobody knows stay; nothing else is written; a second run writes nothing."""
    old = bytearray(EXAMPLE)
    old[0x33E + 6], old[0x35E + 6] = 1, 1
    old[0xCBC:0xCC4] = b"whatever"
    old[0x020:0x022] = b"zz"  # rubbish behind a text's end is part of another field's past, too
    old = sealed(bytes(old)) + b"tail".ljust(512, b"\xff")
    flash = bytearray(tuya_vaults.dump())
    flash[0x1D1000:0x1D2000] = old
    sim = module(flash=bytes(flash))
    answer = write(sim, "--mqtt-host", "10.0.0.9", "--flag", "25=1", "--backup", folder / "old.bin", "--json")
    assert answer["before"] == "kept" and answer["changed"] == ["generic_flags", "mqtt_host"]
    wanted = bytearray(old)
    wanted[0x094:0x094 + 256] = b"10.0.0.9".ljust(256, b"\0")
    wanted[0x008:0x00C] = struct.pack("<I", 0x400 | 1 << 25)
    wanted = sealed(bytes(wanted))
    assert sim.flash()[0x1D1000:0x1D2000] == wanted
    assert (folder / "old.bin").read_bytes() == old
    answer = write(sim, "--mqtt-host", "10.0.0.9", "--json")
    assert (answer["changed"], answer["written"]) == ([], 0)
    stats = sim.stop()["flash"]
    assert stats["erases_4k"] == 1 and stats["erases_64k"] == 0


def test_damaged_is_replaced_and_foreign_is_not(module, folder):
    flash = bytearray(tuya_vaults.dump())
    flash[0x1D1000:0x1D2000] = (EXAMPLE[:200] + b"?" + EXAMPLE[201:]).ljust(SECTOR, b"\xff")
    sim = module(flash=bytes(flash))
    result = write(sim, "--wifi-ssid", "Net")
    assert "damaged" in result.stderr and "Verified" in result.stdout
    sector = sim.flash()[0x1D1000:0x1D2000]
    assert sector[3] == crc8(sector[4:SIZE]) and sector[0x194:0x1A0] == b"obk12345678\0"  # of the MAC
    flash[0x1D1000:0x1D2000] = b"something else".ljust(SECTOR, b"\0")
    sim = module(flash=bytes(flash))
    result = write(sim, "--wifi-ssid", "Net", check=False)
    assert result.returncode == 4 and "--force" in result.stderr
    assert operations(sim.tell("stats")) == 0
    assert write(sim, "--wifi-ssid", "Net", "--force", "--json")["before"] == "foreign"


def test_nothing_is_asked_of_the_module_before_all_is_right(folder):
    for args, code in ((("--mqtt-port", "0"), 2), (("--wifi-password-file", folder / "none"), 2),
                       (("--fields", folder / "none"), 2), (("--backup", __file__), 4)):
        result = config("write", "--port", "/dev/not-there", "--timeout", "1", *args, check=False)
        assert result.returncode == code, result.stderr


def test_refusals_come_as_json_when_that_is_asked_for(folder):
    for args, words in ((("--mqtt-port", "0"), "mqtt_port"), (("--fields", folder / "none"), "none"),
                        (("--wifi-password-file", folder / "none"), "none")):
        result = config("write", "--port", "/dev/not-there", "--progress", "json", *args, check=False)
        (line,) = result.stderr.splitlines()
        told = json.loads(line)
        assert words in told["message"] and told["exit_status"] == result.returncode == 2


def test_adapter_that_goes_away_in_the_middle(module):
    sim = module("BK7231N", vanish_at_program=3, vanish_s=0.5)
    write(sim, "--wifi-ssid", "Net")
    sector = sim.flash()[0x1D1000:0x1D2000]
    assert sector[3] == crc8(sector[4:SIZE]) and sector[0x14:0x18] == b"Net\0"
