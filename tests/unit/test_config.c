/* SPDX-License-Identifier: MIT */
/* bridge/config: values and their defaults, problems and their places, environment, secrets,
   bounds. What a whole broken file looks like to people is in tests/integration/test_check.py. */
#include "bridge/config/config.h"
#include "bridge/config/defaults.h"
#include "bridge/config/fields.h"
#include "bridge/config/json.h"
#include "bridge/config/suggest.h"
#include "bridge/device/properties.h"
#include "drivers/base/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static struct config_problems problems; /* large; each test fills it anew */

#define DEVICE "devices:\n  - {id: d, driver: simulator, channels: {a: {}}}\n"

static struct config *parse_with(const char *yaml, const char *secrets, char *const *environment)
{
    return config_parse_with_secrets("t.yaml", yaml, strlen(yaml), secrets,
                                     secrets != NULL ? strlen(secrets) : 0, environment, &problems);
}

static void print_problems(void)
{
    config_problems_print(&problems, stdout);
}

static struct config *must_parse(const char *yaml, const char *secrets, char *const *environment)
{
    struct config *config = parse_with(yaml, secrets, environment);
    if (config == NULL) {
        print_problems();
        fail_msg("refused:\n%s", yaml);
    }
    return config;
}

static const struct config_problem *find(int line, int column, const char *fragment)
{
    for (size_t i = 0; i < problems.count; i++)
        if (problems.list[i].line == line && problems.list[i].column == column &&
            strstr(problems.list[i].message, fragment) != NULL)
            return &problems.list[i];
    return NULL;
}

/* Exactly one problem, at that place, with those words. */
static void must_refuse(const char *yaml, const char *secrets, char *const *environment, int line,
                        int column, const char *fragment)
{
    struct config *config = parse_with(yaml, secrets, environment);
    bool refused = config == NULL;
    config_free(config);
    if (refused && problems.count == 1 && find(line, column, fragment) != NULL)
        return;
    print_problems();
    fail_msg("wanted one error %d:%d \"%s\" for:\n%s", line, column, fragment, yaml);
}

/* A config, with exactly one warning. */
static void must_warn(const char *yaml, int line, int column, const char *fragment)
{
    struct config *config = must_parse(yaml, NULL, NULL);
    config_free(config);
    const struct config_problem *problem = find(line, column, fragment);
    if (problems.count == 1 && problem != NULL && problem->severity == CONFIG_WARNING)
        return;
    print_problems();
    fail_msg("wanted one warning %d:%d \"%s\" for:\n%s", line, column, fragment, yaml);
}

/* ---- the table ---- */

/* Whatever the table says about itself must be true: defaults and examples are values that its own
   reader takes, ranges are not empty, sentences are sentences. */
static void test_table(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < field_count; i++) {
        const struct field *field = &fields[i];
        union {
            struct config file;
            struct config_device device;
            struct config_channel channel;
            struct config_tariff tariff;
            struct config_tariff_window window;
        } target;
        memset(&target, 0, sizeof target);
        char reason[200];
        struct text hint;
        text_init(&hint, reason, sizeof reason);

        size_t length = strlen(field->meaning);
        if (length == 0 || field->meaning[length - 1] != '.')
            fail_msg("%s: the meaning is no sentence", field->path);
        if (field->drivers == 0 || (field->required & ~field->drivers) != 0)
            fail_msg("%s: drivers", field->path);
        if (!field_has_value(field))
            continue;
        const char *values[] = {field->initial, field->example};
        for (size_t v = 0; v < 2; v++) {
            if (values[v] == NULL || strncmp(values[v], "!secret ", 8) == 0)
                continue;
            if (!field_store(field, values[v], false, &target, &hint))
                fail_msg("%s: %s is not allowed: %s", field->path, values[v], reason);
        }
        fields_release(field->scope, &target);
        if (field->initial == NULL && field->example == NULL)
            fail_msg("%s has neither a default nor an example", field->path);
        if (field->initial == NULL && field->required == 0 && field->otherwise == NULL)
            fail_msg("%s: what holds if it is absent?", field->path);
        bool ranged = field->type != FIELD_BOOL && field->choices == NULL;
        if (ranged && field->low >= field->high)
            fail_msg("%s: empty range", field->path);
        const struct field *found = field_by_path(field->scope, field->path);
        assert_ptr_equal(found, field);
    }
}

/* What the table says in words about calibration's defaults is what the meter has. */
/* A set of fields of one scope is a uint64_t; the fields of a scope stand together. */
static void test_table_fits(void **unused)
{
    (void)unused;
    uint64_t seen[SCOPE_COUNT] = {0};
    for (size_t i = 0; i < field_count; i++) {
        uint64_t bit = field_bit(&fields[i]);
        assert_true(bit != 0);
        assert_true((seen[fields[i].scope] & bit) == 0);
        seen[fields[i].scope] |= bit;
    }
    for (int scope = 0; scope < SCOPE_COUNT; scope++) /* no wrap: the lowest ones, all of them */
        assert_true(seen[scope] != 0 && (seen[scope] & (seen[scope] + 1)) == 0);
}

static void test_table_calibration(void **unused)
{
    (void)unused;
    static const char *const paths[] = {"calibration.voltage", "calibration.current"};
    struct calibration chip = calibration_default(READING_BL0942);
    const double values[] = {chip.voltage, chip.current};
    for (size_t i = 0; i < 2; i++) {
        char expected[40];
        (void)snprintf(expected, sizeof expected, "%.1f (openbeken: 1000)", values[i]);
        assert_string_equal(field_by_path(SCOPE_CHANNEL, paths[i])->otherwise, expected);
    }
    assert_true(calibration_default(READING_OPENBEKEN).voltage == 1000);
}

