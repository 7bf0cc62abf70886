# SPDX-License-Identifier: MIT
"""Virtual devices: sums and differences of real channels, balanced, over kills, unplugs and restarts."""

import sqlite3

import pytest

from harness import decode, wait_for, write_config
from house import house, load, meter

GRID = {"id": "grid", "driver": "virtual",
        "channels": {"net": {"sum": ["house/a", "house/b"], "balance": True},
                     "sum": {"sum": ["house/a", "house/b"]},
                     "less": {"sum": ["house/a", "-house/b"], "balance": True}}}


@pytest.fixture
def chips(folder):
    pair = [meter(folder / "usb-a", seed=1), meter(folder / "usb-b", seed=2)]
    yield pair
    for chip in pair:
        chip.close()


def totals(folder):
    """(imported, exported) in milliwatt hours by "device/channel", as stored."""
    per_count = {"house": 419430.4 / (3.6 * 317.931), "grid": 1.0}
    with sqlite3.connect(f"file:{folder}/data/history.db?mode=ro", uri=True) as db:
        return {f"{device}/{channel}": (imported * per_count[device], exported * per_count[device])
                for device, channel, imported, exported in db.execute(
                    "SELECT c.device, c.channel, t.imported, t.exported FROM channel c "
                    "JOIN total t ON t.channel = c.number")}


def net(pair):
    return pair[0] - pair[1]


def balanced(folder, slack=3):
    now = totals(folder)
    a, b = net(now["house/a"]), net(now["house/b"])
    return (abs(net(now["grid/net"]) - (a + b)) <= slack and abs(net(now["grid/less"]) - (a - b)) <= slack
            and abs(now["grid/sum"][0] - now["house/a"][0] - now["house/b"][0]) <= slack)


def quiet(chips):
    for chip in chips:
        load(chip, 0)


def test_a_balanced_sum_over_kills_and_unplugs(folder, broker, spawn, chips):
    config = write_config(folder, broker.url, [house(folder), {**GRID, "report_interval": "250ms"}])
    watch = broker.subscribe("bl2mqtt/grid")
    service = spawn("--config", config, "run")
    watch.wait("bl2mqtt/grid", lambda s: s.get("power_net") is not None, timeout=20)
    for turn, (a, b) in enumerate([(9000, -4000), (3000, -12000), (-8000, 15000)]):
        load(chips[0], a)
        load(chips[1], b)
        watch.clear()
        watch.wait("bl2mqtt/grid", lambda s, sums=(a + b, a - b): s.get("power_net") is not None
                   and abs(s["power_net"] - sums[0]) < 300 and abs(s["power_less"] - sums[1]) < 500, timeout=20)
        if turn == 0:
            service.kill()
        else:
            service.stop()
        watch.clear()
        service = spawn("--config", config, "run")
        watch.wait("bl2mqtt/grid", lambda s: s.get("power_net") is not None, timeout=20)
    quiet(chips)
    wait_for(lambda: balanced(folder), 20, "the balance")
    now = totals(folder)
    assert now["grid/sum"][0] > 0 and now["grid/sum"][1] > 0
    assert now["grid/net"][0] < now["grid/sum"][0], "what one phase exports is not imported by the sum"


def test_the_sum_waits_for_a_missing_member(folder, broker, spawn, chips):
    config = write_config(folder, broker.url, [house(folder), {**GRID, "report_interval": "250ms"}])
    watch = broker.subscribe("bl2mqtt/#")
    spawn("--config", config, "run")
    watch.wait("bl2mqtt/grid/availability", lambda s: s["state"] == "online", timeout=20)
    for chip, watts in zip(chips, (8000, -8000)):
        load(chip, watts)
    watch.wait("bl2mqtt/grid", lambda s: s.get("power_less") is not None and s["power_less"] > 15000, timeout=20)
    chips[1].close()
    watch.wait("bl2mqtt/grid/availability", lambda s: s["state"] == "offline", timeout=30)
    state = watch.wait("bl2mqtt/grid", lambda s: s["power_net"] is None and s["data_problem"] is True)
    assert "energy_net" in state
    event = [e for e in map(decode, watch.payloads("bl2mqtt/bridge/event"))
             if e["device"] == "grid" and e["type"] == "offline"][0]
    assert "house/b" in event["message"]
