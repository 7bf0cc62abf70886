/* SPDX-License-Identifier: MIT */
/*
 * The preferences, stateful: up to the first 0xFF byte the input is the file as it was found, with any content;
 * behind it are things that are done with it, two bytes each. What alarms, totals and first ids make of the
 * file can be believed, and what was stored last is what the next start finds.
 */
#include "bridge/service/device_alarms.h"
#include "bridge/service/device_totals.h"
#include "bridge/service/first_id.h"
#include "fuzz_folder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY "kept" /* of none of those that are tried besides */
#define TOTAL_UWH INT64_C(150034000000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const ids[] = {"house", "garage", "x", "house__2"};
static char path[FUZZ_PATH_SIZE];

static void require(bool condition)
{
    if (!condition)
        abort();
}

static bool stored_total(void *context, const char *channel, int64_t *imported_uwh,
                         int64_t *exported_uwh)
{
    (void)context;
    require(channel != NULL);
    *imported_uwh = TOTAL_UWH;
    *exported_uwh = 0;
    return channel[0] != 'z';
}

/* The second begin must find what the first one stored, and change nothing. */
static void try_totals(struct preferences *preferences, struct config_device *config)
{
    struct device_totals first, second;
    device_totals_begin(&first, config, preferences, stored_total, NULL, NULL);
    device_totals_begin(&second, config, preferences, stored_total, NULL, NULL);
    require(first.imported_uwh == second.imported_uwh);
    require(first.exported_uwh == second.exported_uwh);
    require(first.keeps_suffixes == second.keeps_suffixes);
    require(config->channel_count == 1 || first.keeps_suffixes);
}

static void try_alarms(struct preferences *preferences, struct config_device *config)
{
    struct device_alarms *alarms = device_alarms_create(config, preferences, NULL);
    size_t count;
    (void)device_alarms_names(alarms, &count);
    require(count == config->alarm_count);
    device_alarms_free(alarms);
}

static void try_first_id(struct preferences *preferences, const char *id)
{
    static struct hub *hub;
    char first[FIRST_ID_SIZE], again[FIRST_ID_SIZE];
    if (hub == NULL)
        hub = hub_create(NULL, NULL);
    first_id_find(preferences, hub, id, first);
    require(first[0] != '\0' && strpbrk(first, "/+# \n\"\\") == NULL &&
            strcmp(first, "bridge") != 0);
    first_id_find(preferences, hub, id, again);
    require(strcmp(first, again) == 0);
}

static void try_device(struct preferences *preferences, unsigned which)
{
    static char name_a[] = "a", name_b[] = "b";
    static char alarm[] = "overload", when[] = "power > 7000", until[] = "";
    struct config_channel channels[2] = {{.name = name_a}, {.name = name_b}};
    struct config_alarm rule = {.name = alarm, .when = when, .until = until};
    char id[16];
    (void)snprintf(id, sizeof id, "%s", ids[which % 4]);
    struct config_device config = {
        .id = id,
        .name = id,
        .channels = channels,
        .channel_count = 1 + which / 4 % 2,
        .alarms = &rule,
        .alarm_count = 1,
    };
    int64_t interval_ms = preferences_report_interval_ms(preferences, id, 5000);
    require(interval_ms > 0 && interval_ms <= 3600000);
    try_totals(preferences, &config);
    try_alarms(preferences, &config);
    try_first_id(preferences, id);
}

static void do_one(struct preferences *preferences, unsigned what, unsigned value)
{
    struct error error = {""};
    const char *id = ids[value % 4];
    const char *other = ids[(value + 1) % 4];
    switch (what % 6) {
    case 0:
        require(preferences_put(preferences, id, KEY, json_integer(value), &error) == STATUS_OK);
        require(json_integer_value(preferences_get(preferences, id, KEY)) == (json_int_t)value);
        break;
    case 1:
        require(preferences_set_report_interval_ms(preferences, id, 1000 + (int64_t)value,
                                                   &error) == STATUS_OK);
        require(preferences_report_interval_ms(preferences, id, 1) == 1000 + (int64_t)value);
        break;
    case 2:
        preferences_forget(preferences, id, KEY);
        require(preferences_get(preferences, id, KEY) == NULL);
        break;
    case 3:
        first_id_rename(preferences, id, other);
        require(preferences_get(preferences, id, KEY) == NULL);
        break;
    case 4:
        preferences_forget_report_interval(preferences, id);
        require(preferences_report_interval_ms(preferences, id, 7) == 7);
        break;
    default:
        try_device(preferences, value);
    }
}

/* The memory is what the file says after it was closed. */
static void check_stored(struct preferences *preferences)
{
    struct error error = {""};
    json_t *kept[4];
    require(preferences_put(preferences, "last", KEY, json_true(), &error) == STATUS_OK);
    for (size_t i = 0; i < 4; i++)
        kept[i] = json_deep_copy(preferences_get(preferences, ids[i], KEY));
    preferences_close(preferences);
    preferences = preferences_open(path, NULL);
    require(json_is_true(preferences_get(preferences, "last", KEY)));
    for (size_t i = 0; i < 4; i++) {
        const json_t *found = preferences_get(preferences, ids[i], KEY);
        require(kept[i] == NULL ? found == NULL : json_equal(kept[i], found) == 1);
        json_decref(kept[i]);
    }
    preferences_close(preferences);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (path[0] == '\0')
        fuzz_file("preferences.json", path);
    const uint8_t *end = memchr(data, 0xFF, size);
    size_t length = end == NULL ? size : (size_t)(end - data);
    fuzz_write(path, data, length);
    struct preferences *preferences = preferences_open(path, NULL);
    for (unsigned which = 0; which < 8; which++)
        try_device(preferences, which);
    for (size_t i = length + 1; i + 1 < size && i < length + 65; i += 2)
        do_one(preferences, data[i], data[i + 1]);
    check_stored(preferences);
    return 0;
}
