/* SPDX-License-Identifier: MIT */
/* Sags, swells and interruptions: a table of courses of the voltage, and random damage. */
#include "bridge/meter/voltage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct voltage_limits limits = {230000, 900, 1100, 50};

/* Readings by words: "230" volts after a second, "x" one without voltage, "+6" so many seconds more, "p" a pause.
 * The result: "sag@2" began with the reading at 2 s, "sag 2..4 195000" ended. */
static void play(const char *course, char *result, size_t size)
{
    struct voltage_watch watch = {.event = VOLTAGE_NONE};
    int64_t now_ms = 0;
    size_t length = 0;
    result[0] = '\0';
    char copy[400];
    (void)snprintf(copy, sizeof copy, "%s", course);
    for (char *rest = copy, *word; (word = strsep(&rest, " ")) != NULL;) {
        struct voltage_change change = {.began = VOLTAGE_NONE};
        if (word[0] == '+') {
            now_ms += 1000 * strtoll(word + 1, NULL, 10);
            continue;
        }
        if (word[0] == 'p') {
            voltage_watch_pause(&watch, now_ms, &change);
        } else {
            now_ms += 1000;
            voltage_watch_reading(&watch, &limits, word[0] != 'x', 1000 * strtoll(word, NULL, 10),
                                  now_ms, &change);
        }
        if (change.ended != VOLTAGE_NONE)
            length += (size_t)snprintf(
                result + length, size - length, "%s %d..%d %d%s;", voltage_event_name(change.ended),
                (int)(change.start_ms / 1000), (int)((change.start_ms + change.duration_ms) / 1000),
                (int)(change.extreme_mv / 1000), change.cut ? " cut" : "");
        if (change.began != VOLTAGE_NONE)
            length += (size_t)snprintf(result + length, size - length, "%s@%d;",
                                       voltage_event_name(change.began), (int)(now_ms / 1000));
    }
}

static void test_courses(void **unused)
{
    (void)unused;
    static const struct {
        const char *name, *course, *result;
    } table[] = {
        {"steady", "230 231 229 230", ""},
        {"at the limits", "207 207 253 253 207", ""},
        {"a sag", "230 200 195 196 230 230", "sag@3;sag 2..5 196;"},
        {"one low reading is none", "230 100 230 230 0 230", ""},
        {"one low reading does not deepen", "230 200 200 20 200 230 230", "sag@3;sag 2..6 200;"},
        {"one high reading does not end it", "200 200 230 200 230 230", "sag@2;sag 1..5 200;"},
        {"hysteresis", "206 206 208 211 208 206 212 212", "sag@2;sag 1..7 206;"},
        {"a swell", "230 260 262 255 240 240", "swell@3;swell 2..5 260;"},
        {"a swell's hysteresis", "254 254 252 249 254 248 248", "swell@2;swell 1..6 254;"},
        {"an interruption", "230 0 0 0 230 230", "interruption@3;interruption 2..5 0;"},
        {"a sag that becomes one", "230 180 150 5 4 230 230", "sag@3;interruption 2..6 5;"},
        {"from low to high", "200 200 260 260 260 230 230",
         "sag@2;sag 1..3 200;swell@5;swell 4..6 260;"},
        {"unknown readings do not matter", "200 x 200 x x 230 x 230", "sag@3;sag 1..6 200;"},
        {"a gap parts neighbours", "230 200 +6 200 230 230", ""},
        {"a gap ends it", "230 200 195 +6 195 195 230 230",
         "sag@3;sag 2..3 200 cut;sag@11;sag 10..12 195;"},
        {"impossible voltages", "230 461 999 461 230", ""},
        {"a chip that has just started", "230 p 0 0 230 230 230", ""},
        {"a restart in the middle", "200 200 p 0 0 200 200", "sag@2;sag 1..2 200 cut;sag@6;"},
        {"nothing before", "200", ""},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        char result[400];
        play(table[i].course, result, sizeof result);
        if (strcmp(result, table[i].result) != 0)
            fail_msg("%s: \"%s\" instead of \"%s\"", table[i].name, result, table[i].result);
    }
}

/* However often single readings are damaged, as long as no two in a row are. */
static void test_damage(void **unused)
{
    (void)unused;
    struct voltage_watch watch = {.event = VOLTAGE_NONE};
    struct voltage_change change;
    uint64_t dice = 42;
    bool damaged = false;
    for (int64_t i = 0; i < 200000; i++) {
        dice = dice * 6364136223846793005U + 1442695040888963407U;
        damaged = !damaged && (dice >> 60) < 4;
        int64_t mv = damaged ? (int64_t)((dice >> 20) % 700000) : 230000 + (int64_t)(dice >> 52);
        voltage_watch_reading(&watch, &limits, true, mv, i * 800, &change);
        assert_int_equal(change.began, VOLTAGE_NONE);
        assert_int_equal(change.ended, VOLTAGE_NONE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_courses),
        cmocka_unit_test(test_damage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
