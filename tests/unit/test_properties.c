/* SPDX-License-Identifier: MIT */
/* bridge/device: the property table, the state message, exposes, and docs/mqtt.md kept in step. */
#include "bridge/device/exposes.h"
#include "bridge/device/properties.h"
#include "bridge/device/state.h"
#include "drivers/base/file.h"
#include "drivers/base/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const char *const two_names[] = {"a", "b"};
static const struct device_description two = {.id = "house",
                                              .name = "House meter",
                                              .channel_count = 2,
                                              .channel_names = two_names,
                                              .state_as_json = true};
static const struct device_description one = {.id = "house",
                                              .name = "House meter",
                                              .channel_count = 1,
                                              .channel_names = two_names,
                                              .state_as_json = true};

static json_t *state_of(const struct device_description *device, const struct device_state *state)
{
    static char buffer[16384];
    struct text text;
    text_init(&text, buffer, sizeof buffer);
    device_state_json(device, state, &text);
    assert_false(text.cut);
    json_error_t error;
    json_t *json = json_loads(buffer, JSON_REJECT_DUPLICATES, &error);
    if (json == NULL)
        fail_msg("not JSON: %s in %s", error.text, buffer);
    return json;
}

static void state_text(const struct device_description *device, const struct device_state *state,
                       char *buffer, size_t size)
{
    struct text text;
    text_init(&text, buffer, size);
    device_state_json(device, state, &text);
    assert_false(text.cut);
}

static const struct channel_values measured = {
    .voltage_mv = {true, 231449},
    .current_ma = {true, 6612},
    .power_mw = {true, 1523649},
    .power_apparent_mva = {true, 1530049},
    .power_reactive_mvar = {true, 139800},
    .power_factor_permille = {true, 995},
    .frequency_mhz = {true, 50012},
    .energy_uwh = {true, 4711203999999},
    .energy_produced_uwh = {true, 0},
    .flow = FLOW_CONSUMING,
};

static void test_one_channel(void **unused)
{
    (void)unused;
    struct device_state state = {.channels = &measured,
                                 .last_seen_wall_ms = 1795524312345,
                                 .frame_errors = 3,
                                 .problems = 0,
                                 .report_interval_ms = 5000};
    char buffer[2048];
    state_text(&one, &state, buffer, sizeof buffer);
    assert_string_equal(
        buffer, "{\"voltage\":231.4,\"current\":6.612,\"power\":1523.6,\"power_produced\":0.0,"
                "\"power_apparent\":1530.0,"
                "\"power_reactive\":139.8,\"power_factor\":100,\"ac_frequency\":50.01,"
                "\"energy\":4711.203,\"energy_produced\":0.000,\"energy_flow\":\"consuming\","
                "\"last_seen\":\"2026-11-24T12:45:12+00:00\",\"frame_errors\":3,"
                "\"data_problem\":false,\"problem_text\":null,\"energy_today\":null,"
                "\"energy_month\":null,\"energy_produced_today\":null,"
                "\"energy_produced_month\":null,\"demand\":null,\"demand_max_month\":null,"
                "\"demand_max_month_time\":null,\"day_start\":null,\"month_start\":null,"
                "\"report_interval\":5,\"min_interval\":5,\"max_interval\":60,"
                "\"output\":\"json\",\"retain\":false}");
}

