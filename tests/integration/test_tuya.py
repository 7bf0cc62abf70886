# SPDX-License-Identifier: MIT
"""`bl2mqtt flash tuya`: vaults of every kind, built by tuya_vaults.py, through the real binary."""

import hashlib
import json
import pathlib
import random

import pytest

import beken_images
import tuya_vaults
from harness import run
from tuya_vaults import (BLOCK, KEY_ADDRESS, MAGIC_NEW, NETWORK, PLUG, PROTECTED, SECRETS, Block, Vault, data_key,
                         dump, key_block, protected_block, rotate, usual_values, usual_vault, vendor_json)

DATA = pathlib.Path(__file__).resolve().parents[1] / "data"
HIDDEN = [*SECRETS.values(), NETWORK["ssid"], NETWORK["passwd"], NETWORK["token"], "cloud-key-1", "local-key-1"]
PLUG_TEMPLATE = {"6": "Rel;1", "26": "Btn;1", "8": "WifiLED;0"}


@pytest.fixture
def tuya(folder):
    """tuya(bytes, "--option"...) -> the answer."""
    def ask(content, *args):
        path = folder / "dump.bin"
        path.write_bytes(content)
        result = run("flash", "tuya", path, "--json", *args)
        assert result.returncode == 0, result.stderr
        return json.loads(result.stdout)
    return ask


def whole(answer, values):
    """All of `values` are there, as JSON where they are JSON."""
    assert answer["found"] and answer["reason"] is None and answer["damaged"] == []
    for name, value in values.items():
        text = value.rstrip(b"\0").decode()
        if name == "user_param_key":
            assert answer["keys"][name] == PLUG
        else:
            assert answer["keys"][name] == (json.loads(text) if text.startswith("{") else text), name


# ---------------------------------------------------------------------- the format's published vectors

def test_builder_agrees_with_the_published_vectors():
    assert data_key(bytes(range(16))).hex() == "808085858d9eb09cadafa1adb8bdb3a5"
    assert key_block()[:48].hex() == ("d5410d32e84cb8a06c804a5fbc9bfeb7" "baa8e53e5b1a923dc6f74919a009804f"
                                      "46dced0e672f3b70ae1276a3f8712e03")
    assert key_block() == (DATA / "tuya_kv_example.bin").read_bytes()[:BLOCK]


def test_published_example(tuya):
    answer = tuya((DATA / "tuya_kv_example.bin").read_bytes(), "--show-secrets")
    assert answer["found"] and answer["module"] == "CB2S" and answer["chip"] == "BK7231N"
    assert answer["keys"]["gw_bi"]["uuid"] == "0123456789abcdef"
    assert answer["pins"] == {"rl1_pin": 6, "bt1_pin": 26, "netled1_pin": 8, "ele_pin": 7, "vi_pin": 24,
                              "sel_pin_pin": 11}
    assert answer["openbeken"]["template"]["pins"] == {
        "6": "Rel;1", "26": "Btn;1", "8": "WifiLED;0", "7": "BL0937CF;0", "24": "BL0937CF1;0", "11": "BL0937SEL;0"}


# ---------------------------------------------------------------------- vaults of every kind

@pytest.mark.parametrize("chip", ["BK7231N", "BK7231T"])
def test_usual_dump(tuya, chip):
    answer = tuya(dump(usual_vault().bytes(), chip), "--show-secrets")
    whole(answer, usual_values())
    assert answer["chip"] == chip
    assert answer["bootloader"] == ("BK7231N_1.0.1" if chip == "BK7231N" else "BK7231S_1.0.5")
    assert answer["mac"] == "d8:1f:12:34:56:78"
    assert answer["firmware"]["kind"] == "tuya" and answer["firmware"]["version"] == "1.3.21"
    assert answer["vault"]["address"] == KEY_ADDRESS and answer["vault"]["blocks"] == 17
    assert answer["pins_from"] == "vault" and answer["module"] == "CB2S"
    template = answer["openbeken"]["template"]
    assert template["pins"] == PLUG_TEMPLATE
    assert (template["vendor"], template["chip"], template["board"]) == ("Tuya", chip, "CB2S")
    assert "setPinRole 6 Rel" in answer["openbeken"]["commands"]


