/* SPDX-License-Identifier: MIT */
#include "drivers/openbeken/source.h"

#include "drivers/base/memory.h"
#include "drivers/openbeken/unit.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define NEVER INT64_MIN
#define SENTENCE_SIZE 300

static const int64_t ask_after_online_ms = 1200;
static const int64_t ask_again_ms = 30000; /* while the unit is in doubt */
static const unsigned asks_per_tick = 100; /* thousands of modules must not flood the broker */
static const int64_t probe_answer_ms = 3000;
static const unsigned probes_max = 3;
static const int64_t probe_again_ms = 400;
static const unsigned answers_needed =
    2; /* a module short of memory may fail to send one message */
static const int64_t slow_tick_ms = 1000;
static const int64_t absent_ms = 35000;      /* nothing at all was received of a module */
static const int64_t ping_after_ms = 100000; /* of a chip's silence; leaves time for the answer */
static const int64_t alive_ms = 30000;       /* a module received since then is there */
static const int64_t watch_ms = 120000;      /* for offline messages in a row */
static const unsigned flapping_offlines = 5;
static const int64_t bad_watch_ms = 60000;
static const int64_t uptime_slack_ms = 15000; /* less than a module needs to start and connect */
static const unsigned bad_told = 10;
static const int64_t echo_watch_ms = 2000;
static const unsigned echo_answers = 5;
static const unsigned many_siblings = 8; /* share filters from here on */

struct value {
    int64_t milli; /* of an energy counter: mWh */
    int64_t boot_ms;
};

struct chip {
    struct module *module;
    bool used;
    unsigned index;
    unsigned channel;
    struct value values[OPENBEKEN_QUANTITY_COUNT];
    unsigned known; /* bits of reading_field: has a value */
    unsigned fresh; /* came since the last reading; not 0: waits in the queue */
    struct chip *earlier, *later;
    int64_t window_ms;
    int64_t last_ms, last_wall_ms;
    int64_t received_ms; /* last sign that the chip itself works */
    bool online, told;
    struct openbeken_counter counter;
    int64_t counter_topic_ms; /* last message of the energy topic */
};

/* Events of a kind within some time. */
struct watch {
    int64_t since_ms;
    unsigned count;
};

struct module {
    char client[OPENBEKEN_CLIENT_MAX + 1];
    size_t client_length;
    struct module *next; /* with the same hash */
    enum openbeken_unit unit;
    enum openbeken_unit_source unit_from;
    bool unit_doubted;     /* reported, and not proven since */
    int64_t unit_waits_ms; /* since when a counter waits for its unit */
    bool received;         /* of the module anything that shows that it exists */
    int64_t live_ms;       /* when the module itself last spoke; NEVER */
    int64_t pinged_ms;     /* when it was last asked for a sign of life; NEVER */
    int64_t added_ms;
    bool connected_known, connected;
    int64_t offline_ms; /* since when it is said to be offline */
    bool speaks_tele;   /* flag 30 is on: must not be asked */
    int64_t ask_ms;     /* when to begin to ask, with a probe; NEVER */
    int64_t probed_ms;  /* a probe waits for its answer since; NEVER: none does */
    unsigned probes;    /* in a row without an answer */
    unsigned cleared;   /* probes answered without a word on tele/ */
    int64_t started_ms; /* when it started, by its uptime; NEVER: unknown */
    struct watch offlines, bad, answers;
    struct openbeken_energy json;
    bool json_known;
    struct driver_statistics statistics;
    struct chip chips[OPENBEKEN_CHIPS];
};

struct openbeken_source {
    struct driver_sink sink;
    void (*publish)(void *context, const char *topic, const char *payload);
    void *publish_context;
    char *discovery_prefix;
    struct module **modules;
    size_t module_count, module_room;
    struct module **table;
    size_t table_mask;
    struct chip **by_channel;
    size_t channel_count, channel_room;
    struct chip *first, *last; /* the queue of open windows, oldest first */
    bool connected;
    int64_t connected_ms; /* when it last became so, or was created */
    int64_t slow_tick_boot_ms;
    size_t ask_next;
    unsigned pings; /* in this slow tick */
};

/* ---- Finding a module ---- */

/* FNV-1a. */
static uint32_t hash_of(const char *text, size_t length)
{
    uint32_t hash = 2166136261U;
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ (unsigned char)text[i]) * 16777619U;
    return hash;
}

static struct module *find(const struct openbeken_source *source, const char *client, size_t length)
{
    struct module *module = source->table[hash_of(client, length) & source->table_mask];
    while (module != NULL &&
           (module->client_length != length || memcmp(module->client, client, length) != 0))
        module = module->next;
    return module;
}

static void add_to_table(struct openbeken_source *source, struct module *module)
{
    uint32_t hash = hash_of(module->client, module->client_length);
    struct module **slot = &source->table[hash & source->table_mask];
    module->next = *slot;
    *slot = module;
}

