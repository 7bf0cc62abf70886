# SPDX-License-Identifier: MIT
"""schema/openapi.json as a contract: cases for every path, parameter and request are made from it and from the schemas
of the requests, and each answer must have a status, a type and a form that the description names."""

import csv
import io
import json
import random
import urllib.parse

import house
import jsonschema
import pytest
import web
from harness import ROOT, free_port, wait_for, write_config

OPENAPI = json.loads((ROOT / "schema/openapi.json").read_text())
OPERATIONS = [(method.upper(), path, operation) for path, methods in OPENAPI["paths"].items() for method, operation in methods.items()]
#: A value for each parameter that only the service can judge.
KNOWN = {"device": "house", "channel": "a", "from": "2026-01-01", "to": "2026-01-02T12:00:00+01:00", "min": "90s", "bucket": "1h",
         "events": "state,log"}
UGLY = ("", "%00", "%ff", "%c3%28", "x" * 3000, "-1", "1e9", "NaN", "null", "..%2f..", "%22%27%3c", "a&a=b", "0", "2026-13-45", "%F0%9F%94%8C")


@pytest.fixture
def service(folder, spawn, broker, chips):
    client, _ = web.start(folder, spawn, broker.url)
    assert client.request("options", {"options": {"tariffs": [{"currency": "EUR", "price": 0.3}]}})[0] == 200
    wait_for(lambda: client.json("/api/v1/state/house")["energy_a"] is not None, 20, "a reading")
    wait_for(lambda: client.json("/api/v1/history/energy", device="house"), 20, "the history")
    return client


def described(operation, status, headers, body, case):
    """The answer is one that the description has."""
    assert str(status) in operation["responses"], (status, case, body[:300])
    contents = operation["responses"][str(status)]["content"]
    kind = headers["content-type"].split(";")[0]
    assert kind in contents, (kind, case)
    if kind == "application/json":
        schema = {**contents[kind]["schema"], "components": OPENAPI["components"]}
        jsonschema.Draft202012Validator(schema).validate(json.loads(body))


def ask(client, case, method, path, operation, query="", **options):
    status, headers, body = client.ask(method, path + query, **options)
    described(operation, status, headers, body, (case, query))
    return status, headers, body


def values_of(parameter):
    """[(text, whether it is allowed)]: the borders of what the schema says, and what lies beyond them."""
    schema = parameter["schema"]
    if "enum" in schema:
        return [(word, True) for word in schema["enum"]] + [(schema["enum"][0] + "s", False), (schema["enum"][0].upper(), False), ("", False)]
    if schema["type"] == "integer":
        low, high = schema["minimum"], schema["maximum"]
        return [(str(low), True), (str(high), True), (str(low - 1), False), (str(high + 1), False), ("1.5", False), ("ten", False), ("", False)]
    return [(KNOWN[parameter["name"]], True)] + ([("", False)] if schema.get("minLength") else [])


def queries_of(operation):
    """[(query, whether it is allowed)]: each value of each parameter beside the required ones."""
    parameters = [p for p in operation.get("parameters", []) if p["in"] == "query"]
    needed = {p["name"]: KNOWN[p["name"]] for p in parameters if p["required"]}
    yield needed, True
    for name in needed:
        yield {key: value for key, value in needed.items() if key != name}, False
    for parameter in parameters:
        for text, allowed in values_of(parameter):
            extra = {"from": {"to": KNOWN["to"]}, "to": {"from": KNOWN["from"]}}.get(parameter["name"], {})
            yield {**needed, **extra, parameter["name"]: text}, allowed
    yield {**needed, "surely_unknown": "1"}, not parameters


def test_every_parameter(service):
    for method, path, operation in OPERATIONS:
        if method != "GET" or "{" in path or "stream" in path:
            continue
        for query, allowed in queries_of(operation):
            text = f"?{urllib.parse.urlencode(query)}" if query else ""
            status, _, body = ask(service, path, method, path, operation, text)
            assert (status < 300) == allowed or path == "/health", (path, query, status, body[:300])
            if allowed and "text/csv" in operation["responses"]["200"]["content"]:
                rows = json.loads(body)
                rows = rows if isinstance(rows, list) else rows["rows"]
                _, _, table = ask(service, path, method, path, operation, text, headers={"Accept": "text/csv"})
                lines = list(csv.reader(io.StringIO(table.decode())))
                assert len(lines) == len(rows) + 1 and all(set(row) <= set(lines[0]) for row in rows), (path, query)


