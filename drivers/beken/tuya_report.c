/* SPDX-License-Identifier: MIT */
#include "drivers/beken/tuya_report.h"

#include "drivers/base/memory.h"
#include "drivers/base/text.h"
#include "drivers/beken/backup_file.h"
#include "drivers/beken/bytes.h"
#include "drivers/beken/code.h"
#include "drivers/beken/obk_config.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

enum {
    SECTOR = 4096,
    SETTINGS_MAX = 8192, /* of a list of pins in the application */
};

static const char pins_key[] = "user_param_key";

/* ------------------------------------------------------------------ values */

static bool is_text(const uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if ((bytes[i] < 0x20 || bytes[i] >= 0x7F) && bytes[i] != '\r' && bytes[i] != '\n' &&
            bytes[i] != '\t')
            return false;
    return true;
}

static json_t *hex_value(const uint8_t *bytes, size_t length)
{
    size_t size = 2 * length + 1;
    char *buffer memory_auto = memory_new(size, 1);
    struct text text;
    text_init(&text, buffer, size);
    for (size_t i = 0; i < length; i++)
        text_append(&text, "%02x", bytes[i]);
    return json_pack("{s:s}", "hex", buffer);
}

/* JSON, the vendor's JSON without quotes, a text, or bytes. */
static json_t *entry_value(const struct tuya_entry *entry)
{
    size_t length = entry->length;
    while (length > 0 && entry->value[length - 1] == 0)
        length--;
    const char *text = (const char *)entry->value;
    json_t *value = json_loadb(text, length, JSON_DECODE_ANY, NULL);
    if (value == NULL && length > 0 && text[0] == '{')
        value = tuya_pins_parse_text(text, length);
    if (value == NULL && is_text(entry->value, length))
        value = json_stringn(text, length);
    return value != NULL ? value : hex_value(entry->value, entry->length);
}

static void read_keys(const struct tuya_vault *vault, struct tuya_report *report)
{
    for (size_t i = 0; i < tuya_vault_count(vault); i++) {
        const struct tuya_entry *entry = tuya_vault_entry(vault, i);
        (void)json_object_set_new(report->keys, entry->name, entry_value(entry));
        if (!entry->intact)
            (void)json_array_append_new(report->damaged, json_string(entry->name));
    }
}

/* ------------------------------------------------------------------ the application */

static bool contains(const uint8_t *bytes, size_t length, const char *words)
{
    return memmem(bytes, length, words, strlen(words)) != NULL;
}

/* The application's code without its CRCs and in the clear; *length of it. */
static uint8_t *plain_app(const uint8_t *bytes, size_t size, const struct image_info *image,
                          size_t *length)
{
    size_t start = image->kind == IMAGE_DUMP || image->kind == IMAGE_QIO ? BEKEN_CODE_ADDRESS : 0;
    if (image->rotated || start > size)
        start = 0;
    size_t room = (size - start) / CODE_BLOCK_FLASH * CODE_BLOCK_LOGICAL;
    uint8_t *code = memory_new(room > 0 ? room : 1, 1);
    *length = code_deframe(bytes + start, size - start, code, room);
    if (image->encryption != IMAGE_PLAIN)
        code_crypt(code, *length, CODE_APP_LOGICAL);
    return code;
}

static enum tuya_firmware firmware_of(const struct tuya_report *report, const uint8_t *code,
                                      size_t length)
{
    if (report->image.blank)
        return TUYA_FIRMWARE_BLANK;
    if (contains(code, length, "LibreTiny") || contains(code, length, "libretiny") ||
        contains(code, length, "ESPHome"))
        return TUYA_FIRMWARE_LIBRETINY;
    if (report->image.version[0] != '\0' && contains(code, length, "OpenBK72"))
        return TUYA_FIRMWARE_OPENBEKEN;
    if (contains(code, length, "bk7231n") || contains(code, length, "bk7231t") ||
        contains(code, length, "bk7231s") || contains(code, length, "tuya"))
        return TUYA_FIRMWARE_TUYA;
    return TUYA_FIRMWARE_UNKNOWN;
}

