# SPDX-License-Identifier: MIT
"""scripts/structure finds what it is there to find: each rule is broken once in a copy of the tree. And nothing of the program is
unused (scripts/unused)."""

import os
import shutil
import subprocess
import sys

import pytest

from harness import ROOT

WORD = "wit" "ness"  # in two pieces, because it would be found here, too
LAYERS = [  # a folder, what must not be included there
    ("drivers/base", "bridge/hub/hub.h"), ("drivers/bl0942", "drivers/beken/session.h"), ("bridge/meter", "bridge/web/web.h"),
    ("bridge/device", "bridge/hub/hub.h"), ("bridge/hub", "bridge/mqtt/publisher.h"), ("bridge/requests", "bridge/backfill/backfill.h"),
    ("bridge/config", "bridge/web/web.h"), ("bridge/mqtt", "bridge/web/web.h"), ("bridge/mqtt", "bridge/backfill/backfill.h"),
    ("bridge/web", "bridge/sinks/sinks.h"), ("bridge/sinks", "bridge/mqtt/publisher.h"), ("bridge/history", "bridge/web/web.h"),
    ("bridge/backfill", "bridge/sinks/sinks.h"), ("bridge/provision", "bridge/web/web.h"), ("bridge/service", "bridge/commands/command.h"),
    ("bridge/history/query", "bridge/history/writer.h"), ("bridge/history/store", "bridge/history/query/reader.h"),
    ("bridge/history/query", "bridge/history/safety/backup.h"),
]


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """(path, function that runs scripts/structure there)"""
    top = tmp_path_factory.mktemp("tree")
    for name in ("bridge", "drivers", "docs", "scripts"):
        shutil.copytree(ROOT / name, top / name)
    subprocess.run(["git", "init", "-q", top], check=True)

    def check():
        subprocess.run(["git", "-C", top, "add", "-A"], check=True)
        result = subprocess.run([sys.executable, top / "scripts/structure"], capture_output=True, text=True, check=False)
        return result.returncode, result.stdout
    assert check() == (0, "")
    return top, check


def test_folders(tree):
    top, check = tree
    files = [top / folder / f"broken_{i}.c" for i, (folder, _) in enumerate(LAYERS)]
    for file, (_, header) in zip(files, LAYERS):
        assert (ROOT / header).is_file(), header
        file.write_text(f'#include "{header}"\n')
    (top / "bridge/novel").mkdir()
    files.append(top / "bridge/novel/novel.c")
    files[-1].write_text("int novel;\n")
    code, text = check()
    for file in files:
        file.unlink()
    assert code == 1
    for i, (folder, header) in enumerate(LAYERS):
        assert f"{folder}/broken_{i}.c must not include {header}" in text
    assert "bridge/novel has no row" in text


@pytest.mark.parametrize("name, content, says", [
    ("bridge/hub/long.c", "\n" * 701, "bridge/hub/long.c has 701 lines; at most 700"),
    ("bridge/commands/long.c", "\n" * 251, "bridge/commands/long.c has 251 lines; at most 250"),
    ("bridge/hub/words.c", f"/* a {WORD} */\n", "stands 1 times; write: evidence"),
])
def test_files(tree, name, content, says):
    top, check = tree
    (top / name).write_text(content)
    code, text = check()
    (top / name).unlink()
    assert code == 1 and says in text


def test_circles(tree):
    """One of two more, although circles are allowed for now."""
    top, check = tree
    for names in (("one", "other"), ("other", "one")):
        (top / f"drivers/base/{names[0]}.h").write_text(f'#include "drivers/base/{names[1]}.h"\n')
    code, text = check()
    (top / "drivers/base/one.h").unlink()
    (top / "drivers/base/other.h").unlink()
    assert code == 1 and "drivers/base/one, drivers/base/other" in text


def test_hops(tree):
    top, check = tree
    page = top / "docs/architecture.md"
    before = page.read_text()
    page.write_text(before.replace("service_device.c:service_device_reading", "service_device.c:no_such_function"))
    code, text = check()
    page.write_text(before)
    assert code == 1 and "no_such_function" in text


def test_nothing_is_unused():
    result = subprocess.run([ROOT / "scripts/unused", os.environ["TEST_BUILD"]], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (0, "")
