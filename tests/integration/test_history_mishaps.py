# SPDX-License-Identifier: MIT
"""What people and machines do to a data folder: things that are no file, files of root, no room."""

import contextlib
import os
import signal
import sqlite3
import subprocess
import time

import pytest

from harness import BINARY, run, wait_for, write_config
from test_history import make_history, ms

BEGIN = ms("2026-10-24T22:00+00:00")
NOBODY = 65534


def history(path):
    make_history(path, {1: ("house", "a")}, [(BEGIN + i * 1000, 1, 100, 3, 0) for i in range(1000)])


def configured(folder, url="mqtt://127.0.0.1:1", **more):
    return write_config(folder, url, [{"id": "house", "driver": "simulator", "channels": {"a": {}}}], **more)


@pytest.mark.parametrize("kind", ["pipe", "folder", "device"])
def test_what_is_no_file_is_not_opened(folder, kind):
    config = configured(folder)
    path = folder / "data/history.db"
    path.parent.mkdir()
    {"pipe": lambda: os.mkfifo(path), "folder": path.mkdir, "device": lambda: path.symlink_to("/dev/null")}[kind]()
    for command in (("history", "energy", "--device", "house"), ("history", "verify"), ("history", "import", "--list"),
                    ("run",)):
        result = run("--config", config, *command, timeout=10)  # a pipe had them wait forever
        assert result.returncode == 2 and "is a folder, a pipe or a device" in result.stdout + result.stderr, (command, result)


@pytest.mark.parametrize("zone, warned", [("Europe/Nowhere", True), (":Nowhere", True), ("Europe/Berlin", False), ("", False),
                                          ("CET-1CEST,M3.5.0,M10.5.0/3", False), ("<+0330>-3:30", False)])
def test_a_time_zone_of_the_environment_that_is_none(folder, spawn, zone, warned):
    service = spawn("--config", configured(folder), "run", env={"TZ": zone})
    service.wait_line("Running with")
    assert ("days follow UTC" in service.output) == warned, service.output


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act for another user")
def test_root_restores_what_the_service_user_owns(folder):
    os.chmod(folder, 0o755)
    config = configured(folder)
    data = folder / "data"
    data.mkdir()
    os.chown(data, NOBODY, NOBODY)
    copy = folder / "copy.db"
    history(copy)
    result = run("--config", config, "history", "restore", copy)
    assert result.returncode == 0, result.stderr
    assert {path.name: path.stat().st_uid for path in data.iterdir()} == \
        {"history.db": NOBODY, "history.db.lock": NOBODY}
    # so the service's user can go on with it
    as_user = subprocess.run(["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", BINARY, "--config",
                              str(config), "history", "recalibrate", "--device", "house", "--channel", "a", "--since",
                              "2026-10-01", "--power", "300"], capture_output=True, text=True, timeout=30)
    assert as_user.returncode == 0, as_user.stderr


@pytest.fixture
def small_disk(folder):
    """data/ with 40 MB."""
    data = folder / "data"
    data.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m", "bl2mqtt-test", str(data)], capture_output=True).returncode:
        pytest.skip("no file system may be mounted here")
    yield data
    subprocess.run(["umount", "-l", str(data)], check=True)


def test_damaged_on_a_full_disk(folder, spawn, small_disk):
    """A start that fails for want of room must not be the end of the restore: the next one finds things as they were."""
    config = configured(folder, history={"backup": {"folder": str(folder)}})
    path = small_disk / "history.db"
    history(path)
    assert run("--config", config, "history", "backup").returncode == 0
    with open(path, "r+b") as file:
        file.write(b"junk" * 1000)
    damaged = path.read_bytes()
    with contextlib.suppress(OSError), open(small_disk / "filler", "wb", buffering=0) as filler:
        while filler.write(bytes(1 << 20)) == 1 << 20:
            pass
        while filler.write(bytes(512)) == 512:
            pass
    for _ in range(2):
        result = run("--config", config, "run", timeout=10)
        assert result.returncode == 1 and "no room" in (result.stdout + result.stderr).lower(), result
        assert path.read_bytes() == damaged and not list(small_disk.glob("*damaged*"))
    (small_disk / "filler").unlink()
    service = spawn("--config", config, "run")
    service.wait_line("continues from the backup")
    service.wait_line("house a is online")
    assert service.stop() == 0
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT count(*) FROM reading WHERE key >> 15 < ?", (BEGIN + 1000000,)).fetchone() == (1000,)


def test_a_copy_that_fits_is_gone_on_from(folder, spawn, small_disk):
    """The 32 MB that a scheduled copy leaves free are no reason to begin an empty history."""
    config = configured(folder, history={"backup": {"folder": str(folder)}})
    path = small_disk / "history.db"
    history(path)
    assert run("--config", config, "history", "backup").returncode == 0
    with open(path, "r+b") as file:
        file.write(b"junk" * 1000)
    disk = os.statvfs(small_disk)
    filler = disk.f_bavail * disk.f_frsize - path.stat().st_size - 4000000
    (small_disk / "filler").write_bytes(bytes(filler))
    service = spawn("--config", config, "run")
    service.wait_line("continues from the backup")
    service.wait_line("house a is online")
    assert service.stop() == 0
    with contextlib.closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT count(*) FROM reading WHERE key >> 15 < ?", (BEGIN + 1000000,)).fetchone() == (1000,)


