# SPDX-License-Identifier: MIT
"""The worked examples of CONTRIBUTING.md: code compiles with the project's own warnings as errors, the command's rows make a
help text, the profile follows its schema."""

import json
import re
import shlex
import subprocess

import jsonschema
import pytest
import yaml

from harness import BINARY, ROOT, run

EXAMPLES = dict(re.findall(r"```\w+ file=(\S+)\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(), re.S))
CODE = sorted(name for name in EXAMPLES if name.endswith(".c"))
WARNINGS = ("-Wall -Wextra -Wconversion -Wshadow -Wformat=2 -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wundef "
            "-Werror -std=gnu17 -D_GNU_SOURCE").split()


def compiled(folder, name, *more):
    source = folder / name.rsplit("/", 1)[1]
    source.write_text(EXAMPLES[name])
    packages = subprocess.run(["pkg-config", "--cflags", "libuv", "jansson"], capture_output=True, text=True, check=True)
    result = subprocess.run(["cc", *WARNINGS, f"-I{ROOT}", *shlex.split(packages.stdout), str(source), *map(str, more)],
                            capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_there_is_one_of_each():
    assert len(CODE) == 3 and len(EXAMPLES) == 4


@pytest.mark.parametrize("name", CODE)
def test_code_compiles(folder, name):
    compiled(folder, name, "-c", "-o", folder / "example.o")


def test_named_places_exist():
    text = re.sub(r"```.*?```", "", (ROOT / "CONTRIBUTING.md").read_text(), flags=re.S)
    places = set(re.findall(r"`((?:bridge|drivers|schema|docs|tests|scripts)/[\w./-]+)`", text))
    new = {"docs/man/bl2mqtt-greet.1"}  # the examples' own
    missing = [place for place in places - new if not (ROOT / place).exists()]
    assert len(places) > 8 and not missing


def test_profile_follows_its_schema(folder):
    (name,) = [name for name in EXAMPLES if name.endswith(".yaml")]
    text = EXAMPLES[name]
    profile = yaml.safe_load(text)
    jsonschema.validate(profile, json.loads((ROOT / "schema/profile.schema.json").read_text()))
    assert name.endswith(f"/{profile['name']}.yaml")
    (folder / "plug.yaml").write_text(text)
    answer = run("profiles", folder / "plug.yaml", "--json", timeout=60)
    assert answer.returncode == 0, answer.stderr
    assert json.loads(answer.stdout)["name"] == "example-plug"
    assert BINARY
