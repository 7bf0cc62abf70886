# SPDX-License-Identifier: MIT
"""The HTTP API: every path of docs/api.md, its errors, the login, and the stream of what changes."""

import csv
import gzip
import io
import json
import re
import shutil
import socket
import subprocess

import house
import jsonschema
import openmetrics
import pytest
import web
from harness import ROOT, Subscriber, free_port, run, wait_for, write_config

OPENAPI = json.loads((ROOT / "schema/openapi.json").read_text())


@pytest.fixture
def service(folder, spawn, broker, chips):
    for chip in chips.values():
        house.load(chip, 1200)
    client, _ = web.start(folder, spawn, broker.url)
    wait_for(lambda: abs((client.json("/api/v1/state/house")["power_a"] or 0) - 1200) < 20, 20, "the load")
    return client


def history(service, **parameters):
    """The answer once the history has committed something."""
    return wait_for(lambda: (answer := service.json("/api/v1/history/energy", device="house", **parameters))
                    and answer[-1]["energy_kwh"] and answer, 20, "energy in the history")


# ---- documents ----

def test_documents_are_those_on_mqtt(service, broker):
    subscriber = Subscriber(broker.port, ["bl2mqtt/bridge/devices", "bl2mqtt/bridge/info"])
    devices = subscriber.wait("bl2mqtt/bridge/devices")
    info = subscriber.wait("bl2mqtt/bridge/info")
    assert service.json("/api/v1/devices") == devices
    own = service.json("/api/v1/info")
    assert {k: v for k, v in own.items() if k != "time"} == {k: v for k, v in info.items() if k != "time"}
    assert set(service.json("/api/v1/health")["devices"]) == {"house"}


def test_state(service):
    state = service.json("/api/v1/state/house")
    assert abs(state["power_a"] - 1200) < 20
    assert set(service.json("/api/v1/state")) == {"house"}
    assert set(service.json("/api/v1/state")["house"]) == set(state)


@pytest.mark.parametrize("method, path, status", [
    ("GET", "/nothing", 404), ("GET", "/api", 404), ("GET", "/api/v1", 404), ("GET", "/api/v1/", 404),
    ("GET", "/api/v1/nothing", 404), ("GET", "/api/v1/state/none", 404), ("GET", "/api/v1/state/", 404),
    ("GET", "/api/v1/history/nothing", 404), ("GET", "/api/v1/history/", 404), ("GET", "/../etc/passwd", 404),
    ("GET", "/%2e%2e/%2e%2e/etc/passwd", 404), ("GET", "/api/v1/stream?device=none", 404),
    ("GET", "/api/v1/stream?events=nothing", 400), ("GET", "/api/v1/stream?x=1", 400),
    ("POST", "/api/v1/state", 405), ("DELETE", "/api/v1/info", 405), ("PUT", "/", 405), ("OPTIONS", "/api/v1/info", 405),
    ("GET", "/api/v1/request/backup", 405), ("GET", "/api/v1/login", 405), ("POST", "/metrics", 405),
    ("GET", "/api/v1/history/energy", 400), ("GET", "/api/v1/history/energy?device=", 400),
    ("GET", "/api/v1/history/energy?device=none", 404), ("GET", "/api/v1/history/energy?device=house&channel=z", 404),
    ("GET", "/api/v1/history/energy?device=house&bucket=week", 400), ("GET", "/api/v1/history/energy?device=house&x=1", 400),
    ("GET", "/api/v1/history/energy?device=house&device=house", 400),
    ("GET", "/api/v1/history/energy?device=house&from=yesterdayish", 400),
    ("GET", "/api/v1/history/energy?device=house&from=2026-02-01&to=2026-01-01", 400),
    ("GET", "/api/v1/history/energy?device=house&from=2026-02-01&to=2026-02-01", 400),
    ("GET", "/api/v1/history/energy?device=house&from=1970-01-01&to=2026-01-01&bucket=hour", 400),
    ("GET", "/api/v1/history/power?device=house&channel=a&points=0", 400),
    ("GET", "/api/v1/history/power?device=house&channel=a&bucket=5", 400),
    ("GET", "/api/v1/history/power?device=house&channel=a&from=2020-01-01&to=2026-01-01&bucket=1s", 400),
    ("GET", "/api/v1/history/gaps?min=x", 400), ("GET", "/api/v1/history/gaps?from=2026-02-01&to=2026-01-01", 400),
    ("GET", "/api/v1/history/events?channel=z", 404), ("GET", "/api/v1/history/events?from=x", 400),
    ("GET", "/api/v1/history/cost?device=house", 400),
    ("GET", "/api/v1/history/voltage?device=none", 404), ("GET", "/api/v1/history/voltage?device=house&bucket=month", 400),
    ("GET", "/api/v1/history/energy?" + "&".join(f"a{i}=1" for i in range(40)), 400),
    ("POST", "/api/v1/request/nothing", 404), ("POST", "/api/v1/request/", 404),
])
def test_errors(service, method, path, status):
    answer, headers, body = service.ask(method, path)
    assert answer == status, body
    assert headers["content-type"] == "application/json"
    sentence = json.loads(body)["error"]
    assert sentence.endswith("."), sentence
    if status == 405:
        assert method not in headers["allow"]
    assert service.answers()