def test_new_magic_and_another_key(tuya):
    answer = tuya(dump(usual_vault(magic=MAGIC_NEW, inner=bytes(range(200, 216))).bytes()), "--show-secrets")
    whole(answer, usual_values())
    assert answer["vault"]["tuya_os_3"] is True


def test_rotated_dump(tuya):
    flash = dump(usual_vault().bytes(), "BK7231T")
    answer = tuya(rotate(flash), "--show-secrets")
    whole(answer, usual_values())
    assert answer["vault"]["address"] == KEY_ADDRESS and answer["mac"] == "d8:1f:12:34:56:78"
    assert answer["bootloader"] == "BK7231S_1.0.5"


@pytest.mark.parametrize("lead", [0, BLOCK, 0x1EB000, 16, 12345])
def test_key_block_anywhere(tuya, lead):
    """Pieces of a dump, other chips' addresses, and a file that begins in the middle of a sector."""
    answer = tuya(random.Random(1).randbytes(lead) + usual_vault().bytes(), "--show-secrets")
    whole(answer, usual_values())
    assert answer["vault"]["address"] == lead


def test_all_blocks_are_used(tuya):
    """Values in the last block, over many blocks, and one that fills most of the vault."""
    values = {"last": b"in the last block", "big": random.Random(2).randbytes(40000), "empty": b""}
    vault = usual_vault()
    vault.put("big", values["big"])
    vault.put("last", values["last"], block=16)
    vault.put("empty", values["empty"], block=9)
    answer = tuya(dump(vault.bytes()), "--show-secrets")
    whole(answer, usual_values())
    assert answer["keys"]["big"] == {"hex": values["big"].hex()}
    assert answer["keys"]["last"] == "in the last block" and answer["keys"]["empty"] == ""


@pytest.mark.parametrize("copies_first", [False, True])
def test_swap_copy_of_the_higher_generation_wins(tuya, copies_first):
    old, new = usual_vault(), usual_vault({**PLUG, "rl1_pin": 14})
    old.blocks = old.blocks[:14]
    for block in new.blocks[:1]:
        block.generation = 9
    blocks = old.data()
    swap = new.data()[:1]
    data = swap + blocks if copies_first else blocks + swap
    answer = tuya(dump(key_block() + b"".join(data)))
    assert answer["keys"]["user_param_key"]["rl1_pin"] == 14
    assert answer["vault"]["stale_blocks"] == 1 and answer["vault"]["blocks"] == 14


def test_swap_copy_that_was_not_finished_loses(tuya):
    """The younger copy's checksum is wrong: power failed while it was written."""
    vault = usual_vault(count=10)
    torn = usual_vault({**PLUG, "rl1_pin": 14}, count=10).blocks[0]
    torn.generation = 9
    data = vault.data() + [tuya_vaults.aes(data_key(vault.inner), torn.plain(checksum=1))]
    answer = tuya(dump(key_block() + b"".join(data)))
    assert answer["keys"]["user_param_key"]["rl1_pin"] == 6


def test_protected_block_is_no_key_block(tuya):
    """It has the key block's magic, stands before it, and has an inner key of its own."""
    protected = protected_block({"gw_bi": b'{"uuid":"old"}', "kv.extra": b'{"n":1}'})
    answer = tuya(dump(usual_vault().bytes(), protected=protected, mirror=protected), "--show-secrets")
    whole(answer, usual_values())
    assert answer["vault"]["address"] == KEY_ADDRESS
    assert answer["vault"]["protected_blocks"] == 2 and answer["vault"]["protected_address"] in (PROTECTED, 0x1CF000)
    assert answer["keys"]["kv.extra"] == {"n": 1}


def test_protected_block_alone(tuya):
    answer = tuya(dump(protected=protected_block({"gw_bi": b'{"uuid":"kept"}'})), "--show-secrets")
    assert answer["found"] and answer["keys"] == {"gw_bi": {"uuid": "kept"}}
    assert answer["vault"]["address"] is None and "no list of pins" in answer["reason"]


