# SPDX-License-Identifier: MIT
"""A strict reader of the OpenMetrics text format, as far as counters, gauges and info go."""

import collections
import re

Family = collections.namedtuple("Family", "kind unit help samples")
SUFFIXES = {"counter": ("_total", "_created"), "gauge": ("",), "info": ("_info",)}
NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
SAMPLE = re.compile(rf"({NAME})(?:\{{(.*)\}})? (-?[0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?)$")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)')


def labels_of(text):
    labels, at = {}, 0
    while text and at < len(text):
        match = LABEL.match(text, at)
        assert match, f"not labels: {text}"
        assert match[1] not in labels, f"label {match[1]} twice"
        labels[match[1]] = match[2]
        at = match.end()
    return tuple(sorted(labels.items()))


def parse(text):
    """{family: Family}; samples is {(name, labels): value}. Fails with what is wrong."""
    assert text.endswith("# EOF\n"), "no # EOF at the end"
    families, current = {}, None
    lines = text.splitlines()
    assert lines.count("# EOF") == 1
    for line in lines[:-1]:
        if line.startswith("# "):
            _, word, name, *rest = line.split(" ", 3)
            if word == "TYPE":
                assert name not in families, f"{name} is not in one piece"
                assert rest and rest[0] in SUFFIXES, line
                current = name
                families[name] = Family(rest[0], [], [], {})
            else:
                assert name == current and word in ("UNIT", "HELP"), line
                assert not families[name].samples, f"{line}: behind its samples"
                if word == "UNIT":
                    assert name.endswith(f"_{rest[0]}"), line
                getattr(families[name], word.lower()).append(rest[0])
            continue
        match = SAMPLE.match(line)
        assert match, f"not a sample: {line}"
        family = families[current]
        assert match[1] in {current + suffix for suffix in SUFFIXES[family.kind]}, f"{match[1]} in {current}"
        key = (match[1], labels_of(match[2]))
        assert key not in family.samples, f"{key} twice"
        value = float(match[3])
        assert family.kind != "counter" or value >= 0
        family.samples[key] = value
    return families
