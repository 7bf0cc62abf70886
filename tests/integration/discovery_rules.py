# SPDX-License-Identifier: MIT
"""What Home Assistant accepts as MQTT discovery, as far as this project uses it: required and allowed
keys, which device class goes with which unit and state class, ids, URLs, templates. Written from
Home Assistant's documentation and from how its own schemas (2024.11 to 2026.7) behave; a message that
passes here is one that all of these take.

    problems = check(topic, payload)            # [] is good
    problems = check_state(topic, payload, {state_topic: state_payload, ...})
"""

import json
import re

import jinja2

ABBREVIATIONS = {
    "avty": "availability", "avty_mode": "availability_mode", "avty_t": "availability_topic",
    "avty_tpl": "availability_template", "cmd_t": "command_topic", "cmd_tpl": "command_template",
    "cmps": "components", "def_ent_id": "default_entity_id", "dev": "device", "dev_cla": "device_class",
    "e": "encoding", "en": "enabled_by_default", "ent_cat": "entity_category", "exp_aft": "expire_after",
    "frc_upd": "force_update", "ic": "icon", "json_attr_t": "json_attributes_topic",
    "json_attr_tpl": "json_attributes_template", "lrst_val_tpl": "last_reset_value_template",
    "o": "origin", "obj_id": "object_id", "ops": "options", "p": "platform",
    "pl_avail": "payload_available", "pl_not_avail": "payload_not_available", "pl_on": "payload_on",
    "pl_off": "payload_off", "pl_prs": "payload_press", "ret": "retain", "stat_cla": "state_class",
    "stat_t": "state_topic", "sug_dsp_prc": "suggested_display_precision", "t": "topic",
    "uniq_id": "unique_id", "unit_of_meas": "unit_of_measurement", "val_tpl": "value_template",
    "cns": "connections", "cu": "configuration_url", "hw": "hw_version", "ids": "identifiers",
    "mdl": "model", "mdl_id": "model_id", "mf": "manufacturer", "sa": "suggested_area",
    "sn": "serial_number", "sw": "sw_version", "url": "support_url",
}

SHARED = {"availability", "availability_mode", "availability_topic", "availability_template",
          "payload_available", "payload_not_available", "state_topic", "command_topic", "qos", "encoding"}
ROOT = SHARED | {"device", "origin", "components"}
# model_id is only known since 2024.9, so this project does without; the checker knows it.
DEVICE = {"identifiers", "connections", "manufacturer", "model", "model_id", "name", "hw_version",
          "sw_version", "serial_number", "suggested_area", "configuration_url", "via_device"}
ORIGIN = {"name", "sw_version", "support_url"}
AVAILABILITY = {"topic", "value_template", "payload_available", "payload_not_available"}

COMMON = SHARED | {"unique_id", "default_entity_id", "object_id", "name", "icon", "entity_category",
                   "enabled_by_default", "json_attributes_topic", "json_attributes_template",
                   "device", "origin", "platform"}
PLATFORMS = {
    "sensor": COMMON | {"device_class", "state_class", "unit_of_measurement", "value_template",
                        "suggested_display_precision", "expire_after", "force_update",
                        "last_reset_value_template", "options"},
    "binary_sensor": COMMON | {"device_class", "value_template", "payload_on", "payload_off",
                               "expire_after", "force_update", "off_delay"},
    "number": COMMON | {"device_class", "unit_of_measurement", "value_template", "command_template",
                        "min", "max", "step", "mode", "optimistic", "retain", "payload_reset"},
    "button": COMMON | {"device_class", "command_template", "payload_press", "retain"},
    "select": COMMON | {"value_template", "command_template", "options", "optimistic", "retain"},
    "switch": COMMON | {"device_class", "value_template", "command_template", "payload_on", "payload_off", "state_on",
                        "state_off", "optimistic", "retain"},
    "update": COMMON | {"device_class", "value_template", "payload_install", "title", "release_url", "release_summary",
                        "entity_picture", "latest_version_topic", "latest_version_template", "retain",
                        "display_precision"},
}

MEASUREMENT, TOTALS = {"measurement"}, {"total", "total_increasing"}
class Currencies:
    def __contains__(self, unit):
        return re.fullmatch(r"[A-Z]{3}", str(unit)) is not None