def test_protected_block_fills_what_is_damaged(tuya):
    vault = Vault().put("gw_bi", b'{"uuid":"dam', checksum=7).put("user_param_key", vendor_json(PLUG).encode())
    answer = tuya(dump(vault.bytes(), protected=protected_block({"gw_bi": b'{"uuid":"good"}'})), "--show-secrets")
    assert answer["keys"]["gw_bi"] == {"uuid": "good"} and answer["damaged"] == []


def test_damage_is_told_and_lived_with(tuya):
    vault = usual_vault()
    vault.put("note", b"x" * 300, block=3, checksum=1)
    data = vault.data()
    data[5] = bytes(BLOCK)  # not even a header
    data[7] = data[7][:2000] + bytes(16) + data[7][2016:]  # a wrong checksum
    answer = tuya(dump(key_block() + b"".join(data)), "--show-secrets")
    assert answer["found"] and answer["damaged"] == ["note"] and "damaged" in answer["reason"]
    assert answer["vault"]["blocks"] == 16 and answer["vault"]["damaged_blocks"] == 1
    assert answer["keys"]["user_param_key"] == PLUG


def test_damaged_key_checksum(tuya):
    answer = tuya(dump(key_block(checksum=5) + b"".join(usual_vault().data())), "--show-secrets")
    whole(answer, usual_values())


def test_of_two_vaults_the_one_that_opens(tuya):
    """A key block left from an earlier set-up, without its data."""
    flash = bytearray(dump(usual_vault().bytes()))
    flash[0x1C0000:0x1C1000] = key_block(bytes(range(50, 66)))
    whole(tuya(bytes(flash), "--show-secrets"), usual_values())


def test_random_vaults(tuya, seed):
    rng = random.Random(seed)
    for _ in range(8):
        vault = Vault(inner=rng.randbytes(16), magic=rng.choice([tuya_vaults.MAGIC, MAGIC_NEW]))
        numbers = list(range(17))
        rng.shuffle(numbers)
        vault.blocks = [Block(number, rng.randrange(1, 1000)) for number in numbers]
        values = {f"value{i}": rng.randbytes(rng.choice([0, 1, 127, 128, 129, 500, 3000])) for i in range(25)}
        for name, value in values.items():
            vault.put(name, b"\x01" + value)  # never text
        answer = tuya(b"\xff" * rng.choice([0, 1000, BLOCK]) + vault.bytes(), "--show-secrets")
        assert answer["keys"] == {name: {"hex": "01" + value.hex()} for name, value in values.items()}
        assert answer["damaged"] == []


# ---------------------------------------------------------------------- pins

