/* SPDX-License-Identifier: MIT */
#include "bridge/commands/adopt.h"

#include "bridge/commands/ask_service.h"

#include <string.h>

#define ASK_MS 10000

static json_t *adoption(const struct profile *profile, const char *client_id, const char *name)
{
    char id[PROFILE_DEVICE_ID_MAX + 1];
    json_t *channels = json_array();
    profile_device_id(client_id, id);
    for (size_t i = 0; i < profile->channel_count; i++)
        (void)json_array_append_new(channels, json_stringn(&profile->channels[i].name, 1));
    json_t *body = json_pack("{s:s, s:s, s:o}", "topic", client_id, "id", id, "channels", channels);
    if (name[0] != '\0')
        (void)json_object_set_new(body, "name", json_string(name));
    return body;
}

/* Under the id that the service gave it. */
static enum status give_factors(const struct config *config, const struct profile *profile,
                                const char *id, struct error *error)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; i < profile->channel_count && status == STATUS_OK; i++) {
        const struct profile_channel *channel = &profile->channels[i];
        const struct profile_calibration *factors = &channel->calibration;
        const char name[2] = {channel->name, '\0'};
        json_t *data = NULL;
        if (!factors->given)
            continue;
        status = ask_service(config, "device/calibration/set",
                             json_pack("{s:s, s:s, s:f, s:f, s:f}", "id", id, "channel", name,
                                       "voltage", factors->voltage, "current", factors->current,
                                       "power", factors->power),
                             ASK_MS, &data, error);
        json_decref(data);
    }
    if (status != STATUS_OK)
        return error_prefix(error, status,
                            "The service has adopted the module, but not the factors to begin "
                            "with: ");
    return STATUS_OK;
}

enum status adopt_module(const struct config *config, const struct profile *profile,
                         const char *client_id, const char *name, json_t **answer,
                         struct error *error)
{
    json_t *data = NULL;
    enum status status = ask_service(config, "device/adopt", adoption(profile, client_id, name),
                                     ASK_MS, &data, error);
    if (status != STATUS_OK)
        return status;
    const char *id = json_string_value(json_object_get(data, "id"));
    if (id == NULL) {
        json_decref(data);
        return error_set(error, STATUS_FAILED, "The service answered without the device's id.");
    }
    if (json_is_true(json_object_get(data, "new")))
        status = give_factors(config, profile, id, error);
    if (status == STATUS_OK)
        *answer = data;
    else
        json_decref(data);
    return status;
}

enum status adopt_esphome(const struct config *config, const struct profile *profile,
                          const char *node, const char *name, json_t **answer, struct error *error)
{
    char id[PROFILE_DEVICE_ID_MAX + 1];
    json_t *channels = json_object();
    profile_device_id(node, id);
    for (size_t i = 0; i < profile->channel_count; i++) {
        const char channel[2] = {profile->channels[i].name, '\0'};
        (void)json_object_set_new(channels, channel, json_object());
    }
    json_t *body =
        json_pack("{s:s, s:s, s:s, s:{s:f}, s:o}", "id", id, "driver", "esphome", "topic", node,
                  "mains", "max_current", profile->max_current_a, "channels", channels);
    if (name[0] != '\0')
        (void)json_object_set_new(body, "name", json_string(name));
    enum status status = ask_service(config, "device/add", body, ASK_MS, answer, error);
    if (status != STATUS_OK || json_string_value(json_object_get(*answer, "id")) != NULL)
        return status;
    json_decref(*answer);
    *answer = NULL;
    return error_set(error, STATUS_FAILED, "The service answered without the device's id.");
}
