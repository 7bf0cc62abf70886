/* SPDX-License-Identifier: MIT */
#include "bridge/service/settings.h"

#include "bridge/config/adopted.h"
#include "bridge/config/edit.h"
#include "drivers/base/file.h"
#include "drivers/base/memory.h"

#include <limits.h>
#include <string.h>
#include <unistd.h>

#define FILE_BYTES_MAX ((size_t)1 << 20)
#define BATCH_MAX 256

/* One change on its way. */
struct change {
    struct change *next;
    struct settings_change asked;
    char *device;
    char adopted_file[PATH_MAX]; /* "" none */
    enum status status;
    struct error error;
};

struct settings {
    uv_loop_t *loop;
    struct settings_options options;
    struct change *first, **end; /* what waits, in order */
    size_t waiting;
    uv_work_t work;
    bool busy, closing;
    size_t one_by_one; /* so many of the next changes do not share a file */
    /* The worker's, while busy. */
    struct change *batch;
    struct config *after; /* NULL: nothing to apply */
};

struct settings *settings_create(uv_loop_t *loop, const struct settings_options *options)
{
    struct settings *settings = memory_new(1, sizeof *settings);
    settings->loop = loop;
    settings->options = *options;
    settings->end = &settings->first;
    settings->work.data = settings;
    return settings;
}

static void free_change(struct change *change)
{
    json_decref(change->asked.value);
    free(change->device);
    free(change);
}

static void free_list(struct change *change)
{
    for (struct change *next; change != NULL; change = next) {
        next = change->next;
        free_change(change);
    }
}

/* ---- on the worker thread ---- */

/* A key as the request has it: "devices.plug.topic is ..." becomes "topic is ...". */
static const char *without_device(const char *message, const char *id)
{
    static const char list[] = "devices.";
    size_t length = strlen(id);
    const char *rest = message + sizeof list - 1;
    if (strncmp(message, list, sizeof list - 1) != 0 || strncmp(rest, id, length) != 0 ||
        rest[length] != '.')
        return message;
    return rest + length + 1;
}

static struct config *judge(const struct settings *settings, const char *text, enum status *status,
                            struct error *error)
{
    struct config_problems *problems memory_auto = memory_new(1, sizeof *problems);
    struct config *config = config_load_text(settings->options.path, text, environ, problems);
    *status = STATUS_OK;
    if (config != NULL)
        return config;
    const struct config_problem *first = config_problems_first_error(problems);
    *status = first == NULL
                  ? error_set(error, STATUS_USAGE, "The configuration cannot be read.")
                  : error_set(error, STATUS_USAGE,
                              "%s:%d:%d: %s The running configuration stays in force; `bl2mqtt "
                              "check` lists all problems.",
                              first->file, first->line, first->column, first->message);
    return NULL;
}

/* A configuration of this device alone, so that what is wrong with it is said in the request's words. */
static enum status judge_device(const struct settings *settings, const struct change *change,
                                struct error *error)
{
    struct config_problems *problems memory_auto = memory_new(1, sizeof *problems);
    const struct config *rules = settings->options.rules;
    json_t *root = json_pack("{s:{s:s}, s:{s:s}, s:[O]}", "mqtt", "base_topic",
                             rules->mqtt.base_topic, "homeassistant", "discovery_prefix",
                             rules->homeassistant.discovery_prefix, "devices", change->asked.value);
    char *text memory_auto = json_dumps(root, 0);
    json_decref(root);
    struct config *alone =
        text == NULL ? NULL : config_parse("request", text, strlen(text), NULL, problems);
    const struct config_problem *first = config_problems_first_error(problems);
    /* What it says about other devices can only be judged with them. */
    const char *driver = json_string_value(json_object_get(change->asked.value, "driver"));
    bool needs_others = driver != NULL && strcmp(driver, "virtual") == 0;
    bool good = alone != NULL || needs_others;
    config_free(alone);
    return good ? STATUS_OK
                : error_set(error, STATUS_USAGE, "%s",
                            first != NULL ? without_device(first->message, change->device)
                                          : "It is not UTF-8.");
}

/* A device of a file of its own moves into bridge.yaml before it is changed there. */
static enum status move_adopted(struct change *change, char **text, struct error *error)
{
    char *edited = NULL;
    json_t *device = adopted_device_json(change->adopted_file, error);
    enum status status =
        device == NULL ? STATUS_USAGE : config_edit_add_device(*text, device, &edited, error);
    json_decref(device);
    if (status != STATUS_OK)
        return status;
    free(*text);
    *text = edited;
    return STATUS_OK;
}

