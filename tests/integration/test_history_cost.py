# SPDX-License-Identifier: MIT
"""`bl2mqtt history cost` against an independent reckoning in Python, over changes of the clock."""

import csv
import datetime
import io
import json
import re
import random
from fractions import Fraction
from zoneinfo import ZoneInfo

import pytest

from harness import run, write_config
from test_history import UWH_PER_COUNT, make_history, ms

DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
KEYS = ["energy_kwh", "energy_produced_kwh", "unpriced_kwh", "from_files_kwh", "energy_cost", "standing_charge", "feed_in", "cost"]


def configure(folder, tariffs):
    config = write_config(folder, "mqtt://127.0.0.1:1", [{"id": "house", "driver": "simulator", "channels": {"a": {}}}])
    document = json.loads(config.read_text())
    document["tariffs"] = tariffs
    # Money has no exponent in bridge.yaml, but small numbers have one in Python's JSON.
    config.write_text(re.sub(r"\d[\d.]*e-\d+", lambda small: f"{float(small[0]):.6f}", json.dumps(document)))
    return config


def cost(config, path, *args, zone="Europe/Berlin"):
    result = run("--config", config, "history", "cost", "--database", path, "--device", "house", *args, "--json",
                 env={"TZ": zone})
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def make(path, begin, end, counts):
    """A reading in each quarter of an hour, with the counts that counts() says."""
    readings = []
    for at in range(ms(begin), ms(end), 900_000):
        imported, exported = counts()
        readings.append((at + 450_000, 1, 100, imported, exported))
    make_history(path, {1: ("house", "a")}, readings)
    return readings


def test_a_simple_tariff(folder):
    path = folder / "h.db"
    make(path, "2026-10-24T00:00+02:00", "2026-10-26T00:00+01:00", lambda: (1000, 100))
    config = configure(folder, [{"currency": "EUR", "price": 0.3, "feed_in": 0.08, "standing_charge": 0.5}])
    answer = cost(config, path, "--bucket", "day", "--from", "2026-10-24", "--to", "2026-10-26")
    assert answer["currency"] == "EUR"
    for row, hours in zip(answer["rows"], (24, 25)):
        kwh = hours * 4 * 1000 * UWH_PER_COUNT * 1e-9
        assert row["energy_kwh"] == pytest.approx(kwh, abs=2e-9)
        assert row["energy_cost"] == pytest.approx(kwh * 0.3, abs=2e-6)
        assert row["feed_in"] == pytest.approx(kwh / 10 * 0.08, abs=2e-6)
        assert row["standing_charge"] == 0.5 and row["unpriced_kwh"] == 0
        assert row["cost"] == pytest.approx(kwh * 0.3 + 0.5 - kwh * 0.008, abs=2e-6)
    assert answer["total"]["cost"] == pytest.approx(sum(row["cost"] for row in answer["rows"]))
    table = run("--config", config, "history", "cost", "--database", path, "--device", "house", "--bucket", "day",
                "--from", "2026-10-24", "--to", "2026-10-26", env={"TZ": "Europe/Berlin"})
    assert "2026-10-25 Sun" in table.stdout and "EUR" in table.stdout and "\nsum " in table.stdout
    text = run("--config", config, "history", "cost", "--database", path, "--device", "house", "--bucket", "day",
               "--from", "2026-10-24", "--to", "2026-10-26", "--csv", env={"TZ": "Europe/Berlin"}).stdout
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [float(row["cost"]) for row in rows] == [row["cost"] for row in answer["rows"]]
    assert rows[0]["currency"] == "EUR"


def in_range(text, names, index):
    for part in text.split(","):
        first, _, last = part.strip().partition("-")
        span = [names.index(first)]
        while last and names[span[-1]] != last:
            span.append((span[-1] + 1) % len(names))
        if index in span:
            return True
    return False