static void test_defaults(void **unused)
{
    (void)unused;
    struct config *config =
        must_parse("devices:\n"
                   "  - {id: d, driver: bl0942, channels: {a: {port: /dev/x}}}\n"
                   "  - {id: e, driver: openbeken, topic: t/u, channels: {a: {}}}\n",
                   NULL, NULL);
    assert_int_equal(problems.count, 0);
    assert_string_equal(config->bridge.id, "home");
    assert_string_equal(config->bridge.data_dir, "./data");
    assert_int_equal(config->bridge.log_level, LOG_LEVEL_INFO);
    assert_string_equal(config->mqtt.server, "mqtt://127.0.0.1:1883");
    assert_string_equal(config->mqtt.base_topic, "bl2mqtt");
    assert_string_equal(config->mqtt.user, "");
    assert_string_equal(config->mqtt.password, "");
    assert_string_equal(config->mqtt.client_id, "");
    assert_int_equal(config->mqtt.keepalive_ms, 60000);
    assert_int_equal(config->mqtt.version, 4);
    assert_string_equal(config->mqtt.ca, "");
    assert_false(config->mqtt.insecure);
    assert_true(config->homeassistant.enabled);
    assert_true(config->homeassistant.device_discovery);
    assert_string_equal(config->homeassistant.status_topic, "homeassistant/status");
    assert_string_equal(config->history.path, "history.db");
    assert_int_equal(config->history.commit_interval_ms, 5000);
    assert_int_equal(config->history.keep_raw_ms, 30LL * 86400000);
    assert_int_equal(config->history.keep_minute_ms, 2LL * 365 * 86400000);
    assert_int_equal(config->history.keep_hour_ms, -1);
    assert_string_equal(config->web.listen, "127.0.0.1:8942");

    const struct config_device *device = &config->devices[0];
    assert_string_equal(device->name, "d");
    assert_int_equal(device->interval_ms, 1000);
    assert_int_equal(device->report_interval_ms, 0); /* changes decide */
    assert_int_equal(device->mains_frequency_hz, 50);
    assert_true(device->mains_voltage_v == 230 && device->max_current_a == 80);
    assert_false(device->retain);
    assert_true(device->homeassistant.enabled);
    assert_int_equal(device->line, 2);
    assert_int_equal(device->column, 5);
    const struct config_channel *channel = &device->channels[0];
    assert_string_equal(channel->name, "a");
    assert_int_equal(channel->baud, 4800);
    assert_int_equal(channel->address, 0);
    assert_int_equal(channel->creep, -1);
    assert_int_equal(channel->noise_floor_mw, 0);
    assert_false(channel->invert || channel->calibrated);
    struct calibration chip = calibration_default(READING_BL0942);
    assert_memory_equal(&channel->calibration, &chip, sizeof chip);
    struct calibration module = calibration_default(READING_OPENBEKEN);
    assert_memory_equal(&config->devices[1].channels[0].calibration, &module, sizeof module);
    assert_int_equal(config->devices[1].driver, DRIVER_OPENBEKEN);
    assert_string_equal(config->devices[1].topic, "t/u");
    config_free(config);
}

static void test_every_value(void **unused)
{
    (void)unused;
    struct config *config = must_parse(
        "bridge: {id: b-1, data_dir: /d, log_level: debug}\n"
        "mqtt:\n"
        "  server: mqtts://broker.lan\n"
        "  base_topic: energy/bl\n"
        "  user: 007\n"
        "  password: \"p # \\u00e4\"\n"
        "  client_id: c\n"
        "  keepalive: 2m\n"
        "  version: 5\n"
        "  ca: /ca\n"
        "  cert: /cert\n"
        "  key: /key\n"
        "  insecure: true\n"
        "homeassistant: {enabled: false, discovery_prefix: ha, status_topic: ha/s, discovery: "
        "component}\n"
        "history: {path: /h.db, commit_interval: 250ms, keep: {raw: forever, minute: forever}}\n"
        "web: {listen: off}\n"
        "devices:\n"
        "  - id: x_1\n"
        "    name: 'Zähler'\n"
        "    driver: bl0942\n"
        "    interval: 250ms\n"
        "    report_interval: 1m\n"
        "    retain: true\n"
        "    homeassistant: false\n"
        "    mains: {frequency: 60, voltage: 120.5, max_current: 1e2}\n"
        "    channels:\n"
        "      main2: {port: /dev/x, baud: 38400, address: 3, creep: 0, invert: true, noise_floor: "
        "0.5,\n"
        "              calibration: {voltage: 15000, current: 100000.5, power: 234.5}}\n",
        NULL, NULL);
    assert_string_equal(config->bridge.id, "b-1");
    assert_int_equal(config->bridge.log_level, LOG_LEVEL_DEBUG);
    assert_string_equal(config->mqtt.server, "mqtts://broker.lan:8883");
    assert_string_equal(config->mqtt.user, "007");
    assert_string_equal(config->mqtt.password, "p # \xc3\xa4");
    assert_int_equal(config->mqtt.keepalive_ms, 120000);
    assert_int_equal(config->mqtt.version, 5);
    assert_string_equal(config->mqtt.key, "/key");
    assert_true(config->mqtt.insecure);
    assert_false(config->homeassistant.enabled || config->homeassistant.device_discovery);
    assert_int_equal(config->history.keep_raw_ms, -1);
    assert_int_equal(config->history.commit_interval_ms, 250);
    assert_string_equal(config->web.listen, "off");
    const struct config_device *device = &config->devices[0];
    assert_string_equal(device->name, "Z\xc3\xa4hler");
    assert_int_equal(device->mains_frequency_hz, 60);
    assert_true(device->mains_voltage_v == 120.5 && device->max_current_a == 100);
    assert_true(device->retain && !device->homeassistant.enabled);
    const struct config_channel *channel = &device->channels[0];
    assert_string_equal(channel->name, "main2");
    assert_int_equal(channel->baud, 38400);
    assert_int_equal(channel->address, 3);
    assert_int_equal(channel->creep, 0);
    assert_int_equal(channel->noise_floor_mw, 500);
    assert_true(channel->invert && channel->calibrated);
    assert_true(channel->calibration.current == 100000.5 && channel->calibration.power == 234.5);
    config_free(config);
}

static void test_calibration_follows(void **unused)
{
    (void)unused;
    struct config *config =
        must_parse("devices:\n"
                   "  - id: d\n"
                   "    driver: bl0942\n"
                   "    channels:\n"
                   "      a: {port: /dev/x, calibration: {voltage: 15849.3, current: 251213}}\n"
                   "      b: {port: /dev/y, calibration: {current: 251213.46}}\n"
                   "  - id: e\n"
                   "    driver: openbeken\n"
                   "    topic: t\n"
                   "    channels: {a: {calibration: {voltage: 1010}}}\n",
                   NULL, NULL);
    const struct calibration *a = &config->devices[0].channels[0].calibration;
    const struct calibration *b = &config->devices[0].channels[1].calibration;
    const struct calibration *e = &config->devices[1].channels[0].calibration;
    assert_true(a->power > 622.0 && a->power < 622.1);  /* the MQ board of the application note */
    assert_true(b->power > 623.3 && b->power < 623.45); /* the reference board */
    assert_true(e->voltage == 1010 && e->power == 1000);
    assert_int_equal(problems.count, 0);
    config_free(config);
}

