/* SPDX-License-Identifier: MIT */
/* Rounds, what comes in, and which things there are; what a thing does is in announcer_steps.c. */
#include "bridge/mqtt/announcer_state.h"

#include "bridge/hub/messages.h"
#include "bridge/mqtt/announced.h"
#include "bridge/mqtt/jitter.h"
#include "drivers/base/clock.h"
#include "drivers/base/memory.h"

#include <string.h>
#include <strings.h>

#define REPAIR_PAUSE_MS 5000 /* between two repairs of an announcement that others overwrite */
#define ROUND_MS 60000       /* thousands of devices are announced in this time, not gap_ms apart */

const struct announcer_timing announcer_timing_default = {
    .gap_ms = 50,
    .settle_ms = 2000,
    .birth_min_ms = 1000,
    .birth_max_ms = 10000,
    .birth_quiet_ms = 10000,
    .refresh_min_ms = 2000,
    .refresh_max_ms = 5000,
};

/* ---- rounds ------------------------------------------------------------------------------------ */

bool announcer_idle(const struct announcer *announcer)
{
    for (size_t i = 0; i < announcer->thing_count; i++)
        if (announcer->things[i].step != STEP_IDLE ||
            !announcer_acknowledged(announcer, &announcer->things[i]))
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
            announcer_take_step(announcer, thing);
            announcer->next_step_ms = now + gap_ms(announcer);
        }
    }
    announcer_arm(announcer);
}

/* Sets the timer for the next due step, or ends the round. */
void announcer_arm(struct announcer *announcer)
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
            announcer_go(thing, STEP_CLEAR, 0);
        return false;
    }
    bool changed = announcer_extend_record(announcer, thing);
    announcer_go(thing, thing->old != NULL ? STEP_MIGRATE : STEP_ANNOUNCE, 0);
    return changed;
}

static void start_round(struct announcer *announcer)
{
    bool changed = false;
    for (size_t i = 0; i < announcer->thing_count; i++)
        changed = begin(announcer, &announcer->things[i]) || changed;
    if (changed)
        announcer_start_save(announcer);
    announcer_arm(announcer);
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
                thing->device != NULL ? thing->device->id : thing->device_id,
                *key != '\0' ? "/" : "", key);
    log_info(announcer->log, "%s", words);

    json_t *data = *key != '\0' ? json_pack("{s:s}", "entity", key) : json_object();
    struct message_event event = {
        .type = "removed_in_homeassistant",
        .wall_ms = clock_wall_ms(),
        .device = thing->device != NULL ? thing->device->id : thing->device_id,
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
        json_t *desired = announcer_desired_components(announcer, thing);
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
    announcer_arm(announcer);
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
    announcer_start_save(announcer);
    announcer_go(thing, STEP_ANNOUNCE, 0);
    announcer_arm(announcer);
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
    uint64_t hash = announcer_hash_message(14695981039346656037U, incoming);
    if (thing->step != STEP_IDLE || thing->removed_by_user || thing->last_hash == 0 ||
        hash == thing->last_hash || clock_boot_ms() - thing->last_ms < REPAIR_PAUSE_MS)
        return;
    log_repeating(announcer->log, LOG_LEVEL_WARNING, "announcement overwritten",
                  "Another client has published on %s, which belongs to this bridge; the device is "
                  "announced again.",
                  incoming->topic);
    thing->last_hash = 0;
    announcer_go(thing, STEP_ANNOUNCE, 0);
    announcer_arm(announcer);
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
    json_t *desired = announcer_desired_components(announcer, thing);
    if (json_object_get(desired, key) == NULL)
        publisher_publish_once(announcer->publisher, incoming->topic, "", 0);
    json_decref(desired);
}

