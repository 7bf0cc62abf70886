# SPDX-License-Identifier: MIT
"""The table of OpenBeken's configuration in docs/obk-config.md, made from the program's own
(`bl2mqtt flash obk-config fields`).

    python3 tests/integration/obk_fields.py --write

puts it there again after the table has changed."""

import json
import sys

from harness import ROOT, run

PAGE = ROOT / "docs/obk-config.md"
BEGIN, END = "<!-- fields: begin -->", "<!-- fields: end -->"


def takes(field):
    kind, count = field["type"], field["count"]
    if kind == "text":
        return f"text, {field['longest']} bytes"
    if kind == "hex":
        return f"{field['size']} bytes"
    name = {"bits": "32 flags", "float": "float", "ipv4": "a.b.c.d"}.get(kind, kind)
    return name if count == 1 else f"{count} x {name}"


def option(field):
    name = field["name"].replace("_", "-")
    if field["environment"]:
        return f"`--{name}-file`, `{field['environment']}`"
    return f"`--{name}`"


def table():
    result = run("flash", "obk-config", "fields", "--json")
    assert result.returncode == 0, result.stderr
    lines = ["| offset | field | firmware's name | takes | option | meaning |", "|---|---|---|---|---|---|"]
    for field in json.loads(result.stdout):
        lines.append(f"| 0x{field['offset']:03X} | `{field['name']}` | {field['firmware']} | {takes(field)} | "
                     f"{option(field)} | {field['help']} |")
    return "\n".join(lines) + "\n"


def documented():
    text = PAGE.read_text()
    return text.split(BEGIN + "\n")[1].split(END)[0]


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        head, rest = PAGE.read_text().split(BEGIN + "\n")
        PAGE.write_text(head + BEGIN + "\n" + table() + END + rest.split(END)[1])
    else:
        print(table(), end="")