SENSOR_CLASSES = {  # class -> units (None: no unit), state classes
    "voltage": ({"μV", "mV", "V", "kV", "MV"}, MEASUREMENT),
    "current": ({"μA", "mA", "A"}, MEASUREMENT),
    "power": ({"mW", "W", "kW", "MW", "GW", "TW"}, MEASUREMENT),
    "apparent_power": ({"mVA", "VA", "kVA"}, MEASUREMENT),
    "reactive_power": ({"mvar", "var", "kvar"}, MEASUREMENT),
    "power_factor": ({"%", None}, MEASUREMENT),
    "frequency": ({"mHz", "Hz", "kHz", "MHz", "GHz"}, MEASUREMENT),
    "energy": ({"J", "kJ", "MJ", "GJ", "mWh", "Wh", "kWh", "MWh", "GWh", "TWh", "cal", "kcal", "Mcal",
                "Gcal"}, TOTALS),
    "monetary": (Currencies(), {"total"}),
    "reactive_energy": ({"varh", "kvarh"}, TOTALS),
    "signal_strength": ({"dB", "dBm"}, MEASUREMENT),
    "duration": ({"d", "h", "min", "s", "ms", "μs"}, MEASUREMENT | TOTALS),
    "temperature": ({"°C", "°F", "K"}, MEASUREMENT),
    "timestamp": ({None}, set()),
    "enum": ({None}, set()),
}
BINARY_CLASSES = {"connectivity", "problem", "power", "running", "safety"}
NUMBER_CLASSES = {"duration": {"d", "h", "min", "s", "ms", "μs"}}
UPDATE_CLASSES = {"firmware"}
UPDATE_STATE = {"installed_version": str, "latest_version": str, "title": str, "release_summary": str,
                "release_url": str, "entity_picture": str, "in_progress": bool, "update_percentage": (int, float, type(None))}
BUTTON_CLASSES = {"identify", "restart", "update"}
PLATFORM_NAMES = set(PLATFORMS) | {"select", "switch", "text"}

ID = re.compile(r"[a-zA-Z0-9_-]+")
ENTITY_ID = re.compile(r"[a-z_]+\.[a-z0-9]+(_[a-z0-9]+)*")
URL = re.compile(r"https?://[^\s/]+(/\S*)?")
MODES = {"all", "any", "latest"}


def expand(value):
    """Long names for abbreviations, at every level where Home Assistant expands them. The keys under
    "components" are the bridge's own."""
    if isinstance(value, list):
        return [expand(item) for item in value]
    if not isinstance(value, dict):
        return value
    result = {}
    for key, item in value.items():
        long = ABBREVIATIONS.get(key, key)
        if long == "components" and isinstance(item, dict):
            result[long] = {name: expand(component) for name, component in item.items()}
        else:
            result[long] = expand(item)
    return result