def test_requests(service):
    assert service.request("health_check") == (200, {"status": "ok", "data": {"healthy": True}})
    status, answer = service.request("log_level", {"level": "loud", "transaction": 7})
    assert status == 400 and answer["status"] == "error" and answer["transaction"] == 7 and "level" in answer["error"]
    assert service.request("log_level", {"level": "info"})[0] == 200
    assert service.request("device/energy/set", {"id": "none", "channel": "a", "energy": 1})[0] == 404
    assert service.post("/api/v1/request/log_level", b"{broken")[0] == 400
    assert service.post("/api/v1/request/log_level", b"\xff\xfe{")[0] == 400


def test_request_that_answers_later(service):
    status, answer = service.request("backup")
    assert status == 200 and answer["data"]["bytes"] > 0


# ---- history ----

def test_energy_as_json_and_csv(service):
    rows = history(service, bucket="hour", channel="a")
    assert {"start", "end", "energy_kwh", "energy_produced_kwh", "power_min_w", "power_mean_w", "power_max_w",
            "coverage"} <= set(rows[0])
    status, headers, body = service.get("/api/v1/history/energy", {"Accept": "text/csv"}, device="house", bucket="hour")
    assert status == 200 and headers["content-type"].startswith("text/csv")
    table = list(csv.DictReader(io.StringIO(body.decode())))
    assert len(table) == len(rows) and list(rows[0]) == list(table[0])
    assert float(table[-1]["energy_kwh"]) > 0 and table[0]["energy_kwh"] == ""


def test_power_gaps_events(service):
    history(service)
    pieces = service.json("/api/v1/history/power", device="house", channel="a", bucket="1s", **{"from": "today"})
    assert any(piece["power_mean_w"] and abs(piece["power_mean_w"] - 1200) < 20 for piece in pieces)
    assert service.json("/api/v1/history/gaps", device="house") == []
    kinds = [event["kind"] for event in service.json("/api/v1/history/events")]
    assert "started" in kinds and "online" in kinds


def test_answers_of_the_commands(folder, service):
    """The same rows as `bl2mqtt history ... --json`."""
    history(service)
    for command, options in (("energy", ["--device", "house", "--bucket", "day", "--to", "today"]),
                             ("gaps", ["--to", "today"]), ("events", ["--to", "today"]),
                             ("voltage", ["--device", "house", "--from", "2026-01-01", "--to", "today"]),
                             ("power", ["--device", "house", "--channel", "a", "--to", "today", "--points", "20"])):
        printed = run("--config", folder / "bridge.yaml", "history", command, *options, "--json")
        assert printed.returncode == 0, printed.stderr
        parameters = dict(zip((name[2:] for name in options[::2]), options[1::2]))
        assert service.json(f"/api/v1/history/{command}", **parameters) == json.loads(printed.stdout), command


