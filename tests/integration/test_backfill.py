# SPDX-License-Identifier: MIT
"""homeassistant.backfill: the hours that Home Assistant missed, over its WebSocket API."""

import datetime
import json
import socket
import subprocess
import time

import pytest

from harness import run, wait_for, write_config
from home_assistant_socket import HOUR, HomeAssistant
from test_history import make_history

HOURS = 14  # of history; those from 5 to 8 are missed
MISSED = range(5, 9)
PREFIX = "bl2mqtt_test_house_"
ENTITIES = {f"{PREFIX}{key}": f"sensor.{name}" for key, name in (
    ("energy_a", "kitchen_energy"), ("energy_b", "house_energy_b"), ("energy_produced_b", "house_energy_produced_b"),
    ("energy", "house_energy"))}
MEANS = {"sensor.kitchen_energy": ("a", "energy_kwh"), "sensor.house_energy_b": ("b", "energy_kwh"),
         "sensor.house_energy_produced_b": ("b", "energy_produced_kwh"), "sensor.house_energy": (None, "energy_kwh")}


@pytest.fixture
def first():
    """Begin of the first hour, in s: whole hours, the last of them over for a while."""
    return (int(time.time()) - 20 * 60) // HOUR * HOUR - HOURS * HOUR


@pytest.fixture
def there():
    made = []

    def start(**options):
        made.append(HomeAssistant(ENTITIES, **options))
        return made[-1]
    yield start
    for one in made:
        one.close()


