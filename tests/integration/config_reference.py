# SPDX-License-Identifier: MIT
"""The reference of bridge.yaml's keys, made from the program's own table (`bl2mqtt check
--print-schema`), as it stands in docs/configuration.md and docs/man/bridge.yaml.5.

    python3 tests/integration/config_reference.py --write

puts it (and schema/bridge.schema.json) there again after the table has changed."""

import json
import sys
import textwrap

from harness import ROOT, run

SCHEMA = ROOT / "schema/bridge.schema.json"
PAGES = {  # file: first and last line of what is generated
    ROOT / "docs/configuration.md": ("<!-- keys: begin -->", "<!-- keys: end -->"),
    ROOT / "docs/man/bridge.yaml.5": ('.\\" keys: begin', '.\\" keys: end'),
}


def schema_text():
    result = run("check", "--print-schema")
    assert result.returncode == 0, result.stderr
    return result.stdout


def walk(properties, path=""):
    """(title, description, [(key, schema)]) of each group, in the order of the table."""
    for key, schema in properties.items():
        where = f"{path}{key}"
        if key == "sinks":
            yield where, schema["description"], leaves(schema["items"]["properties"])
        elif key == "devices":
            yield f"{where}", schema["description"], leaves(schema["items"]["properties"])
            yield from walk(schema["items"]["properties"], "devices[].")
        elif key == "channels":
            channel = schema["additionalProperties"]["properties"]
            yield f"{where}.<name>", schema["description"], leaves(channel)
            yield from walk(channel, f"{where}.<name>.")
        elif is_list(schema):
            yield f"{where}[]", schema["description"], leaves(schema["items"]["properties"])
            yield from walk(schema["items"]["properties"], f"{where}[].")
        elif "properties" in schema:
            yield where, schema["description"], leaves(schema["properties"])
            yield from walk(schema["properties"], f"{where}.")


def leaves(properties):
    return [(key, schema) for key, schema in properties.items()
            if "properties" not in schema and not is_list(schema) and key != "channels"]


def is_list(schema):
    """One of groups, not one of a few words."""
    return "properties" in schema.get("items", {})


def plain(value):
    if isinstance(value, list):
        return f"[{', '.join(value)}]"
    return json.dumps(value) if isinstance(value, (bool, int, float)) else value


def kind(schema):
    """What may stand there, in a few words."""
    if "items" in schema:
        words = schema["items"].get("enum")
        if words is None:
            return "list of texts"
        return "list of " + ", ".join(words[:-1]) + " or " + words[-1]
    if "enum" in schema:
        words = list(dict.fromkeys(str(plain(v)) for v in schema["enum"]))
        return ", ".join(words[:-1]) + " or " + words[-1]
    if "x-range" in schema:
        low, high = schema["x-range"]
        return f"{low} to {high}" + (", or forever" if "forever" in schema["pattern"] else "")
    if "minimum" in schema:
        name = "whole number" if schema["type"] == "integer" else "number"
        unit = f" {schema['x-unit']}" if "x-unit" in schema else ""
        return f"{name}, {plain(schema['minimum'])} to {plain(schema['maximum'])}{unit}"
    if schema["type"] == "boolean":
        return "true or false"
    return f"text, at most {schema['maxLength']} characters"


def default(schema, required):
    if "default" in schema:
        return plain(schema["default"])
    if required:
        return None
    return schema.get("x-otherwise", "")


def required_keys(schema):
    """Keys that must be given: always, or with some driver."""
    device = schema["properties"]["devices"]["items"]
    keys = {f"devices.{key}": "" for key in device["required"]}
    keys |= {f"sinks.{key}": "" for key in schema["properties"]["sinks"]["items"]["required"]}
    for rule in device["allOf"]:
        driver = rule["if"]["properties"]["driver"]["const"]
        channel = rule["then"]["properties"]["channels"]["additionalProperties"]
        for key in rule["then"]["required"]:
            keys[f"devices.{key}"] = driver
        for key in channel["required"]:
            keys[f"devices[].channels.<name>.{key}"] = driver
    keys.update(required_in_lists(schema["properties"]))
    return keys


def required_in_lists(properties, path=""):
    """Those of the elements of lists other than devices."""
    keys = {}
    for key, schema in properties.items():
        if is_list(schema) and key != "devices":
            keys.update({f"{path}{key}[].{name}": "" for name in schema["items"]["required"]})
            keys.update(required_in_lists(schema["items"]["properties"], f"{path}{key}[]."))
    return keys


def entries(schema):
    """(title, description, [(key, kind, default or None if required, is it literal, meaning)])"""
    needed = required_keys(schema)
    for title, description, keys in walk(schema["properties"]):
        rows = []
        for key, leaf in keys:
            required = f"{title}.{key}" in needed
            meaning = leaf["description"]
            if "x-drivers" in leaf:
                meaning += f" Only with driver {' and '.join(leaf['x-drivers'])}."
            rows.append((key, kind(leaf), default(leaf, required), "default" in leaf, meaning))
        yield title, description, rows


def markdown(schema):
    out = []
    for title, description, rows in entries(schema):
        out += [f"### `{title}`", "", description, ""]
        if rows:
            out += ["| key | value | default | meaning |", "|---|---|---|---|"]
        for key, what, initial, literal, meaning in rows:
            shown = "**must be given**" if initial is None else f"`{initial}`" if literal else initial
            out.append(f"| `{key}` | {what} | {shown} | {meaning} |")
        out.append("")
    return "\n".join(out).rstrip("\n")


def mdoc_text(text):
    """Each sentence begins a line, lines are short, and no word looks like a request."""
    lines = []
    for sentence in text.replace("\\", "\\e").replace(". ", ".\n").split("\n"):
        lines += textwrap.wrap(sentence, 78, break_long_words=False, break_on_hyphens=False)
    return [("\\&" + line) if line[:1] in ".'" else line for line in
            (line.replace("-", "\\-") for line in lines)]


def mdoc(schema):
    out = []
    for title, description, rows in entries(schema):
        out += [f".Ss {title}", *mdoc_text(description)]
        if rows:
            out.append(".Bl -tag -width Ds")
        for key, what, initial, literal, meaning in rows:
            if initial is None:
                value = f"Value: {what}; must be given."
            else:
                value = f"Value: {what}; {'default' if literal else 'if absent'}: {initial}."
            out += [f".It Ic {key}", *mdoc_text(meaning), *mdoc_text(value)]
        if rows:
            out.append(".El")
    return "\n".join(out)


def rendered(path, schema):
    return markdown(schema) if path.suffix == ".md" else mdoc(schema)


def split(path):
    """What stands before, inside and behind the generated part."""
    begin, end = PAGES[path]
    before, rest = path.read_text().split(begin + "\n")
    inside, behind = rest.split(end + "\n")
    return before + begin + "\n", inside, end + "\n" + behind


def main():
    if sys.argv[1:] != ["--write"]:
        sys.exit(__doc__)
    text = schema_text()
    SCHEMA.write_text(text)
    for path in PAGES:
        before, _, behind = split(path)
        path.write_text(before + rendered(path, json.loads(text)) + "\n" + behind)


if __name__ == "__main__":
    main()
