# SPDX-License-Identifier: MIT
"""bl2mqtt check: every problem of a broken file at its place in one run, bounds on hostile files, and
the table of keys agreeing with the schema, the examples and the manuals."""

import json
import os
import pathlib
import re
import resource
import shutil
import subprocess
import time

import jsonschema
import pytest
import yaml

import config_reference
from harness import BINARY, ROOT, run

CONFIGS = pathlib.Path(__file__).parent / "configs"
BAD = sorted((CONFIGS / "bad").glob("*.yaml"))
GOOD = [ROOT / "bridge.yaml", *sorted((CONFIGS / "good").glob("*.yaml"))]
SECRETS = CONFIGS / "secrets.yaml"
MINIMAL = "devices: [{id: d, driver: simulator, channels: {a: }}]\n"


def place(folder, source):
    """Puts a configuration, and the secrets, into a folder of its own."""
    shutil.copy(source, folder / "bridge.yaml")
    shutil.copy(SECRETS, folder / "secrets.yaml")
    (folder / "secrets.yaml").chmod(0o600)


def check(folder, *args, **options):
    return run("check", *args, cwd=folder, **options)


def problems_of(result):
    """The JSON answer's problems, after a look at its shape."""
    answer = json.loads(result.stdout)
    assert answer["valid"] == (result.returncode == 0)
    for problem in answer["problems"]:
        assert set(problem) == {"file", "line", "column", "severity", "message"}
        assert problem["severity"] in ("error", "warning")
        assert problem["message"].strip() and problem["message"][-1] in ".?"
    return answer["problems"]


# ---- what is right ----

@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.name)
def test_good(folder, path):
    place(folder, path)
    result = check(folder)
    assert result.returncode == 0, result.stderr
    assert re.fullmatch(r"bridge\.yaml is fine: \d+ devices?, \d+ channels?\.\n", result.stdout)
    assert re.fullmatch(r"2 of its ports are not there now, the first is /dev/serial/\S+; .*\n", result.stderr)
    assert problems_of(check(folder, "--json")) == []


def test_count(folder):
    place(folder, CONFIGS / "good/everything.yaml")
    assert check(folder).stdout == "bridge.yaml is fine: 2 devices, 4 channels.\n"
    (folder / "bridge.yaml").write_text(MINIMAL)
    assert check(folder).stdout == "bridge.yaml is fine: 1 device, 1 channel.\n"


def test_other_file(folder):
    (folder / "x.yaml").write_text(MINIMAL)
    result = run("--config", folder / "x.yaml", "check")
    assert result.stdout == f"{folder}/x.yaml is fine: 1 device, 1 channel.\n"


def test_print_defaults(folder):
    result = run("check", "--print-defaults")
    assert result.returncode == 0 and result.stderr == ""
    (folder / "bridge.yaml").write_text(result.stdout)
    again = check(folder)
    assert again.stdout == "bridge.yaml is fine: 0 devices, 0 channels, 1 warning.\n", again.stderr  # none are made up
    head, examples = result.stdout.split("devices: []\n")
    (folder / "bridge.yaml").write_text(head + "devices:\n" + re.sub(r"^#", "", examples, flags=re.M))
    again = check(folder)
    assert again.stdout == "bridge.yaml is fine: 6 devices, 6 channels.\n", again.stderr
    # with every comment that is a key taken as one
    uncommented = re.sub(r"^( *)#(\w+: )", r"\1\2", result.stdout, flags=re.M)
    (folder / "bridge.yaml").write_text(uncommented)
    shutil.copy(SECRETS, folder)
    (folder / "secrets.yaml").chmod(0o600)
    problems = problems_of(check(folder, "--json"))
    assert [p for p in problems if p["severity"] == "error"] == []


# ---- what is wrong ----

