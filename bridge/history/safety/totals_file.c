/* SPDX-License-Identifier: MIT */
#include "bridge/history/safety/totals_file.h"

#include "drivers/base/clock.h"
#include "drivers/base/file.h"
#include "drivers/base/memory.h"
#include "drivers/base/text.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define FORMAT 1
/* Room for 32767 channels with names of ordinary length. */
#define FILE_SIZE_MAX ((size_t)16 * 1024 * 1024)

char *totals_file_path(const char *database_path)
{
    size_t size = strlen(database_path) + sizeof ".totals.json";
    char *path = memory_new(size, 1);
    (void)snprintf(path, size, "%s.totals.json", database_path);
    return path;
}

static json_t *channel_to_json(const struct known_channel *channel)
{
    const struct energy_state *state = &channel->state;
    json_t *object =
        json_pack("{s:i, s:s, s:s, s:i, s:b, s:I, s:I, s:I, s:s, s:I, s:I, s:I, s:I}", "number",
                  (int)channel->number, "device", channel->device, "channel", channel->channel,
                  "kind", (int)channel->kind, "known", (int)state->known, "counter",
                  (json_int_t)state->counter, "counter_wall_ms", (json_int_t)state->counter_wall_ms,
                  "counter_boot_ms", (json_int_t)state->counter_boot_ms, "boot_id", state->boot_id,
                  "imported", (json_int_t)state->imported, "exported", (json_int_t)state->exported,
                  "base_imported_uwh", (json_int_t)state->base_imported_uwh, "base_exported_uwh",
                  (json_int_t)state->base_exported_uwh);
    if (object == NULL || channel->counted.id == 0)
        return object;
    const struct known_calibration *counted = &channel->counted;
    json_t *calibration =
        json_pack("{s:I, s:f, s:f, s:f, s:b, s:b}", "valid_from_ms",
                  (json_int_t)counted->valid_from_ms, "voltage", counted->factors.voltage,
                  "current", counted->factors.current, "power", counted->factors.power, "invert",
                  (int)counted->invert, "measured", (int)(counted->origin == CALIBRATION_MEASURED));
    (void)json_object_set_new(object, "calibration", calibration);
    return object;
}

static char *totals_to_text(const struct channels *channels)
{
    char written[64];
    struct text text;
    text_init(&text, written, sizeof written);
    text_append_time(&text, clock_wall_ms(), false);

    json_t *list = json_array();
    for (size_t i = 0; i < channels->count; i++)
        if (channels->list[i].has_state)
            (void)json_array_append_new(list, channel_to_json(&channels->list[i]));
    json_t *document =
        json_pack("{s:i, s:s, s:o}", "format", FORMAT, "written", written, "channels", list);
    char *result = document == NULL ? NULL : json_dumps(document, JSON_INDENT(1));
    json_decref(document);
    return result;
}

enum status totals_file_write(const char *path, const struct channels *channels,
                              struct error *error)
{
    char *text memory_auto = totals_to_text(channels);
    if (text == NULL)
        return error_set(error, STATUS_FAILED,
                         "The totals file %s could not be made: a channel's name is not "
                         "UTF-8 or memory is out.",
                         path);
    return file_replace(path, text, strlen(text), 0640, error);
}

static bool integer_of(const json_t *object, const char *key, int64_t low, int64_t *value)
{
    const json_t *found = json_object_get(object, key);
    if (!json_is_integer(found) || json_integer_value(found) < low)
        return false;
    *value = json_integer_value(found);
    return true;
}

static bool text_of(const json_t *object, const char *key, size_t size, const char **text)
{
    const json_t *found = json_object_get(object, key);
    if (!json_is_string(found) || json_string_length(found) >= size)
        return false;
    *text = json_string_value(found);
    return strlen(*text) == json_string_length(found);
}

