# SPDX-License-Identifier: MIT
"""Files that commands write under a name that the user gives: whatever has that name and is no file, a device above
all, is still there afterwards. (Never /dev itself: nodes in a folder of the test.)"""

import os
import sqlite3
import stat

import pytest

from harness import run
from test_history import make_history, ms

BEGIN = ms("2026-10-24T22:00+00:00")


def make_fifo(path):
    os.mkfifo(path)


def make_device(path):
    """The same as /dev/null, where one may be made."""
    try:
        os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        with open(path, "wb"):
            pass
    except PermissionError:
        pytest.skip("no devices can be made here")


def make_link(path):
    """As /dev/stdout is one."""
    os.mkfifo(path.with_suffix(".pipe"))
    path.symlink_to(path.with_suffix(".pipe").name)


NODES = {"fifo": make_fifo, "device": make_device, "link": make_link}


@pytest.mark.parametrize("kind", NODES)
def test_nodes_stay(folder, kind):
    history, node = folder / "history.db", folder / "node"
    make_history(history, {1: ("house", "a")}, [(BEGIN + i * 1000, 1, 100, 1, 0) for i in range(50)])
    NODES[kind](node)
    before = os.lstat(node)
    port = folder / "no-port"
    commands = [
        ("history", "backup", "--database", history, "--output", node),
        ("history", "export", "--database", history, "--device", "house", "--format", "csv", "--output", node),
        ("history", "export", "--database", history, "--device", "house", "--format", "csv", "--output", node, "--resume"),
        ("flash", "obk-config", "build", "--output", node),
        ("flash", "obk-config", "write", "--port", port, "--timeout", 1, "--backup", node),
        ("flash", "backup", "--port", port, "--timeout", 1, "--output", node),
    ]
    for command in commands:
        result = run(*command, timeout=20)
        assert result.returncode in (2, 4), f"{command}: {result.returncode} {result.stderr}"
        assert str(node) in result.stderr, f"{command}: {result.stderr}"
        after = os.lstat(node)
        assert (after.st_ino, after.st_mode, after.st_rdev) == (before.st_ino, before.st_mode, before.st_rdev), command
    assert sorted(path.name for path in folder.iterdir() if path.name.startswith("node")) == \
        sorted(["node"] + (["node.pipe"] if kind == "link" else []))


def test_a_link_to_a_file_is_followed(folder):
    history, link, file = folder / "history.db", folder / "link", folder / "copy.db"
    make_history(history, {1: ("house", "a")}, [(BEGIN, 1, 100, 1, 0)])
    file.write_text("old")
    link.symlink_to("copy.db")
    assert run("history", "backup", "--database", history, "--output", link).returncode == 0
    assert link.is_symlink() and not file.is_symlink()
    with sqlite3.connect(file) as db:
        assert db.execute("SELECT count(*) FROM reading").fetchone() == (1,)
    db.close()
    result = run("history", "export", "--database", history, "--device", "house", "--format", "csv", "--output", link)
    assert result.returncode == 0 and link.is_symlink() and file.read_text().count("\n") == 2


def test_a_trace_is_made_anew(folder):
    """Passwords go over the line: a file that was planted under the name gets none, nor what a link leads to."""
    trace, other = folder / "trace", folder / "other"
    trace.write_text("old")
    os.chmod(trace, 0o666)
    arguments = ("flash", "probe", "--port", folder / "no-port", "--timeout", 1, "--trace", trace)
    with open(trace) as planted:
        run(*arguments, timeout=20)
        assert planted.read() == "old" and stat.S_IMODE(trace.stat().st_mode) == 0o600
    trace.unlink()
    other.write_text("mine")
    trace.symlink_to("other")
    result = run(*arguments, timeout=20)
    assert result.returncode == 2 and "symbolic link" in result.stderr and other.read_text() == "mine"


def test_a_trace_changes_no_mode(folder):
    make_device(folder / "node")
    os.chmod(folder / "node", 0o666)
    run("flash", "probe", "--port", folder / "no-port", "--timeout", 1, "--trace", folder / "node", timeout=20)
    assert stat.S_IMODE(os.stat(folder / "node").st_mode) == 0o666
