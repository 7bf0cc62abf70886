/* SPDX-License-Identifier: MIT */
/* Requests that change the configuration: settings, and devices that come, change and go. */
#include "bridge/service/handlers_shared.h"

#include "drivers/base/memory.h"

#include <stdio.h>
#include <string.h>

/* What its answer needs, once the change holds. */
struct change_errand {
    struct pending *pending;
    json_t *answer; /* NULL: the changed keys */
};

static void on_done(void *context, enum status status, const struct settings_result *result,
                    const struct error *error)
{
    struct change_errand *errand = context;
    if (status != STATUS_OK)
        pending_refuse(errand->pending, status, error);
    else if (errand->answer != NULL)
        pending_answer(errand->pending, json_incref(errand->answer));
    else
        pending_answer(errand->pending, json_pack("{s:O, s:b}", "changed", result->changed,
                                                  "restart_required", result->restart_required));
    json_decref(errand->answer);
    free(errand);
}

/* Takes value and answer. */
static enum status submit(struct handlers *handlers, struct pending *pending,
                          enum settings_kind kind, const char *device, json_t *value,
                          json_t *answer, struct error *error)
{
    struct change_errand *errand = memory_new(1, sizeof *errand);
    *errand = (struct change_errand){.pending = pending, .answer = answer};
    const struct settings_change change = {
        .kind = kind, .device = device, .value = value, .done = on_done, .context = errand};
    enum status status = settings_submit(handlers->settings, &change, error);
    if (status != STATUS_OK) {
        json_decref(answer);
        free(errand);
    }
    return status;
}

/* ---- settings ---- */

enum status handle_options(void *context, struct pending *pending, struct error *error)
{
    json_t *options = json_deep_copy(pending_argument(pending, "options"));
    return submit(context, pending, SETTINGS_OPTIONS, NULL, options, NULL, error);
}

enum status handle_device_options(void *context, struct pending *pending, struct error *error)
{
    if (handlers_device(context, pending, error) == NULL)
        return STATUS_USAGE;
    json_t *options = json_deep_copy(pending_argument(pending, "options"));
    if (json_object_get(options, "id") != NULL) {
        json_decref(options);
        return error_set(error, STATUS_USAGE,
                         "The id of a device cannot be changed this way; use device/rename with "
                         "\"id\": true.");
    }
    return submit(context, pending, SETTINGS_OPTIONS, pending_text(pending, "id"), options, NULL,
                  error);
}

static json_t *id_answer(const char *id)
{
    return json_pack("{s:s}", "id", id);
}

static enum status set_disabled(void *context, struct pending *pending, bool disabled,
                                struct error *error)
{
    const char *id = pending_text(pending, "id");
    if (handlers_device(context, pending, error) == NULL)
        return STATUS_USAGE;
    /* null takes the key out again */
    json_t *options = json_pack("{s:o}", "disabled", disabled ? json_true() : json_null());
    return submit(context, pending, SETTINGS_OPTIONS, id, options, id_answer(id), error);
}

enum status handle_device_enable(void *context, struct pending *pending, struct error *error)
{
    return set_disabled(context, pending, false, error);
}

enum status handle_device_disable(void *context, struct pending *pending, struct error *error)
{
    return set_disabled(context, pending, true, error);
}

static struct hub_device *find_by_name(struct hub *hub, const char *name)
{
    for (size_t i = 0; i < hub_device_count(hub); i++) {
        struct hub_device *device = hub_device_at(hub, i);
        if (strcmp(hub_device_description(device)->name, name) == 0)
            return device;
    }
    return NULL;
}

static bool id_taken(void *context, const char *id);

/* Its history follows. Home Assistant gets it under its new id, as ids are what it knows devices by. */
static enum status rename_id(struct handlers *handlers, struct pending *pending, const char *from,
                             const char *to, struct error *error)
{
    if (id_taken(handlers, to) || history_has_device(handlers->options.history, to))
        return error_set(error, STATUS_USAGE,
                         "There is or was a device \"%s\", whose history stays its own; choose "
                         "another id.",
                         to);
    return submit(handlers, pending, SETTINGS_RENAME, from, json_pack("{s:s}", "id", to),
                  json_pack("{s:s, s:s}", "from", from, "to", to), error);
}

