# SPDX-License-Identifier: MIT
"""Readings are written once a minute, totals within 10 s: what was shown of them survives a kill, and no energy is lost
although the readings are."""

import json

import house
from harness import wait_for, write_config


def shown(watch):
    states = [json.loads(m["payload"]) for m in watch.messages if m["topic"] == "bl2mqtt/house"]
    return max((state["energy"] or 0 for state in states), default=0)


def test_totals_are_shown_before_their_readings_are_written(folder, broker, spawn):
    stored = house.Stored(folder)
    chip = house.meter(folder / "usb-a", 1000)

    def in_database():
        return sum(sum(total) for total in stored.totals().values()) * house.KWH_PER_COUNT

    try:
        config = write_config(folder, broker.url, [house.house(folder, channels="a")], history={"commit_interval": "20s"})
        process = spawn("--config", config, "run")
        watch = broker.subscribe("bl2mqtt/house")
        watch.wait("bl2mqtt/house", lambda state: state["energy"] is not None, timeout=15)
        house.load(chip, 13700)
        wait_for(lambda: shown(watch) > in_database() + 0.002, 40, "a total to be shown that the database does not have")
        process.kill()
        before = shown(watch)
        assert in_database() < before - 0.001
        chip.tell("reset")  # so that nobody but the file beside it knows what was counted
        watch.clear()
        process = spawn("--config", config, "run")
        first = watch.wait("bl2mqtt/house", lambda state: state["energy"] is not None, timeout=15)
        assert first["energy"] >= before
        assert process.stop() == 0
        stored.assert_consistent()
        assert in_database() > before - 0.001
    finally:
        chip.close()
