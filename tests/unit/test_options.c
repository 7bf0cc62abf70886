/* SPDX-License-Identifier: MIT */
/* bridge/options: rows become values, refusals, help, completion. */
#include "bridge/options/layout.h"
#include "bridge/options/options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

struct sample {
    const char *device, *file;
    int64_t count, wait_ms, pause_ms, address;
    double power;
    int bucket;
    bool json;
    struct option_list pins;
};

static const char *const buckets[] = {"hour", "day", "month", NULL};

static const struct option_row rows[] = {
    {.name = "FILE",
     .kind = OPTION_OPERAND,
     .at = offsetof(struct sample, file),
     .file = true,
     .help = "a file"},
    {.name = "device",
     .kind = OPTION_TEXT,
     .argument = "D",
     .at = offsetof(struct sample, device),
     .low = 1,
     .high = 6,
     .required = "which device with --device",
     .help = "the device's id"},
    {.name = "count",
     .kind = OPTION_INTEGER,
     .argument = "N",
     .at = offsetof(struct sample, count),
     .low = 1,
     .high = 100,
     .preset = "7",
     .help = "how many"},
    {.name = "wait",
     .kind = OPTION_DURATION,
     .argument = "TIME",
     .at = offsetof(struct sample, wait_ms),
     .low = 1000,
     .high = 86400000,
     .help = "how long"},
    {.name = "pause",
     .kind = OPTION_SECONDS,
     .argument = "S",
     .at = offsetof(struct sample, pause_ms),
     .low = 0.1,
     .high = 60,
     .help = "seconds"},
    {.name = "power",
     .kind = OPTION_NUMBER,
     .argument = "W",
     .at = offsetof(struct sample, power),
     .low = -10,
     .high = 10,
     .help = "watts"},
    {.name = "bucket",
     .kind = OPTION_CHOICE,
     .argument = "B",
     .at = offsetof(struct sample, bucket),
     .choices = buckets,
     .preset = "day",
     .help = "the length of a row"},
    {.name = NULL},
};

static const struct option_row more_rows[] = {
    {.name = "address",
     .kind = OPTION_ADDRESS,
     .argument = "A",
     .at = offsetof(struct sample, address),
     .help = "where"},
    {.name = "pin",
     .kind = OPTION_LIST,
     .argument = "N",
     .at = offsetof(struct sample, pins),
     .help = "pins"},
    {.name = "flag",
     .kind = OPTION_LIST,
     .argument = "N",
     .at = offsetof(struct sample, pins),
     .help = "flags"},
    {.name = "old-device", .kind = OPTION_ALIAS, .argument = "device"},
    {.name = "json",
     .kind = OPTION_FLAG,
     .at = offsetof(struct sample, json),
     .help = "one JSON document"},
    {.name = NULL},
};

static const struct command_line line = {
    .name = "sample",
    .summary = "a sample",
    .purpose = "A command that does not exist.",
    .tables = {rows, more_rows},
    .size = sizeof(struct sample),
};

enum { WORDS_MAX = 32, OUTPUT_SIZE = 8192 };

/* Parses a command line that is given as one text, split at spaces. Standard error is put into output. */
static enum status parse(const char *text, struct sample *sample, bool *help,
                         char output[OUTPUT_SIZE])
{
    static char words[512];
    char *argv[WORDS_MAX] = {NULL};
    int argc = 0;
    (void)snprintf(words, sizeof words, "bl2mqtt%s%s", *text == '\0' ? "" : " ", text);
    for (char *rest = words, *word; (word = strsep(&rest, " ")) != NULL;)
        argv[argc++] = word;
    *sample = (struct sample){0};
    *help = false;
    FILE *file = tmpfile();
    int saved = dup(STDERR_FILENO);
    (void)fflush(stderr);
    (void)dup2(fileno(file), STDERR_FILENO);
    enum status status = options_parse(&line, argc, argv, sample, help);
    (void)fflush(stderr);
    (void)dup2(saved, STDERR_FILENO);
    (void)close(saved);
    rewind(file);
    output[fread(output, 1, OUTPUT_SIZE - 1, file)] = '\0';
    (void)fclose(file);
    return status;
}

static void test_values(void **state)
{
    (void)state;
    char output[OUTPUT_SIZE];
    struct sample sample;
    bool help;
    assert_int_equal(
        parse("--device house --count 42 --wait 5m --pause 2.5 --power -3.5 --bucket MONTH "
              "--address 0x11000 --json in.csv",
              &sample, &help, output),
        STATUS_OK);
    assert_string_equal(sample.device, "house");
    assert_string_equal(sample.file, "in.csv");
    assert_int_equal(sample.count, 42);
    assert_int_equal(sample.wait_ms, 300000);
    assert_int_equal(sample.pause_ms, 2500);
    assert_true(sample.power == -3.5);
    assert_int_equal(sample.bucket, 2);
    assert_int_equal(sample.address, 0x11000);
    assert_true(sample.json);
    assert_string_equal(output, "");
}

static void test_what_holds_without_them(void **state)
{
    (void)state;
    char output[OUTPUT_SIZE];
    struct sample sample;
    bool help;
    assert_int_equal(parse("--device=house", &sample, &help, output), STATUS_OK);
    assert_int_equal(sample.count, 7);
    assert_int_equal(sample.bucket, 1);
    assert_int_equal(sample.address, -1);
    assert_null(sample.file);
    assert_false(sample.json);
}