static void test_calibration_warning(void **unused)
{
    (void)unused;
#define CALIBRATED(driver, extra, power)                                                           \
    "devices: [{id: d, driver: " driver ", " extra "channels: {a: {calibration: {power: " power    \
    "}}}}]\n"
    must_warn(CALIBRATED("simulator", "", "325"), 1, 74, "2.2 % off");
    must_warn(CALIBRATED("simulator", "", "311"), 1, 74, "-2.2 % off");
    static const char *const fine[] = {
        CALIBRATED("simulator", "", "324"),
        CALIBRATED("simulator", "", "312"),
        CALIBRATED("openbeken", "topic: t, ", "2000"),
    };
    for (size_t i = 0; i < 3; i++) {
        config_free(must_parse(fine[i], NULL, NULL));
        assert_int_equal(problems.count, 0);
    }
}

/* ---- texts ---- */

static void test_servers(void **unused)
{
    (void)unused;
    static const struct {
        const char *text;
        const char *normal; /* NULL: refused */
    } table[] = {
        {"mqtt://h", "mqtt://h:1883"},
        {"mqtt://h/", "mqtt://h:1883"},
        {"mqtts://h", "mqtts://h:8883"},
        {"mqtt://10.0.0.1:1", "mqtt://10.0.0.1:1"},
        {"mqtt://a_b-c.d:65535", "mqtt://a_b-c.d:65535"},
        {"mqtt://[::1]", "mqtt://[::1]:1883"},
        {"mqtts://[fe80::1]:99", "mqtts://[fe80::1]:99"},
        {"", NULL},
        {"h", NULL},
        {"h:1883", NULL},
        {"mqtt:/h", NULL},
        {"mqtt://", NULL},
        {"mqtt:///", NULL},
        {"mqtt://:1883", NULL},
        {"mqtt://h:0", NULL},
        {"mqtt://h:65536", NULL},
        {"mqtt://h:", NULL},
        {"mqtt://h:1x", NULL},
        {"mqtt://u:p@h", NULL},
        {"mqtt://h/path", NULL},
        {"mqtt://::1", NULL},
        {"mqtt://[::1", NULL},
        {"mqtt://[::1]x", NULL},
        {"mqtt://[h]", NULL},
        {"mqtt://h h", NULL},
        {"MQTT://h", NULL},
        {"tcp://h", NULL},
        {"ws://h", NULL},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        char yaml[200];
        (void)snprintf(yaml, sizeof yaml, "mqtt: {server: '%s'}\n" DEVICE, table[i].text);
        struct config *config = parse_with(yaml, NULL, NULL);
        if ((config != NULL) != (table[i].normal != NULL))
            fail_msg("%s was %s", table[i].text, config != NULL ? "taken" : "refused");
        if (config != NULL)
            assert_string_equal(config->mqtt.server, table[i].normal);
        config_free(config);
    }
}

static void test_listen(void **unused)
{
    (void)unused;
    static const char *const good[] = {"off", "127.0.0.1:8942", "[::]:80", "localhost:1"};
    static const char *const bad[] = {"",    "8942", ":8942", "::1:80", "h:0",
                                      "h:x", "Off",  "[::1]", "*:80"};
    const size_t good_count = sizeof good / sizeof good[0];
    for (size_t i = 0; i < good_count + sizeof bad / sizeof bad[0]; i++) {
        const char *text = i < good_count ? good[i] : bad[i - good_count];
        char yaml[200];
        (void)snprintf(yaml, sizeof yaml, "web: {listen: '%s', auth: none}\n" DEVICE, text);
        struct config *config = parse_with(yaml, NULL, NULL);
        if ((config != NULL) != (i < good_count))
            fail_msg("listen %s", text);
        config_free(config);
    }
}

/* What others can reach must not be open by oversight. */
static void test_web_login(void **unused)
{
    (void)unused;
    static const struct {
        const char *keys;
        bool good;
    } cases[] = {
        {"listen: 127.0.0.1:1", true},
        {"listen: localhost:1", true},
        {"listen: '[::1]:1'", true},
        {"listen: 127.8.9.1:1", true},
        {"listen: 'off'", true},
        {"listen: 0.0.0.0:1", false},
        {"listen: '[::]:1'", false},
        {"listen: 192.168.1.2:1", false},
        {"listen: 127.0.0.1.example.org:1", false},
        {"listen: 0.0.0.0:1, auth: auto", false},
        {"listen: 0.0.0.0:1, auth: always", false},
        {"listen: 0.0.0.0:1, password: ''", false},
        {"listen: 0.0.0.0:1, auth: none", true},
        {"listen: 0.0.0.0:1, password: p", true},
        {"listen: 0.0.0.0:1, token: t", true},
        {"listen: 127.0.0.1:1, auth: always", false},
        {"listen: 127.0.0.1:1, auth: always, token: t", true},
        {"base_path: /meter", true},
        {"base_path: /a/b.c", true},
        {"base_path: meter", false},
        {"base_path: /meter/", false},
        {"base_path: /a//b", false},
        {"base_path: /../b", false},
        {"base_path: '/a?b'", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char yaml[200];
        (void)snprintf(yaml, sizeof yaml, "web: {%s}\n" DEVICE, cases[i].keys);
        struct config *config = parse_with(yaml, NULL, NULL);
        if ((config != NULL) != cases[i].good)
            fail_msg("%s", cases[i].keys);
        config_free(config);
    }
}

static void test_times_of_day(void **unused)
{
    (void)unused;
    static const char *const good[] = {"off", "00:00", "03:30", "23:59", "\"03:30\""};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        char yaml[200];
        (void)snprintf(yaml, sizeof yaml, "history:\n  backup: {time: %s}\n" DEVICE, good[i]);
        config_free(must_parse(yaml, NULL, NULL));
    }
    static const char *const bad[] = {"24:00", "12:60", "3:30",  "03.30", "0330",
                                      "on",    "-1:00", "03:-1", "+3:30", "03:30:00"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char yaml[200];
        (void)snprintf(yaml, sizeof yaml, "history:\n  backup: {time: %s}\n" DEVICE, bad[i]);
        must_refuse(yaml, NULL, NULL, 2, 18, "time of day");
    }
}

