/* SPDX-License-Identifier: MIT */
/* The request mqtt/test: `bl2mqtt check --online` with a configuration that is only tried. */
#include "bridge/service/handlers_shared.h"

#include "bridge/config/edit.h"
#include "bridge/config/json.h"
#include "bridge/service/child.h"
#include "drivers/base/file.h"
#include "drivers/base/memory.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct broker_test {
    struct handlers *handlers;
    struct pending *pending;
    struct child *child;
    char path[PATH_MAX]; /* of what is tried; it holds a password, and goes when the test ends */
};

static void end(struct broker_test *test)
{
    (void)unlink(test->path);
    test->handlers->broker_test = NULL;
    free(test);
}

/* The first problem that the command found. */
static const char *reason_of(const json_t *document, const struct error *error)
{
    size_t index;
    const json_t *problem;
    json_array_foreach(json_object_get(document, "problems"), index, problem)
    {
        const char *severity = json_string_value(json_object_get(problem, "severity"));
        if (severity != NULL && strcmp(severity, "error") == 0)
            return json_string_value(json_object_get(problem, "message"));
    }
    return error->text;
}

static void on_done(void *context, enum status status, const char *json, const struct error *error)
{
    struct broker_test *test = context;
    json_t *document = json_loads(json, 0, NULL);
    if (status == STATUS_OK)
        pending_answer(test->pending, json_pack("{s:b}", "connected", 1));
    else
        pending_answer(test->pending, json_pack("{s:b, s:s}", "connected", 0, "reason",
                                                reason_of(document, error)));
    json_decref(document);
    end(test);
}

/* What is in force, with the keys that are to be tried in their places. What was shown as a secret and comes
 * back unchanged is the secret. */
static json_t *tried(const struct config *config, const json_t *changes)
{
    json_t *all = config_to_json(config, false);
    json_t *mqtt = json_deep_copy(json_object_get(all, "mqtt"));
    const char *id = config->bridge.id, *key;
    json_t *value;
    json_object_foreach((json_t *)changes, key, value)
    {
        const char *text = json_string_value(value);
        if (text != NULL && strcmp(text, CONFIG_EDIT_REDACTED) == 0)
            continue;
        (void)json_object_set(mqtt, key, value);
    }
    void *next;
    json_object_foreach_safe(mqtt, next, key, value)
    {
        if (json_is_null(value))
            (void)json_object_del(mqtt, key);
    }
    json_decref(all);
    return json_pack("{s:{s:s, s:s}, s:o, s:[]}", "bridge", "id", id, "data_dir",
                     config->bridge.data_dir, "mqtt", mqtt, "devices");
}

static enum status write_tried(const struct broker_test *test, const json_t *document,
                               struct error *error)
{
    char *text = json_dumps(document, JSON_COMPACT);
    int fd = file_create(test->path, 0600);
    ssize_t length = (ssize_t)strlen(text), written = fd < 0 ? -1 : write(fd, text, (size_t)length);
    int reason = errno;
    if (fd >= 0)
        (void)close(fd);
    explicit_bzero(text, (size_t)length);
    free(text);
    if (written == length)
        return STATUS_OK;
    return error_set(error, STATUS_FAILED, "%s cannot be written: %s.", test->path,
                     strerror(reason));
}

enum status handle_mqtt_test(void *context, struct pending *pending, struct error *error)
{
    struct handlers *handlers = context;
    const struct config *config = *handlers->options.config;
    if (handlers->broker_test != NULL)
        return error_set(error, STATUS_REFUSED,
                         "A broker is being tested already; ask again in some seconds.");
    struct broker_test *test = memory_new(1, sizeof *test);
    test->handlers = handlers;
    test->pending = pending;
    (void)snprintf(test->path, sizeof test->path, "%s/mqtt-test.yaml", config->bridge.data_dir);
    json_t *document = tried(config, pending_argument(pending, "mqtt"));
    enum status status = write_tried(test, document, error);
    json_decref(document);
    const char *const arguments[] = {"--config", test->path, "check", "--online", "--json", NULL};
    if (status == STATUS_OK)
        status = child_start(handlers->options.loop, arguments, on_done, test, &test->child, error);
    handlers->broker_test = test;
    if (status != STATUS_OK)
        end(test);
    return status;
}

void handlers_end_broker_tests(struct handlers *handlers)
{
    if (handlers->broker_test == NULL)
        return;
    child_stop(handlers->broker_test->child);
    end(handlers->broker_test);
}