def test_a_long_answer_is_streamed(service):
    """A hundred thousand rows, read slowly, do not stop the readings, nor other questions."""
    history(service)
    raw = socket.create_connection(("127.0.0.1", service.port))
    raw.sendall(f"GET /api/v1/history/power?device=house&channel=a&bucket=1s&from=today&to=tomorrow HTTP/1.1\r\n"
                f"Host: 127.0.0.1:{service.port}\r\n\r\n".encode())
    assert raw.recv(100).startswith(b"HTTP/1.1 200")
    seen = service.json("/api/v1/state/house")["last_seen"]
    wait_for(lambda: service.json("/api/v1/state/house")["last_seen"] != seen, 5, "another reading")
    assert service.json("/api/v1/history/energy", device="house")
    body = b""
    while not body.endswith(b"0\r\n\r\n"):
        got = raw.recv(65536)
        assert got, "the answer broke off"
        body += got
    assert body.count(b"power_mean_w") > 86000
    raw.close()


# ---- stream ----

def test_stream_begins_with_the_present(service):
    with service.stream("?events=state,availability") as following:
        assert following() == ("availability", {"device": "house", "state": "online"})
        event, data = following()
        assert event == "state" and data["device"] == "house" and "power_a" in data["state"]
        assert set(data["state"]) == set(service.json("/api/v1/state/house"))


def test_stream_of_changes(service, chips):
    with service.stream("?device=house") as following:
        house.load(chips["a"], 3000)
        kinds = set()

        def next_power():
            event, data = following(10)
            kinds.add(event)
            return event == "state" and abs(data["state"]["power_a"] - 3000) < 50
        wait_for(next_power, 10, "the new power", every=0)
        chips["b"].close()

        def offline():
            event, data = following(20)
            return event == "event" and data["type"] == "offline"
        wait_for(offline, 30, "the event", every=0)
    assert {"state", "health"} <= kinds


def test_viewers_have_a_limit(service):
    raws = []
    try:
        for _ in range(64):
            raw = socket.create_connection(("127.0.0.1", service.port))
            raw.sendall(f"GET /api/v1/stream HTTP/1.1\r\nHost: 127.0.0.1:{service.port}\r\n\r\n".encode())
            assert raw.recv(15).startswith(b"HTTP/1.1 200")
            raws.append(raw)
        assert service.get("/api/v1/stream")[0] == 503
        assert service.get("/api/v1/state")[0] == 200
    finally:
        for raw in raws:
            raw.close()


# ---- metrics and health ----

def test_metrics(service):
    wait_for(lambda: service.json("/api/v1/state/house")["energy_b"] is not None, 20, "the totals")
    status, headers, body = service.get("/metrics")
    assert status == 200 and headers["content-type"].startswith("application/openmetrics-text")
    families = openmetrics.parse(body.decode())
    power = families["bl2mqtt_power_watts"]
    assert power.kind == "gauge"
    assert abs(power.samples[("bl2mqtt_power_watts", (("channel", "a"), ("device", "house")))] - 1200) < 20
    energy = families["bl2mqtt_energy_kwh"]
    assert energy.kind == "counter"
    assert ("bl2mqtt_energy_kwh_total", (("channel", "b"), ("device", "house"))) in energy.samples
    assert families["bl2mqtt_online"].samples[("bl2mqtt_online", (("device", "house"),))] == 1


ACCEPTS = (
    (None, True), ("application/openmetrics-text", True), ("*/*", True), ("text/plain", False),
    ("application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.2", True),  # Prometheus
    ("application/openmetrics-text; q=0.5, text/plain; version=0.0.4; q=0.75", False), ("text/html;q=0.9, application/openmetrics-text;q=0", False),
    ("TEXT/PLAIN;q=1.000,Application/OpenMetrics-Text", True), (",,;q=,application/openmetrics-textual", True),
    ("text/html, */*;q=0.8", True), ("application/json, text/plain, */*", False))