static void set_up(struct module *module, const struct openbeken_module *options, int64_t boot_ms)
{
    module->added_ms = boot_ms;
    (void)snprintf(module->client, sizeof module->client, "%s", options->client);
    module->client_length = strlen(module->client);
    module->unit = options->unit;
    module->unit_from = options->unit != OPENBEKEN_UNIT_UNKNOWN ? OPENBEKEN_UNIT_CONFIGURED
                                                                : OPENBEKEN_UNIT_FROM_NOTHING;
    module->unit_waits_ms = module->offline_ms = module->ask_ms = module->started_ms = NEVER;
    module->probed_ms = module->live_ms = module->pinged_ms = NEVER;
    for (unsigned i = 0; i < OPENBEKEN_CHIPS; i++)
        module->chips[i] = (struct chip){
            .module = module,
            .used = options->used[i],
            .index = i,
            .channel = options->channels[i],
            .received_ms = NEVER,
            .counter_topic_ms = NEVER,
        };
}

static void number_channels(struct openbeken_source *source, struct module *module)
{
    for (size_t i = 0; i < OPENBEKEN_CHIPS; i++) {
        struct chip *chip = &module->chips[i];
        while (chip->used && source->channel_count <= chip->channel) {
            source->by_channel = memory_grow(source->by_channel, source->channel_count,
                                             &source->channel_room, sizeof(struct chip *));
            source->by_channel[source->channel_count++] = NULL;
        }
        if (chip->used)
            source->by_channel[chip->channel] = chip;
    }
}

static void grow_table(struct openbeken_source *source)
{
    size_t size = source->table == NULL ? 16 : 2 * (source->table_mask + 1);
    free(source->table);
    source->table = memory_new(size, sizeof(struct module *));
    source->table_mask = size - 1;
    for (size_t i = 0; i < source->module_count; i++)
        add_to_table(source, source->modules[i]);
}

static struct module *add_module(struct openbeken_source *source,
                                 const struct openbeken_module *options, int64_t boot_ms)
{
    if (source->table == NULL || 2 * source->module_count > source->table_mask)
        grow_table(source);
    struct module *module = memory_new(1, sizeof *module);
    set_up(module, options, boot_ms);
    add_to_table(source, module);
    number_channels(source, module);
    source->modules = memory_grow(source->modules, source->module_count, &source->module_room,
                                  sizeof(struct module *));
    source->modules[source->module_count++] = module;
    return module;
}

static void take_from_table(struct openbeken_source *source, const struct module *module)
{
    struct module **slot =
        &source->table[hash_of(module->client, module->client_length) & source->table_mask];
    while (*slot != module)
        slot = &(*slot)->next;
    *slot = module->next;
}

struct openbeken_source *openbeken_source_create(const struct openbeken_source_options *options,
                                                 const struct driver_sink *sink, int64_t boot_ms)
{
    struct openbeken_source *source = memory_new(1, sizeof *source);
    source->sink = *sink;
    source->publish = options->publish;
    source->publish_context = options->publish_context;
    source->discovery_prefix = memory_copy_text(options->discovery_prefix);
    source->connected_ms = source->slow_tick_boot_ms = boot_ms;
    grow_table(source);
    for (size_t i = 0; i < options->module_count; i++)
        (void)add_module(source, &options->modules[i], boot_ms);
    return source;
}

void openbeken_source_free(struct openbeken_source *source)
{
    if (source == NULL)
        return;
    free(source->discovery_prefix);
    free(source->by_channel);
    free(source->table);
    for (size_t i = 0; i < source->module_count; i++)
        free(source->modules[i]);
    free(source->modules);
    free(source);
}

/* ---- Telling ---- */

static void __attribute__((format(printf, 4, 5)))
tell(const struct openbeken_source *source, const struct module *module, enum driver_event event,
     const char *format, ...)
{
    char message[SENTENCE_SIZE];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    for (size_t i = 0; i < OPENBEKEN_CHIPS; i++)
        if (module->chips[i].used)
            source->sink.event(source->sink.context, module->chips[i].channel, event, message);
}

static void set_online(const struct openbeken_source *source, struct chip *chip)
{
    if (chip->online)
        return;
    chip->online = chip->told = true;
    source->sink.availability(source->sink.context, chip->channel, true, "");
}

static void set_offline(const struct openbeken_source *source, struct chip *chip,
                        const char *reason)
{
    if (!chip->used || (chip->told && !chip->online))
        return;
    if (chip->online)
        chip->module->statistics.timeouts++;
    chip->online = false;
    chip->told = true;
    chip->known = 0; /* what comes later is not mixed with what was before */
    source->sink.availability(source->sink.context, chip->channel, false, reason);
}

/* True when the count is reached, once per period. */
static bool watch_count(struct watch *watch, int64_t boot_ms, int64_t period_ms, unsigned count)
{
    if (watch->count == 0 || boot_ms - watch->since_ms > period_ms)
        *watch = (struct watch){.since_ms = boot_ms};
    return ++watch->count == count;
}