/* The list of pins around a hit: from behind the NUL before it to the next one. */
static json_t *settings_around(const uint8_t *bytes, size_t length, size_t hit)
{
    size_t start = hit;
    size_t end = hit;
    while (start > 0 && bytes[start - 1] != 0 && hit - start < SETTINGS_MAX)
        start--;
    while (end < length && bytes[end] != 0 && end - hit < SETTINGS_MAX)
        end++;
    const uint8_t *brace = memchr(bytes + start, '{', hit - start);
    if (brace == NULL || !is_text(brace, (size_t)(bytes + end - brace)))
        return NULL;
    json_t *settings = tuya_pins_parse_text((const char *)brace, (size_t)(bytes + end - brace));
    struct tuya_pins pins;
    tuya_pins_read(settings, &pins);
    if (pins.count > 0 || pins.module[0] != '\0')
        return settings;
    json_decref(settings);
    return NULL;
}

/* Some firmware has its pins built in instead of in the vault. */
static json_t *find_settings(const uint8_t *bytes, size_t length)
{
    static const char *const needles[] = {",crc:", ",module:", "Jsonver:"};
    for (size_t i = 0; i < sizeof needles / sizeof needles[0]; i++) {
        size_t size = strlen(needles[i]);
        size_t at = 0;
        unsigned tries = 0;
        const uint8_t *hit;
        while (tries++ < 1000 &&
               (hit = memmem(bytes + at, length - at, needles[i], size)) != NULL) {
            json_t *settings = settings_around(bytes, length, (size_t)(hit - bytes));
            if (settings != NULL)
                return settings;
            at = (size_t)(hit - bytes) + size;
        }
    }
    return NULL;
}

static void read_settings(struct tuya_report *report, const uint8_t *bytes, size_t size,
                          const uint8_t *code, size_t code_length)
{
    json_t *settings = json_object_get(report->keys, pins_key);
    if (json_is_object(settings)) {
        report->settings = json_incref(settings);
        report->pins_source = TUYA_PINS_VAULT;
    } else {
        report->settings = find_settings(code, code_length);
        if (report->settings == NULL)
            report->settings = find_settings(bytes, size);
        if (report->settings != NULL)
            report->pins_source = TUYA_PINS_APP;
    }
    tuya_pins_read(report->settings, &report->pins);
}

/* ------------------------------------------------------------------ what else is known */

static void find_mac(struct tuya_report *report, const uint8_t *bytes, size_t length)
{
    size_t usual = beken_chip_layout(report->image.chip)->rf_address;
    report->has_mac = usual < length && image_rf_mac(bytes + usual, length - usual, report->mac);
    for (size_t at = 0; !report->has_mac && at < length; at += SECTOR)
        report->has_mac = image_rf_mac(bytes + at, length - at, report->mac);
}

static const char *text_in(const json_t *keys, const char *object, const char *key)
{
    const char *text = json_string_value(json_object_get(json_object_get(keys, object), key));
    return text != NULL ? text : "";
}

static enum beken_chip chip_in_environment(const json_t *keys)
{
    const char *name = json_string_value(json_object_get(keys, "em_sys_env"));
    enum beken_chip chip = BEKEN_CHIP_UNKNOWN;
    if (name != NULL && strncasecmp(name, "bk7231n", 7) == 0)
        return BEKEN_CHIP_BK7231N;
    if (name != NULL)
        (void)beken_chip_parse(name, &chip);
    return chip;
}

static void find_chip_and_version(struct tuya_report *report)
{
    report->chip = report->image.chip;
    if (report->chip == BEKEN_CHIP_UNKNOWN)
        report->chip = chip_in_environment(report->keys);
    if (report->chip == BEKEN_CHIP_UNKNOWN)
        report->chip = report->pins.chip;
    const char *version = report->image.version;
    if (version[0] == '\0' && report->firmware != TUYA_FIRMWARE_OPENBEKEN &&
        report->firmware != TUYA_FIRMWARE_LIBRETINY)
        version = text_in(report->keys, "gw_di", "swv");
    if (strlen(version) < sizeof report->version &&
        is_text((const uint8_t *)version, strlen(version)))
        (void)snprintf(report->version, sizeof report->version, "%s", version);
}

/* ------------------------------------------------------------------ the reason in words */

static void explain_no_key(const struct tuya_report *report, size_t length, struct text *reason)
{
    if (report->image.blank) {
        text_append(reason, "The dump holds nothing but one byte, again and again: the flash was "
                            "erased, or was not read. Make the dump again; if it stays like this, "
                            "the settings are gone.");
        return;
    }
    text_append(reason, "There is no Tuya key block anywhere in it");
    if (report->image.kind != IMAGE_DUMP && length <= BEKEN_TUYA_KEY_ADDRESS) {
        text_append(reason,
                    ", and it is no dump of a whole flash: the settings stand at 0x%X and behind. "
                    "Make one with `bl2mqtt flash backup`.",
                    BEKEN_TUYA_KEY_ADDRESS);
        return;
    }
    text_append(reason, ": the settings were erased, or the module never had Tuya's firmware.");
    if (report->has_obk_config)
        text_append(reason, " OpenBeken's configuration is there: `bl2mqtt flash obk-config show` "
                            "prints its pins.");
}