class Service:
    def __init__(self, folder, broker, spawn, there, first, env=None, **backfill):
        data = folder / "data"
        data.mkdir()
        make_history(data / "history.db", {1: ("house", "a"), 2: ("house", "b")}, [
            row for i in range(HOURS * 60) for at in [(first + i * 60) * 1000]
            for row in ((at, 1, 500, 60 + i // 60 * 7, 0), (at, 2, -200, 0 if i % 2 else 9, 31 if i % 2 else 0))])
        self.config = write_config(folder, broker.url, [{"id": "house", "driver": "bl0942", "channels": {
            "a": {"port": "/dev/not-there-a"}, "b": {"port": "/dev/not-there-b"}}}],
            bridge={"id": "test"}, homeassistant={"backfill": {"url": there.url, "token": there.token, **backfill}})
        self.broker, self.watch, self.number = broker, broker.subscribe("bl2mqtt/bridge/#"), 0
        self.spawn, self.first = spawn, first
        self.counted = {entity: self.energy(entity) for entity in MEANS}
        fill(there, self)
        self.process = spawn("--config", self.config, "run", env=env)
        self.ready()

    def ready(self):
        """Its topics are subscribed before it says that it is online."""
        self.watch.wait("bl2mqtt/bridge/state", lambda s: s["state"] == "online", 20)

    def restart(self, url):
        config = json.loads(self.config.read_text())
        config["homeassistant"]["backfill"]["url"] = url
        self.config.write_text(json.dumps(config))
        self.watch.clear()
        self.process = self.spawn("--config", self.config, "run")
        self.ready()

    def ask(self, **arguments):
        """The answer; while a run of the service's own goes on, again."""
        while True:
            self.number += 1
            self.broker.publish("bl2mqtt/bridge/request/homeassistant/backfill", json.dumps({"transaction": self.number, **arguments}))
            answer = self.watch.wait("bl2mqtt/bridge/response/homeassistant/backfill", lambda a: a["transaction"] == self.number, 30)
            if "being asked already" not in answer.get("error", ""):
                return answer

    def energy(self, entity):
        """{begin of the hour: kWh}, as the history says."""
        channel, key = MEANS[entity]
        words = ["--device", "house"] + (["--channel", channel] if channel else [])
        result = run("--config", self.config, "history", "energy", *words, "--bucket", "hour", "--json", "--from",
                     iso(self.first), "--to", iso(self.first + HOURS * HOUR), env={"TZ": "UTC"})
        assert result.returncode == 0, result.stderr
        return {int(datetime.datetime.fromisoformat(row["start"]).timestamp()): row[key] for row in json.loads(result.stdout)}


def iso(seconds):
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).isoformat()


def fill(there, service):
    """What Home Assistant has: the first hours, and in the first hour after its return all that it missed."""
    for entity, energy in service.counted.items():
        total, rows = 100.0, {}
        for i in range(HOURS):
            total += energy[service.first + i * HOUR]
            if i not in MISSED:
                rows[service.first + i * HOUR] = (total - 60, total)
        there.rows[entity] = rows


def hours_of(there, entity):
    """{begin: kWh} as its energy dashboard draws it."""
    rows = sorted(there.rows[entity].items())
    return {start: total - before for (_, (_, before)), (start, (_, total)) in zip(rows, rows[1:])}


def right(there, service):
    return all(hours_of(there, entity).get(start) == pytest.approx(kwh, abs=1e-8)
               for entity in MEANS for start, kwh in list(service.counted[entity].items())[1:])


def test_what_was_missed_is_imported_once(folder, broker, spawn, there, first):
    home = there()
    service = Service(folder, broker, spawn, home, first)
    before = {entity: dict(rows) for entity, rows in home.rows.items()}
    # by itself, soon after the start
    wait_for(lambda: right(home, service), 40, "the missing hours")
    for entity, rows in before.items():
        assert rows.items() <= home.rows[entity].items(), "what it made itself stays"
    service.watch.wait("bl2mqtt/bridge/event", lambda e: e["type"] == "backfill" and "4 hours of sensor.kitchen_energy" in e["message"]
                       and e["message"].endswith(": imported."))
    # on request, first without importing
    fill(home, service)
    answer = service.ask(dry_run=True)
    assert answer["status"] == "ok" and answer["data"]["dry_run"], answer
    found = {one["statistic_id"]: one for one in answer["data"]["statistics"]}
    assert found.keys() == MEANS.keys() and home.rows == before
    for entity, one in found.items():
        assert (one["hours"], one["imported"]) == (len(MISSED), False)
        assert (one["from"][:13], one["to"][:13]) == (iso(first + 5 * HOUR)[:13], iso(first + 8 * HOUR)[:13])
        assert one["energy_kwh"] == pytest.approx(sum(service.counted[entity][first + i * HOUR] for i in MISSED), abs=1e-8)
    answer = service.ask()
    assert len(answer["data"]["statistics"]) == 4 and all(one["imported"] for one in answer["data"]["statistics"])
    assert right(home, service)
    # again: nothing
    imports = [m for m in home.asked if m["type"] == "recorder/import_statistics"]
    assert service.ask()["data"] == {"dry_run": False, "statistics": []}
    assert [m for m in home.asked if m["type"] == "recorder/import_statistics"] == imports and len(imports) == 8
    # away again: its birth message is enough
    del home.rows["sensor.kitchen_energy"][first + 7 * HOUR]
    broker.publish("homeassistant/status", "online")
    wait_for(lambda: right(home, service), 60, "the hour that was missing then")
    assert service.process.stop() == 0


def test_an_older_one_and_a_path_of_its_own(folder, broker, spawn, there, first):
    home = there(version="2024.11.3")
    service = Service(folder, broker, spawn, home, first, url=home.url + "/below/")
    assert service.ask()["status"] == "ok" and right(home, service)


def problem(service, words):
    return service.watch.wait("bl2mqtt/bridge/health", lambda h: any(words in p for p in h["problems"]), 40)


def test_what_goes_wrong_is_said(folder, broker, spawn, there, first):
    home = there()
    service = Service(folder, broker, spawn, home, first, token="secret-98765")
    answer = service.ask()
    assert answer["status"] == "error" and "does not accept homeassistant.backfill.token" in answer["error"]
    assert home.token not in service.process.output and "secret-98765" not in json.dumps(service.watch.messages)
    problem(service, "does not accept")
    for setting, words in (("refuse", "The database is busy"), ("greeting", "is not Home Assistant"), ("admin", "administrator's")):
        home.token = "secret-98765"
        home.refuse = "recorder/import_statistics" if setting == "refuse" else None
        home.greeting = "hello" if setting == "greeting" else None
        home.admin = setting != "admin"
        answer = service.ask()
        assert answer["status"] == "error" and words in answer["error"], answer
    home.admin = True
    assert service.ask()["status"] == "ok" and right(home, service)
    service.watch.wait("bl2mqtt/bridge/health", lambda h: h["problems"] is not None and not any("Home Assistant" in p for p in h["problems"]), 40)
    home.close()
    assert "cannot be reached" in service.ask()["error"]
    assert service.process.stop() == 0


def test_a_stop_does_not_wait_for_it(folder, broker, spawn, there, first):
    home = there()
    home.silent = True
    service = Service(folder, broker, spawn, home, first)
    broker.publish("bl2mqtt/bridge/request/homeassistant/backfill", "")
    wait_for(lambda: home.logins == 1, 20, "the login")
    began = time.monotonic()
    assert service.process.stop() == 0 and time.monotonic() - began < 30, "its silence would be a minute"
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        service.restart(f"http://127.0.0.1:{deaf.getsockname()[1]}")
        broker.publish("bl2mqtt/bridge/request/homeassistant/backfill", "")
        deaf.accept()
        began = time.monotonic()
        assert service.process.stop() == 0 and time.monotonic() - began < 30


def test_only_the_right_certificate_will_do(folder, broker, spawn, there, first):
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key, "-out",
                    certificate, "-days", "30", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"], check=True,
                   capture_output=True)
    home = there(tls=(certificate, key))
    service = Service(folder, broker, spawn, home, first)
    assert service.ask()["status"] == "error" and home.logins == 0
    assert service.process.stop() == 0
    (folder / "data").rename(folder / "before")
    service = Service(folder, broker, spawn, home, first, env={"SSL_CERT_FILE": str(certificate)})
    assert service.ask()["status"] == "ok" and right(home, service)


def test_not_configured(folder, broker, spawn):
    config = write_config(folder, broker.url, [{"id": "house", "driver": "simulator", "channels": {"a": {}}}],
                          homeassistant={"backfill": {"url": "http://localhost:8123"}})
    result = run("--config", config, "check")
    assert result.returncode == 2 and "needs both, url and token" in result.stdout + result.stderr
    config = write_config(folder, broker.url, [{"id": "house", "driver": "simulator", "channels": {"a": {}}}])
    watch = broker.subscribe("bl2mqtt/bridge/#")
    spawn("--config", config, "run")
    watch.wait("bl2mqtt/bridge/state", lambda s: s["state"] == "online", 20)
    broker.publish("bl2mqtt/bridge/request/homeassistant/backfill", "")
    answer = watch.wait("bl2mqtt/bridge/response/homeassistant/backfill")
    assert answer["status"] == "error" and "not configured" in answer["error"]