static void count_bad(const struct openbeken_source *source, struct module *module, int64_t boot_ms)
{
    module->statistics.frame_errors++;
    if (watch_count(&module->bad, boot_ms, bad_watch_ms, bad_told))
        tell(source, module, DRIVER_MESSAGES_BAD,
             "%u messages below %s within a minute held no value that a meter can have; they were "
             "ignored. Check what else publishes there.",
             bad_told, module->client);
}

/* ---- One reading out of several messages ---- */

static void enqueue(struct openbeken_source *source, struct chip *chip)
{
    chip->later = NULL;
    chip->earlier = source->last;
    if (source->last != NULL)
        source->last->later = chip;
    else
        source->first = chip;
    source->last = chip;
}

static void dequeue(struct openbeken_source *source, struct chip *chip)
{
    if (chip->earlier != NULL)
        chip->earlier->later = chip->later;
    else
        source->first = chip->later;
    if (chip->later != NULL)
        chip->later->earlier = chip->earlier;
    else
        source->last = chip->earlier;
    chip->earlier = chip->later = NULL;
}

/* What is known now; of the counter only news. */
static unsigned present_fields(const struct chip *chip)
{
    unsigned present = 0;
    for (unsigned i = 0; i < OPENBEKEN_QUANTITY_COUNT; i++)
        if ((chip->known & openbeken_field(i)) != 0 &&
            chip->last_ms - chip->values[i].boot_ms <= OPENBEKEN_STALE_MS)
            present |= openbeken_field(i);
    if ((chip->fresh & READING_ENERGY) == 0)
        present &= ~(unsigned)READING_ENERGY;
    return present;
}

static void deliver(struct openbeken_source *source, struct chip *chip)
{
    const struct reading reading = {
        .wall_ms = chip->last_wall_ms,
        .boot_ms = chip->last_ms,
        .present = present_fields(chip),
        .voltage = chip->values[OPENBEKEN_VOLTAGE].milli,
        .current = chip->values[OPENBEKEN_CURRENT].milli,
        .power = chip->values[OPENBEKEN_POWER].milli,
        .energy = chip->values[OPENBEKEN_ENERGY].milli,
        .frequency = chip->values[OPENBEKEN_FREQUENCY].milli,
    };
    dequeue(source, chip);
    chip->fresh = 0;
    if (reading.present == 0)
        return;
    set_online(source, chip);
    chip->module->statistics.readings++;
    source->sink.reading(source->sink.context, chip->channel, &reading);
}

static void take_value(struct openbeken_source *source, struct chip *chip,
                       enum openbeken_quantity quantity, int64_t milli,
                       const struct message *message)
{
    unsigned field = openbeken_field(quantity);
    struct value *value = &chip->values[quantity];
    if ((chip->fresh & field) != 0 && value->milli != milli)
        deliver(source, chip); /* the next second has begun early */
    *value = (struct value){.milli = milli, .boot_ms = message->boot_ms};
    chip->known |= field;
    chip->last_ms = message->boot_ms;
    chip->last_wall_ms = message->wall_ms;
    if (chip->fresh == 0) {
        chip->window_ms = message->boot_ms;
        enqueue(source, chip);
    }
    chip->fresh |= field;
}

/* ---- The unit of the counter ---- */

/* What was believed in the other unit is neither compared with nor delivered any more. */
static void forget_counters(struct openbeken_source *source, struct module *module)
{
    for (size_t i = 0; i < OPENBEKEN_CHIPS; i++) {
        struct chip *chip = &module->chips[i];
        chip->counter.known = false;
        chip->counter.suspects = 0;
        if (chip->fresh == READING_ENERGY)
            dequeue(source, chip);
        chip->fresh &= ~(unsigned)READING_ENERGY;
    }
}

static void ask_at(struct module *module, int64_t boot_ms)
{
    if (module->speaks_tele || module->ask_ms != NEVER || module->probed_ms != NEVER)
        return;
    module->ask_ms = boot_ms;
    module->probes = module->cleared = 0;
}

static const char *unit_name(enum openbeken_unit unit)
{
    return unit == OPENBEKEN_KWH ? "kWh" : "Wh";
}

static enum openbeken_unit other_unit(enum openbeken_unit unit)
{
    return unit == OPENBEKEN_KWH ? OPENBEKEN_WH : OPENBEKEN_KWH;
}

/* Once, until the unit is proven. */
static void doubt_unit(const struct openbeken_source *source, struct module *module,
                       const char *sentence)
{
    if (module->unit_doubted)
        return;
    module->unit_doubted = true;
    tell(source, module, DRIVER_UNIT_DOUBTFUL, "%s", sentence);
}

static void take_unit(struct openbeken_source *source, struct module *module,
                      enum openbeken_unit unit)
{
    bool changed = module->unit != OPENBEKEN_UNIT_UNKNOWN;
    module->unit = unit;
    module->unit_waits_ms = NEVER;
    forget_counters(source, module);
    if (changed)
        tell(source, module, DRIVER_UNIT_CHANGED,
             "The module sends its energy counter in %s from now on (OpenBeken's flag 40); the "
             "total goes on.",
             unit_name(unit));
}

