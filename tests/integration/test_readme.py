# SPDX-License-Identifier: MIT
"""README's terminal blocks are what the program prints; every command of README's that starts with bl2mqtt exists."""

import re

import pytest

import terminals
from harness import run

TEXT = terminals.README.read_text()


def words(block):
    """What does not change from run to run: no numbers, no widths of columns and bars, no addresses of a module."""
    block = re.sub(r"\b(?:[0-9a-f]{2}:){5}[0-9a-f]{2}\b", "MAC", block)
    block = re.sub(r"\[#+\]", "[#]", block)
    # A module that has just been started still listens, and then nobody is asked to switch it.
    block = re.sub(r"^Waiting for the module:.*\n(for a moment.*\n)?", "", block, flags=re.M)
    block = re.sub(r"  \d+ retr(y|ies)$", "", block, flags=re.M)  # a busy machine's
    return [re.sub(r"[-+]?\d+([.:]\d+)*", "#", " ".join(line.split())) for line in block.splitlines()]


@pytest.mark.parametrize("index", range(len(terminals.SCENES)), ids=[scene.__name__ for scene in terminals.SCENES])
def test_terminal_blocks_are_what_is_printed(folder, index):
    found = terminals.blocks(TEXT)
    assert len(found) == len(terminals.SCENES)
    printed = terminals.SCENES[index](found[index], folder, quick=True)
    assert words(printed) == words(found[index]), "python3 tests/integration/terminals.py --write"


def test_commands_exist():
    code = "\n".join(re.findall(r"^ {4,}(?:sudo )?(bl2mqtt .*)$", TEXT, re.M) + re.findall(r"`(bl2mqtt [^`]*)`", TEXT)
                     + [f"bl2mqtt {name}" for block in terminals.blocks(TEXT) for name in
                        (command.removeprefix("bl2mqtt ") for command in terminals.commands(block))])
    paths = set()
    for line in code.splitlines():
        path = []
        for word in line.split()[1:]:
            if not re.fullmatch(r"[a-z-]+", word) or word.startswith("-"):
                break
            path.append(word)
        if path:
            paths.add(tuple(path))
    assert len(paths) >= 10
    for path in paths:
        assert run(*path, "--help").returncode == 0, path
