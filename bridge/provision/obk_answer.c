/* SPDX-License-Identifier: MIT */
#include "bridge/provision/obk_answer.h"

#include "drivers/base/memory.h"
#include "drivers/base/number.h"
#include "drivers/base/plain.h"
#include "drivers/base/text.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static bool word_at(const char *text, size_t left, const char *word)
{
    size_t length = strlen(word);
    return left >= length && memcmp(text, word, length) == 0;
}

/* Bytes of a number that JSON does not have at text, or 0. */
static size_t not_a_number(const char *text, size_t left)
{
    static const char *const words[] = {"-inf", "-nan", "inf", "nan"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (word_at(text, left, words[i]))
            return strlen(words[i]);
    return 0;
}

static const char json_null_word[4] = {'n', 'u', 'l', 'l'};

/* Into repaired, which has room for a third more: "null" for each "inf" is the worst that can come. */
static size_t repair(const char *bytes, size_t length, char *repaired)
{
    size_t out = 0;
    bool in_text = false;
    for (size_t at = 0; at < length;) {
        size_t skip = in_text ? 0 : not_a_number(bytes + at, length - at);
        if (skip > 0) {
            memcpy(repaired + out, json_null_word, sizeof json_null_word);
            out += sizeof json_null_word;
            at += skip;
            continue;
        }
        char c = bytes[at];
        if (in_text && c == '\\' && at + 1 < length) {
            repaired[out++] = c;
            c = bytes[++at];
        } else if (c == '"') {
            in_text = !in_text;
        }
        repaired[out++] = in_text && (unsigned char)c < ' ' ? ' ' : c;
        at++;
    }
    return out;
}

static json_t *parse(const char *bytes, size_t length)
{
    if (length > OBK_ANSWER_MAX)
        return NULL;
    char *repaired memory_auto = memory_new(length + length / 3 + 8, 1);
    size_t repaired_length = repair(bytes, length, repaired);
    json_t *json = json_loadb(repaired, repaired_length, 0, NULL);
    if (json_is_object(json))
        return json;
    json_decref(json);
    return NULL;
}

/* The beginning of an answer, for a sentence: what a terminal can show of it. */
static void excerpt(const char *bytes, size_t length, char shown[61])
{
    size_t kept = length < 60 ? length : 60;
    for (size_t i = 0; i < kept; i++)
        shown[i] = bytes[i] >= ' ' && bytes[i] < 127 ? bytes[i] : '.';
    shown[kept] = '\0';
}

static enum status not_understood(const char *what, const char *bytes, size_t length,
                                  struct error *error)
{
    char shown[61];
    excerpt(bytes, length, shown);
    return error_set(error, STATUS_FAILED,
                     "The answer to %s is not what OpenBeken answers; it %s \"%s\".", what,
                     length > 60 ? "begins with" : "is", shown);
}

static void copy_text(const json_t *object, const char *key, char *to, size_t size)
{
    const char *value = json_string_value(json_object_get(object, key));
    to[0] = '\0';
    if (value == NULL)
        return;
    size_t kept = strnlen(value, size - 1);
    while (kept > 0 && value[kept] != '\0' && ((unsigned char)value[kept] & 0xc0U) == 0x80)
        kept--; /* not through the middle of a character */
    memcpy(to, value, kept);
    to[kept] = '\0';
    plain_make(to);
}

/* "1024"; a number in older builds. */
static bool read_flags(const json_t *value, uint64_t *flags)
{
    *flags = 0;
    if (json_is_integer(value) && json_integer_value(value) >= 0) {
        *flags = (uint64_t)json_integer_value(value);
        return true;
    }
    const char *text = json_string_value(value);
    if (text == NULL || *text == '\0')
        return false;
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9' || __builtin_mul_overflow(*flags, 10U, flags) ||
            __builtin_add_overflow(*flags, (uint64_t)(*text - '0'), flags))
            return false;
    }
    return true;
}

/* "host:port"; ":1883" when no host is set. */
static void split_server(struct obk_info *info)
{
    char *colon = strrchr(info->mqtt_host, ':');
    int64_t port = 0;
    if (colon == NULL || !number_parse_int(colon + 1, strlen(colon + 1), 0, 65535, &port))
        return;
    *colon = '\0';
    info->mqtt_port = (int)port;
}

/* The module counts in 32 bits; what it cannot have counted is unknown. */
static int64_t read_uptime(const json_t *uptime)
{
    json_int_t seconds = json_is_integer(uptime) ? json_integer_value(uptime) : -1;
    return seconds >= 0 && seconds <= UINT32_MAX ? (int64_t)seconds : -1;
}