static bool has_controller_keys(const json_t *keys)
{
    return json_object_get(keys, "baud_cfg") != NULL ||
           json_object_get(keys, "uart_adapt_params") != NULL;
}

static void explain_no_pins(const struct tuya_report *report, struct text *reason)
{
    if (has_controller_keys(report->keys))
        text_append(reason, "The settings have a rate for the serial line but no list of pins: "
                            "relays and buttons belong to a second controller (TuyaMCU), or a "
                            "meter chip like the BL0942 is on that line.");
    else if (report->pins_source == TUYA_PINS_VAULT)
        text_append(reason,
                    "The vendor's list (%s) names no pins: the board has no relay, button or lamp "
                    "that the module switches. A meter chip like the BL0942 needs none, it is on "
                    "the serial line.",
                    pins_key);
    else if (json_object_get(report->keys, pins_key) != NULL)
        text_append(reason, "The list of pins (%s) is there but cannot be understood.", pins_key);
    else
        text_append(reason,
                    "The settings have no list of pins (%s), and none is in the "
                    "application either: trace the board's wires.",
                    pins_key);
}

static void explain(struct tuya_report *report, size_t length)
{
    struct text reason;
    text_init(&reason, report->reason, sizeof report->reason);
    switch (report->vault.state) {
    case TUYA_VAULT_FULL:
        break;
    case TUYA_VAULT_EMPTY:
        text_append(&reason,
                    "The vault at 0x%zX is there and empty: the module never stored "
                    "anything (its production test was not run), or a reset or an earlier "
                    "flash erased it.",
                    report->vault.key_offset);
        break;
    case TUYA_VAULT_NO_DATA:
        text_append(&reason,
                    "The key block at 0x%zX is there, but nothing behind it is opened by "
                    "its key%s: the settings were erased or overwritten, or the file is "
                    "cut short.",
                    report->vault.key_offset,
                    report->vault.key_is_damaged ? ", whose checksum is wrong" : "");
        break;
    case TUYA_VAULT_NO_KEY:
        explain_no_key(report, length, &reason);
        break;
    }
    if (!report->found && report->pins_source == TUYA_PINS_APP)
        text_append(&reason, " The pins were found in the application instead.");
    else if (report->found && report->pins.count == 0)
        explain_no_pins(report, &reason);
    const char *space = reason.length > 0 ? " " : "";
    if (json_array_size(report->damaged) > 0)
        text_append(&reason, "%sSome values are damaged: their checksums are wrong.", space);
    else if (report->vault.damaged_blocks > 0)
        text_append(&reason,
                    "%s%zu of the vault's blocks %s damaged (the sum is wrong), so values may be "
                    "missing or old.",
                    space, (size_t)report->vault.damaged_blocks,
                    report->vault.damaged_blocks == 1 ? "is" : "are");
}

void tuya_report_make(const uint8_t *bytes, size_t length, struct tuya_report *report)
{
    *report = (struct tuya_report){.keys = json_object(), .damaged = json_array()};
    image_examine(bytes, length, &report->image);
    struct tuya_vault *vault = tuya_vault_open(bytes, length);
    report->vault = *tuya_vault_facts(vault);
    report->found = report->vault.state == TUYA_VAULT_FULL;
    read_keys(vault, report);
    tuya_vault_free(vault);
    size_t code_length = 0;
    uint8_t *code = plain_app(bytes, length, &report->image, &code_length);
    report->firmware = firmware_of(report, code, code_length);
    read_settings(report, bytes, length, code, code_length);
    free(code);
    find_mac(report, bytes, length);
    report->has_obk_config = obk_config_find(bytes, length, &report->obk_config_offset);
    find_chip_and_version(report);
    explain(report, length);
}

void tuya_report_free(struct tuya_report *report)
{
    json_decref(report->settings);
    json_decref(report->keys);
    json_decref(report->damaged);
    *report = (struct tuya_report){.keys = NULL};
}

/* ------------------------------------------------------------------ secrets */

