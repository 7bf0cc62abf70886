/* SPDX-License-Identifier: MIT */
#include "drivers/mapping/trial.h"

#include "drivers/base/memory.h"
#include "drivers/mapping/source.h"
#include "drivers/messages/router.h"

#include <math.h>
#include <string.h>

#define STEP_MS 100
#define WALL_MS INT64_C(1790000000000)

struct mapping_trial {
    const struct mapping *mapping;
    struct mapping_trial_sink sink;
    struct message_router *router;
    struct message_source *source;
    int64_t now_ms;
};

static void on_reading(void *context, unsigned channel, const struct reading *reading)
{
    const struct mapping_trial *trial = context;
    trial->sink.reading(trial->sink.context, trial->mapping->channels[channel], reading);
}

static void on_availability(void *context, unsigned channel, bool online, const char *reason)
{
    const struct mapping_trial *trial = context;
    if (!online)
        trial->sink.remark(trial->sink.context, trial->mapping->channels[channel], reason);
}

static void on_event(void *context, unsigned channel, enum driver_event event, const char *message)
{
    const struct mapping_trial *trial = context;
    (void)event;
    trial->sink.remark(trial->sink.context, trial->mapping->channels[channel], message);
}

struct mapping_trial *mapping_trial_create(const struct mapping *mapping, const char *base,
                                           const struct mapping_trial_sink *sink)
{
    struct mapping_trial *trial = memory_new(1, sizeof *trial);
    const struct driver_sink driver_sink = {trial, on_reading, on_availability, on_event};
    struct mapping_source_options options = {
        .mapping = mapping, .base = base, .channel_count = mapping->channel_count};
    for (unsigned i = 0; i < mapping->channel_count; i++) {
        options.channels[i].name = mapping->channels[i];
        options.channels[i].channel = i;
    }
    trial->mapping = mapping;
    trial->sink = *sink;
    trial->now_ms = 1000;
    trial->router = message_router_create();
    trial->source = mapping_source_create(&options, &driver_sink, trial->now_ms);
    message_router_add(trial->router, trial->source, trial->now_ms);
    message_router_connection(trial->router, true, trial->now_ms);
    return trial;
}

void mapping_trial_free(struct mapping_trial *trial)
{
    if (trial == NULL)
        return;
    message_router_free(trial->router);
    free(trial);
}

bool mapping_trial_message(struct mapping_trial *trial, const char *topic, const char *payload,
                           size_t length, bool retained)
{
    const struct message message = {
        .topic = topic,
        .payload = payload,
        .length = length,
        .retained = retained,
        .wall_ms = WALL_MS + trial->now_ms,
        .boot_ms = trial->now_ms,
    };
    return message_router_message(trial->router, &message);
}

void mapping_trial_wait(struct mapping_trial *trial, int64_t ms)
{
    for (int64_t end_ms = trial->now_ms + ms; trial->now_ms < end_ms;) {
        trial->now_ms += STEP_MS;
        message_router_tick(trial->router, trial->now_ms);
    }
}

uint64_t mapping_trial_bad_values(const struct mapping_trial *trial)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < trial->mapping->channel_count; i++) {
        struct driver_statistics statistics = {0};
        (void)trial->source->kind->statistics(trial->source, i, &statistics);
        sum += statistics.frame_errors;
    }
    return sum;
}

bool mapping_reading_value(const struct reading *reading, enum mapping_quantity quantity,
                           double *value)
{
    const struct {
        unsigned field;
        double value;
    } values[MAPPING_QUANTITY_COUNT] = {
        [MAPPING_VOLTAGE] = {READING_VOLTAGE, (double)reading->voltage / 1e3},
        [MAPPING_CURRENT] = {READING_CURRENT, (double)reading->current / 1e3},
        [MAPPING_POWER] = {READING_POWER, (double)reading->power / 1e3},
        [MAPPING_FREQUENCY] = {READING_FREQUENCY, (double)reading->frequency / 1e3},
        [MAPPING_ENERGY] = {READING_ENERGY, (double)reading_drawn(reading->energy) / 1e5},
        [MAPPING_ENERGY_PRODUCED] = {READING_ENERGY,
                                     (double)reading_fed_back(reading->energy) / 1e5},
    };
    *value = values[quantity].value;
    return (reading->present & values[quantity].field) != 0;
}

