# SPDX-License-Identifier: MIT
"""The command line as a whole: help, hints, completion, and man pages that name what there is."""

import json
import re

import pytest

from harness import ROOT, run

COMMANDS = [command for command in json.loads(run("--print-options").stdout) if command["options"]]


def names(command):
    return [option["name"] for option in command["options"] if option["kind"] not in ("operand", "alias")]


def page_of(command):
    words = command["command"].split()
    for count in (3, 2, 1):
        path = ROOT / f"docs/man/bl2mqtt-{'-'.join(words[:count])}.1"
        if path.exists():
            return path
    raise AssertionError(f"no man page for {command['command']}")


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command["command"])
def test_help(command):
    long = run(*command["command"].split(), "--help")
    assert long.returncode == 0 and long.stderr == ""
    assert run(*command["command"].split(), "-h").stdout == long.stdout
    assert long.stdout.startswith(f"Usage: bl2mqtt {command['command']}")
    assert max(map(len, long.stdout.splitlines())) <= 80
    for name in names(command):
        assert f"--{name}" in long.stdout


@pytest.mark.parametrize("columns", [40, 60, 80, 200])
def test_help_is_as_wide_as_the_terminal(columns):
    for command in ([], ["scan"], ["profiles"]):
        text = run(*command, "--help", env={"COLUMNS": str(columns)}).stdout
        assert max(map(len, text.splitlines())) <= min(columns, 80)


def items(path, further=True):
    """{option: what the page says of it} of the lists of a page, and of the page that it refers to."""
    text = path.read_text()
    found = {}
    for head, body in re.findall(r"^\.It (Fl .*)\n((?:(?!\.It |\.El|\.Bl).*\n)*)", text, flags=re.M):
        for name, argument in re.findall(r"Fl -([\w-]+)((?: (?!, ?Fl|Fl|,)\S+)*)", head):
            found[name] = (argument.strip(), head + "\n" + body)
    for other in re.findall(r"are as in\n\.Xr (bl2mqtt-[\w-]+) 1", text if further else ""):
        found = {**items(path.parent / f"{other}.1"), **found}
    return found


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command["command"])
def test_man_page_is_true(command):
    """Every option is in the list of the page, with its argument, what may be chosen, and the default. A page of
    several commands has those of all of them."""
    page = page_of(command)
    listed = items(page)
    fields = set(re.findall(r"`--([\w-]+)`", (ROOT / "docs/obk-config.md").read_text())) if "obk" in page.name else set()
    known = {name for other in COMMANDS if page_of(other) == page for name in names(other)}
    assert not set(items(page, further=False)) - known - {"help"}, f"{page.name} lists what there is not"
    for option in command["options"]:
        name = option["name"]
        if option["kind"] in ("operand", "alias") or (name in fields and name not in listed):
            continue
        assert name in listed, f"{page.name} does not list --{name}"
        argument, text = listed[name]
        assert bool(argument) == (option["kind"] != "flag"), f"{page.name}: --{name} {argument}"
        text = text.replace("\\&", "")
        for word in [*(option["choices"] or []), *([option["default"]] if option["default"] else [])]:
            assert word.lower() in text.lower(), f"{page.name}: --{name} does not say {word}"


@pytest.mark.parametrize("words, says", [
    (["rnu"], "Did you mean `bl2mqtt run`?"),
    (["histroy", "energy"], "Did you mean `bl2mqtt history energy`?"),
    (["history", "enrgy"], "Did you mean `bl2mqtt history energy`?"),
    (["histroy"], "Did you mean `bl2mqtt history`?"),
    (["help", "simulat"], "Did you mean `bl2mqtt simulate"),
    (["hist"], "Did you mean `bl2mqtt history "),
    (["enrgy"], "Did you mean `bl2mqtt history energy`?"),
    (["flash", "porbe"], "Did you mean `bl2mqtt flash probe`?"),
    (["scan", "--prot", "x"], "Did you mean --port?"),
    (["--confg", "x"], "Did you mean --config?"),
    (["run", "--config", "x.yaml"], "`bl2mqtt --config x.yaml run`"),
    (["check", "--config=x.yaml"], "`bl2mqtt --config x.yaml check`"),
    (["history"], "history energy"),
    (["flash"], "flash probe"),
    (["completely-different"], "`bl2mqtt --help` lists them"),
])
def test_hints(words, says):
    result = run(*words)
    assert result.returncode == 2
    assert result.stdout == ""
    assert says in result.stderr


