/* SPDX-License-Identifier: MIT */
/*
 * Every device, and the bridge before them, is a `thing` that takes steps. A round (at connect and at
 * each birth) sets every idle thing on its first step; a timer takes one due step at a time, gap_ms
 * apart. What a thing must do follows from its record in the memory:
 *
 *   as before            ANNOUNCE
 *   components are gone  ANNOUNCE naming them, WITHOUT, CONFIRM (memory without them)
 *   other mode           MIGRATE (old topics), ANNOUNCE, CLEAR (old topics), CLEARED (old record gone)
 *   no longer there      CLEAR, CLEARED
 *
 * The memory is extended before the first message of a round and shortened only after the broker has
 * acknowledged the last one of a removal, so that a stop at any moment leaves nothing unremembered.
 * A lost connection ends all steps; the next round starts over from the memory.
 */
#include "bridge/mqtt/announcer.h"

#include "bridge/hub/messages.h"
#include "bridge/mqtt/announced.h"
#include "bridge/mqtt/jitter.h"
#include "drivers/base/clock.h"
#include "drivers/base/memory.h"

#include <string.h>
#include <strings.h>

#define POLL_MS 50 /* while waiting for acknowledgements */
#define REMOVE_AFTER_MS                                                                            \
    1000 /* a description that changes is a device that leaves and comes at once */
#define REPAIR_PAUSE_MS                                                                            \
    5000               /* an announcement that others overwrite is repaired at most this often */
#define ROUND_MS 60000 /* thousands of devices are announced in this time, not gap_ms apart */

const struct announcer_timing announcer_timing_default = {
    .gap_ms = 50,
    .settle_ms = 2000,
    .birth_min_ms = 1000,
    .birth_max_ms = 10000,
    .birth_quiet_ms = 10000,
    .refresh_min_ms = 2000,
    .refresh_max_ms = 5000,
};

enum step {
    STEP_IDLE,
    STEP_MIGRATE,
    STEP_ANNOUNCE,
    STEP_WITHOUT,
    STEP_CONFIRM,
    STEP_CLEAR,
    STEP_CLEARED,
};

struct thing {
    char *device_id;
    bool wanted;                             /* false: only its old record is left to clear */
    const struct device_description *device; /* NULL: the bridge, or not wanted */
    json_t *record;                          /* of what is announced now; in announcer->records */
    json_t *old;                             /* to be cleared; likewise; NULL none */
    enum step step;
    int64_t due_ms;
    uint64_t last_hash; /* of the last messages sent, 0 none */
    int64_t last_ms;    /* when they were sent, by us or by the publisher after a reconnect */
    json_t *last_topics;
    bool removed_by_user;
    json_t *removed_keys; /* component mode: key -> true, removed by the user */
};

struct announcer {
    uv_loop_t *loop;
    struct publisher *publisher;
    struct announcer_options options;
    struct announcer_timing timing;
    struct log *log;

    json_t *records;
    struct thing *things;
    size_t thing_count, thing_room;
    json_t *wanted;    /* device id -> index of its thing */
    json_t *forgotten; /* device id -> true: what the broker still has of it is cleared when seen */

    bool connected;
    int64_t next_step_ms;
    uv_timer_t step_timer, birth_timer, refresh_timer;
    bool birth_waits;
    int64_t last_birth_ms; /* when the last birth was answered, or far in the past */
    bool refresh_wanted;   /* once the round is through */

    char *memory_path;
    uv_work_t save;
    bool saving, save_again;
    char *save_text;
    struct error save_error;
    enum status save_status;

    bool closing;
    unsigned open_handles;
};

/* ---- messages of one step -------------------------------------------------------------------- */

struct message {
    struct message *next;
    char *topic;
    char *payload;
};

struct messages {
    struct announcer *announcer;
    struct thing *thing;
    struct message *first, *last;
    uint64_t hash;
};

static uint64_t hash_more(uint64_t hash, const char *text)
{
    do
        hash = (hash ^ (unsigned char)*text) * 1099511628211U; /* FNV-1a */
    while (*text++ != '\0');
    return hash;
}

/* The hash of a message that came in, as hash_more makes it of one that goes out. */
static uint64_t hash_message(uint64_t hash, const struct publisher_incoming *incoming)
{
    hash = hash_more(hash, incoming->topic);
    for (size_t i = 0; i < incoming->payload_length; i++)
        hash = (hash ^ (unsigned char)incoming->payload[i]) * 1099511628211U;
    return (hash ^ 0U) * 1099511628211U; /* the NUL at the end */
}

