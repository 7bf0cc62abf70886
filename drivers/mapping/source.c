/* SPDX-License-Identifier: MIT */
#include "drivers/mapping/source.h"

#include "drivers/base/memory.h"
#include "drivers/mapping/extract.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define NEVER INT64_MIN
#define SENTENCE_SIZE 500
#define FRESH_SIZE 64
/* So many messages in a row with an older, but rising time: the source's clock was set back. */
#define OLDER_MAX 5

enum availability { UNKNOWN, ONLINE, OFFLINE };

struct channel {
    char name[MAPPING_NAME_MAX + 1];
    unsigned number;
    struct driver_statistics statistics;
    enum availability availability;
    unsigned present; /* bits of enum mapping_quantity: known and not stale */
    unsigned arrived; /* of these: since the last reading */
    double value[MAPPING_QUANTITY_COUNT];
    bool reset;          /* the source's reset marker changed since the last reading */
    bool whole_energy;   /* nothing counts what is fed back apart from it */
    int64_t first_ms;    /* of what arrived since the last reading */
    int64_t wall_ms;     /* of the newest */
    int64_t received_ms; /* NEVER */
    char fresh[FRESH_SIZE], older[FRESH_SIZE]; /* "": none yet */
    unsigned older_count;
};

struct source {
    struct message_source base;
    const struct mapping *mapping;
    struct driver_sink sink;
    char *topic; /* for {base} */
    char *value_topics[MAPPING_VALUES_MAX];
    char *availability_topics[MAPPING_TOPICS_MAX];
    char reset[FRESH_SIZE];
    bool refused_reported, connected, received;
    bool offline; /* the source's own word */
    int64_t since_ms;
    size_t channel_count;
    struct channel channels[MAPPING_CHANNELS_MAX];
};

/* ---- what is reported ---- */

static void set_online(const struct source *source, struct channel *channel)
{
    if (channel->availability == ONLINE)
        return;
    if (channel->availability == OFFLINE)
        channel->statistics.reconnects++;
    channel->availability = ONLINE;
    source->sink.availability(source->sink.context, channel->number, true, "");
}

static void __attribute__((format(printf, 3, 4)))
set_offline(const struct source *source, struct channel *channel, const char *format, ...)
{
    char reason[SENTENCE_SIZE];
    va_list arguments;
    if (channel->availability == OFFLINE)
        return;
    va_start(arguments, format);
    (void)vsnprintf(reason, sizeof reason, format, arguments);
    va_end(arguments);
    channel->availability = OFFLINE;
    source->sink.availability(source->sink.context, channel->number, false, reason);
}

static void report_sum(struct source *source, const struct channel *channel)
{
    char text[SENTENCE_SIZE];
    if (source->refused_reported)
        return;
    source->refused_reported = true;
    (void)snprintf(text, sizeof text,
                   "%s sends one number for all channels where each should have its own; it is not "
                   "used. Tasmota: SetOption129 1 (energy) and SetOption150 1 (voltage and "
                   "frequency).",
                   source->topic);
    source->sink.event(source->sink.context, channel->number, DRIVER_MESSAGES_BAD, text);
}

/* ---- readings ---- */

static bool has(const struct channel *channel, enum mapping_quantity quantity)
{
    return (channel->present & 1U << quantity) != 0;
}

static void put(const struct channel *channel, enum mapping_quantity quantity, double scale,
                enum reading_field field, struct reading *reading, int64_t *target)
{
    if (!has(channel, quantity))
        return;
    *target = llround(channel->value[quantity] * scale);
    reading->present |= (unsigned)field;
}