static void test_topics(void **unused)
{
    (void)unused;
    static const struct {
        const char *text;
        bool good;
    } table[] = {
        {"a", true},       {"a/b c/d$", true}, {"\xc3\xa4", true},  {"", false},  {"/a", false},
        {"a/", false},     {"a//b", false},    {"a/+", false},      {"#", false}, {"a+b", false},
        {"$SYS/x", false}, {"a\\tb", false},   {"a\\u0085", false}, {"/", false},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        char yaml[200];
        (void)snprintf(yaml, sizeof yaml, "mqtt: {base_topic: \"%s\"}\n" DEVICE, table[i].text);
        struct config *config = parse_with(yaml, NULL, NULL);
        if ((config != NULL) != table[i].good)
            fail_msg("topic %s", table[i].text);
        config_free(config);
    }
}

/* Lengths are counted in characters, and the longest is still allowed. */
static void test_lengths(void **unused)
{
    (void)unused;
    for (int extra = 0; extra < 2; extra++) {
        char yaml[400];
        char name[200] = "";
        for (int i = 0; i < 64 + extra; i++)
            memcpy(name + 2 * i, "\xc3\xa4", 3);
        (void)snprintf(yaml, sizeof yaml,
                       "devices:\n  - {id: %.*s, name: %s, driver: simulator, channels: {a: }}\n",
                       32, "abcdefghijklmnopqrstuvwxyz0123456789", name);
        struct config *config = parse_with(yaml, NULL, NULL);
        assert_int_equal(config != NULL, extra == 0);
        config_free(config);
    }
}

/* ---- rules between values ---- */

static void test_devices(void **unused)
{
    (void)unused;
    must_refuse("", NULL, NULL, 1, 1, "There are no devices");
    must_refuse("devices:\n", NULL, NULL, 1, 9, "There are no devices");
    struct config *none = config_parse("c", "devices: []\n", 12, NULL, &problems);
    assert_non_null(none); /* nobody writes that by accident */
    assert_int_equal(none->device_count, 0);
    assert_int_equal(problems.warnings, 1);
    assert_non_null(strstr(problems.list[0].message, "no devices yet"));
    config_free(none);
    must_refuse("devices: {d: {driver: simulator}}\n", NULL, NULL, 1, 10, "Write `- id: name`");
    must_refuse("devices: [{id: bridge, driver: simulator, channels: {a: }}]\n", NULL, NULL, 1, 16,
                "taken by the bridge");
    must_refuse("devices:\n- {id: d, driver: simulator, channels: {a: }}\n"
                "- {id: e, driver: simulator, channels: {a: }}\n"
                "- {id: d, driver: simulator, channels: {a: }}\n",
                NULL, NULL, 4, 8, "Another device has the same id; the first is at 2:8.");
    must_refuse("devices:\n- {id: d, driver: openbeken, topic: t, channels: {a: }}\n"
                "- {id: e, driver: openbeken, topic: t, channels: {a: }}\n",
                NULL, NULL, 3, 37, "the same topic; the first is at 2:37.");
    must_refuse("devices: [{id: d, driver: openbeken, topic: bl2mqtt/x, channels: {a: }}]\n", NULL,
                NULL, 1, 45, "among the bridge's own");
    config_free(must_parse(
        "devices: [{id: d, driver: openbeken, topic: bl2mqtt2/x, channels: {a: }}]\n", NULL, NULL));
}

static void test_lines(void **unused)
{
    (void)unused;
#define LINE(channels) "devices:\n- {id: d, driver: bl0942, channels: {" channels "}}\n"
    must_refuse(LINE("a: {port: /dev/x}, b: {port: /dev/x}"), NULL, NULL, 2, 67,
                "already channel a at 2:48");
    must_refuse(LINE("a: {port: /dev/x}, b: {port: /dev/x, address: 0}"), NULL, NULL, 2, 84,
                "The chip with address 0");
    must_refuse(LINE("a: {port: /dev/x}, b: {port: /dev/x, address: 1, baud: 9600}"), NULL, NULL, 2,
                93, "here it is 9600, but 4800 for channel a at 2:48");
    config_free(must_parse(LINE("a: {port: /dev/x}, b: {port: /dev/x, address: 1}, "
                                "c: {port: /dev/y, baud: 9600}"),
                           NULL, NULL));
    assert_int_equal(problems.count, 0);
    /* across devices */
    must_refuse("devices:\n- {id: d, driver: bl0942, channels: {a: {port: /dev/x}}}\n"
                "- {id: e, driver: bl0942, channels: {a: {port: /dev/x}}}\n",
                NULL, NULL, 3, 48, "already channel a at 2:48");
    must_warn(LINE("a: {port: /dev/ttyUSB0}"), 2, 48, "/dev/serial/by-id");
    must_warn(
        "devices:\n- {id: d, driver: bl0942, interval: 50ms, channels: {a: {port: /dev/x}}}\n", 2,
        64, "takes at least 53 ms");
    config_free(must_parse("devices:\n- {id: d, driver: bl0942, interval: 50ms,\n"
                           "   channels: {a: {port: /dev/x, baud: 9600}}}\n",
                           NULL, NULL));
    assert_int_equal(problems.count, 0);
}

static void test_broker_rules(void **unused)
{
    (void)unused;
    must_refuse("mqtt: {password: x}\n" DEVICE, NULL, NULL, 1, 18, "no mqtt.user");
    must_refuse("mqtt: {server: mqtts://h, cert: /c}\n" DEVICE, NULL, NULL, 1, 33,
                "needs mqtt.key");
    must_refuse("mqtt: {server: mqtts://h, key: /c}\n" DEVICE, NULL, NULL, 1, 32,
                "needs mqtt.cert");
    must_refuse("mqtt: {base_topic: homeassistant}\n" DEVICE, NULL, NULL, 1, 20, "must differ");
    must_warn("mqtt: {ca: /c}\n" DEVICE, 1, 12, "not encrypted");
    must_warn("mqtt: {server: mqtt://h:8883}\n" DEVICE, 1, 16, "should this be mqtts");
    must_warn("mqtt: {server: mqtts://h:1883}\n" DEVICE, 1, 16, "without TLS");
    must_warn("history: {keep: {minute: 7d}}\n" DEVICE, 1, 17, "Minutes are kept shorter");
    must_warn("history: {keep: {hour: 1y}}\n" DEVICE, 1, 17, "Hours are kept shorter");
}

