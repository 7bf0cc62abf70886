/* SPDX-License-Identifier: MIT */
#include "bridge/hub/hub.h"

#include "bridge/device/state.h"

#include "drivers/base/memory.h"
#include "drivers/base/version.h"

#include <string.h>

struct hub_device {
    const struct device_description *description;
    size_t number;
    void *owner;
    struct device_state state;
    struct channel_values *values; /* what state.channels points to */
    size_t value_count;
    bool online;
    bool disabled;
};

/* What hub_flush has to deliver. */
enum due { DUE_DEVICES = 1 << 0, DUE_INFO = 1 << 1, DUE_HEALTH = 1 << 2 };

struct hub {
    void (*wake)(void *context);
    void *wake_context;
    struct hub_sources sources;
    struct hub_device **devices;
    size_t device_count, device_room;
    bool *numbers; /* which are taken */
    size_t number_count, number_room;
    struct hub_output outputs[HUB_OUTPUTS_MAX]; /* context NULL: free */
    bool used[HUB_OUTPUTS_MAX];
    unsigned due;
    char *job; /* NULL: none yet */
};

/* Calls one member of every output that has it. An output may leave meanwhile. */
#define FOR_OUTPUTS(hub, member, ...)                                                              \
    for (size_t output_ = 0; output_ < HUB_OUTPUTS_MAX; output_++)                                 \
        if ((hub)->used[output_] && (hub)->outputs[output_].member != NULL)                        \
    (hub)->outputs[output_].member((hub)->outputs[output_].context, ##__VA_ARGS__)

static void call_alone(void (*callback)(void *context), void *context)
{
    if (callback != NULL)
        callback(context);
}

static void make_due(struct hub *hub, unsigned due)
{
    bool some = hub->due != 0;
    hub->due |= due;
    if (!some && hub->wake != NULL)
        hub->wake(hub->wake_context);
}

struct hub *hub_create(void (*wake)(void *context), void *context)
{
    struct hub *hub = memory_new(1, sizeof *hub);
    hub->wake = wake;
    hub->wake_context = context;
    return hub;
}

static void free_device(struct hub_device *device)
{
    free(device->values);
    free(device);
}

void hub_free(struct hub *hub)
{
    if (hub == NULL)
        return;
    for (size_t i = 0; i < hub->device_count; i++)
        free_device(hub->devices[i]);
    free(hub->devices);
    free(hub->numbers);
    free(hub->job);
    free(hub);
}

void hub_job(struct hub *hub, const char *json)
{
    free(hub->job);
    hub->job = memory_copy_text(json);
    FOR_OUTPUTS(hub, job, hub->job);
}

const char *hub_job_json(const struct hub *hub)
{
    return hub->job == NULL ? "null" : hub->job;
}

void hub_set_sources(struct hub *hub, const struct hub_sources *sources)
{
    hub->sources = *sources;
}

/* ---- outputs ---- */

bool hub_subscribe(struct hub *hub, const struct hub_output *output)
{
    size_t free_place = 0;
    while (free_place < HUB_OUTPUTS_MAX && hub->used[free_place])
        free_place++;
    if (free_place == HUB_OUTPUTS_MAX)
        return false;
    hub->used[free_place] = true;
    hub->outputs[free_place] = *output;
    for (size_t i = 0; output->device_added != NULL && i < hub->device_count; i++)
        output->device_added(output->context, hub->devices[i]);
    make_due(hub, DUE_DEVICES | DUE_INFO | DUE_HEALTH);
    return true;
}

void hub_unsubscribe(struct hub *hub, const void *context)
{
    for (size_t i = 0; i < HUB_OUTPUTS_MAX; i++)
        if (hub->used[i] && hub->outputs[i].context == context)
            hub->used[i] = false;
}

size_t hub_device_count(const struct hub *hub)
{
    return hub->device_count;
}

struct hub_device *hub_device_at(const struct hub *hub, size_t index)
{
    return hub->devices[index];
}

struct hub_device *hub_find(const struct hub *hub, const char *id)
{
    for (size_t i = 0; i < hub->device_count; i++)
        if (strcmp(hub->devices[i]->description->id, id) == 0)
            return hub->devices[i];
    return NULL;
}

struct hub_device *hub_find_named(const struct hub *hub, const char *word, struct error *error)
{
    struct hub_device *found = hub_find(hub, word);
    if (found != NULL)
        return found;
    for (size_t i = 0; i < hub->device_count; i++) {
        struct hub_device *device = hub->devices[i];
        if (strcmp(device->description->name, word) != 0)
            continue;
        if (found != NULL) {
            (void)error_set(
                error, STATUS_USAGE,
                "Several devices have the name \"%s\", among them %s and %s; use the id "
                "of the one that is meant.",
                word, found->description->id, device->description->id);
            return NULL;
        }
        found = device;
    }
    return found;
}

int64_t hub_nominal_mv(const struct hub *hub, const char *id)
{
    const struct hub_device *device = id == NULL ? NULL : hub_find(hub, id);
    return device == NULL ? 0 : device->description->nominal_mv;
}

const struct device_description *hub_device_description(const struct hub_device *device)
{
    return device->description;
}

const struct device_state *hub_device_state(const struct hub_device *device)
{
    return &device->state;
}

size_t hub_device_number(const struct hub_device *device)
{
    return device->number;
}

bool hub_device_online(const struct hub_device *device)
{
    return device->online;
}

void *hub_device_owner(const struct hub_device *device)
{
    return device->owner;
}

/* ---- documents ---- */

bool hub_state_json(const struct hub_device *device, struct text *text)
{
    device_state_json(device->description, &device->state, text);
    return !text->cut;
}

char *hub_devices_json(const struct hub *hub)
{
    struct message_device *list memory_auto = memory_new(hub->device_count, sizeof *list);
    for (size_t i = 0; i < hub->device_count; i++)
        list[i] = (struct message_device){hub->devices[i]->description, hub->devices[i]->disabled};
    return message_bridge_devices(list, hub->device_count);
}

static void describe_health(const struct hub *hub, const struct hub_device *device,
                            struct message_device_health *health)
{
    *health = (struct message_device_health){
        .id = device->description->id,
        .online = device->online,
        .frame_errors = device->state.frame_errors,
        .last_seen_wall_ms = device->state.last_seen_wall_ms,
        .problems = device->state.problems,
    };
    if (hub->sources.device_health != NULL)
        hub->sources.device_health(hub->sources.context, device->owner, health);
}

char *hub_health_json(struct hub *hub)
{
    struct message_device_health *devices memory_auto =
        memory_new(hub->device_count, sizeof *devices);
    for (size_t i = 0; i < hub->device_count; i++)
        describe_health(hub, hub->devices[i], &devices[i]);
    struct message_health health = {.backup_file = ""};
    if (hub->sources.health != NULL)
        hub->sources.health(hub->sources.context, &health);
    health.devices = devices;
    health.device_count = hub->device_count;
    return message_bridge_health(&health);
}

char *hub_info_json(struct hub *hub)
{
    struct message_info info = {.version = program_version, .bridge_id = ""};
    json_t *config = NULL;
    if (hub->sources.info != NULL)
        hub->sources.info(hub->sources.context, &info, &config);
    info.config = config;
    char *text = message_bridge_info(&info);
    json_decref(config);
    return text;
}

char *hub_event_json(const struct message_event *event)
{
    return message_bridge_event(event);
}

char *hub_log_json(enum log_level level, const char *message)
{
    return message_bridge_logging(level, message);
}

const char *hub_availability_json(const struct hub_device *device)
{
    return device->online ? MESSAGE_ONLINE : MESSAGE_OFFLINE;
}

/* ---- producers ---- */

/* Nothing is known of a device before its first state. */
static void begin_state(struct hub_device *device)
{
    free(device->values);
    device->value_count = device->description->channel_count;
    device->values = memory_new(device->value_count, sizeof *device->values);
    device->state = (struct device_state){.channels = device->values};
    device->state.update.percentage = -1;
}

static size_t take_number(struct hub *hub)
{
    size_t number = 0;
    while (number < hub->number_count && hub->numbers[number])
        number++;
    if (number == hub->number_count) {
        hub->numbers =
            memory_grow(hub->numbers, hub->number_count, &hub->number_room, sizeof *hub->numbers);
        hub->number_count++;
    }
    hub->numbers[number] = true;
    return number;
}

struct hub_device *hub_add(struct hub *hub, const struct device_description *description,
                           void *owner)
{
    struct hub_device *device = memory_new(1, sizeof *device);
    device->description = description;
    device->owner = owner;
    device->number = take_number(hub);
    begin_state(device);
    hub->devices = memory_grow(hub->devices, hub->device_count, &hub->device_room,
                               sizeof(struct hub_device *));
    hub->devices[hub->device_count++] = device;
    FOR_OUTPUTS(hub, device_added, device);
    make_due(hub, DUE_DEVICES | DUE_INFO | DUE_HEALTH);
    return device;
}

static size_t index_of(const struct hub *hub, const struct hub_device *device)
{
    size_t index = 0;
    while (hub->devices[index] != device)
        index++;
    return index;
}

void hub_remove(struct hub *hub, struct hub_device *device)
{
    size_t index = index_of(hub, device);
    hub->device_count--;
    memmove(&hub->devices[index], &hub->devices[index + 1],
            (hub->device_count - index) * sizeof(struct hub_device *));
    FOR_OUTPUTS(hub, device_removed, device);
    hub->numbers[device->number] = false;
    make_due(hub, DUE_DEVICES | DUE_INFO | DUE_HEALTH);
    free_device(device);
}

void hub_described(struct hub *hub, struct hub_device *device)
{
    if (device->value_count != device->description->channel_count)
        begin_state(device);
    FOR_OUTPUTS(hub, device_changed, device);
    make_due(hub, DUE_DEVICES | DUE_INFO);
}

void hub_state(struct hub *hub, struct hub_device *device, const struct device_state *state,
               enum hub_reason reason)
{
    device->state = *state;
    device->state.channels = device->values;
    memcpy(device->values, state->channels, device->value_count * sizeof *device->values);
    FOR_OUTPUTS(hub, state, device, reason);
}

void hub_availability(struct hub *hub, struct hub_device *device, bool online)
{
    if (device->online == online)
        return;
    device->online = online;
    FOR_OUTPUTS(hub, availability, device);
}

void hub_set_disabled(struct hub *hub, struct hub_device *device, bool disabled)
{
    if (device->disabled == disabled)
        return;
    device->disabled = disabled;
    FOR_OUTPUTS(hub, availability, device);
    make_due(hub, DUE_DEVICES | DUE_INFO);
}

void hub_event(struct hub *hub, const struct message_event *event)
{
    FOR_OUTPUTS(hub, event, event);
    make_due(hub, DUE_HEALTH);
}

void hub_log(struct hub *hub, enum log_level level, const char *message)
{
    FOR_OUTPUTS(hub, log, level, message);
}

void hub_health_changed(struct hub *hub)
{
    make_due(hub, DUE_HEALTH);
}

void hub_info_changed(struct hub *hub)
{
    make_due(hub, DUE_INFO);
}

void hub_flush(struct hub *hub)
{
    unsigned due = hub->due;
    hub->due = 0;
    for (size_t i = 0; due != 0 && i < HUB_OUTPUTS_MAX; i++) {
        const struct hub_output output = hub->outputs[i];
        if (hub->used[i] && (due & DUE_INFO) != 0)
            call_alone(output.info, output.context);
        if (hub->used[i] && (due & DUE_DEVICES) != 0)
            call_alone(output.devices, output.context);
        if (hub->used[i] && (due & DUE_HEALTH) != 0)
            call_alone(output.health, output.context);
    }
}
