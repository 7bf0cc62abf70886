/* SPDX-License-Identifier: MIT */
/* bridge/service/event_gate: what input can cause fills neither the history nor the broker. */
#include "bridge/service/event_gate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_bounded_and_counted(void **unused)
{
    (void)unused;
    struct event_gate *gate = event_gate_create();
    char sentence[256] = "";
    unsigned passed = 0;
    for (int64_t i = 0; i < 4000; i++)
        passed += event_gate_pass(gate, "unit_changed", "house", "a", "It changed.", i, sentence,
                                  sizeof sentence);
    assert_int_equal(passed, EVENT_GATE_BURST);
    assert_string_equal(sentence, "It changed.");
    /* Others are not held back by it. */
    assert_true(event_gate_pass(gate, "unit_changed", "house", "b", "It changed.", 4000, sentence,
                                sizeof sentence));
    assert_true(
        event_gate_pass(gate, "offline", "house", "a", "Gone.", 4000, sentence, sizeof sentence));
    assert_true(event_gate_pass(gate, "clock_stepped", NULL, NULL, "Set.", 4000, sentence,
                                sizeof sentence));
    /* Nothing is lost without a word. */
    assert_true(event_gate_pass(gate, "unit_changed", "house", "a", "It changed.",
                                EVENT_GATE_PERIOD_MS, sentence, sizeof sentence));
    assert_non_null(strstr(sentence, "3990 more events"));
    event_gate_free(gate);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_bounded_and_counted)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