@pytest.mark.parametrize("settings,pins,commands", [
    ({"rl1_pin": 14, "rl1_lv": 0, "led1_pin": 7, "led1_lv": 0, "netled_pin": 8, "netled_lv": 0},
     {"14": "Rel_n;1", "7": "LED_n;1", "8": "WifiLED_n;0"}, ""),
    ({"rl2_pin": 14, "bt2_pin": 3, "bt2_lv": 1, "led2_pin": 7, "led2_lv": 1, "wfst": 8},
     {"14": "Rel;2", "3": "Btn_n;2", "7": "LED;2", "8": "WifiLED_n;0"}, ""),
    ({"rl_on1_pin": 1, "rl_off1_pin": 2, "k3pin_pin": 4, "total_bt_pin": 5},
     {"1": "BridgeFWD;1", "2": "BridgeREV;1", "4": "Btn;3", "5": "Btn_Tgl_All;0"}, ""),
    ({"r_pin": 26, "r_lv": 1, "g_pin": 8, "b_pin": 7, "c_pin": 6, "c_lv": 0, "w_pin": 9, "pwmhz": 1000},
     {"26": "PWM;0", "8": "PWM;1", "7": "PWM;2", "6": "PWM_n;3", "9": "PWM;4"}, "PWMFrequency 1000\n"),
    ({"iicscl": 24, "iicsda": 26, "ehccur": 30, "ehwcur": 40, "iicr": 2, "iicg": 1, "iicb": 0, "iicc": 4, "iicw": 3},
     {"24": "SM2135CLK;0", "26": "SM2135DAT;0"}, "SM2135_Current 30 40\nLED_Map 2 1 0 4 3\n"),
    ({"iicscl": 24, "iicsda": 26, "dccur": 16, "drgbcur": 14},
     {"24": "BP5758D_CLK;0", "26": "BP5758D_DAT;0"}, "BP5758D_Current 14 16\n"),
    ({"ele_pin": 7, "vi_pin": 24, "sel_pin_pin": 11, "door1_magt_pin": 6, "onoff1": 9, "infrr": 10, "infre": 26},
     {"7": "BL0937CF;0", "24": "BL0937CF1;0", "11": "BL0937SEL;0", "6": "dInput;1", "9": "TglChanOnTgl;1",
      "10": "IRRecv;0", "26": "IRSend;0"}, ""),
])
def test_pins_and_polarity(tuya, settings, pins, commands):
    answer = tuya(usual_vault(settings).bytes())
    assert answer["openbeken"]["template"]["pins"] == pins
    assert answer["openbeken"]["autoexec"] == commands
    line = "backlog " + ";".join(commands.splitlines()) if commands else ""
    assert answer["openbeken"]["template"]["command"] == line


LATCHING = {"rl_on1_pin": 24, "rl_on1_lv": 1, "rl_off1_pin": 26, "rl_off1_lv": 1, "rl1_drvtime": 60}


@pytest.mark.parametrize("settings,pins", [
    (LATCHING, {"24": "BridgeFWD;1", "26": "BridgeREV;1"}),
    ({"rl2_on_pin": 6, "rl2_off_pin": 7}, {"6": "BridgeFWD;2", "7": "BridgeREV;2"}),
    ({"rl_on1_pin": 24, "rl_on1_lv": 0, "rl_off1_pin": 26, "rl_off1_lv": 0}, {}),
    ({"rl_on1_pin": 24}, {"24": "BridgeFWD;1"}),
])
def test_coil_of_a_latching_relay_is_never_driven_for_good(tuya, settings, pins):
    """Rel and Rel_n on one channel would keep one of the two coils energised."""
    answer = tuya(usual_vault(settings).bytes())
    assert answer["openbeken"]["template"]["pins"] == pins
    assert not any(role.startswith("Rel") for role in answer["openbeken"]["template"]["pins"].values())


@pytest.mark.parametrize("settings,pins", [
    ({"rlypin": 7, "btpin": 8, "netledpin": 9, "ledpin": 6, "key_pin": 3},
     {"7": "Rel;0", "8": "Btn;0", "9": "WifiLED_n;0", "6": "LED;0", "3": "Btn_Tgl_All;0"}),
    ({"rlypin": 7, "rlylv": 0, "btpin2": 8, "led1pin": 6, "led1_lv": 0}, {"7": "Rel_n;0", "8": "Btn;2", "6": "LED_n;1"}),
])
def test_other_spellings_of_pins(tuya, settings, pins):
    assert tuya(usual_vault(settings).bytes())["openbeken"]["template"]["pins"] == pins


@pytest.mark.parametrize("settings,chip,commands", [
    ({"chip_type": 3, "ele_rx": 10, "ele_tx": 11}, {"chip": "BL0942", "type": 3, "rx": 10, "tx": 11}, "startDriver BL0942\n"),
    ({"chip_type": "3"}, {"chip": "BL0942", "type": 3, "rx": None, "tx": None}, "startDriver BL0942\n"),
    ({"chip_type": 2, "rl1_pin": 6}, {"chip": "HLW8032", "type": 2, "rx": None, "tx": None}, ""),
    ({"ele_pin": 7, "vi_pin": 24}, {"chip": "BL0937 or HLW8012", "type": None, "rx": None, "tx": None}, ""),
    ({"chip_type": 9}, {"chip": "a chip that is not known here", "type": 9, "rx": None, "tx": None}, ""),
    ({"rl1_pin": 6}, None, ""),
])
def test_meter_chip_is_named(tuya, settings, chip, commands):
    answer = tuya(usual_vault(settings).bytes())
    assert answer["meter"] == chip and answer["openbeken"]["autoexec"] == commands


