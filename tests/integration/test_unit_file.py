# SPDX-License-Identifier: MIT
"""The systemd unit: how much of the machine the service can reach."""

import pathlib
import re
import shutil
import subprocess

import pytest

from harness import BINARY

UNIT = pathlib.Path(BINARY).resolve().parents[1] / "packaging/bl2mqtt.service"


def values(key):
    return [line.split("=", 1)[1] for line in UNIT.read_text().splitlines() if line.startswith(f"{key}=")]


def test_it_starts_what_was_installed():
    assert all(re.match(r"/\S+/bin/bl2mqtt --config /etc/bl2mqtt/bridge\.yaml ", line)
               for key in ("ExecStartPre", "ExecStart") for line in values(key))


def test_bounds_are_set():
    assert values("LimitCORE") == ["0"]
    assert values("MemoryMax") and values("TasksMax")
    assert not [line for line in values("DeviceAllow") if "pt" in line and "tty" not in line]


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd here")
def test_exposure():
    result = subprocess.run(["systemd-analyze", "security", "--offline=true", "--threshold=17", str(UNIT)],
                            capture_output=True, text=True)
    assert result.returncode == 0, result.stdout[-300:] + result.stderr
