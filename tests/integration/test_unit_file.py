# SPDX-License-Identifier: MIT
"""The systemd unit: how much of the machine the service can reach."""

import pathlib
import re
import subprocess

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


def test_meters_can_be_reached():
    """The service's user and its sandbox: serial ports, an SPI bus, the network, the notification of systemd."""
    devices = {line.split()[0] for line in values("DeviceAllow")}
    assert devices == {"char-ttyUSB", "char-ttyACM", "char-ttyAMA", "char-ttyS", "char-spi"}
    assert values("RestrictAddressFamilies") == ["AF_UNIX AF_INET AF_INET6"]
    groups = re.findall(r"^m bl2mqtt (\S+)$", (UNIT.parents[3] / "packaging/bl2mqtt.sysusers.conf").read_text(), re.M)
    assert groups == ["dialout", "spi"]


def test_exposure():
    result = subprocess.run(["systemd-analyze", "security", "--offline=true", "--threshold=15", str(UNIT)],
                            capture_output=True, text=True)
    assert result.returncode == 0, result.stdout[-300:] + result.stderr