def expectations(path):
    """`# expect: [file:]line:column: [warning: ]words` anywhere in the file."""
    pattern = re.compile(r"^# expect: (?:(\S+\.yaml):)?(\d+):(\d+): (warning: )?(.+)$", re.M)
    return [(file or "bridge.yaml", int(line), int(column), "warning" if warning else "error", words)
            for file, line, column, warning, words in pattern.findall(path.read_text())]


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.name)
def test_bad(folder, path):
    expected = expectations(path)
    assert expected, "says nothing about what is wrong with it"
    place(folder, path)
    result = check(folder, "--json")
    assert result.returncode == 2
    found = problems_of(result)
    for file, line, column, severity, words in expected:
        matching = [p for p in found if (p["file"], p["line"], p["column"], p["severity"]) ==
                    (file, line, column, severity) and words in p["message"]]
        assert matching, f"not reported: {file}:{line}:{column}: {severity}: {words}\n{result.stdout}"
        found.remove(matching[0])
    assert found == [], "reported, but not expected"

    # the same for people
    text = check(folder)
    assert text.returncode == 2 and text.stdout == ""
    assert len(text.stderr.splitlines()) == len(expected)
    for line in text.stderr.splitlines():
        assert re.match(r"\S+\.yaml:\d+:\d+: (warning: )?\S", line), line
    assert "never show" not in text.stderr, "a secret was shown"


def test_file_is_missing(folder):
    result = check(folder)
    assert result.returncode == 2 and result.stdout == ""
    assert len(result.stderr.splitlines()) == 1
    assert "bridge.yaml" in result.stderr and "--print-defaults" in result.stderr
    [problem] = problems_of(check(folder, "--json"))
    assert (problem["file"], problem["line"], problem["column"]) == ("bridge.yaml", 0, 0)


def test_file_is_no_file(folder):
    (folder / "bridge.yaml").mkdir()
    result = check(folder)
    assert result.returncode == 2 and "directory" in result.stderr


def test_strange_file_name(folder):
    name = os.fsencode(folder) + b"/x\xff\n\x1b[31m.yaml"
    with open(name, "w") as file:
        file.write("a: 1\n")
    for args in ([], ["--json"]):
        result = subprocess.run([BINARY, "--config", name, "check", *args], capture_output=True, timeout=30)
        assert result.returncode == 2
        assert b"\x1b" not in result.stdout + result.stderr
        (result.stdout + result.stderr).decode()  # it is UTF-8


def test_usage():
    for args in (["--bogus"], ["bridge.yaml"]):
        result = run("check", *args)
        assert result.returncode == 2 and result.stderr
    help_text = run("check", "--help")
    assert help_text.returncode == 0
    for option in ("--json", "--print-defaults", "--print-schema"):
        assert option in help_text.stdout


# ---- secrets and environment ----

def test_secrets_file_is_missing(folder):
    (folder / "bridge.yaml").write_text("mqtt: {user: !secret u, password: !secret p}\n" + MINIMAL)
    found = problems_of(check(folder, "--json"))
    assert [(p["line"], p["column"]) for p in found] == [(1, 14), (1, 35)]
    assert all("secrets.yaml" in p["message"] for p in found)


def test_secrets_for_everybody(folder):
    place(folder, CONFIGS / "good/everything.yaml")
    (folder / "secrets.yaml").chmod(0o644)
    result = check(folder)
    assert result.returncode == 0
    assert result.stdout == "bridge.yaml is fine: 2 devices, 4 channels, 1 warning.\n"
    assert result.stderr.startswith("secrets.yaml: warning: ")
    # a file that is not used is nobody's business
    (folder / "bridge.yaml").write_text(MINIMAL)
    assert check(folder).stderr == ""


def test_secrets_are_beside_the_configuration(folder):
    place(folder, CONFIGS / "good/everything.yaml")
    result = run("--config", folder / "bridge.yaml", "check", cwd="/")
    assert result.returncode == 0, result.stderr


def test_environment(folder):
    (folder / "bridge.yaml").write_text("mqtt: {server: bad}\n" + MINIMAL)
    good = {"BL2MQTT_MQTT__SERVER": "mqtt://x", "BL2MQTT_DEVICES__D__CHANNELS__A__INVERT": "true"}
    assert check(folder, env=good).returncode == 0
    bad = check(folder, env={**good, "BL2MQTT_MQTT__VERSION": "7", "BL2MQTT_MQTT_SERVER": "x"})
    assert bad.returncode == 2
    assert bad.stderr.splitlines() == [
        "BL2MQTT_MQTT_SERVER: This variable names no key of the configuration. Did you mean "
        "BL2MQTT_MQTT__SERVER?",
        'BL2MQTT_MQTT__VERSION: mqtt.version is "7"; it must be 3.1.1 or 5.']


# ---- hostile files ----

def keys(count):
    return b"".join(b"key%d: 1\n" % i for i in range(count))