static void test_channel_names(void **unused)
{
    (void)unused;
    static const char *const bad[] = {"A",      "a_b",      "abcdefghi", "\"\"",
                                      "factor", "produced", "flow"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char yaml[200];
        (void)snprintf(yaml, sizeof yaml,
                       "devices: [{id: d, driver: simulator, channels: {%s: }}]\n", bad[i]);
        must_refuse(yaml, NULL, NULL, 1, 49, "channel");
    }
}

/* power of a channel "factor" would be called power_factor, which is another property: whatever the
   properties' names make ambiguous is reserved. */
static void test_reserved_channel_names(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < property_count; i++) {
        size_t length = strlen(properties[i].name);
        for (size_t j = 0; j < property_count; j++) {
            const char *other = properties[j].name;
            if (strncmp(other, properties[i].name, length) != 0 || other[length] != '_' ||
                properties[i].scope == PROPERTY_DEVICE)
                continue;
            bool found = false;
            for (const char *const *name = channel_names_reserved; *name != NULL; name++)
                found = found || strcmp(*name, other + length + 1) == 0;
            if (!found && strspn(other + length + 1, "abcdefghijklmnopqrstuvwxyz0123456789") ==
                              strlen(other + length + 1))
                fail_msg("a channel \"%s\" would make %s ambiguous", other + length + 1, other);
        }
    }
}

static void test_driver_keys(void **unused)
{
    (void)unused;
    must_refuse("devices: [{topic: t, id: d, driver: simulator, channels: {a: }}]\n", NULL, NULL, 1,
                12, "devices.d.topic is only for the driver openbeken");
    must_refuse("devices: [{id: d, driver: simulator, channels: {a: {port: /dev/x}}}]\n", NULL,
                NULL, 1, 53, "only for the driver bl0942");
    must_refuse("devices: [{id: d, driver: openbeken, topic: t, interval: 1s, channels: {a: }}]\n",
                NULL, NULL, 1, 48, "bl0942 and simulator");
    /* an unknown driver is one problem, not one for each key that it might have had */
    must_refuse("devices: [{id: d, driver: x, topic: t, channels: {a: {port: /dev/ttyUSB0}}}]\n",
                NULL, NULL, 1, 27,
                "must be bl0942, openbeken, esphome, mqtt, simulator or virtual");
    must_refuse("devices: [{id: d, channels: {a: {port: /dev/x}}}]\n", NULL, NULL, 1, 11,
                "devices.d.driver is missing");
}

/* ---- environment ---- */

static void test_environment(void **unused)
{
    (void)unused;
    char *const environment[] = {
        "PATH=/bin",
        "BL2MQTT_MQTT__SERVER=mqtt://other",
        "BL2MQTT_HISTORY__KEEP__RAW=7d",
        "BL2MQTT_BRIDGE__DATA_DIR=/a=b",
        "BL2MQTT_DEVICES__MY_HOUSE__NAME=Other",
        "BL2MQTT_DEVICES__MY_HOUSE__MAINS__MAX_CURRENT=25",
        "BL2MQTT_DEVICES__MY_HOUSE__CHANNELS__B__INVERT=true",
        "BL2MQTT_DEVICES__MY_HOUSE__CHANNELS__A__CALIBRATION__VOLTAGE=15000",
        "BL2MQTT_DEVICES__A__B__NAME=longest id wins",
        "BL2MQTT_SINKS__ONE__SEND=days, minutes",
        "BL2MQTT_SINKS__TWO__SEND=[quarters]",
        NULL,
    };
    struct config *config =
        must_parse("mqtt: {server: this is never looked at, user: !secret nor_this}\n"
                   "history:\n"
                   "sinks:\n"
                   "- {id: one, url: 'http://h', send: [readings]}\n"
                   "- {id: two, url: 'http://h'}\n"
                   "- {id: three, url: 'http://h', send: [readings, days]}\n"
                   "- {id: four, url: 'http://h'}\n"
                   "devices:\n"
                   "- {id: my-house, driver: simulator, channels: {a: , b: {invert: false}}}\n"
                   "- {id: a__b, driver: simulator, channels: {a: }}\n"
                   "- {id: a, driver: simulator, channels: {a: }}\n",
                   "nor_this: u\n", environment);
    assert_int_equal(problems.count, 0);
    assert_string_equal(config->mqtt.server, "mqtt://other:1883");
    assert_string_equal(config->bridge.data_dir, "/a=b");
    assert_int_equal(config->history.keep_raw_ms, 7 * 86400000LL);
    assert_string_equal(config->devices[0].name, "Other");
    assert_true(config->devices[0].max_current_a == 25);
    assert_true(config->devices[0].channels[1].invert);
    assert_true(config->devices[0].channels[0].calibration.voltage == 15000);
    assert_string_equal(config->devices[1].name, "longest id wins");
    assert_string_equal(config->devices[2].name, "a");
    assert_int_equal(config->sinks[0].send, CONFIG_SEND_DAYS | CONFIG_SEND_MINUTES);
    assert_int_equal(config->sinks[1].send, CONFIG_SEND_QUARTERS);
    assert_int_equal(config->sinks[2].send, CONFIG_SEND_READINGS | CONFIG_SEND_DAYS);
    assert_int_equal(config->sinks[3].send, CONFIG_SEND_READINGS);
    config_free(config);
}

static void test_environment_alone(void **unused)
{
    (void)unused;
    /* an override can repair a broken value and stand in for a missing secret */
    char *const environment[] = {"BL2MQTT_MQTT__USER=u", "BL2MQTT_MQTT__PASSWORD=p", NULL};
    struct config *config =
        must_parse("mqtt: {user: [1], password: !secret x}\n" DEVICE, NULL, environment);
    assert_string_equal(config->mqtt.password, "p");
    config_free(config);
}