class Checker:
    def __init__(self):
        self.problems = []

    def say(self, where, what):
        self.problems.append(f"{where}: {what}")

    def text(self, where, container, key, required=False):
        if key not in container:
            if required:
                self.say(where, f"required key not provided: {key}")
            return None
        if not isinstance(container[key], str) or not container[key]:
            self.say(where, f"{key} must be a text that is not empty")
            return None
        return container[key]

    def only(self, where, container, allowed):
        for key in sorted(set(container) - allowed):
            self.say(where, f"extra keys not allowed: {key}")

    def topic(self, where, name, topic, publish=False):
        if not isinstance(topic, str) or not topic:
            self.say(where, f"{name} must not be empty")
        elif "\0" in topic or len(topic.encode()) > 65535:
            self.say(where, f"{name} is no MQTT topic")
        elif publish and re.search(r"[+#]", topic):
            self.say(where, f"{name}: wildcards cannot be used in topic names")
        elif any("+" in level and level != "+" for level in topic.split("/")):
            self.say(where, f"{name}: a wildcard must occupy an entire level")

    def template(self, where, name, template):
        if not isinstance(template, str):
            self.say(where, f"{name} must be a text")
            return
        try:
            jinja2.Environment().parse(template)
        except jinja2.TemplateSyntaxError as error:
            self.say(where, f"invalid template in {name}: {error}")

    def shared(self, where, options):
        if "availability" in options and "availability_topic" in options:
            self.say(where, "availability and availability_topic exclude each other")
        entries = options.get("availability", [])
        if not isinstance(entries, list):
            self.say(where, "availability must be a list")
            entries = []
        for index, entry in enumerate(entries):
            place = f"{where} availability[{index}]"
            self.only(place, entry, AVAILABILITY)
            if self.text(place, entry, "topic", required=True):
                self.topic(place, "topic", entry["topic"])
            if "value_template" in entry:
                self.template(place, "value_template", entry["value_template"])
        if options.get("availability_mode", "all") not in MODES:
            self.say(where, "availability_mode must be all, any or latest")
        if options.get("qos", 0) not in (0, 1, 2):
            self.say(where, "qos must be 0, 1 or 2")
        for key, publish in (("state_topic", False), ("availability_topic", False), ("command_topic", True)):
            if key in options:
                self.topic(where, key, options[key], publish)

    def device(self, device):
        if not isinstance(device, dict):
            return self.say("device", "must be an object")
        self.only("device", device, DEVICE)
        identifiers = device.get("identifiers", [])
        identifiers = [identifiers] if isinstance(identifiers, str) else identifiers
        connections = device.get("connections", [])
        if not identifiers and not connections:
            self.say("device", "must have at least one identifying value in identifiers or connections")
        if not all(isinstance(i, str) and i for i in identifiers):
            self.say("device", "identifiers must be texts")
        for pair in connections:
            if not isinstance(pair, list) or len(pair) != 2:
                self.say("device", "each of connections must have length 2")
        self.text("device", device, "name", required=True)  # not required there, but shown to people
        if "configuration_url" in device and not URL.fullmatch(device["configuration_url"]):
            self.say("device", "invalid url: configuration_url")
        if "via_device" in device and not isinstance(device["via_device"], str):
            self.say("device", "via_device must be an identifier")

    def origin(self, origin):
        if not isinstance(origin, dict):
            return self.say("origin", "must be an object")
        self.only("origin", origin, ORIGIN)
        self.text("origin", origin, "name", required=True)
        if "support_url" in origin and not URL.fullmatch(origin["support_url"]):
            self.say("origin", "invalid url: support_url")

    def component(self, key, component, inherited):
        where = f"component {key}"
        platform = component.get("platform")
        if platform is None:
            return self.say(where, "required key not provided: platform")
        if platform not in PLATFORM_NAMES:
            return self.say(where, f"unknown platform {platform}")
        if set(component) == {"platform"}:
            return None  # "remove this component"
        options = {**{k: v for k, v in inherited.items() if k in SHARED}, **component}
        self.text(where, component, "unique_id", required=True)
        if platform not in PLATFORMS:
            return None
        # Home Assistant drops unknown keys silently: here they are mistakes.
        self.only(where, component, PLATFORMS[platform])
        self.shared(where, options)
        self.entity(where, platform, options)
        getattr(self, platform)(where, options)
        return None

    def entity(self, where, platform, options):
        category = options.get("entity_category")
        if category not in (None, "diagnostic", "config"):
            self.say(where, f"bad entity_category {category}")
        if category == "config" and platform in ("sensor", "binary_sensor"):
            self.say(where, "cannot be added as the entity category is set to config")
        if not isinstance(options.get("enabled_by_default", True), bool):
            self.say(where, "enabled_by_default: invalid boolean value")
        if "icon" in options and not re.fullmatch(r"[a-z]+:[a-z0-9-]+", str(options["icon"])):
            self.say(where, 'icons should be specified in the form "prefix:name"')
        if "name" in options and options["name"] is not None and not isinstance(options["name"], str):
            self.say(where, "name must be a text or null")
        if "default_entity_id" in options:
            entity_id = options["default_entity_id"]
            if not ENTITY_ID.fullmatch(str(entity_id)) or not entity_id.startswith(platform + "."):
                self.say(where, f"bad default_entity_id {entity_id}")
        for name in ("value_template", "command_template", "json_attributes_template"):
            if name in options:
                self.template(where, name, options[name])
        expire = options.get("expire_after", 0)
        if isinstance(expire, bool) or not isinstance(expire, (int, float)) or expire < 0:
            self.say(where, "expire_after must be at least 0")

    def sensor(self, where, options):
        if "state_topic" not in options:
            self.say(where, "required key not provided: state_topic")
        device_class = options.get("device_class")
        state_class = options.get("state_class")
        unit = options.get("unit_of_measurement")
        if unit == "":
            self.say(where, "an empty unit_of_measurement must be left out")
        if state_class not in (None, "measurement", "total", "total_increasing", "measurement_angle"):
            self.say(where, f"bad state_class {state_class}")
        if device_class is not None and device_class not in SENSOR_CLASSES:
            self.say(where, f"bad device_class {device_class}")
        elif device_class is not None:
            units, states = SENSOR_CLASSES[device_class]
            if unit not in units:
                self.say(where, f"the unit of measurement {unit} is not valid together with device class "
                                f"{device_class}")
            if state_class is not None and state_class not in states:
                self.say(where, f"state class {state_class} is impossible with device class {device_class}")
        precision = options.get("suggested_display_precision", 0)
        if not isinstance(precision, int) or precision < 0:
            self.say(where, "suggested_display_precision must be at least 0")
        if "last_reset_topic" in options:
            self.say(where, "the last_reset_topic option has been removed")
        if "last_reset_value_template" in options and state_class != "total":
            self.say(where, f"last_reset_value_template cannot be used with state class {state_class}")
        if "options" in options:
            if not options["options"]:
                self.say(where, "an empty options list is not allowed")
            if device_class != "enum":
                self.say(where, "options must be used together with device class enum")
            if state_class is not None or unit is not None:
                self.say(where, "options are not allowed together with a state class or unit")
        if device_class == "enum" and "options" not in options:
            self.say(where, "device class enum without options")

    def binary_sensor(self, where, options):
        if "state_topic" not in options:
            self.say(where, "required key not provided: state_topic")
        if options.get("device_class") not in BINARY_CLASSES | {None}:
            self.say(where, f"bad device_class {options['device_class']}")

    def number(self, where, options):
        if "command_topic" not in options:
            self.say(where, "required key not provided: command_topic")
        low, high, step = options.get("min", 1), options.get("max", 100), options.get("step", 1)
        if not low < high:
            self.say(where, "'max' must be > 'min'")
        if step < 0.001:
            self.say(where, "step must be at least 0.001")
        if options.get("mode", "auto") not in ("auto", "box", "slider"):
            self.say(where, "mode must be auto, box or slider")
        device_class = options.get("device_class")
        if device_class is not None:
            units = NUMBER_CLASSES.get(device_class)
            if units is None or options.get("unit_of_measurement") not in units:
                self.say(where, f"bad device_class {device_class} or unit")

    def select(self, where, options):
        if not options.get("options") or len(set(options["options"])) != len(options["options"]):
            self.say(where, "options must be a list of different words")
        if "command_topic" not in options:
            self.say(where, "required key not provided: command_topic")

    def switch(self, where, options):
        if "command_topic" not in options:
            self.say(where, "required key not provided: command_topic")

    def button(self, where, options):
        if "command_topic" not in options:
            self.say(where, "required key not provided: command_topic")
        if options.get("device_class") not in BUTTON_CLASSES | {None}:
            self.say(where, f"bad device_class {options['device_class']}")

    def update(self, where, options):
        if options.get("device_class") not in UPDATE_CLASSES | {None}:
            self.say(where, f"bad device_class {options['device_class']}")
        if ("command_topic" in options) != ("payload_install" in options):
            self.say(where, "an update that can be installed has a command_topic and a payload_install")

    def unique(self, components):
        seen = {}
        for key, component in components.items():
            identity = (component.get("platform"), component.get("unique_id"))
            if identity[1] is not None and identity in seen:
                self.say(f"component {key}", f"has the unique_id of {seen[identity]}")
            seen[identity] = key