def test_paths_with_a_name(service):
    names = {"device": ("house", "none"), "name": ("firmware", "none")}
    for method, path, operation in OPERATIONS:
        if method != "GET" or "{" not in path:
            continue
        key = path[path.index("{") + 1:path.index("}")]
        good = ask(service, path, method, path.replace(f"{{{key}}}", names[key][0]), operation)[0]
        assert good == 200 if key == "device" else good == 404, path
        for ugly in ("none", *UGLY[1:]):
            status = ask(service, path, method, path.replace(f"{{{key}}}", ugly), operation)[0]
            assert 400 <= status < 500, (path, ugly)


def test_ugly_parameters(service, seed):
    """What no schema foresees is refused in a sentence, or harmless: never a 500, never an answer in another form."""
    dice = random.Random(seed)
    for method, path, operation in OPERATIONS:
        parameters = [p["name"] for p in operation.get("parameters", []) if p["in"] == "query"]
        if not parameters or "stream" in path:
            continue
        for _ in range(25):
            chosen = dice.sample(parameters, dice.randint(1, len(parameters)))
            query = "?" + "&".join(f"{name}={dice.choice((*UGLY, KNOWN.get(name, '1')))}" for name in ("device", *chosen))
            status = ask(service, path, method, path, operation, query)[0]
            assert status in (200, 400, 404), (path, query)


def test_methods_that_are_not_described(service):
    for path, methods in OPENAPI["paths"].items():
        plain = path.replace("{device}", "house").replace("{name}", "none")
        for method in ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
            if method.lower() in methods:
                continue
            status, headers, body = service.ask(method, plain, b"")
            assert status == 405 and json.loads(body)["error"] and headers["content-type"].startswith("application/json"), (method, path)


def wrong_for(schema):
    """A value that the argument's schema forbids; None if it allows everything."""
    for value in ({"no": "object"}, "no such word", -1e15, [7], True):
        if not jsonschema.Draft7Validator(schema).is_valid(value):
            return value
    return None


def right_for(name, schema):
    return schema["enum"][0] if "enum" in schema else KNOWN.get(name, "house")


def test_every_argument_of_every_request(service):
    """A wrong value for any argument is 400 and names it, whatever else is given; so is an argument that lacks."""
    (operation,) = [o for _, path, o in OPERATIONS if path == "/api/v1/request/{name}"]
    schemas = service.json("/api/v1/info")["request_schema"]
    assert len(schemas) > 30
    asked = 0
    for name, schema in schemas.items():
        required = schema.get("required", [])
        payloads = [({}, required[0])] if required else []
        for key, argument in schema.get("properties", {}).items():
            wrong = wrong_for(argument)
            if key != "transaction" and wrong is not None:
                payloads.append(({**{other: right_for(other, schema["properties"][other]) for other in required}, key: wrong}, key))
        for payload, key in payloads:
            status, _, body = ask(service, name, "POST", f"/api/v1/request/{name}", operation, body=json.dumps({**payload, "transaction": "t1"}))
            answer = json.loads(body)
            assert status == 400 and answer["status"] == "error" and answer["transaction"] == "t1", (name, payload, body)
            assert key in answer["error"], (name, payload, answer["error"])
            asked += 1
        for broken in ("{", '{"a": 1, "a": 2}', '{"a": "\xff"}'):
            status, _, body = ask(service, name, "POST", f"/api/v1/request/{name}", operation, body=broken.encode("latin-1"))
            assert status == 400, (name, broken, body)
    assert asked > 80
    assert ask(service, "unknown", "POST", "/api/v1/request/none", operation)[0] == 404


def local_folder(folder):
    (folder / "local").mkdir()
    return folder / "local"


def test_guards_of_every_operation(folder, spawn, broker, chips):
    """Login, Host, Origin and size: what the description says of them holds at each path."""
    port = free_port()
    path = write_config(folder, broker.url, [house.house(folder)], web={"listen": f"0.0.0.0:{port}", "password": "right horse"})
    spawn("--config", path, "run")
    closed = web.Client(port)
    wait_for(closed.answers, 20, "the server")
    local, _ = web.start(local_folder(folder), spawn, broker.url, devices=[])
    for method, path, operation in OPERATIONS:
        plain = path.replace("{device}", "house").replace("{name}", "backup")
        body = b"{}" if method != "GET" else None
        status, headers, text = closed.ask(method, plain, body)
        if operation.get("security") == []:
            assert status not in (401, 403) or "login" in path, path
        else:
            assert status == 401, path
        described(operation, status, headers, text, path)
        status, headers, text = local.ask(method, plain, body, {"Host": "evil.example"})
        assert status == 421, path
        described(operation, status, headers, text, path)
        if method == "GET":
            continue
        status, headers, text = local.ask(method, plain, body, {"Origin": "http://evil.example"})
        assert status == 403, path
        described(operation, status, headers, text, path)
        if method == "POST":
            status, headers, text = local.ask(method, plain, b"x" * 65537)
            assert status == 413, path
            described(operation, status, headers, text, path)
