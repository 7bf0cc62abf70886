/* SPDX-License-Identifier: MIT */
#include "bridge/service/settings.h"
#include "drivers/base/file.h"
#include "drivers/base/memory.h"

#include <jansson.h>
#include <string.h>

#define SETTINGS_SIZE_MAX ((size_t)1 << 20)
#define REPORT_INTERVAL_KEY "report_interval_ms"

struct settings {
    char *path;
    json_t *root; /* {"<device>": {"report_interval_ms": N}} */
};

static json_t *load(const char *path, struct log *log)
{
    char *bytes memory_auto = NULL;
    size_t length = 0;
    struct error error = {""};
    enum status status = file_read(path, SETTINGS_SIZE_MAX, &bytes, &length, &error);
    if (status == STATUS_NO_ANSWER)
        return json_object();
    json_t *root =
        status == STATUS_OK ? json_loadb(bytes, length, JSON_REJECT_DUPLICATES, NULL) : NULL;
    if (json_is_object(root))
        return root;
    json_decref(root);
    log_warning(log,
                "The settings in %s could not be read and are ignored; the configuration's "
                "values hold until they are set again. %s",
                path, error.text);
    return json_object();
}

struct settings *settings_open(const char *path, struct log *log)
{
    struct settings *settings = memory_new(1, sizeof *settings);
    settings->path = memory_copy_text(path);
    settings->root = load(path, log);
    return settings;
}

void settings_close(struct settings *settings)
{
    if (settings == NULL)
        return;
    json_decref(settings->root);
    free(settings->path);
    free(settings);
}

int64_t settings_report_interval_ms(const struct settings *settings, const char *device,
                                    int64_t otherwise)
{
    json_t *value = json_object_get(json_object_get(settings->root, device), REPORT_INTERVAL_KEY);
    json_int_t interval = json_integer_value(value);
    return json_is_integer(value) && interval > 0 ? (int64_t)interval : otherwise;
}

enum status settings_set_report_interval_ms(struct settings *settings, const char *device,
                                            int64_t interval_ms, struct error *error)
{
    json_t *entry = json_object_get(settings->root, device);
    if (!json_is_object(entry)) {
        entry = json_object();
        (void)json_object_set_new(settings->root, device, entry);
    }
    (void)json_object_set_new(entry, REPORT_INTERVAL_KEY, json_integer((json_int_t)interval_ms));
    char *text memory_auto = json_dumps(settings->root, JSON_INDENT(2) | JSON_SORT_KEYS);
    if (text == NULL)
        return error_set(error, STATUS_FAILED, "The settings could not be turned into text.");
    return file_replace(settings->path, text, strlen(text), 0640, error);
}