/* Something says what the unit is. What weighs less than what is known changes nothing, but is a reason
 * to ask the module again. */
static void weigh_unit(struct openbeken_source *source, struct module *module,
                       enum openbeken_unit unit, enum openbeken_unit_source from, int64_t boot_ms)
{
    if (unit == OPENBEKEN_UNIT_UNKNOWN)
        return;
    bool proof = from == OPENBEKEN_UNIT_PROVEN;
    bool contradicts = module->unit != OPENBEKEN_UNIT_UNKNOWN && unit != module->unit;
    if (proof && !contradicts)
        module->unit_doubted = false;
    if (from >= module->unit_from) {
        module->unit_from = from;
        if (unit != module->unit)
            take_unit(source, module, unit);
    } else if (contradicts && proof) {
        doubt_unit(
            source, module,
            "By its own total (Status 8) the module sends its energy counter in the other unit "
            "than energy_unit says. Correct energy_unit, or set it to auto.");
    }
    if (contradicts && !proof && module->unit_from != OPENBEKEN_UNIT_CONFIGURED)
        ask_at(module, boot_ms);
}

static void believe_counter(struct openbeken_source *source, struct chip *chip, int64_t mwh,
                            const struct message *message)
{
    chip->counter.known = true;
    chip->counter.waits = false;
    chip->counter.mwh = mwh;
    chip->counter.boot_ms = message->boot_ms;
    take_value(source, chip, OPENBEKEN_ENERGY, mwh, message);
}

/* Active power may be hidden (flag 25) while the counter runs, so apparent power bounds it. */
static int64_t load_of(const struct chip *chip, int64_t boot_ms)
{
    static const unsigned both = READING_VOLTAGE | READING_CURRENT;
    const struct value *voltage = &chip->values[OPENBEKEN_VOLTAGE];
    const struct value *current = &chip->values[OPENBEKEN_CURRENT];
    if ((chip->known & both) != both || boot_ms - voltage->boot_ms > OPENBEKEN_STALE_MS ||
        boot_ms - current->boot_ms > OPENBEKEN_STALE_MS)
        return -1;
    return (int64_t)((double)voltage->milli * (double)current->milli / 1e3);
}

static void do_not_ask(struct module *module)
{
    module->ask_ms = module->probed_ms = NEVER;
}

/* The unit became known: what waited for it counts as come now. */
static void release_counters(struct openbeken_source *source, struct module *module,
                             const struct message *message)
{
    if (module->unit == OPENBEKEN_UNIT_UNKNOWN)
        return;
    for (size_t i = 0; i < OPENBEKEN_CHIPS; i++) {
        struct chip *chip = &module->chips[i];
        if (chip->counter.waits)
            believe_counter(source, chip, openbeken_mwh(chip->counter.raw, module->unit), message);
    }
}

static void take_counter(struct openbeken_source *source, struct chip *chip, int64_t raw,
                         const struct message *message)
{
    struct module *module = chip->module;
    chip->counter_topic_ms = message->boot_ms;
    chip->counter.raw = raw;
    chip->counter.raw_known = true;
    if (module->unit == OPENBEKEN_UNIT_UNKNOWN && chip->index == 0 && module->json_known) {
        weigh_unit(source, module,
                   openbeken_unit_of_total(raw, module->json.milli[OPENBEKEN_ENERGY]),
                   OPENBEKEN_UNIT_PROVEN, message->boot_ms);
        release_counters(source, module, message);
    }
    if (module->unit == OPENBEKEN_UNIT_UNKNOWN) {
        chip->counter.waits = true;
        if (module->unit_waits_ms == NEVER)
            module->unit_waits_ms = message->boot_ms;
        return;
    }
    if (module->unit_from != OPENBEKEN_UNIT_CONFIGURED) {
        switch (openbeken_unit_follow(&chip->counter, module->unit, raw, message->boot_ms,
                                      load_of(chip, message->boot_ms))) {
        case OPENBEKEN_STEP_PLAIN:
            break;
        case OPENBEKEN_STEP_SUSPECT:
            ask_at(module, message->boot_ms);
            return;
        case OPENBEKEN_STEP_CHANGED:
            module->unit_from = OPENBEKEN_UNIT_FOLLOWED;
            take_unit(source, module, other_unit(module->unit));
            break;
        }
    }
    believe_counter(source, chip, openbeken_mwh(raw, module->unit), message);
}

/* ---- Messages ---- */

static void take_topic_value(struct openbeken_source *source, struct module *module,
                             const struct openbeken_topic *topic, const struct message *message)
{
    struct chip *chip = &module->chips[topic->chip];
    int64_t milli = 0;
    if (message->retained || !chip->used)
        return;
    switch (openbeken_value(topic->quantity, message->payload, message->length, &milli)) {
    case OPENBEKEN_EMPTY:
        return;
    case OPENBEKEN_BAD:
        count_bad(source, module, message->boot_ms);
        return;
    case OPENBEKEN_UNKNOWN:
        chip->known &= ~openbeken_field(topic->quantity);
        chip->received_ms = message->boot_ms;
        return;
    case OPENBEKEN_GOOD:
        break;
    }
    module->offline_ms = NEVER; /* it speaks */
    chip->received_ms = message->boot_ms;
    if (topic->quantity == OPENBEKEN_ENERGY)
        take_counter(source, chip, milli, message);
    else
        take_value(source, chip, topic->quantity, milli, message);
}