def price_at(tariffs, local):
    held = [t for t in tariffs if t.get("valid_from", "0") <= local.date().isoformat()]
    if not held:
        return None
    tariff = max(held, key=lambda t: t.get("valid_from", "0"))
    price, feed_in = tariff["price"], tariff.get("feed_in", 0)
    clock = local.strftime("%H:%M")
    for window in tariff.get("windows", []):
        begin, end = window.get("from", "00:00"), window.get("to", "24:00")
        inside = begin <= clock < end if begin < end else clock >= begin or clock < end
        if (inside and in_range(window.get("days", "mon-sun"), DAYS, local.weekday())
                and in_range(window.get("months", "jan-dec"), MONTHS, local.month - 1)):
            return window.get("price", price), window.get("feed_in", feed_in)
    return price, feed_in


def random_tariffs(dice):
    def money():
        return dice.randrange(-50_000, 500_000) / 1e6

    def clock():
        return f"{dice.randrange(24):02}:{dice.choice(['00', '15', '30', '45'])}"

    tariffs = []
    for valid_from in dice.sample(["2024-01-01", "2024-03-31", "2024-04-06", "2024-09-08", "2024-10-06"], 3):
        windows = []
        for _ in range(dice.randrange(4)):
            begin, end = clock(), dice.choice([clock(), "24:00"])
            if begin != end:
                windows.append({"from": begin, "to": end, "days": dice.choice(["mon-fri", "sat,sun", "fri-mon", "wed"]),
                                "months": dice.choice(["jan-dec", "oct-mar", "apr-sep"]), "price": money(),
                                **({"feed_in": money()} if dice.random() < 0.5 else {})})
        tariffs.append({"valid_from": valid_from, "currency": "EUR", "price": money(), "feed_in": money(),
                        "standing_charge": dice.randrange(2_000_000) / 1e6, "windows": windows})
    return tariffs


