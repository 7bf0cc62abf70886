/* SPDX-License-Identifier: MIT */
/* The pure parts of the sinks: lines, what answers mean, when to try again; and the outbox. */
#include "bridge/history/outbox.h"
#include "bridge/sinks/delivery.h"
#include "bridge/sinks/line_protocol.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const struct history_reading plain = {
    .device = "house",
    .channel = "a",
    .kind = READING_BL0942,
    .reading = {.wall_ms = 1764000000123,
                .present = READING_ALL,
                .voltage = 3652000,
                .current = 158085,
                .power = 89993,
                .frequency = 20004},
    .factors = {15883.3, 128118.9, 317.9},
    .imported_uwh = 366494,
    .exported_uwh = 0,
};

static void expect_line(const struct history_reading *reading, const char *bridge,
                        const char *expected)
{
    char buffer[LINE_MAX_BYTES];
    struct text text;
    text_init(&text, buffer, sizeof buffer);
    assert_true(line_append(&text, bridge, reading));
    assert_string_equal(buffer, expected);
}

static void test_lines(void **state)
{
    (void)state;
    struct history_reading reading = plain;
    expect_line(&reading, "home",
                "bl2mqtt,bridge=home,channel=a,device=house voltage=229.927,current=1.234,"
                "power=283.086,frequency=49.990,energy=0.000366494,energy_produced=0.000000000 "
                "1764000000123\n");
    reading.invert = true;
    reading.reading.present = READING_POWER;
    reading.imported_uwh = 0;
    reading.exported_uwh = 1234567890123;
    expect_line(&reading, "home",
                "bl2mqtt,bridge=home,channel=a,device=house power=-283.086,energy=0.000000000,"
                "energy_produced=1234.567890123 1764000000123\n");
    reading.reading.present = READING_FREQUENCY;
    reading.reading.frequency = 0; /* no mains: nothing to tell, and no division */
    expect_line(&reading, "",
                "bl2mqtt,channel=a,device=house energy=0.000000000,energy_produced=1234.567890123 "
                "1764000000123\n");
    /* After an absence. */
    reading.counted_for_ms = 32400500;
    expect_line(&reading, "home",
                "bl2mqtt,bridge=home,channel=a,device=house energy=0.000000000,"
                "energy_produced=1234.567890123,energy_over=32400.500 1764000000123\n");
    /* A module's own units, and names that a file may have. */
    reading = plain;
    reading.kind = READING_OPENBEKEN;
    reading.device = "a b,c=d\\\n\"\xc3\xa4";
    reading.factors = (struct calibration){1000, 1000, 1000};
    reading.reading.voltage = 230100;
    reading.reading.frequency = 50010;
    reading.reading.present = READING_VOLTAGE | READING_FREQUENCY;
    expect_line(&reading, "home",
                "bl2mqtt,bridge=home,channel=a,device=a\\ b\\,c\\=d__\"\xc3\xa4 voltage=230.100,"
                "frequency=50.010,energy=0.000366494,energy_produced=0.000000000 1764000000123\n");
}

static void test_points(void **state)
{
    (void)state;
    struct history_point point = {
        .device = "house",
        .channel = "a",
        .start_ms = 1764000000000,
        .imported_uwh = 4718333,
        .exported_uwh = 1,
        .voltage_v = {true, 229.9111, 230.1274, 230.4019},
        .current_a = {true, 0, 1.2, 16.0006},
        .power_w = {true, -3.5, 283.0859, 3680},
        .frequency_hz = {true, 49.99, 50.0001, 50.012},
        .coverage_permille = 983,
    };
    const struct {
        enum outbox_level level;
        const char *measurement;
    } levels[] = {{OUTBOX_MINUTES, "bl2mqtt_minute"},
                  {OUTBOX_QUARTERS, "bl2mqtt_quarter"},
                  {OUTBOX_DAYS, "bl2mqtt_day"}};
    char buffer[LINE_MAX_BYTES];
    char expected[LINE_MAX_BYTES];
    struct text text;
    for (size_t i = 0; i < sizeof levels / sizeof levels[0]; i++) {
        text_init(&text, buffer, sizeof buffer);
        assert_true(line_append_point(&text, "ho me", levels[i].level, &point));
        (void)snprintf(expected, sizeof expected,
                       "%s,bridge=ho\\ me,channel=a,device=house voltage_min=229.911,"
                       "voltage_mean=230.127,voltage_max=230.402,current_min=0.000,"
                       "current_mean=1.200,current_max=16.001,power_min=-3.500,power_mean=283.086,"
                       "power_max=3680.000,frequency_min=49.990,frequency_mean=50.000,"
                       "frequency_max=50.012,energy=0.004718333,energy_produced=0.000000001,"
                       "coverage=0.983 1764000000000\n",
                       levels[i].measurement);
        assert_string_equal(buffer, expected);
    }
    /* An absence. */
    struct history_point absent = {.device = "house",
                                   .channel = "a",
                                   .start_ms = 1764000000000,
                                   .imported_uwh = 33333333,
                                   .estimated_imported_uwh = 33333333};
    text_init(&text, buffer, sizeof buffer);
    assert_true(line_append_point(&text, "", OUTBOX_MINUTES, &absent));
    assert_string_equal(buffer, "bl2mqtt_minute,channel=a,device=house energy=0.033333333,"
                                "energy_produced=0.000000000,energy_estimated=0.033333333,"
                                "coverage=0.000 1764000000000\n");
    /* What was not measured is not there, and what does not fit leaves nothing behind. */
    point.voltage_v.known = point.current_a.known = point.power_w.known = false;
    point.frequency_hz.mean = point.frequency_hz.max = 1.0 / 0.0;
    point.coverage_permille = 1000;
    text_init(&text, buffer, sizeof buffer);
    assert_true(line_append_point(&text, "", OUTBOX_DAYS, &point));
    assert_string_equal(buffer, "bl2mqtt_day,channel=a,device=house frequency_min=49.990,"
                                "energy=0.004718333,energy_produced=0.000000001,coverage=1.000 "
                                "1764000000000\n");
    size_t needed = text.length + 1;
    text_init(&text, buffer, needed - 1);
    assert_false(line_append_point(&text, "", OUTBOX_DAYS, &point));
    assert_string_equal(buffer, "");
    assert_false(text.cut);
}