static void collect(void *context, const char *topic, const char *payload)
{
    struct messages *messages = context;
    char key[PROPERTY_KEY_SIZE];
    struct thing *thing = messages->thing;
    if (discovery_topic_matches(&messages->announcer->options.context, thing->device_id, topic, key,
                                sizeof key) &&
        json_object_get(thing->removed_keys, key) != NULL)
        return;
    struct message *message = memory_new(1, sizeof *message);
    message->topic = memory_copy_text(topic);
    message->payload = memory_copy_text(payload);
    if (messages->last != NULL)
        messages->last->next = message;
    else
        messages->first = message;
    messages->last = message;
    messages->hash = hash_more(hash_more(messages->hash, topic), payload);
}

static void free_messages(struct messages *messages)
{
    for (struct message *message = messages->first, *next; message != NULL; message = next) {
        next = message->next;
        free(message->topic);
        free(message->payload);
        free(message);
    }
}

static struct messages new_messages(struct announcer *announcer, struct thing *thing)
{
    return (struct messages){.announcer = announcer, .thing = thing, .hash = 14695981039346656037U};
}

/* Publishes and frees them. False, and nothing is sent, if it is too soon after a different message
 * for the same device; the thing's due time is then set. */
static bool send_messages(struct announcer *announcer, struct thing *thing,
                          struct messages *messages)
{
    int64_t now = clock_boot_ms();
    int64_t allowed_ms = thing->last_ms + announcer->timing.settle_ms;
    bool sent = thing->last_hash == 0 || thing->last_hash == messages->hash || now >= allowed_ms;
    if (sent) {
        json_decref(thing->last_topics);
        thing->last_topics = json_array();
        for (struct message *m = messages->first; m != NULL; m = m->next) {
            publisher_publish_once(announcer->publisher, m->topic, m->payload, strlen(m->payload));
            json_array_append_new(thing->last_topics, json_string(m->topic));
        }
        thing->last_hash = messages->hash;
        thing->last_ms = now;
    } else {
        thing->due_ms = allowed_ms;
    }
    free_messages(messages);
    return sent;
}

static bool acknowledged(const struct announcer *announcer, const struct thing *thing)
{
    size_t index;
    json_t *topic;
    json_array_foreach(thing->last_topics, index, topic)
    {
        if (!publisher_settled(announcer->publisher, json_string_value(topic)))
            return false;
    }
    return true;
}

/* ---- records ---------------------------------------------------------------------------------- */

static json_t *desired_components(const struct thing *thing)
{
    return thing->device != NULL ? discovery_announced(thing->device)
                                 : discovery_bridge_announced();
}

/* What the record has and the device no longer does. New reference; NULL if there is nothing. */
static json_t *removed_components(const struct thing *thing)
{
    json_t *desired = desired_components(thing);
    json_t *removed = json_copy(json_object_get(thing->record, "components"));
    const char *key;
    json_t *platform;
    json_object_foreach(desired, key, platform)
    {
        (void)platform;
        json_object_del(removed, key);
    }
    json_decref(desired);
    if (json_object_size(removed) > 0)
        return removed;
    json_decref(removed);
    return NULL;
}

static void drop_record(struct announcer *announcer, json_t *record)
{
    size_t index;
    json_t *entry;
    json_array_foreach(announcer->records, index, entry)
    {
        if (entry == record) {
            json_array_remove(announcer->records, index);
            return;
        }
    }
}

static const char *record_text(const json_t *record, const char *key)
{
    return json_string_value(json_object_get(record, key));
}

/* The context in which a record's topics were made. */
static struct discovery_context record_context(const struct announcer *announcer,
                                               const json_t *record)
{
    struct discovery_context context = announcer->options.context;
    context.bridge_id = record_text(record, "bridge");
    context.prefix = record_text(record, "prefix");
    context.device_mode = strcmp(record_text(record, "mode"), "device") == 0;
    return context;
}

static void start_save(struct announcer *announcer);
static void arm(struct announcer *announcer);

static void save_work(uv_work_t *work)
{
    struct announcer *announcer = work->data;
    announcer->save_status =
        announced_write(announcer->memory_path, announcer->save_text, &announcer->save_error);
}

static void maybe_free(struct announcer *announcer);

static void save_done(uv_work_t *work, int status)
{
    (void)status;
    struct announcer *announcer = work->data;
    free(announcer->save_text);
    announcer->save_text = NULL;
    announcer->saving = false;
    if (announcer->save_status != STATUS_OK && !announcer->closing)
        log_warning(announcer->log, "%s", announcer->save_error.text);
    if (announcer->save_again) {
        announcer->save_again = false;
        start_save(announcer);
    }
    if (announcer->closing)
        maybe_free(announcer);
    else
        arm(announcer);
}

