/* SPDX-License-Identifier: MIT */
/* bridge/config/diff: which keys are said to have changed, and how far a change reaches. */
#include "bridge/config/diff.h"

#include "drivers/base/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define SIMULATED "driver: simulator, channels: {a: {}}"
#define DEVICES                                                                                    \
    "devices:\n  - {id: one, " SIMULATED "}\n  - {id: two, driver: bl0942, channels: {a: {port: "  \
    "/dev/x}}}\n"

static struct config_problems problems;

static struct config *parse(const char *yaml)
{
    struct config *config = config_parse("t.yaml", yaml, strlen(yaml), NULL, &problems);
    if (config == NULL)
        fail_msg("%s\n%s", problems.list[0].message, yaml);
    return config;
}

static void test_reach(void **state)
{
    static const struct {
        const char *after;
        const char *changed; /* as JSON, ' for " */
        enum config_reach bridge;
        size_t devices;
        enum config_reach device; /* of the first one, if any */
    } cases[] = {
        {DEVICES, "[]", CONFIG_REACH_USUAL, 0, 0},
        {"bridge: {log_level: debug}\n" DEVICES, "['bridge.log_level']", CONFIG_REACH_LIVE, 0, 0},
        {"mqtt: {user: x}\n" DEVICES, "['mqtt.user']", CONFIG_REACH_RESTART, 0, 0},
        {"sinks: [{id: s, url: 'http://h:1'}]\n" DEVICES, "['sinks']", CONFIG_REACH_RESTART, 0, 0},
        {"tariffs: [{currency: EUR, price: 0.3}]\n" DEVICES, "['tariffs']", CONFIG_REACH_LIVE, 0,
         0},
        {"devices:\n  - {id: two, driver: bl0942, name: Two, channels: {a: {port: /dev/x}}}\n"
         "  - {id: one, " SIMULATED "}\n",
         "['devices.two.name']", CONFIG_REACH_USUAL, 1, CONFIG_REACH_LIVE},
        {"devices:\n  - {id: one, " SIMULATED "}\n"
         "  - {id: two, driver: bl0942, channels: {a: {port: /dev/x, invert: true}}}\n",
         "['devices.two.channels.a.invert']", CONFIG_REACH_USUAL, 1, CONFIG_REACH_DEVICE},
        {"devices:\n  - {id: one, " SIMULATED "}\n"
         "  - {id: two, driver: bl0942, interval: 2s, channels: {a: {port: /dev/x}}}\n",
         "['devices.two.interval']", CONFIG_REACH_USUAL, 1, CONFIG_REACH_SOURCE},
        {"devices:\n  - {id: one, " SIMULATED "}\n"
         "  - {id: two, driver: bl0942, channels: {a: {port: /dev/x}, b: {port: /dev/y}}}\n",
         "['devices.two.channels.b']", CONFIG_REACH_USUAL, 1, CONFIG_REACH_SOURCE},
        {"devices:\n  - {id: one, " SIMULATED "}\n  - {id: new, " SIMULATED "}\n",
         "['devices.new','devices.two']", CONFIG_REACH_USUAL, 2, CONFIG_REACH_SOURCE},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct config *before = parse(DEVICES);
        struct config *after = parse(cases[i].after);
        struct config_diff diff;
        config_diff(before, after, &diff);
        char *changed = json_dumps(diff.changed, JSON_COMPACT);
        for (char *quote = changed; (quote = strchr(quote, '"')) != NULL;)
            *quote = '\'';
        assert_string_equal(changed, cases[i].changed);
        assert_int_equal(diff.reach, cases[i].bridge);
        assert_int_equal(diff.device_count, cases[i].devices);
        if (diff.device_count > 0)
            assert_int_equal(diff.devices[0].reach, cases[i].device);
        assert_int_equal(config_diff_restart_required(&diff),
                         cases[i].bridge == CONFIG_REACH_RESTART);
        free(changed);
        config_diff_release(&diff);
        config_free(before);
        config_free(after);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_reach)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