/* Hundredths of a watt hour; both counters are part of the reading if either arrived, as far as known. */
static void put_counters(const struct channel *channel, struct reading *reading)
{
    unsigned counters = 1U << MAPPING_ENERGY | 1U << MAPPING_ENERGY_PRODUCED;
    bool drawn_only = channel->whole_energy;
    bool complete =
        has(channel, MAPPING_ENERGY) && (drawn_only || has(channel, MAPPING_ENERGY_PRODUCED));
    if ((channel->arrived & counters) == 0 || !complete)
        return;
    int64_t drawn = llround(channel->value[MAPPING_ENERGY] * 1e5);
    int64_t fed = drawn_only ? 0 : llround(channel->value[MAPPING_ENERGY_PRODUCED] * 1e5);
    reading->energy = reading_counters(drawn, fed);
    reading->present |= READING_ENERGY;
    if (drawn_only && has(channel, MAPPING_POWER) && channel->value[MAPPING_POWER] < 0)
        reading->flags |= READING_REVERSE;
}

static void deliver(const struct source *source, struct channel *channel)
{
    struct reading reading = {.wall_ms = channel->wall_ms, .boot_ms = channel->received_ms};
    put(channel, MAPPING_VOLTAGE, 1e3, READING_VOLTAGE, &reading, &reading.voltage);
    put(channel, MAPPING_CURRENT, 1e3, READING_CURRENT, &reading, &reading.current);
    put(channel, MAPPING_POWER, 1e3, READING_POWER, &reading, &reading.power);
    put(channel, MAPPING_FREQUENCY, 1e3, READING_FREQUENCY, &reading, &reading.frequency);
    put_counters(channel, &reading);
    if (channel->reset && (reading.present & READING_ENERGY) != 0) {
        reading.flags |= READING_CHIP_RESET;
        channel->reset = false;
    }
    channel->arrived = 0;
    if (reading.present == 0)
        return;
    channel->statistics.readings++;
    set_online(source, channel);
    source->sink.reading(source->sink.context, channel->number, &reading);
}

static bool is_complete(const struct source *source, const struct channel *channel)
{
    for (unsigned i = 0; i < MAPPING_QUANTITY_COUNT; i++)
        if ((channel->arrived & 1U << i) == 0 &&
            mapping_has(source->mapping, channel->name, (enum mapping_quantity)i))
            return false;
    return true;
}

/* ---- messages ---- */

static const char *fresh_pointer(const struct mapping *mapping, const struct channel *channel)
{
    for (size_t i = 0; i < mapping->fresh_count; i++)
        if (strcmp(mapping->fresh[i].channel, channel->name) == 0)
            return mapping->fresh[i].at;
    return NULL;
}

/* A clock that was set back shows in times that are older than the newest, but rise. */
static bool clock_was_set_back(struct channel *channel, const char *now)
{
    bool rises = channel->older[0] != '\0' && mapping_is_newer(channel->older, now);
    bool same = strcmp(channel->older, now) == 0;
    if (!same)
        channel->older_count = rises ? channel->older_count + 1 : 1;
    (void)snprintf(channel->older, sizeof channel->older, "%s", now);
    return channel->older_count >= OLDER_MAX;
}

static bool is_fresh(const struct source *source, struct channel *channel,
                     const struct mapping_payload *payload)
{
    char now[FRESH_SIZE];
    const char *at = fresh_pointer(source->mapping, channel);
    if (at == NULL || !mapping_text_extract(payload, at, now, sizeof now) || now[0] == '\0')
        return true;
    bool newer = channel->fresh[0] == '\0' || mapping_is_newer(channel->fresh, now);
    if (!newer && (strcmp(channel->fresh, now) == 0 || !clock_was_set_back(channel, now)))
        return false;
    (void)snprintf(channel->fresh, sizeof channel->fresh, "%s", now);
    channel->older[0] = '\0';
    channel->older_count = 0;
    return true;
}

static void note_reset(struct source *source, const struct mapping_payload *payload)
{
    char now[FRESH_SIZE];
    const char *at = source->mapping->reset_at;
    if (at == NULL || !mapping_text_extract(payload, at, now, sizeof now))
        return;
    bool changed = source->reset[0] != '\0' && strcmp(source->reset, now) != 0;
    (void)snprintf(source->reset, sizeof source->reset, "%s", now);
    for (size_t i = 0; i < source->channel_count && changed; i++)
        source->channels[i].reset = true;
}