def parse_topic(topic):
    """("device"|platform, id, key or None), or None for a topic Home Assistant would not read."""
    parts = topic.split("/")
    for prefix in range(1, len(parts)):
        rest = parts[prefix:]
        if rest[-1] == "config" and len(rest) in (3, 4) and rest[0] in PLATFORM_NAMES | {"device"}:
            if all(ID.fullmatch(part) for part in rest[1:-1]):
                return rest[0], rest[1], rest[2] if len(rest) == 4 else None
    return None


def check(topic, payload):
    """All problems of one discovery message; an empty payload is a removal and fine."""
    checker = Checker()
    place = parse_topic(topic)
    if place is None:
        return [f"illegal discovery topic {topic}"]
    if payload in ("", b""):
        return []
    if isinstance(payload, (str, bytes)):
        try:
            payload = json.loads(payload)
        except ValueError as error:
            return [f"unable to parse JSON: {error}"]
    if not isinstance(payload, dict):
        return ["the payload must be an object"]
    if payload == {"migrate_discovery": True}:
        return []
    payload = expand(payload)
    if place[0] == "device":
        for key in ("device", "origin", "components"):
            if key not in payload:
                checker.say("root", f"required key not provided: {key}")
        checker.only("root", payload, ROOT)
        components = payload.get("components", {})
        if not isinstance(components, dict) or not all(isinstance(c, dict) for c in components.values()):
            return [*checker.problems, "components must be an object of objects"]
        inherited = {key: value for key, value in payload.items() if key in SHARED}
        checker.shared("root", inherited)
        for key, component in components.items():
            if not ID.fullmatch(key):
                checker.say(f"component {key}", "its key is no id")
            checker.component(key, component, inherited)
        checker.unique(components)
    else:
        if "platform" in payload:
            checker.say("root", "platform stands in the topic")
        checker.component(place[2] or place[1], {**payload, "platform": place[0]}, {})
        for key in ("device", "origin"):
            if key not in payload:
                checker.say("root", f"required key not provided: {key}")
    checker.device(payload.get("device", {}))
    checker.origin(payload.get("origin", {}))
    return checker.problems


