/* SPDX-License-Identifier: MIT */
#include "bridge/config/fields.h"

#include "bridge/config/suggest.h"
#include "drivers/base/number.h"

#include <stdlib.h>
#include <string.h>

#define SECOND INT64_C(1000)
#define HOUR (3600 * SECOND)
#define DAY (24 * HOUR)
#define YEAR (365 * DAY)

#define IN_FILE(member)                                                                            \
    .scope = SCOPE_FILE, .offset = offsetof(struct config, member),                                \
    .size = sizeof(((struct config *)NULL)->member), .drivers = FOR_ALL
#define IN_DEVICE(member)                                                                          \
    .scope = SCOPE_DEVICE, .offset = offsetof(struct config_device, member),                       \
    .size = sizeof(((struct config_device *)NULL)->member)
#define IN_CHANNEL(member)                                                                         \
    .scope = SCOPE_CHANNEL, .offset = offsetof(struct config_channel, member),                     \
    .size = sizeof(((struct config_channel *)NULL)->member)
#define IN_SINK(member)                                                                            \
    .scope = SCOPE_SINK, .offset = offsetof(struct config_sink, member),                           \
    .size = sizeof(((struct config_sink *)NULL)->member), .drivers = FOR_ALL
#define IN_TARIFF(member)                                                                          \
    .scope = SCOPE_TARIFF, .offset = offsetof(struct config_tariff, member),                       \
    .size = sizeof(((struct config_tariff *)NULL)->member), .drivers = FOR_ALL
#define IN_WINDOW(member)                                                                          \
    .scope = SCOPE_WINDOW, .offset = offsetof(struct config_tariff_window, member),                \
    .size = sizeof(((struct config_tariff_window *)NULL)->member), .drivers = FOR_ALL
#define IN_ALARM(member)                                                                           \
    .scope = SCOPE_ALARM, .offset = offsetof(struct config_alarm, member),                         \
    .size = sizeof(((struct config_alarm *)NULL)->member), .drivers = FOR_ALL
#define IN_ENTITY(member)                                                                          \
    .scope = SCOPE_ENTITY, .offset = offsetof(struct config_entity, member),                       \
    .size = sizeof(((struct config_entity *)NULL)->member), .drivers = FOR_ALL
