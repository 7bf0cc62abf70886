/* SPDX-License-Identifier: MIT */
#include "bridge/config/checks.h"

#include <stdio.h>
#include <string.h>

#define MEMBERS_MAX 32

/* The channel that "house/a" names; NULL if there is none. *device: its device, if that exists. */
static const struct config_channel *find_member(const struct config *config, const char *member,
                                                const struct config_device **device)
{
    size_t length = strcspn(member, "/");
    *device = NULL;
    for (size_t i = 0; i < config->device_count && *device == NULL; i++)
        if (strncmp(config->devices[i].id, member, length) == 0 &&
            config->devices[i].id[length] == '\0')
            *device = &config->devices[i];
    for (size_t i = 0; *device != NULL && i < (*device)->channel_count; i++)
        if (strcmp((*device)->channels[i].name, member + length + 1) == 0)
            return &(*device)->channels[i];
    return NULL;
}

static void check_member(const struct config *config, const char *member, struct place place,
                         struct config_problems *problems)
{
    const struct config_device *device;
    const struct config_channel *channel = find_member(config, member, &device);
    if (device == NULL)
        problems_add(problems, CONFIG_ERROR, place, "sum names %s, but there is no device %.*s.",
                     member, (int)strcspn(member, "/"), member);
    else if (channel == NULL)
        problems_add(problems, CONFIG_ERROR, place,
                     "sum names %s, but the device %s has no such channel.", member, device->id);
    else if (device->driver == DRIVER_VIRTUAL)
        problems_add(problems, CONFIG_ERROR, place,
                     "sum names %s, which is virtual itself; name the channels that it sums.",
                     member);
}

static void check_sum(const struct config *config, const char *sum, struct place place,
                      struct config_problems *problems)
{
    char members[MEMBERS_MAX][48];
    size_t count = 0;
    while (*sum != '\0') {
        sum += *sum == ',' ? 1 : 0;
        sum += *sum == '-' ? 1 : 0;
        size_t length = strcspn(sum, ",");
        if (count == MEMBERS_MAX) {
            problems_add(problems, CONFIG_ERROR, place, "sum has more than %d members.",
                         MEMBERS_MAX);
            return;
        }
        (void)snprintf(members[count], sizeof members[count], "%.*s", (int)length, sum);
        sum += length;
        check_member(config, members[count], place, problems);
        for (size_t i = 0; i < count; i++)
            if (strcmp(members[i], members[count]) == 0)
                problems_add(problems, CONFIG_ERROR, place, "sum names %s twice.", members[i]);
        count++;
    }
}

void checks_virtual(const struct config *config, const struct device_notes *devices,
                    struct config_problems *problems)
{
    for (size_t i = 0; i < config->device_count; i++) {
        const struct config_device *device = &config->devices[i];
        for (size_t j = 0; device->driver == DRIVER_VIRTUAL && j < device->channel_count; j++)
            check_sum(config, device->channels[j].sum, devices[i].channels[j].node->place,
                      problems);
    }
}