/* What follows from measured values, what is wrong, and alarms. */
static void test_derived_problems_and_alarms(void **unused)
{
    (void)unused;
    static const char *const alarms[] = {"overload", "low-voltage", "third"};
    static const char *const labels[] = {"Solar", ""};
    struct device_description device = two;
    device.alarm_names = alarms;
    device.alarm_count = 3;
    device.channel_labels = labels;
    device.currency = "EUR";
    struct channel_values channels[2] = {measured, measured};
    channels[1].derived = (struct derived_values){
        .energy_today_uwh = {true, 1234999999},
        .cost_today_micro = {true, -123456},
        .demand_mw = {true, 1500600},
        .demand_max_mw = {true, 7000000},
        .demand_max_wall_ms = 1795524300000,
    };
    struct device_state state = {
        .channels = channels,
        .problem_text = "Set \"invert\": \\ or\nnot.",
        .alarms = {ALARM_ON, ALARM_OFF, ALARM_UNKNOWN},
        .derived = {.energy_month_uwh = {true, 5000000000}, .cost_month_micro = {true, 1000000}},
        .day_start_wall_ms = 1795478400000,
    };
    json_t *json = state_of(&device, &state);
    char *text = json_dumps(json, JSON_COMPACT | JSON_REAL_PRECISION(12));
    static const char *const wanted[] = {
        "\"energy_today_b\":1.234,",
        "\"energy_today_a\":null,",
        "\"energy_today\":null,",
        "\"energy_month\":5.0,",
        "\"cost_today_b\":-0.1235,",
        "\"cost_month\":1.0,",
        "\"demand_b\":1501,",
        "\"demand_max_month_b\":7000,",
        "\"demand_max_month_time_b\":\"2026-11-24T12:45:00+00:00\"",
        "\"day_start\":\"2026-11-24T00:00:00+00:00\"",
        "\"alarm_overload\":true,",
        "\"alarm_low-voltage\":false,",
        "\"alarm_third\":null,",
        "\"problem_text\":\"Set \\\"invert\\\": \\\\ or not.\"",
    };
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++)
        if (strstr(text, wanted[i]) == NULL)
            fail_msg("%s is not in %s", wanted[i], text);
    free(text);
    json_decref(json);

    char label[64];
    property_label(property_find("power"), &device, 0, label, sizeof label);
    assert_string_equal(label, "Power Solar");
    property_label(property_find("power"), &device, 1, label, sizeof label);
    assert_string_equal(label, "Power B");
    property_label(property_find("alarm"), &device, 0, label, sizeof label);
    assert_string_equal(label, "Alarm overload");
    assert_string_equal(property_unit(property_find("cost_today"), &device), "EUR");
}

/* A device that once had several channels keeps suffixes and sum; its totals are its own. */
static void test_a_device_keeps_its_suffixes_and_totals(void **unused)
{
    (void)unused;
    struct device_description device = one;
    device.keeps_suffixes = true;
    struct device_state state = {.channels = &measured,
                                 .energy_uwh = {true, 5000000000000},
                                 .energy_produced_uwh = {true, 7}};
    json_t *json = state_of(&device, &state);
    assert_null(json_object_get(json, "voltage"));
    assert_non_null(json_object_get(json, "voltage_a"));
    assert_int_equal((int)json_number_value(json_object_get(json, "energy")), 5000);
    assert_int_equal((int)json_number_value(json_object_get(json, "energy_a")), 4711);
    assert_int_equal((int)json_number_value(json_object_get(json, "power")), 1523);
    json_decref(json);
    json = state_of(&one, &state);
    assert_int_equal((int)json_number_value(json_object_get(json, "energy")), 4711);
    json_decref(json);
}

static void test_precision_and_deadbands(void **unused)
{
    (void)unused;
    struct device_publishing publishing;
    for (size_t i = 0; i < PROPERTY_SOURCE_COUNT; i++) {
        publishing.deadband_micro[i] = -1;
        publishing.decimals[i] = -1;
    }
    publishing.decimals[SOURCE_POWER] = 0;
    publishing.deadband_micro[SOURCE_POWER] = 5000000;
    struct device_description device = one;
    struct device_state state = {.channels = &measured};
    size_t count = device_state_value_count(&device);
    struct publish_value *values memory_auto = memory_new(count, sizeof *values);
    device_state_values(&device, &state, values);
    assert_int_equal(values[0].value, 231449); /* voltage: 2 V */
    assert_int_equal(values[0].deadband, 2000);
    assert_int_equal(values[2].deadband, 152300); /* power: a tenth of 1523 W */
    assert_true(values[8].deadband == 200000000 && values[8].value == 4711203999999); /* 0.2 kWh */
    device.publishing = &publishing;
    device_state_values(&device, &state, values);
    assert_int_equal(values[2].deadband, 5000);
    json_t *json = state_of(&device, &state);
    assert_int_equal(json_integer_value(json_object_get(json, "power")), 1524);
    json_decref(json);
}