enum status handle_device_rename(void *context, struct pending *pending, struct error *error)
{
    struct handlers *handlers = context;
    struct hub *hub = handlers->options.hub;
    const char *from = pending_text(pending, "from"), *to = pending_text(pending, "to");
    struct error ambiguous = {""};
    const struct hub_device *device = hub_find_named(hub, from, &ambiguous);
    if (ambiguous.text[0] != '\0')
        return error_set(error, STATUS_USAGE, "%s", ambiguous.text);
    if (device == NULL) {
        pending_unknown(pending);
        return error_set(error, STATUS_USAGE, "There is no device \"%s\".", from);
    }
    if (pending_flag(pending, "id", false))
        return rename_id(handlers, pending, hub_device_description(device)->id, to, error);
    const struct hub_device *other = find_by_name(hub, to);
    if (other != NULL && other != device)
        return error_set(error, STATUS_USAGE, "The device \"%s\" has the name \"%s\" already.",
                         hub_device_description(other)->id, to);
    return submit(handlers, pending, SETTINGS_OPTIONS, hub_device_description(device)->id,
                  json_pack("{s:s}", "name", to), json_pack("{s:s, s:s}", "from", from, "to", to),
                  error);
}

/* ---- devices that come and go ---- */

static bool id_taken(void *context, const char *id)
{
    const struct handlers *handlers = context;
    return hub_find(handlers->options.hub, id) != NULL || strcmp(id, "bridge") == 0 ||
           settings_adds(handlers->settings, id);
}

/* Answers with what the file gets; both are taken. */
static enum status add(struct handlers *handlers, struct pending *pending, json_t *device,
                       json_t *answer, struct error *error)
{
    const char *id = json_string_value(json_object_get(device, "id"));
    if (!id_taken(handlers, id))
        return submit(handlers, pending, SETTINGS_ADD, id, device, answer, error);
    enum status status =
        error_set(error, STATUS_USAGE, "There is a device \"%s\" already; choose another id.", id);
    json_decref(device);
    json_decref(answer);
    return status;
}

enum status handle_device_add(void *context, struct pending *pending, struct error *error)
{
    struct handlers *handlers = context;
    json_t *device = json_deep_copy(pending_arguments(pending));
    const char *id = pending_text(pending, "id");
    char made[MODULE_ID_SIZE];
    if (id == NULL) {
        static const char *const sources[] = {"name", "topic", "driver"};
        const char *word = NULL;
        for (size_t i = 0; i < 3 && word == NULL; i++)
            word = json_string_value(json_object_get(device, sources[i]));
        module_ids_make(handlers->ids, word != NULL ? word : "device", id_taken, handlers, made);
        id = made;
        (void)json_object_set_new(device, "id", json_string(id));
    }
    return add(handlers, pending, device, id_answer(id), error);
}

/* The names of its channels, from the request, or of the chips that a search received; NULL: the request is
 * wrong. */
static json_t *module_channels(const struct handlers *handlers, const struct pending *pending)
{
    static const char *const names[] = {"a", "b"};
    const json_t *list = pending_argument(pending, "channels");
    bool chips[2] = {false, false};
    json_t *channels = json_object();
    size_t index;
    const json_t *entry;
    json_array_foreach(list, index, entry)
    {
        (void)json_object_set_new(channels, json_string_value(entry), json_object());
    }
    if (list == NULL) {
        handlers_chips_received(handlers, pending_text(pending, "topic"), chips);
        chips[0] = chips[0] || !chips[1];
        for (size_t i = 0; i < 2; i++)
            if (chips[i])
                (void)json_object_set_new(channels, names[i], json_object());
        return channels;
    }
    size_t known = 0;
    for (size_t i = 0; i < 2; i++)
        known += json_object_get(channels, names[i]) != NULL ? 1 : 0;
    if (known == json_array_size(list))
        return channels;
    json_decref(channels);
    return NULL;
}

