/* SPDX-License-Identifier: MIT */
/*
 * Influx line protocol of arbitrary readings, points and names, read back by rules written from the format's
 * description: one line, three parts, each tag and field in its place, whatever the names hold. And
 * whatever an engine answers: a verdict and a clean sentence.
 */
#include "bridge/sinks/delivery.h"
#include "bridge/sinks/line_protocol.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

/* Takes the next `count` bytes of the input; zeros when it has no more. */
struct input {
    const uint8_t *data;
    size_t left;
};

static void take(struct input *input, void *target, size_t count)
{
    memset(target, 0, count);
    size_t there = count < input->left ? count : input->left;
    if (there > 0)
        memcpy(target, input->data, there);
    input->data += there;
    input->left -= there;
}

/* Bytes up to the next one of `ends` that no backslash stands before. */
static size_t part(const char *text, const char *ends)
{
    size_t i = 0;
    while (text[i] != '\0' && strchr(ends, text[i]) == NULL)
        i += text[i] == '\\' && text[i + 1] != '\0' ? 2 : 1;
    return i;
}

static const char *after_pairs(const char *at, const char *ends)
{
    do {
        size_t key = part(at, "=");
        require(key > 0 && at[key] == '=');
        at += key + 1;
        size_t value = part(at, ends);
        require(value > 0);
        at += value;
    } while (*at++ == ',');
    return at - 1;
}

static void check_line(const char *line, size_t length, const char *measurement, int64_t wall_ms)
{
    require(length > 0 && length < LINE_MAX_BYTES && strlen(line) == length);
    require(strchr(line, '\n') == line + length - 1);
    require(strncmp(line, measurement, strlen(measurement)) == 0);
    const char *at = line + strlen(measurement);
    if (*at == ',')
        at = after_pairs(at + 1, ", ");
    require(*at == ' ');
    at = after_pairs(at + 1, ", ");
    require(*at == ' ');
    char *end;
    require(strtoll(at + 1, &end, 10) == wall_ms && *end == '\n');
}

static void check_reading(struct input *input)
{
    char bridge[33], device[128], channel[128];
    struct history_reading reading;
    take(input, &reading.reading, sizeof reading.reading);
    take(input, &reading.imported_uwh, sizeof reading.imported_uwh);
    take(input, &reading.exported_uwh, sizeof reading.exported_uwh);
    take(input, &reading.factors, sizeof reading.factors);
    take(input, bridge, sizeof bridge - 1);
    take(input, device, sizeof device - 1);
    take(input, channel, sizeof channel - 1);
    bridge[sizeof bridge - 1] = device[sizeof device - 1] = channel[sizeof channel - 1] = '\0';
    reading.device = device;
    reading.channel = channel;
    reading.kind = (reading.reading.flags & 64) != 0 ? READING_OPENBEKEN : READING_BL0942;
    reading.invert = (reading.reading.flags & 32) != 0;
    if (calibration_check(&reading.factors, NULL) != STATUS_OK)
        reading.factors = calibration_default(reading.kind);
    char buffer[LINE_MAX_BYTES];
    struct text text;
    text_init(&text, buffer, sizeof buffer);
    require(line_append(&text, bridge, &reading)); /* the bound holds */
    check_line(buffer, text.length, LINE_MEASUREMENT, reading.reading.wall_ms);
}

static void take_range(struct input *input, struct history_range *range)
{
    uint8_t known;
    take(input, &known, sizeof known);
    take(input, &range->min, sizeof range->min);
    take(input, &range->mean, sizeof range->mean);
    take(input, &range->max, sizeof range->max);
    range->known = (known & 1) != 0;
}

static void check_point(struct input *input)
{
    static const char *const measurements[] = {"bl2mqtt", "bl2mqtt_minute", "bl2mqtt_quarter",
                                               "bl2mqtt_day"};
    char bridge[33], device[128], channel[128];
    uint8_t level;
    struct history_point point = {.device = device, .channel = channel};
    take(input, &level, sizeof level);
    take(input, &point.start_ms, sizeof point.start_ms);
    take(input, &point.imported_uwh, sizeof point.imported_uwh);
    take(input, &point.exported_uwh, sizeof point.exported_uwh);
    take_range(input, &point.voltage_v);
    take_range(input, &point.current_a);
    take_range(input, &point.power_w);
    take_range(input, &point.frequency_hz);
    take(input, bridge, sizeof bridge - 1);
    take(input, device, sizeof device - 1);
    take(input, channel, sizeof channel - 1);
    bridge[sizeof bridge - 1] = device[sizeof device - 1] = channel[sizeof channel - 1] = '\0';
    point.coverage_permille = level * 4 > 1000 ? 1000 : level * 4;
    level = (uint8_t)(OUTBOX_MINUTES + level % 3);
    char buffer[LINE_MAX_BYTES];
    struct text text;
    text_init(&text, buffer, sizeof buffer);
    require(line_append_point(&text, bridge, (enum outbox_level)level, &point));
    check_line(buffer, text.length, measurements[level], point.start_ms);
}

static void check_answer(const char *body)
{
    char sentence[320];
    for (int code = 100; code < 600; code += 1) {
        int64_t refused;
        enum delivery delivery = delivery_judge(HTTP_ANSWERED, code, body, &refused);
        require(refused >= 0 && (refused == 0 || delivery == DELIVERY_PARTLY));
        require((delivery == DELIVERY_DONE) == (code >= 200 && code < 300));
    }
    delivery_explain(HTTP_ANSWERED, 400, body, "", sentence, sizeof sentence);
    for (const char *c = sentence; *c != '\0'; c++)
        require(*c >= 0x20 && *c < 0x7f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, size};
    check_reading(&input);
    input = (struct input){data, size};
    check_point(&input);
    char *body = malloc(size + 1);
    require(body != NULL);
    if (size > 0)
        memcpy(body, data, size);
    body[size] = '\0';
    check_answer(body);
    free(body);
    return 0;
}
