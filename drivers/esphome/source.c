/* SPDX-License-Identifier: MIT */
#include "drivers/esphome/source.h"

#include "drivers/base/memory.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define NEVER INT64_MIN
#define NAME_SIZE 9
#define SENTENCE_SIZE 400
#define TOPIC_SIZE 300

/* Three intervals without a measurement and the channel is stale; within these bounds. ESPHome's
 * default interval is 60 s, and none is known until two measurements came. */
#define STALE_MIN_MS 15000
#define STALE_MAX_MS 600000
#define STALE_FIRST_MS 200000
/* Nothing at all of a module for so long after the connect: its topic is wrong. */
#define ABSENT_MS 90000
/* A quantity that is missing so often in a row is not lost on the way, it is no longer sent. */
#define MISSING_MAX 3

#define COUNTER_RANGE (INT64_C(1) << 24)
#define COUNTS_PER_SECOND_MAX 20
#define COUNTS_SLACK 23 /* a second of delay on the way, and the rounding of both ends */

enum availability { UNKNOWN, ONLINE, OFFLINE };

struct measurement {
    struct reading reading;
    bool known;
};

struct channel {
    char name[NAME_SIZE];
    unsigned number;
    struct esphome_factors factors;
    struct driver_statistics statistics;
    enum availability availability;

    struct esphome_values window; /* what came of the measurement under way */
    unsigned expected;            /* bits that usually come: when they are there it is complete */
    unsigned missing[ESPHOME_QUANTITY_COUNT]; /* times in a row that an expected one did not */
    int64_t window_boot_ms, window_wall_ms;

    struct esphome_values last; /* newest value of each quantity, for what is missing */
    bool registers;
    bool units_reported;
    int64_t wary_until_ms; /* a measurement before it may be an old one, sent again; NEVER */
    struct measurement held, delivered;
    int64_t received_ms; /* of the newest measurement; NEVER */
    int64_t interval_ms; /* between the last two; 0: unknown */
};

struct source {
    struct message_source base;
    struct driver_sink sink;
    char *prefix;
    bool connected;
    int64_t since_ms; /* since when something could have come */
    bool received;    /* anything that shows that the module exists */
    size_t channel_count;
    struct channel channels[ESPHOME_CHANNELS_MAX];
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
    if (channel->availability == OFFLINE)
        return;
    char reason[SENTENCE_SIZE];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(reason, sizeof reason, format, arguments);
    va_end(arguments);
    channel->availability = OFFLINE;
    source->sink.availability(source->sink.context, channel->number, false, reason);
}

static void report_units(const struct source *source, struct channel *channel)
{
    char text[SENTENCE_SIZE];
    if (channel->units_reported)
        return;
    channel->units_reported = true;
    (void)snprintf(
        text, sizeof text,
        "The module %s publishes kilowatt hours (energy_%s) instead of the chip's counter "
        "(cf_%s): energy comes in its rounded steps, what is counted right before a "
        "restart or a wrap of the chip is lost, and its calibration is ESPHome's. "
        "`bl2mqtt profiles esphome` writes settings without these limits.",
        source->prefix, channel->name, channel->name);
    source->sink.event(source->sink.context, channel->number, DRIVER_UNIT_CHANGED, text);
}

static void deliver(const struct source *source, struct channel *channel,
                    const struct reading *reading)
{
    channel->delivered = (struct measurement){.reading = *reading, .known = true};
    channel->statistics.readings++;
    set_online(source, channel);
    source->sink.reading(source->sink.context, channel->number, reading);
}

/* ---- measurements ---- */

static int64_t stale_after_ms(const struct channel *channel)
{
    if (channel->interval_ms == 0)
        return STALE_FIRST_MS;
    int64_t ms = 3 * channel->interval_ms;
    if (ms < STALE_MIN_MS)
        return STALE_MIN_MS;
    return ms < STALE_MAX_MS ? ms : STALE_MAX_MS;
}