static void test_no_room(void **state)
{
    (void)state;
    char buffer[400];
    struct text whole;
    text_init(&whole, buffer, sizeof buffer);
    assert_true(line_append(&whole, "home", &plain));
    size_t needed = whole.length + 1;
    for (size_t size = 1; size < sizeof buffer; size++) {
        struct text text;
        text_init(&text, buffer, size);
        bool fits = line_append(&text, "home", &plain);
        assert_int_equal(fits, size >= needed);
        if (!fits)
            assert_string_equal(buffer, "");
        assert_false(text.cut);
    }
    struct text text;
    text_init(&text, buffer, sizeof buffer);
    assert_true(line_append(&text, "home", &plain));
    assert_true(line_append(&text, "home", &plain));
    size_t length = text.length;
    assert_false(line_append(&text, "home", &plain)); /* the others stay */
    assert_int_equal(text.length, length);
    assert_int_equal(strlen(buffer), length);
}

static void test_query(void **state)
{
    (void)state;
    char buffer[64];
    struct text text;
    text_init(&text, buffer, sizeof buffer);
    line_append_query(&text, "a b&c=d/\xc3\xa4%~");
    assert_string_equal(buffer, "a%20b%26c%3Dd%2F%C3%A4%25~");
}

static void test_answers(void **state)
{
    (void)state;
    static const char partial[] =
        "{\"error\":\"partial write: field type conflict: input field \\\"power\\\" is type float, "
        "already exists as type integer dropped=3\"}";
    const struct {
        enum http_outcome outcome;
        int code;
        const char *body;
        enum delivery expected;
        int64_t refused;
        const char *words;
    } table[] = {
        {HTTP_ANSWERED, 204, "", DELIVERY_DONE, 0, "HTTP 204"},
        {HTTP_ANSWERED, 200, "", DELIVERY_DONE, 0, "HTTP 200"},
        {HTTP_ANSWERED, 400, partial, DELIVERY_PARTLY, 3, "field type conflict"},
        {HTTP_ANSWERED, 422, partial, DELIVERY_PARTLY, 3, "HTTP 422"},
        {HTTP_ANSWERED, 400, "partial write: dropped=x", DELIVERY_DIVIDE, 0, "HTTP 400"},
        {HTTP_ANSWERED, 400, "{\"error\":\"unable to parse\"}", DELIVERY_DIVIDE, 0, "unable"},
        {HTTP_ANSWERED, 413, "", DELIVERY_DIVIDE, 0, "smaller batch"},
        {HTTP_ANSWERED, 401, "no\r\n\"token\"", DELIVERY_SETTING, 0,
         "saying \"no   token \"; check token"},
        {HTTP_ANSWERED, 403, "", DELIVERY_SETTING, 0, "check token"},
        {HTTP_ANSWERED, 404, "", DELIVERY_SETTING, 0, "database or bucket"},
        {HTTP_ANSWERED, 302, "", DELIVERY_SETTING, 0, "another address"},
        {HTTP_ANSWERED, 408, "", DELIVERY_LATER, 0, "HTTP 408"},
        {HTTP_ANSWERED, 429, "", DELIVERY_LATER, 0, "too much"},
        {HTTP_ANSWERED, 500, "", DELIVERY_LATER, 0, "HTTP 500"},
        {HTTP_ANSWERED, 503, partial, DELIVERY_LATER, 0, "HTTP 503"},
        {HTTP_NOT_REACHED, 0, "", DELIVERY_LATER, 0, "nobody answers"},
        {HTTP_HOST_UNKNOWN, 0, "", DELIVERY_LATER, 0, "not known"},
        {HTTP_TIMED_OUT, 0, "", DELIVERY_LATER, 0, "in time"},
        {HTTP_BROKEN, 0, "", DELIVERY_LATER, 0, "broke"},
        {HTTP_FAILED, 0, "", DELIVERY_LATER, 0, "the words"},
        {HTTP_NOT_HTTP, 0, "", DELIVERY_SETTING, 0, "not a time-series engine"},
        {HTTP_TOO_LONG, 0, "", DELIVERY_SETTING, 0, "not a time-series engine"},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        int64_t refused;
        char sentence[320];
        enum delivery got =
            delivery_judge(table[i].outcome, table[i].code, table[i].body, &refused);
        delivery_explain(table[i].outcome, table[i].code, table[i].body, "the words", sentence,
                         sizeof sentence);
        if (got != table[i].expected || refused != table[i].refused ||
            strstr(sentence, table[i].words) == NULL)
            fail_msg("row %zu: %d, %d refused, \"%s\"", i, (int)got, (int)refused, sentence);
    }
}

