/* SPDX-License-Identifier: MIT */
#include "drivers/beken/obk_config.h"

#include "drivers/base/memory.h"
#include "drivers/base/number.h"
#include "drivers/base/text.h"
#include "drivers/beken/bytes.h"
#include "drivers/beken/crc.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum {
    AT_CHECKSUM = 3,
    AT_VERSION = 4,
    AT_FIELDS = 8,
    VERSION_NOW = 5,
    VERSION_SHORT = 3, /* up to here a configuration has SHORT_SIZE bytes */
    SHORT_SIZE = 2016,
    VERSION_MAX = 1000, /* beyond that it is no version */
    SECTOR_SIZE = 4096,
    ELEMENT_SIZE = 32,
    WEB_PASSWORD_VERSION = 5, /* older configurations lose the web password when they are loaded */
};

/* ------------------------------------------------------------------ whole blocks */

static size_t covered(const struct obk_config *config)
{
    return obk_config_version(config) <= VERSION_SHORT ? SHORT_SIZE : OBK_CONFIG_SIZE;
}

uint32_t obk_config_version(const struct obk_config *config)
{
    return bytes_get_le32(config->bytes + AT_VERSION);
}

uint8_t obk_config_checksum(const struct obk_config *config)
{
    return beken_crc8_config(config->bytes + AT_VERSION, covered(config) - AT_VERSION);
}

static void seal(struct obk_config *config)
{
    config->bytes[AT_CHECKSUM] = obk_config_checksum(config);
}

enum obk_config_state obk_config_read(const uint8_t *bytes, size_t length,
                                      struct obk_config *config)
{
    size_t count = length < OBK_CONFIG_SIZE ? length : OBK_CONFIG_SIZE;
    if (bytes_are_all(bytes, count, 0xFF) || bytes_are_all(bytes, count, 0))
        return OBK_CONFIG_BLANK;
    if (length < OBK_CONFIG_SIZE || memcmp(bytes, "CFG", 3) != 0)
        return OBK_CONFIG_FOREIGN;
    memcpy(config->bytes, bytes, OBK_CONFIG_SIZE);
    if (obk_config_version(config) > VERSION_MAX ||
        obk_config_checksum(config) != config->bytes[AT_CHECKSUM])
        return OBK_CONFIG_DAMAGED;
    return OBK_CONFIG_GOOD;
}

static bool look_at(const uint8_t *bytes, size_t length, size_t offset, size_t *damaged)
{
    struct obk_config config;
    if (offset >= length)
        return false;
    enum obk_config_state state = obk_config_read(bytes + offset, length - offset, &config);
    if (state == OBK_CONFIG_DAMAGED && *damaged == SIZE_MAX)
        *damaged = offset;
    return state == OBK_CONFIG_GOOD;
}

bool obk_config_find(const uint8_t *bytes, size_t length, size_t *offset)
{
    static const enum beken_chip chips[] = {BEKEN_CHIP_BK7231N, BEKEN_CHIP_BK7231T};
    size_t damaged = SIZE_MAX;
    size_t at = 0;
    bool found = look_at(bytes, length, 0, &damaged);
    for (size_t i = 0; !found && i < sizeof chips / sizeof chips[0]; i++) {
        at = beken_chip_layout(chips[i])->config_address;
        found = look_at(bytes, length, at, &damaged);
    }
    for (size_t sector = SECTOR_SIZE; !found && sector < length; sector += SECTOR_SIZE) {
        at = sector;
        found = look_at(bytes, length, at, &damaged);
    }
    *offset = found ? at : damaged;
    return found || damaged != SIZE_MAX;
}

/* ------------------------------------------------------------------ single values */

static uint8_t *place(struct obk_config *config, const struct obk_config_field *field)
{
    return config->bytes + field->offset;
}

static size_t element_size(const struct obk_config_field *field)
{
    return field->size / field->count;
}

static bool is_list(const struct obk_config_field *field)
{
    return field->count > 1;
}

