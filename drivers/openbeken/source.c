/* SPDX-License-Identifier: MIT */
#include "drivers/base/memory.h"
#include "drivers/openbeken/source_internal.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const int64_t ask_after_online_ms = 1200;
static const int64_t probe_again_ms = 400;
static const unsigned answers_needed =
    2;                                  /* a module short of memory may fail to send one message */
static const int64_t watch_ms = 120000; /* for offline messages in a row */
static const unsigned flapping_offlines = 5;
static const int64_t bad_watch_ms = 60000;
static const int64_t uptime_slack_ms = 15000; /* less than a module needs to start and connect */
static const unsigned bad_reported = 10;
static const int64_t echo_watch_ms = 2000;
static const unsigned echo_answers = 5;

/* ---- Finding a module ---- */

/* FNV-1a. */
static uint32_t hash_of(const char *text, size_t length)
{
    uint32_t hash = 2166136261U;
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ (unsigned char)text[i]) * 16777619U;
    return hash;
}

struct module *source_find(const struct openbeken_source *source, const char *client, size_t length)
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

struct module *source_add_module(struct openbeken_source *source,
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
        (void)source_add_module(source, &options->modules[i], boot_ms);
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

void source_report(const struct openbeken_source *source, const struct module *module,
                   enum driver_event event, const char *format, ...)
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
    chip->online = chip->reported = true;
    source->sink.availability(source->sink.context, chip->channel, true, "");
}

void source_set_offline(const struct openbeken_source *source, struct chip *chip,
                        const char *reason)
{
    if (!chip->used || (chip->reported && !chip->online))
        return;
    if (chip->online)
        chip->module->statistics.timeouts++;
    chip->online = false;
    chip->reported = true;
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
    if (watch_count(&module->bad, boot_ms, bad_watch_ms, bad_reported))
        source_report(
            source, module, DRIVER_MESSAGES_BAD,
            "%u messages below %s within a minute held no value that a meter can have; they were "
            "ignored. Check what else publishes there.",
            bad_reported, module->client);
}
void openbeken_source_remove(struct openbeken_source *source, const char *client)
{
    struct module *module = source_find(source, client, strlen(client));
    if (module == NULL)
        return;
    for (size_t i = 0; i < OPENBEKEN_CHIPS; i++) {
        struct chip *chip = &module->chips[i];
        if (chip->fresh != 0)
            source_dequeue(source, chip);
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

void source_dequeue(struct openbeken_source *source, struct chip *chip)
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

void source_deliver(struct openbeken_source *source, struct chip *chip)
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
    source_dequeue(source, chip);
    chip->fresh = 0;
    if (reading.present == 0)
        return;
    set_online(source, chip);
    chip->module->statistics.readings++;
    source->sink.reading(source->sink.context, chip->channel, &reading);
}

void source_take_value(struct openbeken_source *source, struct chip *chip,
                       enum openbeken_quantity quantity, int64_t milli,
                       const struct message *message)
{
    unsigned field = openbeken_field(quantity);
    struct source_value *value = &chip->values[quantity];
    if ((chip->fresh & field) != 0 && value->milli != milli)
        source_deliver(source, chip); /* the next second has begun early */
    *value = (struct source_value){.milli = milli, .boot_ms = message->boot_ms};
    chip->known |= field;
    chip->last_ms = message->boot_ms;
    chip->last_wall_ms = message->wall_ms;
    if (chip->fresh == 0) {
        chip->window_ms = message->boot_ms;
        enqueue(source, chip);
    }
    chip->fresh |= field;
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
        source_take_counter(source, chip, milli, message);
    else
        source_take_value(source, chip, topic->quantity, milli, message);
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
        source_weigh_unit(source, module, openbeken_unit_of_total(chip->counter.raw, mwh),
                          OPENBEKEN_UNIT_PROVEN, message->boot_ms);
        source_release_counters(source, module, message);
    }
    if (chip->counter_topic_ms != NEVER &&
        message->boot_ms - chip->counter_topic_ms <= OPENBEKEN_STALE_MS)
        return;
    source_believe_counter(source, chip, module->unit == OPENBEKEN_KWH ? mwh - mwh % 1000 : mwh,
                           message);
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
            source_take_value(source, chip, i, module->json.milli[i], message);
    if ((module->json.present & READING_ENERGY) != 0)
        take_json_counter(source, module, message);
    if (chip->fresh == 0)
        return;
    chip->received_ms = message->boot_ms;
    source_deliver(source, chip); /* JSON holds all there is: nothing to wait for */
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
            source_do_not_ask(module);
            source_ask_at(module, message->boot_ms + ask_after_online_ms);
        }
        return;
    }
    if (module->offline_ms == NEVER)
        module->offline_ms = message->boot_ms;
    if (!message->retained &&
        watch_count(&module->offlines, message->boot_ms, watch_ms, flapping_offlines))
        source_report(
            source, module, DRIVER_SOURCE_FLAPPING,
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
        source_report(source, module, DRIVER_SOURCE_RESTARTED,
                      "The module restarted %" PRId64
                      " s ago. After a power cut its counter goes on from "
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
    source_do_not_ask(module);
    source_report(
        source, module, DRIVER_SOURCE_FLAPPING,
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
    source_do_not_ask(module);
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
        source_do_not_ask(module);
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
    struct module *module = source_find(source, discovery.client, strlen(discovery.client));
    if (module == NULL)
        return false;
    if (discovery.unit_foreign)
        source_doubt_unit(
            source, module,
            "The module announces its energy counter in a unit that is neither Wh nor kWh; the "
            "announcement is ignored. Set energy_unit to what the module sends.");
    source_weigh_unit(source, module, discovery.unit,
                      message->retained ? OPENBEKEN_UNIT_RETAINED : OPENBEKEN_UNIT_ANNOUNCED,
                      message->boot_ms);
    source_release_counters(source, module, message);
    return true;
}

bool openbeken_source_message(struct openbeken_source *source, const struct message *message)
{
    struct openbeken_topic candidates[OPENBEKEN_CANDIDATES];
    size_t count = openbeken_topic_read(message->topic, candidates);
    for (size_t i = 0; i < count; i++) {
        struct module *module =
            source_find(source, candidates[i].client, candidates[i].client_length);
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
            source_ask_at(source->modules[i], boot_ms);
    }
    for (size_t i = 0; i < source->module_count && !connected; i++) {
        source->modules[i]->offline_ms = NEVER; /* nobody knows any more */
        source_do_not_ask(source->modules[i]);
    }
    source->connected = connected;
}
