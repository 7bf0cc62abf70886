/* SPDX-License-Identifier: MIT */
#include "bridge/service/virtuals.h"

#include "drivers/base/memory.h"

#include <stdio.h>
#include <string.h>

/* One member of one virtual channel. */
struct binding {
    struct service_device *device; /* the virtual one */
    size_t channel;
    size_t member;
    char name[64]; /* "house/a" */
    bool online;
};

struct virtuals {
    struct binding *bindings;
    size_t count, room;
};

struct virtuals *virtuals_create(void)
{
    return memory_new(1, sizeof(struct virtuals));
}

void virtuals_free(struct virtuals *virtuals)
{
    if (virtuals == NULL)
        return;
    free(virtuals->bindings);
    free(virtuals);
}

/* sum: "house/a,-solar/a", checked by the configuration. */
static void bind_channel(struct virtuals *virtuals, struct service_device *device, size_t channel,
                         const char *sum)
{
    for (size_t member = 0; *sum != '\0'; member++) {
        sum += strspn(sum, ",-");
        size_t length = strcspn(sum, ",");
        virtuals->bindings = memory_grow(virtuals->bindings, virtuals->count, &virtuals->room,
                                         sizeof *virtuals->bindings);
        struct binding *binding = &virtuals->bindings[virtuals->count++];
        *binding = (struct binding){.device = device, .channel = channel, .member = member};
        (void)snprintf(binding->name, sizeof binding->name, "%.*s", (int)length, sum);
        sum += length;
    }
}

void virtuals_add(struct virtuals *virtuals, struct service_device *device)
{
    const struct config_device *config = service_device_config(device);
    for (size_t i = 0; config->driver == DRIVER_VIRTUAL && i < config->channel_count; i++)
        bind_channel(virtuals, device, i, config->channels[i].sum);
}

void virtuals_remove(struct virtuals *virtuals, const struct service_device *device)
{
    size_t kept = 0;
    for (size_t i = 0; i < virtuals->count; i++)
        if (virtuals->bindings[i].device != device)
            virtuals->bindings[kept++] = virtuals->bindings[i];
    virtuals->count = kept;
    const struct config_device *config = service_device_config(device);
    for (size_t i = 0; i < config->channel_count; i++)
        virtuals_availability(virtuals, device, i, false);
}

static void name_of(const struct service_device *device, size_t channel, char *name, size_t size)
{
    const struct config_device *config = service_device_config(device);
    (void)snprintf(name, size, "%s/%s", config->id, config->channels[channel].name);
}

void virtuals_reading(struct virtuals *virtuals, const struct service_device *device,
                      size_t channel, const struct reading *reading)
{
    char name[64];
    name_of(device, channel, name, sizeof name);
    for (size_t i = 0; i < virtuals->count; i++) {
        struct binding *binding = &virtuals->bindings[i];
        if (strcmp(binding->name, name) != 0)
            continue;
        binding->online = true;
        service_device_member(binding->device, binding->channel, binding->member, reading,
                              service_device_values(device, channel));
    }
}

/* The name of a member that is missing; NULL: all are there. */
static const char *missing(const struct virtuals *virtuals, const struct binding *of)
{
    for (size_t i = 0; i < virtuals->count; i++) {
        const struct binding *binding = &virtuals->bindings[i];
        if (binding->device == of->device && binding->channel == of->channel && !binding->online)
            return binding->name;
    }
    return NULL;
}

void virtuals_availability(struct virtuals *virtuals, const struct service_device *device,
                           size_t channel, bool online)
{
    char name[64];
    name_of(device, channel, name, sizeof name);
    for (size_t i = 0; i < virtuals->count; i++) {
        struct binding *binding = &virtuals->bindings[i];
        if (strcmp(binding->name, name) != 0)
            continue;
        binding->online = online;
        const char *waits_for = missing(virtuals, binding);
        if (!online)
            service_device_member_lost(binding->device, binding->channel, binding->member,
                                       waits_for);
    }
}

void virtuals_shifted(struct virtuals *virtuals, const struct service_device *device,
                      size_t channel, int64_t imported_uwh, int64_t exported_uwh)
{
    char name[64];
    name_of(device, channel, name, sizeof name);
    for (size_t i = 0; i < virtuals->count; i++) {
        const struct binding *binding = &virtuals->bindings[i];
        if (strcmp(binding->name, name) == 0)
            service_device_member_shifted(binding->device, binding->channel, binding->member,
                                          imported_uwh, exported_uwh);
    }
}