/* The JSON's counter is used until the topic's is received. It is cut to whole Wh where the topic is, so
 * that changing from one to the other is no step back. */
static void take_json_counter(struct openbeken_source *source, struct module *module,
                              const struct message *message)
{
    struct chip *chip = &module->chips[0];
    int64_t mwh = module->json.milli[OPENBEKEN_ENERGY];
    if (chip->counter.raw_known &&
        message->boot_ms - chip->counter_topic_ms <= OPENBEKEN_STALE_MS) {
        weigh_unit(source, module, openbeken_unit_of_total(chip->counter.raw, mwh),
                   OPENBEKEN_UNIT_PROVEN, message->boot_ms);
        release_counters(source, module, message);
    }
    if (chip->counter_topic_ms != NEVER &&
        message->boot_ms - chip->counter_topic_ms <= OPENBEKEN_STALE_MS)
        return;
    believe_counter(source, chip, module->unit == OPENBEKEN_KWH ? mwh - mwh % 1000 : mwh, message);
}

static bool same_energy(const struct openbeken_energy *a, const struct openbeken_energy *b)
{
    return a->present == b->present && memcmp(a->milli, b->milli, sizeof a->milli) == 0;
}

static void take_energy_json(struct openbeken_source *source, struct module *module,
                             const struct message *message)
{
    struct chip *chip = &module->chips[0];
    struct openbeken_energy before = module->json;
    bool first = !module->json_known;
    enum openbeken_verdict verdict =
        openbeken_sensor_json(message->payload, message->length, &module->json);
    if (verdict != OPENBEKEN_GOOD) {
        module->json = before;
        if (verdict == OPENBEKEN_BAD)
            count_bad(source, module, message->boot_ms);
        return;
    }
    module->json_known = true;
    module->offline_ms = NEVER;
    if (!chip->used || (!first && same_energy(&before, &module->json)))
        return; /* perhaps only repeated: the chip may be silent */
    for (unsigned i = 0; i < OPENBEKEN_ENERGY; i++)
        if ((module->json.present & openbeken_field(i)) != 0 &&
            (first || before.milli[i] != module->json.milli[i] ||
             (chip->known & openbeken_field(i)) == 0))
            take_value(source, chip, i, module->json.milli[i], message);
    if ((module->json.present & READING_ENERGY) != 0)
        take_json_counter(source, module, message);
    if (chip->fresh == 0)
        return;
    chip->received_ms = message->boot_ms;
    deliver(source, chip); /* JSON holds all there is: nothing to wait for */
}

static void take_connected(const struct openbeken_source *source, struct module *module,
                           const struct message *message)
{
    bool online = false;
    switch (openbeken_connected(message->payload, message->length, &online)) {
    case OPENBEKEN_GOOD:
        break;
    case OPENBEKEN_EMPTY:
    case OPENBEKEN_UNKNOWN:
        return;
    case OPENBEKEN_BAD:
        count_bad(source, module, message->boot_ms);
        return;
    }
    module->connected_known = true;
    module->connected = online;
    if (online) {
        module->offline_ms = NEVER;
        if (!message->retained) {
            module->statistics.reconnects++;
            do_not_ask(module);
            ask_at(module, message->boot_ms + ask_after_online_ms);
        }
        return;
    }
    if (module->offline_ms == NEVER)
        module->offline_ms = message->boot_ms;
    if (!message->retained &&
        watch_count(&module->offlines, message->boot_ms, watch_ms, flapping_offlines))
        tell(source, module, DRIVER_SOURCE_FLAPPING,
             "The module went offline %u times in two minutes. If its Wi-Fi is good, two modules "
             "have the client id %s and throw each other out: give one another id.",
             flapping_offlines, module->client);
}

static void take_uptime(const struct openbeken_source *source, struct module *module,
                        const struct message *message)
{
    int64_t seconds;
    if (message->retained ||
        openbeken_uptime(message->payload, message->length, &seconds) != OPENBEKEN_GOOD)
        return;
    int64_t started_ms = message->boot_ms - 1000 * seconds;
    if (module->started_ms != NEVER && started_ms > module->started_ms + uptime_slack_ms)
        tell(source, module, DRIVER_SOURCE_RESTARTED,
             "The module restarted %" PRId64 " s ago. After a power cut its counter goes on from "
             "the last value it had stored, up to 10 Wh lower.",
             seconds);
    module->started_ms = started_ms;
}

/* An answer should follow a question. Many in a row are a module that answers itself. */
static void watch_answers(const struct openbeken_source *source, struct module *module,
                          int64_t boot_ms)
{
    if (!watch_count(&module->answers, boot_ms, echo_watch_ms, echo_answers))
        return;
    module->speaks_tele = true;
    do_not_ask(module);
    tell(source, module, DRIVER_SOURCE_FLAPPING,
         "The module answers its own answers: with flag 30 it takes stat/%s/STATUS8 for a command. "
         "Restart it, and do not send Status to it over MQTT while flag 30 is on.",
         module->client);
}

