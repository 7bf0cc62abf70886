/* SPDX-License-Identifier: MIT */
#include "bridge/service/requests.h"
#include "bridge/service/search.h"
#include "drivers/base/memory.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define FACTOR_MIN 1.0 /* calibration.h: what a board can have */
#define FACTOR_MAX 1e8
#define JOIN_SECONDS_MAX 3600
#define CLEAR_MS 3000        /* retained announcements come at once */
#define ENERGY_KWH_MAX 9.0e6 /* nine gigawatt hours still fit microwatt hours in 64 bits */

typedef enum status (*handler)(const struct service_requests *requests,
                               const struct request *request, json_t **data, struct error *error);

static struct service_device *find_device(const struct service_requests *requests, const char *id)
{
    for (size_t i = 0; i < requests->device_count; i++)
        if (strcmp(service_device_config(requests->devices[i])->id, id) == 0)
            return requests->devices[i];
    return NULL;
}

static enum status health_check(const struct service_requests *requests,
                                const struct request *request, json_t **data, struct error *error)
{
    (void)requests;
    (void)request;
    (void)error;
    *data = json_pack("{s:b}", "healthy", 1);
    return STATUS_OK;
}

static enum status restart(const struct service_requests *requests, const struct request *request,
                           json_t **data, struct error *error)
{
    (void)request;
    (void)data;
    log_repeating(requests->log, LOG_LEVEL_INFO, "restart requested",
                  "Loading the configuration again on request.");
    return requests->reload(requests->context, error);
}

static enum status set_log_level(const struct service_requests *requests,
                                 const struct request *request, json_t **data, struct error *error)
{
    char name[16];
    enum status status = request_text(request, "level", name, sizeof name, error);
    if (status != STATUS_OK)
        return status;
    enum log_level level;
    if (!log_level_parse(name, &level))
        return error_set(error, STATUS_USAGE, "level must be error, warning, info or debug.");
    log_set_level(requests->log, level);
    requests->changed(requests->context);
    *data = json_pack("{s:s}", "level", log_level_name(level));
    return STATUS_OK;
}

/* A missing key leaves that total alone; one of the two must be there. */
static enum status read_energy(const struct request *request, const char *key, int64_t *uwh,
                               struct error *error)
{
    *uwh = -1;
    if (json_object_get(request->body, key) == NULL)
        return STATUS_OK;
    double kwh = 0;
    enum status status = request_number(request, key, 0, ENERGY_KWH_MAX, &kwh, error);
    if (status == STATUS_OK)
        *uwh = (int64_t)llround(kwh * 1e9);
    return status;
}

static enum status set_energy(const struct service_requests *requests,
                              const struct request *request, json_t **data, struct error *error)
{
    char id[64], channel[16];
    int64_t imported_uwh = -1, exported_uwh = -1;
    enum status status = request_text(request, "id", id, sizeof id, error);
    if (status == STATUS_OK)
        status = request_text(request, "channel", channel, sizeof channel, error);
    if (status == STATUS_OK)
        status = read_energy(request, "energy", &imported_uwh, error);
    if (status == STATUS_OK)
        status = read_energy(request, "energy_produced", &exported_uwh, error);
    if (status != STATUS_OK)
        return status;
    if (imported_uwh < 0 && exported_uwh < 0)
        return error_set(error, STATUS_USAGE,
                         "Say what to set: energy or energy_produced, in kilowatt hours.");
    struct service_device *device = find_device(requests, id);
    if (device == NULL)
        return error_set(error, STATUS_USAGE, "There is no device \"%s\".", id);
    status = service_device_set_totals(device, channel, imported_uwh, exported_uwh, error);
    if (status == STATUS_OK)
        *data = json_pack("{s:s, s:s}", "id", id, "channel", channel);
    return status;
}

/* A missing factor stays as it is; 0 stands for that. */
static enum status read_factor(const struct request *request, const char *key, double *factor,
                               struct error *error)
{
    *factor = 0;
    if (json_object_get(request->body, key) == NULL)
        return STATUS_OK;
    return request_number(request, key, FACTOR_MIN, FACTOR_MAX, factor, error);
}