static void test_update(void **unused)
{
    (void)unused;
    struct device_description updatable = one;
    updatable.updatable = true;
    struct device_state state = {.channels = &measured, .update = {.percentage = -1}};
    char buffer[2048];
    state_text(&updatable, &state, buffer, sizeof buffer);
    assert_non_null(
        strstr(buffer, ",\"update\":{\"in_progress\":false,\"update_percentage\":null}}"));
    state.update = (struct device_update){
        .installed = "1.18.0", .latest = "1.18.300", .in_progress = true, .percentage = 42};
    state_text(&updatable, &state, buffer, sizeof buffer);
    assert_non_null(strstr(buffer,
                           "\"update\":{\"installed_version\":\"1.18.0\",\"latest_version\":"
                           "\"1.18.300\",\"in_progress\":true,\"update_percentage\":42}"));
}

static void test_sum(void **unused)
{
    (void)unused;
    struct channel_values channels[2] = {measured, measured};
    channels[1].power_mw.value = -211249;
    channels[1].flow = FLOW_PRODUCING;
    /* 0.9 + 0.9 mWh below the last digit: rounding each first would lose one unit of the sum. */
    channels[0].energy_uwh.value = 1000900000;
    channels[1].energy_uwh.value = 2000900000;
    struct device_state state = {.channels = channels, .problems = 4, .report_interval_ms = 1500};
    json_t *json = state_of(&two, &state);
    char *text = json_dumps(json, JSON_COMPACT | JSON_REAL_PRECISION(12));
    assert_non_null(strstr(text, "\"power\":1312.4,"));
    assert_non_null(strstr(text, "\"power_b\":-211.2,"));
    assert_non_null(strstr(text, "\"energy_a\":1.0,"));
    assert_non_null(strstr(text, "\"energy_b\":2.0,"));
    assert_non_null(strstr(text, "\"energy\":3.001,"));
    assert_non_null(strstr(text, "\"energy_flow_b\":\"producing\""));
    assert_non_null(strstr(text, "\"data_problem\":true"));
    assert_null(json_object_get(json, "voltage"));
    assert_null(json_object_get(json, "current"));
    free(text);
    json_decref(json);

    channels[1].energy_uwh.known = false; /* half a sum would look like a drop */
    channels[1].power_mw = (struct amount){true, INT64_MAX};
    json = state_of(&two, &state);
    assert_true(json_is_null(json_object_get(json, "energy")));
    assert_true(json_is_null(json_object_get(json, "energy_b")));
    assert_false(json_is_null(json_object_get(json, "energy_a")));
    assert_true(
        json_is_null(json_object_get(json, "power"))); /* would not fit: unknown, not wrong */
    json_decref(json);
}

struct key_check {
    json_t *state;
    size_t count;
};

static void check_key(void *context, const struct property *property, int channel, const char *key)
{
    (void)property;
    (void)channel;
    struct key_check *check = context;
    if (json_object_get(check->state, key) == NULL)
        fail_msg("the state lacks %s", key);
    check->count++;
}

/* Home Assistant logs an error for every key it was told of and does not find, and keeps the old
 * value for it. */
static void test_every_key_every_time(void **unused)
{
    (void)unused;
    char names[DEVICE_CHANNELS_MAX][9];
    const char *pointers[DEVICE_CHANNELS_MAX];
    struct channel_values unknown[DEVICE_CHANNELS_MAX] = {{.flow = FLOW_UNKNOWN}};
    for (size_t i = 0; i < DEVICE_CHANNELS_MAX; i++) {
        (void)snprintf(names[i], sizeof names[i], "chan%04zu", i);
        pointers[i] = names[i];
    }
    for (size_t count = 1; count <= DEVICE_CHANNELS_MAX; count++) {
        struct device_description device = {
            .id = "x", .name = "X", .channel_count = count, .channel_names = pointers};
        struct device_state state = {.channels = unknown, .report_interval_ms = 1000};
        json_t *json = state_of(&device, &state);
        struct key_check check = {.state = json};
        properties_visit(&device, check_key, &check);
        assert_int_equal(check.count, json_object_size(json));
        const char *key;
        json_t *value;
        size_t nulls = 0;
        json_object_foreach(json, key, value)
        {
            nulls += json_is_null(value);
        }
        assert_int_equal(nulls, check.count - 7); /* all but errors, problem and settings */
        json_decref(json);
    }
}