static void test_environment_problems(void **unused)
{
    (void)unused;
    static const struct {
        const char *variable;
        const char *fragment;
    } table[] = {
        {"BL2MQTT_MQTT_SERVER=x", "Did you mean BL2MQTT_MQTT__SERVER?"},
        {"BL2MQTT_FOO=x", "names no key"},
        {"BL2MQTT_=x", "names no key"},
        {"BL2MQTT_mqtt__server=x", "names no key"},
        {"BL2MQTT_MQTT=x", "names no key"},
        {"BL2MQTT_DEVICES=x", "names no key"},
        {"BL2MQTT_MQTT__KEEPALIVE=60", "A number needs its unit"},
        {"BL2MQTT_MQTT__SERVER=", "must not be empty"},
        {"BL2MQTT_MQTT__CLIENT_ID=\xff", "not UTF-8"},
        {"BL2MQTT_DEVICES__X__NAME=x", "names no device"},
        {"BL2MQTT_DEVICES__D__NAM=x", "Did you mean BL2MQTT_DEVICES__D__NAME?"},
        {"BL2MQTT_DEVICES__D__CHANNELS__B__INVERT=true", "names no channel"},
        {"BL2MQTT_DEVICES__D__CHANNELS__A__INVRT=true",
         "Did you mean BL2MQTT_DEVICES__D__CHANNELS__A__INVERT?"},
        {"BL2MQTT_DEVICES__E_F__NAME=x", "two different devices"},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        char *const environment[] = {memory_copy_text(table[i].variable), NULL};
        struct config *config =
            parse_with(DEVICE "  - {id: e-f, driver: simulator, channels: {a: }}\n"
                              "  - {id: e_f, driver: simulator, channels: {a: }}\n",
                       NULL, environment);
        assert_null(config);
        size_t name = strcspn(environment[0], "=");
        if (problems.count != 1 || find(0, 0, table[i].fragment) == NULL ||
            strncmp(problems.list[0].file, environment[0], name) != 0) {
            print_problems();
            fail_msg("%s", table[i].variable);
        }
        free(environment[0]);
    }
    /* a group in whose place the file has something else is the file's problem alone */
    char *const environment[] = {"BL2MQTT_MQTT__SERVER=mqtt://x", NULL};
    must_refuse("mqtt: 3\n" DEVICE, NULL, environment, 1, 7, "mqtt is \"3\"");
}

/* ---- secrets ---- */

static void test_secrets(void **unused)
{
    (void)unused;
    const char *yaml =
        "mqtt: {user: !secret u, password: !secret p, keepalive: !secret k}\n" DEVICE;
    struct config *config = must_parse(yaml, "u: me\np: \"#1\"\nk: 30s\nunused: [1]\n", NULL);
    assert_string_equal(config->mqtt.user, "me");
    assert_string_equal(config->mqtt.password, "#1");
    assert_int_equal(config->mqtt.keepalive_ms, 30000);
    config_free(config);

    /* quotes in secrets.yaml make a text, as they do in bridge.yaml */
    const char *number =
        "devices: [{id: d, driver: bl0942, channels: {a: {port: /dev/x, address: !secret n}}}]\n";
    config = must_parse(number, "n: 3\n", NULL);
    assert_int_equal(config->devices[0].channels[0].address, 3);
    config_free(config);
    must_refuse(number, "n: '3'\n", NULL, 1, 73, "address cannot be what it is");

    const char *one = "mqtt: {user: !secret name}\n" DEVICE;
    must_refuse(one, NULL, NULL, 1, 14, "There is no secrets.yaml");
    must_refuse(one, "", NULL, 1, 14, "has no secret \"name\"");
    must_refuse(one, "nam: x\n", NULL, 1, 14, "did you mean \"nam\"?");
    must_refuse(one, "name:\n", NULL, 1, 6, "A secret must be one text");
    must_refuse(one, "name: !secret other\nother: x\n", NULL, 1, 7, "A secret must be one text");
    must_refuse(one, "- x\n", NULL, 1, 1, "must consist of lines");
    must_refuse(one, "name: x\nname: y\n", NULL, 2, 1, "second time");
    must_refuse(one, "name: 'x\n", NULL, 1, 7, "never closed");
    must_refuse("mqtt: {user: !secret }\n" DEVICE, "a: b\n", NULL, 1, 14, "has no secret \"\"");
    must_refuse("mqtt: {!secret a : b}\n" DEVICE, "a: b\n", NULL, 1, 8, "A key cannot come from");
}

/* A value from secrets.yaml, a password, or an address with a password in it are not repeated. */
static void test_secrets_stay_secret(void **unused)
{
    (void)unused;
    char *const environment[] = {"BL2MQTT_MQTT__PASSWORD=hunter2\x01", NULL};
    static const char *const yamls[] = {
        "mqtt: {server: !secret s}\n" DEVICE,
        "mqtt: {password: [hunter2]}\n" DEVICE,
        "mqtt: {password: \"hunter2\\n\"}\n" DEVICE,
        "bridge: {log_level: !secret s}\n" DEVICE,
        "mqtt: {version: !secret s}\n" DEVICE,
        "devices: [{id: !secret s, driver: simulator, channels: {a: }}]\n",
        "devices:\n- {id: !secret i, driver: simulator, channels: {a: }}\n"
        "- {id: !secret i, driver: simulator, channels: {a: }}\n",
        DEVICE,
    };
    for (size_t i = 0; i < sizeof yamls / sizeof yamls[0]; i++) {
        bool last = i + 1 == sizeof yamls / sizeof yamls[0];
        assert_null(parse_with(yamls[i], "s: hunter2 @\ni: hunter2\n", last ? environment : NULL));
        assert_true(problems.count > 0);
        for (size_t p = 0; p < problems.count; p++)
            if (strstr(problems.list[p].message, "hunter2") != NULL)
                fail_msg("shown: %s", problems.list[p].message);
    }
}

static void test_server_with_password(void **unused)
{
    (void)unused;
    assert_null(parse_with("mqtt: {server: 'mqtt://me:hunter2@host'}\n" DEVICE, NULL, NULL));
    assert_non_null(find(1, 16, "User and password go into"));
    assert_null(strstr(problems.list[0].message, "hunter2"));
}

/* ---- the list of problems ---- */

