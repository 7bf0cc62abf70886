/* SPDX-License-Identifier: MIT */
/* What a thing does in each step: messages, the memory, acknowledgements. */
#include "bridge/mqtt/announcer_state.h"

#include "bridge/mqtt/announced.h"
#include "drivers/base/clock.h"
#include "drivers/base/memory.h"

#include <string.h>

#define POLL_MS 50 /* while waiting for acknowledgements */

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
uint64_t announcer_hash_message(uint64_t hash, const struct publisher_incoming *incoming)
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

bool announcer_acknowledged(const struct announcer *announcer, const struct thing *thing)
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

json_t *announcer_desired_components(const struct announcer *announcer, const struct thing *thing)
{
    return thing->device != NULL ? discovery_announced(thing->device)
                                 : discovery_bridge_announced(&announcer->options.context);
}

/* What the record has and the device no longer does. New reference; NULL if there is nothing. */
static json_t *removed_components(const struct announcer *announcer, const struct thing *thing)
{
    json_t *desired = announcer_desired_components(announcer, thing);
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

const char *announcer_record_text(const json_t *record, const char *key)
{
    return json_string_value(json_object_get(record, key));
}

/* The context in which a record's topics were made. */
struct discovery_context announcer_record_context(const struct announcer *announcer,
                                                  const json_t *record)
{
    struct discovery_context context = announcer->options.context;
    context.bridge_id = announcer_record_text(record, "bridge");
    context.prefix = announcer_record_text(record, "prefix");
    context.device_mode = strcmp(announcer_record_text(record, "mode"), "device") == 0;
    return context;
}

static void save_work(uv_work_t *work)
{
    struct announcer *announcer = work->data;
    announcer->save_status =
        announced_write(announcer->memory_path, announcer->save_text, &announcer->save_error);
}

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
        announcer_start_save(announcer);
    }
    if (announcer->closing)
        announcer_maybe_free(announcer);
    else
        announcer_arm(announcer);
}

/* On a thread of libuv's pool: a disk may take seconds. Steps wait meanwhile. */
void announcer_start_save(struct announcer *announcer)
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

/* Under which id it is now, so that a lost memory of that can be had again. */
static bool record_id(const struct thing *thing)
{
    const char *known = announcer_record_text(thing->record, "id");
    bool moved = strcmp(thing->topic_id, thing->device_id) != 0;
    if (moved ? known != NULL && strcmp(known, thing->topic_id) == 0 : known == NULL)
        return false;
    if (moved)
        json_object_set_new(thing->record, "id", json_string(thing->topic_id));
    else
        (void)json_object_del(thing->record, "id");
    return true;
}

/* Adds to the thing's record what it is about to announce; true if that changed it. */
bool announcer_extend_record(struct announcer *announcer, struct thing *thing)
{
    const struct discovery_context *context = &announcer->options.context;
    json_t *desired = announcer_desired_components(announcer, thing);
    bool changed = false;
    if (thing->record == NULL) {
        thing->record = announced_record(context->bridge_id, thing->device_id, context->prefix,
                                         context->device_mode, desired);
        json_array_append_new(announcer->records, thing->record);
        changed = true;
    }
    changed = record_id(thing) || changed;
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

void announcer_go(struct thing *thing, enum step step, int64_t delay_ms)
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
        announcer_go(thing, STEP_CLEAR, announcer->timing.settle_ms);
    else
        thing->step = STEP_IDLE;
}

static void step_migrate(struct announcer *announcer, struct thing *thing)
{
    struct messages messages = new_messages(announcer, thing);
    struct discovery_context old = announcer_record_context(announcer, thing->old);
    discovery_migrate(&old, thing->device_id, json_object_get(thing->old, "components"), collect,
                      &messages);
    if (send_messages(announcer, thing, &messages))
        announcer_go(thing, STEP_ANNOUNCE, announcer->timing.settle_ms);
}

static void step_announce(struct announcer *announcer, struct thing *thing)
{
    json_t *removed = removed_components(announcer, thing);
    bool sent = send_announcement(announcer, thing, removed);
    bool two_steps = removed != NULL && announcer->options.context.device_mode;
    bool one_step = removed != NULL && !two_steps;
    json_decref(removed);
    if (!sent)
        return;
    if (two_steps)
        announcer_go(thing, STEP_WITHOUT, announcer->timing.settle_ms);
    else if (one_step)
        announcer_go(thing, STEP_CONFIRM, 0);
    else
        after_announcement(announcer, thing);
}

static void step_without(struct announcer *announcer, struct thing *thing)
{
    if (!announcer_acknowledged(announcer, thing))
        announcer_go(thing, STEP_WITHOUT, POLL_MS);
    else if (send_announcement(announcer, thing, NULL))
        announcer_go(thing, STEP_CONFIRM, 0);
}

static void step_confirm(struct announcer *announcer, struct thing *thing)
{
    if (!announcer_acknowledged(announcer, thing)) {
        announcer_go(thing, STEP_CONFIRM, POLL_MS);
        return;
    }
    json_object_set_new(thing->record, "components",
                        announcer_desired_components(announcer, thing));
    announcer_start_save(announcer);
    after_announcement(announcer, thing);
}

static void step_clear(struct announcer *announcer, struct thing *thing)
{
    struct messages messages = new_messages(announcer, thing);
    struct discovery_context old = announcer_record_context(announcer, thing->old);
    discovery_remove(&old, announcer_record_text(thing->old, "device"),
                     json_object_get(thing->old, "components"), collect, &messages);
    if (send_messages(announcer, thing, &messages))
        announcer_go(thing, STEP_CLEARED, 0);
}

static void step_cleared(struct announcer *announcer, struct thing *thing)
{
    if (!announcer_acknowledged(announcer, thing)) {
        announcer_go(thing, STEP_CLEARED, POLL_MS);
        return;
    }
    drop_record(announcer, thing->old);
    thing->old = NULL;
    announcer_start_save(announcer);
    thing->step = STEP_IDLE;
}

void announcer_take_step(struct announcer *announcer, struct thing *thing)
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