static enum status set_calibration(const struct service_requests *requests,
                                   const struct request *request, json_t **data,
                                   struct error *error)
{
    char id[64], channel[16];
    struct calibration factors = {0};
    int64_t valid_from_ms = 0;
    enum status status = request_text(request, "id", id, sizeof id, error);
    if (status == STATUS_OK)
        status = request_text(request, "channel", channel, sizeof channel, error);
    if (status == STATUS_OK)
        status = read_factor(request, "voltage", &factors.voltage, error);
    if (status == STATUS_OK)
        status = read_factor(request, "current", &factors.current, error);
    if (status == STATUS_OK)
        status = read_factor(request, "power", &factors.power, error);
    if (status != STATUS_OK)
        return status;
    if (!(factors.voltage > 0 || factors.current > 0 || factors.power > 0))
        return error_set(
            error, STATUS_USAGE,
            "Say which factors to set: voltage, current or power, in counts per unit.");
    struct service_device *device = find_device(requests, id);
    if (device == NULL)
        return error_set(error, STATUS_USAGE, "There is no device \"%s\".", id);
    bool force = json_is_true(json_object_get(request->body, "force"));
    status =
        service_device_set_calibration(device, channel, &factors, force, &valid_from_ms, error);
    if (status != STATUS_OK)
        return status;
    char time[64];
    struct text text;
    text_init(&text, time, sizeof time);
    text_append_time(&text, valid_from_ms, true);
    *data = json_pack("{s:s, s:s, s:f, s:f, s:f, s:s}", "id", id, "channel", channel, "voltage",
                      factors.voltage, "current", factors.current, "power", factors.power,
                      "valid_from", time);
    return STATUS_OK;
}

/* Zigbee2MQTT's word for it. Nothing is written to bridge.yaml: the answer holds the lines. */
static enum status permit_join(const struct service_requests *requests,
                               const struct request *request, json_t **data, struct error *error)
{
    (void)data;
    double seconds = SEARCH_MODULE_REPEATS_MS / 1000.0;
    if (request->body != NULL && json_object_get(request->body, "time") != NULL) {
        enum status status = request_number(request, "time", 1, JOIN_SECONDS_MAX, &seconds, error);
        if (status != STATUS_OK)
            return status;
    }
    return requests->search(requests->context, request, llround(1000 * seconds), NULL, error);
}

static enum status clear_announcements(const struct service_requests *requests,
                                       const struct request *request, json_t **data,
                                       struct error *error)
{
    (void)data;
    char topic[64];
    enum status status = request_text(request, "topic", topic, sizeof topic, error);
    if (status != STATUS_OK)
        return status;
    return requests->search(requests->context, request, CLEAR_MS, topic, error);
}

static enum status adopt(const struct service_requests *requests, const struct request *request,
                         json_t **data, struct error *error)
{
    (void)data;
    return adoption_adopt(requests->adoption, request, error);
}

static enum status remove_device(const struct service_requests *requests,
                                 const struct request *request, json_t **data, struct error *error)
{
    (void)data;
    return adoption_remove(requests->adoption, request, error);
}

static enum status update_device(const struct service_requests *requests,
                                 const struct request *request, json_t **data, struct error *error)
{
    (void)data;
    if (requests->updates == NULL)
        return error_set(
            error, STATUS_USAGE,
            "No folder of firmware is configured; openbeken.images in bridge.yaml names "
            "one.");
    return updates_install(requests->updates, request, error);
}

/* Zigbee2MQTT's word for it, which answers with the copy itself; a history is too large for that. */
static enum status back_up(const struct service_requests *requests, const struct request *request,
                           json_t **data, struct error *error)
{
    (void)data;
    return requests->backup(requests->context, request, error);
}

static enum status recalibrate(const struct service_requests *requests,
                               const struct request *request, json_t **data, struct error *error)
{
    (void)data;
    return requests->recalibrate(requests->context, request, error);
}

#define HANDLER_KEYS_MAX 12

struct row {
    const char *name;
    handler handle;
    const char *keys[HANDLER_KEYS_MAX]; /* what the body may hold beside "transaction" */
    bool answers_later;                 /* if it succeeds, the request belongs to somebody else */
};

static const struct row rows[] = {
    {"health_check", health_check, {NULL}, false},
    {"restart", restart, {NULL}, false},
    {"log_level", set_log_level, {"level"}, false},
    {"device/energy/set", set_energy, {"id", "channel", "energy", "energy_produced"}, false},
    {"device/calibration/set",
     set_calibration,
     {"id", "channel", "voltage", "current", "power"},
     false},
    {"backup", back_up, {NULL}, true},
    {"permit_join", permit_join, {"time"}, true},
    {"device/adopt", adopt, {"topic", "id", "name", "channels", "energy_unit"}, true},
    {"device/remove", remove_device, {"id"}, true},
    {"device/update", update_device, {"id"}, true},
    {"history/recalibrate",
     recalibrate,
     {"id", "channel", "since", "until", "voltage", "current", "power", "calibration", "undo",
      "dry_run"},
     true},
    {"openbeken/clear_announcements", clear_announcements, {"topic"}, true},
};

