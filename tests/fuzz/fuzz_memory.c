/* SPDX-License-Identifier: MIT */
/*
 * The memory of what was announced, with any content: only harmless records come out. The same bytes are taken
 * for an announcement that the broker kept.
 */
#include "bridge/mqtt/announced.h"
#include "fuzz_folder.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char path[FUZZ_PATH_SIZE];
    if (path[0] == '\0')
        fuzz_file("announced.json", path);
    json_t *message = announced_in_message((const char *)data, size);
    json_decref(message);
    fuzz_write(path, data, size);
    try_announced(path);
    return 0;
}
