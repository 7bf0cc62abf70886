/* SPDX-License-Identifier: MIT */
#include "bridge/requests/requests.h"

#include "bridge/requests/arguments.h"
#include "bridge/requests/payload.h"
#include "bridge/requests/table.h"
#include "drivers/base/memory.h"

#include <stdio.h>
#include <string.h>

struct pending {
    struct requests *requests;
    struct pending *next, **link; /* in the list of all that wait; *link is this one */
    char name[REQUEST_NAME_SIZE];
    const struct request_row *row; /* NULL: unknown */
    struct request_door door;
    bool abandoned;
    bool unknown;
    bool *answered; /* set true when it is freed inside requests_submit; NULL outside */
    json_t *arguments;
    json_t *transaction;
};

struct requests {
    struct requests_options options;
    char *http_address;
    struct pending *first;
    size_t count;
};

struct requests *requests_create(const struct requests_options *options)
{
    struct requests *requests = memory_new(1, sizeof *requests);
    requests->options = *options;
    if (options->http_address != NULL)
        requests->http_address = memory_copy_text(options->http_address);
    return requests;
}

void requests_free(struct requests *requests)
{
    static const struct error stopping = {"The service is stopping; ask again."};
    if (requests == NULL)
        return;
    while (requests->first != NULL)
        pending_refuse(requests->first, STATUS_FAILED, &stopping);
    free(requests->http_address);
    free(requests);
}

/* ---- answers ---- */

static void forget(struct pending *pending)
{
    *pending->link = pending->next;
    if (pending->next != NULL)
        pending->next->link = pending->link;
    pending->requests->count--;
    if (pending->answered != NULL)
        *pending->answered = true;
    json_decref(pending->arguments);
    json_decref(pending->transaction);
    free(pending);
}

static void deliver(const struct pending *pending, enum status status, const char *text)
{
    if (pending->abandoned)
        return;
    const struct request_answer answer = {
        .name = pending->name,
        .status = status,
        .unknown = pending->unknown,
        .text = text,
        .length = strlen(text),
    };
    pending->door.answer(pending->door.context, &answer);
}

static char *too_long(const struct pending *pending, size_t length)
{
    struct error error;
    const char *address = pending->requests->http_address;
    bool history = strncmp(pending->name, "history/", strlen("history/")) == 0;
    if (address != NULL)
        (void)error_set(&error, STATUS_FAILED,
                        "The answer has %zu bytes, and over %s at most %zu are sent. Ask for it at "
                        "%s%s/%s, or for a shorter time.",
                        length, pending->door.name, pending->door.answer_max, address,
                        history ? "" : "/request", pending->name);
    else
        (void)error_set(&error, STATUS_FAILED,
                        "The answer has %zu bytes, and over %s at most %zu are sent. Ask for a "
                        "shorter time, or turn the HTTP interface on (web.listen), where "
                        "/api/v1%s/%s has it.",
                        length, pending->door.name, pending->door.answer_max,
                        history ? "" : "/request", pending->name);
    return payload_response(STATUS_FAILED, NULL, 0, &error, pending->transaction);
}

void pending_answer_text(struct pending *pending, const char *json, size_t length)
{
    char *text memory_auto = payload_response(STATUS_OK, json, length, NULL, pending->transaction);
    size_t size = strlen(text);
    enum status status = STATUS_OK;
    if (pending->door.answer_max > 0 && size > pending->door.answer_max) {
        free(text);
        text = too_long(pending, size);
        status = STATUS_FAILED;
    }
    deliver(pending, status, text);
    forget(pending);
}

void pending_answer(struct pending *pending, json_t *data)
{
    char *json memory_auto = data == NULL ? NULL : json_dumps(data, JSON_COMPACT | JSON_ENCODE_ANY);
    json_decref(data);
    pending_answer_text(pending, json, json == NULL ? 0 : strlen(json));
}

void pending_refuse(struct pending *pending, enum status status, const struct error *error)
{
    char *text memory_auto = payload_response(status, NULL, 0, error, pending->transaction);
    if (status != STATUS_OK)
        log_repeating(pending->requests->options.log, LOG_LEVEL_WARNING, "request refused",
                      "The request %s was refused: %s", pending->name, error->text);
    deliver(pending, status, text);
    forget(pending);
}

void pending_unknown(struct pending *pending)
{
    pending->unknown = true;
}

/* ---- arguments ---- */

const char *pending_name(const struct pending *pending)
{
    return pending->name;
}

const json_t *pending_arguments(const struct pending *pending)
{
    return pending->arguments;
}

const json_t *pending_argument(const struct pending *pending, const char *key)
{
    return json_object_get(pending->arguments, key);
}

const char *pending_text(const struct pending *pending, const char *key)
{
    return json_string_value(pending_argument(pending, key));
}

double pending_number(const struct pending *pending, const char *key, double otherwise)
{
    const json_t *value = pending_argument(pending, key);
    return json_is_number(value) ? json_number_value(value) : otherwise;
}

int64_t pending_integer(const struct pending *pending, const char *key, int64_t otherwise)
{
    const json_t *value = pending_argument(pending, key);
    return json_is_integer(value) ? (int64_t)json_integer_value(value) : otherwise;
}