static bool same_values(const struct reading *one, const struct reading *other)
{
    return one->present == other->present && one->voltage == other->voltage &&
           one->current == other->current && one->power == other->power &&
           one->energy == other->energy && one->frequency == other->frequency;
}

/* True if the chip can have counted from one to the other in the time between. */
static bool follows(const struct reading *earlier, const struct reading *later)
{
    if ((earlier->present & later->present & READING_ENERGY) == 0)
        return true;
    int64_t step = (later->energy - earlier->energy) & (COUNTER_RANGE - 1);
    int64_t ms = later->boot_ms - earlier->boot_ms;
    return step <= ms * COUNTS_PER_SECOND_MAX / 1000 + COUNTS_SLACK;
}

static void release_held(const struct source *source, struct channel *channel,
                         const struct reading *next)
{
    if (!channel->held.known)
        return;
    channel->held.known = false;
    if (!follows(&channel->held.reading, next))
        return;
    channel->received_ms = channel->held.reading.boot_ms;
    deliver(source, channel, &channel->held.reading);
}

static void take_measurement(const struct source *source, struct channel *channel,
                             const struct reading *reading)
{
    bool wary = channel->wary_until_ms != NEVER && reading->boot_ms <= channel->wary_until_ms;
    channel->wary_until_ms = NEVER;
    if (wary && channel->delivered.known && same_values(&channel->delivered.reading, reading))
        return; /* sent again: no sign that the chip lives */
    if (wary) {
        channel->held = (struct measurement){.reading = *reading, .known = true};
        return;
    }
    release_held(source, channel, reading);
    if (channel->received_ms != NEVER)
        channel->interval_ms = reading->boot_ms - channel->received_ms;
    channel->received_ms = reading->boot_ms;
    deliver(source, channel, reading);
}

/* What did not come with this measurement is as it was, but not the counter. */
static void complete(struct channel *channel)
{
    const unsigned counters = 1U << ESPHOME_COUNTER | 1U << ESPHOME_ENERGY;
    struct esphome_values *window = &channel->window;
    bool fresh = channel->received_ms != NEVER &&
                 channel->window_boot_ms - channel->received_ms <= stale_after_ms(channel);
    for (unsigned i = 0; i < ESPHOME_QUANTITY_COUNT; i++) {
        unsigned bit = 1U << i;
        if ((window->present & bit) != 0)
            channel->last.value[i] = window->value[i];
        else if (fresh && (channel->last.present & bit & ~counters) != 0)
            window->value[i] = channel->last.value[i];
    }
    unsigned carried = fresh ? channel->last.present & ~counters : 0;
    channel->last.present = carried | window->present;
    window->present |= carried;
}

static void learn_expected(struct channel *channel)
{
    for (unsigned i = 0; i < ESPHOME_QUANTITY_COUNT; i++) {
        unsigned bit = 1U << i;
        bool came = (channel->window.present & bit) != 0;
        channel->missing[i] = came ? 0 : channel->missing[i] + 1;
        if (came)
            channel->expected |= bit;
        else if (channel->missing[i] >= MISSING_MAX)
            channel->expected &= ~bit;
    }
}

static void close_window(const struct source *source, struct channel *channel)
{
    if (channel->window.present == 0)
        return;
    struct reading reading;
    learn_expected(channel);
    complete(channel);
    channel->registers = esphome_are_registers(&channel->window, channel->registers);
    bool good = channel->registers
                    ? esphome_registers_to_reading(&channel->window, &reading)
                    : esphome_units_to_reading(&channel->window, &channel->factors, &reading);
    bool in_units = !channel->registers && (channel->window.present & 1U << ESPHOME_ENERGY) != 0;
    channel->window.present = 0;
    if (!good) {
        channel->statistics.frame_errors++;
        channel->last.present = 0; /* one of them is no value of this kind */
        return;
    }
    if (in_units)
        report_units(source, channel);
    reading.boot_ms = channel->window_boot_ms;
    reading.wall_ms = channel->window_wall_ms;
    take_measurement(source, channel, &reading);
}