#define DEADBAND(member, of_unit, of_property)                                                     \
    IN_DEVICE(publishing.member##_micro),                                                          \
        .type = FIELD_MICRO, .low = 0, .high = 1e6, .path = "deadband." of_property,               \
        .unit = of_unit, .drivers = FOR_ALL, .reach = CONFIG_REACH_LIVE, .example = "1",           \
        .otherwise = "as usual for the property"
#define PRECISION(member, of_property)                                                             \
    IN_DEVICE(publishing.member), .type = FIELD_INTEGER, .low = 0, .high = 6,                      \
                                  .path = "precision." of_property, .drivers = FOR_ALL,            \
                                  .reach = CONFIG_REACH_LIVE, .example = "1",                      \
                                  .otherwise = "as usual for the property"
#define PRICE_MAX 100000.0
#define GROUP(of_scope) .scope = (of_scope), .type = FIELD_GROUP, .drivers = FOR_ALL

static const struct field_choice log_levels[] = {
    {"error", LOG_LEVEL_ERROR},
    {"warning", LOG_LEVEL_WARNING},
    {"info", LOG_LEVEL_INFO},
    {"debug", LOG_LEVEL_DEBUG},
    {NULL, 0},
};
static const struct field_choice mqtt_versions[] = {{"3.1.1", 4}, {"5", 5}, {NULL, 0}};
static const struct field_choice web_auths[] = {
    {"auto", WEB_AUTH_AUTO}, {"none", WEB_AUTH_NONE}, {"always", WEB_AUTH_ALWAYS}, {NULL, 0}};
static const struct field_choice web_maintenances[] = {{"protected", WEB_MAINTENANCE_PROTECTED},
                                                       {"always", WEB_MAINTENANCE_ALWAYS},
                                                       {"off", WEB_MAINTENANCE_OFF},
                                                       {NULL, 0}};
static const struct field_choice price_units[] = {
    {"kWh", PRICE_UNIT_KWH}, {"MWh", PRICE_UNIT_MWH}, {"cents", PRICE_UNIT_CENTS}, {NULL, 0}};
static const struct field_choice discoveries[] = {
    {"device", true}, {"component", false}, {NULL, 0}};
static const struct field_choice drivers[] = {
    {"bl0942", DRIVER_BL0942},
    {"openbeken", DRIVER_OPENBEKEN},
    {"esphome", DRIVER_ESPHOME},
    {"mqtt", DRIVER_MQTT},
    {"simulator", DRIVER_SIMULATOR},
    {"virtual", DRIVER_VIRTUAL},
    {NULL, 0},
};
static const struct field_choice mains_frequencies[] = {{"50", 50}, {"60", 60}, {NULL, 0}};
static const struct field_choice energy_starts[] = {{"zero", false}, {"meter", true}, {NULL, 0}};
static const struct field_choice energy_units[] = {
    {"auto", ENERGY_UNIT_AUTO}, {"Wh", ENERGY_UNIT_WH}, {"kWh", ENERGY_UNIT_KWH}, {NULL, 0}};
static const struct field_choice bauds[] = {
    {"4800", 4800}, {"9600", 9600}, {"19200", 19200}, {"38400", 38400}, {NULL, 0},
};
static const struct field_choice outputs[] = {
    {"json", OUTPUT_JSON}, {"attributes", OUTPUT_ATTRIBUTES}, {"both", OUTPUT_BOTH}, {NULL, 0}};
static const struct field_choice sink_starts[] = {{"beginning", false}, {"now", true}, {NULL, 0}};
static const struct field_choice sink_levels[] = {
    {"readings", CONFIG_SEND_READINGS},
    {"minutes", CONFIG_SEND_MINUTES},
    {"quarters", CONFIG_SEND_QUARTERS},
    {"days", CONFIG_SEND_DAYS},
    {NULL, 0},
};
static const struct field_choice loads[] = {
    {"household", 0}, {"solar", 0}, {"idle", 0}, {"constant", 0}, {NULL, 0},
};

/* In the order in which the reference and --print-defaults show them; a group before its keys. */
const struct field fields[] = {
    {GROUP(SCOPE_FILE), .path = "bridge", .meaning = "The bridge itself."},
    {IN_FILE(bridge.id), .type = FIELD_TEXT, .rule = TEXT_ID, .high = 32, .path = "bridge.id",
     .initial = "home",
     .meaning =
         "Tells several bridges on one broker apart. Ids in Home Assistant hang on it, so do "
         "not change it later."},
    {IN_FILE(bridge.data_dir), .type = FIELD_TEXT, .rule = TEXT_PATH, .high = 1024,
     .path = "bridge.data_dir", .initial = "./data",
     .meaning = "Folder for the history and the bridge's memory; relative to where bl2mqtt is "
                "started."},
    {IN_FILE(bridge.log_level), .type = FIELD_CHOICE, .choices = log_levels,
     .reach = CONFIG_REACH_LIVE, .path = "bridge.log_level", .initial = "info",
     .meaning = "How much is logged."},

    {GROUP(SCOPE_FILE), .path = "mqtt", .meaning = "The MQTT broker."},
    {IN_FILE(mqtt.server), .type = FIELD_TEXT, .rule = TEXT_SERVER, .high = 270,
     .path = "mqtt.server", .initial = "mqtt://127.0.0.1:1883",
     .meaning = "The broker; mqtts:// for TLS. The port is 1883, with TLS 8883, if none is given. "
                "An IPv6 address stands in brackets."},
    {IN_FILE(mqtt.base_topic), .type = FIELD_TEXT, .rule = TEXT_TOPIC, .high = 100,
     .path = "mqtt.base_topic", .initial = "bl2mqtt",
     .meaning = "All topics of this bridge begin with it."},
    {IN_FILE(mqtt.user), .type = FIELD_TEXT, .rule = TEXT_ANY, .high = 1024, .path = "mqtt.user",
     .example = "!secret mqtt_user", .otherwise = "no user", .secret = true,
     .meaning = "User name at the broker."},
    {IN_FILE(mqtt.password), .type = FIELD_TEXT, .rule = TEXT_ANY, .high = 1024,
     .path = "mqtt.password", .example = "!secret mqtt_password", .otherwise = "no password",
     .secret = true, .meaning = "Password at the broker; best kept in secrets.yaml."},
    {IN_FILE(mqtt.client_id), .type = FIELD_TEXT, .rule = TEXT_NAME, .high = 64,
     .path = "mqtt.client_id", .example = "bl2mqtt_home", .otherwise = "bl2mqtt_, then bridge.id",
     .meaning = "Client id at the broker; no two clients may have the same."},
    {IN_FILE(mqtt.keepalive_ms), .type = FIELD_DURATION, .low = 5 * SECOND, .high = 18 * HOUR,
     .path = "mqtt.keepalive", .initial = "60s",
     .meaning = "A dead connection is noticed after about one and a half times as long."},
    {IN_FILE(mqtt.version), .type = FIELD_CHOICE, .choices = mqtt_versions, .path = "mqtt.version",
     .initial = "3.1.1", .meaning = "The version of MQTT to speak."},
    {IN_FILE(mqtt.ca), .type = FIELD_TEXT, .rule = TEXT_PATH, .high = 1024, .path = "mqtt.ca",
     .example = "/etc/ssl/certs/my-ca.pem", .otherwise = "the system's certificates",
     .meaning = "With TLS: PEM file of the authorities that may have signed the broker's "
                "certificate."},
    {IN_FILE(mqtt.cert), .type = FIELD_TEXT, .rule = TEXT_PATH, .high = 1024, .path = "mqtt.cert",
     .example = "/etc/bl2mqtt/client.pem", .otherwise = "none",
     .meaning = "With TLS: PEM file of the certificate to show to the broker; needs mqtt.key."},
    {IN_FILE(mqtt.key), .type = FIELD_TEXT, .rule = TEXT_PATH, .high = 1024, .path = "mqtt.key",
     .example = "/etc/bl2mqtt/client.key", .otherwise = "none",
     .meaning = "With TLS: PEM file of the private key that belongs to mqtt.cert."},
    {IN_FILE(mqtt.insecure), .type = FIELD_BOOL, .path = "mqtt.insecure", .initial = "false",
     .meaning =
         "With TLS: accept any certificate. Anybody on the way can then read and change what "
         "is sent."},
    {IN_FILE(mqtt.retain), .type = FIELD_BOOL, .path = "mqtt.retain", .initial = "true",
     .meaning = "false: publish nothing as retained, for a broker that keeps no retained messages "
                "or closes the connection because of them."},

    {GROUP(SCOPE_FILE), .path = "homeassistant", .meaning = "Home Assistant's discovery."},
    {IN_FILE(homeassistant.enabled), .type = FIELD_BOOL, .path = "homeassistant.enabled",
     .initial = "true", .meaning = "Announce the devices to Home Assistant."},
    {IN_FILE(homeassistant.discovery_prefix), .type = FIELD_TEXT, .rule = TEXT_TOPIC, .high = 100,
     .path = "homeassistant.discovery_prefix", .initial = "homeassistant",
     .meaning = "Discovery topic as set in Home Assistant's MQTT integration."},
    {IN_FILE(homeassistant.status_topic), .type = FIELD_TEXT, .rule = TEXT_TOPIC, .high = 100,
     .path = "homeassistant.status_topic", .initial = "homeassistant/status",
     .meaning = "Where Home Assistant says that it has started (its birth message)."},
    {IN_FILE(homeassistant.device_discovery), .type = FIELD_CHOICE, .choices = discoveries,
     .path = "homeassistant.discovery", .initial = "device",
     .meaning = "device: one message per device, Home Assistant 2024.11 and later. component: one "
                "per entity, for older ones and for other programs that read this format."},
    {GROUP(SCOPE_FILE), .path = "homeassistant.backfill",
     .meaning = "Imports the hours of energy that Home Assistant missed into its statistics."},
    {IN_FILE(homeassistant.backfill_url), .type = FIELD_TEXT, .rule = TEXT_URL, .high = 500,
     .path = "homeassistant.backfill.url", .example = "http://homeassistant.local:8123",
     .otherwise = "nothing is imported", .meaning = "Home Assistant's address."},
    {IN_FILE(homeassistant.backfill_token), .type = FIELD_TEXT, .rule = TEXT_ANY, .high = 1024,
     .path = "homeassistant.backfill.token", .example = "!secret ha_token", .secret = true,
     .otherwise = "none", .meaning = "A long-lived access token of one of its administrators."},

    {GROUP(SCOPE_FILE), .path = "history", .meaning = "The long-term history."},
    {IN_FILE(history.path), .type = FIELD_TEXT, .rule = TEXT_PATH, .high = 1024,
     .path = "history.path", .initial = "history.db",
     .meaning = "The database's file; in bridge.data_dir unless it begins with /."},
    {IN_FILE(history.commit_interval_ms), .type = FIELD_DURATION, .low = 200, .high = 60 * SECOND,
     .path = "history.commit_interval", .initial = "5s",
     .meaning = "How often readings are written to disk; a power cut loses this much of them at "
                "most. 1m spares an SD card: totals are written every 10 s all the same."},
    {IN_FILE(history.clock_wait_ms), .type = FIELD_DURATION, .low = 0, .high = 24 * HOUR,
     .path = "history.clock_wait", .initial = "10m",
     .meaning =
         "How long after the start of this machine readings wait in memory for a clock that the "
         "network has not set yet. 0s: they are stamped with it as it stands."},
    {IN_FILE(history.time_zone), .type = FIELD_TEXT, .rule = TEXT_ZONE, .high = 100,
     .path = "history.time_zone", .initial = "system",
     .meaning = "The zone that days, months and years follow: an IANA name such as Europe/Berlin. "
                "Days are made again when it changes."},
    {GROUP(SCOPE_FILE), .path = "history.keep",
     .meaning = "How long what is kept; forever is unlimited. What is older is deleted once a day. "
                "Days are kept forever, and so energy per day, month and year stays exact."},
    {IN_FILE(history.keep_raw_ms), .type = FIELD_DURATION, .forever = true, .low = HOUR,
     .high = 100 * YEAR, .path = "history.keep.raw", .initial = "30d",
     .meaning = "Every reading as it was measured."},
    {IN_FILE(history.keep_minute_ms), .type = FIELD_DURATION, .forever = true, .low = DAY,
     .high = 100 * YEAR, .path = "history.keep.minute", .initial = "2y",
     .meaning = "Minutes: minimum, mean and maximum value, energy."},
    {IN_FILE(history.keep_hour_ms), .type = FIELD_DURATION, .forever = true, .low = DAY,
     .high = 100 * YEAR, .path = "history.keep.hour", .initial = "forever",
     .meaning = "Quarters of an hour, of which hours are aggregated; at least as long as minute."},

    {GROUP(SCOPE_FILE), .path = "history.backup",
     .meaning = "Copies of the history, made while it is written, each checked."},
    {IN_FILE(history.backup_time), .type = FIELD_TEXT, .rule = TEXT_CLOCK_OR_OFF, .high = 5,
     .path = "history.backup.time", .initial = "03:30",
     .meaning =
         "When the daily copy is made, by the local clock; a missed one is made up for. off: "
         "only on request."},
    {IN_FILE(history.backup_keep), .type = FIELD_INTEGER, .low = 1, .high = 1000,
     .path = "history.backup.keep", .initial = "7",
     .meaning = "So many copies are kept; older ones are deleted."},
    {IN_FILE(history.backup_folder), .type = FIELD_TEXT, .rule = TEXT_PATH, .high = 1024,
     .path = "history.backup.folder", .example = "/mnt/usb/bl2mqtt",
     .otherwise = "beside the history",
     .meaning =
         "Where the copies go, best to another disk; in bridge.data_dir unless it begins with /. "
         "After damage the newest sound copy is taken from there."},

    {GROUP(SCOPE_FILE), .path = "prices",
     .meaning = "Where the prices of tariffs with `dynamic` come from (docs/prices.md)."},
    {IN_FILE(prices.topic), .type = FIELD_TEXT, .rule = TEXT_TOPIC, .high = 255,
     .reach = CONFIG_REACH_LIVE, .path = "prices.topic", .example = "energy/prices",
     .otherwise = "none",
     .meaning = "The topic with intervals, each with a start and a price, as JSON."},
    {IN_FILE(prices.file), .type = FIELD_TEXT, .rule = TEXT_PATH, .high = 1024,
     .reach = CONFIG_REACH_LIVE, .path = "prices.file", .example = "prices.json",
     .otherwise = "none",
     .meaning = "A file with the same content, in bridge.data_dir unless it begins with /; it is "
                "read again when it changes."},
    {IN_FILE(prices.unit), .type = FIELD_CHOICE, .choices = price_units, .reach = CONFIG_REACH_LIVE,
     .path = "prices.unit", .initial = "kWh",
     .meaning = "What their numbers are: money for a kilowatt hour, money for a megawatt hour, or "
                "hundredths (cents) for a kilowatt hour."},

    {GROUP(SCOPE_FILE), .path = "co2",
     .meaning = "Where the CO2 intensities for `bl2mqtt history cost` come from (docs/prices.md)."},
    {IN_FILE(co2.topic), .type = FIELD_TEXT, .rule = TEXT_TOPIC, .high = 255,
     .reach = CONFIG_REACH_LIVE, .path = "co2.topic", .example = "energy/co2", .otherwise = "none",
     .meaning = "The topic with intervals, each with a start and grams of CO2 for a kilowatt hour, "
                "as JSON."},
    {IN_FILE(co2.file), .type = FIELD_TEXT, .rule = TEXT_PATH, .high = 1024,
     .reach = CONFIG_REACH_LIVE, .path = "co2.file", .example = "co2.json", .otherwise = "none",
     .meaning = "A file with the same content, in bridge.data_dir unless it begins with /; it is "
                "read again when it changes."},

    {IN_FILE(tariffs), .type = FIELD_LIST, .item_scope = SCOPE_TARIFF,
     .item_size = sizeof(struct config_tariff),
     .count_offset = offsetof(struct config, tariff_count), .item_limit = 200,
     .reach = CONFIG_REACH_LIVE, .path = "tariffs",
     .meaning =
         "What electricity costs, for `bl2mqtt history cost`, bridge/price and the costs of each "
         "device. Of several the one counts whose valid_from is the latest that has come."},

    {GROUP(SCOPE_FILE), .path = "web", .meaning = "The web page and the HTTP API."},
    {IN_FILE(web.listen), .type = FIELD_TEXT, .rule = TEXT_LISTEN, .high = 270,
     .path = "web.listen", .initial = "127.0.0.1:8942",
     .meaning =
         "Address and port to listen on; off for none. An address that other machines reach, such "
         "as 0.0.0.0, needs a password, a token or auth: none."},
    {IN_FILE(web.password), .type = FIELD_TEXT, .rule = TEXT_ANY, .high = 255,
     .path = "web.password", .example = "!secret web_password", .otherwise = "no login page",
     .secret = true, .meaning = "Password of the login page."},
    {IN_FILE(web.token), .type = FIELD_TEXT, .rule = TEXT_ANY, .high = 255, .path = "web.token",
     .example = "!secret web_token", .otherwise = "none", .secret = true,
     .meaning = "For programs: what they send as `Authorization: Bearer`. Choose a long one; "
                "`openssl rand -hex 24` makes one."},
    {IN_FILE(web.base_path), .type = FIELD_TEXT, .rule = TEXT_BASE_PATH, .high = 100,
     .path = "web.base_path", .example = "/meter", .otherwise = "everything is at /",
     .meaning = "Where everything is served behind a proxy that passes its sub-path on. Home "
                "Assistant's ingress needs none."},
    {IN_FILE(web.auth), .type = FIELD_CHOICE, .choices = web_auths, .path = "web.auth",
     .initial = "auto",
     .meaning = "auto: a login is needed unless web.listen is loopback. none: nobody needs one. "
                "always: on loopback too, for a proxy in front."},
    {IN_FILE(web.maintenance), .type = FIELD_CHOICE, .choices = web_maintenances,
     .path = "web.maintenance", .initial = "protected",
     .meaning =
         "Where backups are downloaded and restored, and modules flashed, from the web page. "
         "protected: on loopback or behind a login. always: also where auth is none, for a "
         "proxy that has done the login, such as Home Assistant's ingress. off: nowhere."},

    {GROUP(SCOPE_FILE), .path = "openbeken", .meaning = "Modules with OpenBeken firmware."},
    {IN_FILE(openbeken.images), .type = FIELD_TEXT, .rule = TEXT_PATH, .high = 1024,
     .path = "openbeken.images", .example = "/var/lib/bl2mqtt/images",
     .otherwise = "no updates are offered",
     .meaning =
         "Folder into which you put firmware packages (.rbl). The newest that fits a module is "
         "offered as an update in Home Assistant; nothing is fetched from anywhere."},
    {IN_FILE(openbeken.web_password), .type = FIELD_TEXT, .rule = TEXT_ANY, .high = 255,
     .path = "openbeken.web_password", .example = "!secret obk_web_password",
     .otherwise = "no password", .secret = true,
     .meaning = "Password of the modules' web pages, if they have one; needed for updates, and "
                "only sent to a module whose `host` is given."},

    {.scope = SCOPE_FILE,
     .type = FIELD_SINKS,
     .path = "sinks",
     .drivers = FOR_ALL,
     .meaning = "Time-series engines that get what is measured: InfluxDB, VictoriaMetrics, QuestDB "
                "and others "
                "that take Influx line protocol over HTTP. A list."},
    {.scope = SCOPE_FILE,
     .type = FIELD_DEVICES,
     .path = "devices",
     .drivers = FOR_ALL,
     .required = FOR_ALL,
     .meaning = "The meters, a list; [] while there are none but adopted ones."},

    {IN_DEVICE(id), .type = FIELD_TEXT, .rule = TEXT_ID, .high = 32, .path = "id",
     .drivers = FOR_ALL, .required = FOR_ALL, .example = "house",
     .meaning =
         "Names the device in topics, in the history and in Home Assistant's ids. Choose once, "
         "never change."},
    {IN_DEVICE(name), .type = FIELD_TEXT, .rule = TEXT_NAME, .high = 64, .reach = CONFIG_REACH_LIVE,
     .path = "name", .drivers = FOR_ALL, .example = "House meter", .otherwise = "the id",
     .meaning = "The name for people; may change at any time."},
    {IN_DEVICE(driver), .type = FIELD_CHOICE, .choices = drivers, .reach = CONFIG_REACH_SOURCE,
     .path = "driver", .drivers = FOR_ALL, .required = FOR_ALL, .example = "bl0942",
     .meaning =
         "How its readings are obtained. bl0942: chips on serial ports of this machine. "
         "openbeken: a module with OpenBeken firmware on the same broker. esphome: a module with "
         "ESPHome on the same broker. mqtt: any other meter there, by a mapping. simulator: made "
         "up, to try things out."},
    {IN_DEVICE(topic), .type = FIELD_TEXT, .rule = TEXT_TOPIC, .high = 100,
     .reach = CONFIG_REACH_SOURCE, .path = "topic",
     .drivers = FOR_OPENBEKEN | FOR_ESPHOME | FOR_MQTT,
     .required = FOR_OPENBEKEN | FOR_ESPHOME | FOR_MQTT, .example = "utilities/sensor9",
     .meaning =
         "openbeken: the module's MQTT client id, as set on its page, at most 63 "
         "characters. esphome: its topic_prefix, which is its name unless set. mqtt: what the "
         "mapping calls {base}. Slashes are allowed."},
    {IN_DEVICE(mapping), .type = FIELD_TEXT, .rule = TEXT_PATH, .high = 1024,
     .reach = CONFIG_REACH_SOURCE, .path = "mapping", .drivers = FOR_MQTT, .required = FOR_MQTT,
     .example = "zigbee2mqtt-pj1203a",
     .meaning = "How the meter's messages are read: the name of a built-in mapping (`bl2mqtt "
                "mapping list` "
                "lists them), or a file of your own, which ends with .yaml."},
    {IN_DEVICE(begin_at_source), .type = FIELD_CHOICE, .choices = energy_starts,
     .reach = CONFIG_REACH_SOURCE, .path = "energy_start", .drivers = FOR_MQTT, .initial = "zero",
     .meaning =
         "Where the totals of a channel begin when it is first seen: zero, or meter: at what "
         "the meter itself has counted so far."},
    {IN_DEVICE(energy_unit), .type = FIELD_CHOICE, .choices = energy_units,
     .reach = CONFIG_REACH_SOURCE, .path = "energy_unit", .drivers = FOR_OPENBEKEN,
     .initial = "auto",
     .meaning =
         "In what the module's energy topics count: kWh with its flag 40, else Wh. auto finds "
         "out, from the module's answers and announcements."},
    {IN_DEVICE(host), .type = FIELD_TEXT, .rule = TEXT_NAME, .high = 255,
     .reach = CONFIG_REACH_SOURCE, .path = "host", .drivers = FOR_OPENBEKEN,
     .example = "192.168.1.20", .otherwise = "as the module tells",
     .meaning = "The module's address on the network, for updates; with :port if it is not 80."},
    {IN_DEVICE(interval_ms), .type = FIELD_DURATION, .low = 50, .high = HOUR,
     .reach = CONFIG_REACH_SOURCE, .path = "interval", .drivers = FOR_BL0942 | FOR_SIMULATOR,
     .initial = "1s", .meaning = "How often a chip is read. It has a new value every 0.8 s."},
    {IN_DEVICE(report_interval_ms), .type = FIELD_DURATION, .low = 100, .high = HOUR,
     .reach = CONFIG_REACH_LIVE, .path = "report_interval", .drivers = FOR_ALL, .example = "10s",
     .otherwise = "when a value has moved",
     .meaning =
         "The state is published at this pace, changed or not. Left out, it is published when "
         "a value has moved by more than its deadband, and once a minute."},
    {IN_DEVICE(min_interval_ms), .type = FIELD_DURATION, .low = 100, .high = HOUR,
     .reach = CONFIG_REACH_LIVE, .path = "min_interval", .drivers = FOR_ALL, .example = "5s",
     .otherwise = "5s", .meaning = "The minimum time between two states of changed values."},
    {IN_DEVICE(max_interval_ms), .type = FIELD_DURATION, .low = SECOND, .high = DAY,
     .reach = CONFIG_REACH_LIVE, .path = "max_interval", .drivers = FOR_ALL, .example = "1m",
     .otherwise = "1m", .meaning = "A state is published after so long even if nothing changed."},
    {GROUP(SCOPE_DEVICE), .path = "deadband",
     .meaning = "How far a value must move before it counts as changed."},
    {DEADBAND(voltage, "V", "voltage"), .meaning = "Voltage."},
    {DEADBAND(current, "A", "current"), .meaning = "Current."},
    {DEADBAND(power, "W", "power"), .meaning = "Power, also apparent and reactive."},
    {DEADBAND(power_factor, "%", "power_factor"), .meaning = "Power factor."},
    {DEADBAND(frequency, "Hz", "ac_frequency"), .meaning = "Frequency of the mains."},
    {DEADBAND(energy, "kWh", "energy"), .meaning = "Energy."},
    {GROUP(SCOPE_DEVICE), .path = "precision", .meaning = "Decimals of the published values."},
    {PRECISION(voltage, "voltage"), .meaning = "Voltage."},
    {PRECISION(current, "current"), .meaning = "Current."},
    {PRECISION(power, "power"), .meaning = "Power, also apparent and reactive."},
    {PRECISION(power_factor, "power_factor"), .meaning = "Power factor."},
    {PRECISION(frequency, "ac_frequency"), .meaning = "Frequency of the mains."},
    {PRECISION(energy, "energy"), .meaning = "Energy."},
    {IN_DEVICE(output), .type = FIELD_CHOICE, .choices = outputs, .path = "output",
     .drivers = FOR_ALL, .reach = CONFIG_REACH_LIVE, .initial = "json",
     .meaning = "The state as one JSON object on the device's topic, each value on a topic of its "
                "own below it, or both. A value's topic is not retained. Home Assistant reads the "
                "JSON: with attributes the device is not announced."},
    {IN_DEVICE(disabled), .type = FIELD_BOOL, .path = "disabled", .drivers = FOR_ALL,
     .reach = CONFIG_REACH_SOURCE, .initial = "false",
     .meaning = "The device is not read and stands as offline; its history stays."},
    {IN_DEVICE(alarms), .type = FIELD_LIST, .item_scope = SCOPE_ALARM,
     .item_size = sizeof(struct config_alarm),
     .count_offset = offsetof(struct config_device, alarm_count), .item_limit = 32,
     .path = "alarms", .drivers = FOR_ALL,
     .meaning = "Conditions that are watched; each becomes the property `alarm_<name>`."},
    {IN_DEVICE(retain), .type = FIELD_BOOL, .reach = CONFIG_REACH_LIVE, .path = "retain",
     .drivers = FOR_ALL, .initial = "false",
     .meaning = "Let the broker keep the last state for clients that come later."},
    {GROUP(SCOPE_DEVICE), .path = "homeassistant", .shorthand = "homeassistant.enabled",
     .meaning =
         "The device in Home Assistant. `homeassistant: false` stands for `enabled: false`."},
    {IN_DEVICE(homeassistant.enabled), .type = FIELD_BOOL, .reach = CONFIG_REACH_LIVE,
     .path = "homeassistant.enabled", .drivers = FOR_ALL, .initial = "true",
     .meaning = "Announce this device to Home Assistant."},
    {IN_DEVICE(homeassistant.name), .type = FIELD_TEXT, .rule = TEXT_NAME, .high = 64,
     .reach = CONFIG_REACH_LIVE, .path = "homeassistant.name", .drivers = FOR_ALL,
     .example = "Fuse box", .otherwise = "the device's name",
     .meaning = "The device's name there."},
    {IN_DEVICE(homeassistant.exclude), .type = FIELD_TEXTS, .rule = TEXT_ID, .high = 47,
     .reach = CONFIG_REACH_LIVE, .path = "homeassistant.exclude", .drivers = FOR_ALL,
     .example = "[power_factor_a, last_seen]", .otherwise = "none",
     .meaning = "Properties that get no entity; one that has an entity loses it. The state keeps "
                "them."},
    {IN_DEVICE(homeassistant.entities), .type = FIELD_LIST, .item_scope = SCOPE_ENTITY,
     .item_size = sizeof(struct config_entity),
     .count_offset = offsetof(struct config_device, homeassistant.entity_count), .item_limit = 200,
     .reach = CONFIG_REACH_LIVE, .path = "homeassistant.entities", .drivers = FOR_ALL,
     .meaning = "What is announced otherwise of single properties."},
    {GROUP(SCOPE_DEVICE), .path = "mains",
     .meaning = "The installation, so that impossible values can be told from real ones."},
    {IN_DEVICE(mains_frequency_hz), .type = FIELD_CHOICE, .choices = mains_frequencies,
     .reach = CONFIG_REACH_SOURCE, .path = "mains.frequency", .unit = "Hz", .drivers = FOR_ALL,
     .initial = "50", .meaning = "Frequency of the mains."},
    {IN_DEVICE(mains_voltage_v), .type = FIELD_NUMBER, .low = 50, .high = 500,
     .path = "mains.voltage", .unit = "V", .drivers = FOR_ALL, .initial = "230",
     .meaning = "Nominal voltage at the meter."},
    {IN_DEVICE(max_current_a), .type = FIELD_NUMBER, .low = 0.1, .high = 5000,
     .path = "mains.max_current", .unit = "A", .drivers = FOR_ALL, .initial = "80",
     .meaning = "The maximum current possible (clamp or main fuse). Energy that would need more is "
                "not believed."},
    {GROUP(SCOPE_DEVICE), .path = "mains.events",
     .meaning = "Sags, swells and interruptions of the voltage, in percent of mains.voltage as in "
                "EN 50160; each is an event, with its depth and length."},
    {IN_DEVICE(voltage_events), .type = FIELD_BOOL, .reach = CONFIG_REACH_LIVE,
     .path = "mains.events.enabled", .drivers = FOR_READ, .initial = "true",
     .meaning = "Report them. Readings must be at most 5 s apart."},
    {IN_DEVICE(sag_milli), .type = FIELD_MILLI, .low = 10, .high = 99, .reach = CONFIG_REACH_LIVE,
     .path = "mains.events.sag", .unit = "%", .drivers = FOR_READ, .initial = "90",
     .meaning = "Below it a sag begins; it ends 2 % above."},
    {IN_DEVICE(swell_milli), .type = FIELD_MILLI, .low = 101, .high = 190,
     .reach = CONFIG_REACH_LIVE, .path = "mains.events.swell", .unit = "%", .drivers = FOR_READ,
     .initial = "110", .meaning = "Above it a swell begins; it ends 2 % below."},
    {IN_DEVICE(interruption_milli), .type = FIELD_MILLI, .low = 1, .high = 10,
     .reach = CONFIG_REACH_LIVE, .path = "mains.events.interruption", .unit = "%",
     .drivers = FOR_READ, .initial = "5", .meaning = "A sag below it is an interruption."},
    {.scope = SCOPE_DEVICE,
     .type = FIELD_CHANNELS,
     .path = "channels",
     .drivers = FOR_ALL,
     .required = FOR_ALL,
     .meaning =
         "The measured circuits by name (a-z 0-9, at most 8): a, b, ... With openbeken, a is "
         "the module's first chip and b its second one (the *_b topics). With esphome, the name "
         "is the end of the sensors' names: voltage_a, cf_a."},

    {IN_CHANNEL(label), .type = FIELD_TEXT, .rule = TEXT_NAME, .high = 32, .path = "name",
     .drivers = FOR_ALL, .reach = CONFIG_REACH_LIVE, .example = "Solar",
     .otherwise = "the channel in capitals: A, B", .meaning = "The channel's name for people."},
    {IN_CHANNEL(sum), .type = FIELD_TEXTS, .rule = TEXT_MEMBER, .high = 50, .path = "sum",
     .drivers = FOR_VIRTUAL, .required = FOR_VIRTUAL, .reach = CONFIG_REACH_SOURCE,
     .example = "[house/a, -demo/a]",
     .meaning = "The channels that are added up, each as device/channel; a minus sign subtracts."},
    {IN_CHANNEL(balance), .type = FIELD_BOOL, .path = "balance", .drivers = FOR_VIRTUAL,
     .reach = CONFIG_REACH_SOURCE, .initial = "false",
     .meaning = "Add the members with their signs first, and then tell import and export apart, as "
                "the utility's meter does over its phases."},
    {IN_CHANNEL(port), .type = FIELD_TEXT, .rule = TEXT_DEVICE, .high = 1024,
     .reach = CONFIG_REACH_SOURCE, .path = "port", .drivers = FOR_BL0942, .required = FOR_BL0942,
     .example = "/dev/serial/by-id/usb-A",
     .meaning =
         "The serial port, best by its name in /dev/serial/by-id, which stays when adapters "
         "change places. Up to four chips can share one. Over the network: tcp://host:port "
         "(raw bytes), rfc2217://host:port, or tcp-listen://:port?allow=address for a module "
         "that dials. On an SPI bus: spi:/dev/spidev0.0."},
    {IN_CHANNEL(baud), .type = FIELD_CHOICE, .choices = bauds, .reach = CONFIG_REACH_SOURCE,
     .path = "baud", .drivers = FOR_BL0942, .initial = "4800",
     .meaning = "Tried first; if the chip answers at another rate, that one is used."},
    {IN_CHANNEL(address), .type = FIELD_INTEGER, .low = 0, .high = 3, .reach = CONFIG_REACH_SOURCE,
     .path = "address", .drivers = FOR_BL0942, .initial = "0",
     .meaning = "The chip's address on the line: pins A1 and A2 of the TSSOP14L "
                "package; chips in other packages have 0."},
    {IN_CHANNEL(creep), .type = FIELD_INTEGER, .low = 0, .high = 255, .reach = CONFIG_REACH_SOURCE,
     .path = "creep", .drivers = FOR_BL0942, .example = "11", .otherwise = "the chip's own, 11",
     .meaning = "The chip's no-load threshold (register WA_CREEP): below it the chip shows neither "
                "power nor current and counts no energy. One step is about 0.04 W with the default "
                "calibration."},
    {IN_CHANNEL(load), .type = FIELD_WORD, .choices = loads, .reach = CONFIG_REACH_SOURCE,
     .path = "load", .drivers = FOR_SIMULATOR, .initial = "household",
     .meaning = "What the simulator makes up."},
    {IN_CHANNEL(invert), .type = FIELD_BOOL, .path = "invert", .drivers = FOR_READ,
     .initial = "false",
     .meaning = "The clamp sits the other way round: turns the sign of power, and energy consumed "
                "into energy produced."},
    {IN_CHANNEL(noise_floor_mw), .type = FIELD_MILLI, .low = 0, .high = 1000, .path = "noise_floor",
     .unit = "W", .drivers = FOR_READ, .initial = "0",
     .meaning = "Power smaller than this is shown as 0; energy is not touched."},
    {GROUP(SCOPE_CHANNEL), .path = "calibration",
     .meaning =
         "Factors from `bl2mqtt calibrate`. For bl0942 and simulator: raw counts per unit. For "
         "openbeken: 1000 leaves the module's own number as it is."},
    {IN_CHANNEL(calibration.voltage), .type = FIELD_NUMBER, .low = 1, .high = 1e8,
     .path = "calibration.voltage", .drivers = FOR_READ, .example = "15883.3",
     .otherwise = "15883.3 (openbeken: 1000)", .meaning = "Counts per volt."},
    {IN_CHANNEL(calibration.current), .type = FIELD_NUMBER, .low = 1, .high = 1e8,
     .path = "calibration.current", .drivers = FOR_READ, .example = "128118.9",
     .otherwise = "128118.9 (openbeken: 1000)", .meaning = "Counts per ampere."},
    {IN_CHANNEL(calibration.power), .type = FIELD_NUMBER, .low = 1, .high = 1e8,
     .path = "calibration.power", .drivers = FOR_READ, .example = "317.9",
     .otherwise = "follows from the other two (openbeken: 1000)",
     .meaning = "Counts per watt; energy follows from it."},

    {IN_SINK(id), .type = FIELD_TEXT, .rule = TEXT_ID, .high = 32, .path = "id",
     .required = FOR_ALL, .example = "influx",
     .meaning = "Names the sink; how far it has got hangs on it. Another id begins anew."},
    {IN_SINK(url), .type = FIELD_TEXT, .rule = TEXT_URL, .high = 500, .path = "url",
     .required = FOR_ALL, .example = "http://192.168.1.5:8086",
     .meaning = "The engine, with the path below which it has its /write: "
                "http://vminsert:8480/insert/0/influx for a VictoriaMetrics cluster."},
    {IN_SINK(database), .type = FIELD_TEXT, .rule = TEXT_NAME, .high = 200, .path = "database",
     .example = "meters", .otherwise = "none",
     .meaning = "InfluxDB 1: the database, which must be there. Other engines need none."},
    {IN_SINK(bucket), .type = FIELD_TEXT, .rule = TEXT_NAME, .high = 200, .path = "bucket",
     .example = "meters", .otherwise = "none; the API of version 1",
     .meaning = "InfluxDB 2: the bucket. Its API (/api/v2/write) is then used."},
    {IN_SINK(org), .type = FIELD_TEXT, .rule = TEXT_NAME, .high = 200, .path = "org",
     .example = "home", .otherwise = "none", .meaning = "InfluxDB 2: the organisation."},
    {IN_SINK(token), .type = FIELD_TEXT, .rule = TEXT_ANY, .high = 1024, .path = "token",
     .example = "!secret influx_token", .otherwise = "none", .secret = true,
     .meaning = "Sent as `Authorization: Token`; best kept in secrets.yaml."},
    {IN_SINK(user), .type = FIELD_TEXT, .rule = TEXT_ANY, .high = 1024, .path = "user",
     .example = "!secret influx_user", .otherwise = "no user", .secret = true,
     .meaning = "User name, where the engine asks for one (HTTP basic)."},
    {IN_SINK(password), .type = FIELD_TEXT, .rule = TEXT_ANY, .high = 1024, .path = "password",
     .example = "!secret influx_password", .otherwise = "no password", .secret = true,
     .meaning = "Its password; best kept in secrets.yaml."},
    {IN_SINK(send), .type = FIELD_SET, .choices = sink_levels, .path = "send",
     .initial = "[readings]",
     .meaning =
         "What it gets: every reading, and minutes, quarters of an hour and days aggregated "
         "(minimum, mean and maximum values, energy), each as soon as it is over. Minutes are a "
         "sixtieth of the readings."},
    {IN_SINK(interval_ms), .type = FIELD_DURATION, .low = SECOND, .high = HOUR, .path = "interval",
     .initial = "10s", .meaning = "How often what is new is sent."},
    {IN_SINK(batch), .type = FIELD_INTEGER, .low = 1, .high = 2000, .path = "batch",
     .initial = "2000", .meaning = "Readings, or minutes and so on, in one request at most."},
    {IN_SINK(gzip), .type = FIELD_BOOL, .path = "gzip", .initial = "true",
     .meaning =
         "Compress what is sent, to about a seventh. false for engines that cannot read it."},
    {IN_SINK(from_now), .type = FIELD_CHOICE, .choices = sink_starts, .path = "start",
     .initial = "beginning",
     .meaning = "What a new sink gets first: all that is in the history, or only what is measured "
                "from now on."},
    {IN_ALARM(name), .type = FIELD_TEXT, .rule = TEXT_ID, .high = 32, .path = "name",
     .required = FOR_ALL, .example = "overload", .meaning = "Names the alarm's property."},
    {IN_ALARM(when), .type = FIELD_TEXT, .rule = TEXT_NAME, .high = 100, .path = "when",
     .required = FOR_ALL, .example = "power_a > 7000",
     .meaning = "A property of the device, < <= > or >=, and a number."},
    {IN_ALARM(until), .type = FIELD_TEXT, .rule = TEXT_NAME, .high = 100, .path = "until",
     .example = "power_a < 6500", .otherwise = "when `when` no longer holds",
     .meaning = "Ends the alarm, so that it does not come and go at the limit."},
    {IN_ALARM(for_ms), .type = FIELD_DURATION, .low = 0, .high = DAY, .path = "for",
     .initial = "0s", .meaning = "How long the condition must hold without a break."},

    {IN_ENTITY(property), .type = FIELD_TEXT, .rule = TEXT_ID, .high = 47, .path = "property",
     .required = FOR_ALL, .example = "power_a", .meaning = "A key of the device's state."},
    {IN_ENTITY(name), .type = FIELD_TEXT, .rule = TEXT_NAME, .high = 64, .path = "name",
     .example = "Heat pump", .otherwise = "as usual for the property",
     .meaning = "The entity's name; Home Assistant puts the device's in front."},
    {IN_ENTITY(icon), .type = FIELD_TEXT, .rule = TEXT_ICON, .high = 64, .path = "icon",
     .example = "mdi:heat-pump", .otherwise = "as usual for the property",
     .meaning = "Its icon, as set:name."},
    {IN_ENTITY(enabled), .type = FIELD_BOOL, .path = "enabled", .example = "true",
     .otherwise = "as usual for the property",
     .meaning =
         "Whether it is enabled when Home Assistant first sees it; later, that is set there."},
    {IN_ENTITY(precision), .type = FIELD_INTEGER, .low = 0, .high = 6, .path = "precision",
     .example = "0", .otherwise = "as published",
     .meaning = "Decimals that Home Assistant shows; what is recorded keeps all of them."},

    {IN_TARIFF(valid_from), .type = FIELD_TEXT, .rule = TEXT_DATE, .high = 10, .path = "valid_from",
     .example = "2026-01-01", .otherwise = "it has always held",
     .meaning = "The first day on which it holds."},
    {IN_TARIFF(currency), .type = FIELD_TEXT, .rule = TEXT_CURRENCY, .high = 3, .path = "currency",
     .required = FOR_ALL, .example = "EUR",
     .meaning = "The currency's three letters; the same in all tariffs."},
    {IN_TARIFF(price_micro), .type = FIELD_MICRO, .low = -PRICE_MAX, .high = PRICE_MAX,
     .path = "price", .required = FOR_ALL, .example = "0.3125",
     .meaning = "For a kilowatt hour drawn from the grid, when no window says otherwise."},
    {IN_TARIFF(feed_in_micro), .type = FIELD_MICRO, .low = -PRICE_MAX, .high = PRICE_MAX,
     .path = "feed_in", .initial = "0", .meaning = "Earned for a kilowatt hour fed back."},
    {IN_TARIFF(dynamic), .type = FIELD_BOOL, .path = "dynamic", .initial = "false",
     .meaning =
         "The price follows `prices`: price and windows are what comes on top of it, such as "
         "grid fees and taxes."},
    {IN_TARIFF(factor_micro), .type = FIELD_MICRO, .low = 0, .high = 100000000, .path = "factor",
     .initial = "1",
     .meaning = "Multiplies the dynamic price, such as 1.19 for a tax; price does "
                "not take part."},
    {IN_TARIFF(dynamic_feed_in), .type = FIELD_BOOL, .path = "dynamic_feed_in", .initial = "false",
     .meaning = "What is fed back earns the dynamic price, plus feed_in, which may be negative."},
    {IN_TARIFF(standing_charge_micro), .type = FIELD_MICRO, .low = 0, .high = PRICE_MAX,
     .path = "standing_charge", .initial = "0", .meaning = "To be paid for each day."},
    {IN_TARIFF(windows), .type = FIELD_LIST, .item_scope = SCOPE_WINDOW,
     .item_size = sizeof(struct config_tariff_window),
     .count_offset = offsetof(struct config_tariff, window_count), .item_limit = 100,
     .path = "windows", .meaning = "Times with prices of their own; the first that fits counts."},

    {IN_WINDOW(from), .type = FIELD_TEXT, .rule = TEXT_QUARTER, .high = 5, .path = "from",
     .initial = "00:00", .meaning = "Its beginning, by the local clock."},
    {IN_WINDOW(to), .type = FIELD_TEXT, .rule = TEXT_QUARTER, .high = 5, .path = "to",
     .initial = "24:00",
     .meaning = "Its end. Earlier than from: over midnight, that is the end and the beginning of "
                "each such day."},
    {IN_WINDOW(days), .type = FIELD_TEXT, .rule = TEXT_DAYS, .high = 40, .path = "days",
     .initial = "mon-sun", .meaning = "The days of the week."},
    {IN_WINDOW(months), .type = FIELD_TEXT, .rule = TEXT_MONTHS, .high = 60, .path = "months",
     .initial = "jan-dec", .meaning = "The months, for seasons."},
    {IN_WINDOW(price_micro), .type = FIELD_MICRO, .low = -PRICE_MAX, .high = PRICE_MAX,
     .path = "price", .example = "0.2451", .otherwise = "the tariff's",
     .meaning = "For a kilowatt hour drawn from the grid."},
    {IN_WINDOW(feed_in_micro), .type = FIELD_MICRO, .low = -PRICE_MAX, .high = PRICE_MAX,
     .path = "feed_in", .example = "0.081", .otherwise = "the tariff's",
     .meaning = "Earned for a kilowatt hour fed back."},
};

const char *const channel_names_reserved[] = {"apparent", "reactive", "factor", "produced", "flow",
                                              "today",    "month",    "time",   NULL};

const size_t field_count = sizeof fields / sizeof fields[0];