/* On a thread of libuv's pool: a disk may take seconds. Steps wait meanwhile. */
static void start_save(struct announcer *announcer)
{
    if (announcer->saving) {
        announcer->save_again = true;
        return;
    }
    announcer->save_text = announced_format(announcer->records);
    announcer->save.data = announcer;
    announcer->saving = uv_queue_work(announcer->loop, &announcer->save, save_work, save_done) == 0;
    if (!announcer->saving) {
        free(announcer->save_text);
        announcer->save_text = NULL;
    }
}

/* Adds to the thing's record what it is about to announce; true if that changed it. */
static bool extend_record(struct announcer *announcer, struct thing *thing)
{
    const struct discovery_context *context = &announcer->options.context;
    json_t *desired = desired_components(thing);
    bool changed = false;
    if (thing->record == NULL) {
        thing->record = announced_record(context->bridge_id, thing->device_id, context->prefix,
                                         context->device_mode, desired);
        json_array_append_new(announcer->records, thing->record);
        changed = true;
    }
    json_t *known = json_object_get(thing->record, "components");
    const char *key;
    json_t *platform;
    json_object_foreach(desired, key, platform)
    {
        if (json_equal(json_object_get(known, key), platform))
            continue;
        json_object_set(known, key, platform);
        changed = true;
    }
    json_decref(desired);
    return changed;
}

/* ---- steps ------------------------------------------------------------------------------------ */

static void go(struct thing *thing, enum step step, int64_t delay_ms)
{
    thing->step = step;
    thing->due_ms = clock_boot_ms() + delay_ms;
}

static bool send_announcement(struct announcer *announcer, struct thing *thing,
                              const json_t *removed)
{
    struct messages messages = new_messages(announcer, thing);
    const struct discovery_context *context = &announcer->options.context;
    if (thing->device != NULL)
        discovery_device(context, thing->device, removed, collect, &messages);
    else
        discovery_bridge(context, removed, collect, &messages);
    return send_messages(announcer, thing, &messages);
}

static void after_announcement(struct announcer *announcer, struct thing *thing)
{
    if (thing->old != NULL)
        go(thing, STEP_CLEAR, announcer->timing.settle_ms);
    else
        thing->step = STEP_IDLE;
}

static void step_migrate(struct announcer *announcer, struct thing *thing)
{
    struct messages messages = new_messages(announcer, thing);
    struct discovery_context old = record_context(announcer, thing->old);
    discovery_migrate(&old, thing->device_id, json_object_get(thing->old, "components"), collect,
                      &messages);
    if (send_messages(announcer, thing, &messages))
        go(thing, STEP_ANNOUNCE, announcer->timing.settle_ms);
}

static void step_announce(struct announcer *announcer, struct thing *thing)
{
    json_t *removed = removed_components(thing);
    bool sent = send_announcement(announcer, thing, removed);
    bool two_steps = removed != NULL && announcer->options.context.device_mode;
    bool one_step = removed != NULL && !two_steps;
    json_decref(removed);
    if (!sent)
        return;
    if (two_steps)
        go(thing, STEP_WITHOUT, announcer->timing.settle_ms);
    else if (one_step)
        go(thing, STEP_CONFIRM, 0);
    else
        after_announcement(announcer, thing);
}

static void step_without(struct announcer *announcer, struct thing *thing)
{
    if (!acknowledged(announcer, thing))
        go(thing, STEP_WITHOUT, POLL_MS);
    else if (send_announcement(announcer, thing, NULL))
        go(thing, STEP_CONFIRM, 0);
}

static void step_confirm(struct announcer *announcer, struct thing *thing)
{
    if (!acknowledged(announcer, thing)) {
        go(thing, STEP_CONFIRM, POLL_MS);
        return;
    }
    json_object_set_new(thing->record, "components", desired_components(thing));
    start_save(announcer);
    after_announcement(announcer, thing);
}

static void step_clear(struct announcer *announcer, struct thing *thing)
{
    struct messages messages = new_messages(announcer, thing);
    struct discovery_context old = record_context(announcer, thing->old);
    discovery_remove(&old, record_text(thing->old, "device"),
                     json_object_get(thing->old, "components"), collect, &messages);
    if (send_messages(announcer, thing, &messages))
        go(thing, STEP_CLEARED, 0);
}

