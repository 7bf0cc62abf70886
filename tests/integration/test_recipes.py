# SPDX-License-Identifier: MIT
"""docs/recipes: what they name is what the bridge publishes, and the engines that can be had take their queries."""

import json
import re
import subprocess
import urllib.request

import engines
import pytest
import yaml
from harness import ROOT, Subscriber, free_port, wait_for, write_config

RECIPES = ROOT / "docs/recipes"
DASHBOARDS = sorted((RECIPES / "grafana").glob("*.json"))
LINES = "".join(f"bl2mqtt,bridge=home,channel={channel},device=house voltage=230.5,current=1,power={watts},frequency=50,"
                f"energy=0.5,energy_produced=0.25 {at}\n" for channel, watts in (("a", 100), ("b", 300))
                for at in range(1764000000000, 1764000600000, 60000))


@pytest.fixture
def published(folder, spawn, broker):
    """The keys of a state and the names of the metrics of a device with the channels a and b."""
    port = free_port()
    path = write_config(folder, broker.url, [{"id": "house", "driver": "simulator", "channels": {
        "a": {"load": "household"}, "b": {"load": "solar"}}}], web={"listen": f"127.0.0.1:{port}"})
    subscriber = Subscriber(broker.port, ["bl2mqtt/#"])
    spawn("--config", path, "run")
    state = subscriber.wait("bl2mqtt/house")
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    families = dict(re.findall(r"^# TYPE (\S+) (\w+)", text, re.M))
    names = {name + ("_total" if kind == "counter" else "") for name, kind in families.items()} | {"up"}
    return set(state), names


def queries(path):
    for panel in json.loads(path.read_text())["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target.get("expr") or target.get("query") or target["rawSql"]


def test_names_are_those_that_are_published(published):
    keys, metrics = published
    used = set(re.findall(r"jq: \.(\w+)", (RECIPES / "evcc.yaml").read_text()))
    used |= set(re.findall(r"JSONPATH:\$\.(\w+)\", unit", (RECIPES / "openhab.things").read_text()))
    used |= set(re.findall(r"payload\.(\w+)", (RECIPES / "node-red.json").read_text()))
    assert len(used) >= 5 and used <= keys, used - keys
    texts = [query for _, query in queries(RECIPES / "grafana/metrics.json")]
    texts += [rule["expr"] for group in yaml.safe_load((RECIPES / "prometheus/alerts.yaml").read_text())["groups"]
              for rule in group["rules"]]
    named = set(re.findall(r"\b(?:bl2mqtt_\w+|up)\b", " ".join(texts)))
    assert len(named) >= 9 and named <= metrics, named - metrics
    channels = set(re.findall(r'channel="mqtt:topic:house:(\w+)"', (RECIPES / "openhab.items").read_text()))
    assert channels == set(re.findall(r"Type number : (\w+)", (RECIPES / "openhab.things").read_text()))


def test_forms():
    evcc = yaml.safe_load((RECIPES / "evcc.yaml").read_text())
    assert {meter["name"] for meter in evcc["meters"]} == {evcc["site"]["meters"]["grid"], *evcc["site"]["meters"]["pv"]}
    assert all(meter["type"] == "custom" and meter["power"]["source"] == "mqtt" for meter in evcc["meters"])
    flow = json.loads((RECIPES / "node-red.json").read_text())
    nodes = {node["id"]: node for node in flow}
    assert len(nodes) == len(flow)
    for node in flow:
        assert all(target in nodes for output in node.get("wires", []) for target in output)
        assert node.get("z", "bl2mqtt-tab") in nodes and node.get("broker", "bl2mqtt-broker") in {*nodes, "192.168.1.2"}


def test_dashboards_are_those_of_the_table():
    result = subprocess.run([ROOT / "scripts/dashboards"], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout
    assert len(DASHBOARDS) == 5
    for path in DASHBOARDS:
        board = json.loads(path.read_text())
        assert board["uid"] and board["schemaVersion"] and len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
        variables = {variable["name"] for variable in board["templating"]["list"]}
        for panel in board["panels"]:
            used = set(re.findall(r"\$\{?(\w+)", json.dumps(panel))) - {"__interval", "__timeFilter", "timeFilter", "tag_device", "tag_channel"}
            assert used <= variables, (path.name, used)
            assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24


def test_alerts_by_promtool():
    for arguments in (("check", "rules", "alerts.yaml"), ("test", "rules", "alerts-test.yaml")):
        result = subprocess.run(["promtool", *arguments], cwd=RECIPES / "prometheus", capture_output=True, text=True)
        assert result.returncode == 0, result.stdout + result.stderr


def test_influxdb_takes_its_dashboard(folder):
    engine = engines.Influx(folder)
    try:
        request = urllib.request.Request(f"{engine.url}/write?db=my+meters&precision=ms", data=LINES.encode())
        urllib.request.urlopen(request, timeout=30).close()
        for title, query in queries(RECIPES / "grafana/influxdb1.json"):
            text = query.replace("$device", "house").replace("$timeFilter", "time >= 1764000000000ms and time < 1764000600000ms")
            series = engine.query(text.replace("$__interval", "1m"))
            assert {one["tags"]["channel"] for one in series} == {"a", "b"}, title
            if "per day" in title:  # 10 readings of 0.5 and 0.25 kWh
                assert series[0]["values"][0][1] == (2.5 if "fed back" in title else 5)
    finally:
        engine.stop()


def test_victoriametrics_takes_its_dashboard(folder):
    engine = engines.VictoriaMetrics(folder)
    try:
        request = urllib.request.Request(f"{engine.url}/write?precision=ms", data=LINES.encode())
        urllib.request.urlopen(request, timeout=30).close()
        engines.ask(f"{engine.url}/internal/force_flush")
        for title, query in queries(RECIPES / "grafana/victoriametrics.json"):
            text = query.replace("$device", "house").replace("$__interval", "1m")

            def answer():
                return json.loads(engines.ask(f"{engine.url}/api/v1/query", query=text, time="1764000540"))["data"]["result"]
            result = wait_for(answer, 20, title)
            assert {one["metric"]["channel"] for one in result} == {"a", "b"}, title
            if "per day" in title:
                assert float(result[0]["value"][1]) == (2.5 if "fed back" in title else 5)
    finally:
        engine.stop()
