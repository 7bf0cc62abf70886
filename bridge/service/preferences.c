/* SPDX-License-Identifier: MIT */
#include "bridge/service/preferences.h"
#include "drivers/base/file.h"
#include "drivers/base/memory.h"

#include <jansson.h>
#include <string.h>

#define PREFERENCES_SIZE_MAX ((size_t)1 << 20)
#define REPORT_INTERVAL_KEY "report_interval_ms"

struct preferences {
    char *path;
    json_t *root; /* {"<device>": {"report_interval_ms": N}} */
};

static json_t *load(const char *path, struct log *log)
{
    char *bytes memory_auto = NULL;
    size_t length = 0;
    struct error error = {""};
    enum status status = file_read(path, PREFERENCES_SIZE_MAX, &bytes, &length, &error);
    if (status == STATUS_NO_ANSWER)
        return json_object();
    json_t *root =
        status == STATUS_OK ? json_loadb(bytes, length, JSON_REJECT_DUPLICATES, NULL) : NULL;
    if (json_is_object(root))
        return root;
    json_decref(root);
    log_warning(log,
                "The preferences in %s could not be read and are ignored; the configuration's "
                "values hold until they are set again. %s",
                path, error.text);
    return json_object();
}

struct preferences *preferences_open(const char *path, struct log *log)
{
    struct preferences *preferences = memory_new(1, sizeof *preferences);
    preferences->path = memory_copy_text(path);
    preferences->root = load(path, log);
    return preferences;
}

void preferences_close(struct preferences *preferences)
{
    if (preferences == NULL)
        return;
    json_decref(preferences->root);
    free(preferences->path);
    free(preferences);
}

int64_t preferences_report_interval_ms(const struct preferences *preferences, const char *device,
                                       int64_t otherwise)
{
    json_t *value =
        json_object_get(json_object_get(preferences->root, device), REPORT_INTERVAL_KEY);
    json_int_t interval = json_integer_value(value);
    return json_is_integer(value) && interval > 0 ? (int64_t)interval : otherwise;
}

enum status preferences_set_report_interval_ms(struct preferences *preferences, const char *device,
                                               int64_t interval_ms, struct error *error)
{
    json_t *entry = json_object_get(preferences->root, device);
    if (!json_is_object(entry)) {
        entry = json_object();
        (void)json_object_set_new(preferences->root, device, entry);
    }
    (void)json_object_set_new(entry, REPORT_INTERVAL_KEY, json_integer((json_int_t)interval_ms));
    char *text memory_auto = json_dumps(preferences->root, JSON_INDENT(2) | JSON_SORT_KEYS);
    if (text == NULL)
        return error_set(error, STATUS_FAILED, "The preferences could not be turned into text.");
    return file_replace(preferences->path, text, strlen(text), 0640, error);
}
