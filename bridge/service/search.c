/* SPDX-License-Identifier: MIT */
#include "bridge/service/search.h"

#include "bridge/mqtt/publisher.h"
#include "bridge/service/broker.h"
#include "bridge/service/module_id.h"
#include "drivers/base/memory.h"
#include "drivers/base/text.h"
#include "drivers/openbeken/finder.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define CLOSE_MS 1000
#define CONNECT_MS 10000 /* a second client in one process takes the MQTT library two seconds */

struct search {
    const struct config *config;
    struct publisher *publisher;
    struct openbeken_finder *finder;
    uv_async_t wake;
    uv_timer_t timer;
    unsigned open_handles;
    char *clear_client;
    bool cleared;
    size_t cleared_count;
    int64_t duration_ms; /* from when it is connected */
    bool connected;
    void (*done)(void *context);
    void *context;
};

static void on_time(uv_timer_t *timer)
{
    const struct search *search = timer->data;
    search->done(search->context);
}

static void on_incoming(void *context, const struct publisher_incoming *incoming)
{
    struct search *search = context;
    if (incoming->kind == PUBLISHER_CONNECTED && !search->connected) {
        search->connected = true;
        (void)uv_timer_start(&search->timer, on_time, (uint64_t)search->duration_ms, 0);
    }
    if (incoming->kind == PUBLISHER_MESSAGE)
        openbeken_finder_message(search->finder, incoming->topic, incoming->payload,
                                 incoming->payload_length, incoming->retained);
}

static void on_wake(uv_async_t *async)
{
    struct search *search = async->data;
    publisher_poll(search->publisher, on_incoming, search);
}

static void wake_up(void *context)
{
    struct search *search = context;
    (void)uv_async_send(&search->wake);
}

static void subscribe(void *context, const char *filter)
{
    const struct search *search = context;
    publisher_subscribe(search->publisher, filter, 0);
}

static enum status create_publisher(struct search *search, struct log *log, struct error *error)
{
    const struct config_mqtt *mqtt = &search->config->mqtt;
    char client_id[64], will_topic[256];
    (void)snprintf(client_id, sizeof client_id, "bl2mqtt_find_%ld", (long)getpid());
    (void)snprintf(will_topic, sizeof will_topic, "%s/bridge/find", mqtt->base_topic);
    struct publisher_options options = broker_options(mqtt);
    options.client_id = client_id;
    /* Empty and retained: the broker keeps nothing of it. */
    options.will_topic = will_topic;
    options.will_payload = "";
    options.birth_payload = "";
    options.log = log;
    options.wake = wake_up;
    options.wake_context = search;
    return publisher_create(&options, &search->publisher, error);
}

static void handle_closed(uv_handle_t *handle)
{
    struct search *search = handle->data;
    if (--search->open_handles > 0)
        return;
    free(search->clear_client);
    free(search);
}

enum status search_start(uv_loop_t *loop, const struct search_options *options,
                         struct search **created, struct error *error)
{
    struct search *search = memory_new(1, sizeof *search);
    search->config = options->config;
    search->done = options->done;
    search->context = options->context;
    search->duration_ms = options->duration_ms;
    search->clear_client =
        options->clear_client == NULL ? NULL : memory_copy_text(options->clear_client);
    search->finder = openbeken_finder_create(options->config->homeassistant.discovery_prefix);
    (void)uv_async_init(loop, &search->wake, on_wake);
    (void)uv_timer_init(loop, &search->timer);
    search->wake.data = search->timer.data = search;
    search->open_handles = 2;
    enum status status = create_publisher(search, options->log, error);
    if (status == STATUS_OK) {
        openbeken_finder_filters(search->finder, subscribe, search);
        status = publisher_start(search->publisher, error);
    }
    if (status != STATUS_OK) {
        search_close(search);
        return status;
    }
    (void)uv_timer_start(&search->timer, on_time, CONNECT_MS, 0);
    *created = search;
    return STATUS_OK;
}

void search_close(struct search *search)
{
    if (search == NULL)
        return;
    if (search->publisher != NULL)
        publisher_close(search->publisher, CLOSE_MS);
    openbeken_finder_free(search->finder);
    uv_close((uv_handle_t *)&search->wake, handle_closed);
    uv_close((uv_handle_t *)&search->timer, handle_closed);
}

/* ---- The answer ---- */

static bool is_configured(const struct config *config, const char *client)
{
    for (size_t i = 0; i < config->device_count; i++)
        if (config->devices[i].driver == DRIVER_OPENBEKEN &&
            strcmp(config->devices[i].topic, client) == 0)
            return true;
    return false;
}

struct ids {
    const struct config *config;
    const json_t *modules;
};