def components_of(topic, payload):
    """(key, component with everything inherited) of a discovery message."""
    payload = expand(json.loads(payload) if isinstance(payload, (str, bytes)) else payload)
    place = parse_topic(topic)
    if place[0] != "device":
        return [(place[2], {**payload, "platform": place[0]})]
    inherited = {key: value for key, value in payload.items() if key in SHARED}
    return [(key, {**inherited, **component}) for key, component in payload["components"].items()
            if set(component) != {"platform"}]


READS = re.compile(r"value_json\['([^']+)'\]")


def check_state(topic, payload, states):
    """Problems of the messages that the entities of a discovery message read: a key that is missing,
    a number that is none, a word outside the options. states: topic -> decoded JSON."""
    problems = []
    for key, component in components_of(topic, payload):
        reads = [("state_topic", component.get("state_topic"), component.get("value_template", ""))]
        reads += [("availability", entry["topic"], entry.get("value_template", ""))
                  for entry in component.get("availability", [])]
        for what, where, template in reads:
            if where is None:
                continue
            if where not in states:
                problems.append(f"{key}: nothing was published on {where} ({what})")
                continue
            for name in READS.findall(template):
                if not isinstance(states[where], dict) or name not in states[where]:
                    problems.append(f"{key}: {where} lacks {name}")
                elif what == "state_topic":
                    problems += check_value(key, component, states[where][name])
    return problems


def check_update(key, value):
    """What an update entity reads is an object of its own schema: no other keys, no null for a version."""
    if not isinstance(value, dict):
        return [f"{key}: {value!r} is no object"]
    problems = [f"{key}: extra keys not allowed: {name}" for name in set(value) - set(UPDATE_STATE)]
    problems += [f"{key}: {name} is {item!r}" for name, item in value.items()
                 if name in UPDATE_STATE and not isinstance(item, UPDATE_STATE[name])]
    percentage = value.get("update_percentage")
    if isinstance(percentage, bool) or (percentage is not None and not 0 <= percentage <= 100):
        problems.append(f"{key}: update_percentage is {percentage!r}")
    return problems


def check_value(key, component, value):
    if component["platform"] == "update":
        return check_update(key, value)
    if value is None:
        return [f"{key}: null for a binary sensor"] if component["platform"] == "binary_sensor" else []
    numeric = any(k in component for k in ("unit_of_measurement", "state_class"))
    if numeric and (isinstance(value, bool) or not isinstance(value, (int, float))):
        return [f"{key}: {value!r} is no number"]
    if "options" in component and value not in component["options"]:
        return [f"{key}: {value!r} is none of {component['options']}"]
    if component.get("device_class") == "timestamp" and not re.fullmatch(
            r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?[+-]\d\d:\d\d", str(value)):
        return [f"{key}: {value!r} is no time with its zone"]
    if component["platform"] == "binary_sensor" and "lower" in component.get("value_template", ""):
        if str(value).lower() not in (component["payload_on"], component["payload_off"]):
            return [f"{key}: {value!r} is neither on nor off"]
    return []