static void test_delays(void **state)
{
    (void)state;
    int64_t before = 0;
    for (unsigned failures = 1; failures < 100; failures++) {
        int64_t minimum = delivery_delay_ms(failures, 0);
        int64_t most = delivery_delay_ms(failures, 1);
        assert_int_equal(most, minimum * 2);
        assert_true(minimum >= 500 && most <= DELIVERY_DELAY_MAX_MS && minimum >= before);
        before = minimum;
    }
    assert_int_equal(before * 2, DELIVERY_DELAY_MAX_MS);
    assert_int_equal(delivery_delay_ms(1, 1), 1000);
    assert_int_equal(delivery_delay_ms(4, 1), 8000);
}

static void test_retry_after(void **state)
{
    (void)state;
    static const struct {
        unsigned failures;
        int code;
        int64_t asked_ms, least_ms, most_ms;
    } table[] = {
        {1, 429, 0, 500, 1000},        /* it does not say */
        {1, 429, 20000, 20000, 25000}, /* not before, and not all at once */
        {1, 503, 20000, 20000, 25000},
        {1, 500, 20000, 500, 1000}, /* only these two mean it */
        {1, 0, 20000, 500, 1000},
        {6, 429, 1000, 16000, 32000},     /* longer than it asks for after many failures */
        {1, 503, 280000, 280000, 300000}, /* never more than five minutes */
        {1, 503, 86400000, 300000, 300000},
        {1, 503, INT64_MAX, 300000, 300000},
        {1, 503, -5000, 500, 1000},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        int64_t minimum = delivery_wait_ms(table[i].failures, 0, table[i].code, table[i].asked_ms);
        int64_t most = delivery_wait_ms(table[i].failures, 1, table[i].code, table[i].asked_ms);
        if (minimum != table[i].least_ms || most != table[i].most_ms)
            fail_msg("row %zu: %lld to %lld", i, (long long)minimum, (long long)most);
    }
}

/* ---- the outbox ---- */

static void test_outbox(void **state)
{
    (void)state;
    struct outboxes outboxes = {.writing = INT64_MAX};
    struct outbox *outbox = outboxes_open(&outboxes, "one", OUTBOX_READINGS, 100);
    assert_ptr_equal(outboxes_open(&outboxes, "one", OUTBOX_READINGS, 5), outbox);
    assert_int_equal(outbox->cursor, 100);

    /* The usual: what is written meanwhile stands behind what was read. */
    assert_int_equal(outbox_begin(&outboxes, outbox), 100);
    outboxes_writing(&outboxes, 201);
    outboxes_written(&outboxes);
    outbox_done(outbox, 200, 0);
    assert_int_equal(outbox->cursor, 200);

    /* Written in the midst of what was read, after it was read. */
    assert_int_equal(outbox_begin(&outboxes, outbox), 200);
    outboxes_writing(&outboxes, 250);
    outboxes_written(&outboxes);
    outbox_done(outbox, 300, 0);
    assert_int_equal(outbox->cursor, 249);

    /* Under way when the reading began, so perhaps not to be seen. */
    outboxes_writing(&outboxes, 280);
    assert_int_equal(outbox_begin(&outboxes, outbox), 249);
    outboxes_written(&outboxes);
    outbox_done(outbox, 300, 0);
    assert_int_equal(outbox->cursor, 279);

    /* Written before the cursor: back, also if something is being sent meanwhile. */
    assert_int_equal(outbox_begin(&outboxes, outbox), 279);
    outbox->dirty = false;
    outboxes_writing(&outboxes, 50);
    assert_int_equal(outbox->cursor, 49);
    assert_true(outbox->dirty);
    outboxes_written(&outboxes);
    outbox_done(outbox, 400, 2);
    assert_int_equal(outbox->cursor, 49);
    assert_int_equal(outbox->refused, 2);
    assert_int_equal(outbox_begin(&outboxes, outbox), 49);
    outbox_done(outbox, 400, 0);
    assert_int_equal(outbox->cursor, 400);

    outbox->dirty = false;
    assert_int_equal(outbox_begin(&outboxes, outbox), 400);
    outbox_done(outbox, 400, 0); /* nothing new: nothing to store */
    assert_false(outbox->dirty);
    for (int i = 0; i < OUTBOX_LIST_MAX - 1; i++) {
        char id[8] = {'x', (char)('a' + i / 26), (char)('a' + i % 26)};
        assert_non_null(outboxes_open(&outboxes, id, OUTBOX_READINGS, 0));
    }
    assert_null(outboxes_open(&outboxes, "one too many", OUTBOX_READINGS, 0));
}