static bool id_taken(void *context, const char *id)
{
    const struct ids *ids = context;
    size_t index;
    json_t *module;
    for (size_t i = 0; i < ids->config->device_count; i++)
        if (strcmp(ids->config->devices[i].id, id) == 0)
            return true;
    json_array_foreach(ids->modules, index, module)
    {
        const char *other = json_string_value(json_object_get(module, "id"));
        if (other != NULL && strcmp(other, id) == 0)
            return true;
    }
    return strcmp(id, "bridge") == 0;
}

/* JSON's strings are YAML's. */
static char *quoted(const char *value)
{
    json_t *text = json_string(value);
    char *bytes = text == NULL ? NULL : json_dumps(text, JSON_ENCODE_ANY);
    json_decref(text);
    return bytes;
}

static void make_lines(const struct openbeken_found *found, const char *id, struct text *lines)
{
    char *topic memory_auto = quoted(found->client);
    text_append(lines, "  - id: %s\n    driver: openbeken\n    topic: %s\n    channels: {%s}\n", id,
                topic == NULL ? "" : topic,
                !found->chips[1]  ? "a: {}"
                : found->chips[0] ? "a: {}, b: {}"
                                  : "b: {}");
}

static const char *unit_name(enum openbeken_unit unit)
{
    return unit == OPENBEKEN_KWH ? "kWh" : "Wh";
}

static void set_text(json_t *object, const char *key, const char *value)
{
    if (value[0] != '\0')
        (void)json_object_set_new(object, key, json_string(value));
}

/* What a person should know before adopting it. */
static json_t *notes_about(const struct openbeken_found *found)
{
    json_t *notes = json_array();
    if (found->announcement_count > 0)
        (void)json_array_append_new(
            notes, json_string("It announces itself to Home Assistant: with the bridge's own "
                               "announcement its energy would be counted twice. Turn its flag 27 "
                               "off, and let its announcements be removed (--clear)."));
    if (!found->chips[0] && !found->chips[1])
        (void)json_array_append_new(
            notes, json_string("No values were received: does its autoexec.bat start the driver "
                               "(startDriver BL0942)?"));
    else if (!found->values_received)
        (void)json_array_append_new(
            notes, json_string("No fresh value was received: it is offline, its chip is silent, or "
                               "the search was too short (a value comes each minute)."));
    if (found->values_retained)
        (void)json_array_append_new(
            notes, json_string("The broker keeps old values of it (flag 7); the bridge ignores "
                               "those."));
    return notes;
}

static json_t *describe(const struct search *search, size_t index, const json_t *modules)
{
    const struct openbeken_found *found = openbeken_finder_get(search->finder, index);
    bool configured = is_configured(search->config, found->client);
    char id[MODULE_ID_SIZE], buffer[512];
    struct text lines;
    json_t *module = json_pack("{s:s, s:b, s:b, s:b, s:b, s:I, s:o}", "topic", found->client,
                               "configured", configured, "chip_a", found->chips[0], "chip_b",
                               found->chips[1], "flag_30", found->speaks_tele, "announcements",
                               (json_int_t)found->announcement_count, "notes", notes_about(found));
    if (module == NULL)
        return NULL;
    set_text(module, "name", found->name);
    set_text(module, "long_name", found->long_name);
    set_text(module, "chipset", found->chipset);
    set_text(module, "page", found->page);
    set_text(module, "build", found->build);
    if (found->connected_known)
        (void)json_object_set_new(module, "online", json_boolean(found->connected));
    if (found->unit != OPENBEKEN_UNIT_UNKNOWN)
        set_text(module, "energy_unit", unit_name(found->unit));
    if (configured)
        return module;
    struct ids ids = {search->config, modules};
    module_id_make(found->client, id_taken, &ids, id);
    text_init(&lines, buffer, sizeof buffer);
    make_lines(found, id, &lines);
    set_text(module, "id", id);
    set_text(module, "config", buffer);
    return module;
}

static void clear_announcements(struct search *search)
{
    search->cleared = true;
    for (size_t i = 0; i < openbeken_finder_count(search->finder); i++) {
        const struct openbeken_found *found = openbeken_finder_get(search->finder, i);
        if (strcmp(found->client, search->clear_client) != 0)
            continue;
        for (size_t a = 0; a < found->announcement_count; a++)
            publisher_publish(search->publisher,
                              openbeken_finder_announcement(search->finder, i, a), "", 0, true, 1);
        search->cleared_count = found->announcement_count;
    }
}

json_t *search_result(struct search *search)
{
    json_t *modules = json_array();
    for (size_t i = 0; i < openbeken_finder_count(search->finder); i++)
        if (openbeken_finder_get(search->finder, i)->is_module)
            (void)json_array_append_new(modules, describe(search, i, modules));
    if (search->clear_client != NULL && !search->cleared)
        clear_announcements(search);
    return json_pack("{s:b, s:o, s:I}", "connected", search->connected, "modules", modules,
                     "cleared", (json_int_t)search->cleared_count);
}