def remount(how, folder):
    subprocess.run(["mount", "-o", f"remount,{how}", str(folder)], check=True)


def totals_of(path):
    with contextlib.closing(sqlite3.connect(path)) as db:  # an open one would keep its log, and the disk busy
        return dict(db.execute("SELECT channel, imported FROM total"))


@pytest.mark.parametrize("state", ["closed", "killed"])
def test_start_on_a_disk_that_became_read_only(folder, spawn, broker, small_disk, state):
    """As the kernel does with a card that fails: what the file and its log know is the beginning, metering goes on from
    there in memory, and what waited is written when the disk is well."""
    config = configured(folder, broker.url, history={"commit_interval": "200ms"})
    path = small_disk / "history.db"
    service = spawn("--config", config, "run")
    service.wait_line("house a is online", 15)
    wait_for(lambda: path.exists() and totals_of(path), 10, "a commit")
    if state == "killed":
        service.signal(signal.SIGKILL)
    service.stop()
    assert ((small_disk / "history.db-wal").exists() and (small_disk / "history.db-wal").stat().st_size > 0) == (state == "killed")
    if state == "killed":
        (small_disk / "history.db.lock").unlink()  # it is not needed before something is written
    remount("ro", small_disk)
    began_ms = int(time.time() * 1000)
    watch = broker.subscribe("bl2mqtt/#")
    service = spawn("--config", config, "run")
    event = watch.wait("bl2mqtt/bridge/event", lambda e: e["type"] == "history_problem", 15)
    assert "read-only file system" in event["message"]
    watch.wait("bl2mqtt/house", lambda s: s["power"] is not None and s["energy"] is not None)
    assert service.running()
    if state == "closed":
        return
    remount("rw", small_disk)
    watch.wait("bl2mqtt/bridge/event", lambda e: e["type"] == "history_resumed", 40)
    with contextlib.closing(sqlite3.connect(path)) as db:
        number, first = db.execute("SELECT count(*), min(key >> 15) FROM reading WHERE key >> 15 > ?", (began_ms,)).fetchone()
    assert number > 2 and first < began_ms + 5000, (number, first - began_ms)
    assert run("--config", config, "run", timeout=10).returncode == 1, "nobody else may write it"
    assert service.stop() == 0
    assert run("history", "verify", path).returncode == 0


def test_what_cannot_be_read_from_a_read_only_disk(folder, small_disk):
    """Status 2 would be the end: systemd starts the service again after any other, until the disk is well."""
    config = configured(folder)
    remount("ro", small_disk)
    result = run("--config", config, "run", timeout=10)
    assert result.returncode == 1 and "read-only file system" in result.stdout + result.stderr, result
    remount("rw", small_disk)
    history(small_disk / "history.db")
    with open(small_disk / "history.db", "r+b") as file:
        file.write(b"junk" * 1000)
    remount("ro", small_disk)
    result = run("--config", config, "run", timeout=10)
    assert result.returncode == 1 and "read-only file system" in result.stdout + result.stderr, result
    result = run("--config", config, "history", "restore", small_disk / "history.db", timeout=10)
    assert result.returncode == 1 and "Read-only file system" in result.stderr, result


def test_killed_while_a_copy_is_restored(folder, spawn):
    """Restoring gigabytes takes minutes; until then the damaged file stays, so that the next start tries again."""
    config = configured(folder, history={"backup": {"folder": str(folder)}})
    data = folder / "data"
    data.mkdir()
    path = data / "history.db"
    count = 300000
    make_history(path, {1: ("house", "a")}, [(BEGIN + i * 1000, 1, 100, 3, 0) for i in range(count)])
    assert run("--config", config, "history", "backup").returncode == 0
    with open(path, "r+b") as file:
        file.write(b"junk" * 1000)
    service = spawn("--config", config, "run")
    wait_for(lambda: [p for p in data.glob("*restor*") if p.stat().st_size > 4 << 20], 10, "a part of the copy", every=0.002)
    service.signal(signal.SIGKILL)
    service.stop()
    assert path.exists() and "continues from the backup" not in service.output
    service = spawn("--config", config, "run")
    service.wait_line("continues from the backup", 20)
    service.wait_line("house a is online")
    assert service.stop() == 0
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT count(*) FROM reading WHERE key >> 15 < ?", (BEGIN + count * 1000,)).fetchone() == (count,)
    assert not list(data.glob("*restor*"))

    # between the two renames
    path.rename(data / "history.db.restored")
    service = spawn("--config", config, "run")
    service.wait_line("was interrupted")
    service.wait_line("house a is online")
    assert service.stop() == 0
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT count(*) FROM reading WHERE key >> 15 < ?", (BEGIN + count * 1000,)).fetchone() == (count,)
