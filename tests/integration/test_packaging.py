# SPDX-License-Identifier: MIT
"""What packagers look at: the versions that run, and that a program without protections is found out."""

import re
import subprocess

from harness import BINARY, ROOT


def test_version_names_the_libraries():
    own, *libraries = subprocess.run([BINARY, "--version"], capture_output=True, text=True, check=True).stdout.splitlines()
    assert re.fullmatch(r"bl2mqtt \d+\.\d+\.\d+", own)
    found = dict(re.fullmatch(r"  (\S.*?) +(\d\S*)", line).groups() for line in libraries)
    assert set(found) == {"GNU C Library", "jansson", "libcurl", "libmicrohttpd", "libserialport", "libuv", "libyaml",
                          "OpenSSL", "Paho MQTT C", "SQLite", "zlib"}
    assert found["libuv"].startswith("1.") and found["OpenSSL"].startswith("3."), found


def test_hardening_finds_what_is_missing(tmp_path):
    (tmp_path / "bare.c").write_text("int main(void) { return 0; }\n")
    subprocess.run(["cc", "-no-pie", "-fno-stack-protector", "-Wl,-z,norelro,-z,lazy,-z,execstack",
                    "-o", tmp_path / "bare", tmp_path / "bare.c"], capture_output=True, check=True)
    result = subprocess.run([ROOT / "scripts/hardening", tmp_path / "bare"], capture_output=True, text=True)
    missing = set(re.findall(r"^  NO  (.*?)(?: \(.*)?$", result.stdout, re.M))
    assert result.returncode == 1, result.stdout + result.stderr
    assert {"position independent", "read-only relocations", "no lazy binding", "stack not executable", "stack protector",
            "checked functions"} <= missing, missing