static void take_number(const struct source *source, struct channel *channel,
                        enum mapping_quantity quantity, double number,
                        const struct message *message)
{
    unsigned bit = 1U << quantity;
    bool late = message->boot_ms - channel->first_ms > source->mapping->group_ms;
    if (channel->arrived != 0 && source->mapping->group_ms > 0 &&
        ((channel->arrived & bit) != 0 || late))
        deliver(source, channel);
    if (channel->arrived == 0)
        channel->first_ms = message->boot_ms;
    channel->arrived |= bit;
    channel->present |= bit;
    channel->value[quantity] = number;
    channel->received_ms = message->boot_ms;
    channel->wall_ms = message->wall_ms;
}

static void take_value(struct source *source, struct channel *channel,
                       const struct mapping_value *value, const struct mapping_payload *payload,
                       const struct message *message)
{
    double number;
    switch (mapping_value_extract(value, payload, &number)) {
    case MAPPING_GOOD:
        take_number(source, channel, value->quantity, number, message);
        break;
    case MAPPING_ABSENT: /* a key that is only sometimes there says nothing about its value */
        break;
    case MAPPING_BAD:
        channel->statistics.frame_errors++;
        channel->present &= ~(1U << value->quantity);
        break;
    case MAPPING_REFUSED:
        report_sum(source, channel);
        break;
    }
}

static void take_channel(struct source *source, struct channel *channel,
                         const struct mapping_payload *payload, const struct message *message)
{
    bool judged = false;
    for (size_t i = 0; i < source->mapping->value_count; i++) {
        const struct mapping_value *value = &source->mapping->values[i];
        if (strcmp(source->value_topics[i], message->topic) != 0 ||
            (value->channel[0] != '\0' && strcmp(value->channel, channel->name) != 0))
            continue;
        if (!judged && !is_fresh(source, channel, payload))
            return;
        judged = true;
        take_value(source, channel, value, payload, message);
    }
    if (channel->arrived != 0 && (source->mapping->group_ms == 0 || is_complete(source, channel)))
        deliver(source, channel);
}

/* True if it is one of the topics that tell whether the source is there. */
static bool take_availability(struct source *source, const struct mapping_payload *payload,
                              const struct message *message)
{
    bool one_of_them = false;
    for (size_t i = 0; i < source->mapping->availability_count; i++) {
        char word[FRESH_SIZE];
        const struct mapping_availability *rule = &source->mapping->availability[i];
        if (strcmp(source->availability_topics[i], message->topic) != 0)
            continue;
        one_of_them = true;
        if (!mapping_text_extract(payload, rule->at, word, sizeof word))
            continue;
        if (strcmp(word, rule->online) == 0) {
            source->offline = false;
        } else if (strcmp(word, rule->offline) == 0) {
            source->offline = true;
            for (size_t c = 0; c < source->channel_count; c++)
                set_offline(source, &source->channels[c],
                            "%s says that it is offline: it lost its supply, its network or the "
                            "broker.",
                            source->topic);
        }
    }
    return one_of_them;
}

static void take_message(struct message_source *base, const struct message *message)
{
    struct source *source = (struct source *)base;
    struct mapping_payload *payload = mapping_payload_read(message->payload, message->length);
    if (payload == NULL) {
        source->channels[0].statistics.frame_errors++;
        return;
    }
    (void)take_availability(source, payload, message);
    if (!message->retained || source->mapping->retained) {
        source->received = true;
        note_reset(source, payload);
        for (size_t i = 0; i < source->channel_count; i++)
            take_channel(source, &source->channels[i], payload, message);
    }
    mapping_payload_free(payload);
}

static void take_connection(struct message_source *base, bool connected, int64_t boot_ms)
{
    struct source *source = (struct source *)base;
    if (connected && !source->connected)
        source->since_ms = boot_ms;
    source->connected = connected;
}

/* ---- time ---- */