static bool own_topic(struct announcer *announcer, const struct publisher_incoming *incoming)
{
    if (announcer_clear_old_prefix(announcer, incoming))
        return true;
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
    free(thing->topic_id);
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
    thing->topic_id = memory_copy_text(device != NULL ? device->id : thing->device_id);
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
    const char *device_id = announcer_record_text(record, "device");
    struct thing *thing = find_wanted(announcer, device_id);
    bool same_place = strcmp(announcer_record_text(record, "bridge"), context->bridge_id) == 0 &&
                      strcmp(announcer_record_text(record, "prefix"), context->prefix) == 0;
    bool same_mode =
        announcer_record_context(announcer, record).device_mode == context->device_mode;
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

static void announce_again(struct announcer *announcer, struct thing *thing)
{
    if (!announcer->connected)
        return;
    if (begin(announcer, thing))
        announcer_start_save(announcer);
    announcer_arm(announcer);
}

void announcer_add(struct announcer *announcer, const struct device_description *device)
{
    if (!announcer->options.enabled || !device->homeassistant) {
        announcer_forget(announcer, discovery_id(device));
        return;
    }
    struct thing *before = find_unwanted(announcer, discovery_id(device));
    json_t *record = before == NULL ? NULL : before->old;
    const struct thing last = before != NULL ? *before : (struct thing){.last_hash = 0};
    if (before != NULL) {
        before->old = NULL;
        before->step = STEP_IDLE;
    }
    add_wanted(announcer, discovery_id(device), device);
    struct thing *thing = find_wanted(announcer, discovery_id(device));
    thing->last_hash = last.last_hash; /* so that the next message keeps its distance */
    thing->last_ms = last.last_ms;
    (void)json_object_del(announcer->forgotten, discovery_id(device));
    if (record != NULL)
        place_record(announcer, record);
    announce_again(announcer, thing);
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
    announcer_arm(announcer);
}

void announcer_prices(struct announcer *announcer, const char *currency, bool co2)
{
    struct thing *bridge = find_wanted(announcer, DISCOVERY_BRIDGE_DEVICE);
    announcer->options.context.currency = currency;
    announcer->options.context.co2 = co2;
    if (bridge != NULL)
        announce_again(announcer, bridge);
}

void announcer_changed(struct announcer *announcer, const struct device_description *device)
{
    struct thing *thing = find_wanted(announcer, discovery_id(device));
    if (thing == NULL || !device->homeassistant) {
        announcer_remove(announcer, discovery_id(device));
        announcer_add(announcer, device);
        return;
    }
    thing->device = device;
    announce_again(announcer, thing);
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

/* A device that goes on under another id: Home Assistant must not see the old topics emptied before it has left
 * them. */
static bool is_moving(const struct thing *thing)
{
    return thing->wanted && thing->step != STEP_IDLE &&
           strcmp(thing->topic_id, thing->device_id) != 0;
}

bool announcer_leaving(const struct announcer *announcer, const char *device_id)
{
    for (size_t i = 0; i < announcer->thing_count; i++) {
        const struct thing *thing = &announcer->things[i];
        bool same = strcmp(thing->device_id, device_id) == 0 ||
                    (thing->topic_id != NULL && strcmp(thing->topic_id, device_id) == 0);
        if (is_moving(thing) || (!thing->wanted && thing->old != NULL && same))
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
    announcer_arm(announcer);
    return removed;
}

/* What is not announced may still be on a broker that was put back to an older state. */
static void forget_unannounced(struct announcer *announcer)
{
    const struct announcer_options *options = &announcer->options;
    if (!options->enabled)
        announcer_forget(announcer, DISCOVERY_BRIDGE_DEVICE);
    for (size_t i = 0; i < options->device_count; i++)
        if (!options->enabled || !options->devices[i]->homeassistant)
            announcer_forget(announcer, discovery_id(options->devices[i]));
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
    announcer->old_prefixes = json_object();
    if (options->enabled) {
        publisher_subscribe(publisher, options->status_topic, 1);
        add_wanted(announcer, DISCOVERY_BRIDGE_DEVICE, NULL);
        for (size_t i = 0; i < options->device_count; i++)
            if (options->devices[i]->homeassistant)
                add_wanted(announcer, discovery_id(options->devices[i]), options->devices[i]);
    }
    place_records(announcer);
    forget_unannounced(announcer);
    return announcer;
}

void announcer_maybe_free(struct announcer *announcer)
{
    if (announcer->open_handles > 0 || announcer->saving)
        return;
    for (size_t i = 0; i < announcer->thing_count; i++)
        free_thing(&announcer->things[i]);
    free(announcer->things);
    json_decref(announcer->wanted);
    json_decref(announcer->forgotten);
    json_decref(announcer->old_prefixes);
    json_decref(announcer->records);
    free(announcer->memory_path);
    free(announcer);
}

static void on_closed(uv_handle_t *handle)
{
    struct announcer *announcer = handle->data;
    announcer->open_handles--;
    announcer_maybe_free(announcer);
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