static int64_t get_whole(const uint8_t *bytes, enum obk_config_type type)
{
    switch (type) {
    case OBK_CONFIG_U8:
        return bytes[0];
    case OBK_CONFIG_U16:
        return bytes_get_le16(bytes);
    case OBK_CONFIG_I16:
        return (int16_t)bytes_get_le16(bytes);
    case OBK_CONFIG_I32:
        return (int32_t)bytes_get_le32(bytes);
    default:
        return bytes_get_le32(bytes);
    }
}

static void put_whole(uint8_t *bytes, size_t size, int64_t value)
{
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)((uint64_t)value >> (8 * i));
}

static float get_float(const uint8_t *bytes)
{
    uint32_t word = bytes_get_le32(bytes);
    float value = 0;
    memcpy(&value, &word, sizeof value);
    return value;
}

static void put_float(uint8_t *bytes, float value)
{
    uint32_t word = 0;
    memcpy(&word, &value, sizeof word);
    bytes_put_le32(bytes, word);
}

/* The shortest decimal that is read as this float again: 2.2, not 2.2000000476837158. */
static double shortest(float value)
{
    char text[ELEMENT_SIZE];
    double parsed = (double)value;
    for (int digits = 6; digits <= 9; digits++) {
        (void)snprintf(text, sizeof text, "%.*g", digits, (double)value);
        if (number_parse_double(text, strlen(text), -HUGE_VAL, HUGE_VAL, &parsed) &&
            (float)parsed == value)
            return parsed;
    }
    return (double)value;
}

/* ------------------------------------------------------------------ from text */

/* What a field takes, for messages. */
static const char *wanted(const struct obk_config_field *field, char *buffer, size_t size)
{
    static const char *const words[] = {
        [OBK_CONFIG_BITS] = "32 bits, like 0x400",
        [OBK_CONFIG_FLOAT] = "a number",
        [OBK_CONFIG_IPV4] = "an address like 192.168.1.2",
    };
    struct text text;
    text_init(&text, buffer, size);
    if (is_list(field))
        text_append(&text, "%u values, or INDEX=VALUE, separated by commas; each ", field->count);
    if (field->type == OBK_CONFIG_TEXT)
        text_append(&text, "at most %u bytes without control characters", field->longest);
    else if (field->type == OBK_CONFIG_HEX)
        text_append(&text, "%u bytes in hexadecimal, or nothing for zeros", field->size);
    else if (field->type == OBK_CONFIG_BITS || field->type == OBK_CONFIG_FLOAT ||
             field->type == OBK_CONFIG_IPV4)
        text_append(&text, "%s", words[field->type]);
    else
        text_append(&text, "a number from %" PRId64 " to %" PRId64, field->low, field->high);
    return buffer;
}

static enum status refuse(const struct obk_config_field *field, struct error *error)
{
    char buffer[160];
    return error_set(error, STATUS_USAGE, "%s must be %s.", field->name,
                     wanted(field, buffer, sizeof buffer));
}

/* A startup command may be written on several lines. */
static bool is_allowed(unsigned char c)
{
    return c >= 0x20 ? c != 0x7F : c == '\n' || c == '\t';
}

static bool set_text(struct obk_config *config, const struct obk_config_field *field,
                     const char *text)
{
    size_t length = strlen(text);
    size_t room = field->longest;
    if (field->offset + (size_t)field->size > covered(config))
        room = covered(config) - field->offset - 1;
    if (length > room)
        return false;
    bool lines = field->size > 1024;
    for (size_t i = 0; i < length; i++)
        if (!is_allowed((unsigned char)text[i]) || (!lines && (unsigned char)text[i] < 0x20))
            return false;
    size_t size = field->offset + (size_t)field->size > covered(config)
                      ? covered(config) - field->offset
                      : field->size;
    memset(place(config, field), 0, size);
    memcpy(place(config, field), text, length);
    return true;
}

