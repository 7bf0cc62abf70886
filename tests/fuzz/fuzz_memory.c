/* SPDX-License-Identifier: MIT */
/*
 * The small files that the bridge writes for itself, with any content: the memory of what was announced, and
 * the preferences. Whatever they hold, only harmless records and sensible intervals come out. The same bytes
 * are taken for an announcement that the broker kept.
 */
#include "bridge/mqtt/announced.h"
#include "bridge/service/preferences.h"
#include "drivers/base/file.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void check_word(const char *word)
{
    require(word != NULL && *word != '\0' && strpbrk(word, "/+#\n") == NULL);
}

static void check_records(const json_t *records)
{
    size_t index;
    const json_t *record;
    json_array_foreach(records, index, record)
    {
        const char *key;
        json_t *platform;
        check_word(json_string_value(json_object_get(record, "bridge")));
        check_word(json_string_value(json_object_get(record, "device")));
        json_object_foreach(json_object_get(record, "components"), key, platform)
        {
            check_word(key);
            check_word(json_string_value(platform));
        }
    }
}

static void try_announced(const char *path)
{
    struct error error = {""};
    json_t *records = NULL;
    enum status status = announced_load(path, &records, &error);
    require(records != NULL && (status == STATUS_OK || error.text[0] != '\0'));
    check_records(records);
    json_decref(records);
}

static void try_preferences(const char *path)
{
    struct preferences *preferences = preferences_open(path, NULL);
    int64_t interval_ms = preferences_report_interval_ms(preferences, "house", 5000);
    require(interval_ms >= 0 && interval_ms <= 3600000);
    preferences_close(preferences);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char folder[] = "/tmp/bl2mqtt-fuzz-XXXXXX";
    static char path[64];
    if (path[0] == '\0') {
        require(mkdtemp(folder) != NULL);
        (void)snprintf(path, sizeof path, "%s/file", folder);
    }
    json_t *message = announced_in_message((const char *)data, size);
    json_decref(message);
    require(file_replace(path, (const char *)data, size, 0600, NULL) == STATUS_OK);
    try_preferences(path);
    try_announced(path); /* the last: it moves a damaged file away */
    return 0;
}