/* ---- the messages in a file ---- */

struct self_test {
    const struct mapping_test *test;
    size_t number;
    struct reading readings[MAPPING_CHANNELS_MAX];
    bool came[MAPPING_CHANNELS_MAX];
    const struct mapping *mapping;
};

static size_t index_of(const struct mapping *mapping, const char *channel)
{
    size_t i = 0;
    while (i + 1 < mapping->channel_count && strcmp(mapping->channels[i], channel) != 0)
        i++;
    return i;
}

static void keep_reading(void *context, const char *channel, const struct reading *reading)
{
    struct self_test *self = context;
    size_t i = index_of(self->mapping, channel);
    self->readings[i] = *reading;
    self->came[i] = true;
}

static void ignore_remark(void *context, const char *channel, const char *text)
{
    (void)context, (void)channel, (void)text;
}

static bool is_expected(const struct mapping_test *test, const char *channel)
{
    for (size_t i = 0; i < test->expected_count; i++)
        if (strcmp(test->expected[i].channel, channel) == 0)
            return true;
    return false;
}

static enum status compare(const struct self_test *self, struct error *error)
{
    const struct mapping *mapping = self->mapping;
    for (size_t i = 0; i < mapping->channel_count; i++)
        if (self->came[i] != is_expected(self->test, mapping->channels[i]))
            return error_set(error, STATUS_MISMATCH,
                             "Message %zu of %s: channel %s got %s reading, expected %s.",
                             self->number, mapping->name, mapping->channels[i],
                             self->came[i] ? "a" : "no", self->came[i] ? "none" : "one");
    for (size_t i = 0; i < self->test->expected_count; i++) {
        double value = 0;
        const char *channel = self->test->expected[i].channel;
        enum mapping_quantity quantity = self->test->expected[i].quantity;
        double wanted = self->test->expected[i].value;
        bool there =
            mapping_reading_value(&self->readings[index_of(mapping, channel)], quantity, &value);
        if (!there || fabs(value - wanted) > 1e-6 + fabs(wanted) * 1e-6)
            return error_set(error, STATUS_MISMATCH,
                             "Message %zu of %s: %s of channel %s is %s%g, expected %g.",
                             self->number, mapping->name, mapping_quantity_name(quantity), channel,
                             there ? "" : "missing, not ", there ? value : wanted, wanted);
    }
    return STATUS_OK;
}

enum status mapping_self_test(const struct mapping *mapping, struct error *error)
{
    static const char base[] = "mapping/test";
    struct self_test self = {.mapping = mapping};
    const struct mapping_trial_sink sink = {&self, keep_reading, ignore_remark};
    struct mapping_trial *trial = mapping_trial_create(mapping, base, &sink);
    enum status status = STATUS_OK;
    for (size_t i = 0; i < mapping->test_count && status == STATUS_OK; i++) {
        char topic[MAPPING_TOPIC_MAX];
        const struct mapping_test *test = &mapping->tests[i];
        self.test = test;
        self.number = i + 1;
        memset(self.came, 0, sizeof self.came);
        (void)mapping_topic(test->topic, base, topic);
        (void)mapping_trial_message(trial, topic, test->payload, strlen(test->payload),
                                    test->retained);
        /* Without an expectation it may be one of several that belong together. */
        mapping_trial_wait(trial, test->expected_count > 0 ? mapping->group_ms + STEP_MS : STEP_MS);
        status = compare(&self, error);
    }
    mapping_trial_free(trial);
    return status;
}
