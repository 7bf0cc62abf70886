# SPDX-License-Identifier: MIT
"""Home Assistant's add-on: its files by the rules of the Supervisor and of its add-on linter, and its run script against a
stand-in of the Supervisor's API."""

import http.server
import json
import os
import re
import sqlite3
import subprocess
import threading
import urllib.request

import pytest
import yaml

from harness import BINARY, ROOT, Broker, Process, free_port, wait_for

ADDON = ROOT / "packaging/homeassistant/bl2mqtt"
TOKEN = "supervisor-token-of-the-test"


def config():
    return yaml.safe_load((ADDON / "config.yaml").read_text())


# ---- the files ----

def test_config_by_the_supervisors_rules():
    given = config()
    assert {"name", "version", "slug", "description", "arch"} <= set(given)
    assert re.fullmatch(r"[-_.A-Za-z0-9]+", given["slug"]) and ADDON.name == given["slug"]
    assert set(given["arch"]) <= {"aarch64", "amd64"}  # the others are no longer supported
    assert given["startup"] in ("initialize", "system", "services", "application", "once")
    assert given["backup"] in ("hot", "cold") and (given["backup"] == "hot" or "backup_pre" not in given)
    assert re.fullmatch(r"(?:https?|\[PROTO:\w+\]|tcp)://\[HOST\]:(\[PORT:\d+\]|\d+).*", given["watchdog"])
    assert all(re.fullmatch(r"\w+:(provide|want|need)", service) for service in given["services"])
    # The linter: defaults are not repeated, what is deprecated is not used.
    assert "webui" not in given and "ports" not in given, "ingress only: a published port would have no login"
    assert not {"auto_uart", "devicetree", "snapshot"} & set(given)
    assert not [key for key, default in (("boot", "manual"), ("host_network", False), ("privileged", [])) if given.get(key) == default]


def test_version_is_the_projects():
    project = re.search(r"project\(bl2mqtt VERSION (\S+)", (ROOT / "CMakeLists.txt").read_text()).group(1)
    assert config()["version"] == project
    assert f"## {project}" in (ADDON / "CHANGELOG.md").read_text()
    assert f"bl2mqtt ({project})" in (ROOT / "debian/changelog").read_text()


def test_every_option_has_a_schema_and_words():
    given = config()
    assert set(given["options"]) <= set(given["schema"])
    for path in (ADDON / "translations").glob("*.yaml"):
        words = yaml.safe_load(path.read_text())["configuration"]
        assert set(words) == set(given["schema"]), path.name
        assert all(set(entry) == {"name", "description"} for entry in words.values())


def test_icon_has_its_size():
    data = (ADDON / "icon.png").read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    assert (int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")) == (128, 128)


def test_apparmor_covers_what_the_script_runs():
    profile = (ADDON / "apparmor.txt").read_text()
    assert f"profile {config()['slug']} " in profile
    for program in re.findall(r"\b(curl|jq|cat|mkdir|sleep)\b", (ADDON / "run.sh").read_text()):
        assert re.search(rf"bin/\{{[^}}]*\b{program}\b[^}}]*\}} ix", profile), program


# ---- the run script ----

@pytest.fixture
def supervisor():
    """Answers /services/mqtt to whoever has the token; `answer` is None while there is no broker."""
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            known = self.headers.get("Authorization") == f"Bearer {TOKEN}"
            found = known and self.path == "/services/mqtt" and server.answer is not None
            body = json.dumps({"result": "ok", "data": server.answer} if found else {"result": "error", "message": "no"}).encode()
            self.send_response(200 if found else 400 if known else 401)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.answer = None
    server.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()


@pytest.fixture
def addon(folder, supervisor):
    """addon(*args, **options): the run script in a container's surroundings."""
    (folder / "data").mkdir()
    (folder / "bin").mkdir()
    (folder / "bin/bl2mqtt").symlink_to(os.path.abspath(BINARY))
    port = free_port()
    started = []

    def start(*args, token=TOKEN, patience=0, **options):
        (folder / "data/options.json").write_text(json.dumps({"log_level": "info", **options}))
        process = Process([ADDON / "run.sh", *args],
                          env={"PATH": f"{folder}/bin:{os.environ['PATH']}", "ADDON_DATA": str(folder / "data"),
                               "ADDON_CONFIG": str(folder / "config"), "ADDON_SUPERVISOR": supervisor.url,
                               "ADDON_LISTEN": f"0.0.0.0:{port}", "SUPERVISOR_TOKEN": token, "ADDON_PATIENCE": str(patience)})
        started.append(process)
        return process

    start.url = f"http://127.0.0.1:{port}"
    yield start
    for process in started:
        process.kill()


@pytest.fixture
def locked_broker(folder):
    subprocess.run(["mosquitto_passwd", "-b", "-c", str(folder / "users"), "addons", "s3cret & \"quoted\""], check=True)
    os.chmod(folder / "users", 0o644)
    os.chmod(folder, 0o755)
    broker = Broker(folder, extra=f"password_file {folder / 'users'}\nallow_anonymous false\n")
    yield broker
    broker.stop()


def ask(url, **headers):
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=20) as answer:
        return answer.status, answer.read().decode()


