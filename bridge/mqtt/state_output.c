/* SPDX-License-Identifier: MIT */
#include "bridge/mqtt/state_output.h"

#include "bridge/device/publish_policy.h"
#include "bridge/device/state.h"
#include "drivers/base/clock.h"
#include "drivers/base/memory.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define TOTALS_MS 300 /* after a commit: a reading within this time takes the totals along */
#define PART_MS 1000  /* so long the first reading of a round waits for the others */
#define LOOK_MS 1000  /* how often time alone is looked at as a reason */
#define CLEAR_MS 1000 /* by then the broker has let go of a retained state */
#define SLICE_MS 5    /* of the loop's time */
#define TOPIC_SIZE 512
#define VALUE_SIZE 1024

struct entry {
    struct hub_device *device; /* NULL: this number is free */
    char *state_topic;
    char *availability_topic;
    struct publish_policy *policy;
    struct publish_value *values; /* of the present state; value_count of them */
    size_t value_count;
    bool retained;  /* a retained state was published */
    bool refresh;   /* availability has to be published with the next state */
    bool at_once;   /* the first readings after silence are shown at once */
    bool forced;    /* when it is due, it is published whatever the policy says */
    int64_t due_ms; /* boot clock: when the entry is looked at next */
};

struct state_output {
    uv_timer_t timer;
    struct hub *hub;
    struct publisher *publisher;
    struct own_topics *own;
    char *base_topic;
    struct log *log;
    struct entry *entries; /* by the device's number */
    size_t count, room;
    int64_t armed_ms; /* when the timer ends; 0: it does not run */
    char text[HUB_STATE_SIZE];
};

static struct entry *entry_of(struct state_output *output, const struct hub_device *device)
{
    return &output->entries[hub_device_number(device)];
}

static char *topic_of(const struct state_output *output, const char *id, const char *leaf)
{
    size_t size = strlen(output->base_topic) + strlen(id) + strlen(leaf) + 2;
    char *topic = memory_new(size, 1);
    (void)snprintf(topic, size, "%s/%s%s", output->base_topic, id, leaf);
    return topic;
}

/* ---- what is due later ---- */

static void on_timer(uv_timer_t *timer);

static void arm(struct state_output *output, int64_t due_ms, int64_t boot_ms)
{
    if (output->armed_ms != 0 && output->armed_ms <= due_ms)
        return;
    output->armed_ms = due_ms;
    (void)uv_timer_start(&output->timer, on_timer,
                         due_ms > boot_ms ? (uint64_t)(due_ms - boot_ms) : 0, 0);
}

/* To be looked at, and with force to be published, not later than due_ms. */
static void make_due(struct state_output *output, struct entry *entry, int64_t due_ms,
                     int64_t boot_ms, bool force)
{
    bool earlier = entry->due_ms == 0 || due_ms < entry->due_ms || (force && !entry->forced);
    entry->forced = entry->forced || force;
    if (!earlier)
        return;
    entry->due_ms = due_ms;
    arm(output, due_ms, boot_ms);
}

/* ---- the policy ---- */

static void make_rules(const struct entry *entry, struct publish_rules *rules)
{
    const struct device_description *description = hub_device_description(entry->device);
    *rules = (struct publish_rules){
        .report_interval_ms = hub_device_state(entry->device)->report_interval_ms,
        .min_interval_ms = description->min_interval_ms,
        .max_interval_ms = description->max_interval_ms,
        .reading_ms = description->interval_ms,
    };
}

static void create_policy(struct entry *entry)
{
    struct publish_rules rules;
    make_rules(entry, &rules);
    entry->value_count = device_state_value_count(hub_device_description(entry->device));
    entry->values = memory_new(entry->value_count + 1, sizeof *entry->values);
    entry->policy = publish_policy_create(&rules, entry->value_count);
}

static void offer(struct entry *entry, int64_t boot_ms, bool urgent)
{
    struct publish_rules rules;
    make_rules(entry, &rules);
    publish_policy_set_rules(entry->policy, &rules);
    device_state_values(hub_device_description(entry->device), hub_device_state(entry->device),
                        entry->values);
    publish_policy_offer(entry->policy, boot_ms, entry->values, urgent);
}

/* ---- publishing ---- */

static void publish_availability(struct state_output *output, const struct entry *entry)
{
    const char *payload = hub_availability_json(entry->device);
    publisher_publish(output->publisher, entry->availability_topic, payload, strlen(payload), true,
                      1);
}