static bool calibration_of(const json_t *object, struct known_calibration *calibration)
{
    const json_t *found = json_object_get(object, "calibration");
    if (found == NULL)
        return true;
    *calibration = (struct known_calibration){
        .id = -1, /* there is one; the number it gets is decided later */
        .factors = {.voltage = json_number_value(json_object_get(found, "voltage")),
                    .current = json_number_value(json_object_get(found, "current")),
                    .power = json_number_value(json_object_get(found, "power"))},
        .invert = json_is_true(json_object_get(found, "invert")),
        .origin = json_is_true(json_object_get(found, "measured")) ? CALIBRATION_MEASURED
                                                                   : CALIBRATION_CONFIGURED,
    };
    return integer_of(found, "valid_from_ms", INT64_MIN, &calibration->valid_from_ms) &&
           calibration_check(&calibration->factors, NULL) == STATUS_OK;
}

/* A channel with borrowed texts. */
static bool channel_of(const json_t *object, struct known_channel *channel, const char **device,
                       const char **name)
{
    struct energy_state *state = &channel->state;
    const char *boot_id;
    int64_t number;
    int64_t kind;
    if (!integer_of(object, "number", 1, &number) || number > CHANNEL_NUMBER_MAX ||
        !integer_of(object, "kind", 1, &kind) || kind > READING_METERED ||
        !text_of(object, "device", CHANNEL_TEXT_MAX, device) ||
        !text_of(object, "channel", CHANNEL_TEXT_MAX, name) ||
        !text_of(object, "boot_id", sizeof state->boot_id, &boot_id) ||
        !integer_of(object, "counter", 0, &state->counter) ||
        !integer_of(object, "counter_wall_ms", INT64_MIN, &state->counter_wall_ms) ||
        !integer_of(object, "counter_boot_ms", INT64_MIN, &state->counter_boot_ms) ||
        !integer_of(object, "imported", 0, &state->imported) ||
        !integer_of(object, "exported", 0, &state->exported) ||
        !integer_of(object, "base_imported_uwh", 0, &state->base_imported_uwh) ||
        !integer_of(object, "base_exported_uwh", 0, &state->base_exported_uwh) ||
        !calibration_of(object, &channel->counted))
        return false;
    state->known = json_is_true(json_object_get(object, "known"));
    memcpy(state->boot_id, boot_id, strlen(boot_id) + 1);
    channel->number = (unsigned)number;
    channel->kind = (enum reading_kind)kind;
    channel->has_state = true;
    return true;
}

static bool merge_one(struct channels *channels, const json_t *object, unsigned *taken)
{
    struct known_channel found = {0};
    const char *device;
    const char *name;
    if (!channel_of(object, &found, &device, &name))
        return false;
    struct known_channel *known = channels_find_name(channels, device, name, found.kind);
    if (known == NULL)
        known = channels_add(channels, found.number, device, name, found.kind);
    if (known == NULL)
        return false;
    if (known->has_state && channels_energy_uwh(known) >= channels_energy_uwh(&found))
        return true; /* equal: the database's is as late or later */
    channels_take(channels, known, &found);
    (*taken)++;
    return true;
}

enum status totals_text_merge(const char *text, size_t length, struct channels *channels,
                              unsigned *taken)
{
    *taken = 0;
    json_t *document = json_loadb(text, length, JSON_REJECT_DUPLICATES, NULL);
    int64_t format = 0;
    json_t *list = json_object_get(document, "channels");
    bool good =
        integer_of(document, "format", 1, &format) && format == FORMAT && json_is_array(list);
    for (size_t i = 0; good && i < json_array_size(list); i++)
        good = merge_one(channels, json_array_get(list, i), taken);
    json_decref(document);
    return good ? STATUS_OK : STATUS_FAILED;
}

enum status totals_file_merge(const char *path, struct channels *channels, unsigned *taken,
                              struct error *error)
{
    *taken = 0;
    char *text memory_auto = NULL;
    size_t length;
    enum status status = file_read(path, FILE_SIZE_MAX, &text, &length, error);
    if (status == STATUS_NO_ANSWER)
        return STATUS_OK;
    if (status != STATUS_OK)
        return STATUS_FAILED;
    if (totals_text_merge(text, length, channels, taken) == STATUS_OK)
        return STATUS_OK;
    return error_set(error, STATUS_FAILED,
                     "The totals file %s is not one that this program wrote; %u totals were taken "
                     "from it.",
                     path, *taken);
}