static json_t *module_answer(const char *id, const char *topic, const char *name, json_t *channels,
                             bool is_new)
{
    return json_pack("{s:s, s:s, s:s, s:o, s:b}", "id", id, "topic", topic, "name", name,
                     "channels", channels, "new", is_new);
}

static json_t *keys_of(json_t *object)
{
    json_t *list = json_array();
    const char *key;
    json_t *unused;
    json_object_foreach(object, key, unused)
    {
        (void)json_array_append_new(list, json_string(key));
    }
    return list;
}

static bool is_esphome(const struct pending *pending)
{
    const char *driver = pending_text(pending, "driver");
    return driver != NULL && strcmp(driver, "esphome") == 0;
}

/* Asking twice does no harm. */
static bool answer_known(const struct handlers *handlers, struct pending *pending,
                         const char *topic)
{
    enum config_driver driver = is_esphome(pending) ? DRIVER_ESPHOME : DRIVER_OPENBEKEN;
    const struct config *config = *handlers->options.config;
    for (size_t i = 0; i < config->device_count; i++) {
        const struct config_device *device = &config->devices[i];
        if (device->driver != driver || strcmp(device->topic, topic) != 0)
            continue;
        json_t *channels = json_array();
        for (size_t c = 0; c < device->channel_count; c++)
            (void)json_array_append_new(channels, json_string(device->channels[c].name));
        pending_answer(pending, module_answer(device->id, topic, device->name, channels, false));
        return true;
    }
    return false;
}

static void copy_if_given(const struct pending *pending, const char *key, json_t *device)
{
    const char *text = pending_text(pending, key);
    if (text != NULL && text[0] != '\0')
        (void)json_object_set_new(device, key, json_string(text));
}

enum status handle_device_adopt(void *context, struct pending *pending, struct error *error)
{
    struct handlers *handlers = context;
    const char *topic = pending_text(pending, "topic"), *given = pending_text(pending, "id");
    char id[MODULE_ID_SIZE];
    if (answer_known(handlers, pending, topic))
        return STATUS_OK;
    if (settings_adds_topic(handlers->settings, topic))
        return error_set(error, STATUS_USAGE,
                         "The module \"%s\" is being added already; bridge/devices lists it in a "
                         "moment.",
                         topic);
    json_t *channels = module_channels(handlers, pending);
    if (channels == NULL)
        return error_set(error, STATUS_USAGE,
                         "channels must be a list such as [\"a\"] or [\"a\", \"b\"]; b is the "
                         "second chip of a twin build.");
    if (given != NULL && given[0] != '\0')
        (void)snprintf(id, sizeof id, "%s", given);
    else
        module_ids_make(handlers->ids, topic, id_taken, handlers, id);
    const char *name = pending_text(pending, "name");
    json_t *device = json_pack("{s:s}", "id", id);
    copy_if_given(pending, "name", device);
    (void)json_object_set_new(device, "driver",
                              json_string(is_esphome(pending) ? "esphome" : "openbeken"));
    (void)json_object_set_new(device, "topic", json_string(topic));
    if (pending_argument(pending, "max_current") != NULL)
        (void)json_object_set_new(
            device, "mains",
            json_pack("{s:O}", "max_current", pending_argument(pending, "max_current")));
    (void)json_object_set(device, "channels", channels);
    copy_if_given(pending, "energy_unit", device);
    json_t *answer = module_answer(id, topic, name != NULL && name[0] != '\0' ? name : id,
                                   keys_of(channels), true);
    json_decref(channels);
    return add(handlers, pending, device, answer, error);
}

enum status handle_device_remove(void *context, struct pending *pending, struct error *error)
{
    const char *id = pending_text(pending, "id");
    if (handlers_device(context, pending, error) == NULL)
        return STATUS_USAGE;
    if (!pending_flag(pending, "history", true))
        return error_set(error, STATUS_FAILED,
                         "The history of a device cannot be deleted by request yet; remove the "
                         "device without \"history\": false.");
    return submit(context, pending, SETTINGS_REMOVE, id, NULL, id_answer(id), error);
}
