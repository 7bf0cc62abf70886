# SPDX-License-Identifier: MIT
"""The documentation as a web site: every page is in its navigation, every link leads somewhere, every kind of meter has a page."""

import shutil
import subprocess

from harness import ROOT


def build(script, folder):
    return subprocess.run([script, folder], capture_output=True, text=True, timeout=300)


def test_site(folder):
    result = build(ROOT / "scripts/site", folder / "site")
    assert result.returncode == 0, result.stdout + result.stderr
    version, = (path for path in (folder / "site").iterdir() if path.is_dir())
    assert f"{version.name}/index.html" in (folder / "site/index.html").read_text()
    kinds = {path.stem for path in ROOT.glob("schema/profiles/*.yaml")} | {path.stem for path in ROOT.glob("schema/mappings/*.yaml")}
    assert kinds | {"index"} == {path.stem for path in (version / "meters").glob("*.html")}
    # A second version stands beside the first, and the newest is where one lands.
    shutil.copytree(version, folder / "site/0.0.9")
    assert build(ROOT / "scripts/site", folder / "site").returncode == 0
    index = (folder / "site/index.html").read_text()
    assert f"url={version.name}/" in index and 'href="0.0.9/index.html"' in index


def test_a_dead_link_is_found(folder):
    top = folder / "copy"
    for part in ("docs", "schema", "packaging", "scripts"):
        shutil.copytree(ROOT / part, top / part)
    for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "LICENSE", "bridge.yaml", "CMakeLists.txt"):
        shutil.copy(ROOT / name, top)
    (top / "docs/web.md").write_text("# Web\n\n[gone](gone.md) [heading](mqtt.md#no-such-heading)\n")
    result = build(top / "scripts/site", folder / "site")
    assert result.returncode == 1
    assert "gone.md is not there" in result.stdout and "mqtt.html#no-such-heading has no such heading" in result.stdout