static void step_cleared(struct announcer *announcer, struct thing *thing)
{
    if (!acknowledged(announcer, thing)) {
        go(thing, STEP_CLEARED, POLL_MS);
        return;
    }
    drop_record(announcer, thing->old);
    thing->old = NULL;
    start_save(announcer);
    thing->step = STEP_IDLE;
}

static void take_step(struct announcer *announcer, struct thing *thing)
{
    switch (thing->step) {
    case STEP_IDLE:
        break;
    case STEP_MIGRATE:
        step_migrate(announcer, thing);
        break;
    case STEP_ANNOUNCE:
        step_announce(announcer, thing);
        break;
    case STEP_WITHOUT:
        step_without(announcer, thing);
        break;
    case STEP_CONFIRM:
        step_confirm(announcer, thing);
        break;
    case STEP_CLEAR:
        step_clear(announcer, thing);
        break;
    case STEP_CLEARED:
        step_cleared(announcer, thing);
        break;
    }
}

/* ---- rounds ------------------------------------------------------------------------------------ */

bool announcer_idle(const struct announcer *announcer)
{
    for (size_t i = 0; i < announcer->thing_count; i++)
        if (announcer->things[i].step != STEP_IDLE ||
            !acknowledged(announcer, &announcer->things[i]))
            return false;
    return announcer->connected && !announcer->saving;
}

static void on_refresh(uv_timer_t *timer)
{
    struct announcer *announcer = timer->data;
    if (announcer->options.refresh != NULL)
        announcer->options.refresh(announcer->options.refresh_context);
}

static void round_is_through(struct announcer *announcer)
{
    if (!announcer->refresh_wanted)
        return;
    announcer->refresh_wanted = false;
    int64_t delay =
        jitter_between(announcer->timing.refresh_min_ms, announcer->timing.refresh_max_ms);
    uv_timer_start(&announcer->refresh_timer, on_refresh, (uint64_t)delay, 0);
}

static int64_t gap_ms(const struct announcer *announcer)
{
    int64_t share_ms = ROUND_MS / (int64_t)(announcer->thing_count + 1);
    return share_ms < announcer->timing.gap_ms ? share_ms : announcer->timing.gap_ms;
}

static struct thing *first_due(struct announcer *announcer, int64_t now)
{
    for (size_t i = 0; i < announcer->thing_count; i++) {
        struct thing *thing = &announcer->things[i];
        if (thing->step != STEP_IDLE && thing->due_ms <= now)
            return thing;
    }
    return NULL;
}

static void on_step(uv_timer_t *timer)
{
    struct announcer *announcer = timer->data;
    int64_t now = clock_boot_ms();
    if (now >= announcer->next_step_ms) {
        struct thing *thing = first_due(announcer, now);
        if (thing != NULL) {
            take_step(announcer, thing);
            announcer->next_step_ms = now + gap_ms(announcer);
        }
    }
    arm(announcer);
}

/* Sets the timer for the next due step, or ends the round. */
static void arm(struct announcer *announcer)
{
    if (!announcer->connected || announcer->saving || announcer->closing)
        return;
    int64_t due = INT64_MAX;
    for (size_t i = 0; i < announcer->thing_count; i++) {
        const struct thing *thing = &announcer->things[i];
        if (thing->step != STEP_IDLE && thing->due_ms < due)
            due = thing->due_ms;
    }
    if (due == INT64_MAX) {
        round_is_through(announcer);
        return;
    }
    if (due < announcer->next_step_ms)
        due = announcer->next_step_ms;
    int64_t delay = due - clock_boot_ms();
    uv_update_time(announcer->loop);
    uv_timer_start(&announcer->step_timer, on_step, delay > 0 ? (uint64_t)delay : 0, 0);
}

/* The first step of a round; true if that changed the record. */
static bool begin(struct announcer *announcer, struct thing *thing)
{
    if (thing->step != STEP_IDLE || thing->removed_by_user)
        return false;
    if (!thing->wanted) {
        if (thing->old != NULL)
            go(thing, STEP_CLEAR, 0);
        return false;
    }
    bool changed = extend_record(announcer, thing);
    go(thing, thing->old != NULL ? STEP_MIGRATE : STEP_ANNOUNCE, 0);
    return changed;
}

static void start_round(struct announcer *announcer)
{
    bool changed = false;
    for (size_t i = 0; i < announcer->thing_count; i++)
        changed = begin(announcer, &announcer->things[i]) || changed;
    if (changed)
        start_save(announcer);
    arm(announcer);
}