enum status obk_parse_info(const char *bytes, size_t length, struct obk_info *info,
                           struct error *error)
{
    json_t *json = parse(bytes, length);
    *info = (struct obk_info){.mqtt_port = 0};
    bool good = read_flags(json_object_get(json, "flags"), &info->flags) &&
                json_is_string(json_object_get(json, "build")) &&
                json_is_string(json_object_get(json, "mqtttopic")) &&
                json_is_string(json_object_get(json, "chipset"));
    if (!good) {
        json_decref(json);
        return not_understood("/api/info", bytes, length, error);
    }
    info->uptime_s = read_uptime(json_object_get(json, "uptime_s"));
    copy_text(json, "build", info->build, sizeof info->build);
    copy_text(json, "ip", info->ip, sizeof info->ip);
    copy_text(json, "mac", info->mac, sizeof info->mac);
    copy_text(json, "mqtthost", info->mqtt_host, sizeof info->mqtt_host);
    copy_text(json, "mqtttopic", info->client_id, sizeof info->client_id);
    copy_text(json, "chipset", info->chipset, sizeof info->chipset);
    copy_text(json, "shortName", info->short_name, sizeof info->short_name);
    copy_text(json, "startcmd", info->startup_command, sizeof info->startup_command);
    split_server(info);
    json_decref(json);
    return STATUS_OK;
}

static double read_number(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    double number = json_is_number(value) ? json_number_value(value) : NAN;
    return isfinite(number) ? number : NAN;
}

static void read_energy(const json_t *energy, struct obk_status *status)
{
    status->has_energy = json_is_object(energy);
    status->energy = (struct obk_energy){
        .voltage_v = read_number(energy, "Voltage"),
        .current_a = read_number(energy, "Current"),
        .power_w = read_number(energy, "Power"),
        .frequency_hz = read_number(energy, "Frequency"),
        .total_wh = read_number(energy, "ConsumptionTotal"),
    };
}

/* FriendlyName is the device's name, with "_1" behind it where the first channel has no label. */
static void read_name(const json_t *json, char *name, size_t size)
{
    const json_t *list = json_object_get(json_object_get(json, "Status"), "FriendlyName");
    json_t *holder = json_object();
    (void)json_object_set(holder, "name", json_array_get(list, 0));
    copy_text(holder, "name", name, size);
    json_decref(holder);
}

enum status obk_parse_status(const char *bytes, size_t length, struct obk_status *status,
                             struct error *error)
{
    json_t *json = parse(bytes, length);
    *status = (struct obk_status){.is_obk = false};
    const json_t *sensors = json_object_get(json, "StatusSNS");
    if (!json_is_object(sensors)) {
        json_decref(json);
        return not_understood("Status", bytes, length, error);
    }
    read_energy(json_object_get(sensors, "ENERGY"), status);
    const char *sdk = json_string_value(json_object_get(json_object_get(json, "StatusFWR"), "SDK"));
    status->is_obk = sdk != NULL && strcmp(sdk, "obk") == 0;
    read_name(json, status->name, sizeof status->name);
    copy_text(json_object_get(json, "StatusMQT"), "MqttUser", status->mqtt_user,
              sizeof status->mqtt_user);
    json_decref(json);
    return STATUS_OK;
}

static bool is_integer(const json_t *json, const char *key, json_int_t value)
{
    const json_t *member = json_object_get(json, key);
    return json_is_integer(member) && json_integer_value(member) == value;
}

enum status obk_parse_command(const char *command, const char *bytes, size_t length, bool *unknown,
                              struct error *error)
{
    json_t *json = parse(bytes, length);
    char message[OBK_TEXT_SIZE];
    copy_text(json, "msg", message, sizeof message);
    bool done = is_integer(json, "success", 200);
    bool refused = json_is_integer(json_object_get(json, "error"));
    bool no_such_command = is_integer(json, "error", 501);
    json_decref(json);
    if (unknown != NULL)
        *unknown = no_such_command;
    if (done)
        return STATUS_OK;
    if (no_such_command)
        return error_set(error, STATUS_FAILED,
                         "The module does not know the command \"%.60s\"; its firmware was built "
                         "without it.",
                         command);
    if (refused)
        return error_set(error, STATUS_FAILED, "The module refused the command \"%.60s\": %s.",
                         command, message);
    char what[80];
    (void)snprintf(what, sizeof what, "the command \"%.60s\"", command);
    return not_understood(what, bytes, length, error);
}