HOSTILE = {
    "10 MB": b"a: b\n" * 2_000_000,
    "100000 brackets": b"[" * 100_000,
    "a million keys": keys(1_000_000),
    "as many keys as fit": keys(20_000),
    "one key again and again": b"a: 1\n" * 50_000,
    "alias bomb": b"a: &a [x,x,x,x,x,x,x,x]\n" + b"".join(
        b"%c: &%c [%s]\n" % (c, c, b",".join([b"*%c" % (c - 1)] * 8)) for c in range(ord("b"), ord("k"))),
    "deep mappings": b"".join(b" " * i + b"a:\n" for i in range(600)),
    "zero bytes": b"bridge:\n  id: a\0b\n",
    "only zero bytes": b"\0" * 100_000,
    "UTF-16": MINIMAL.encode("utf-16"),
    "UTF-16 without a mark": MINIMAL.encode("utf-16-le"),
    "Latin-1": "bridge: {id: Zähler}\n".encode("latin-1"),
    "20000 unknown secrets": b"devices: [" + b",".join([b"!secret x"] * 20_000) + b"]\n",
    "one word": b"x" * 200_000,
    "one key": b"x" * 1000 + b": 1\n",
    "65536 values": b"[" + b"a," * 100_000 + b"]",
    "empty": b"",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile(folder, name):
    """Refused in words, in a second, in 64 MB of address space (without sanitizers)."""
    place(folder, ROOT / "bridge.yaml")
    (folder / "bridge.yaml").write_bytes(HOSTILE[name])
    sanitized = b"__asan_init" in pathlib.Path(BINARY).read_bytes()

    def limit():
        if not sanitized:
            resource.setrlimit(resource.RLIMIT_AS, (64 << 20, 64 << 20))

    start = time.monotonic()
    result = subprocess.run([BINARY, "check"], cwd=folder, capture_output=True, timeout=30, preexec_fn=limit)
    seconds = time.monotonic() - start
    text = result.stderr.decode()
    assert result.returncode == 2, text
    assert 1 <= len(text.splitlines()) <= 101
    assert seconds < (5 if sanitized else 1.5)
    for line in text.splitlines():
        assert re.match(r"bridge\.yaml:(\d+:\d+:)? \S|\.\.\. and \d+ more\.$", line), line


def test_byte_order_mark(folder):
    (folder / "bridge.yaml").write_bytes(b"\xef\xbb\xbf" + MINIMAL.encode())
    assert check(folder).returncode == 0


def test_8192_devices(folder):
    """Four times the devices take about four times the work, not sixteen times. Processor time is compared, because
    the clock on the wall depends on what else the machine does."""
    def work(count):
        devices = "".join(f"- {{id: d{i}, driver: bl0942, channels: {{a: {{port: /p{i}}}}}}}\n" for i in range(count))
        (folder / "bridge.yaml").write_text("devices:\n" + devices)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        result = check(folder)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert result.stdout == f"bridge.yaml is fine: {count} devices, {count} channels.\n", result.stderr
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    few, many = work(2048), work(8192)
    print(f"figure: 8192 devices checked in {many:.2f} s of processor time")
    assert many < 9 * few + 0.5, (few, many)


# ---- the table, the schema, the manuals ----

class Loader(yaml.SafeLoader):
    """YAML as editors read it: the core schema of YAML 1.2, and our tag."""


Loader.yaml_implicit_resolvers = {}
for tag, pattern, first in (
        ("bool", r"true|false", "tf"), ("null", r"~|null|", ["~", "n", ""]),
        ("int", r"-?[0-9]+", "-0123456789"), ("float", r"-?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?", "-0123456789")):
    Loader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(rf"^(?:{pattern})$"), list(first))
Loader.add_constructor("!secret", lambda loader, node: str(yaml.safe_load(SECRETS.read_text())[node.value]))


@pytest.fixture(scope="module")
def schema():
    return json.loads(config_reference.schema_text())


@pytest.fixture(scope="module")
def validator(schema):
    jsonschema.Draft7Validator.check_schema(schema)
    return jsonschema.Draft7Validator(schema)


def errors(validator, text):
    return [f"{list(e.absolute_path)}: {e.message}" for e in validator.iter_errors(yaml.load(text, Loader))]


def test_schema_file():
    """Repaired by `python3 tests/integration/config_reference.py --write`."""
    expected = config_reference.schema_text()
    assert config_reference.SCHEMA.read_text() == expected, f"schema/bridge.schema.json must be:\n{expected}"