def test_format_of_metrics(service):
    for accept, openmetrics_wanted in ACCEPTS:
        _, headers, _ = service.get("/metrics", {"Accept": accept} if accept else None)
        assert headers["content-type"].startswith(
            "application/openmetrics-text; version=1.0.0" if openmetrics_wanted else "text/plain; version=0.0.4"), accept
        assert headers["vary"] == "Accept"


def test_metrics_by_promtool(service):
    """The same samples in both formats; promtool, which reads the older one, has nothing to say."""
    wait_for(lambda: service.json("/api/v1/state/house")["energy_b"] is not None, 20, "the totals")
    text = service.get("/metrics", {"Accept": "text/plain"})[2].decode()
    both = [{name for name, _ in family.samples} for family in openmetrics.parse(service.get("/metrics")[2].decode()).values()]
    assert {re.match(r"\w+", line)[0] for line in text.splitlines() if line[0] != "#"} == set().union(*both)
    assert "# TYPE bl2mqtt_energy_kwh_total counter\n" in text and "# EOF" not in text and "# UNIT" not in text
    if not shutil.which("promtool"):
        pytest.skip("promtool is not installed")
    result = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, timeout=60)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_health(folder, spawn, broker, chips):
    client, _ = web.start(folder, spawn, broker.url)
    wait_for(lambda: client.get("/health")[0] == 200, 10, "health")
    assert json.loads(client.get("/health")[2]) == {"status": "ok", "problems": []}
    broker.stop()
    wait_for(lambda: client.get("/health")[0] == 503, 10, "the broker to be missed")
    assert "broker" in json.loads(client.get("/health")[2])["problems"][0]


# ---- the page's files ----

def test_page_and_its_files(service):
    status, headers, body = service.get("/")
    assert status == 200 and headers["content-type"].startswith("text/html") and b"<bl-app>" in body
    policy = headers["content-security-policy"]
    assert "default-src 'self'" in policy and "unsafe" not in policy
    names = [*re.findall(r'(?:src|href)="([^":]+)"', body.decode())]
    names = [name for name in names if not name.startswith("api/")]
    assert "app.js" in names and "style.css" in names
    for name in names:
        status, headers, plain = service.get(f"/{name}")
        assert status in (200,), name
        assert service.get(f"/{name}", {"If-None-Match": headers["etag"]})[0] == 304
        status, packed, zipped = service.get(f"/{name}", {"Accept-Encoding": "gzip"})
        assert packed["content-encoding"] == "gzip" and gzip.decompress(zipped) == plain
        assert "content-encoding" not in service.get(f"/{name}", {"Accept-Encoding": "gzip;q=0, br"})[1]
    assert service.ask("HEAD", "/")[2] == b""


# ---- who may ----

LOGIN = {"password": "right horse", "token": "a-long-token"}


def test_login(folder, spawn, broker, chips):
    port = free_port()
    path = write_config(folder, broker.url, [house.house(folder)], web={**LOGIN, "listen": f"0.0.0.0:{port}"})
    spawn("--config", path, "run")
    client = web.Client(port)
    wait_for(client.answers, 20, "the server")
    for closed in ("/api/v1/state", "/api/v1/info", "/metrics", "/api/v1/history/energy?device=house", "/api/v1/stream"):
        status, headers, body = client.get(closed)
        assert status == 401 and headers["www-authenticate"] == "Bearer" and b"right" not in body
    assert client.post("/api/v1/request/health_check", {})[0] == 401
    for open_ in ("/", "/app.js", "/health", "/api/v1/session"):
        assert client.get(open_)[0] in (200, 503)
    bearer = {"Authorization": "Bearer a-long-token"}
    assert client.get("/api/v1/state", bearer)[0] == 200
    assert client.get("/metrics", {"Authorization": "Bearer a-long-tokem"})[0] == 401
    status, headers, _ = client.post("/api/v1/login", {"password": "right horse"})
    assert status == 200
    cookie = headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie and "Path=/" in cookie
    session = {"Cookie": cookie.split(";")[0]}
    assert client.get("/api/v1/state", session)[0] == 200
    # A page of another site has the browser send no cookie; one that could would be known by its origin.
    assert client.post("/api/v1/request/health_check", {}, {**session, "Origin": "http://evil.example"})[0] == 403
    assert client.post("/api/v1/request/health_check", {}, {**session, "Origin": f"http://127.0.0.1:{port}"})[0] == 200
    assert client.post("/api/v1/logout", b"", session)[0] == 200
    assert client.get("/api/v1/state", session)[0] == 401
    for junk in (b"", b"{}", b"[]", b'{"password": 5}', b"{\"password\"", b"\xff"):
        assert client.post("/api/v1/login", junk)[0] == 400
    codes = [client.post("/api/v1/login", {"password": f"wrong {i}"})[0] for i in range(8)]
    assert codes[0] == 401 and codes[-1] == 429 and codes == sorted(codes)
    status, headers, _ = client.post("/api/v1/login", {"password": "right horse"})
    assert status == 429 and int(headers["retry-after"]) <= 60