static void take_value(const struct source *source, struct channel *channel,
                       enum esphome_quantity quantity, const struct message *message)
{
    double value;
    unsigned bit = 1U << quantity;
    enum esphome_verdict verdict =
        esphome_value(quantity, message->payload, message->length, &value);
    bool another = (channel->window.present & bit) != 0 ||
                   message->boot_ms - channel->window_boot_ms > ESPHOME_WINDOW_MS;
    if (another)
        close_window(source, channel);
    if (verdict == ESPHOME_BAD)
        channel->statistics.frame_errors++;
    if (verdict != ESPHOME_GOOD) {
        channel->last.present &= ~bit; /* unknown from now on */
        channel->expected &= ~bit;
        return;
    }
    if (channel->window.present == 0) {
        channel->window_boot_ms = message->boot_ms;
        channel->window_wall_ms = message->wall_ms;
    }
    channel->window.present |= bit;
    channel->window.value[quantity] = value;
    if (channel->expected != 0 && (channel->expected & ~channel->window.present) == 0)
        close_window(source, channel);
}

/* ---- messages ---- */

/* One voltage or frequency may serve all channels; with one channel nothing needs a suffix. */
static bool concerns(const struct source *source, const struct channel *channel,
                     enum esphome_quantity quantity, const char *suffix, size_t length)
{
    if (length == 0)
        return source->channel_count == 1 || quantity == ESPHOME_VOLTAGE ||
               quantity == ESPHOME_FREQUENCY;
    return length == strlen(channel->name) && memcmp(channel->name, suffix, length) == 0;
}

static void take_status(struct source *source, const struct message *message)
{
    bool online;
    if (!esphome_status(message->payload, message->length, &online))
        return;
    source->received = true;
    for (size_t i = 0; i < source->channel_count; i++) {
        struct channel *channel = &source->channels[i];
        if (online) {
            close_window(source, channel);
            channel->wary_until_ms = message->boot_ms + ESPHOME_HOLD_MS;
            continue;
        }
        channel->held.known = false;
        set_offline(source, channel,
                    "The module %s is offline: it lost its supply, its Wi-Fi or the broker.",
                    source->prefix);
    }
}

static void take_message(struct message_source *base, const struct message *message)
{
    static const char sensor[] = "/sensor/", state[] = "/state";
    struct source *source = (struct source *)base;
    const char *rest = message->topic + strlen(source->prefix);
    if (strcmp(rest, "/status") == 0) {
        take_status(source, message);
        return;
    }
    if (message->retained || strlen(rest) <= sizeof sensor + sizeof state - 2)
        return;
    const char *object = rest + sizeof sensor - 1;
    enum esphome_quantity quantity;
    const char *suffix;
    size_t suffix_length;
    if (!esphome_object_read(object, strlen(object) - (sizeof state - 1), &quantity, &suffix,
                             &suffix_length))
        return;
    source->received = true;
    for (size_t i = 0; i < source->channel_count; i++)
        if (concerns(source, &source->channels[i], quantity, suffix, suffix_length))
            take_value(source, &source->channels[i], quantity, message);
}

static void take_connection(struct message_source *base, bool connected, int64_t boot_ms)
{
    struct source *source = (struct source *)base;
    if (connected && !source->connected)
        source->since_ms = boot_ms;
    source->connected = connected;
}

/* ---- time ---- */

static bool another_speaks(const struct source *source, int64_t boot_ms)
{
    for (size_t i = 0; i < source->channel_count; i++) {
        const struct channel *channel = &source->channels[i];
        if (channel->received_ms != NEVER &&
            boot_ms - channel->received_ms <= stale_after_ms(channel))
            return true;
    }
    return false;
}