/* Each level has a cursor of its own, and a change of the past moves those that it is about. */
static void test_outbox_levels(void **state)
{
    (void)state;
    struct outboxes outboxes = {.writing = INT64_MAX};
    struct outbox *list[OUTBOX_LEVELS];
    for (int level = 0; level < OUTBOX_LEVELS; level++) {
        list[level] = outboxes_open(&outboxes, "one", (enum outbox_level)level, 1000);
        list[level]->dirty = false;
        assert_int_equal(outbox_begin(&outboxes, list[level]), 1000);
    }
    assert_ptr_equal(outboxes_open(&outboxes, "one", OUTBOX_DAYS, 5), list[OUTBOX_DAYS]);

    /* A late reading stands behind the readings; rows are only what a change says. */
    outboxes_writing(&outboxes, 500);
    assert_int_equal(list[OUTBOX_READINGS]->cursor, 499);
    assert_int_equal(list[OUTBOX_MINUTES]->cursor, 1000);
    assert_int_equal(outbox_begin(&outboxes, list[OUTBOX_MINUTES]), 1000);
    outboxes_written(&outboxes);
    struct outbox_changes changes = OUTBOX_NO_CHANGES;
    outbox_changes_note(&changes, OUTBOX_MINUTES, 480);
    outbox_changes_note(&changes, OUTBOX_MINUTES, 490);
    outbox_changes_note(&changes, OUTBOX_DAYS, 0);
    outboxes_changed(&outboxes, &changes);
    assert_int_equal(list[OUTBOX_MINUTES]->cursor, 479);
    assert_true(list[OUTBOX_MINUTES]->dirty);
    assert_int_equal(list[OUTBOX_QUARTERS]->cursor, 1000);
    assert_false(list[OUTBOX_QUARTERS]->dirty);
    assert_int_equal(list[OUTBOX_DAYS]->cursor, 0);

    /* What was read before the change is not confirmed beyond it. */
    outbox_done(list[OUTBOX_MINUTES], 1200, 0);
    outbox_done(list[OUTBOX_DAYS], 1200, 0);
    outbox_done(list[OUTBOX_QUARTERS], 1200, 0);
    assert_int_equal(list[OUTBOX_MINUTES]->cursor, 479);
    assert_int_equal(list[OUTBOX_DAYS]->cursor, 0);
    assert_int_equal(list[OUTBOX_QUARTERS]->cursor, 1200);

    /* A change of what is not sent yet, while it is read. */
    assert_int_equal(outbox_begin(&outboxes, list[OUTBOX_QUARTERS]), 1200);
    changes = OUTBOX_NO_CHANGES;
    outbox_changes_note(&changes, OUTBOX_QUARTERS, 1300);
    outboxes_changed(&outboxes, &changes);
    outbox_done(list[OUTBOX_QUARTERS], 1400, 0);
    assert_int_equal(list[OUTBOX_QUARTERS]->cursor, 1299);
    struct outbox_changes more = OUTBOX_NO_CHANGES;
    outbox_changes_note(&more, OUTBOX_QUARTERS, 7);
    outbox_changes_add(&changes, &more);
    assert_int_equal(changes.minimum[OUTBOX_QUARTERS], 7);
    assert_int_equal(changes.minimum[OUTBOX_READINGS], INT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),         cmocka_unit_test(test_points),
        cmocka_unit_test(test_no_room),       cmocka_unit_test(test_query),
        cmocka_unit_test(test_answers),       cmocka_unit_test(test_delays),
        cmocka_unit_test(test_retry_after),   cmocka_unit_test(test_outbox),
        cmocka_unit_test(test_outbox_levels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