static void ask(const struct openbeken_source *source, const struct module *module)
{
    char topic[sizeof "cmnd//Status" + OPENBEKEN_CLIENT_MAX];
    (void)snprintf(topic, sizeof topic, "cmnd/%s/Status", module->client);
    source->publish(source->publish_context, topic, "8");
}

/* The answer to a probe. With flag 30 something on tele/ would have come before it. */
static void take_channel(const struct openbeken_source *source, struct module *module,
                         const struct message *message)
{
    if (message->retained || message->length == 0 || module->probed_ms == NEVER)
        return;
    do_not_ask(module);
    if (++module->cleared >= answers_needed) {
        ask(source, module);
        return;
    }
    module->probes = 0;
    module->ask_ms = message->boot_ms + probe_again_ms;
}

/* Empty messages are questions, our own come back to us; what the broker kept may be of long ago, and
 * so may an `online` be, but whoever said it exists. `offline` is the broker's word. */
static void note_life(struct module *module, const struct openbeken_topic *topic,
                      const struct message *message)
{
    bool online = false;
    if (message->length == 0)
        return;
    module->received = module->received || !message->retained || topic->kind == OPENBEKEN_CONNECTED;
    if (topic->kind == OPENBEKEN_CONNECTED &&
        (openbeken_connected(message->payload, message->length, &online) != OPENBEKEN_GOOD ||
         !online))
        return;
    if (!message->retained)
        module->live_ms = message->boot_ms;
}

static void take(struct openbeken_source *source, struct module *module,
                 const struct openbeken_topic *topic, const struct message *message)
{
    note_life(module, topic, message);
    switch (topic->kind) {
    case OPENBEKEN_VALUE:
        take_topic_value(source, module, topic, message);
        break;
    case OPENBEKEN_CONNECTED:
        take_connected(source, module, message);
        break;
    case OPENBEKEN_UPTIME:
        take_uptime(source, module, message);
        break;
    case OPENBEKEN_BUILD:
        break;
    case OPENBEKEN_CHANNEL_0:
        take_channel(source, module, message);
        break;
    case OPENBEKEN_SENSOR:
    case OPENBEKEN_TELE:
        module->speaks_tele = true; /* also if retained: better once too seldom asked */
        do_not_ask(module);
        if (topic->kind == OPENBEKEN_SENSOR && !message->retained)
            take_energy_json(source, module, message);
        break;
    case OPENBEKEN_STATUS:
        if (message->retained)
            break;
        watch_answers(source, module, message->boot_ms);
        take_energy_json(source, module, message);
        break;
    }
}

static bool take_discovery(struct openbeken_source *source, const struct message *message)
{
    struct openbeken_discovery discovery;
    if (!openbeken_discovery_of_total(message->topic) ||
        !openbeken_discovery_topic(source->discovery_prefix, message->topic) ||
        !openbeken_discovery(message->payload, message->length, &discovery))
        return false;
    struct module *module = find(source, discovery.client, strlen(discovery.client));
    if (module == NULL)
        return false;
    if (discovery.unit_foreign)
        doubt_unit(
            source, module,
            "The module announces its energy counter in a unit that is neither Wh nor kWh; the "
            "announcement is ignored. Set energy_unit to what the module sends.");
    weigh_unit(source, module, discovery.unit,
               message->retained ? OPENBEKEN_UNIT_RETAINED : OPENBEKEN_UNIT_ANNOUNCED,
               message->boot_ms);
    release_counters(source, module, message);
    return true;
}

bool openbeken_source_message(struct openbeken_source *source, const struct message *message)
{
    struct openbeken_topic candidates[OPENBEKEN_CANDIDATES];
    size_t count = openbeken_topic_read(message->topic, candidates);
    for (size_t i = 0; i < count; i++) {
        struct module *module = find(source, candidates[i].client, candidates[i].client_length);
        if (module == NULL)
            continue;
        take(source, module, &candidates[i], message);
        return true;
    }
    return take_discovery(source, message);
}

void openbeken_source_connection(struct openbeken_source *source, bool connected, int64_t boot_ms)
{
    if (connected && !source->connected) {
        source->connected_ms = boot_ms;
        for (size_t i = 0; i < source->module_count; i++)
            ask_at(source->modules[i], boot_ms);
    }
    for (size_t i = 0; i < source->module_count && !connected; i++) {
        source->modules[i]->offline_ms = NEVER; /* nobody can tell any more */
        do_not_ask(source->modules[i]);
    }
    source->connected = connected;
}

/* ---- Time ---- */

static void ask_for_channel_0(const struct openbeken_source *source, const struct module *module)
{
    char topic[sizeof "/0/get" + OPENBEKEN_CLIENT_MAX];
    (void)snprintf(topic, sizeof topic, "%s/0/get", module->client);
    source->publish(source->publish_context, topic, "");
}