static enum status edit(const struct settings *settings, struct change *change, char **text)
{
    char *edited = NULL;
    struct error *error = &change->error;
    const struct settings_change *asked = &change->asked;
    bool adopted = change->adopted_file[0] != '\0';
    enum status status = STATUS_OK;
    switch (asked->kind) {
    case SETTINGS_RELOAD:
        return STATUS_OK;
    case SETTINGS_OPTIONS:
    case SETTINGS_RENAME:
        if (adopted)
            status = move_adopted(change, text, error);
        if (status == STATUS_OK)
            status = config_edit_options(*text, change->device, asked->value, &edited, error);
        break;
    case SETTINGS_ADD:
        status = judge_device(settings, change, error);
        if (status == STATUS_OK)
            status = config_edit_add_device(*text, asked->value, &edited, error);
        break;
    case SETTINGS_REMOVE:
        if (adopted)
            return STATUS_OK; /* its file goes */
        status = config_edit_remove_device(*text, change->device, &edited, error);
        break;
    }
    if (status != STATUS_OK)
        return status;
    free(*text);
    *text = edited;
    return STATUS_OK;
}

static enum status hide(const struct change *change, char hidden[PATH_MAX], struct error *error)
{
    hidden[0] = '\0';
    if (change->adopted_file[0] == '\0')
        return STATUS_OK;
    if (snprintf(hidden, PATH_MAX, "%s.moved", change->adopted_file) >= PATH_MAX ||
        rename(change->adopted_file, hidden) != 0)
        return error_set(error, STATUS_FAILED, "%s could not be moved.", change->adopted_file);
    return STATUS_OK;
}

/* Judges and writes what came of the edits. The file of an adopted device is out of the way meanwhile. */
static enum status settle(struct settings *settings, const struct change *change, const char *text,
                          bool write, struct error *error)
{
    char hidden[PATH_MAX];
    enum status status = hide(change, hidden, error);
    if (status != STATUS_OK)
        return status;
    settings->after = judge(settings, text, &status, error);
    if (status == STATUS_OK && write)
        status = config_save(settings->options.path, text, error);
    if (status != STATUS_OK) {
        config_free(settings->after);
        settings->after = NULL;
        if (hidden[0] != '\0')
            (void)rename(hidden, change->adopted_file);
    } else if (hidden[0] != '\0') {
        (void)unlink(hidden);
    }
    return status;
}

static const char *new_id(const struct change *change)
{
    return json_string_value(json_object_get(change->asked.value, "id"));
}

static void carry_out_one(struct settings *settings, struct change *change, const char *before)
{
    char *text memory_auto = memory_copy_text(before);
    change->status = edit(settings, change, &text);
    if (change->status != STATUS_OK)
        return;
    bool write = change->asked.kind != SETTINGS_RELOAD && strcmp(text, before) != 0;
    if (change->asked.kind == SETTINGS_ADD)
        settings->options.joining(settings->options.context, change->device);
    if (change->asked.kind == SETTINGS_RENAME)
        settings->options.joining(settings->options.context, new_id(change));
    change->status = settle(settings, change, text, write, &change->error);
}

/* Devices that are added at once share one judgement and one file; false if they do not go together. */
static bool carry_out_together(struct settings *settings, const char *before)
{
    char *text memory_auto = memory_copy_text(before);
    bool some = false;
    for (struct change *change = settings->batch; change != NULL; change = change->next) {
        change->status = edit(settings, change, &text);
        some = some || change->status == STATUS_OK;
        if (change->status == STATUS_OK)
            settings->options.joining(settings->options.context, change->device);
    }
    struct error error = {""};
    return !some || settle(settings, settings->batch, text, true, &error) == STATUS_OK;
}

static void at_disk(uv_work_t *work)
{
    struct settings *settings = work->data;
    struct change *batch = settings->batch;
    char *before memory_auto = NULL;
    size_t length = 0;
    enum status status =
        file_read(settings->options.path, FILE_BYTES_MAX, &before, &length, &batch->error);
    settings->after = NULL;
    if (status != STATUS_OK) {
        for (struct change *change = batch; change != NULL; change = change->next) {
            change->status = status;
            change->error = batch->error;
        }
        return;
    }
    if (batch->next == NULL)
        carry_out_one(settings, batch, before);
    else if (!carry_out_together(settings, before))
        settings->after = NULL; /* after_disk takes them apart */
}

/* ---- on the loop ---- */

static void begin(struct settings *settings);

static void answer(struct change *change, const struct settings_result *result)
{
    change->asked.done(change->asked.context, change->status, result, &change->error);
    free_change(change);
}