static void clear(struct state_output *output, const char *topic)
{
    publisher_publish(output->publisher, topic, "", 0, true, 1);
}

/* Numbers and words bare, null as "null", objects as JSON. */
static void publish_value(struct state_output *output, const struct entry *entry, const char *key,
                          const json_t *value)
{
    char topic[TOPIC_SIZE], payload[VALUE_SIZE];
    size_t length = json_string_length(value);
    (void)snprintf(topic, sizeof topic, "%s/%s", entry->state_topic, key);
    if (json_is_string(value) && length <= sizeof payload)
        memcpy(payload, json_string_value(value), length);
    else if (!json_is_string(value))
        length = json_dumpb(value, payload, sizeof payload,
                            JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(15));
    if (length <= sizeof payload)
        publisher_publish(output->publisher, topic, payload, length, false, 0);
    else
        log_error(output->log, "The value %s does not fit into %d bytes and was not published.",
                  topic, VALUE_SIZE);
}

/* From the JSON, so that both forms say the same. */
static void publish_by_value(struct state_output *output, const struct entry *entry,
                             const struct text *text)
{
    json_t *state = json_loadb(output->text, text->length, 0, NULL);
    const char *key;
    json_t *value;
    json_object_foreach(state, key, value)
    {
        publish_value(output, entry, key, value);
    }
    json_decref(state);
}

static void publish_state(struct state_output *output, struct entry *entry, int64_t boot_ms)
{
    const struct device_description *description = hub_device_description(entry->device);
    struct text text;
    text_init(&text, output->text, sizeof output->text);
    offer(entry, boot_ms, false);
    publish_policy_published(entry->policy, boot_ms);
    entry->at_once = entry->forced = false;
    entry->due_ms = 0;
    make_due(output, entry, boot_ms + LOOK_MS, boot_ms, false);
    if (!hub_state_json(entry->device, &text)) {
        log_error(output->log, "The state of %s does not fit into %d bytes and was not published.",
                  description->id, HUB_STATE_SIZE);
        return;
    }
    if (description->state_by_value)
        publish_by_value(output, entry, &text);
    if (entry->retained &&
        !description->retain) { /* a topic has one latest value: the state waits */
        clear(output, entry->state_topic);
        entry->retained = false;
        make_due(output, entry, boot_ms + CLEAR_MS, boot_ms, true);
        return;
    }
    if (!description->state_as_json)
        return;
    entry->retained = description->retain;
    publisher_publish(output->publisher, entry->state_topic, output->text, text.length,
                      description->retain, 0);
}

/* Its time has come: published, or looked at again later. */
static void look_at(struct state_output *output, struct entry *entry, int64_t boot_ms)
{
    if (entry->refresh)
        publish_availability(output, entry);
    entry->refresh = false;
    entry->due_ms = 0;
    if (entry->forced || publish_policy_due(entry->policy, boot_ms))
        publish_state(output, entry, boot_ms);
    else
        make_due(output, entry, boot_ms + LOOK_MS, boot_ms, false);
}

/* In slices, as there may be thousands of devices. */
static void on_timer(uv_timer_t *timer)
{
    struct state_output *output = timer->data;
    int64_t boot_ms = clock_boot_ms();
    int64_t next_ms = 0;
    output->armed_ms = 0;
    for (size_t i = 0; i < output->count; i++) {
        struct entry *entry = &output->entries[i];
        if (entry->device == NULL || entry->due_ms == 0)
            continue;
        if (entry->due_ms <= boot_ms && clock_boot_ms() - boot_ms < SLICE_MS)
            look_at(output, entry, boot_ms);
        if (entry->due_ms != 0 && (next_ms == 0 || entry->due_ms < next_ms))
            next_ms = entry->due_ms;
    }
    if (next_ms != 0)
        arm(output, next_ms, boot_ms);
}

/* ---- what the hub reports ---- */

/* Whether totals that a commit has moved are to be shown now: at a set pace, or offline, nothing else would
 * show them soon. Otherwise the policy does, as it does with every value. */
static bool shows_totals(const struct hub_device *device)
{
    return hub_device_state(device)->report_interval_ms > 0 || !hub_device_online(device);
}

