/* SPDX-License-Identifier: MIT */
#include "bridge/commands/adopt.h"

#include "bridge/commands/ask_service.h"
#include "bridge/commands/history_options.h"

#include <string.h>

#define ASK_MS 10000

static json_t *adoption(const struct profile *profile, const char *topic, const char *name)
{
    char id[PROFILE_DEVICE_ID_MAX + 1];
    profile_device_id(topic, id);
    json_t *body = json_pack("{s:s, s:s}", "topic", topic, "id", id);
    if (profile != NULL) {
        json_t *channels = json_array();
        for (size_t i = 0; i < profile->channel_count; i++)
            (void)json_array_append_new(channels, json_stringn(&profile->channels[i].name, 1));
        (void)json_object_set_new(body, "channels", channels);
    }
    if (name[0] != '\0')
        (void)json_object_set_new(body, "name", json_string(name));
    return body;
}

/* One that the service knows already is no error. Where another device has the id, the service chooses one.
 * Takes body. */
static enum status ask(const struct config *config, json_t *body, json_t **answer,
                       struct error *error)
{
    enum status status =
        ask_service(config, "device/adopt", json_deep_copy(body), ASK_MS, answer, error);
    if (status == STATUS_FAILED && json_object_del(body, "id") == 0) {
        struct error second = {""};
        if (ask_service(config, "device/adopt", json_incref(body), ASK_MS, answer, &second) ==
            STATUS_OK)
            status = STATUS_OK;
    }
    json_decref(body);
    if (status != STATUS_OK || json_string_value(json_object_get(*answer, "id")) != NULL)
        return status;
    json_decref(*answer);
    *answer = NULL;
    return error_set(error, STATUS_FAILED, "The service answered without the device's id.");
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

static enum status adopt_module(const struct config *config, const struct profile *profile,
                                const char *client_id, const char *name, json_t **answer,
                                struct error *error)
{
    json_t *data = NULL;
    enum status status = ask(config, adoption(profile, client_id, name), &data, error);
    if (status != STATUS_OK)
        return status;
    const char *id = json_string_value(json_object_get(data, "id"));
    if (profile != NULL && json_is_true(json_object_get(data, "new")))
        status = give_factors(config, profile, id, error);
    if (status == STATUS_OK)
        *answer = data;
    else
        json_decref(data);
    return status;
}

static enum status adopt_esphome(const struct config *config, const struct profile *profile,
                                 const char *node, const char *name, json_t **answer,
                                 struct error *error)
{
    json_t *body = adoption(profile, node, name);
    (void)json_object_set_new(body, "driver", json_string("esphome"));
    (void)json_object_set_new(body, "max_current", json_real(profile->max_current_a));
    return ask(config, body, answer, error);
}

enum status adopt(const struct command_context *context, bool esphome,
                  const struct profile *profile, const char *client_id, const char *name,
                  json_t **answer, struct error *error)
{
    struct config *config = command_config(context, "--adopt needs it to find the service.", error);
    if (config == NULL)
        return STATUS_USAGE;
    enum status status = esphome ? adopt_esphome(config, profile, client_id, name, answer, error)
                                 : adopt_module(config, profile, client_id, name, answer, error);
    config_free(config);
    return status;
}