@pytest.mark.parametrize("words", [[], ["run"], ["history"], ["history", "energy"]])
def test_help_as_a_word(words):
    by_word, by_option = run("help", *words), run(*words, "--help")
    assert by_word.returncode == 0
    assert by_word.stdout in by_option.stdout and by_word.stdout != ""


def test_version_as_a_word():
    assert run("version").stdout == run("--version").stdout != ""


@pytest.mark.parametrize("group", ["history", "flash", "openbeken", "simulate", "flash obk-config"])
def test_groups(group):
    for option in ("--help", "-h"):
        result = run(*group.split(), option)
        assert result.returncode == 0 and f"bl2mqtt {group} " in result.stdout
        assert max(map(len, result.stdout.splitlines())) <= 80


def completed(*words):
    return run("--complete", "--", *words).stdout.split()


def test_completion():
    assert "history" in completed("hi") and "scan" not in completed("hi")
    assert completed("history", "ener") == ["energy"]
    assert "--port" in completed("scan", "--p")
    assert completed("scan", "--baud", "4") == ["4800"]
    assert completed("scan", "--port", "/dev/tty") == ["<files>"]
    assert completed("--config", "some") == ["<files>"]
    assert completed("--config", "a.yaml", "che") == ["check"]
    assert completed("nothing", "such") == []


def test_where_the_configuration_is_looked_for(folder):
    """--config, BL2MQTT_CONFIG, ./bridge.yaml: the first that is named or there."""
    device = "devices: [{id: %s, driver: simulator, channels: {a: }}]\nhistory: {nonsense: 1}\n"
    for name in ("named", "environment", "bridge"):
        (folder / f"{name}.yaml").write_text(device % f"the-{name}")
    (folder / "elsewhere").mkdir()
    environment = {"BL2MQTT_CONFIG": str(folder / "environment.yaml")}
    for words, env, cwd, expected in [
            (["--config", folder / "named.yaml"], environment, folder, folder / "named.yaml"),
            ([], environment, folder, folder / "environment.yaml"),
            ([], {"BL2MQTT_CONFIG": ""}, folder, "bridge.yaml"),
            ([], {}, folder, "bridge.yaml")]:
        result = run(*words, "check", env=env, cwd=cwd)
        assert result.returncode == 2 and result.stderr.startswith(f"{expected}:2:"), result.stderr
        assert "BL2MQTT_CONFIG" not in result.stderr


def test_what_could_change_a_terminal_is_not_echoed(folder):
    """Controls and marks that turn the writing direction: neither of a word nor of a file."""
    bad = "\u009b31m\u202ex\u2066\u0085\u001b[2J\u2028y"
    (folder / "bad.yaml").write_text(f"bridge:\n  x\u202ey\u2066z: 1\n  id: a\u2028b\nx\u202e: [1\n")
    (folder / "worse.yaml").write_text('devices:\n  - {id: "\\x9b\\u202e", driver: "\\u2066"}\n')
    lines = [(bad,), ("history", bad), ("history", "energy", bad), ("history", "energy", "--" + bad), ("history", "energy", f"--bucket={bad}"),
             ("history", "energy", "--device", bad, "--config", bad), ("history", "power", "--points", bad), ("simulate", bad),
             ("scan", "--port", bad), ("--config", bad, "check"), ("--config", folder / "bad.yaml", "check"),
             ("--config", folder / "worse.yaml", "check"), ("history", "import", bad, "--device", bad)]
    for line in lines:
        result = run(*line)
        shown = result.stdout + result.stderr
        assert result.returncode != 0 and shown, line
        assert not [c for c in shown if c != "\n" and (not c.isprintable() or c in "\u2028\u2029")], (line, shown)