static void on_birth(uv_timer_t *timer)
{
    struct announcer *announcer = timer->data;
    announcer->birth_waits = false;
    announcer->last_birth_ms = clock_boot_ms();
    if (!announcer->connected)
        return; /* the next connect announces anyway */
    for (size_t i = 0; i < announcer->thing_count; i++) {
        struct thing *thing = &announcer->things[i];
        thing->removed_by_user = false;
        json_object_clear(thing->removed_keys);
    }
    announcer->refresh_wanted = true;
    start_round(announcer);
}

/* ---- what comes in -------------------------------------------------------------------------------- */

static void birth_received(struct announcer *announcer)
{
    if (announcer->birth_waits)
        return;
    int64_t delay = jitter_between(announcer->timing.birth_min_ms, announcer->timing.birth_max_ms);
    int64_t quiet = announcer->last_birth_ms + announcer->timing.birth_quiet_ms - clock_boot_ms();
    if (delay < quiet)
        delay = quiet;
    announcer->birth_waits = true;
    log_info(announcer->log, "Home Assistant is there; announcing again in %.1f s.",
             (double)delay / 1000);
    uv_update_time(announcer->loop);
    uv_timer_start(&announcer->birth_timer, on_birth, (uint64_t)delay, 0);
}

static void connected(struct announcer *announcer)
{
    announcer->connected = true;
    int64_t now = clock_boot_ms();
    for (size_t i = 0; i < announcer->thing_count; i++)
        announcer->things[i].last_ms = now; /* the publisher is repeating what it has just now */
    start_round(announcer);
}

static void disconnected(struct announcer *announcer)
{
    announcer->connected = false;
    uv_timer_stop(&announcer->step_timer);
    for (size_t i = 0; i < announcer->thing_count; i++)
        announcer->things[i].step = STEP_IDLE;
}

static void tell_removed(struct announcer *announcer, const struct thing *thing, const char *key)
{
    char words[200];
    struct text text;
    text_init(&text, words, sizeof words);
    text_append(&text,
                "%s%s%s was removed in Home Assistant; it is left alone until Home Assistant "
                "or this service starts again.",
                thing->device_id, *key != '\0' ? "/" : "", key);
    log_info(announcer->log, "%s", words);

    json_t *data = *key != '\0' ? json_pack("{s:s}", "entity", key) : json_object();
    struct message_event event = {
        .type = "removed_in_homeassistant",
        .wall_ms = clock_wall_ms(),
        .device = thing->device_id,
        .message = words,
        .data = data,
    };
    char *payload = message_bridge_event(&event);
    json_decref(data);
    char topic[DISCOVERY_TOPIC_SIZE];
    text_init(&text, topic, sizeof topic);
    text_append(&text, "%s/bridge/event", announcer->options.context.base_topic);
    publisher_event(announcer->publisher, topic, payload, strlen(payload), 0);
    free(payload);
}

/* An empty message on a topic that we announce on. Our own empty ones are only for what is no longer
 * wanted, and for what the user has removed already. */
static void emptied(struct announcer *announcer, struct thing *thing, const char *topic,
                    const char *key)
{
    if (*key == '\0') {
        if (thing->removed_by_user)
            return;
        thing->removed_by_user = true;
        thing->step = STEP_IDLE;
    } else {
        json_t *desired = desired_components(thing);
        bool known = json_object_get(desired, key) != NULL;
        json_decref(desired);
        if (!known || json_object_get(thing->removed_keys, key) != NULL)
            return;
        json_object_set_new(thing->removed_keys, key, json_true());
    }
    /* So that the publisher does not bring it back with the next connection. */
    publisher_publish(announcer->publisher, topic, "", 0, true, 1);
    thing->last_hash = 0;
    tell_removed(announcer, thing, key);
    arm(announcer);
}

/* The broker still has what was announced before the memory was lost, or by a version with other
 * components: what is no longer wanted of it has to be taken back too. */
static void learn(struct announcer *announcer, struct thing *thing,
                  const struct publisher_incoming *incoming)
{
    if (thing->record == NULL || (thing->step != STEP_IDLE && thing->step != STEP_ANNOUNCE))
        return;
    json_t *announced = announced_in_message(incoming->payload, incoming->payload_length);
    if (announced == NULL)
        return;
    json_t *known = json_object_get(thing->record, "components");
    size_t before = json_object_size(known);
    (void)json_object_update_missing(known, announced);
    json_decref(announced);
    if (json_object_size(known) == before)
        return;
    start_save(announcer);
    go(thing, STEP_ANNOUNCE, 0);
    arm(announcer);
}

static struct thing *find_wanted(struct announcer *announcer, const char *device_id)
{
    const json_t *index = json_object_get(announcer->wanted, device_id);
    return index == NULL ? NULL : &announcer->things[json_integer_value(index)];
}

