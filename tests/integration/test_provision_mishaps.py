# SPDX-License-Identifier: MIT
"""What a person in a forum met on the way from a clamp meter to its readings, each mishap on purpose: it is
overcome, or answered with its sentence."""

import json
import os

from beken_module import attended
from harness import ROOT, run, wait_for
from provision_bench import CLIENT, arguments, bench, image, provision, secrets, steps, whole  # noqa: F401
from tuya_vaults import Vault, usual_vault


def test_image_for_the_other_chip(bench, secrets, folder):
    world = bench()
    before = world.module.flash()
    profile = folder / "any.yaml"
    profile.write_text((ROOT / "schema/profiles/bl0942-single.yaml").read_text().replace("name: bl0942-single", "name: any"))
    result = provision(world, image(folder, "BK7231T", twin=False, name="OpenBK7231N_QIO.bin"), profile=profile)
    assert result.returncode == 4
    assert "BK7231T" in result.stderr and "BK7231N" in result.stderr and 'step "fit" said no' in result.stderr
    assert world.module.flash() == before and not (folder / "saved.bin").exists()


def test_adapter_that_dies_at_sector_e(bench, secrets, folder):
    """The adapter vanishes in the middle of a sector, comes back, and the same command goes on by itself."""
    world = bench(saved=True, args=(), vanish_at_program=14 * 128 + 50, vanish_s=0.4, vanish_resets=1)
    world.module.tell("power-cycle")
    result = attended(world.module, *arguments(world, image(folder), "--json"))
    answer = whole(result)
    assert list(answer["channels"]) == ["a", "b"]
    assert answer["write"]["reconnects"] >= 1


def test_interrupted_and_run_again(bench, secrets, folder):
    """The adapter stays away: the command ends with what to do, and the next one finishes the work."""
    world = bench(saved=True, vanish_at_program=14 * 128 + 50, vanish_s=4)
    result = run(*[a if a != 60 else 1 for a in arguments(world, image(folder), "--json")], timeout=60)
    assert result.returncode in (1, 3), result.stderr
    answer = json.loads(result.stdout)
    assert steps(answer)["write"] == "failed" and steps(answer)["backup"] == "done"
    assert "Run the same command again" in answer["error"]
    wait_for(lambda: os.path.exists(world.module.port), 10, "the adapter")
    answer = whole(provision(world, image(folder), "--json"))
    assert answer["write"]["equal"] > 0 and list(answer["channels"]) == ["a", "b"]
    (boot,) = [b for b in world.boots() if b["openbeken"]]
    assert boot["joined"]


def test_vault_that_is_empty(bench, secrets, folder):
    """"no json start found", says another tool here; it is no reason to stop."""
    world = bench(saved=True, vault=Vault().bytes())
    result = provision(world, image(folder), "--json")
    answer = whole(result)
    assert answer["vendor"]["found"] is False and "is there and empty" in answer["vendor"]["reason"]
    assert "They are not needed" in result.stderr and list(answer["channels"]) == ["a", "b"]


def test_another_meter_chip_is_refused(bench, secrets, folder):
    """The vendor's own settings name an HLW8032: a BL0942's firmware would show nothing."""
    world = bench(saved=True, vault=usual_vault({"chip_type": 2, "module": "CBU"}).bytes())
    before = world.module.flash()
    result = provision(world, image(folder), "--json")
    assert result.returncode == 4, result.stderr
    answer = json.loads(result.stdout)
    assert "HLW8032" in answer["error"] and steps(answer)["vendor"] == "failed"
    assert world.module.flash() == before and not any(boot["openbeken"] for boot in world.boots())


def test_build_that_reads_one_chip(bench, secrets, folder):
    world = bench(saved=True)
    result = provision(world, image(folder, twin=False))
    assert result.returncode == 4
    assert "channel b would never appear" in result.stderr and "ENABLE_BL_TWIN" in result.stderr
    assert world.boots() == []  # the module was not even touched

    # Forced, it is reported again when the module runs.
    result = provision(world, image(folder, twin=False), "--force", "--json")
    assert result.returncode == 4, result.stderr
    answer = json.loads(result.stdout)
    assert steps(answer)["connect"] == "done" and steps(answer)["firmware"] == "failed"
    assert "does not know BL0942opts" in answer["error"] and "openbeken update" in answer["error"]


def test_clamp_the_wrong_way_round(bench, secrets, folder):
    world = bench(saved=True, chips={"1": {"volts": 230.0, "amps": 5.0, "watts": 1100.0},
                         "2": {"volts": 230.0, "amps": 2.0, "watts": -430.0}})
    result = provision(world, image(folder))
    assert result.returncode == 0, result.stderr
    assert "channel b: 230.0 V, 2.000 A, -430.00 W" in result.stdout
    assert "Channel b has negative power" in result.stderr and "invert: true" in result.stderr


def test_second_chip_that_is_silent(bench, secrets, folder):
    world = bench(saved=True, chips={"1": {"volts": 230.0, "amps": 5.0, "watts": 1100.0},
                         "2": {"mode": "silent", "volts": 230.0, "amps": 2.0, "watts": 430.0}})
    result = provision(world, image(folder), "--json", wait=5)
    assert result.returncode == 3
    answer = json.loads(result.stdout)
    assert "channel b" in answer["error"] and "UART 2" in answer["error"] and list(answer["channels"]) == ["a"]


def test_wrong_wifi_password(bench, secrets, folder):
    world = bench(saved=True, networks={"ExampleNet": "another"})
    result = provision(world, image(folder), wait=3)
    assert result.returncode == 3
    assert 'step "connect" failed' in result.stderr and "password of the Wi-Fi" in result.stderr
    assert "example-pass" not in result.stderr


def test_client_id_of_another(bench, secrets, folder, broker):
    broker.publish(f"{CLIENT}/connected", "online", retain=True)
    world = bench()
    result = provision(world, image(folder))
    assert result.returncode == 4 and "Another module is online" in result.stderr
    assert not (folder / "saved.bin").exists()
