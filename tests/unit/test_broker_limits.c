/* SPDX-License-Identifier: MIT */
/* bridge/mqtt/broker_limits and reason: what a broker accepts, announced or learned, and named. */
#include "bridge/mqtt/broker_limits.h"
#include "bridge/mqtt/reason.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static char sentences[BROKER_LIMITS_PROBLEMS][BROKER_LIMITS_SENTENCE];

static void lose(struct broker_limits *limits, const char *topic, size_t size, int64_t stood_ms)
{
    const struct broker_limits_end end = {.kind = CONNECTION_LOST,
                                          .was_connected = true,
                                          .stood_ms = stood_ms,
                                          .topic = topic,
                                          .size = size};
    (void)broker_limits_connected(limits, &CONNECTION_NO_LIMITS);
    broker_limits_ended(limits, &end);
}

static void refuse(struct broker_limits *limits, enum connection_end_kind kind, int code)
{
    const struct broker_limits_end end = {.kind = kind, .code = code};
    broker_limits_ended(limits, &end);
}

static void test_an_announced_limit_is_obeyed_and_named(void **unused)
{
    (void)unused;
    struct broker_limits limits;
    broker_limits_init(&limits, 5, true);
    struct connection_limits announced = {.packet_max = 2048, .qos_max = 0, .retain = false};
    assert_false(broker_limits_connected(&limits, &announced));
    assert_true(broker_limits_admit(&limits, "b/small", 2048));
    assert_int_equal(broker_limits_qos(&limits, 1), 0);
    assert_false(broker_limits_retain(&limits));
    assert_false(broker_limits_may_clear(&limits));
    assert_int_equal(broker_limits_problems(&limits, sentences), 2);
    assert_false(broker_limits_admit(&limits, "b/bridge/devices", 2049));
    assert_false(broker_limits_admit(&limits, "b/bridge/info", 2050));
    assert_int_equal(broker_limits_problems(&limits, sentences), 3);
    assert_non_null(strstr(sentences[0], "2048 bytes"));
    assert_non_null(strstr(sentences[0], "b/bridge/info (2050 bytes)"));
    /* The broker was set up anew. */
    assert_false(broker_limits_connected(&limits, &CONNECTION_NO_LIMITS));
    assert_true(broker_limits_admit(&limits, "b/bridge/devices", 1 << 20));
    assert_int_equal(broker_limits_problems(&limits, sentences), 0);
}

static void test_3_1_1_asks_in_5(void **unused)
{
    (void)unused;
    struct broker_limits limits;
    broker_limits_init(&limits, 4, true);
    lose(&limits, "b/devices", 3000, 200);
    assert_int_equal(broker_limits_version(&limits), 4);
    lose(&limits, "b/devices", 3000, 200);
    assert_int_equal(broker_limits_version(&limits), 5);
    struct connection_limits announced = {.packet_max = 2048, .qos_max = 2, .retain = true};
    assert_true(broker_limits_connected(&limits, &announced));
    assert_int_equal(broker_limits_version(&limits), 5);
    assert_false(broker_limits_admit(&limits, "b/devices", 3000));
    lose(&limits, NULL, 0, 100000);
    assert_int_equal(broker_limits_version(&limits), 5); /* and stays with it */
}