static bool set_hex(uint8_t *bytes, size_t size, const char *text)
{
    if (text[0] == '\0') {
        memset(bytes, 0, size);
        return true;
    }
    if (strlen(text) != 2 * size || strspn(text, "0123456789abcdefABCDEF") != 2 * size)
        return false;
    for (size_t i = 0; i < size; i++)
        bytes[i] =
            (uint8_t)(number_hex_digit(text[2 * i]) * 16 + number_hex_digit(text[2 * i + 1]));
    return true;
}

static bool set_ipv4(uint8_t bytes[4], const char *text)
{
    uint8_t value[4];
    for (size_t i = 0; i < 4; i++) {
        size_t length = strcspn(text, ".");
        int64_t number = 0;
        if (!number_parse_int(text, length, 0, UINT8_MAX, &number))
            return false;
        value[i] = (uint8_t)number;
        if (text[length] != (i < 3 ? '.' : '\0'))
            return false;
        text += length + 1;
    }
    memcpy(bytes, value, 4);
    return true;
}

static bool set_element(const struct obk_config_field *field, uint8_t *bytes, const char *text,
                        size_t length)
{
    if (field->type == OBK_CONFIG_FLOAT) {
        double value = 0;
        if (!number_parse_double(text, length, -3.4e38, 3.4e38, &value))
            return false;
        put_float(bytes, (float)value);
        return true;
    }
    int64_t number = 0;
    if (!number_parse_whole(text, length, field->low, field->high, &number))
        return false;
    put_whole(bytes, element_size(field), number);
    return true;
}

/* "3,10,5" or "6=1,26=3", into a copy. */
static bool set_list(const struct obk_config_field *field, uint8_t *bytes, const char *text)
{
    size_t index = 0;
    bool some = strchr(text, '=') != NULL;
    while (true) {
        size_t length = strcspn(text, ",");
        const char *value = text;
        if (some) {
            int64_t number = 0;
            size_t digits = strcspn(text, "=,");
            if (text[digits] != '=' ||
                !number_parse_int(text, digits, 0, field->count - 1, &number))
                return false;
            index = (size_t)number;
            value = text + digits + 1;
        }
        if (index >= field->count || !set_element(field, bytes + index * element_size(field), value,
                                                  (size_t)(text + length - value)))
            return false;
        index++;
        if (text[length] == '\0')
            return some || index == field->count;
        text += length + 1;
    }
}

static bool set_value(struct obk_config *config, const struct obk_config_field *field,
                      const char *text)
{
    uint8_t *bytes = place(config, field);
    switch (field->type) {
    case OBK_CONFIG_TEXT:
        return set_text(config, field, text);
    case OBK_CONFIG_HEX:
        return set_hex(bytes, field->size, text);
    case OBK_CONFIG_IPV4:
        return set_ipv4(bytes, text);
    default:
        return is_list(field) ? set_list(field, bytes, text)
                              : set_element(field, bytes, text, strlen(text));
    }
}

static enum status find(const struct obk_config *config, const char *name,
                        const struct obk_config_field **field, struct error *error)
{
    *field = obk_config_find_field(name);
    if (*field == NULL)
        return error_set(error, STATUS_USAGE, "%s is no field of OpenBeken's configuration.", name);
    if ((*field)->offset >= covered(config))
        return error_set(
            error, STATUS_USAGE,
            "A configuration of version %" PRIu32
            " has no %s. Start the module once with current firmware, which renews it.",
            obk_config_version(config), name);
    return STATUS_OK;
}

/* The firmware forgets the web password of an older configuration when it loads it. */
static void keep_web_password(struct obk_config *config, const struct obk_config_field *field)
{
    if (strcmp(field->name, "web_password") == 0 &&
        obk_config_version(config) < WEB_PASSWORD_VERSION)
        put_whole(config->bytes + AT_VERSION, 4, WEB_PASSWORD_VERSION);
}

enum status obk_config_set(struct obk_config *config, const char *name, const char *text,
                           struct error *error)
{
    const struct obk_config_field *field = NULL;
    enum status status = find(config, name, &field, error);
    if (status != STATUS_OK)
        return status;
    struct obk_config changed = *config;
    if (!set_value(&changed, field, text))
        return refuse(field, error);
    keep_web_password(&changed, field);
    seal(&changed);
    *config = changed;
    return STATUS_OK;
}

