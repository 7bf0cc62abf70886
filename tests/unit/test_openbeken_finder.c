/* SPDX-License-Identifier: MIT */
/* drivers/openbeken/finder: what counts as a module, what is remembered of it, and its bounds. */
#include "drivers/openbeken/finder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void hear(struct openbeken_finder *finder, const char *topic, const char *payload,
                 bool retained)
{
    openbeken_finder_message(finder, topic, payload, strlen(payload), retained);
}

static const struct openbeken_found *module_of(const struct openbeken_finder *finder,
                                               const char *client)
{
    for (size_t i = 0; i < openbeken_finder_count(finder); i++) {
        const struct openbeken_found *found = openbeken_finder_get(finder, i);
        if (found->is_module && strcmp(found->client, client) == 0)
            return found;
    }
    return NULL;
}

static void test_what_is_a_module(void **unused)
{
    (void)unused;
    static const struct {
        const char *topic, *payload;
        bool found;
    } table[] = {
        {"a/b/voltage/get", "230.0", true},
        {"a/b/power_b/get", "-1.00", true},
        {"a/b/build", "OpenBK7231N_1.18", true},
        {"a/b/voltage/get", "", false},
        {"a/b/voltage/get", "high", false},
        {"a/b/voltage", "230.0", false}, /* many programs have such topics */
        {"a/b/connected", "online", false},
        {"a/b/build", "1.18", false},
        {"a/b/uptime", "5", false},
        {"a/b/1/get", "1", false},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct openbeken_finder *finder = openbeken_finder_create("homeassistant");
        hear(finder, table[i].topic, table[i].payload, false);
        if ((module_of(finder, "a/b") != NULL) != table[i].found)
            fail_msg("%s %s", table[i].topic, table[i].payload);
        openbeken_finder_free(finder);
    }
}

static void test_what_is_remembered(void **unused)
{
    (void)unused;
    struct openbeken_finder *finder = openbeken_finder_create("ha");
    static const char config[] =
        "{\"dev\":{\"ids\":[\"L\"],\"name\":\"n\",\"mf\":\"BK7231N\",\"cu\":\"http://x/\"},"
        "\"~\":\"a/b\",\"uniq_id\":\"L_sensor_b_3\",\"stat_t\":\"~/energycounter_b/get\","
        "\"unit_of_meas\":\"kWh\"}";
    hear(finder, "ha/sensor/L_sensor_b_3/config", config, true);
    hear(finder, "ha/sensor/L_sensor_b_3/config", config, true); /* the same again */
    hear(finder, "a/b/connected", "offline", true);
    hear(finder, "a/b/voltage/get", "230.0", true);
    hear(finder, "tele/a/b/SENSOR", "{\"ENERGY\":{\"Power\":1.0}}", false);
    const struct openbeken_found *found = module_of(finder, "a/b");
    assert_non_null(found);
    assert_string_equal(found->long_name, "L");
    assert_string_equal(found->page, "http://x/");
    assert_int_equal(found->unit, OPENBEKEN_KWH);
    assert_true(found->chips[0] && found->chips[1]);
    assert_true(found->connected_known && !found->connected);
    assert_true(found->values_retained && !found->values_received);
    assert_true(found->speaks_tele);
    assert_int_equal(found->announcement_count, 1);
    assert_string_equal(openbeken_finder_announcement(finder, 0, 0),
                        "ha/sensor/L_sensor_b_3/config");
    hear(finder, "a/b/voltage/get", "230.0", false);
    assert_true(found->values_received);
    openbeken_finder_free(finder);
}

static void test_bounds(void **unused)
{
    (void)unused;
    struct openbeken_finder *finder = openbeken_finder_create("ha");
    char topic[128], config[512];
    for (int i = 0; i < 200; i++) {
        (void)snprintf(topic, sizeof topic, "ha/sensor/L_%d/config", i);
        (void)snprintf(config, sizeof config,
                       "{\"dev\":{\"ids\":[\"L\"]},\"~\":\"a\",\"uniq_id\":\"L_%d\"}", i);
        hear(finder, topic, config, true);
    }
    assert_int_equal(module_of(finder, "a")->announcement_count, OPENBEKEN_ANNOUNCEMENTS_MAX);
    hear(finder, "a\x1b[2J/voltage/get", "1.0", false); /* nothing for a terminal to obey */
    assert_int_equal(openbeken_finder_count(finder), 1);
    for (int i = 0; i < 10000; i++) {
        (void)snprintf(topic, sizeof topic, "m%d/voltage/get", i);
        hear(finder, topic, "1.0", false);
    }
    assert_int_equal(openbeken_finder_count(finder), OPENBEKEN_FOUND_MAX);
    assert_non_null(module_of(finder, "m4000"));
    openbeken_finder_free(finder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_a_module),
        cmocka_unit_test(test_what_is_remembered),
        cmocka_unit_test(test_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
