# SPDX-License-Identifier: MIT
"""Sinks that get minutes, quarters of an hour and days: they say what `bl2mqtt history` says, whatever happens on the
way, also after the past was corrected. The engines are real ones where their packages are installed."""

import email.utils
import json
import re
import signal
import time

import pytest

import house
from engines import Influx
from harness import run, wait_for
from test_sinks import engine, make_history, pretender, write  # noqa: F401: fixtures among them

SINCE_MS = 1700000000000  # 2023-11-14T22:13:20 UTC: a minute and a day begin within the next hours
LENGTH_MS = {"minute": 60000, "quarter": 900000, "day": 86400000}
LINE = re.compile(r"bl2mqtt_(\w+),bridge=test,channel=(\w),device=demo (\S+) (\d+)")
SPAN = ("--from", "2023-11-01", "--to", "2023-11-30")


def points_of(lines):
    """{level: {(channel, stamp): {field: value}}} of lines, of which a later one replaces an earlier."""
    result = {}
    for line in lines:
        level, channel, pairs, stamp = LINE.fullmatch(line).groups()
        result.setdefault(level, {})[channel, int(stamp)] = {
            key: float(value) for key, value in (p.split("=") for p in pairs.split(","))}
    return result


def ask(config, what, channel, *args):
    result = run("--config", config, "history", what, "--device", "demo", "--channel", channel, *SPAN, *args, "--json",
                 env={"TZ": "UTC"})
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def stamp_of(text):
    return round(email.utils.datetime.datetime.fromisoformat(text).timestamp() * 1000)


def uwh(values):
    return sum(round(value * 1e9) for value in values)


def told(config):
    """What the program says: {(channel, bucket, begin): microwatt hours}, {(channel, begin): (minimum, mean, maximum)}."""
    energy, power = {}, {}
    for channel in "ab":
        for bucket in ("hour", "day"):
            for row in ask(config, "energy", channel, "--bucket", bucket):
                if row["energy_kwh"]:
                    energy[channel, bucket, stamp_of(row["start"])] = round(row["energy_kwh"] * 1e9)
        for row in ask(config, "power", channel, "--bucket", "900s"):
            if row["power_mean_w"] is not None:
                power[channel, stamp_of(row["start"])] = [row[f"power_{which}_w"] for which in ("min", "mean", "max")]
    return energy, power


def agrees(engine, config):  # noqa: F811
    """Whether the engine's points are what the program says of the same times."""
    energy, power = told(config)
    got = {level: engine.points(f"bl2mqtt_{level}") for level in LENGTH_MS}
    if any(set(channels) != {"a", "b"} for channels in got.values()):
        return False
    sums = {}
    for level, channels in got.items():
        for channel, points in channels.items():
            for stamp, values in points.items():
                assert stamp % LENGTH_MS[level] == 0 and 0 < values["coverage"] <= 1
                assert values["power_min"] <= values["power_mean"] <= values["power_max"]
                for bucket, length_ms in (("hour", 3600000), ("day", 86400000)):
                    key = level, channel, bucket, stamp // length_ms * length_ms
                    sums[key] = sums.get(key, 0) + round(values["energy"] * 1e9)
    for level in LENGTH_MS:
        for (channel, bucket, begin), wanted in energy.items():
            if (level, bucket) != ("day", "hour") and sums.get((level, channel, bucket, begin)) != wanted:
                return False
    # both are rounded to milliwatts
    return all(got["quarter"][channel][begin][f"power_{which}"] == pytest.approx(value, abs=0.0011)
               for (channel, begin), values in power.items() for which, value in zip(("min", "mean", "max"), values)
               if begin in got["quarter"][channel])


