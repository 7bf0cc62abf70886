/* SPDX-License-Identifier: MIT */
/*
 * A mapping file on arbitrary bytes; and the built-in ones with arbitrary messages: the first byte
 * chooses mapping and topic, the rest is the payload, a message a line. A reading's values are within
 * their ranges, whatever came, and its energy never lowers a total or adds what no load can draw.
 */
#include "bridge/config/mapping_file.h"
#include "bridge/meter/meter.h"
#include "drivers/mapping/trial.h"

#include <stdlib.h>
#include <string.h>

#define CHANNELS 3

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

struct channel {
    struct meter *meter;
    int64_t drawn_uwh, fed_back_uwh;
};

/* What is believed of a load: twice 80 A at 230 V if it is measured so, a fifth more for errors; and once
 * ten seconds of it and 20 Wh (metered.h). */
static int64_t most_uwh(int64_t ms)
{
    return (ms + 10000) * INT64_C(80 * 230 * 2400) / 3600 + 20000000;
}

static void account(struct channel *channel, const struct reading *reading)
{
    struct meter_result result;
    meter_accept(channel->meter, reading, &result);
    int64_t drawn = result.values.energy_uwh.value, back = result.values.energy_produced_uwh.value;
    require(drawn >= channel->drawn_uwh && back >= channel->fed_back_uwh);
    require(drawn <= most_uwh(reading->boot_ms) && back <= most_uwh(reading->boot_ms));
    channel->drawn_uwh = drawn;
    channel->fed_back_uwh = back;
}

static void on_reading(void *context, const char *channel, const struct reading *reading)
{
    struct channel *channels = context;
    account(&channels[(channel[0] - 'a') % CHANNELS], reading);
    require(channel[0] != '\0' && reading->present != 0);
    require(reading->voltage >= 0 && reading->voltage <= 2000000);
    require(reading->power >= -2000000000 && reading->power <= 2000000000);
    require(reading->energy >= 0);
}

static void on_remark(void *context, const char *channel, const char *text)
{
    (void)context;
    require(channel[0] != '\0' && text[0] != '\0');
}

static void feed(const struct mapping *mapping, const uint8_t *data, size_t size)
{
    struct channel channels[CHANNELS] = {0};
    const struct meter_options options = {
        .kind = READING_METERED,
        .calibration = calibration_default(READING_METERED),
        .mains_frequency_hz = 50,
        .mains_voltage_v = 230,
        .max_current_a = 80,
        .whole = true,
        .boot_id = "boot",
    };
    const struct mapping_trial_sink sink = {channels, on_reading, on_remark};
    for (size_t i = 0; i < CHANNELS; i++)
        channels[i].meter = meter_create(&options, NULL);
    struct mapping_trial *trial = mapping_trial_create(mapping, "m", &sink);
    while (size > 0) {
        char topic[MAPPING_TOPIC_MAX];
        const uint8_t *newline = memchr(data, '\n', size);
        size_t length = newline == NULL ? size : (size_t)(newline - data);
        size_t number = length > 0 ? data[0] : 0;
        size_t payload_length = length > 0 ? length - 1 : 0;
        char *payload = malloc(payload_length + 1); /* overreads are seen behind the end */
        if (payload_length > 0)
            memcpy(payload, data + 1, payload_length);
        payload[payload_length] = '\0';
        (void)mapping_topic(mapping->values[number % mapping->value_count].topic, "m", topic);
        require(mapping_trial_message(trial, topic, payload, payload_length, number > 250));
        mapping_trial_wait(trial, 300);
        free(payload);
        size_t used = newline == NULL ? size : length + 1;
        data += used;
        size -= used;
    }
    mapping_trial_free(trial);
    for (size_t i = 0; i < CHANNELS; i++)
        meter_free(channels[i].meter);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct mapping *built_in[64];
    static size_t count;
    while (mapping_builtin(count) != NULL && count < 64) {
        require(mapping_load(mapping_builtin(count), &built_in[count], NULL) == STATUS_OK);
        count++;
    }
    if (size == 0)
        return 0;
    struct mapping *mapping = NULL;
    struct error error = {""};
    if (mapping_parse("f", (const char *)data, size, &mapping, &error) == STATUS_OK) {
        (void)mapping_self_test(mapping, &error);
        mapping_free(mapping);
    } else {
        require(error.text[0] != '\0');
    }
    feed(built_in[data[0] % count], data + 1, size - 1);
    return 0;
}