/* The vendor spells its keys as it likes ("pwsd"), so a text is shown only below a key that is known
 * to say nothing about the owner. */
static bool is_harmless(const char *name)
{
    static const char *const names[] = {
        "em_sys_env", "is_stride", "wf_start_md", "mf_test_close", "tls_ca_cnt", "rcs.active",
        "module",     "Jsonver",   "jv",          "category",      "swv",        "bv",
        "pv",         "lpv",       "cdv",         "cadv",          "dev_swv",    "pk",
        "firmk",      "abi",       "country_code"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

/* Numbers are settings, but for those that stand where a text could. */
static bool is_secret_number(const char *name, json_int_t value)
{
    static const char *const parts[] = {"key",   "pass", "pwd",  "pws",    "psk",  "ssid", "secret",
                                        "token", "uuid", "auth", "random", "seed", "cert"};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        if (strcasestr(name, parts[i]) != NULL)
            return !(strcmp(name, "key_pin") == 0);
    return value > INT32_MAX ||
           ((strcmp(name, "pin") == 0 || strcmp(name, "fac_pin") == 0) && value > UINT8_MAX);
}

static bool is_number_text(const char *text)
{
    return text[0] != '\0' && strlen(text) <= 3 && strspn(text, "0123456789") == strlen(text);
}

static json_t *masked(const json_t *value, const char *name, bool hide)
{
    const char *key;
    json_t *member;
    json_t *copy;
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        copy = json_object();
        json_object_foreach((json_t *)value, key, member)
        {
            (void)json_object_set_new(copy, key, masked(member, key, hide));
        }
        return copy;
    case JSON_ARRAY:
        copy = json_array();
        for (size_t i = 0; i < json_array_size(value); i++)
            (void)json_array_append_new(copy, masked(json_array_get(value, i), name, hide));
        return copy;
    case JSON_STRING:
        hide = hide || !(is_harmless(name) || is_number_text(json_string_value(value)));
        hide = hide && json_string_length(value) > 0;
        return hide ? json_string(TUYA_MASK) : json_deep_copy(value);
    case JSON_INTEGER:
        hide = hide || is_secret_number(name, json_integer_value(value));
        return hide ? json_string(TUYA_MASK) : json_deep_copy(value);
    case JSON_REAL:
        return hide ? json_string(TUYA_MASK) : json_deep_copy(value);
    default:
        return json_deep_copy(value);
    }
}

static json_t *keys_json(const struct tuya_report *report, bool show_secrets)
{
    const char *name;
    json_t *value;
    if (show_secrets)
        return json_deep_copy(report->keys);
    json_t *keys = json_object();
    json_object_foreach(report->keys, name, value)
    {
        /* Objects are looked into; bytes and bare texts are hidden unless they are known. */
        bool bytes = json_is_object(value) && json_object_get(value, "hex") != NULL;
        bool hide = bytes || !(json_is_object(value) || json_is_array(value));
        (void)json_object_set_new(keys, name, masked(value, name, hide && !is_harmless(name)));
    }
    return keys;
}

/* ------------------------------------------------------------------ the answer */

static json_t *text_or_null(const char *text)
{
    return text[0] == '\0' ? json_null() : json_string(text);
}

static json_t *pins_json(const struct tuya_pins *pins)
{
    json_t *object = json_object();
    for (size_t i = 0; i < pins->count; i++)
        (void)json_object_set_new(object, pins->pins[i].key, json_integer(pins->pins[i].pin));
    return object;
}

static json_t *pin_list_json(const struct tuya_pins *pins)
{
    json_t *list = json_array();
    for (size_t i = 0; i < pins->count; i++) {
        const struct tuya_pin *pin = &pins->pins[i];
        (void)json_array_append_new(
            list,
            json_pack("{s:i, s:s, s:o, s:i, s:o}", "pin", pin->pin, "key", pin->key, "role",
                      text_or_null(pin->role != NULL ? pin->role : ""), "channel", pin->channel,
                      "active_level", pin->level < 0 ? json_null() : json_integer(pin->level)));
    }
    return list;
}

static json_t *commands_json(const struct tuya_pins *pins)
{
    json_t *list = json_array();
    char line[80];
    for (size_t i = 0; i < pins->count; i++) {
        const struct tuya_pin *pin = &pins->pins[i];
        if (pin->role == NULL)
            continue;
        (void)snprintf(line, sizeof line, "setPinRole %u %s", pin->pin, pin->role);
        (void)json_array_append_new(list, json_string(line));
        (void)snprintf(line, sizeof line, "setPinChannel %u %u", pin->pin, pin->channel);
        (void)json_array_append_new(list, json_string(line));
    }
    return list;
}

static json_t *openbeken_json(const struct tuya_report *report)
{
    bool known = report->pins.count > 0;
    return json_pack("{s:o, s:s, s:o, s:o}", "template",
                     known ? tuya_pins_template(&report->pins, report->chip) : json_null(),
                     "autoexec", report->pins.commands, "pins", pin_list_json(&report->pins),
                     "commands", commands_json(&report->pins));
}

static json_t *vault_json(const struct tuya_vault_facts *vault)
{
    if (!vault->has_key && vault->protected_blocks == 0)
        return json_null();
    return json_pack("{s:o, s:I, s:I, s:I, s:o, s:I, s:b}", "address",
                     vault->has_key ? json_integer((json_int_t)vault->key_offset) : json_null(),
                     "blocks", (json_int_t)vault->blocks, "damaged_blocks",
                     (json_int_t)vault->damaged_blocks, "stale_blocks",
                     (json_int_t)vault->stale_blocks, "protected_address",
                     vault->protected_blocks > 0 ? json_integer((json_int_t)vault->protected_offset)
                                                 : json_null(),
                     "protected_blocks", (json_int_t)vault->protected_blocks, "tuya_os_3",
                     (int)vault->new_magic);
}

const char *tuya_firmware_name(enum tuya_firmware firmware)
{
    static const char *const names[] = {
        [TUYA_FIRMWARE_UNKNOWN] = "unknown",     [TUYA_FIRMWARE_BLANK] = "blank",
        [TUYA_FIRMWARE_TUYA] = "tuya",           [TUYA_FIRMWARE_OPENBEKEN] = "openbeken",
        [TUYA_FIRMWARE_LIBRETINY] = "libretiny",
    };
    return names[firmware];
}

static json_t *firmware_json(const struct tuya_report *report)
{
    char stamp[40] = "";
    struct text text;
    text_init(&text, stamp, sizeof stamp);
    if (report->image.build_time_s != 0)
        text_append_time(&text, report->image.build_time_s * 1000, false);
    return json_pack("{s:s, s:o, s:o}", "kind", tuya_firmware_name(report->firmware), "version",
                     text_or_null(report->version), "build_time", text_or_null(stamp));
}

/* The chip that measures; null where the settings name none. */
static json_t *meter_json(const struct tuya_pins *pins)
{
    if (pins->meter == TUYA_METER_NONE)
        return json_null();
    json_t *meter = json_pack("{s:s}", "chip", tuya_meter_name(pins->meter));
    const struct {
        const char *key;
        int value;
    } numbers[] = {{"type", pins->meter_type}, {"rx", pins->meter_rx}, {"tx", pins->meter_tx}};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        (void)json_object_set_new(meter, numbers[i].key,
                                  numbers[i].value < 0 ? json_null()
                                                       : json_integer(numbers[i].value));
    return meter;
}

json_t *tuya_report_json(const struct tuya_report *report, bool show_secrets)
{
    static const char *const sources[] = {"", "vault", "application"};
    char mac[18] = "";
    if (report->has_mac)
        backup_file_format_mac(report->mac, mac);
    json_t *document =
        json_pack("{s:b, s:o, s:o, s:o, s:o, s:o, s:o, s:O}", "found", (int)report->found, "reason",
                  text_or_null(report->reason), "pins", pins_json(&report->pins), "pins_from",
                  text_or_null(sources[report->pins_source]), "module",
                  text_or_null(report->pins.module), "openbeken", openbeken_json(report), "keys",
                  keys_json(report, show_secrets), "damaged", report->damaged);
    json_t *facts = json_pack(
        "{s:o, s:s, s:o, s:o, s:o, s:s, s:I, s:o, s:o}", "meter", meter_json(&report->pins), "chip",
        beken_chip_name(report->chip), "bootloader", text_or_null(report->image.bootloader), "mac",
        text_or_null(mac), "firmware", firmware_json(report), "file",
        image_kind_name(report->image.kind), "size", (json_int_t)report->image.size, "vault",
        vault_json(&report->vault), "obk_config",
        report->has_obk_config ? json_integer((json_int_t)report->obk_config_offset) : json_null());
    (void)json_object_update_new(document, facts);
    return document;
}