def micro(value):
    return round(value * 1e6)


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/Santiago", "Australia/Lord_Howe", "Asia/Kathmandu"])
def test_random_tariffs_over_a_year(folder, seed, zone):
    dice = random.Random(f"{seed} {zone}")
    path = folder / "h.db"
    readings = make(path, "2024-01-01T00:00+00:00", "2025-01-01T00:00+00:00",
                    lambda: (dice.randrange(5000), dice.randrange(300)))
    tariffs = random_tariffs(dice)
    config = configure(folder, tariffs)
    span = ("--from", "2024-02-01", "--to", "2024-12-01")
    answers = {bucket: cost(config, path, *span, "--bucket", bucket, zone=zone) for bucket in ("day", "month", "year")}

    # the same span costs the same to the last millionth, whatever it is cut into
    for key in KEYS:
        sums = [sum(round(row[key] * 1e9) for row in answer["rows"]) for answer in answers.values()]
        assert sums[0] == sums[1] == sums[2] == round(answers["day"]["total"][key] * 1e9), (key, sums)

    tz = ZoneInfo(zone)
    begin = datetime.datetime(2024, 2, 1, tzinfo=tz).timestamp() * 1000
    end = datetime.datetime(2024, 12, 1, tzinfo=tz).timestamp() * 1000
    paid = earned = unpriced = Fraction(0)
    for at, _, _, imported, exported in readings:
        if not begin <= at < end:
            continue
        prices = price_at(tariffs, datetime.datetime.fromtimestamp(at // 900_000 * 900, tz))
        if prices is None:
            unpriced += imported + exported
        else:
            paid += imported * Fraction(micro(prices[0]))
            earned += exported * Fraction(micro(prices[1]))
    kwh = Fraction(UWH_PER_COUNT) / 10**9
    total = answers["year"]["total"]
    # each quarter's energy is whole microwatt hours: 30,000 of them, each off by one at most
    assert abs(total["energy_cost"] - float(paid * kwh) / 1e6) < 3e-5
    assert abs(total["feed_in"] - float(earned * kwh) / 1e6) < 3e-5
    assert abs(total["unpriced_kwh"] - float(unpriced * kwh)) < 1e-4
    day, charges = datetime.date(2024, 2, 1), 0
    while day < datetime.date(2024, 12, 1):
        held = [t for t in tariffs if t["valid_from"] <= day.isoformat()]
        charges += micro(max(held, key=lambda t: t["valid_from"])["standing_charge"]) if held else 0
        day += datetime.timedelta(days=1)
    assert micro(total["standing_charge"]) == charges
    assert micro(total["cost"]) == micro(total["energy_cost"]) + charges - micro(total["feed_in"])


def test_the_configuration_is_checked(folder):
    config = folder / "bridge.yaml"
    good = "devices:\n  - {id: house, driver: simulator, channels: {a: {}}}\n"
    for text, place, words in [
            ("tariffs:\n  - {price: 1}\n", "2:5", "currency is missing"),
            ("tariffs:\n  - {currency: EUR}\n", "2:5", "price is missing"),
            ("tariffs:\n  - {currency: eur, price: 1}\n", "2:16", "three capital letters"),
            ("tariffs:\n  - {currency: EUR, price: 0.12345678}\n", "2:28", "six decimals"),
            ("tariffs:\n  - {currency: EUR, price: 0,3}\n", "2:30", "decimals are written with a point"),
            ("tariffs:\n  - {currency: EUR, price: 1, prize: 2}\n", "2:31", "Did you mean price?"),
            ("tariffs:\n  - {currency: EUR, price: 1, valid_from: 2026-02-30}\n", "2:43", "a date"),
            ("tariffs:\n  - {currency: EUR, price: 1}\n  - {currency: CHF, price: 1, valid_from: 2026-01-01}\n",
             "3:16", "not that of the first"),
            ("tariffs:\n  - {currency: EUR, price: 1}\n  - {currency: EUR, price: 2}\n", "3:5", "same day"),
            ("tariffs:\n  - currency: EUR\n    price: 1\n    windows:\n      - {from: '06:10', price: 2}\n",
             "5:16", "quarters of an hour"),
            ("tariffs:\n  - currency: EUR\n    price: 1\n    windows:\n      - {from: '06:00', to: '06:00', price: 2}\n",
             "5:29", "no time in it"),
            ("tariffs:\n  - currency: EUR\n    price: 1\n    windows:\n      - {days: weekend, price: 2}\n",
             "5:16", "days of the week"),
            ("tariffs:\n  - currency: EUR\n    price: 1\n    windows:\n      - {days: mon}\n", "5:9", "changes nothing"),
            ("tariffs: 5\n", "1:10", "must be a list"),
            ("tariffs:\n  - 5\n", "2:5", "must be a group of keys"),
    ]:
        config.write_text(text + good)
        result = run("--config", config, "check")
        report = result.stdout + result.stderr
        assert f"bridge.yaml:{place}: " in report and words in report, (text, report)
    config.write_text(good)
    result = run("--config", config, "history", "cost", "--device", "house", "--database", folder / "none.db")
    assert result.returncode == 2 and "has no tariffs" in result.stderr
    for args, words in [((), "which device"), (("--device", "x", "--bucket", "hour"), "day, month or year"),
                        (("--device", "x", "y"), "one word too many"),
                        (("--device", "x", "--csv", "--json"), "not both")]:
        result = run("--config", config, "history", "cost", *args)
        assert result.returncode == 2 and words in result.stderr


def test_some_energy_has_no_price(folder):
    path = folder / "h.db"
    make(path, "2026-01-01T00:00+00:00", "2026-01-03T00:00+00:00", lambda: (1000, 0))
    config = configure(folder, [{"currency": "EUR", "price": 1, "valid_from": "2026-01-02"}])
    answer = cost(config, path, "--from", "2026-01-01", "--to", "2026-01-03", zone="UTC")
    assert answer["total"]["unpriced_kwh"] * 2 == pytest.approx(answer["total"]["energy_kwh"], abs=2e-9)
    result = run("--config", config, "history", "cost", "--database", path, "--device", "house",
                 "--from", "2026-01-01", "--to", "2026-01-03", env={"TZ": "UTC"})
    assert "no tariff holds" in result.stderr