static void test_keys_and_labels(void **unused)
{
    (void)unused;
    char key[PROPERTY_KEY_SIZE];
    char label[64];
    const struct property *power = property_find("power");
    assert_true(property_key(power, &two, 1, key, sizeof key));
    assert_string_equal(key, "power_b");
    assert_true(property_key(power, &two, -1, key, sizeof key));
    assert_string_equal(key, "power");
    assert_true(property_key(power, &one, 0, key, sizeof key));
    assert_string_equal(key, "power");
    assert_false(property_key(power, &two, 1, key, 7));
    property_label(power, &two, 1, label, sizeof label);
    assert_string_equal(label, "Power B");
    property_label(power, &two, -1, label, sizeof label);
    assert_string_equal(label, "Power total");
    property_label(power, &one, 0, label, sizeof label);
    assert_string_equal(label, "Power");
    assert_null(property_find("powers"));
}

static void test_exposes(void **unused)
{
    (void)unused;
    json_t *list = exposes_list(&two);
    struct channel_values channels[2] = {measured, measured};
    struct device_state state = {.channels = channels, .report_interval_ms = 1000};
    json_t *json = state_of(&two, &state);
    assert_int_equal(json_array_size(list), json_object_size(json));
    size_t index;
    json_t *entry;
    json_array_foreach(list, index, entry)
    {
        const char *type = json_string_value(json_object_get(entry, "type"));
        const char *key = json_string_value(json_object_get(entry, "property"));
        json_t *value = json_object_get(json, key);
        assert_non_null(value);
        if (strcmp(type, "numeric") == 0 && !json_is_null(value))
            assert_true(json_is_number(value));
        if (strcmp(type, "binary") == 0)
            assert_true(json_is_boolean(value));
        if (strcmp(type, "enum") == 0) {
            json_t *values = json_object_get(entry, "values");
            assert_int_equal(json_array_size(values), strcmp(key, "output") == 0 ? 3 : 2);
        }
        json_int_t access = json_integer_value(json_object_get(entry, "access"));
        assert_int_equal(access,
                         property_find(key) != NULL && property_find(key)->settable ? 3 : 1);
    }
    json_decref(json);
    json_decref(list);
}

/* ---- docs/mqtt.md ---- */

#define BEGIN_MARK "<!-- properties: made from bridge/device/properties.c -->\n"
#define END_MARK "<!-- /properties -->"

static const char *or_dash(const char *text)
{
    return text != NULL ? text : "–";
}

static const char *scope_name(const struct property *property)
{
    static const char *const names[] = {"channel", "channel and sum", "device", "alarm"};
    return names[property->scope];
}

static void append_table(struct text *text)
{
    text_append(text, "| property | of | unit | decimals | class in Home Assistant | state class | "
                      "enabled there | meaning |\n|---|---|---|---|---|---|---|---|\n");
    for (size_t i = 0; i < property_count; i++) {
        const struct property *p = &properties[i];
        bool money = p->device_class != NULL && strcmp(p->device_class, "monetary") == 0;
        bool number = p->unit != NULL || money;
        char decimals[16] = "–";
        if (number)
            (void)snprintf(decimals, sizeof decimals, "%u", p->decimals);
        text_append(text, "| `%s` | %s | %s | %s | %s%s%s | %s | %s | %s", p->name, scope_name(p),
                    money ? "currency" : or_dash(p->unit), decimals, or_dash(p->device_class),
                    p->diagnostic ? ", diagnostic" : "", p->settable ? ", config" : "",
                    or_dash(p->state_class), p->enabled ? "yes" : "no", p->description);
        for (size_t o = 0; o < PROPERTY_OPTIONS_MAX && p->options[o] != NULL; o++)
            text_append(text, "%s `%s`", o == 0 ? ":" : " or", p->options[o]);
        if (p->platform == PLATFORM_NUMBER)
            text_append(text, "; can be set, %g to %g", (double)p->low_milli / 1000,
                        (double)p->high_milli / 1000);
        else if (p->settable)
            text_append(text, "; can be set");
        text_append(text, " |\n");
    }
}