static const struct row *find_row(const char *name)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (strcmp(rows[i].name, name) == 0)
            return &rows[i];
    return NULL;
}

/* A misspelt key would otherwise be an order that is silently not carried out. */
static enum status only_known_keys(const struct request *request, const char *const *keys,
                                   struct error *error)
{
    const char *key;
    json_t *value;
    json_object_foreach(request->body, key, value)
    {
        bool known = strcmp(key, "transaction") == 0;
        for (size_t i = 0; !known && i < HANDLER_KEYS_MAX && keys[i] != NULL; i++)
            known = strcmp(key, keys[i]) == 0;
        if (!known)
            return error_set(error, STATUS_USAGE, "The request %s has no key \"%.40s\".",
                             request->name, key);
    }
    return STATUS_OK;
}

static enum status handle(const struct service_requests *requests, const struct row *row,
                          const struct request *request, json_t **data, struct error *error)
{
    if (row == NULL)
        return error_set(error, STATUS_USAGE, "There is no request \"%s\".", request->name);
    enum status status = only_known_keys(request, row->keys, error);
    return status == STATUS_OK ? row->handle(requests, request, data, error) : status;
}

void service_respond(const char *base_topic, struct publisher *publisher,
                     const struct request *request, enum status status, const json_t *data,
                     const struct error *error)
{
    char topic[256 + REQUEST_NAME_SIZE];
    (void)snprintf(topic, sizeof topic, "%s/bridge/response/%s", base_topic, request->name);
    char *text memory_auto = response_format(request, status, data, error);
    if (text != NULL)
        publisher_event(publisher, topic, text, strlen(text), 1);
}

static void answer(const struct service_requests *requests, const char *name,
                   const struct publisher_incoming *message)
{
    struct request request;
    json_t *data = NULL; /* new reference or NULL */
    struct error error = {""};
    const struct row *row = find_row(name);
    enum status status =
        request_parse(name, message->payload, message->payload_length, &request, &error);
    if (status == STATUS_OK)
        status = handle(requests, row, &request, &data, &error);
    if (status != STATUS_OK)
        log_repeating(requests->log, LOG_LEVEL_WARNING, "request refused",
                      "The request %s was refused: %s", name, error.text);
    else if (row->answers_later)
        return;
    service_respond(requests->base_topic, requests->publisher, &request, status, data, &error);
    json_decref(data);
    request_free(&request);
}

/* <base>/<device>/set: no response topic in this protocol, so a refusal is a log line (which is
 * published as well). */
static void set_device(const struct service_requests *requests, struct service_device *device,
                       const struct publisher_incoming *message)
{
    struct settings settings;
    struct error error = {""};
    enum status status =
        settings_parse(message->payload, message->payload_length, &settings, &error);
    if (status == STATUS_OK && settings.has_report_interval)
        status = service_device_set_report_interval(device, settings.report_interval_ms, &error);
    if (status != STATUS_OK)
        log_repeating(requests->log, LOG_LEVEL_WARNING, "set refused",
                      "The message on %s was refused: %s", message->topic, error.text);
}

static struct service_device *device_of_set_topic(const struct service_requests *requests,
                                                  const char *topic)
{
    size_t base = strlen(requests->base_topic);
    if (strncmp(topic, requests->base_topic, base) != 0 || topic[base] != '/')
        return NULL;
    const char *id = topic + base + 1;
    const char *slash = strchr(id, '/');
    char copy[64];
    if (slash == NULL || strcmp(slash, "/set") != 0 || (size_t)(slash - id) >= sizeof copy)
        return NULL;
    (void)snprintf(copy, sizeof copy, "%.*s", (int)(slash - id), id);
    return find_device(requests, copy);
}

void service_request(const struct service_requests *requests,
                     const struct publisher_incoming *message)
{
    char name[REQUEST_NAME_SIZE];
    if (message->retained) { /* it would be carried out again at every start */
        log_repeating(requests->log, LOG_LEVEL_WARNING, "request retained",
                      "The retained message on %s is ignored; requests must not be retained.",
                      message->topic);
        return;
    }
    if (request_topic(requests->base_topic, message->topic, name)) {
        answer(requests, name, message);
        return;
    }
    struct service_device *device = device_of_set_topic(requests, message->topic);
    if (device != NULL)
        set_device(requests, device, message);
    else
        log_repeating(requests->log, LOG_LEVEL_WARNING, "no such device",
                      "The message on %s is for no device of this bridge.", message->topic);
}