def test_damaged_block_is_reported_to_people(folder):
    from tuya_vaults import BLOCK
    vault = bytearray(usual_vault().bytes())
    blocks = [at for at in range(BLOCK, len(vault), BLOCK) if any(b != 0xFF for b in vault[at:at + BLOCK])]
    vault[blocks[-1] + 3000] ^= 1
    path = folder / "dump.bin"
    path.write_bytes(dump(bytes(vault)))
    assert "damaged" in run("flash", "tuya", path).stdout


def test_pin_that_is_not_known_is_listed(tuya):
    answer = tuya(usual_vault({"ctrl_pin": 20, "rl1_pin": 999, "rl2_pin": "x", "module": "WB3S"}).bytes())
    assert answer["pins"] == {"ctrl_pin": 20} and answer["openbeken"]["template"]["pins"] == {}
    assert answer["openbeken"]["pins"][0]["role"] is None
    assert answer["module"] == "WB3S"


def test_pins_in_the_application(tuya):
    """No vault, but the list is compiled in; the firmware's own format string is not mistaken for it."""
    decoys = ["{%s_pin:%d,crc:", "x,module:", "{a:1,module:,}"]
    answer = tuya(dump(texts=[*decoys, vendor_json(PLUG)]))
    assert answer["found"] is False and answer["pins_from"] == "application"
    assert answer["openbeken"]["template"]["pins"] == PLUG_TEMPLATE and answer["module"] == "CB2S"
    assert "found in the application" in answer["reason"]


# ---------------------------------------------------------------------- nothing found

def test_nothing_found_says_why_and_what_is_known(tuya):
    for content, words in [
            (b"\xff" * 0x200000, "erased"), (bytes(0x200000), "not read"), (b"", "no Tuya key block"),
            (dump()[:0x130000], "flash backup"), (dump(), "never had Tuya's firmware"),
            (dump(key_block()), "nothing behind it"),
            (dump(Vault().bytes()), "is there and empty")]:
        answer = tuya(content)
        assert answer["found"] is False and words in answer["reason"], answer["reason"]
        assert answer["pins"] == {} and answer["keys"] == {} and answer["openbeken"]["template"] is None
    assert answer["chip"] == "BK7231N" and answer["bootloader"] == "BK7231N_1.0.1"
    assert answer["mac"] == "d8:1f:12:34:56:78" and answer["firmware"]["kind"] == "tuya"
    assert answer["vault"]["blocks"] == 17


def test_openbeken_in_the_flash(tuya):
    config = (DATA / "obk_config_example.bin").read_bytes()
    flash = bytearray(dump())
    image = beken_images.make_qio("BK7231N")
    flash[:len(image)] = image
    flash[0x1D1000:0x1D1000 + len(config)] = config
    answer = tuya(bytes(flash))
    assert answer["firmware"] == {"kind": "openbeken", "version": "1.18.300",
                                  "build_time": answer["firmware"]["build_time"]}
    assert answer["obk_config"] == 0x1D1000 and "obk-config show" in answer["reason"]


def test_vault_is_read_although_openbeken_runs(tuya):
    flash = bytearray(dump(usual_vault().bytes()))
    image = beken_images.make_qio("BK7231N")
    flash[:len(image)] = image
    answer = tuya(bytes(flash))
    assert answer["found"] and answer["firmware"]["kind"] == "openbeken"
    assert answer["firmware"]["version"] == "1.18.300"


def test_second_controller(tuya):
    vault = Vault().put("baud_cfg", b'{"baud":9600}').put("gw_bi", b'{"uuid":"u"}')
    answer = tuya(dump(vault.bytes()))
    assert answer["found"] and "TuyaMCU" in answer["reason"] and answer["openbeken"]["template"] is None