static void probe(const struct openbeken_source *source, struct module *module, int64_t boot_ms)
{
    module->ask_ms = NEVER;
    module->probed_ms = boot_ms;
    module->probes++;
    ask_for_channel_0(source, module);
}

/* What does not answer is offline, starting, or something else. */
static bool probe_is_due(struct module *module, int64_t boot_ms)
{
    if (module->probed_ms != NEVER && boot_ms - module->probed_ms >= probe_answer_ms) {
        module->probed_ms = NEVER;
        if (module->probes < probes_max)
            module->ask_ms = boot_ms;
    }
    return module->ask_ms != NEVER && module->ask_ms <= boot_ms;
}

/* Fairly: begins where the last tick ended. */
static void ask_some(struct openbeken_source *source, int64_t boot_ms)
{
    unsigned asked = 0;
    for (size_t n = 0; n < source->module_count && asked < asks_per_tick; n++) {
        struct module *module = source->modules[source->ask_next];
        source->ask_next = (source->ask_next + 1) % source->module_count;
        if (!probe_is_due(module, boot_ms))
            continue;
        probe(source, module, boot_ms);
        asked++;
    }
}

static void decide_unit(struct openbeken_source *source, struct module *module, int64_t boot_ms)
{
    if (module->unit_waits_ms == NEVER || boot_ms - module->unit_waits_ms < OPENBEKEN_UNIT_WAIT_MS)
        return;
    doubt_unit(
        source, module,
        "Nothing says in which unit the module sends its energy counter, so Wh is assumed and "
        "the module asked again. Set energy_unit to Wh or kWh to be certain.");
    weigh_unit(source, module, OPENBEKEN_WH, OPENBEKEN_UNIT_ASSUMED, boot_ms);
    ask_at(module, boot_ms + ask_again_ms); /* it may still turn out to be kWh */
}

/* Since when something of the module could have been received. */
static int64_t waits_since(const struct openbeken_source *source, const struct module *module)
{
    return module->added_ms > source->connected_ms ? module->added_ms : source->connected_ms;
}

static bool is_alive(const struct module *module, int64_t boot_ms)
{
    return module->live_ms != NEVER && boot_ms - module->live_ms <= alive_ms;
}

/* A module whose chip is silent says nothing by itself, and one without power is online to the broker
 * for up to 150 s: before one of them is blamed, the module is asked for a sign of life, once. */
static void ping(struct openbeken_source *source, struct module *module, int64_t silent_since_ms,
                 int64_t boot_ms)
{
    if (!source->connected || source->pings >= asks_per_tick || is_alive(module, boot_ms) ||
        boot_ms - silent_since_ms <= ping_after_ms ||
        (module->pinged_ms != NEVER && module->pinged_ms >= silent_since_ms))
        return;
    module->pinged_ms = boot_ms;
    source->pings++;
    ask_for_channel_0(source, module);
}

static void check_silence(struct openbeken_source *source, struct chip *chip, int64_t boot_ms)
{
    char reason[SENTENCE_SIZE];
    struct module *module = chip->module;
    int64_t since_ms = chip->received_ms != NEVER ? chip->received_ms : waits_since(source, module);
    if (!chip->used || (chip->told && !chip->online))
        return;
    ping(source, module, since_ms, boot_ms);
    if (boot_ms - since_ms <= OPENBEKEN_STALE_MS)
        return;
    if (!source->connected)
        set_offline(source, chip, "The MQTT broker is not reachable, so nothing is received.");
    else if (!is_alive(module, boot_ms)) {
        (void)snprintf(
            reason, sizeof reason,
            "Nothing was received of the module %s for two minutes, not even an answer: it "
            "lost its supply or its Wi-Fi.",
            module->client);
        set_offline(source, chip, reason);
    } else if (chip->received_ms != NEVER || chip->index == 0) {
        (void)snprintf(reason, sizeof reason,
                       "The module %s is online but its BL0942 is silent: nothing was measured for "
                       "two minutes. Check the chip's supply and wires, and startDriver BL0942 in "
                       "autoexec.bat.",
                       module->client);
        set_offline(source, chip, reason);
    } else {
        (void)snprintf(reason, sizeof reason,
                       "The module %s is online but sends nothing of a second chip: that takes an "
                       "image built with ENABLE_BL_TWIN, and BL0942opts 3 before startDriver "
                       "BL0942.",
                       module->client);
        set_offline(source, chip, reason);
    }
}

