/* SPDX-License-Identifier: MIT */
/* bridge/device/publish_policy: tables of offered values, and when each is published. */
#include "bridge/device/publish_policy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])
#define UNKNOWN INT64_MIN
#define URGENT 1
#define STEPS 12

/* A value from a second on; the policy is offered it every second, and asked. */
struct step {
    int64_t second, value;
    int urgent;
};

struct row {
    const char *name;
    struct publish_rules rules;
    struct step steps[STEPS]; /* value 0 at second 0 unless given */
    int64_t published[STEPS]; /* seconds, ends with -1 */
    int64_t until;
};

static const struct row rows[] = {
    {"a value that does not change is published each minute",
     {0},
     {{0, 100, 0}},
     {0, 60, 120, -1},
     130},
    {"a step is published at once if nothing was for 5 s",
     {0},
     {{0, 100, 0}, {20, 200, 0}},
     {0, 20, 80, -1},
     100},
    {"steps in a row: one each 5 s, and the last stands",
     {0},
     {{0, 100, 0}, {2, 200, 0}, {4, 300, 0}, {6, 400, 0}, {7, 500, 0}},
     {0, 5, 10, 70, -1},
     75},
    {"a change within the deadband is held back until it has rested",
     {0},
     {{0, 100, 0}, {20, 108, 0}},
     {0, 30, 90, -1},
     95},
    {"creeping changes are published when they rest or add up to the deadband",
     {0},
     {{0, 100, 0}, {6, 106, 0}, {12, 112, 0}, {18, 118, 0}, {24, 124, 0}},
     {0, 10, 18, 34, -1},
     90},
    {"a problem is published at once, and so is the next",
     {0},
     {{0, 100, 0}, {2, 100, URGENT}, {3, 100, URGENT}},
     {0, 2, 3, 63, -1},
     70},
    {"what becomes unknown has moved",
     {0},
     {{0, 100, 0}, {9, UNKNOWN, 0}, {11, 100, 0}},
     {0, 9, 14, 74, -1},
     80},
    {"a step back within 5 s is no reason, as the readers have that value",
     {0},
     {{0, 100, 0}, {2, 300, 0}, {4, 100, 0}},
     {0, 60, -1},
     70},
    {"a report interval is kept, changed or not",
     {.report_interval_ms = 7000},
     {{0, 100, 0}, {8, 900, 0}},
     {0, 7, 14, 21, -1},
     27},
    {"a report interval, and something urgent",
     {.report_interval_ms = 30000},
     {{0, 100, 0}, {8, 100, URGENT}},
     {0, 8, 38, -1},
     45},
    {"intervals of the user",
     {.min_interval_ms = 10000, .max_interval_ms = 20000},
     {{0, 100, 0}, {3, 200, 0}, {4, 300, 0}},
     {0, 10, 30, -1},
     45},
    {"a large value goes from end to end",
     {0},
     {{0, INT64_MAX, 0}, {10, -INT64_MAX, 0}},
     {0, 10, -1},
     50},
};

static struct publish_value value_of(int64_t value)
{
    return (struct publish_value){.known = value != UNKNOWN, .value = value, .deadband = 10};
}

static void play(const struct row *row)
{
    struct publish_policy *policy = publish_policy_create(&row->rules, 1);
    assert_false(publish_policy_due(policy, 0));
    size_t step = 0, next = 0;
    struct publish_value value = value_of(0);
    for (int64_t second = 0; second <= row->until; second++) {
        bool urgent = false;
        if (step < STEPS && row->steps[step].second == second) {
            value = value_of(row->steps[step].value);
            urgent = row->steps[step++].urgent == URGENT;
        }
        publish_policy_offer(policy, second * 1000, &value, urgent);
        if (!publish_policy_due(policy, second * 1000))
            continue;
        publish_policy_published(policy, second * 1000);
        if (row->published[next] != second)
            fail_msg("%s: published at second %lld instead of %lld", row->name, (long long)second,
                     (long long)row->published[next]);
        next++;
    }
    if (row->published[next] != -1)
        fail_msg("%s: nothing at second %lld", row->name, (long long)row->published[next]);
    publish_policy_free(policy);
}

static void test_rows(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < COUNT(rows); i++)
        play(&rows[i]);
}

/* Whatever the values do: never two within 5 s, never more than 60 s without, and 15 s after they came to
 * rest, exactly or within the deadbands, the last value stands. */
static void test_random_walks(void **unused)
{
    (void)unused;
    uint64_t dice = 88172645463325252u;
    for (int round = 0; round < 400; round++) {
        const struct publish_rules rules = {0};
        struct publish_policy *policy = publish_policy_create(&rules, 2);
        struct publish_value values[2] = {{true, 0, 10}, {true, 0, INT64_MAX}};
        int64_t last_s = -1, shown = -1;
        for (int64_t second = 0; second < 300; second++) {
            dice ^= dice << 13, dice ^= dice >> 7, dice ^= dice << 17;
            int64_t walk = (int64_t)(dice % 41) - 20;
            if (second < 150 && dice % 3 == 0)
                values[0].value += walk;
            bool noise = round % 2 == 0 && second >= 150;
            if (noise)
                values[0].value += (second % 2 == 0) ? 4 : -4;
            publish_policy_offer(policy, second * 1000, values, false);
            if (publish_policy_due(policy, second * 1000)) {
                assert_true(last_s < 0 || second - last_s >= 5);
                publish_policy_published(policy, second * 1000);
                last_s = second;
                shown = values[0].value;
            }
            assert_true(second - last_s <= 60);
            if (second >= 165)
                assert_true(llabs(shown - values[0].value) <= (noise ? 10 : 0));
        }
        publish_policy_free(policy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_random_walks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