/* Somebody else has published on our topic. */
static void overwritten(struct announcer *announcer, struct thing *thing,
                        const struct publisher_incoming *incoming)
{
    uint64_t hash = hash_message(14695981039346656037U, incoming);
    if (thing->step != STEP_IDLE || thing->removed_by_user || thing->last_hash == 0 ||
        hash == thing->last_hash || clock_boot_ms() - thing->last_ms < REPAIR_PAUSE_MS)
        return;
    log_repeating(announcer->log, LOG_LEVEL_WARNING, "announcement overwritten",
                  "Another client has published on %s, which belongs to this bridge; the device is "
                  "announced again.",
                  incoming->topic);
    thing->last_hash = 0;
    go(thing, STEP_ANNOUNCE, 0);
    arm(announcer);
}

/* What the broker kept and nothing stands behind: of a device that is gone, or in the mode that is not used. */
static void clear_leftover(struct announcer *announcer, const struct publisher_incoming *incoming,
                           const char *device_id, bool other_mode)
{
    const struct thing *thing = find_wanted(announcer, device_id);
    bool forgotten = json_object_get(announcer->forgotten, device_id) != NULL;
    bool settled = thing != NULL && thing->old == NULL && other_mode;
    if (incoming->retained && incoming->payload_length > 0 && (forgotten || settled))
        publisher_publish_once(announcer->publisher, incoming->topic, "", 0);
}

/* In component mode each component has a topic of its own: one that the device no longer has is cleared. */
static void clear_unwanted(struct announcer *announcer, const struct thing *thing,
                           const struct publisher_incoming *incoming, const char *key)
{
    json_t *desired = desired_components(thing);
    if (json_object_get(desired, key) == NULL)
        publisher_publish_once(announcer->publisher, incoming->topic, "", 0);
    json_decref(desired);
}

static bool own_topic(struct announcer *announcer, const struct publisher_incoming *incoming)
{
    struct discovery_context context = announcer->options.context;
    if (strncmp(incoming->topic, context.prefix, strlen(context.prefix)) != 0)
        return false; /* most messages, in few steps */
    char device_id[DISCOVERY_DEVICE_ID_SIZE], key[PROPERTY_KEY_SIZE];
    if (!discovery_topic_read(&context, incoming->topic, device_id, key, sizeof key)) {
        context.device_mode = !context.device_mode;
        if (!discovery_topic_read(&context, incoming->topic, device_id, key, sizeof key))
            return false;
        clear_leftover(announcer, incoming, device_id, true);
        return true;
    }
    struct thing *thing = find_wanted(announcer, device_id);
    if (thing == NULL) {
        clear_leftover(announcer, incoming, device_id, false);
        return json_object_get(announcer->forgotten, device_id) != NULL;
    }
    if (incoming->payload_length == 0)
        emptied(announcer, thing, incoming->topic, key);
    else if (incoming->retained && context.device_mode)
        learn(announcer, thing, incoming);
    else if (incoming->retained)
        clear_unwanted(announcer, thing, incoming, key);
    else if (context.device_mode)
        overwritten(announcer, thing, incoming);
    return true;
}

static bool is_birth(const struct publisher_incoming *incoming)
{
    static const char online[] = "online";
    size_t length = incoming->payload_length;
    return length == sizeof online - 1 && strncasecmp(incoming->payload, online, length) == 0;
}

bool announcer_incoming(struct announcer *announcer, const struct publisher_incoming *incoming)
{
    switch (incoming->kind) {
    case PUBLISHER_CONNECTED:
        connected(announcer);
        return false;
    case PUBLISHER_DISCONNECTED:
        disconnected(announcer);
        return false;
    case PUBLISHER_MESSAGE:
        break;
    }
    if (strcmp(incoming->topic, announcer->options.status_topic) == 0) {
        if (announcer->options.enabled && is_birth(incoming))
            birth_received(announcer);
        return true;
    }
    return own_topic(announcer, incoming);
}

/* ---- creation ------------------------------------------------------------------------------------ */

static void free_thing(struct thing *thing)
{
    free(thing->device_id);
    json_decref(thing->last_topics);
    json_decref(thing->removed_keys);
}

/* One that nothing is left to do for, so that devices may come and go for years; NULL: there is none. */
static struct thing *find_spent(struct announcer *announcer)
{
    for (size_t i = 0; i < announcer->thing_count; i++) {
        struct thing *thing = &announcer->things[i];
        if (!thing->wanted && thing->old == NULL && thing->record == NULL &&
            thing->step == STEP_IDLE)
            return thing;
    }
    return NULL;
}