static void check_module(struct openbeken_source *source, struct module *module, int64_t boot_ms)
{
    char reason[SENTENCE_SIZE];
    bool gone = module->offline_ms != NEVER && boot_ms - module->offline_ms >= OPENBEKEN_OFFLINE_MS;
    bool absent = !module->received && source->connected &&
                  boot_ms - waits_since(source, module) >= absent_ms;
    if (gone)
        (void)snprintf(reason, sizeof reason,
                       "The module %s is offline: it lost its supply, its Wi-Fi or the broker.",
                       module->client);
    else if (absent)
        (void)snprintf(
            reason, sizeof reason,
            "Nothing was received of a module with the client id %s: check topic, and MQTT "
            "on the module's page. `bl2mqtt openbeken find` lists what is there.",
            module->client);
    for (size_t i = 0; i < OPENBEKEN_CHIPS; i++) {
        if (gone || absent)
            set_offline(source, &module->chips[i], reason);
        else
            check_silence(source, &module->chips[i], boot_ms);
    }
    decide_unit(source, module, boot_ms);
}

void openbeken_source_tick(struct openbeken_source *source, int64_t boot_ms)
{
    while (source->first != NULL && boot_ms - source->first->window_ms >= OPENBEKEN_WINDOW_MS)
        deliver(source, source->first);
    ask_some(source, boot_ms);
    if (boot_ms - source->slow_tick_boot_ms < slow_tick_ms)
        return;
    source->slow_tick_boot_ms = boot_ms;
    source->pings = 0;
    for (size_t i = 0; i < source->module_count; i++)
        check_module(source, source->modules[i], boot_ms);
}

bool openbeken_source_statistics(const struct openbeken_source *source, unsigned channel,
                                 struct driver_statistics *statistics)
{
    if (channel >= source->channel_count || source->by_channel[channel] == NULL)
        return false;
    *statistics = source->by_channel[channel]->module->statistics;
    return true;
}

/* ---- What to subscribe to ---- */

static size_t parent_length(const struct module *module)
{
    const char *slash = strrchr(module->client, '/');
    return slash == NULL ? 0 : (size_t)(slash - module->client);
}

static int compare_parents(const void *a, const void *b)
{
    const struct module *x = *(const struct module *const *)a;
    const struct module *y = *(const struct module *const *)b;
    size_t length = parent_length(x), other = parent_length(y);
    if (length != other)
        return length < other ? -1 : 1;
    return memcmp(x->client, y->client, length);
}

static void subscribe_to(const char *client, int length, const char *below,
                         void (*subscribe)(void *context, const char *filter), void *context)
{
    static const struct {
        const char *head, *tail;
    } forms[] = {{"", "/+"}, {"", "/+/get"}, {"tele/", "/+"}, {"stat/", "/STATUS8"}};
    char filter[OPENBEKEN_TOPIC_MAX];
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        (void)snprintf(filter, sizeof filter, "%s%.*s%s%s", forms[i].head, length, client, below,
                       forms[i].tail);
        subscribe(context, filter);
    }
}

static void subscribe_to_discovery(const struct openbeken_source *source,
                                   void (*subscribe)(void *context, const char *filter),
                                   void *context)
{
    char filter[OPENBEKEN_TOPIC_MAX];
    (void)snprintf(filter, sizeof filter, "%s/sensor/+/config", source->discovery_prefix);
    subscribe(context, filter);
}

void openbeken_source_filters(const struct openbeken_source *source,
                              void (*subscribe)(void *context, const char *filter), void *context)
{
    struct module **order memory_auto = memory_new(source->module_count, sizeof(struct module *));
    for (size_t i = 0; i < source->module_count; i++)
        order[i] = source->modules[i];
    qsort(order, source->module_count, sizeof(struct module *), compare_parents);
    for (size_t first = 0, next; first < source->module_count; first = next) {
        next = first + 1;
        while (next < source->module_count && compare_parents(&order[first], &order[next]) == 0)
            next++;
        int parent = (int)parent_length(order[first]);
        /* Without a parent the wildcard would bring everything that the broker has. */
        if (parent > 0 && next - first >= many_siblings)
            subscribe_to(order[first]->client, parent, "/+", subscribe, context);
        else
            for (size_t i = first; i < next; i++)
                subscribe_to(order[i]->client, (int)order[i]->client_length, "", subscribe,
                             context);
    }
    if (source->module_count > 0)
        subscribe_to_discovery(source, subscribe, context); /* last: what it brings may be much */
}

void openbeken_source_add(struct openbeken_source *source, const struct openbeken_module *options,
                          int64_t boot_ms, void (*subscribe)(void *context, const char *filter),
                          void *context)
{
    struct module *module = add_module(source, options, boot_ms);
    subscribe_to(module->client, (int)module->client_length, "", subscribe, context);
    subscribe_to_discovery(source, subscribe, context);
    if (source->connected)
        ask_at(module, boot_ms);
}

void openbeken_source_remove(struct openbeken_source *source, const char *client)
{
    struct module *module = find(source, client, strlen(client));
    if (module == NULL)
        return;
    for (size_t i = 0; i < OPENBEKEN_CHIPS; i++) {
        struct chip *chip = &module->chips[i];
        if (chip->fresh != 0)
            dequeue(source, chip);
        if (chip->used)
            source->by_channel[chip->channel] = NULL;
    }
    take_from_table(source, module);
    size_t index = 0;
    while (source->modules[index] != module)
        index++;
    source->modules[index] = source->modules[--source->module_count];
    source->ask_next = 0;
    free(module);
}