@pytest.mark.parametrize("path", config_reference.PAGES, ids=lambda path: path.name)
def test_reference(schema, path):
    """Repaired by `python3 tests/integration/config_reference.py --write`."""
    expected = config_reference.rendered(path, schema)
    _, inside, _ = config_reference.split(path)
    assert inside.rstrip("\n") == expected, f"{path.name} must have between its marks:\n{expected}"


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.name)
def test_schema_accepts(validator, path):
    assert errors(validator, path.read_text()) == []


def test_schema_accepts_defaults(validator):
    assert errors(validator, run("check", "--print-defaults").stdout) == []


SCHEMA_BAD = [path for path in BAD if "# schema: refuses\n" in path.read_text()]


@pytest.mark.parametrize("path", SCHEMA_BAD, ids=lambda path: path.name)
def test_schema_refuses(validator, path):
    assert errors(validator, path.read_text())


# Each is wrong in one way; the program and the schema must both see it.
ONE_WRONG = {
    "unknown key": "bridge: {x: 1}",
    "unknown section": "x: {}",
    "id": "bridge: {id: A}",
    "long id": f"bridge: {{id: {'a' * 33}}}",
    "choice": "bridge: {log_level: loud}",
    "server": "mqtt: {server: broker}",
    "topic": "mqtt: {base_topic: a/#}",
    "topic with $": "mqtt: {base_topic: $a}",
    "empty topic level": "mqtt: {base_topic: a//b}",
    "number for duration": "mqtt: {keepalive: 60}",
    "duration without unit": "mqtt: {keepalive: '60'}",
    "version": "mqtt: {version: 4}",
    "text for bool": "mqtt: {insecure: 'true'}",
    "yes": "mqtt: {insecure: yes}",
    "forever where it cannot be": "history: {commit_interval: forever}",
    "listen": "web: {listen: '80'}",
    "list for group": "history: []",
    "group for value": "mqtt: {server: {}}",
    "level of a sink": "sinks: [{id: a, url: 'http://h', send: [hours]}]",
    "level twice": "sinks: [{id: a, url: 'http://h', send: [days, days]}]",
    "no level": "sinks: [{id: a, url: 'http://h', send: []}]",
    "level in words": "sinks: [{id: a, url: 'http://h', send: 'days and minutes'}]",
}
DEVICE_WRONG = {
    "no id": "{driver: simulator, channels: {a: }}",
    "no driver": "{id: d, channels: {a: }}",
    "no channels": "{id: d, driver: simulator}",
    "empty channels": "{id: d, driver: simulator, channels: {}}",
    "channel name": "{id: d, driver: simulator, channels: {A: }}",
    "reserved channel name": "{id: d, driver: simulator, channels: {factor: }}",
    "no port": "{id: d, driver: bl0942, channels: {a: {}}}",
    "no port at all": "{id: d, driver: bl0942, channels: {a: }}",
    "no topic": "{id: d, driver: openbeken, channels: {a: }}",
    "other driver's device key": "{id: d, driver: simulator, topic: x, channels: {a: }}",
    "other driver's channel key": "{id: d, driver: simulator, channels: {a: {port: /dev/x}}}",
    "address": "{id: d, driver: bl0942, channels: {a: {port: /dev/x, address: 4}}}",
    "address as text": "{id: d, driver: bl0942, channels: {a: {port: /dev/x, address: '1'}}}",
    "address with decimals": "{id: d, driver: bl0942, channels: {a: {port: /dev/x, address: 1.5}}}",
    "baud": "{id: d, driver: bl0942, channels: {a: {port: /dev/x, baud: 1200}}}",
    "relative port": "{id: d, driver: bl0942, channels: {a: {port: COM1}}}",
    "calibration": "{id: d, driver: simulator, channels: {a: {calibration: {voltage: 0}}}}",
    "frequency": "{id: d, driver: simulator, mains: {frequency: 55}, channels: {a: }}",
    "max_current": "{id: d, driver: simulator, mains: {max_current: 0}, channels: {a: }}",
    "no group": "house",
}


@pytest.mark.parametrize("name", [*ONE_WRONG, *DEVICE_WRONG])
def test_both_refuse(folder, validator, name):
    if name in ONE_WRONG:
        text = MINIMAL + ONE_WRONG[name] + "\n"
    else:
        text = f"devices: [{DEVICE_WRONG[name]}]\n"
    (folder / "bridge.yaml").write_text(text)
    found = problems_of(check(folder, "--json"))
    assert len(found) == 1, found
    assert errors(validator, text), "the schema accepts it"


