/* SPDX-License-Identifier: MIT */
/* The pure parts of the sinks: lines, what answers mean, when to try again; and the outbox. */
#include "bridge/history/outbox.h"
#include "bridge/sinks/delivery.h"
#include "bridge/sinks/line_protocol.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
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
        int64_t least = delivery_delay_ms(failures, 0);
        int64_t most = delivery_delay_ms(failures, 1);
        assert_int_equal(most, least * 2);
        assert_true(least >= 500 && most <= DELIVERY_DELAY_MAX_MS && least >= before);
        before = least;
    }
    assert_int_equal(before * 2, DELIVERY_DELAY_MAX_MS);
    assert_int_equal(delivery_delay_ms(1, 1), 1000);
    assert_int_equal(delivery_delay_ms(4, 1), 8000);
}

/* ---- the outbox ---- */

static void test_outbox(void **state)
{
    (void)state;
    struct outboxes outboxes = {.writing = INT64_MAX};
    struct outbox *outbox = outboxes_open(&outboxes, "one", 100);
    assert_ptr_equal(outboxes_open(&outboxes, "one", 5), outbox);
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
    for (int i = 0; i < OUTBOX_MAX * 2 - 1; i++) {
        char id[8] = {'x', (char)('a' + i)};
        assert_non_null(outboxes_open(&outboxes, id, 0));
    }
    assert_null(outboxes_open(&outboxes, "one too many", 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),  cmocka_unit_test(test_no_room),
        cmocka_unit_test(test_query),  cmocka_unit_test(test_answers),
        cmocka_unit_test(test_delays), cmocka_unit_test(test_outbox),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