static void test_many_problems(void **unused)
{
    (void)unused;
    /* 150 warnings first, then 150 errors: all errors are counted, and they displace warnings */
    char *yaml = memory_new(1, 100000);
    struct text text;
    text_init(&text, yaml, 100000);
    text_append(&text, "devices:\n");
    for (int i = 0; i < 150; i++)
        text_append(&text, "- {id: d%d, driver: bl0942, channels: {a: {port: /dev/ttyUSB%d}}}\n", i,
                    i);
    config_free(must_parse(yaml, NULL, NULL));
    assert_int_equal(problems.count, CONFIG_PROBLEMS_MAX);
    assert_int_equal(problems.more, 50);
    assert_int_equal(problems.warnings, 150);
    for (int i = 0; i < 30; i++)
        text_append(&text, "- {id: d0, driver: bl0942, channels: {a: {port: /dev/x%d}}}\n", i);
    assert_null(parse_with(yaml, NULL, NULL));
    assert_int_equal(problems.errors, 30);
    size_t errors = 0;
    for (size_t i = 0; i < problems.count; i++) {
        errors += problems.list[i].severity == CONFIG_ERROR;
        if (i > 0)
            assert_true(problems.list[i].line >= problems.list[i - 1].line);
    }
    assert_int_equal(errors, 30);
    assert_int_equal(problems.count + problems.more, 180);
    free(yaml);
}

/* An error that is found when the list is full of warnings is listed all the same. */
static void test_late_error(void **unused)
{
    (void)unused;
    char *yaml = memory_new(1, 100000);
    struct text text;
    text_init(&text, yaml, 100000);
    text_append(&text, "mqtt: {password: x}\ndevices:\n");
    for (int i = 0; i < 150; i++)
        text_append(
            &text, "- {id: d%d, driver: simulator, channels: {a: {calibration: {power: 1}}}}\n", i);
    assert_null(parse_with(yaml, NULL, NULL));
    assert_int_equal(problems.errors, 1);
    assert_int_equal(problems.count, CONFIG_PROBLEMS_MAX);
    assert_int_equal(problems.more, 51);
    assert_non_null(find(1, 18, "no mqtt.user"));
    free(yaml);
}

/* Nothing from the input can forge a line or move a terminal's cursor. */
static void test_messages_are_printable(void **unused)
{
    (void)unused;
    static const char *const yamls[] = {
        "\"a\\nb\\e[31m\": 1\n" DEVICE,
        "bridge: {id: \"a\\rb\\u009b31m\\u2028\"}\n" DEVICE,
        "devices: [{id: \"x\\ny\", driver: \"\\a\", channels: {\"\\n\": }}]\n",
        "bridge: {log_level: "
        "\"\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4"
        "\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4"
        "\xc3\xa4"
        "\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4"
        "\xc3\xa4"
        "\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\"}"
        "\n" DEVICE,
    };
    for (size_t i = 0; i < sizeof yamls / sizeof yamls[0]; i++) {
        assert_null(parse_with(yamls[i], NULL, NULL));
        assert_true(problems.count > 0);
        for (size_t p = 0; p < problems.count; p++) {
            const char *message = problems.list[p].message;
            for (const char *c = message; *c != '\0'; c++)
                if ((unsigned char)*c < 0x20 || *c == 0x7f)
                    fail_msg("control character in: %s", message);
            json_t *json = json_string(message); /* NULL unless it is UTF-8 */
            assert_non_null(json);
            json_decref(json);
        }
    }
}

static void test_suggestions(void **unused)
{
    (void)unused;
    static const struct {
        const char *word, *candidate;
        bool close;
    } table[] = {
        {"servr", "server", true},
        {"sevrer", "server", true},
        {"Server", "server", true},
        {"data-dir", "data_dir", true},
        {"base_topic", "base_topics", true},
        {"id", "ids", true},
        {"a", "b", false},
        {"x", "id", false},
        {"foo", "web", false},
        {"", "id", false},
        {"mqtt", "mqtt", true},
        {"logging", "log_level", false},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct suggestion suggestion = {.word = table[i].word};
        suggestion_offer(&suggestion, table[i].candidate);
        if ((suggestion.best != NULL) != table[i].close)
            fail_msg("%s / %s", table[i].word, table[i].candidate);
    }
    struct suggestion suggestion = {.word = "intervall"};
    suggestion_offer(&suggestion, "report_interval");
    suggestion_offer(&suggestion, "interval");
    suggestion_offer(&suggestion, "intervals");
    assert_string_equal(suggestion.best, "interval");
}

/* ---- JSON ---- */

static void test_json_redacts(void **unused)
{
    (void)unused;
    struct config *config =
        must_parse("mqtt: {user: visible, password: hunter2, base_topic: !secret t}\n"
                   "devices: [{id: d, name: !secret n, driver: simulator, channels: {a: {load: "
                   "!secret l}}}]\n",
                   "t: hidden1\nn: hidden2\nl: solar\n", NULL);
    json_t *json = config_to_json(config, true);
    char *text = json_dumps(json, 0);
    static const char *const hidden[] = {"visible", "hunter2", "hidden1", "hidden2", "solar"};
    for (size_t i = 0; i < sizeof hidden / sizeof hidden[0]; i++)
        if (strstr(text, hidden[i]) != NULL)
            fail_msg("%s is in %s", hidden[i], text);
    assert_true(json_is_null(json_object_get(json_object_get(json, "mqtt"), "ca")));
    free(text);
    json_decref(json);

    json = config_to_json(config, false);
    text = json_dumps(json, 0);
    for (size_t i = 0; i < sizeof hidden / sizeof hidden[0]; i++)
        assert_non_null(strstr(text, hidden[i]));
    free(text);
    json_decref(json);
    config_free(config);
}

/* Removes what is null: as a key in a file it would be one without a value. */
static void strip_nulls(json_t *object)
{
    const char *key;
    json_t *value;
    void *next;
    json_object_foreach_safe(object, next, key, value)
    {
        if (json_is_null(value))
            json_object_del(object, key);
        else if (json_is_object(value))
            strip_nulls(value);
        else
            for (size_t i = 0; i < json_array_size(value); i++)
                strip_nulls(json_array_get(value, i));
    }
}