bool pending_flag(const struct pending *pending, const char *key, bool otherwise)
{
    const json_t *value = pending_argument(pending, key);
    return json_is_boolean(value) ? json_is_true(value) : otherwise;
}

/* ---- taking a request in ---- */

/* A payload that is no object stands for one argument, as Zigbee2MQTT has it. */
static json_t *body_of_plain(const struct request_row *row, const char *plain, struct error *error)
{
    if (plain[0] == '\0' || (row->plain != NULL && row->plain[0] == '\0'))
        return json_object();
    if (row->plain == NULL) {
        (void)error_set(error, STATUS_USAGE,
                        "The payload must be a JSON object, {\"key\": value}.");
        return NULL;
    }
    json_t *value = json_loads(plain, JSON_DECODE_ANY, NULL);
    if (value == NULL || json_is_object(value) || json_is_array(value)) {
        json_decref(value);
        value = json_string(plain);
    }
    return json_pack("{s:o}", row->plain, value);
}

/* People and Zigbee2MQTT's clients call a device by its name. */
static enum status name_devices(const struct pending *pending, struct error *error)
{
    const struct requests_options *options = &pending->requests->options;
    const struct request_argument *row = pending->row->arguments;
    for (; options->device != NULL && row != NULL && row->key != NULL; row++) {
        const char *word = pending_text(pending, row->key), *id = NULL;
        if (row->type != REQUEST_DEVICE || word == NULL)
            continue;
        if (!options->device(options->device_context, pending->name, word, &id, error))
            return STATUS_USAGE;
        if (id != NULL)
            (void)json_object_set_new(pending->arguments, row->key, json_string(id));
    }
    return STATUS_OK;
}

static enum status take_arguments(struct pending *pending, const char *bytes, size_t length,
                                  struct error *error)
{
    struct payload payload;
    enum status status = payload_parse(bytes, length, &payload, error);
    pending->transaction = json_incref(payload.transaction);
    const struct request_row *row = pending->row;
    if (status == STATUS_OK && row == NULL) {
        pending->unknown = true;
        status = error_set(error, STATUS_USAGE, "There is no request \"%.*s\".",
                           REQUEST_NAME_SIZE - 1, pending->name);
    }
    if (status == STATUS_OK) {
        json_t *body = payload.body != NULL ? json_incref(payload.body)
                                            : body_of_plain(row, payload.plain, error);
        if (body != NULL)
            pending->arguments = arguments_take(row->arguments, row->name, body, row->open,
                                                pending->requests->options.log, error);
        json_decref(body);
        status = pending->arguments != NULL ? name_devices(pending, error) : STATUS_USAGE;
    }
    payload_free(&payload);
    return status;
}

static request_handler handler_of(const struct requests *requests, const struct request_row *row)
{
    request_handler handler;
    memcpy(&handler, (const char *)requests->options.handlers + row->handler, sizeof handler);
    return handler;
}

static enum status carry_out(struct pending *pending, struct error *error)
{
    struct requests *requests = pending->requests;
    request_handler handler = handler_of(requests, pending->row);
    if (pending->row->trusted && !pending->door.trusted)
        return error_set(
            error, STATUS_REFUSED,
            "The request %s is only taken over HTTP, and there only where web.maintenance "
            "allows it: on loopback or behind a login (web.listen, web.password), unless it "
            "says otherwise.",
            pending->name);
    if (handler == NULL)
        return error_set(error, STATUS_FAILED, "This bridge does not offer the request %s.",
                         pending->name);
    if (requests->count > REQUESTS_PENDING_MAX)
        return error_set(error, STATUS_FAILED,
                         "%d requests wait for their answers already; ask again later.",
                         REQUESTS_PENDING_MAX);
    return handler(requests->options.context, pending, error);
}

static struct pending *enter(struct requests *requests, const char *name,
                             const struct request_door *door)
{
    struct pending *pending = memory_new(1, sizeof *pending);
    pending->requests = requests;
    pending->door = *door;
    if (payload_name(name, pending->name, sizeof pending->name))
        pending->row = request_row_find(pending->name);
    else
        (void)snprintf(pending->name, sizeof pending->name, "%.*s", REQUEST_NAME_SIZE - 1, name);
    pending->next = requests->first;
    pending->link = &requests->first;
    if (pending->next != NULL)
        pending->next->link = &pending->next;
    requests->first = pending;
    requests->count++;
    return pending;
}

struct pending *requests_submit(struct requests *requests, const char *name, const char *payload,
                                size_t length, const struct request_door *door)
{
    bool answered = false;
    struct error error = {""};
    struct pending *pending = enter(requests, name, door);
    pending->answered = &answered;
    enum status status = take_arguments(pending, payload, length, &error);
    if (status == STATUS_OK)
        status = carry_out(pending, &error);
    if (status != STATUS_OK)
        pending_refuse(pending, status, &error);
    if (answered)
        return NULL;
    pending->answered = NULL;
    return pending;
}

void requests_abandon(struct pending *pending)
{
    pending->abandoned = true;
}