def test_example_has_every_key(schema):
    text = (ROOT / "bridge.yaml").read_text()
    for title, _, rows in config_reference.entries(schema):
        for key, *_ in rows:
            assert re.search(rf"\b{key}:", text), f"{title}.{key} is not in bridge.yaml"


def test_example_shows_defaults(schema):
    """What is commented out as a default is the default: taking the # away changes nothing."""
    text = (ROOT / "bridge.yaml").read_text()
    entries = list(config_reference.entries(schema))
    initials = {}  # the same key stands in several groups
    for _, _, rows in entries:
        for key, _, initial, *_ in rows:
            initials.setdefault(key, set()).add(initial)
    for title, _, rows in entries:
        for key, _, initial, literal, _ in rows:
            for value in re.findall(rf"^ *# *{key}: (.*?)(?: +#.*)?$", text, flags=re.M):
                same = not value or value.strip('"') in initials[key]
                assert title.startswith(("devices", "sinks", "tariffs")) or not literal or same, f"{title}.{key}"


def test_example_uncommented(folder):
    """Every key in it, with the # taken away."""
    text = re.sub(r"^( *)#(- | {2,}|)(\w+: ?)", r"\1\2\3", (ROOT / "bridge.yaml").read_text(), flags=re.M)
    (folder / "bridge.yaml").write_text(text)
    shutil.copy(SECRETS, folder)
    (folder / "secrets.yaml").chmod(0o600)
    result = check(folder)
    assert result.stdout.startswith("bridge.yaml is fine: 7 devices, 13 channels"), result.stderr


def test_manual_names_every_command():
    page = (ROOT / "docs/man/bl2mqtt.1").read_text()
    listed = re.findall(r"^  (\w+(?: [\w-]+)?)  +\S", run("--help").stdout.split("Options:")[0], flags=re.M)
    assert "check" in listed
    for command in listed:
        assert re.search(rf"Cm {command}\b", page), f"bl2mqtt.1 does not name `{command}`"


# ---- files and the broker ----

@pytest.mark.parametrize("key", ["ca", "cert"])
def test_tls_files(folder, key):
    """What `run` would stop at is named by `check`: a file that is missing, and one that is no PEM file."""
    for content, words in ((None, "No such file"), ("hello\n", "is no PEM file")):
        path = folder / "some.pem"
        if content is not None:
            path.write_text(content)
        (folder / "bridge.yaml").write_text(
            "mqtt:\n  server: mqtts://127.0.0.1:1\n" +
            (f"  {key}: {path}\n" if key == "ca" else f"  cert: {path}\n  key: {path}\n") + MINIMAL)
        result = check(folder)
        assert result.returncode == 2 and result.stdout == ""
        assert f"mqtt.{key}" in result.stderr and str(path) in result.stderr and words in result.stderr
        (problem,) = problems_of(check(folder, "--json"))
        assert words in problem["message"] and problem["severity"] == "error"
        result = run("run", cwd=folder)
        assert result.returncode == 2 and str(path) in result.stderr


def test_online(folder, broker):
    """--online also asks the broker: whether it is there, and whether another bridge has its topics."""
    (folder / "bridge.yaml").write_text(f"bridge: {{id: mine}}\nmqtt: {{server: {broker.url}}}\n" + MINIMAL)
    result = check(folder, "--online")
    assert result.returncode == 0 and "The broker answers." in result.stdout, result.stderr
    broker.publish("bl2mqtt/bridge/info", {"bridge_id": "mine"}, retain=True)
    assert check(folder, "--online").returncode == 0
    broker.publish("bl2mqtt/bridge/info", {"bridge_id": "other"}, retain=True)
    result = check(folder, "--online")
    assert result.returncode == 2 and '"other"' in result.stderr and "base_topic" in result.stderr
    answer = check(folder, "--online", "--json")
    assert answer.returncode == 2 and json.loads(answer.stdout)["valid"] is False
    assert check(folder).returncode == 0
    (folder / "bridge.yaml").write_text("mqtt: {server: 'mqtt://127.0.0.1:1'}\n" + MINIMAL)
    result = check(folder, "--online")
    assert result.returncode == 3 and "127.0.0.1:1" in result.stderr
