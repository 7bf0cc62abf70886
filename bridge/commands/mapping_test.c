/* SPDX-License-Identifier: MIT */
/* `bl2mqtt mapping test`: what becomes of a meter's messages. See bl2mqtt-mapping(1). */
#include "bridge/commands/command.h"

#include "bridge/config/mapping_file.h"
#include "drivers/mapping/trial.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NAME "mapping test"
#define LINE_MAX_BYTES ((size_t)64 * 1024)

struct options {
    const char *file, *topic;
    bool json;
};

struct work {
    const struct options *options;
    json_t *readings, *remarks;
    size_t message;
};

static void take_reading(void *context, const char *channel, const struct reading *reading)
{
    struct work *work = context;
    json_t *json =
        json_pack("{s:I, s:s}", "message", (json_int_t)work->message, "channel", channel);
    if (!work->options->json)
        (void)printf("%zu  %s", work->message, channel);
    for (unsigned i = 0; i < MAPPING_QUANTITY_COUNT; i++) {
        double value;
        const char *name = mapping_quantity_name((enum mapping_quantity)i);
        if (!mapping_reading_value(reading, (enum mapping_quantity)i, &value))
            continue;
        (void)json_object_set_new(json, name, json_real(value));
        if (!work->options->json)
            (void)printf("  %s %.10g", name, value);
    }
    if (!work->options->json)
        (void)printf("\n");
    (void)json_array_append_new(work->readings, json);
}

static void take_remark(void *context, const char *channel, const char *text)
{
    struct work *work = context;
    (void)json_array_append_new(work->remarks,
                                json_pack("{s:I, s:s, s:s}", "message", (json_int_t)work->message,
                                          "channel", channel, "text", text));
    (void)fprintf(stderr, "%zu  %s  %s\n", work->message, channel, text);
}

/* As `mosquitto_sub -v` prints them: topic, blank, payload. */
static size_t feed(struct work *work, struct mapping_trial *trial, int64_t wait_ms)
{
    char *line = NULL;
    size_t room = 0, others = 0;
    ssize_t length;
    while ((length = getline(&line, &room, stdin)) > 0) {
        size_t size = (size_t)length;
        work->message++;
        if (line[size - 1] == '\n')
            line[--size] = '\0';
        char *blank = strchr(line, ' ');
        size_t topic_length = blank == NULL ? size : (size_t)(blank - line);
        line[topic_length] = '\0';
        size_t at = topic_length < size ? topic_length + 1 : size;
        if (size > LINE_MAX_BYTES ||
            !mapping_trial_message(trial, line, line + at, size - at, false))
            others++;
        mapping_trial_wait(trial, wait_ms);
    }
    free(line);
    return others;
}

static enum status answer(struct work *work, const struct mapping *mapping, size_t others,
                          uint64_t bad)
{
    struct error error = {""};
    if (work->options->json)
        return command_print_json(
            NAME,
            json_pack("{s:s, s:I, s:I, s:I, s:I, s:o, s:o}", "mapping", mapping->name, "own_tests",
                      (json_int_t)mapping->test_count, "messages", (json_int_t)work->message,
                      "other_messages", (json_int_t)others, "bad_values", (json_int_t)bad,
                      "readings", work->readings, "remarks", work->remarks),
            JSON_INDENT(2));
    (void)printf("%s: its own %zu messages are read as they should be.\n", mapping->name,
                 mapping->test_count);
    if (work->message > 0)
        (void)printf("%zu messages: %zu readings, %zu messages on topics that the mapping does not "
                     "name, %llu values that are no numbers or cannot be.\n",
                     work->message, json_array_size(work->readings), others,
                     (unsigned long long)bad);
    json_decref(work->readings);
    json_decref(work->remarks);
    return command_end(NAME, command_flush(&error), &error);
}

static enum status run(const struct command_context *context, void *own)
{
    (void)context;
    struct error error = {""};
    struct mapping *mapping = NULL;
    struct work work = {.options = own};
    enum status status = mapping_load(work.options->file, &mapping, &error);
    if (status == STATUS_OK)
        status = mapping_self_test(mapping, &error);
    if (status != STATUS_OK) {
        mapping_free(mapping);
        return command_fail(NAME, status, &error);
    }
    const struct mapping_trial_sink sink = {&work, take_reading, take_remark};
    struct mapping_trial *trial = mapping_trial_create(mapping, work.options->topic, &sink);
    work.readings = json_array();
    work.remarks = json_array();
    /* Messages that belong together come close to each other; the last of them ends the reading. */
    size_t others = isatty(STDIN_FILENO) ? 0 : feed(&work, trial, 100);
    mapping_trial_wait(trial, mapping->group_ms + 200);
    status = answer(&work, mapping, others, mapping_trial_bad_values(trial));
    mapping_trial_free(trial);
    mapping_free(mapping);
    return status;
}

static const struct option_row rows[] = {
    {.name = "FILE",
     .kind = OPTION_OPERAND,
     .at = offsetof(struct options, file),
     .required = "which mapping: a file that ends with .yaml, or the name of a built-in one",
     .help = "the mapping: a file of your own that ends with .yaml, or a built-in one's name",
     .file = true},
    {.name = "topic",
     .kind = OPTION_TEXT,
     .argument = "T",
     .at = offsetof(struct options, topic),
     .preset = "meter",
     .help = "what {base} stands for in the mapping's topics"},
    {.name = "json",
     .kind = OPTION_FLAG,
     .at = offsetof(struct options, json),
     .help = "one JSON document instead of text"},
    {.name = NULL},
};

const struct command command_mapping_test = {
    .line = {.name = NAME,
             .summary = "try a mapping for a meter on MQTT",
             .purpose =
                 "Runs the messages in a mapping file, then reads messages from standard input, "
                 "as mosquitto_sub -v prints them, and shows the readings that come of them.",
             .tables = {rows},
             .size = sizeof(struct options)},
    .run = run,
};