def test_broker_and_password_come_from_the_supervisor(folder, supervisor, addon, locked_broker):
    supervisor.answer = {"host": "127.0.0.1", "port": locked_broker.port, "ssl": False, "protocol": "3.1.1",
                         "username": "addons", "password": 's3cret & "quoted"'}
    process = addon(base_topic="meters")
    wait_for(lambda: "connected" in process.output.lower(), 20, "the broker")
    assert "s3cret" not in process.output
    wait_for(lambda: ask(f"{addon.url}/health")[0] == 200, 20, "the watchdog's address")
    # Under ingress: another Host, a prefix, and no login.
    status, page = ask(f"{addon.url}/", **{"X-Ingress-Path": "/api/hassio_ingress/abc", "Host": "homeassistant.local:8123"})
    assert status == 200 and "<html" in page.lower()
    assert not re.search(r"""(?:src|href)=["']/(?!/)""", page), "an absolute address would leave the ingress"
    info = json.loads(ask(f"{addon.url}/api/v1/info")[1])
    assert "s3cret" not in json.dumps(info)
    assert process.stop() == 0


def test_without_a_broker_it_says_what_to_do(addon):
    process = addon()
    wait_for(lambda: not process.running(), 20, "the end")
    assert "Mosquitto broker" in process.output and "mqtt_server" in process.output


def test_a_broker_that_comes_later_is_waited_for(supervisor, addon, locked_broker):
    process = addon(patience=60)
    process.wait_line("names no MQTT broker yet", 20)
    supervisor.answer = {"host": "127.0.0.1", "port": locked_broker.port, "ssl": False, "protocol": "3.1.1",
                         "username": "addons", "password": 's3cret & "quoted"'}
    wait_for(lambda: "connected" in process.output.lower(), 30, "the broker")
    assert process.stop() == 0


def test_own_broker_and_backup(folder, addon, broker):
    process = addon(mqtt_server=broker.url)
    broker.subscribe("#").wait("bl2mqtt/bridge/state", lambda state: state == {"state": "online"}, 20)
    wait_for((folder / "data/history.db").exists, 10, "the history")
    backup = addon("backup", mqtt_server=broker.url)
    wait_for(lambda: not backup.running(), 30, "the backup")
    assert (folder / "data/history.backup").exists(), backup.output
    assert process.stop() == 0
    # As after a restored backup of Home Assistant: the files in use were left out of it.
    with sqlite3.connect(folder / "data/history.backup") as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    for path in (folder / "data").glob("history.db*"):
        path.unlink()
    process = addon(mqtt_server=broker.url)
    wait_for((folder / "data/history.db").exists, 20, "the restored history")
    wait_for(lambda: "backup is put in place" in process.output, 10, "the message")
    broker.subscribe("#").wait("bl2mqtt/bridge/state", lambda state: state == {"state": "online"}, 20)
    assert process.stop() == 0
