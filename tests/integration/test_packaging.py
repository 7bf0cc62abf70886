# SPDX-License-Identifier: MIT
"""What packagers look at: the versions that run, and that a program without protections is found out."""

import os
import re
import shutil
import subprocess

from harness import BINARY, ROOT


def test_version_names_the_libraries():
    own, *libraries = subprocess.run([BINARY, "--version"], capture_output=True, text=True, check=True).stdout.splitlines()
    assert re.fullmatch(r"bl2mqtt \d+\.\d+\.\d+(-\d+-g[0-9a-f]{7,}(-dirty)?)?", own)
    found = dict(re.fullmatch(r"  (\S.*?) +(\d\S*)", line).groups() for line in libraries)
    assert set(found) == {"GNU C Library", "jansson", "libcurl", "libmicrohttpd", "libserialport", "libuv", "libyaml",
                          "OpenSSL", "Paho MQTT C", "SQLite", "zlib"}
    assert found["libuv"].startswith("1.") and found["OpenSSL"].startswith("3."), found


def test_version_is_what_git_says(tmp_path):
    top = tmp_path / "tree"
    (top / "scripts").mkdir(parents=True)
    shutil.copy(ROOT / "scripts/version", top / "scripts")
    (top / "CMakeLists.txt").write_text("project(bl2mqtt VERSION 1.2.3 LANGUAGES C\n")

    def git(*args):
        subprocess.run(["git", "-c", "user.name=n", "-c", "user.email=n@localhost", "-c", "commit.gpgsign=false",
                        "-c", "tag.gpgsign=false", "-C", top, *args], capture_output=True, check=True)

    def version(*args):
        return subprocess.run([top / "scripts/version", *args], capture_output=True, text=True, check=True).stdout.strip()

    assert version() == "1.2.3", "a tarball's"
    git("init", "-q")
    git("add", "-A")
    git("commit", "-qm", "one")
    assert re.fullmatch(r"1\.2\.3-1-g[0-9a-f]{7}", version()), "before the release's tag"
    (top / "CMakeLists.txt").write_text("project(bl2mqtt VERSION 1.2.3 LANGUAGES C) # changed\n")
    assert re.fullmatch(r"1\.2\.3-1-g[0-9a-f]{7}-dirty", version())
    git("commit", "-qam", "two")
    git("tag", "-a", "-m", "release", "v1.2.3")
    assert version() == "1.2.3", "at the tag"
    git("commit", "-q", "--allow-empty", "-m", "three")
    behind = version()
    assert re.fullmatch(r"1\.2\.3-1-g[0-9a-f]{7}", behind)

    output = tmp_path / "version.c"
    version(output)
    assert f'program_version[] = "{behind}";' in output.read_text()
    os.utime(output, (1, 1))
    version(output)
    assert output.stat().st_mtime == 1, "the same version must not compile anything again"
    (top / ".version").write_text("1.2.3-7-gabcdef0\n")
    assert version() == "1.2.3-7-gabcdef0", "what scripts/package writes"
    (top / ".version").write_text('1"; system("x\n')
    assert version() == "1.2.3"


def test_package_versions_are_in_order():
    """A build before the release is older than it, one behind it is newer, and Debian 13's is newer than Debian 12's."""
    text = (ROOT / "scripts/package").read_text()
    function = re.search(r"^package_version\(\) \{.*?^\}", text, re.M | re.S).group(0)

    def package_version(version, tag):
        script = f'git() {{ echo "{tag}"; }}\n{function}\npackage_version {version}'
        return subprocess.run(["bash", "-euc", script], capture_output=True, text=True, check=True).stdout.strip()

    before, behind = "0.1.0-9-gabcdef0", "0.1.0-10-g1234567-dirty"
    ordered = [package_version(before, "") + "~deb12", package_version(before, "") + "~deb13", package_version(behind, "") + "~deb12",
               package_version("0.1.0", "v0.1.0") + "~deb12", package_version("0.1.0", "v0.1.0") + "~deb13",
               package_version(before, "v0.1.0") + "~deb12", package_version(behind, "v0.1.0") + "~deb12", "0.1.1~deb12"]
    for older, newer in zip(ordered, ordered[1:]):
        assert subprocess.run(["dpkg", "--compare-versions", older, "lt", newer]).returncode == 0, (older, newer)


def test_hardening_finds_what_is_missing(tmp_path):
    (tmp_path / "bare.c").write_text("int main(void) { return 0; }\n")
    subprocess.run(["cc", "-no-pie", "-fno-stack-protector", "-Wl,-z,norelro,-z,lazy,-z,execstack",
                    "-o", tmp_path / "bare", tmp_path / "bare.c"], capture_output=True, check=True)
    result = subprocess.run([ROOT / "scripts/hardening", tmp_path / "bare"], capture_output=True, text=True)
    missing = set(re.findall(r"^  NO  (.*?)(?: \(.*)?$", result.stdout, re.M))
    assert result.returncode == 1, result.stdout + result.stderr
    assert {"position independent", "read-only relocations", "no lazy binding", "stack not executable", "stack protector",
            "checked functions"} <= missing, missing