static void check_silence(const struct source *source, struct channel *channel, int64_t boot_ms)
{
    int64_t since_ms = channel->received_ms != NEVER ? channel->received_ms : source->since_ms;
    int64_t limit_ms = source->received ? stale_after_ms(channel) : ABSENT_MS;
    if (channel->availability == OFFLINE || boot_ms - since_ms <= limit_ms)
        return;
    channel->held.known = false;
    const char *prefix = source->prefix;
    const char *name = channel->name;
    if (!source->connected)
        set_offline(source, channel, "The MQTT broker is not reachable, so nothing is received.");
    else if (!source->received)
        set_offline(source, channel,
                    "Nothing was received of a module with the topic prefix %s: check topic, and "
                    "mqtt: in the module's YAML. `bl2mqtt find` lists what is there.",
                    prefix);
    else if (channel->received_ms == NEVER && another_speaks(source, boot_ms))
        set_offline(source, channel,
                    "The module %s sends nothing for this channel: its second bl0942 needs sensors "
                    "named Voltage %s, Current %s, Power %s and CF %s.",
                    prefix, name, name, name, name);
    else
        set_offline(source, channel,
                    "The module %s sends no measurements: check the chip's supply and wires, and "
                    "the pins of its uart: in the YAML.",
                    prefix);
}

static void tick(struct message_source *base, int64_t boot_ms)
{
    struct source *source = (struct source *)base;
    for (size_t i = 0; i < source->channel_count; i++) {
        struct channel *channel = &source->channels[i];
        if (boot_ms - channel->window_boot_ms > ESPHOME_WINDOW_MS)
            close_window(source, channel);
        check_silence(source, channel, boot_ms);
    }
}

/* ---- topics ---- */

static void visit_object(const struct source *source, enum esphome_quantity quantity,
                         const char *suffix, message_topic_visitor visit, void *context)
{
    char topic[TOPIC_SIZE];
    (void)snprintf(topic, sizeof topic, "%s/sensor/%s%s%s/state", source->prefix,
                   esphome_quantity_name(quantity), suffix[0] != '\0' ? "_" : "", suffix);
    visit(context, topic);
}

static void visit_topics(const struct message_source *base, message_topic_visitor visit,
                         void *context)
{
    const struct source *source = (const struct source *)base;
    char topic[TOPIC_SIZE];
    (void)snprintf(topic, sizeof topic, "%s/status", source->prefix);
    visit(context, topic);
    for (unsigned quantity = 0; quantity < ESPHOME_QUANTITY_COUNT; quantity++) {
        visit_object(source, quantity, "", visit, context);
        for (size_t i = 0; i < source->channel_count; i++)
            visit_object(source, quantity, source->channels[i].name, visit, context);
    }
}

static void visit_filters(const struct message_source *base, message_topic_visitor visit,
                          void *context)
{
    const struct source *source = (const struct source *)base;
    char filter[TOPIC_SIZE];
    (void)snprintf(filter, sizeof filter, "%s/status", source->prefix);
    visit(context, filter);
    (void)snprintf(filter, sizeof filter, "%s/sensor/+/state", source->prefix);
    visit(context, filter);
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
    free(source->prefix);
    free(source);
}

static const struct message_source_kind kind = {
    .topics = visit_topics,
    .filters = visit_filters,
    .message = take_message,
    .connection = take_connection,
    .tick = tick,
    .statistics = statistics_of,
    .release = release,
};

struct message_source *esphome_source_create(const struct esphome_options *options,
                                             const struct driver_sink *sink, int64_t boot_ms)
{
    struct source *source = memory_new(1, sizeof *source);
    source->base.kind = &kind;
    source->sink = *sink;
    source->prefix = memory_copy_text(options->prefix);
    source->since_ms = boot_ms;
    source->channel_count = options->channel_count;
    for (size_t i = 0; i < options->channel_count; i++) {
        struct channel *channel = &source->channels[i];
        (void)snprintf(channel->name, sizeof channel->name, "%s", options->channels[i].name);
        channel->number = options->channels[i].channel;
        channel->factors = options->channels[i].factors;
        channel->wary_until_ms = channel->received_ms = NEVER;
    }
    return &source->base;
}
