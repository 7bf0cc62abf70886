/* SPDX-License-Identifier: MIT */
/* Requests that look for OpenBeken modules. */
#include "bridge/service/handlers_shared.h"

#include <string.h>

#define CLEAR_MS 3000 /* retained announcements come at once */

void handlers_end_search(struct handlers *handlers)
{
    search_close(handlers->search);
    handlers->search = NULL;
    handlers->search_pending = NULL;
}

static void on_done(void *context)
{
    struct handlers *handlers = context;
    json_t *result = search_result(handlers->search);
    json_decref(handlers->found);
    handlers->found = json_incref(json_object_get(result, "modules"));
    pending_answer(handlers->search_pending, result);
    handlers_end_search(handlers);
    hub_info_changed(handlers->options.hub);
}

static enum status start(struct handlers *handlers, struct pending *pending, int64_t duration_ms,
                         const char *clear_client, struct error *error)
{
    if (handlers->search != NULL)
        return error_set(error, STATUS_FAILED, "A search for modules is running already.");
    const struct search_options options = {
        .config = *handlers->options.config,
        .duration_ms = duration_ms,
        .clear_client = clear_client,
        .modules_max = SEARCH_ANSWER_MODULES,
        .log = handlers->options.log,
        .done = on_done,
        .context = handlers,
    };
    enum status status = search_start(handlers->options.loop, &options, &handlers->search, error);
    if (status == STATUS_OK)
        handlers->search_pending = pending;
    hub_info_changed(handlers->options.hub);
    return status;
}

/* Whoever asked for the search gets what was found until now. */
static void stop(const struct handlers *handlers, struct pending *pending)
{
    if (handlers->search != NULL)
        search_stop(handlers->search);
    pending_answer(pending, NULL);
}

/* Zigbee2MQTT's word for it. Nothing is written to bridge.yaml: the answer holds the lines. */
enum status handle_permit_join(void *context, struct pending *pending, struct error *error)
{
    struct handlers *handlers = context;
    const json_t *value = pending_argument(pending, "value");
    int64_t seconds = SEARCH_MODULE_REPEATS_MS / 1000;
    if (json_is_integer(value))
        seconds = (int64_t)json_integer_value(value);
    else if (value != NULL && !json_is_boolean(value))
        return error_set(error, STATUS_USAGE,
                         "The value must be true, false, or a number of seconds.");
    seconds = json_is_false(value) ? 0 : pending_integer(pending, "time", seconds);
    if (seconds < 0 || seconds > 3600)
        return error_set(error, STATUS_USAGE, "The time must be 0 to 3600 seconds.");
    if (seconds > 0)
        return start(handlers, pending, seconds * 1000, NULL, error);
    stop(handlers, pending);
    return STATUS_OK;
}

enum status handle_clear_announcements(void *context, struct pending *pending, struct error *error)
{
    return start(context, pending, CLEAR_MS, pending_text(pending, "topic"), error);
}

bool handlers_searching(const struct handlers *handlers)
{
    return handlers != NULL && handlers->search != NULL;
}

void handlers_chips_received(const struct handlers *handlers, const char *client, bool chips[2])
{
    size_t index;
    const json_t *module;
    json_array_foreach(handlers->found, index, module)
    {
        const char *topic = json_string_value(json_object_get(module, "topic"));
        if (topic == NULL || strcmp(topic, client) != 0)
            continue;
        chips[0] = json_is_true(json_object_get(module, "chip_a"));
        chips[1] = json_is_true(json_object_get(module, "chip_b"));
    }
}