def test_loopback_checks_host_and_origin(service):
    port = service.port
    for host in (f"127.0.0.1:{port}", f"localhost:{port}", f"[::1]:{port}", "LOCALHOST"):
        assert service.get("/api/v1/session", {"Host": host})[0] == 200
    for host in ("evil.example", f"evil.example:{port}", "127.0.0.1.evil.example", "192.168.1.2"):
        assert service.get("/api/v1/session", {"Host": host})[0] == 421
        assert service.get("/", {"Host": host})[0] == 421
    assert service.post("/api/v1/request/health_check", {}, {"Origin": "http://evil.example"})[0] == 403
    assert service.post("/api/v1/request/health_check", {}, {"Origin": "null"})[0] == 403


def test_base_path_and_ingress(folder, spawn, broker, chips):
    client, _ = web.start(folder, spawn, broker.url, web={"base_path": "/meter/house"})
    assert client.get("/")[0] == 200 and client.get("/api/v1/info")[0] == 200 and client.get("/metrics")[0] == 200
    root = web.Client(client.port)
    assert root.get("/")[0] == 404 and root.get("/api/v1/info")[0] == 404 and root.get("/meter/housework/")[0] == 404
    status, headers, _ = root.get("/meter/house")
    assert status == 308 and headers["location"] == "./house/"
    page = client.get("/", {"X-Ingress-Path": "/api/hassio_ingress/abc"})[2].decode()
    assert not re.search(r'(?:src|href)="/', page), "all names are relative, so any prefix works"


def test_port_in_use_is_a_warning(folder, spawn, broker, chips):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        path = write_config(folder, broker.url, [house.house(folder)],
                            web={"listen": f"127.0.0.1:{taken.getsockname()[1]}"})
        process = spawn("--config", path, "run")
        process.wait_line("is in use by another program; choose another one with web.listen")
        Subscriber(broker.port, ["bl2mqtt/house"]).wait("bl2mqtt/house")


# ---- the description ----

def check(schema, document):
    jsonschema.Draft202012Validator({**schema, "components": OPENAPI["components"]}).validate(document)


def test_description_is_true(service):
    """Every path of openapi.json exists and answers as it says."""
    assert service.json("/api/v1/openapi.json") == OPENAPI
    history(service)
    for path, methods in OPENAPI["paths"].items():
        for method, operation in methods.items():
            if "stream" in path or method != "get":
                continue
            parameters = {p["name"]: {"device": "house", "channel": "a"}[p["name"]]
                          for p in operation.get("parameters", []) if p["required"] and p["in"] == "query"}
            status, headers, body = service.get(path.replace("{device}", "house"), **parameters)
            described = operation["responses"][str(status)]["content"]
            kind = headers["content-type"].split(";")[0]
            assert kind in described, path
            if kind == "application/json":
                check(described[kind]["schema"], json.loads(body))
            unknown = service.get(path.replace("{device}", "house"), **parameters, surely_unknown="1")[0]
            assert unknown == (400 if "history" in path else status), path


# ---- files ----