enum status obk_parse_written(const char *name, size_t size, const char *bytes, size_t length,
                              struct error *error)
{
    json_t *json = parse(bytes, length);
    const char *written = json_string_value(json_object_get(json, "fname"));
    bool good =
        written != NULL && strcmp(written, name) == 0 && is_integer(json, "size", (json_int_t)size);
    json_decref(json);
    return good ? STATUS_OK : not_understood("the writing of a file", bytes, length, error);
}

enum status obk_parse_list(const char *name, const char *bytes, size_t length, int64_t *size,
                           struct error *error)
{
    json_t *json = parse(bytes, length);
    const json_t *content = json_object_get(json, "content");
    bool good = json_is_array(content);
    *size = -1;
    for (size_t i = 0; i < json_array_size(content); i++) {
        const json_t *entry = json_array_get(content, i);
        const char *entry_name = json_string_value(json_object_get(entry, "name"));
        const json_t *entry_size = json_object_get(entry, "size");
        if (entry_name != NULL && strcmp(entry_name, name) == 0 && json_is_integer(entry_size))
            *size = json_integer_value(entry_size);
    }
    json_decref(json);
    return good ? STATUS_OK : not_understood("the list of files", bytes, length, error);
}

enum status obk_parse_taken(size_t size, const char *bytes, size_t length, struct error *error)
{
    json_t *json = parse(bytes, length);
    const json_t *reported = json_object_get(json, "size");
    bool understood = json_is_integer(reported);
    json_int_t taken = json_integer_value(reported);
    json_decref(json);
    if (!understood)
        return not_understood("the update", bytes, length, error);
    if (taken == (json_int_t)size)
        return STATUS_OK;
    return error_set(error, STATUS_FAILED,
                     "The module took %lld of the package's %zu bytes; try again.",
                     (long long)taken, size);
}

void obk_build_version(const char *build, char *version, size_t size)
{
    static const char word[] = "version ";
    const char *at = strstr(build, word);
    size_t length = 0;
    if (at != NULL)
        for (at += sizeof word - 1; length + 1 < size && *at > ' ' && *at < 127; at++)
            version[length++] = *at;
    version[length] = '\0';
}

/* The word at text, up to a blank, if it fits and holds nothing that JSON or a terminal minds. */
static size_t plain_word(const char *text, size_t left, char *word, size_t size)
{
    size_t length = 0;
    while (length < left && text[length] != ' ' && text[length] != '\0') {
        char c = text[length];
        bool good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    strchr("._+-", c) != NULL;
        if (!good || length + 1 >= size) {
            word[0] = '\0';
            return 0;
        }
        word[length++] = c;
    }
    word[length] = '\0';
    return length;
}

bool obk_parse_build(const char *payload, size_t length, char chip[16], char version[40])
{
    static const char open[] = "Open", word[] = "version ";
    chip[0] = version[0] = '\0';
    if (length > sizeof open && memcmp(payload, open, sizeof open - 1) == 0) {
        size_t at = sizeof open - 1;
        at += plain_word(payload + at, length - at, chip, 16);
        if (chip[0] == '\0' || at + 1 >= length)
            return false;
        return plain_word(payload + at + 1, length - at - 1, version, 40) > 0;
    }
    const char *found = memmem(payload, length, word, sizeof word - 1);
    if (found == NULL)
        return false;
    found += sizeof word - 1;
    return plain_word(found, length - (size_t)(found - payload), version, 40) > 0;
}

/* The number at *text, which moves behind it and a dot; -1 where there is none. */
static long next_number(const char **text)
{
    long number = 0;
    if (**text < '0' || **text > '9')
        return -1;
    for (; **text >= '0' && **text <= '9'; (*text)++)
        number = number < 100000000 ? number * 10 + (**text - '0') : number;
    if (**text == '.')
        (*text)++;
    return number;
}

int obk_compare_versions(const char *one, const char *other)
{
    for (;;) {
        long a = next_number(&one), b = next_number(&other);
        if (a != b)
            return a < b ? -1 : 1;
        if (a < 0)
            return 0;
    }
}

enum status obk_parse_reboot(const char *bytes, size_t length, struct error *error)
{
    json_t *json = parse(bytes, length);
    bool good = json_is_integer(json_object_get(json, "reboot"));
    json_decref(json);
    return good ? STATUS_OK : not_understood("the reboot", bytes, length, error);
}