/* Those that did not go together are tried one by one. */
static void take_apart(struct settings *settings)
{
    struct change *last = settings->batch;
    for (struct change *change = last; change != NULL; change = change->next) {
        change->status = STATUS_OK;
        change->error = (struct error){""};
        last = change;
        settings->waiting++;
    }
    last->next = settings->first;
    if (settings->first == NULL)
        settings->end = &last->next;
    settings->first = settings->batch;
    settings->batch = NULL;
}

static bool any_good(const struct change *change)
{
    for (; change != NULL; change = change->next)
        if (change->status == STATUS_OK)
            return true;
    return false;
}

static void apply(struct settings *settings)
{
    struct settings_result result = {.changed = NULL};
    struct error error = {""};
    enum status status = STATUS_OK;
    const struct change *first = settings->batch;
    struct settings_rename rename = {.from = NULL};
    if (first->asked.kind == SETTINGS_RENAME)
        rename = (struct settings_rename){first->device, new_id(first)};
    if (settings->after != NULL)
        status = settings->options.apply(settings->options.context, settings->after,
                                         rename.from != NULL ? &rename : NULL, &result, &error);
    settings->after = NULL;
    for (struct change *change = settings->batch, *next; change != NULL; change = next) {
        next = change->next;
        if (change->status == STATUS_OK && status != STATUS_OK) {
            change->status = status;
            change->error = error;
        }
        answer(change, &result);
    }
    json_decref(result.changed);
    settings->batch = NULL;
}

static void after_disk(uv_work_t *work, int cancelled)
{
    (void)cancelled; /* never asked for */
    struct settings *settings = work->data;
    settings->busy = false;
    if (settings->closing) {
        config_free(settings->after);
        free_list(settings->batch);
        free(settings);
        return;
    }
    bool apart =
        settings->after == NULL && settings->batch->next != NULL && any_good(settings->batch);
    settings->one_by_one = apart ? BATCH_MAX : settings->one_by_one;
    if (apart)
        take_apart(settings);
    else
        apply(settings);
    begin(settings);
}

/* One change, or all that add a device and wait in a row. */
static void take_batch(struct settings *settings)
{
    struct change **end = &settings->first;
    size_t count = 0;
    do {
        end = &(*end)->next;
        count++;
    } while (settings->one_by_one == 0 && *end != NULL && count < BATCH_MAX &&
             settings->first->asked.kind == SETTINGS_ADD && (*end)->asked.kind == SETTINGS_ADD);
    if (settings->one_by_one > 0)
        settings->one_by_one--;
    settings->batch = settings->first;
    settings->first = *end;
    *end = NULL;
    if (settings->first == NULL)
        settings->end = &settings->first;
    settings->waiting -= count;
}

static void begin(struct settings *settings)
{
    if (settings->busy || settings->first == NULL)
        return;
    take_batch(settings);
    settings->busy = true;
    (void)uv_queue_work(settings->loop, &settings->work, at_disk, after_disk);
}

enum status settings_submit(struct settings *settings, const struct settings_change *asked,
                            struct error *error)
{
    if (settings->waiting >= SETTINGS_WAITING_MAX) {
        json_decref(asked->value);
        return error_set(error, STATUS_FAILED,
                         "%d changes wait to be written already; ask again later.",
                         SETTINGS_WAITING_MAX);
    }
    struct change *change = memory_new(1, sizeof *change);
    change->asked = *asked;
    if (asked->device != NULL) {
        change->device = memory_copy_text(asked->device);
        change->asked.device = change->device;
        settings->options.adopted_file(settings->options.context, asked->device,
                                       change->adopted_file, sizeof change->adopted_file);
    }
    *settings->end = change;
    settings->end = &change->next;
    settings->waiting++;
    begin(settings);
    return STATUS_OK;
}

static bool list_adds(const struct change *change, const char *device)
{
    for (; change != NULL; change = change->next)
        if (change->asked.kind == SETTINGS_ADD && strcmp(change->device, device) == 0)
            return true;
    return false;
}

bool settings_adds(const struct settings *settings, const char *device)
{
    return list_adds(settings->first, device) || list_adds(settings->batch, device);
}

static bool list_adds_topic(const struct change *change, const char *topic)
{
    for (; change != NULL; change = change->next) {
        const char *other = change->asked.kind == SETTINGS_ADD
                                ? json_string_value(json_object_get(change->asked.value, "topic"))
                                : NULL;
        if (other != NULL && strcmp(other, topic) == 0)
            return true;
    }
    return false;
}

bool settings_adds_topic(const struct settings *settings, const char *topic)
{
    return list_adds_topic(settings->first, topic) || list_adds_topic(settings->batch, topic);
}

void settings_close(struct settings *settings)
{
    if (settings == NULL)
        return;
    free_list(settings->first);
    settings->first = NULL;
    settings->closing = true;
    if (!settings->busy)
        free(settings);
}
