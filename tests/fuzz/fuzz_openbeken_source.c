/* SPDX-License-Identifier: MIT */
/*
 * OpenBeken's source and finder, stateful: the input is a list of messages, each a control byte, a topic
 * up to a newline and a payload up to a 0xFF byte. The control byte says how much time passes before it,
 * whether it is retained, and whether the broker comes or goes. What the source delivers goes through a
 * meter; whatever came, no total goes down and only announced channels are named.
 */
#include "bridge/meter/meter.h"
#include "drivers/openbeken/finder.h"
#include "drivers/openbeken/source.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHANNELS 3
#define WALL_MS INT64_C(1795000000000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct bench {
    struct meter *meters[CHANNELS];
    bool online[CHANNELS], reported[CHANNELS];
    int64_t last_ms[CHANNELS];
    int64_t now_ms;
    unsigned published;
};

static void require(bool condition)
{
    if (!condition)
        abort();
}

static int64_t total_of(struct meter *meter)
{
    const struct energy_state *state = meter_state(meter);
    return state->imported + state->exported;
}

static void on_reading(void *context, unsigned channel, const struct reading *reading)
{
    struct bench *bench = context;
    require(channel < CHANNELS && bench->online[channel]);
    require(reading->present != 0 && (reading->present & ~(unsigned)READING_ALL) == 0);
    require(reading->boot_ms >= bench->last_ms[channel] && reading->boot_ms <= bench->now_ms);
    bench->last_ms[channel] = reading->boot_ms;
    int64_t before = total_of(bench->meters[channel]);
    struct meter_result result;
    meter_accept(bench->meters[channel], reading, &result);
    require(total_of(bench->meters[channel]) >= before);
}

static void on_availability(void *context, unsigned channel, bool online, const char *reason)
{
    struct bench *bench = context;
    require(channel < CHANNELS && (online || reason[0] != '\0'));
    require(!bench->reported[channel] || bench->online[channel] != online);
    bench->reported[channel] = true;
    bench->online[channel] = online;
}

static void on_event(void *context, unsigned channel, enum driver_event event, const char *message)
{
    (void)context;
    require(channel < CHANNELS && event <= DRIVER_UNIT_DOUBTFUL && message[0] != '\0');
}

static void on_publish(void *context, const char *topic, const char *payload)
{
    struct bench *bench = context;
    require(strlen(topic) < OPENBEKEN_TOPIC_MAX && strlen(payload) <= 1);
    bench->published++;
}

static void on_filter(void *context, const char *filter)
{
    (void)context;
    require(filter[0] != '\0' && strlen(filter) < OPENBEKEN_TOPIC_MAX);
}

/* What a control byte asks for: bits 0..2 time, 3 retained, 4 and 5 the broker. */
static void pass_time(struct openbeken_source *source, struct bench *bench, unsigned control)
{
    static const int64_t steps_ms[] = {0, 10, 250, 1000, 6000, 30000, 61000, 125000};
    int64_t end_ms = bench->now_ms + steps_ms[control & 7];
    while (bench->now_ms < end_ms) {
        int64_t left_ms = end_ms - bench->now_ms;
        bench->now_ms += left_ms < 1000 ? left_ms : 1000;
        openbeken_source_tick(source, bench->now_ms);
    }
    if ((control & 0x30) != 0)
        openbeken_source_connection(source, (control & 0x10) != 0, bench->now_ms);
}

static void check_found(const struct openbeken_finder *finder)
{
    size_t count = openbeken_finder_count(finder);
    require(count <= OPENBEKEN_FOUND_MAX);
    for (size_t i = 0; i < count; i++) {
        const struct openbeken_found *found = openbeken_finder_get(finder, i);
        require(found->client[0] != '\0' && strlen(found->client) <= OPENBEKEN_CLIENT_MAX);
        require(strlen(found->long_name) <= OPENBEKEN_NAME_MAX);
        require(found->announcement_count <= OPENBEKEN_ANNOUNCEMENTS_MAX);
        for (size_t a = 0; a < found->announcement_count; a++)
            require(openbeken_finder_announcement(finder, i, a)[0] != '\0');
    }
}

static size_t play_message(struct openbeken_source *source, struct openbeken_finder *finder,
                           struct bench *bench, const uint8_t *data, size_t size)
{
    pass_time(source, bench, data[0]);
    const uint8_t *end = memchr(data, 0xFF, size);
    size_t length = end == NULL ? size : (size_t)(end - data);
    const uint8_t *newline = length < 2 ? NULL : memchr(data + 1, '\n', length - 1);
    if (newline != NULL) {
        size_t payload_length = length - (size_t)(newline - data) - 1;
        char *topic = calloc((size_t)(newline - data), 1);
        char *payload =
            malloc(payload_length + 1); /* no NUL behind it, so that its end is watched */
        require(topic != NULL && payload != NULL);
        memcpy(topic, data + 1, (size_t)(newline - data) - 1);
        memcpy(payload, newline + 1, payload_length);
        const struct message message = {
            .topic = topic,
            .payload = payload,
            .length = payload_length,
            .retained = (data[0] & 8) != 0,
            .wall_ms = WALL_MS + bench->now_ms,
            .boot_ms = bench->now_ms,
        };
        (void)openbeken_source_message(source, &message);
        openbeken_finder_message(finder, topic, payload, payload_length, message.retained);
        free(topic);
        free(payload);
    }
    return end == NULL ? size : length + 1;
}

static struct meter *new_meter(void)
{
    const struct meter_options options = {
        .kind = READING_OPENBEKEN,
        .calibration = calibration_default(READING_OPENBEKEN),
        .mains_frequency_hz = 50,
        .mains_voltage_v = 230,
        .max_current_a = 80,
        .boot_id = "boot",
    };
    return meter_create(&options, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct openbeken_module modules[] = {
        {.client = "u/s9", .used = {true, true}, .channels = {0, 1}},
        {.client = "m", .unit = OPENBEKEN_KWH, .used = {true}, .channels = {2}},
    };
    struct bench bench = {.now_ms = 1000};
    for (size_t i = 0; i < CHANNELS; i++)
        bench.meters[i] = new_meter();
    const struct openbeken_source_options options = {
        .modules = modules,
        .module_count = sizeof modules / sizeof modules[0],
        .discovery_prefix = "homeassistant",
        .publish = on_publish,
        .publish_context = &bench,
    };
    const struct driver_sink sink = {&bench, on_reading, on_availability, on_event};
    struct openbeken_source *source = openbeken_source_create(&options, &sink, bench.now_ms);
    struct openbeken_finder *finder = openbeken_finder_create("homeassistant");
    openbeken_source_filters(source, on_filter, NULL);
    openbeken_finder_filters(finder, on_filter, NULL);
    openbeken_source_connection(source, true, bench.now_ms);
    while (size > 0) {
        size_t used = play_message(source, finder, &bench, data, size);
        data += used;
        size -= used;
    }
    pass_time(source, &bench, 7);
    check_found(finder);
    openbeken_finder_free(finder);
    openbeken_source_free(source);
    for (size_t i = 0; i < CHANNELS; i++)
        meter_free(bench.meters[i]);
    return 0;
}
