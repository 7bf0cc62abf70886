/* SPDX-License-Identifier: MIT */
#include "bridge/provision/profile.h"

#include "bridge/provision/profile_table.h"
#include "drivers/base/file.h"
#include "drivers/base/memory.h"

#include <ctype.h>
#include <jansson.h>
#include <string.h>

#define FILE_MAX ((size_t)64 * 1024)

const char *profile_name(size_t i)
{
    return profile_files[i].name;
}

static enum status load_file(const char *path, struct profile **profile, struct error *error)
{
    char *bytes memory_auto = NULL;
    size_t length = 0;
    if (file_read(path, FILE_MAX, &bytes, &length, error) != STATUS_OK)
        return STATUS_USAGE;
    return profile_parse(path, bytes, length, profile, error);
}

static bool is_file(const char *name)
{
    size_t length = strlen(name);
    return strchr(name, '/') != NULL || (length > 5 && strcmp(name + length - 5, ".yaml") == 0);
}

enum status profile_load(const char *name, struct profile **profile, struct error *error)
{
    if (is_file(name))
        return load_file(name, profile, error);
    char known[512];
    struct text text;
    text_init(&text, known, sizeof known);
    for (const struct profile_file *file = profile_files; file->name != NULL; file++) {
        if (strcmp(file->name, name) == 0)
            return profile_parse(name, (const char *)file->bytes, *file->length, profile, error);
        text_append(&text, "%s%s", text.length > 0 ? ", " : "", file->name);
    }
    return error_set(error, STATUS_USAGE,
                     "There is no profile \"%.40s\". There are: %s. A profile of your own is named "
                     "by its file, which ends with .yaml.",
                     name, known);
}

void profile_device_id(const char *client_id, char id[PROFILE_DEVICE_ID_MAX + 1])
{
    size_t length = 0;
    for (const char *c = client_id; *c != '\0' && length < PROFILE_DEVICE_ID_MAX; c++) {
        unsigned char byte = (unsigned char)*c;
        id[length++] = (char)(byte < 0x80 && (isalnum(byte) || byte == '-') ? tolower(byte) : '_');
    }
    id[length] = '\0';
}

/* JSON's text is also YAML's. */
static void append_quoted_yaml(struct text *text, const char *value)
{
    json_t *json = json_string(value);
    char *quoted memory_auto = json != NULL ? json_dumps(json, JSON_ENCODE_ANY) : NULL;
    text_append(text, "%s", quoted != NULL ? quoted : "\"\"");
    json_decref(json);
}

static bool append_calibration(const struct profile *profile, const char *at, struct text *text,
                               size_t *length)
{
    static const char variable[] = "@CALIBRATION_A@";
    const size_t letter = sizeof "@CALIBRATION_" - 1;
    if (strncmp(at, variable, letter) != 0 || (at[letter] != 'A' && at[letter] != 'B') ||
        at[letter + 1] != '@')
        return false;
    const struct profile_calibration *factors = &profile->channels[at[letter] - 'A'].calibration;
    *length = sizeof variable - 1;
    text_append(text, "{voltage: %.8g, current: %.8g, power: %.8g}", factors->voltage,
                factors->current, factors->power);
    return true;
}

static bool append_variable(const char *at, const char *variable, const char *value,
                            struct text *text, size_t *length)
{
    *length = strlen(variable);
    if (strncmp(at, variable, *length) != 0)
        return false;
    append_quoted_yaml(text, value);
    return true;
}

void profile_append_bridge(const struct profile *profile, const char *client_id, const char *name,
                           struct text *text)
{
    char id[PROFILE_DEVICE_ID_MAX + 1];
    profile_device_id(client_id, id);
    text_append(text, "devices:\n");
    bool line_begins = true;
    for (const char *at = profile->bridge; *at != '\0';) {
        size_t length = 1;
        if (line_begins)
            text_append(text, "  ");
        line_begins = *at == '\n';
        if (!append_variable(at, "@ID@", id, text, &length) &&
            !append_variable(at, "@NAME@", name[0] != '\0' ? name : id, text, &length) &&
            !append_variable(at, "@TOPIC@", client_id, text, &length) &&
            !append_calibration(profile, at, text, &length)) {
            length = 1;
            text_append(text, "%c", *at);
        }
        at += length;
    }
}

void profile_append_startup(const struct profile *profile, struct text *text)
{
    const char *separator = "backlog ";
    for (const char *line = profile->autoexec; *line != '\0';) {
        size_t length = strcspn(line, "\r\n");
        if (length > 0) {
            text_append(text, "%s%.*s", separator, (int)length, line);
            separator = "; ";
        }
        line += length;
        line += strspn(line, "\r\n");
    }
}

bool profile_fits_chip(const struct profile *profile, enum beken_chip chip)
{
    for (size_t i = 0; i < profile->image.chip_count; i++)
        if (profile->image.chips[i] == chip || beken_chip_runs(chip, profile->image.chips[i]))
            return true;
    return false;
}

void profile_append_chips(const struct profile *profile, struct text *text)
{
    for (size_t i = 0; i < profile->image.chip_count; i++)
        text_append(text, "%s%s", i > 0 ? ", " : "", beken_chip_name(profile->image.chips[i]));
}
