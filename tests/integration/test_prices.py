# SPDX-License-Identifier: MIT
"""Dynamic prices: from a topic and a file, late, corrected and missing; against an independent reckoning."""

import csv
import io
import json
import random
import signal
import sqlite3
import time
from fractions import Fraction

import jsonschema
import pytest

import web
from harness import ROOT, decode, free_port, run, wait_for
from test_history import UWH_PER_COUNT
from test_history_cost import configure, cost, make
from test_requests import Bridge

QUARTER = 900_000
OPENAPI = json.loads((ROOT / "schema/openapi.json").read_text())
COST = OPENAPI["paths"]["/api/v1/history/cost"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
TARIFF = {"currency": "EUR", "price": 0.15, "dynamic": True, "factor": 1.19, "dynamic_feed_in": True, "feed_in": -0.01}
HOUSE = {"id": "house", "driver": "simulator", "interval": "200ms", "channels": {"a": {"load": "constant"}}}


def follow(folder, tariffs):
    config = configure(folder, tariffs)
    document = json.loads(config.read_text())
    config.write_text(json.dumps({**document, "prices": {"topic": "energy/prices"}}))
    return config


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/Santiago", "Australia/Lord_Howe", "Asia/Kathmandu"])
def test_a_year_of_prices(folder, seed, zone):
    dice = random.Random(f"{seed} {zone}")
    path = folder / "h.db"
    readings = make(path, "2024-01-01T00:00+00:00", "2025-01-01T00:00+00:00",
                    lambda: (dice.randrange(5000), dice.randrange(300)))
    prices = {at // QUARTER: dice.randrange(-200_000, 600_000) for at, *_ in readings if dice.random() < 0.999}
    with sqlite3.connect(path) as db:
        db.executemany("INSERT INTO interval VALUES (1, ?, ?)", prices.items())
    config = follow(folder, [TARIFF])
    span = ("--from", "2024-01-01T00:00Z", "--to", "2025-01-01T00:00Z")
    answers = {bucket: cost(config, path, *span, "--bucket", bucket, zone=zone) for bucket in ("day", "month", "year")}
    for key in "energy_cost", "feed_in", "cost", "unpriced_kwh":
        sums = [sum(round(row[key] * 1e9) for row in answer["rows"]) for answer in answers.values()]
        assert sums[0] == sums[1] == sums[2] == round(answers["day"]["total"][key] * 1e9), (key, sums)
    paid = earned = missing = Fraction(0)
    gone = []
    for at, _, _, imported, exported in readings:
        if at // QUARTER not in prices:
            missing += imported + exported
            gone.append(at // QUARTER * QUARTER)
            continue
        price = prices[at // QUARTER]
        scaled = int(Fraction(price * 119, 100))  # towards zero
        paid += imported * (Fraction(scaled + 150_000, 10**6))
        earned += exported * (Fraction(price - 10_000, 10**6))
    total, factor = answers["day"]["total"], Fraction(UWH_PER_COUNT) / 10**9
    assert total["energy_cost"] == pytest.approx(float(paid * factor), abs=0.05)
    assert total["feed_in"] == pytest.approx(float(earned * factor), abs=0.05)
    assert total["price_missing_kwh"] == pytest.approx(float(missing * factor), abs=1e-6) and gone
    assert total["unpriced_kwh"] == total["price_missing_kwh"]
    named = run("--config", config, "history", "cost", "--database", path, "--device", "house", *span, env={"TZ": zone})
    assert "prices are missing" in named.stderr and total["unpriced_from"][:16] in named.stderr


def quarter_now():
    return int(time.time() * 1000) // QUARTER * QUARTER


def iso(ms):
    return time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(ms / 1000))


def day_of(price, key="price", start="start"):
    """A day around now, so that a quarter that ends meanwhile changes nothing."""
    begin = quarter_now() - 48 * QUARTER
    return [{start: iso(begin + i * QUARTER), key: price} for i in range(96)]


def price_is(bridge, price):
    bridge.watch.wait("bl2mqtt/bridge/price", lambda p: p and p["price"] == price)


def cost_is(bridge, price):
    return bridge.watch.wait("bl2mqtt/house", lambda s: s.get("cost_today") is not None and
                             s["cost_today"] == pytest.approx(s["energy_today"] * price, abs=0.0012), timeout=40)


def test_from_topic_and_file(folder, broker, spawn):
    sections = {"prices": {"topic": "energy/prices", "file": "prices.json"}}
    tariffs = {"options": {"tariffs": [{"currency": "EUR", "price": 0.1, "dynamic": True, "factor": 2}]}}
    bridge = Bridge(folder, broker, spawn, HOUSE, **sections)
    bridge.good("options", tariffs)
    bridge.watch.wait("bl2mqtt/house", lambda s: (s.get("energy_today") or 0) > 0.001, timeout=30)
    # nothing is known: neither price nor cost is made up, and health names it
    bridge.watch.wait("bl2mqtt/bridge/price", lambda p: p and p["price"] is None and p["currency"] == "EUR")
    bridge.watch.wait("bl2mqtt/bridge/event", lambda e: e["type"] == "prices_missing", timeout=60)
    bridge.watch.wait("bl2mqtt/bridge/health", lambda h: any("no price is known" in p for p in h["problems"]))
    states = [decode(payload) for payload in bridge.watch.payloads("bl2mqtt/house")]
    assert {s.get("cost_today") for s in states if s["energy_today"]} == {None}
    data = bridge.good("history/cost", {"device": "house", "bucket": "day"})
    assert data["total"]["price_missing_kwh"] == data["total"]["unpriced_kwh"] > 0 and data["total"]["energy_cost"] == 0
    assert data["total"]["unpriced_from"] <= data["total"]["unpriced_to"]
    # they arrive late, and are then corrected, each as another program spells it
    for price, message in ((0.3, day_of(0.3)),
                           (-0.2, {"prices": day_of(-0.2, "total", "startsAt")}),
                           (0.25, {"data": day_of("0.25", "value")})):
        broker.publish("energy/prices", message, retain=True)
        price_is(bridge, round(0.1 + 2 * price, 6))
        cost_is(bridge, 0.1 + 2 * price)
    bridge.watch.wait("bl2mqtt/bridge/event", lambda e: e["type"] == "prices_back")
    for text in ("no JSON", [], {"other": 1}, [{"start": "tomorrow", "price": 1}], [{"start": "2026-10-25T02:07:00Z", "price": 1}],
                 [{"start": iso(quarter_now()), "price": "high"}], [{"start": iso(quarter_now()), "price": 1e9}]):
        before = len([e for e in map(decode, bridge.watch.payloads("bl2mqtt/bridge/event")) if e["type"] == "prices_refused"])
        broker.publish("energy/prices", text)
        wait_for(lambda n=before: len([e for e in map(decode, bridge.watch.payloads("bl2mqtt/bridge/event"))
                                       if e["type"] == "prices_refused"]) > n, what=f"the refusal of {text}")
    broker.publish("energy/prices", "", retain=True)
    bridge.process.stop()
    # they survive a restart, and a file corrects them
    bridge = Bridge(folder, broker, spawn, HOUSE, **sections)
    bridge.good("options", tariffs)
    price_is(bridge, 0.6)
    (folder / "data/prices.json").write_text(json.dumps(day_of(0.05)))
    price_is(bridge, 0.2)
    cost_is(bridge, 0.2)
    data = bridge.good("history/cost", {"device": "house", "bucket": "day"})
    assert data["total"]["unpriced_kwh"] == 0 and "price_missing_kwh" not in data["total"]


CO2_INTERVALS = [(0, 400_000_000), (1, 250_500_000), (3, 0)]  # by the hour; the third is missing


def co2_config(folder, tariffs):
    config = configure(folder, tariffs)
    document = json.loads(config.read_text())
    config.write_text(json.dumps({**document, "co2": {"topic": "energy/co2"}}))
    return config


@pytest.mark.parametrize("tariffs", [[], [{"currency": "EUR", "price": 0.3}]])
def test_co2_with_a_missing_hour(folder, tariffs):
    path = folder / "h.db"
    readings = make(path, "2026-11-24T00:00+00:00", "2026-11-25T00:00+00:00", lambda: (1000, 100))
    start = readings[0][0] // QUARTER
    with sqlite3.connect(path) as db:
        db.executemany("INSERT INTO interval VALUES (2, ?, ?)",
                       [(start + 4 * hour + i, value) for hour, value in CO2_INTERVALS for i in range(4)])
    config = co2_config(folder, tariffs)
    kwh = 4 * 1000 * UWH_PER_COUNT / 1e9  # drawn in an hour
    day = ("--bucket", "day", "--from", "2026-11-24T00:00Z")
    known = cost(config, path, *day, "--to", "2026-11-24T02:00Z", zone="UTC")
    assert known["rows"][0]["co2_kg"] == pytest.approx(kwh * 0.6505, abs=1e-8)
    assert known["total"]["co2_kg"] == known["rows"][0]["co2_kg"] and "co2_missing_kwh" not in known["total"]
    gap = cost(config, path, *day, "--to", "2026-11-24T04:00Z", zone="UTC")
    for row in gap["rows"][0], gap["total"]:
        assert row["co2_kg"] is None and row["co2_missing_kwh"] == pytest.approx(kwh, abs=1e-8)
        assert row["co2_missing_from"][:16] == "2026-11-24T02:00" and row["co2_missing_to"][:16] == "2026-11-24T03:00"
    table = run("--config", config, "history", "cost", "--database", path, "--device", "house", *day,
                "--to", "2026-11-24T04:00Z", env={"TZ": "UTC"})
    assert "CO2 kg" in table.stdout and "CO2 intensities are missing" in table.stderr
    assert "no tariff holds" not in table.stderr


def test_prices_change_live(folder, broker, spawn):
    """Topic, file and unit of prices, and whether there are CO2 intensities at all: none needs a restart."""
    bridge = Bridge(folder, broker, spawn, HOUSE)
    bridge.bad("options", {"options": {"tariffs": [{"currency": "EUR", "price": 0, "dynamic": True}]}}, "prices.topic")
    broker.publish("energy/one", day_of(0.2), retain=True)
    broker.publish("energy/two", day_of(300), retain=True)
    (folder / "data/prices.json").write_text(json.dumps(day_of(50)))

    def change(**sections):
        done = bridge.good("options", {"options": sections})
        assert not done["restart_required"] and done["changed"], done

    change(prices={"topic": "energy/none"}, tariffs=[{"currency": "EUR", "price": 0, "dynamic": True}])
    for settings, price in (({"topic": "energy/one"}, 0.2), ({"topic": "energy/two", "unit": "MWh"}, 0.3), ({"unit": "cents"}, 3),
                            ({"topic": None, "file": "prices.json"}, 0.5), ({"unit": "MWh"}, 0.05),
                            ({"topic": "energy/one", "file": None, "unit": "kWh"}, 0.2)):
        bridge.watch.clear()
        change(prices=settings)
        price_is(bridge, price)
    # what comes on a topic that is not followed any more is nobody's
    broker.publish("energy/two", day_of(900), retain=True)
    broker.publish("energy/one", day_of(0.4), retain=True)
    price_is(bridge, 0.4)
    info = bridge.watch.wait("bl2mqtt/bridge/info", lambda i: i["config"]["prices"]["topic"] == "energy/one")
    assert info["restart_required"] is False
    broker.publish("energy/co2", day_of(123, "intensity"), retain=True)
    change(co2={"topic": "energy/co2"})
    bridge.watch.wait("bl2mqtt/bridge/co2", lambda c: c and c["co2_g_per_kwh"] == 123)
    bridge.watch.clear()
    change(co2=None)
    bridge.watch.wait("bl2mqtt/bridge/co2", lambda c: c == "")
    assert "prices_refused" not in str(bridge.watch.payloads("bl2mqtt/bridge/event"))
    # by hand, and SIGHUP
    bridge.config.write_text(bridge.config.read_text().replace("energy/one", "energy/two"))
    bridge.process.signal(signal.SIGHUP)
    price_is(bridge, 900)


def test_co2_from_topic_and_file(folder, broker, spawn):
    port = free_port()
    sections = {"co2": {"topic": "energy/co2", "file": "co2.json"}, "web": {"listen": f"127.0.0.1:{port}"}}
    bridge = Bridge(folder, broker, spawn, HOUSE, **sections)
    bridge.watch.wait("bl2mqtt/bridge/co2", lambda c: c and c["co2_g_per_kwh"] is None)
    bridge.watch.wait("bl2mqtt/bridge/event", lambda e: e["type"] == "co2_missing", timeout=60)
    bridge.watch.wait("bl2mqtt/bridge/health", lambda h: any("no CO2 intensity is known" in p for p in h["problems"]))
    broker.publish("energy/co2", {"data": day_of(412.5, "carbonIntensity", "datetime")}, retain=True)
    bridge.watch.wait("bl2mqtt/bridge/co2", lambda c: c and c["co2_g_per_kwh"] == 412.5 and c["until"])
    bridge.watch.wait("bl2mqtt/bridge/event", lambda e: e["type"] == "co2_back")
    broker.publish("energy/co2", [])
    bridge.watch.wait("bl2mqtt/bridge/event", lambda e: e["type"] == "co2_refused" and "no intervals" in e["message"])
    (folder / "data/co2.json").write_text(json.dumps(day_of(0, "intensity")))
    bridge.watch.wait("bl2mqtt/bridge/co2", lambda c: c and c["co2_g_per_kwh"] == 0, timeout=30)
    (folder / "data/co2.json").write_text(json.dumps(day_of(1000.25, "value")))
    bridge.watch.wait("bl2mqtt/bridge/co2", lambda c: c and c["co2_g_per_kwh"] == 1000.25, timeout=30)
    wait_for(lambda: bridge.good("history/cost", {"device": "house", "bucket": "day"})["total"]["energy_kwh"] > 0,
             what="energy in the history")
    total = bridge.good("history/cost", {"device": "house", "bucket": "day", "from": iso(quarter_now() - 40 * QUARTER)})["total"]
    assert total["co2_kg"] == pytest.approx(total["energy_kwh"] * 1.00025, abs=1e-8)
    # the same over HTTP, as described, and as CSV
    client, since = web.Client(port), iso(quarter_now() - 40 * QUARTER)

    def over_http():
        answer = client.json("/api/v1/history/cost", device="house", bucket="day", **{"from": since})
        jsonschema.Draft202012Validator({**COST, "components": OPENAPI["components"]}).validate(answer)
        status, _, text = client.get("/api/v1/history/cost", {"Accept": "text/csv"}, device="house", bucket="day", **{"from": since})
        lines = list(csv.DictReader(io.StringIO(text.decode())))
        assert status == 200 and "co2_kg" in lines[0]
        assert sum(float(line["co2_kg"]) for line in lines) == pytest.approx(sum(float(line["energy_kwh"]) for line in lines) * 1.00025, abs=1e-6)
        return answer["total"]

    total = over_http()
    assert total["co2_kg"] == pytest.approx(total["energy_kwh"] * 1.00025, abs=1e-8)
    # and after a restart, before any message comes again
    assert bridge.process.stop() == 0
    broker.publish("energy/co2", "", retain=True)
    (folder / "data/co2.json").unlink()
    bridge = Bridge(folder, broker, spawn, HOUSE, **sections)
    bridge.watch.wait("bl2mqtt/bridge/co2", lambda c: c and c["co2_g_per_kwh"] == 1000.25)
    wait_for(client.answers, 20, "the web server")
    again = over_http()
    assert again["co2_kg"] == pytest.approx(again["energy_kwh"] * 1.00025, abs=1e-8) and again["energy_kwh"] >= total["energy_kwh"]