/* JSON is YAML: what config_to_json says is a configuration that means the same. */
static void test_json_round_trip(void **unused)
{
    (void)unused;
    struct config *config = must_parse(
        "mqtt: {user: u, password: 'a \"b\" \\', version: 5, keepalive: 90s}\n"
        "history: {keep: {raw: 90d}, commit_interval: 1500ms}\n"
        "devices:\n"
        "- {id: d, driver: bl0942, interval: 1500ms, mains: {frequency: 60, voltage: 120.5},\n"
        "   channels: {a: {port: /dev/x, creep: 0, noise_floor: 0.25}, b: {port: /dev/x, address: "
        "2}}}\n"
        "- {id: e, name: \"Z\\u00e4hler\", driver: openbeken, topic: a/b, channels: {a: {invert: "
        "true}}}\n",
        NULL, NULL);
    json_t *first = config_to_json(config, false);
    config_free(config);
    strip_nulls(first);
    char *text = json_dumps(first, JSON_REAL_PRECISION(17));
    config = must_parse(text, NULL, NULL);
    json_t *second = config_to_json(config, false);
    config_free(config);
    strip_nulls(second);
    char *again = json_dumps(second, JSON_REAL_PRECISION(17));
    assert_string_equal(text, again);
    free(text);
    free(again);
    json_decref(first);
    json_decref(second);
}

/* ---- virtual devices ---- */

#define HOUSE "{id: house, driver: simulator, channels: {a: , b: }}"

static void test_members(void **unused)
{
    (void)unused;
    struct config *config = must_parse(
        "devices: [" HOUSE ", {id: v, driver: virtual, channels: {n: {sum: [house/a, -house/b], "
        "balance: true}}}]",
        NULL, NULL);
    assert_string_equal(config->devices[1].channels[0].sum, "house/a,-house/b");
    assert_true(config->devices[1].channels[0].balance);
    config_free(config);
    static const struct {
        const char *sum, *words;
    } cases[] = {
        {"[garden/a]", "there is no device garden"},
        {"[house/c]", "no such channel"},
        {"[house/a, -house/a]", "twice"},
        {"[v/n]", "virtual itself"},
        {"[house]", "device/channel"},
        {"[]", "It is empty"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char yaml[300];
        (void)snprintf(yaml, sizeof yaml,
                       "devices: [" HOUSE ", {id: v, driver: virtual, channels: {n: {sum: %s}}}]",
                       cases[i].sum);
        assert_null(parse_with(yaml, NULL, NULL));
        if (strstr(problems.list[0].message, cases[i].words) == NULL)
            fail_msg("%s: %s", cases[i].sum, problems.list[0].message);
    }
}

static void test_printed_defaults(void **unused)
{
    (void)unused;
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    config_print_defaults(out);
    assert_int_equal(fclose(out), 0);
    struct config *config = must_parse(text, NULL, NULL);
    assert_int_equal(problems.errors, 0);
    assert_int_equal(config->device_count,
                     0); /* the examples are comments: nobody has these devices */
    config_free(config);
    for (size_t i = 0; i < field_count; i++) {
        char key[64];
        (void)snprintf(key, sizeof key, "%s:", field_key(&fields[i]));
        if (strstr(text, key) == NULL)
            fail_msg("%s is not printed", fields[i].path);
    }
    for (const char *line = text; *line != '\0'; line += strcspn(line, "\n") + 1)
        if (strcspn(line, "\n") > 100)
            fail_msg("too long: %.110s", line);
    free(text);
}

/* ---- size ---- */

/* The largest configuration is read in no time; twice the devices take not much more than twice as
   long (a quadratic check would take four times as long, and minutes). */
static void test_8192_devices(void **unused)
{
    (void)unused;
    size_t size = 512 * 1024;
    char *yaml = memory_new(1, size);
    struct text text;
    for (int count = 8192; count <= 8193; count++) {
        text_init(&text, yaml, size);
        text_append(&text, "devices:\n");
        for (int i = 0; i < count; i++)
            text_append(&text, "- {id: d%d, driver: bl0942, channels: {a: {port: /p%d}}}\n", i, i);
        assert_false(text.cut);
        clock_t begin = clock();
        struct config *config = parse_with(yaml, NULL, NULL);
        double seconds = (double)(clock() - begin) / CLOCKS_PER_SEC;
        print_message("%d devices, %zu bytes: %.3f s\n", count, text.length, seconds);
        assert_true(seconds < 5); /* 0.3 s with sanitizers; quadratic would be 20 s */
        if (count == 8192) {
            assert_non_null(config);
            assert_int_equal(config->device_count, 8192);
        } else {
            assert_null(config);
            assert_non_null(find(2, 1, "at most 8192"));
        }
        config_free(config);
    }
    free(yaml);
}

static void test_too_many_channels(void **unused)
{
    (void)unused;
    char yaml[1000];
    struct text text;
    text_init(&text, yaml, sizeof yaml);
    text_append(&text, "devices: [{id: d, driver: simulator, channels: {");
    for (int i = 0; i < 26; i++)
        text_append(&text, "c%d: , ", i);
    size_t length = text.length;
    text_append(&text, "}}]");
    config_free(must_parse(yaml, NULL, NULL));
    text.length = length;
    text_append(&text, "x: }}]");
    must_refuse(yaml, NULL, NULL, 1, 48, "27 channels");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_table_fits),
        cmocka_unit_test(test_table_calibration),
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_every_value),
        cmocka_unit_test(test_calibration_follows),
        cmocka_unit_test(test_calibration_warning),
        cmocka_unit_test(test_servers),
        cmocka_unit_test(test_listen),
        cmocka_unit_test(test_web_login),
        cmocka_unit_test(test_times_of_day),
        cmocka_unit_test(test_topics),
        cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_devices),
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_broker_rules),
        cmocka_unit_test(test_channel_names),
        cmocka_unit_test(test_reserved_channel_names),
        cmocka_unit_test(test_driver_keys),
        cmocka_unit_test(test_environment),
        cmocka_unit_test(test_environment_alone),
        cmocka_unit_test(test_environment_problems),
        cmocka_unit_test(test_secrets),
        cmocka_unit_test(test_secrets_stay_secret),
        cmocka_unit_test(test_server_with_password),
        cmocka_unit_test(test_many_problems),
        cmocka_unit_test(test_late_error),
        cmocka_unit_test(test_messages_are_printable),
        cmocka_unit_test(test_suggestions),
        cmocka_unit_test(test_json_redacts),
        cmocka_unit_test(test_json_round_trip),
        cmocka_unit_test(test_members),
        cmocka_unit_test(test_printed_defaults),
        cmocka_unit_test(test_8192_devices),
        cmocka_unit_test(test_too_many_channels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