static void test_lists_and_older_names(void **state)
{
    (void)state;
    char output[OUTPUT_SIZE];
    struct sample sample;
    bool help;
    assert_int_equal(parse("--pin 1 --flag 2 --old-device house --pin 3", &sample, &help, output),
                     STATUS_OK);
    assert_string_equal(sample.device, "house");
    assert_int_equal(sample.pins.count, 3);
    assert_string_equal(sample.pins.items[1].name, "flag");
    assert_string_equal(sample.pins.items[2].value, "3");
    options_free(&line, &sample);
    assert_int_equal(sample.pins.count, 0);
}

static void test_refusals(void **state)
{
    (void)state;
    static const struct {
        const char *words, *says;
    } cases[] = {
        {"", "Say which device with --device"},
        {"--device d --count 0", "--count 0: give a whole number from 1 to 100."},
        {"--device d --count x", "from 1 to 100"},
        {"--device d --count", "--count needs a value"},
        {"--device d --wait 5",
         "--wait 5: give a time with its unit, such as 30s or 5m, from 1s to 1d."},
        {"--device d --pause 61", "seconds from 0.1 to 60"},
        {"--device d --power 1e3", "from -10 to 10"},
        {"--device d --bucket week", "give hour, day or month"},
        {"--device d --address zz", "such as 69632 or 0x11000"},
        {"--device d --json=yes", "--json yes: give it without a value."},
        {"--device d --devcie e", "Did you mean --device?"},
        {"--device d --p 1", "option '--p' is ambiguous"},
        {"--device d --entirely-else", "unrecognized option '--entirely-else'\nTry"},
        {"--device=", "Say which device with --device"},
        {"--device toolong", "--device toolong: give a text, in bytes from 1 to 6."},
        {"--device d -x", "unrecognized option '-x'"},
        {"--device d -xy", "unrecognized option '-x'"},
        {"--device d a b", "\"b\" is one word too many"},
        {"--device d --config f.yaml", "`bl2mqtt --config f.yaml sample`"},
        {"--config=f.yaml", "`bl2mqtt --config f.yaml sample`"},
        {"--device d --config", "`bl2mqtt --config FILE sample`"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char output[OUTPUT_SIZE];
        struct sample sample;
        bool help;
        enum status status = parse(cases[i].words, &sample, &help, output);
        options_free(&line, &sample);
        if (status != STATUS_USAGE || strstr(output, cases[i].says) == NULL)
            fail_msg("\"%s\" gave %d: %s", cases[i].words, (int)status, output);
        assert_int_equal(strncmp(output, "bl2mqtt sample: ", 16), 0);
    }
}

static void test_help_comes_first(void **state)
{
    (void)state;
    static const char *const words[] = {"--help", "-h", "--json --help", "-h --count 0",
                                        "a b --he"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        char output[OUTPUT_SIZE];
        struct sample sample;
        bool help;
        assert_int_equal(parse(words[i], &sample, &help, output), STATUS_OK);
        assert_true(help);
        assert_string_equal(output, "");
    }
}

static void read_all(FILE *file, char output[OUTPUT_SIZE])
{
    rewind(file);
    output[fread(output, 1, OUTPUT_SIZE - 1, file)] = '\0';
    (void)fclose(file);
}

static void test_help_text(void **state)
{
    (void)state;
    char output[OUTPUT_SIZE];
    for (int width = LAYOUT_WIDTH_MIN; width <= LAYOUT_WIDTH_MAX; width += 8) {
        FILE *file = tmpfile();
        options_print_help(&line, file, width);
        read_all(file, output);
        for (char *rest = output, *one; (one = strsep(&rest, "\n")) != NULL;)
            assert_true(layout_columns(one) <= width);
    }
    FILE *file = tmpfile();
    options_print_help(&line, file, LAYOUT_WIDTH_MAX);
    read_all(file, output);
    assert_non_null(strstr(output, "Usage: bl2mqtt sample [FILE] --device D [OPTION...]\n"));
    assert_non_null(strstr(
        output, "  --bucket B            the length of a row: hour, day or month (default day)\n"));
    assert_null(strstr(output, "old-device"));
}

static void complete(const char *text, char output[OUTPUT_SIZE])
{
    char copy[200];
    char *words[WORDS_MAX];
    int count = 0;
    (void)snprintf(copy, sizeof copy, "%s", text);
    for (char *rest = copy, *word; (word = strsep(&rest, " ")) != NULL;)
        words[count++] = word;
    FILE *file = tmpfile();
    options_complete(&line, count, words, file);
    read_all(file, output);
}

static void test_completion(void **state)
{
    (void)state;
    char output[OUTPUT_SIZE];
    complete("--d", output);
    assert_string_equal(output, "--device\n<files>\n");
    complete("--bucket m", output);
    assert_string_equal(output, "month\n");
    complete("--bucket ", output);
    assert_string_equal(output, "hour\nday\nmonth\n");
    complete("--device ", output);
    assert_string_equal(output, "");
    complete("--json --he", output);
    assert_string_equal(output, "--help\n<files>\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_what_holds_without_them),
        cmocka_unit_test(test_lists_and_older_names),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_help_comes_first),
        cmocka_unit_test(test_help_text),
        cmocka_unit_test(test_completion),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