static void test_3_1_1_alone_learns_from_losses(void **unused)
{
    (void)unused;
    struct broker_limits limits;
    broker_limits_init(&limits, 4, true);
    lose(&limits, "b/devices", 3000, 200);
    lose(&limits, "b/devices", 3000, 200);
    refuse(&limits, CONNECTION_DROPPED, -1); /* the attempt in MQTT 5 */
    assert_int_equal(broker_limits_version(&limits), 4);
    assert_true(broker_limits_admit(&limits, "b/devices", 3000));
    lose(&limits, "b/devices", 3000, 200);
    assert_false(broker_limits_admit(&limits, "b/devices", 3000));
    assert_false(broker_limits_admit(&limits, "b/other", 4000));
    assert_true(broker_limits_admit(&limits, "b/house", 2999));
    (void)broker_limits_connected(&limits, &CONNECTION_NO_LIMITS);
    assert_false(broker_limits_admit(&limits, "b/devices", 3000));
    assert_int_equal(broker_limits_problems(&limits, sentences), 1);
    assert_non_null(strstr(sentences[0], "b/devices (3000 bytes)"));
    /* A smaller one may be too large as well. */
    for (int i = 0; i < 3; i++)
        lose(&limits, "b/info", 2500, 200);
    assert_false(broker_limits_admit(&limits, "b/info", 2500));
    /* It was another reason, or the broker was set up anew: found out when the connection ends. */
    lose(&limits, NULL, 0, BROKER_LIMITS_STABLE_MS);
    assert_true(broker_limits_admit(&limits, "b/devices", 3000));
}

static void test_other_losses_hold_nothing_back(void **unused)
{
    (void)unused;
    struct broker_limits limits;
    broker_limits_init(&limits, 5, true);
    for (int i = 0; i < 20; i++) {
        lose(&limits, i % 2 == 0 ? "b/x" : "b/y", 5000, 100); /* not the same one */
        lose(&limits, "b/small", 200, 100);                   /* not a large one */
        lose(&limits, "b/z", 5000, 60000);                    /* not soon */
        refuse(&limits, CONNECTION_UNREACHABLE, -1);
    }
    assert_true(broker_limits_admit(&limits, "b/x", 5000));
    assert_int_equal(broker_limits_version(&limits), 5);
}

static void test_refusals_teach(void **unused)
{
    (void)unused;
    struct broker_limits limits;
    broker_limits_init(&limits, 4, true);
    refuse(&limits, CONNECTION_DROPPED, -1);
    refuse(&limits, CONNECTION_DROPPED, -1);
    assert_int_equal(broker_limits_version(&limits), 5);
    refuse(&limits, CONNECTION_REFUSED, REASON_RETAIN_NOT_SUPPORTED);
    assert_false(broker_limits_retain(&limits)); /* not even the will */
    refuse(&limits, CONNECTION_REFUSED, REASON_QOS_NOT_SUPPORTED);
    assert_int_equal(broker_limits_qos(&limits, 1), 0);
    assert_int_equal(broker_limits_version(&limits), 4);
    (void)broker_limits_connected(&limits, &CONNECTION_NO_LIMITS); /* 3.1.1: it announces nothing */
    assert_false(broker_limits_retain(&limits));
    assert_int_equal(broker_limits_problems(&limits, sentences), 2);
}

static void test_without_retain_only_what_is_seen_is_cleared(void **unused)
{
    (void)unused;
    struct broker_limits limits;
    broker_limits_init(&limits, 4, false);
    (void)broker_limits_connected(&limits, &CONNECTION_NO_LIMITS);
    assert_false(broker_limits_retain(&limits));
    assert_false(broker_limits_may_clear(&limits));
    limits.seen_retained = true;
    assert_true(broker_limits_may_clear(&limits));
    assert_int_equal(broker_limits_problems(&limits, sentences), 0);
}

static void test_every_reason_has_words(void **unused)
{
    (void)unused;
    const char *unknown = reason_text(0x7f);
    for (int code = 0x80; code <= 0xa2; code++)
        assert_true(strcmp(reason_text(code), unknown) != 0);
    for (int code = 1; code <= 5; code++)
        assert_true(strcmp(reason_text(code), unknown) != 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_announced_limit_is_obeyed_and_named),
        cmocka_unit_test(test_3_1_1_asks_in_5),
        cmocka_unit_test(test_3_1_1_alone_learns_from_losses),
        cmocka_unit_test(test_other_losses_hold_nothing_back),
        cmocka_unit_test(test_refusals_teach),
        cmocka_unit_test(test_without_retain_only_what_is_seen_is_cleared),
        cmocka_unit_test(test_every_reason_has_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
