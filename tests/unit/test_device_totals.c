/* SPDX-License-Identifier: MIT */
/* The totals of a device with several channels, over starts with other channels and with any file. */
#include "bridge/service/device_totals.h"
#include "drivers/base/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define KWH INT64_C(1000000000)

static char folder[] = "/tmp/bl2mqtt-totals-XXXXXX";
static char path[64];

static bool stored(void *context, const char *channel, int64_t *imported_uwh, int64_t *exported_uwh)
{
    (void)context;
    *imported_uwh = strcmp(channel, "a") == 0 ? 100 * KWH : 50 * KWH;
    *exported_uwh = 7;
    return true;
}

/* A start with these channels: "a", "ab", ... */
static struct device_totals start(const char *names)
{
    static char id[] = "house";
    char texts[4][2] = {""};
    struct config_channel channels[4] = {{0}};
    struct config_device config = {.id = id, .channels = channels, .channel_count = strlen(names)};
    for (size_t i = 0; i < config.channel_count; i++) {
        texts[i][0] = names[i];
        channels[i].name = texts[i];
    }
    struct preferences *preferences = preferences_open(path, NULL);
    struct device_totals totals;
    device_totals_begin(&totals, &config, preferences, stored, NULL, NULL);
    preferences_close(preferences);
    return totals;
}

static void put_file(const char *text)
{
    assert_int_equal(file_replace(path, text, strlen(text), 0600, NULL), STATUS_OK);
}

static void test_channels_come_and_go(void **state)
{
    (void)state;
    put_file("{}");
    struct device_totals totals = start("ab");
    assert_int_equal(totals.imported_uwh, 0);
    totals = start("a");
    assert_true(totals.keeps_suffixes);
    assert_int_equal(totals.imported_uwh, 50 * KWH);
    assert_int_equal(totals.exported_uwh, 7);
    assert_int_equal(start("a").imported_uwh, 50 * KWH);
    totals = start("acd");
    assert_int_equal(totals.imported_uwh, -50 * KWH);
    assert_int_equal(start("ab").imported_uwh, 0);
}

static void test_a_file_that_was_edited(void **state)
{
    (void)state;
    put_file(
        "{\"house\":{\"channels\":{\"names\":[\"a\",\"b\"],\"imported_uwh\":9223372036854775807,"
        "\"exported_uwh\":-9223372036854775808}}}");
    struct device_totals totals = start("a");
    assert_int_equal(totals.imported_uwh, INT64_MAX);
    assert_int_equal(totals.exported_uwh, INT64_MIN + 7);
    put_file("{\"house\":{\"channels\":{\"names\":\"ab\",\"imported_uwh\":\"1\"}}}");
    assert_int_equal(start("ab").imported_uwh, 0);
    put_file("{\"house\":[]}");
    assert_int_equal(start("ab").imported_uwh, 0);
}

int main(void)
{
    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof path, "%s/preferences.json", folder);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_channels_come_and_go),
        cmocka_unit_test(test_a_file_that_was_edited),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    (void)unlink(path);
    (void)rmdir(folder);
    return failed;
}