static struct thing *add_thing(struct announcer *announcer, const char *device_id)
{
    struct thing *thing = find_spent(announcer);
    if (thing != NULL) {
        free_thing(thing);
    } else {
        announcer->things = memory_grow(announcer->things, announcer->thing_count,
                                        &announcer->thing_room, sizeof *announcer->things);
        thing = &announcer->things[announcer->thing_count++];
    }
    *thing = (struct thing){.step = STEP_IDLE};
    thing->device_id = memory_copy_text(device_id);
    thing->removed_keys = json_object();
    return thing;
}

static void want(struct announcer *announcer, struct thing *thing,
                 const struct device_description *device)
{
    thing->wanted = true;
    thing->device = device;
    (void)json_object_set_new(announcer->wanted, thing->device_id,
                              json_integer(thing - announcer->things));
    char filter[DISCOVERY_TOPIC_SIZE];
    struct discovery_context context = announcer->options.context;
    discovery_filter(&context, thing->device_id, filter, sizeof filter);
    publisher_subscribe(announcer->publisher, filter, 1);
    context.device_mode = !context.device_mode; /* leftovers of the other mode */
    discovery_filter(&context, thing->device_id, filter, sizeof filter);
    publisher_subscribe(announcer->publisher, filter, 1);
}

static void add_wanted(struct announcer *announcer, const char *device_id,
                       const struct device_description *device)
{
    want(announcer, add_thing(announcer, device_id), device);
}

/* Gives a remembered record to the thing it belongs to, or makes a thing that clears it. */
static void place_record(struct announcer *announcer, json_t *record)
{
    const struct discovery_context *context = &announcer->options.context;
    const char *device_id = record_text(record, "device");
    struct thing *thing = find_wanted(announcer, device_id);
    bool same_place = strcmp(record_text(record, "bridge"), context->bridge_id) == 0 &&
                      strcmp(record_text(record, "prefix"), context->prefix) == 0;
    bool same_mode = record_context(announcer, record).device_mode == context->device_mode;
    if (thing != NULL && same_place && same_mode && thing->record == NULL)
        thing->record = record;
    else if (thing != NULL && same_place && !same_mode && thing->old == NULL)
        thing->old = record;
    else
        add_thing(announcer, device_id)->old = record;
}

static void place_records(struct announcer *announcer)
{
    size_t index;
    json_t *record;
    json_array_foreach(announcer->records, index, record)
    {
        place_record(announcer, record);
    }
}

/* One of that id that is just being taken back. */
static struct thing *find_unwanted(struct announcer *announcer, const char *device_id)
{
    for (size_t i = 0; i < announcer->thing_count; i++)
        if (!announcer->things[i].wanted && announcer->things[i].old != NULL &&
            strcmp(announcer->things[i].device_id, device_id) == 0)
            return &announcer->things[i];
    return NULL;
}

void announcer_add(struct announcer *announcer, const struct device_description *device)
{
    if (!announcer->options.enabled || !device->homeassistant)
        return;
    struct thing *before = find_unwanted(announcer, device->id);
    json_t *record = before == NULL ? NULL : before->old;
    if (before != NULL) {
        before->old = NULL;
        before->step = STEP_IDLE;
    }
    add_wanted(announcer, device->id, device);
    (void)json_object_del(announcer->forgotten, device->id);
    if (record != NULL)
        place_record(announcer, record);
    if (!announcer->connected)
        return;
    if (begin(announcer, find_wanted(announcer, device->id)))
        start_save(announcer);
    arm(announcer);
}

/* What was announced is to be cleared. */
static void unwant(struct announcer *announcer, struct thing *thing)
{
    json_t *record = thing->record;
    (void)json_object_del(announcer->wanted, thing->device_id);
    thing->wanted = thing->removed_by_user = false;
    thing->device = NULL;
    thing->record = NULL;
    thing->step = STEP_IDLE;
    if (thing->old == NULL) {
        thing->old = record;
    } else if (record != NULL) { /* in the middle of a migration there are two */
        (void)begin(announcer, thing);
        thing = add_thing(announcer, thing->device_id);
        thing->old = record;
    }
    (void)begin(announcer, thing);
}

void announcer_remove(struct announcer *announcer, const char *device_id)
{
    struct thing *thing = find_wanted(announcer, device_id);
    if (thing == NULL)
        return;
    unwant(announcer, thing);
    arm(announcer);
}