/* ------------------------------------------------------------------ from JSON */

static bool set_element_json(const struct obk_config_field *field, uint8_t *bytes,
                             const json_t *value)
{
    const json_t *hex = json_object_get(value, "hex");
    if (json_is_string(hex) && strlen(json_string_value(hex)) > 0)
        return set_hex(bytes, element_size(field), json_string_value(hex));
    if (field->type == OBK_CONFIG_FLOAT) {
        double number = json_number_value(value);
        if (!json_is_number(value) || !(number >= -3.4e38 && number <= 3.4e38))
            return false;
        put_float(bytes, (float)number);
        return true;
    }
    if (!json_is_integer(value) || json_integer_value(value) < field->low ||
        json_integer_value(value) > field->high)
        return false;
    put_whole(bytes, element_size(field), json_integer_value(value));
    return true;
}

static bool set_list_json(const struct obk_config_field *field, uint8_t *bytes, const json_t *value)
{
    if (!json_is_array(value) || json_array_size(value) != field->count)
        return false;
    for (size_t i = 0; i < field->count; i++)
        if (!set_element_json(field, bytes + i * element_size(field), json_array_get(value, i)))
            return false;
    return true;
}

static bool set_value_json(struct obk_config *config, const struct obk_config_field *field,
                           const json_t *value)
{
    uint8_t *bytes = place(config, field);
    const json_t *hex = json_object_get(value, "hex");
    if (field->type == OBK_CONFIG_TEXT && json_is_string(hex))
        return set_hex(bytes, field->size, json_string_value(hex));
    /* A text with a NUL in it would be cut without a word. */
    if (json_is_string(value) && strlen(json_string_value(value)) == json_string_length(value))
        return set_value(config, field, json_string_value(value));
    if (is_list(field))
        return set_list_json(field, bytes, value);
    if (field->type == OBK_CONFIG_TEXT || field->type == OBK_CONFIG_HEX ||
        field->type == OBK_CONFIG_IPV4)
        return false;
    return set_element_json(field, bytes, value);
}

static enum status set_field_json(struct obk_config *config, const char *name, const json_t *value,
                                  struct error *error)
{
    const struct obk_config_field *field = NULL;
    enum status status = find(config, name, &field, error);
    if (status != STATUS_OK)
        return status;
    if (field->environment != NULL && json_is_string(value) &&
        strcmp(json_string_value(value), OBK_CONFIG_MASK) == 0)
        return error_set(error, STATUS_USAGE,
                         "%s is masked: write its value, or leave it out to keep what there is.",
                         field->name);
    if (!set_value_json(config, field, value))
        return refuse(field, error);
    keep_web_password(config, field);
    return STATUS_OK;
}

enum status obk_config_set_json(struct obk_config *config, const json_t *fields,
                                struct error *error)
{
    struct obk_config changed = *config;
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)fields, name, value)
    {
        enum status status = set_field_json(&changed, name, value, error);
        if (status != STATUS_OK)
            return status;
    }
    seal(&changed);
    *config = changed;
    return STATUS_OK;
}

/* ------------------------------------------------------------------ to text and JSON */

static size_t text_length(const struct obk_config *config, const struct obk_config_field *field)
{
    return strnlen((const char *)config->bytes + field->offset, field->size);
}

static void append_hex(struct text *text, const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        text_append(text, "%02x", bytes[i]);
}

static void append_element(struct text *text, const struct obk_config_field *field,
                           const uint8_t *bytes)
{
    if (field->type == OBK_CONFIG_FLOAT)
        text_append(text, "%.9g", shortest(get_float(bytes)));
    else if (field->type == OBK_CONFIG_BITS)
        text_append(text, "0x%" PRIX32, bytes_get_le32(bytes));
    else
        text_append(text, "%" PRId64, get_whole(bytes, field->type));
}