static void on_state(void *context, struct hub_device *device, enum hub_reason reason)
{
    struct state_output *output = context;
    struct entry *entry = entry_of(output, device);
    int64_t boot_ms = clock_boot_ms();
    offer(entry, boot_ms, reason == HUB_URGENT);
    bool round = reason == HUB_READING || reason == HUB_URGENT;
    if (round && (entry->at_once || publish_policy_due(entry->policy, boot_ms)))
        publish_state(output, entry, boot_ms);
    else if (reason == HUB_TOTALS && shows_totals(device))
        make_due(output, entry, boot_ms + TOTALS_MS, boot_ms, true);
    else if (entry->at_once) /* the other channels of the round are awaited for a moment */
        make_due(output, entry, boot_ms + PART_MS, boot_ms, true);
}

static void on_availability(void *context, struct hub_device *device)
{
    struct state_output *output = context;
    struct entry *entry = entry_of(output, device);
    publish_availability(output, entry);
    entry->at_once = hub_device_online(device);
}

static void on_added(void *context, struct hub_device *device)
{
    struct state_output *output = context;
    size_t number = hub_device_number(device);
    while (output->count <= number) {
        output->entries =
            memory_grow(output->entries, output->count, &output->room, sizeof *output->entries);
        output->entries[output->count++] = (struct entry){.device = NULL};
    }
    const char *id = hub_device_description(device)->id;
    struct entry *entry = &output->entries[number];
    *entry = (struct entry){
        .device = device,
        .state_topic = topic_of(output, id, ""),
        .availability_topic = topic_of(output, id, "/availability"),
        .refresh = true,
        .at_once = true,
    };
    create_policy(entry);
    int64_t boot_ms = clock_boot_ms();
    make_due(output, entry, boot_ms, boot_ms, true);
}

/* With other channels, alarms or tariffs it has another number of values, and so needs other room. */
static void on_changed(void *context, struct hub_device *device)
{
    struct state_output *output = context;
    struct entry *entry = entry_of(output, device);
    if (device_state_value_count(hub_device_description(device)) == entry->value_count)
        return;
    publish_policy_free(entry->policy);
    free(entry->values);
    create_policy(entry);
    int64_t boot_ms = clock_boot_ms();
    make_due(output, entry, boot_ms, boot_ms, true);
}

static void free_entry(struct entry *entry)
{
    free(entry->state_topic);
    free(entry->availability_topic);
    publish_policy_free(entry->policy);
    free(entry->values);
    *entry = (struct entry){.device = NULL};
}

static void on_removed(void *context, struct hub_device *device)
{
    struct state_output *output = context;
    struct entry *entry = entry_of(output, device);
    own_topics_left(output->own, entry->state_topic, entry->retained);
    free_entry(entry);
}

/* ---- life ---- */

struct state_output *state_output_create(uv_loop_t *loop,
                                         const struct state_output_options *options)
{
    struct state_output *output = memory_new(1, sizeof *output);
    output->hub = options->hub;
    output->publisher = options->publisher;
    output->own = options->own;
    output->base_topic = memory_copy_text(options->base_topic);
    output->log = options->log;
    (void)uv_timer_init(loop, &output->timer);
    output->timer.data = output;
    const struct hub_output subscription = {
        .context = output,
        .state = on_state,
        .availability = on_availability,
        .device_added = on_added,
        .device_changed = on_changed,
        .device_removed = on_removed,
    };
    (void)hub_subscribe(output->hub, &subscription);
    return output;
}

void state_output_refresh(struct state_output *output)
{
    int64_t boot_ms = clock_boot_ms();
    for (size_t i = 0; i < output->count; i++) {
        struct entry *entry = &output->entries[i];
        if (entry->device == NULL)
            continue;
        entry->refresh = true;
        make_due(output, entry, boot_ms, boot_ms, true);
    }
}

void state_output_all_offline(struct state_output *output)
{
    for (size_t i = 0; output != NULL && i < output->count; i++)
        if (output->entries[i].device != NULL)
            publisher_publish(output->publisher, output->entries[i].availability_topic,
                              MESSAGE_OFFLINE, strlen(MESSAGE_OFFLINE), true, 1);
}

void state_output_publish(struct state_output *output, struct hub_device *device)
{
    publish_state(output, entry_of(output, device), clock_boot_ms());
}

static void on_closed(uv_handle_t *handle)
{
    struct state_output *output = handle->data;
    for (size_t i = 0; i < output->count; i++)
        free_entry(&output->entries[i]);
    free(output->entries);
    free(output->base_topic);
    free(output);
}

void state_output_close(struct state_output *output)
{
    if (output == NULL)
        return;
    hub_unsubscribe(output->hub, output);
    uv_close((uv_handle_t *)&output->timer, on_closed);
}