def test_uploads_are_bounded_and_guarded(folder, spawn, broker, chips):
    client, _ = web.start(folder, spawn, broker.url)
    status, _, body = client.ask("PUT", "/api/v1/upload/firmware", b"x" * 300000)
    assert (status, json.loads(body)) == (200, {"upload": "firmware", "bytes": 300000})
    stored = folder / "data/web/upload-firmware"
    assert stored.read_bytes() == b"x" * 300000 and stored.stat().st_mode & 0o777 == 0o600
    assert client.ask("PUT", "/api/v1/upload/firmware", b"y", {"Origin": "http://elsewhere"})[0] == 403
    assert client.ask("PUT", "/api/v1/upload/other", b"y")[0] == 404
    assert client.ask("POST", "/api/v1/upload/firmware", b"y")[0] == 405
    for headers, status in (("Content-Length: 8388609\r\n", 413), ("Transfer-Encoding: chunked\r\n", 411), ("Content-Length: 0\r\n", 400)):
        with socket.create_connection(("127.0.0.1", client.port), timeout=10) as raw:
            raw.sendall(f"PUT /api/v1/upload/firmware HTTP/1.1\r\nHost: 127.0.0.1\r\n{headers}\r\n".encode())
            assert raw.recv(4096).startswith(f"HTTP/1.1 {status} ".encode()), headers
    with socket.create_connection(("127.0.0.1", client.port), timeout=10) as raw:  # breaks off in the middle
        raw.sendall(b"PUT /api/v1/upload/firmware HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 900000\r\n\r\n" + b"z" * 400000)
        wait_for(lambda: (folder / "data/web/upload-firmware.part").exists(), 10, "the unfinished file")
        assert client.ask("PUT", "/api/v1/upload/firmware", b"y")[0] == 409
    wait_for(lambda: not (folder / "data/web/upload-firmware.part").exists(), 10, "it to be gone")
    assert stored.read_bytes() == b"x" * 300000, "a broken transfer changes nothing"
    for name in ("../history.db", "%2e%2e%2fhistory.db", "nothing"):
        assert client.get(f"/api/v1/files/{name}")[0] == 404 and client.get(f"/api/v1/backups/{name}")[0] == 404


def test_files_behind_a_proxy_that_has_done_the_login(folder, spawn, broker, chips):
    """As in Home Assistant's add-on: nobody logs in here, and the configuration says that this is meant."""
    port = free_port()
    path = write_config(folder, broker.url, [house.house(folder)],
                        web={"listen": f"0.0.0.0:{port}", "auth": "none", "maintenance": "always"})
    spawn("--config", path, "run")
    client = web.Client(port)
    wait_for(client.answers, 20, "the web server")
    assert client.get("/api/v1/files/nothing")[0] == 404
    assert client.request("restore/check")[1]["error"] and "web.maintenance" not in client.request("restore/check")[1]["error"]


@pytest.mark.parametrize("settings, words", [({"auth": "none"}, "without a login"), ({"maintenance": "off"}, "maintenance is off")])
def test_files_need_a_protected_door(folder, spawn, broker, chips, settings, words):
    listen = f"0.0.0.0:{free_port()}" if "auth" in settings else f"127.0.0.1:{free_port()}"
    path = write_config(folder, broker.url, [house.house(folder)], web={"listen": listen, **settings})
    process = spawn("--config", path, "run")
    client = web.Client(int(listen.split(":")[1]))
    wait_for(client.answers, 20, "the web server")
    for method, name in (("PUT", "upload/backup"), ("GET", "backups/x"), ("GET", "files/x")):
        status, _, body = client.ask(method, f"/api/v1/{name}", b"x" if method == "PUT" else None)
        assert status == 403 and words in json.loads(body)["error"]
    assert client.request("restore/check")[0] == 409
    assert client.get("/api/v1/state")[0] == 200
    process.wait_line("Connected")
    watch = Subscriber(broker.port, ["bl2mqtt/bridge/response/#"])
    broker.publish("bl2mqtt/bridge/request/restore", {})
    assert "only taken over HTTP" in watch.wait("bl2mqtt/bridge/response/restore")["error"]