void obk_config_get(const struct obk_config *config, const char *name,
                    char buffer[OBK_CONFIG_TEXT_SIZE])
{
    const struct obk_config_field *field = obk_config_find_field(name);
    struct text text;
    text_init(&text, buffer, OBK_CONFIG_TEXT_SIZE);
    if (field == NULL)
        return;
    const uint8_t *bytes = config->bytes + field->offset;
    switch (field->type) {
    case OBK_CONFIG_TEXT:
        for (size_t i = 0; i < text_length(config, field); i++)
            text_append(&text, "%c", is_allowed(bytes[i]) ? bytes[i] : '?');
        return;
    case OBK_CONFIG_HEX:
        if (!bytes_are_all(bytes, field->size, 0))
            append_hex(&text, bytes, field->size);
        return;
    case OBK_CONFIG_IPV4:
        text_append(&text, "%u.%u.%u.%u", bytes[0], bytes[1], bytes[2], bytes[3]);
        return;
    default:
        for (size_t i = 0; i < field->count; i++) {
            text_append(&text, "%s", i > 0 ? "," : "");
            append_element(&text, field, bytes + i * element_size(field));
        }
    }
}

static json_t *hex_json(const uint8_t *bytes, size_t size)
{
    char buffer[2 * 1568 + 1];
    struct text text;
    text_init(&text, buffer, sizeof buffer);
    append_hex(&text, bytes, size);
    return json_pack("{s:s}", "hex", buffer);
}

/* What obk_config_set_json() would not take back as it is, goes as its bytes. */
static json_t *element_json(const struct obk_config_field *field, const uint8_t *bytes)
{
    if (field->type == OBK_CONFIG_FLOAT) {
        float value = get_float(bytes);
        if (!isfinite(value) || fabsf(value) > 3.4e38f || (value == 0 && signbit(value)))
            return hex_json(bytes, 4);
        return json_real(shortest(value));
    }
    int64_t value = get_whole(bytes, field->type);
    if (value < field->low || value > field->high)
        return hex_json(bytes, element_size(field));
    return json_integer(value);
}

static json_t *text_json(const struct obk_config *config, const struct obk_config_field *field)
{
    const uint8_t *bytes = config->bytes + field->offset;
    struct obk_config again = *config;
    size_t length = text_length(config, field);
    char *text memory_auto = memory_new(field->size + 1u, 1);
    memcpy(text, bytes, length);
    json_t *value = json_string(text);
    /* Also bytes behind the text's end are part of what there is. */
    if (value != NULL && set_text(&again, field, text) &&
        memcmp(again.bytes, config->bytes, OBK_CONFIG_SIZE) == 0)
        return value;
    json_decref(value);
    return hex_json(bytes, field->size);
}

static json_t *field_json(const struct obk_config *config, const struct obk_config_field *field)
{
    const uint8_t *bytes = config->bytes + field->offset;
    char text[OBK_CONFIG_TEXT_SIZE];
    if (field->type == OBK_CONFIG_TEXT)
        return text_json(config, field);
    if (field->type == OBK_CONFIG_HEX || field->type == OBK_CONFIG_IPV4) {
        obk_config_get(config, field->name, text);
        return json_string(text);
    }
    if (!is_list(field))
        return element_json(field, bytes);
    json_t *list = json_array();
    for (size_t i = 0; i < field->count; i++)
        (void)json_array_append_new(list, element_json(field, bytes + i * element_size(field)));
    return list;
}

json_t *obk_config_to_json(const struct obk_config *config, bool show_secrets)
{
    json_t *object = json_object();
    const struct obk_config_field *field;
    for (size_t i = 0; (field = obk_config_field(i)) != NULL; i++) {
        if (field->offset >= covered(config))
            break;
        bool mask = field->environment != NULL && !show_secrets &&
                    !bytes_are_all(config->bytes + field->offset, field->size, 0);
        (void)json_object_set_new(object, field->name,
                                  mask ? json_string(OBK_CONFIG_MASK) : field_json(config, field));
    }
    return object;
}

/* ------------------------------------------------------------------ flags and pins */