void announcer_changed(struct announcer *announcer, const struct device_description *device)
{
    struct thing *thing = find_wanted(announcer, device->id);
    if (thing == NULL || !device->homeassistant) {
        announcer_remove(announcer, device->id);
        announcer_add(announcer, device);
        return;
    }
    thing->device = device;
    if (!announcer->connected)
        return;
    if (begin(announcer, thing))
        start_save(announcer);
    arm(announcer);
}

void announcer_refresh(struct announcer *announcer)
{
    for (size_t i = 0; i < announcer->thing_count; i++) {
        struct thing *thing = &announcer->things[i];
        thing->removed_by_user = false;
        (void)json_object_clear(thing->removed_keys);
    }
    announcer->refresh_wanted = true;
    if (announcer->connected)
        start_round(announcer);
}

void announcer_forget(struct announcer *announcer, const char *device_id)
{
    if (find_wanted(announcer, device_id) != NULL || announcer_leaving(announcer, device_id) ||
        json_object_get(announcer->forgotten, device_id) != NULL)
        return;
    (void)json_object_set_new(announcer->forgotten, device_id, json_true());
    struct discovery_context context = announcer->options.context;
    char filter[DISCOVERY_TOPIC_SIZE];
    for (int mode = 0; mode < 2; mode++) {
        context.device_mode = mode == 0;
        discovery_filter(&context, device_id, filter, sizeof filter);
        publisher_subscribe(announcer->publisher, filter, 1);
    }
}

bool announcer_leaving(const struct announcer *announcer, const char *device_id)
{
    for (size_t i = 0; i < announcer->thing_count; i++) {
        const struct thing *thing = &announcer->things[i];
        if (!thing->wanted && thing->old != NULL && strcmp(thing->device_id, device_id) == 0)
            return true;
    }
    return false;
}

size_t announcer_purge(struct announcer *announcer)
{
    size_t removed = 0;
    for (size_t i = 0; i < announcer->thing_count; i++) {
        struct thing *thing = &announcer->things[i];
        if (thing->wanted || thing->old == NULL)
            continue;
        removed++;
        if (announcer->connected)
            (void)begin(announcer, thing);
    }
    arm(announcer);
    return removed;
}

static void init_timer(struct announcer *announcer, uv_timer_t *timer)
{
    uv_timer_init(announcer->loop, timer);
    timer->data = announcer;
    announcer->open_handles++;
}

struct announcer *announcer_create(uv_loop_t *loop, const struct announcer_options *options,
                                   struct publisher *publisher)
{
    struct announcer *announcer = memory_new(1, sizeof *announcer);
    announcer->loop = loop;
    announcer->publisher = publisher;
    announcer->options = *options;
    announcer->timing = options->timing != NULL ? *options->timing : announcer_timing_default;
    announcer->log = options->log;
    announcer->memory_path = memory_copy_text(options->memory_path);
    announcer->last_birth_ms = -announcer->timing.birth_quiet_ms;
    init_timer(announcer, &announcer->step_timer);
    init_timer(announcer, &announcer->birth_timer);
    init_timer(announcer, &announcer->refresh_timer);

    struct error error = {.text = ""};
    if (announced_load(options->memory_path, &announcer->records, &error) != STATUS_OK)
        log_warning(announcer->log, "%s", error.text);
    announcer->wanted = json_object();
    announcer->forgotten = json_object();
    if (options->enabled) {
        publisher_subscribe(publisher, options->status_topic, 1);
        add_wanted(announcer, DISCOVERY_BRIDGE_DEVICE, NULL);
        for (size_t i = 0; i < options->device_count; i++)
            if (options->devices[i]->homeassistant)
                add_wanted(announcer, options->devices[i]->id, options->devices[i]);
    }
    place_records(announcer);
    return announcer;
}

static void maybe_free(struct announcer *announcer)
{
    if (announcer->open_handles > 0 || announcer->saving)
        return;
    for (size_t i = 0; i < announcer->thing_count; i++)
        free_thing(&announcer->things[i]);
    free(announcer->things);
    json_decref(announcer->wanted);
    json_decref(announcer->forgotten);
    json_decref(announcer->records);
    free(announcer->memory_path);
    free(announcer);
}

static void on_closed(uv_handle_t *handle)
{
    struct announcer *announcer = handle->data;
    announcer->open_handles--;
    maybe_free(announcer);
}

void announcer_close(struct announcer *announcer)
{
    if (announcer == NULL)
        return;
    announcer->closing = true;
    uv_close((uv_handle_t *)&announcer->step_timer, on_closed);
    uv_close((uv_handle_t *)&announcer->birth_timer, on_closed);
    uv_close((uv_handle_t *)&announcer->refresh_timer, on_closed);
}