def test_list_that_names_no_pins(tuya):
    """As of a meter: the list is good, there is nothing in it to switch."""
    answer = tuya(dump(usual_vault({"module": "CBU", "crc": 12}).bytes()))
    assert answer["found"] and answer["module"] == "CBU"
    assert "names no pins" in answer["reason"] and "BL0942" in answer["reason"]
    assert "cannot be understood" not in answer["reason"]
    answer = tuya(dump(Vault().put("user_param_key", b"{{{").put("gw_bi", b"{}").bytes()))
    assert "cannot be understood" in answer["reason"]


def test_facts_beside_the_dump(folder):
    from beken_module import write_backup
    flash = dump(usual_vault().bytes())
    path = folder / "backup.bin"
    write_backup(path, flash, "BK7231N", "0x1560EB")
    answer = json.loads(run("flash", "tuya", path, "--json").stdout)
    assert answer["flash_id"] == "0x1560EB"
    path.write_bytes(flash[:-1] + b"\0")
    result = run("flash", "tuya", path, "--json")
    assert result.returncode == 0 and "read all the same" in result.stderr
    assert json.loads(result.stdout)["found"]


# ---------------------------------------------------------------------- secrets

def test_secrets_are_masked_unless_asked_for(folder):
    vault = usual_vault()
    vault.put("unknown_text", b"plain-secret").put("unknown_bytes", b"\x00\x01secret-bytes")
    vault.put("kv.account", json.dumps({"deep": [{"api_token": ["nested-secret"]}], "wifi_key": 12345678}).encode())
    vault.put("wf_pt", json.dumps({"ap_item": [{"ssid": "my-net", "pwsd": "wifi-pass-word"}]}).encode())
    vault.put("gw_bi2", json.dumps({"pin": 12345670, "nickname": "my-home"}).encode())
    hidden = ["my-net", "wifi-pass-word", "12345670", "my-home", *HIDDEN, "plain-secret", b"secret-bytes".hex(), "nested-secret", "12345678"]
    path = folder / "dump.bin"
    path.write_bytes(dump(vault.bytes(), protected=protected_block({"gw_wsm": json.dumps(NETWORK).encode()})))
    for args in ((), ("--json",)):
        masked = run("flash", "tuya", path, *args)
        assert masked.returncode == 0
        for secret in hidden:
            assert secret not in masked.stdout + masked.stderr, secret
        assert "keyproduct1" in masked.stdout and "bk7231n" in masked.stdout
        shown = run("flash", "tuya", path, "--show-secrets", *args)
        for secret in hidden:
            assert secret in shown.stdout, secret
            assert secret not in shown.stderr


def test_usage(folder):
    assert run("flash", "tuya").returncode == 2
    assert run("flash", "tuya", folder / "none.bin").returncode == 2
    result = run("flash", "tuya", "x.bin", "--show-secrets=yes")
    assert result.returncode == 2 and "without a value" in result.stderr
    assert "--show-secrets" in run("flash", "tuya", "--help").stdout


def test_nothing_of_a_dump_changes_the_terminal(folder):
    """Neither a value of the vault nor the facts that came with the dump."""
    ssid = json.dumps({**NETWORK, "ssid": "\u009b2Jred\u202eback\x1b[31m"}, ensure_ascii=False)
    vault = Vault()
    for name, value in {**usual_values(), "gw_wsm": ssid.encode() + b"\0"}.items():
        vault.put(name, value)
    content = dump(vault.bytes())
    (folder / "dump.bin").write_bytes(content)
    (folder / "dump.bin.json").write_text(json.dumps({
        "chip": "BK7231N", "flash_id": "0x15\u001b[2J", "mac": "\u202ed8:1f", "time": "\u009b1m",
        "sha256": hashlib.sha256(content).hexdigest()}))
    shown = run("flash", "tuya", folder / "dump.bin", "--show-secrets")
    assert shown.returncode == 0 and "flash id    0x15 [2J" in shown.stdout and "red" in shown.stdout
    assert all(c == "\n" or c.isprintable() for c in shown.stdout + shown.stderr)