def test_what_the_history_says(folder, broker, spawn, engine):  # noqa: F811
    """Hours wait; engine and service are killed while they are fetched; then the past is corrected, and that undone."""
    stored = make_history(folder, broker, spawn, 3 * 3600)
    sink = {"url": engine.url, "send": ["minutes", "quarters", "days"], "batch": 50,
            **({"database": "my meters"} if engine.NAME == "influx" else {})}
    config = write(folder, broker, sink)
    process = spawn("--config", config, "run")
    wait_for(lambda: len(engine.points("bl2mqtt_minute").get("a", ())) >= 25, 30, "the first minutes", every=0.05)
    engine.stop(signal.SIGKILL if engine.NAME == "influx" else signal.SIGTERM)
    process.signal(signal.SIGKILL)
    process.stop()
    began = time.monotonic()
    process = spawn("--config", config, "run")
    engine.start()
    wait_for(lambda: agrees(engine, config), 30, "all rows, as the history has them", every=0.3)
    took = time.monotonic() - began
    counts = {level: sum(map(len, engine.points(f"bl2mqtt_{level}").values())) for level in LENGTH_MS}
    wanted = {level: stored.query(f"SELECT count(DISTINCT key / 32768 / {length_ms} * 32768 + key % 32768) "
                                  f"FROM rollup_{level}")[0][0] for level, length_ms in LENGTH_MS.items()}
    assert counts == wanted
    assert not engine.points("bl2mqtt")
    print(f"figure: {engine.NAME}: {counts} of 3 h in {took:.1f} s after a kill")

    def recalibrate(*args):
        result = run("--config", config, "history", "recalibrate", "--device", "demo", "--channel", "a", *args,
                     env={"TZ": "UTC"})
        assert result.returncode == 0, result.stderr

    before = told(config)
    recalibrate("--since", "2023-11-14T23:10:30", "--until", "2023-11-15T00:20:10", "--power", "300")
    assert told(config) != before
    if isinstance(engine, Influx):
        wait_for(lambda: agrees(engine, config), 20, "the corrected past", every=0.3)
        recalibrate("--undo")
        assert told(config) == before
        wait_for(lambda: agrees(engine, config), 20, "the past as it was", every=0.3)
    else:  # keeps the greater of two values: the series are deleted and sent anew, under another id
        assert process.stop() == 0
        engine.forget("bl2mqtt")
        process = spawn("--config", write(folder, broker, {**sink, "id": "anew", "batch": 2000}), "run")
        wait_for(lambda: agrees(engine, config), 20, "the corrected past", every=0.3)
    assert process.stop() == 0


def test_late_readings_and_retry_after(folder, broker, spawn, pretender):  # noqa: F811
    """The clock is set back: minutes that were sent change, and are sent again. The engine's requests are respected."""
    stored = make_history(folder, broker, spawn, 200, since_ms=int(time.time() * 1000) + LENGTH_MS["day"])
    asked = []

    def judge(_):
        asked.append(time.monotonic())
        if len(asked) == 1:
            return 429, b"", {"Retry-After": "2"}
        if len(asked) == 2:
            return 503, b"", {"Retry-After": email.utils.formatdate(time.time() + 3, usegmt=True)}
        return 204, b""

    pretender.judge = judge
    config = write(folder, broker, {"url": pretender.url, "send": ["minutes", "quarters"]}, interval="200ms",
                   history={"commit_interval": "300ms"})
    process = spawn("--config", config, "run")
    wait_for(lambda: len(asked) >= 4, 20, "the answers")
    waited = [later - earlier for earlier, later in zip(asked, asked[1:])]
    assert 2 <= waited[0] < 4 and 2 <= waited[1] < 6

    def disagreements():
        """Rows that the engine does not have, or not as they are by now."""
        got = points_of(line for _, _, lines in pretender.requests[2:] for line in lines)
        for level in ("minute", "quarter"):
            for key, counts, power_max in stored.query(f"SELECT key, imported, power_max FROM rollup_{level}"):
                number, begin = key & 32767, (key >> house.CHANNEL_BITS) // LENGTH_MS[level] * LENGTH_MS[level]
                values = got.get(level, {}).get(("ab"[number - 1], begin))
                if values is None or values["power_max"] != pytest.approx(power_max / factors[number], abs=0.00051) or \
                        values["energy"] != pytest.approx(counts * 419430.4 / (3.6e6 * factors[number]), abs=2.1e-9):
                    yield level, key, values

    factors = dict(stored.query("SELECT channel, power FROM calibration"))
    began = len(pretender.requests)
    wait_for(lambda: len(pretender.requests) > began + 3, 20, "minutes that change")
    assert process.stop() == 0
    process = spawn("--config", write(folder, broker, {"url": pretender.url, "send": ["minutes", "quarters"]}), "run")
    process.wait_line("Running with")
    wait_for(lambda: not list(disagreements()), 10, "all rows as they are", every=0.1)
    assert process.stop() == 0
    for _, _, lines in pretender.requests:
        stamps = [int(line.rsplit(" ", 1)[1]) for line in lines]
        assert stamps == sorted(stamps)