static void check_silence(const struct source *source, struct channel *channel, int64_t boot_ms)
{
    int64_t since_ms = channel->received_ms != NEVER ? channel->received_ms : source->since_ms;
    if (boot_ms - since_ms <= source->mapping->stale_ms)
        return;
    channel->present = 0;
    if (!source->connected)
        set_offline(source, channel, "The MQTT broker is not reachable, so nothing is received.");
    else if (!source->received)
        set_offline(source, channel,
                    "Nothing was received of %s: check topic, and that the meter publishes as the "
                    "mapping %s describes. `bl2mqtt find` lists what is there.",
                    source->topic, source->mapping->name);
    else
        set_offline(source, channel, "%s has sent no values of this channel for %lld s.",
                    source->topic, (long long)(source->mapping->stale_ms / 1000));
}

static void tick(struct message_source *base, int64_t boot_ms)
{
    struct source *source = (struct source *)base;
    for (size_t i = 0; i < source->channel_count; i++) {
        struct channel *channel = &source->channels[i];
        if (channel->arrived != 0 && boot_ms - channel->first_ms > source->mapping->group_ms)
            deliver(source, channel);
        check_silence(source, channel, boot_ms);
    }
}

/* ---- topics ---- */

static bool is_repeated(char *const *topics, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(topics[i], topics[count]) == 0)
            return true;
    return false;
}

static void visit_topics(const struct message_source *base, message_topic_visitor visit,
                         void *context)
{
    const struct source *source = (const struct source *)base;
    for (size_t i = 0; i < source->mapping->value_count; i++)
        if (!is_repeated(source->value_topics, i))
            visit(context, source->value_topics[i]);
    for (size_t i = 0; i < source->mapping->availability_count; i++) {
        bool known = is_repeated(source->availability_topics, i);
        for (size_t v = 0; v < source->mapping->value_count && !known; v++)
            known = strcmp(source->value_topics[v], source->availability_topics[i]) == 0;
        if (!known)
            visit(context, source->availability_topics[i]);
    }
}

static bool statistics_of(const struct message_source *base, unsigned number,
                          struct driver_statistics *statistics)
{
    const struct source *source = (const struct source *)base;
    for (size_t i = 0; i < source->channel_count; i++) {
        if (source->channels[i].number != number)
            continue;
        *statistics = source->channels[i].statistics;
        return true;
    }
    return false;
}

static void release(struct message_source *base)
{
    struct source *source = (struct source *)base;
    for (size_t i = 0; i < source->mapping->value_count; i++)
        free(source->value_topics[i]);
    for (size_t i = 0; i < source->mapping->availability_count; i++)
        free(source->availability_topics[i]);
    free(source->topic);
    free(source);
}

static const struct message_source_kind kind = {
    .topics = visit_topics,
    .filters = visit_topics,
    .message = take_message,
    .connection = take_connection,
    .tick = tick,
    .statistics = statistics_of,
    .release = release,
};

static char *topic_of(const char *pattern, const char *base)
{
    char topic[MAPPING_TOPIC_MAX] = "";
    (void)mapping_topic(pattern, base, topic); /* one that is cut is nobody's */
    return memory_copy_text(topic);
}

struct message_source *mapping_source_create(const struct mapping_source_options *options,
                                             const struct driver_sink *sink, int64_t boot_ms)
{
    const struct mapping *mapping = options->mapping;
    struct source *source = memory_new(1, sizeof *source);
    source->base.kind = &kind;
    source->mapping = mapping;
    source->sink = *sink;
    source->topic = memory_copy_text(options->base);
    source->since_ms = boot_ms;
    for (size_t i = 0; i < mapping->value_count; i++)
        source->value_topics[i] = topic_of(mapping->values[i].topic, options->base);
    for (size_t i = 0; i < mapping->availability_count; i++)
        source->availability_topics[i] = topic_of(mapping->availability[i].topic, options->base);
    source->channel_count = options->channel_count;
    for (size_t i = 0; i < options->channel_count; i++) {
        struct channel *channel = &source->channels[i];
        (void)snprintf(channel->name, sizeof channel->name, "%s", options->channels[i].name);
        channel->number = options->channels[i].channel;
        channel->received_ms = NEVER;
        channel->whole_energy = !mapping_has(mapping, channel->name, MAPPING_ENERGY_PRODUCED);
    }
    return &source->base;
}