static void test_documented(void **unused)
{
    (void)unused;
    char *document memory_auto = NULL;
    size_t length = 0;
    struct error error = {.text = ""};
    if (file_read(SOURCE_DIR "/docs/mqtt.md", 1 << 20, &document, &length, &error) != STATUS_OK)
        fail_msg("%s", error.text);

    static char table[16384];
    struct text text;
    text_init(&text, table, sizeof table);
    append_table(&text);
    assert_false(text.cut);
    const char *begin = strstr(document, BEGIN_MARK);
    const char *end = begin != NULL ? strstr(begin, END_MARK) : NULL;
    if (end == NULL)
        fail_msg("docs/mqtt.md lacks the marks %s and %s", BEGIN_MARK, END_MARK);
    begin += strlen(BEGIN_MARK);
    bool same = (size_t)(end - begin) == text.length && memcmp(begin, table, text.length) == 0;
    if (!same) /* cmocka would cut it */
        (void)printf("Between the marks in docs/mqtt.md must stand:\n%s\n", table);
    assert_true(same);
}

/* Home Assistant's rules for what may go together; a violation costs the entity, or its statistics. */
static void test_classes(void **unused)
{
    (void)unused;
    static const struct {
        const char *device_class, *unit, *state_class;
    } allowed[] = {
        {"voltage", "V", "measurement"},
        {"current", "A", "measurement"},
        {"power", "W", "measurement"},
        {"apparent_power", "VA", "measurement"},
        {"reactive_power", "var", "measurement"},
        {"power_factor", "%", "measurement"},
        {"frequency", "Hz", "measurement"},
        {"energy", "kWh", "total_increasing"},
        {"energy", "kWh", "total"},
        {"monetary", NULL, "total"}, /* its unit is the tariff's currency */
        {NULL, NULL, NULL},
        {"enum", NULL, NULL},
        {"timestamp", NULL, NULL},
        {"problem", NULL, NULL},
        {"duration", "s", NULL},
        {"firmware", NULL, NULL},
        {NULL, NULL, "total_increasing"},
    };
    for (size_t i = 0; i < property_count; i++) {
        const struct property *p = &properties[i];
        bool good = false;
        for (size_t j = 0; j < sizeof allowed / sizeof allowed[0] && !good; j++)
            good = strcmp(or_dash(p->device_class), or_dash(allowed[j].device_class)) == 0 &&
                   strcmp(or_dash(p->unit), or_dash(allowed[j].unit)) == 0 &&
                   strcmp(or_dash(p->state_class), or_dash(allowed[j].state_class)) == 0;
        bool total = p->state_class != NULL && strcmp(p->state_class, "total") == 0;
        assert_int_equal(total, p->last_reset != NULL);
        assert_true(p->last_reset == NULL || property_find(p->last_reset) != NULL);
        if (!good)
            fail_msg("%s: class, unit and state class do not go together", p->name);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_channel),
        cmocka_unit_test(test_update),
        cmocka_unit_test(test_derived_problems_and_alarms),
        cmocka_unit_test(test_a_device_keeps_its_suffixes_and_totals),
        cmocka_unit_test(test_precision_and_deadbands),
        cmocka_unit_test(test_sum),
        cmocka_unit_test(test_every_key_every_time),
        cmocka_unit_test(test_keys_and_labels),
        cmocka_unit_test(test_exposes),
        cmocka_unit_test(test_classes),
        cmocka_unit_test(test_documented),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
