/* SPDX-License-Identifier: MIT */
/* bridge/meter/alarm: conditions as people write them, and when an alarm begins and ends. */
#include "bridge/meter/alarm.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])
#define NONE INT64_MIN

static void test_conditions(void **unused)
{
    (void)unused;
    static const struct {
        const char *text, *property; /* NULL: refused */
        enum alarm_comparison comparison;
        int64_t limit_micro;
    } table[] = {
        {"power_a > 7000", "power_a", ALARM_ABOVE, 7000000000},
        {"voltage<207.5", "voltage", ALARM_BELOW, 207500000},
        {"  current_l1  >=  16 ", "current_l1", ALARM_AT_LEAST, 16000000},
        {"power <= -0.001", "power", ALARM_AT_MOST, -1000},
        {"power > 1e3", "power", ALARM_ABOVE, 1000000000},
        {"", NULL, 0, 0},
        {"power", NULL, 0, 0},
        {"power >", NULL, 0, 0},
        {"> 7000", NULL, 0, 0},
        {"power = 7000", NULL, 0, 0},
        {"power == 7000", NULL, 0, 0},
        {"power > 7000 W", NULL, 0, 0},
        {"power > 7,5", NULL, 0, 0},
        {"power > nan", NULL, 0, 0},
        {"power > 1e30", NULL, 0, 0},
        {"Power > 7", NULL, 0, 0},
        {"power > > 7", NULL, 0, 0},
        {"a_name_that_is_much_longer_than_any_property_can_be_here > 7", NULL, 0, 0},
    };
    for (size_t i = 0; i < COUNT(table); i++) {
        struct alarm_condition condition;
        struct error error = {""};
        enum status status = alarm_parse(table[i].text, &condition, &error);
        if ((status == STATUS_OK) != (table[i].property != NULL))
            fail_msg("\"%s\": %s", table[i].text, error.text);
        if (status != STATUS_OK) {
            assert_non_null(strstr(error.text, "like \"power_a > 7000\""));
            continue;
        }
        assert_string_equal(condition.property, table[i].property);
        assert_int_equal(condition.comparison, table[i].comparison);
        assert_int_equal(condition.limit_micro, table[i].limit_micro);
    }
}

static void test_until_is_about_the_same_property(void **unused)
{
    (void)unused;
    struct alarm_rule rule;
    assert_int_equal(alarm_rule_parse("power > 7", "power < 6", 0, &rule, NULL), STATUS_OK);
    assert_int_equal(alarm_rule_parse("power > 7", "voltage < 6", 0, &rule, NULL), STATUS_USAGE);
    assert_int_equal(alarm_rule_parse("power > 7", "power", 0, &rule, NULL), STATUS_USAGE);
    assert_int_equal(alarm_rule_parse("power > 7", "", 0, &rule, NULL), STATUS_OK);
    assert_false(rule.has_until);
}

/* One value a second. '+' an alarm that is on, '-' off, '?' unknown. */
static const struct {
    const char *name, *when, *until;
    int64_t for_ms;
    bool on_before; /* stored before a restart */
    int64_t values[14];
    const char *states;
} courses[] = {
    {"at once", "p > 10", "", 0, false, {10, 11, 10, 11, NONE}, "-+-+"},
    {"a hold time", "p > 10", "", 3000, false, {11, 11, 11, 11, 11, 5, NONE}, "---++-"},
    {"an interruption counts anew",
     "p > 10",
     "",
     3000,
     false,
     {11, 11, 11, 9, 11, 11, 11, 11, NONE},
     "-------+"},
    {"hysteresis", "p > 10", "p < 7", 0, false, {11, 9, 7, 8, 6, 8, 11, NONE}, "++++--+"},
    {"under a limit", "p < 10", "p > 12", 1000, false, {9, 9, 11, 12, 13, 9, NONE}, "-+++--"},
    {"unknown is neither, and does not end it",
     "p > 10",
     "p < 7",
     0,
     false,
     {11, -1, -1, 9, 6, -1, 6, NONE},
     "+\?\?+-\?-"},
    {"unknown interrupts the hold time",
     "p > 10",
     "",
     2000,
     false,
     {11, 11, -1, 11, 11, 11, NONE},
     "--\?--+"},
    {"on before a restart, within the hysteresis",
     "p > 10",
     "p < 7",
     5000,
     true,
     {9, 8, 6, NONE},
     "++-"},
    {"on before a restart, without hysteresis", "p > 10", "", 5000, true, {11, 9, 11, NONE}, "+--"},
    {"exactly the limit", "p >= 10", "p <= 10", 0, false, {10, 10, 11, NONE}, "+-+"},
};

static void test_courses(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < COUNT(courses); i++) {
        struct alarm_rule rule;
        assert_int_equal(
            alarm_rule_parse(courses[i].when, courses[i].until, courses[i].for_ms, &rule, NULL),
            STATUS_OK);
        struct alarm alarm = {.on = courses[i].on_before};
        for (int64_t t = 0; courses[i].values[t] != NONE; t++) {
            bool before = alarm.on;
            bool known = courses[i].values[t] >= 0;
            enum alarm_edge edge =
                alarm_update(&alarm, &rule, known, courses[i].values[t] * 1000000, t * 1000);
            assert_int_equal(edge, alarm.on == before ? ALARM_NO_EDGE
                                   : alarm.on         ? ALARM_BEGAN
                                                      : ALARM_ENDED);
            char state = !alarm.known ? '?' : alarm.on ? '+' : '-';
            if (state != courses[i].states[t])
                fail_msg("%s: '%c' at second %d", courses[i].name, state, (int)t);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_conditions),
        cmocka_unit_test(test_until_is_about_the_same_property),
        cmocka_unit_test(test_courses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