bool obk_config_flag(const struct obk_config *config, unsigned flag)
{
    return (config->bytes[AT_FIELDS + flag / 8] >> flag % 8 & 1) != 0;
}

void obk_config_set_flag(struct obk_config *config, unsigned flag, bool on)
{
    uint8_t *byte = &config->bytes[AT_FIELDS + flag / 8];
    uint8_t bit = (uint8_t)(1u << flag % 8);
    *byte = on ? *byte | bit : *byte & (uint8_t)~bit;
    seal(config);
}

enum { AT_PINS = 0x33E };

struct obk_config_pin obk_config_pin(const struct obk_config *config, unsigned pin)
{
    const uint8_t *bytes = config->bytes + AT_PINS + pin;
    return (struct obk_config_pin){
        .role = bytes[0],
        .channel = bytes[OBK_CONFIG_PINS],
        .channel2 = bytes[2 * (size_t)OBK_CONFIG_PINS],
    };
}

void obk_config_set_pin(struct obk_config *config, unsigned pin, struct obk_config_pin what)
{
    uint8_t *bytes = config->bytes + AT_PINS + pin;
    bytes[0] = what.role;
    bytes[OBK_CONFIG_PINS] = what.channel;
    bytes[2 * (size_t)OBK_CONFIG_PINS] = what.channel2;
    seal(config);
}

/* ------------------------------------------------------------------ factory settings */

static const char *group_of(enum beken_chip chip)
{
    switch (chip) {
    case BEKEN_CHIP_BK7231T:
        return "bekens_t";
    case BEKEN_CHIP_BK7231U:
        return "bekens_u";
    case BEKEN_CHIP_BK7238:
        return "bekens_8s";
    default:
        return "bekens_n";
    }
}

static void put(struct obk_config *config, const char *name, const char *text)
{
    (void)set_value(config, obk_config_find_field(name), text);
}

static void put_names(struct obk_config *config, enum beken_chip chip, const uint8_t *mac)
{
    char name[40];
    /* The firmware for an M is the one for an N. */
    enum beken_chip firmware = chip == BEKEN_CHIP_BK7231M ? BEKEN_CHIP_BK7231N : chip;
    memcpy(place(config, obk_config_find_field("mac")), mac, 6);
    (void)snprintf(name, sizeof name, "Open%s_%02X%02X%02X%02X", beken_chip_name(firmware), mac[2],
                   mac[3], mac[4], mac[5]);
    put(config, "name", name);
    (void)snprintf(name, sizeof name, "obk%02X%02X%02X%02X", mac[2], mac[3], mac[4], mac[5]);
    put(config, "short_name", name);
    put(config, "mqtt_client_id", name);
}

void obk_config_init(struct obk_config *config, enum beken_chip chip, const uint8_t *mac)
{
    static const struct {
        const char *name, *text;
    } factory[] = {
        {"generic_flags", "0x400"}, /* own state after connecting */
        {"mqtt_user", "homeassistant"},
        {"mqtt_password", "qqqqqqqqqq"},
        {"mqtt_port", "1883"},
        {"webapp_root", "https://openbekeniot.github.io/webapp/"},
        {"ntp_server", "217.147.223.78"},
        {"button_short", "3"},
        {"button_long", "10"},
        {"button_repeat", "5"},
        {"led_correction", "1,1,1"},
        {"led_gamma", "2.2"},
        {"led_min_rgb", "0.1"},
        {"led_min_white", "0.1"},
        {"boot_success", "5"},
        {"ping_host", "192.168.0.1"},
    };
    memset(config, 0, sizeof *config);
    memcpy(config->bytes, "CFG", 3);
    put_whole(config->bytes + AT_VERSION, 4, VERSION_NOW);
    for (size_t i = 0; i < sizeof factory / sizeof factory[0]; i++)
        put(config, factory[i].name, factory[i].text);
    put(config, "mqtt_group", group_of(chip));
    if (mac != NULL)
        put_names(config, chip, mac);
    seal(config);
}
