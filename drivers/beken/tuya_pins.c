/* SPDX-License-Identifier: MIT */
#include "drivers/beken/tuya_pins.h"

#include "drivers/base/memory.h"
#include "drivers/base/number.h"
#include "drivers/base/text.h"
#include "drivers/beken/obk_role.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { TEXT_MAX = 65536, DEPTH_MAX = 16, PIN_MAX = 63 };

/* ------------------------------------------------------------------ the vendor's JSON */

static bool is_mark(char c)
{
    return c != '\0' && strchr("{}[]:,", c) != NULL;
}

/* A token as JSON: a number stays one, all else becomes a text. */
static void append_token(struct text *json, const char *token, size_t length)
{
    int64_t number = 0;
    bool zeros = length > 1 && (token[0] == '0' || (token[0] == '-' && token[1] == '0'));
    if (!zeros && number_parse_int(token, length, INT64_MIN, INT64_MAX, &number)) {
        text_append(json, "%.*s", (int)length, token);
        return;
    }
    if (length >= 2 && token[0] == '"' && token[length - 1] == '"') {
        token++;
        length -= 2;
    }
    text_append(json, "\"");
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)token[i];
        if (c == '"' || c == '\\')
            text_append(json, "\\%c", c);
        else if (c < 0x20 || c >= 0x7F)
            text_append(json, "?");
        else
            text_append(json, "%c", c);
    }
    text_append(json, "\"");
}

/* Puts quotes where JSON has them, and drops commas before a bracket. */
static bool add_quotes(struct text *json, const char *text, size_t length)
{
    int depth = 0;
    for (size_t i = 0; i < length;) {
        char c = text[i];
        if (!is_mark(c)) {
            size_t start = i;
            while (i < length && !is_mark(text[i]))
                i++;
            append_token(json, text + start, i - start);
            continue;
        }
        depth += c == '{' || c == '[' ? 1 : c == '}' || c == ']' ? -1 : 0;
        if (depth > DEPTH_MAX)
            return false;
        i++;
        if (c != ',' || (i < length && text[i] != '}' && text[i] != ']'))
            text_append(json, "%c", c);
    }
    return !json->cut;
}

json_t *tuya_pins_parse_text(const char *text, size_t length)
{
    if (length == 0 || length > TEXT_MAX || memchr(text, '{', length) == NULL)
        return NULL;
    json_t *value = json_loadb(text, length, JSON_REJECT_DUPLICATES, NULL);
    if (value == NULL) {
        size_t size = 4 * length + 16; /* each byte may become two, and get quotes around it */
        char *buffer memory_auto = memory_new(size, 1);
        struct text json;
        text_init(&json, buffer, size);
        if (add_quotes(&json, text, length))
            value = json_loadb(buffer, json.length, 0, NULL);
    }
    if (json_is_object(value))
        return value;
    json_decref(value);
    return NULL;
}

/* ------------------------------------------------------------------ one key */

/* key: '#' stands for a number, which is the channel, '?' for one that is none; without '#' the channel
 * is given. active: the role of a pin that is active at 1, inverted: at 0; usual: the level where the
 * vendor does not say. */
struct rule {
    const char *key;
    const char *active, *inverted;
    int usual;
    uint8_t channel;
};

/* As BK7231GUIFlashTool and OpenBeken's web application read the vendor's keys; the levels are ours. A
 * Btn of OpenBeken is pressed at 0, a WifiLED_n lights at 0. */
static const struct rule rules[] = {
    {"rl#_pin", "Rel", "Rel_n", 1, 0},
    {"rl", "Rel", "Rel_n", 1, 0},
    /* Coils of a latching relay, which must only be pulsed: OpenBeken's Bridge driver does. It knows
     * no coil that is driven at 0, so there such a pin gets no role rather than a current for good. */
    {"rl_on#_pin", "BridgeFWD", NULL, 1, 0},
    {"rl_off#_pin", "BridgeREV", NULL, 1, 0},
    {"rl#_on_pin", "BridgeFWD", NULL, 1, 0},
    {"rl#_off_pin", "BridgeREV", NULL, 1, 0},
    {"rlypin", "Rel", "Rel_n", 1, 0},
    {"rlypin#", "Rel", "Rel_n", 1, 0},
    {"rly#pin", "Rel", "Rel_n", 1, 0},
    {"bt#_pin", "Btn_n", "Btn", 0, 0},
    {"k#pin_pin", "Btn_n", "Btn", 0, 0},
    {"bt_pin", "Btn_n", "Btn", 0, 0},
    {"bt", "Btn_n", "Btn", 0, 0},
    {"reset_pin", "Btn_n", "Btn", 0, 0},
    {"btpin", "Btn_n", "Btn", 0, 0},
    {"btpin#", "Btn_n", "Btn", 0, 0},
    {"bt#pin", "Btn_n", "Btn", 0, 0},
    {"key_pin", "Btn_Tgl_All_n", "Btn_Tgl_All", 0, 0},
    {"total_bt_pin", "Btn_Tgl_All_n", "Btn_Tgl_All", 0, 0},
    {"led#_pin", "LED", "LED_n", 1, 0},
    {"ledpin", "LED", "LED_n", 1, 0},
    {"ledpin#", "LED", "LED_n", 1, 0},
    {"led#pin", "LED", "LED_n", 1, 0},
    {"netledpin", "WifiLED", "WifiLED_n", 0, 0},
    {"netled_pin", "WifiLED", "WifiLED_n", 0, 0},
    {"netled?_pin", "WifiLED", "WifiLED_n", 0, 0},
    {"wfst", "WifiLED", "WifiLED_n", 0, 0},
    {"wfst_pin", "WifiLED", "WifiLED_n", 0, 0},
    {"status_led_pin", "WifiLED", "WifiLED_n", 0, 0},
    {"backlit_io_pin", "LED", "LED_n", 1, 0},
    {"ele_pin", "BL0937CF", "BL0937CF", 1, 0},
    {"epin", "BL0937CF", "BL0937CF", 1, 0},
    {"vi_pin", "BL0937CF1", "BL0937CF1", 1, 0},
    {"ivpin", "BL0937CF1", "BL0937CF1", 1, 0},
    {"sel_pin_pin", "BL0937SEL", "BL0937SEL", 1, 0},
    {"ivcpin", "BL0937SEL", "BL0937SEL", 1, 0},
    {"r_pin", "PWM", "PWM_n", 1, 0},
    {"g_pin", "PWM", "PWM_n", 1, 1},
    {"b_pin", "PWM", "PWM_n", 1, 2},
    {"c_pin", "PWM", "PWM_n", 1, 3},
    {"w_pin", "PWM", "PWM_n", 1, 4},
    {"door#_magt_pin", "dInput", "dInput_n", 1, 0},
    {"gate_sensor_pin_pin", "dInput", "dInput_n", 1, 0},
    {"basic_pin_pin", "dInput", "dInput_n", 1, 0},
    {"onoff#", "TglChanOnTgl", "TglChanOnTgl", 1, 0},
    {"irpin", "IRRecv", "IRRecv", 1, 0},
    {"infrr", "IRRecv", "IRRecv", 1, 0},
    {"infre", "IRSend", "IRSend", 1, 0},
    {"samp_sw_pin", "BAT_Relay", "BAT_Relay_n", 1, 0},
    {"samp_pin", "BAT_ADC", "BAT_ADC", 1, 0},
    {"mosi", "SM16703P_DIN", "SM16703P_DIN", 1, 0},
    {"remote_io", "RCRecv", "RCRecv", 1, 0},
};

/* True if key is the pattern with a number for its mark. */
static bool key_matches(const char *pattern, const char *key, uint8_t *channel)
{
    const char *mark = strpbrk(pattern, "#?");
    if (mark == NULL)
        return strcmp(pattern, key) == 0;
    size_t before = (size_t)(mark - pattern);
    if (strncmp(pattern, key, before) != 0)
        return false;
    size_t digits = strspn(key + before, "0123456789");
    int64_t number = 0;
    if (strcmp(key + before + digits, mark + 1) != 0 ||
        !number_parse_int(key + before, digits, 0, PIN_MAX, &number))
        return false;
    if (*mark == '#')
        *channel = (uint8_t)number;
    return true;
}

static const struct rule *find_rule(const char *key, uint8_t *channel)
{
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        *channel = rules[i].channel;
        if (key_matches(rules[i].key, key, channel))
            return &rules[i];
    }
    *channel = 0;
    return NULL;
}

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text);
    return length >= strlen(end) && strcmp(text + length - strlen(end), end) == 0;
}

/* A number, also one that was written as a text. */
static bool get_number(const json_t *settings, const char *key, int64_t low, int64_t high,
                       int64_t *number)
{
    const json_t *value = json_object_get(settings, key);
    if (json_is_string(value))
        return number_parse_int(json_string_value(value), json_string_length(value), low, high,
                                number);
    *number = json_integer_value(value);
    return json_is_integer(value) && *number >= low && *number <= high;
}

/* "rl1_pin" has "rl1_lv" beside it, "rl" has "rl_lv", "rlypin" has "rly_lv" or "rlylv". */
static int find_level(const json_t *settings, const char *key)
{
    static const char *const ends[] = {"_pin", "pin", ""};
    static const char *const levels[] = {"_lv", "lv"};
    char name[64];
    int64_t level = 0;
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        if (!ends_with(key, ends[i]))
            continue;
        int stem = (int)(strlen(key) - strlen(ends[i]));
        for (size_t j = 0; j < sizeof levels / sizeof levels[0]; j++) {
            int length = snprintf(name, sizeof name, "%.*s%s", stem, key, levels[j]);
            if (length < (int)sizeof name && get_number(settings, name, 0, 1, &level))
                return (int)level;
        }
    }
    return -1;
}

static struct tuya_pin *add_pin(struct tuya_pins *pins, const char *key, int64_t pin)
{
    if (pins->count == TUYA_PINS_MAX || strlen(key) >= sizeof pins->pins[0].key)
        return NULL;
    struct tuya_pin *added = &pins->pins[pins->count++];
    *added = (struct tuya_pin){.pin = (uint8_t)pin, .level = -1};
    (void)snprintf(added->key, sizeof added->key, "%s", key);
    return added;
}

static void read_pin(const json_t *settings, const char *key, struct tuya_pins *pins)
{
    uint8_t channel = 0;
    int64_t number = 0;
    const struct rule *rule = find_rule(key, &channel);
    if ((rule == NULL && !ends_with(key, "pin")) || !get_number(settings, key, 0, PIN_MAX, &number))
        return;
    struct tuya_pin *pin = add_pin(pins, key, number);
    if (pin == NULL)
        return;
    pin->level = find_level(settings, key);
    if (rule == NULL)
        return;
    int level = pin->level >= 0 ? pin->level : rule->usual;
    pin->role = level == 1 ? rule->active : rule->inverted;
    pin->channel = channel;
    if (pin->role != NULL && strncmp(pin->role, "BL0937", 6) == 0)
        pins->meter = TUYA_METER_PULSES;
}

/* ------------------------------------------------------------------ lamps on two wires */

/* Which driver chip a lamp has is reported by the names of its currents. */
static const struct lamp {
    const char *tell; /* the key that only this one has */
    const char *name, *data, *clock;
    const char *colour[3], *white[3]; /* currents in mA: the first of these keys that is there */
} lamps[] = {
    {"ehccur",
     "SM2135",
     "SM2135DAT",
     "SM2135CLK",
     {"ehccur", "iicccur", "campere"},
     {"ehwcur", "iicwcur", "wampere"}},
    {"wampere",
     "SM2135",
     "SM2135DAT",
     "SM2135CLK",
     {"ehccur", "iicccur", "campere"},
     {"ehwcur", "iicwcur", "wampere"}},
    {"iicccur",
     "SM2135",
     "SM2135DAT",
     "SM2135CLK",
     {"ehccur", "iicccur", "campere"},
     {"ehwcur", "iicwcur", "wampere"}},
    {"dccur", "BP5758D", "BP5758D_DAT", "BP5758D_CLK", {"drgbcur"}, {"dwcur", "dccur"}},
    {"cjwcur", "BP1658CJ", "BP1658CJ_DAT", "BP1658CJ_CLK", {"cjccur"}, {"cjwcur"}},
    {"2235ccur", "SM2235", "SM2235DAT", "SM2235CLK", {"2235ccur"}, {"2235wcur"}},
    {"kp58wcur", "KP18058", "KP18058_DAT", "KP18058_CLK", {"kp58ccur"}, {"kp58wcur"}},
};

static int64_t first_current(const json_t *settings, const char *const keys[3])
{
    int64_t current = 1;
    for (size_t i = 0; i < 3 && keys[i] != NULL; i++)
        if (get_number(settings, keys[i], 0, 1000, &current))
            return current;
    return 1;
}

static void read_lamp_map(const json_t *settings, struct text *commands)
{
    static const char *const keys[] = {"iicr", "iicg", "iicb", "iicc", "iicw"};
    int64_t value[5];
    for (size_t i = 0; i < 5; i++)
        if (!get_number(settings, keys[i], -1, 4, &value[i]))
            return;
    text_append(commands, "LED_Map %d %d %d %d %d\n", (int)value[0], (int)value[1], (int)value[2],
                (int)value[3], (int)value[4]);
}

static void read_lamp(const json_t *settings, struct tuya_pins *pins, struct text *commands)
{
    int64_t clock = 0;
    int64_t data = 0;
    if (!get_number(settings, "iicscl", 0, PIN_MAX, &clock) ||
        !get_number(settings, "iicsda", 0, PIN_MAX, &data))
        return;
    struct tuya_pin *clock_pin = add_pin(pins, "iicscl", clock);
    struct tuya_pin *data_pin = add_pin(pins, "iicsda", data);
    if (clock_pin == NULL || data_pin == NULL)
        return;
    for (size_t i = 0; i < sizeof lamps / sizeof lamps[0]; i++) {
        const struct lamp *lamp = &lamps[i];
        if (json_object_get(settings, lamp->tell) == NULL)
            continue;
        clock_pin->role = lamp->clock;
        data_pin->role = lamp->data;
        text_append(commands, "%s_Current %d %d\n", lamp->name,
                    (int)first_current(settings, lamp->colour),
                    (int)first_current(settings, lamp->white));
        break;
    }
    read_lamp_map(settings, commands);
}

/* ------------------------------------------------------------------ the meter chip */

const char *tuya_meter_name(enum tuya_meter meter)
{
    static const char *const names[] = {
        [TUYA_METER_NONE] = "",
        [TUYA_METER_BL0942] = "BL0942",
        [TUYA_METER_HLW8032] = "HLW8032",
        [TUYA_METER_PULSES] = "BL0937 or HLW8012",
        [TUYA_METER_OTHER] = "a chip that is not known here",
    };
    return names[meter];
}

static int number_or(const json_t *settings, const char *key, int64_t high, int otherwise)
{
    int64_t number = 0;
    return get_number(settings, key, 0, high, &number) ? (int)number : otherwise;
}

/* chip_type as the vendor's lists have it (BL0942 in ten of the published ones, HLW8032 in six). It says
 * more than pins, which may be left over from another board. */
static void read_meter(const json_t *settings, struct tuya_pins *pins, struct text *commands)
{
    pins->meter_type = number_or(settings, "chip_type", INT16_MAX, -1);
    pins->meter_rx = number_or(settings, "ele_rx", PIN_MAX, -1);
    pins->meter_tx = number_or(settings, "ele_tx", PIN_MAX, -1);
    if (pins->meter_type == 3)
        pins->meter = TUYA_METER_BL0942;
    else if (pins->meter_type == 2)
        pins->meter = TUYA_METER_HLW8032;
    else if (pins->meter_type >= 0 && pins->meter == TUYA_METER_NONE)
        pins->meter = TUYA_METER_OTHER;
    if (pins->meter == TUYA_METER_BL0942)
        text_append(commands, "startDriver BL0942\n");
}

/* ------------------------------------------------------------------ the whole */

static int by_pin(const void *one, const void *other)
{
    const struct tuya_pin *a = one;
    const struct tuya_pin *b = other;
    return a->pin != b->pin ? (a->pin > b->pin) - (a->pin < b->pin) : strcmp(a->key, b->key);
}

static void read_module(const json_t *settings, struct tuya_pins *pins)
{
    const char *module = json_string_value(json_object_get(settings, "module"));
    if (module == NULL || strlen(module) >= sizeof pins->module)
        return;
    for (const char *c = module; *c != '\0'; c++)
        if (!isalnum((unsigned char)*c) && strchr("-_.", *c) == NULL)
            return;
    (void)snprintf(pins->module, sizeof pins->module, "%s", module);
    pins->chip = tuya_module_chip(module);
}

void tuya_pins_read(const json_t *settings, struct tuya_pins *pins)
{
    struct text commands;
    const char *key;
    json_t *value;
    int64_t frequency_hz = 0;
    *pins = (struct tuya_pins){.meter_type = -1, .meter_rx = -1, .meter_tx = -1};
    text_init(&commands, pins->commands, sizeof pins->commands);
    if (!json_is_object(settings))
        return;
    json_object_foreach((json_t *)settings, key, value)
    {
        (void)value;
        read_pin(settings, key, pins);
    }
    if (get_number(settings, "pwmhz", 1, 1000000, &frequency_hz))
        text_append(&commands, "PWMFrequency %d\n", (int)frequency_hz);
    read_lamp(settings, pins, &commands);
    read_meter(settings, pins, &commands);
    read_module(settings, pins);
    if (pins->count > 0)
        qsort(pins->pins, pins->count, sizeof pins->pins[0], by_pin);
}

/* As BK7231GUIFlashTool's list of modules has it. */
enum beken_chip tuya_module_chip(const char *module)
{
    if (strncasecmp(module, "CB", 2) == 0)
        return BEKEN_CHIP_BK7231N;
    if (strncasecmp(module, "T34", 3) == 0 || strncasecmp(module, "T2", 2) == 0)
        return BEKEN_CHIP_BK7231N;
    if (strncasecmp(module, "T1", 2) == 0)
        return BEKEN_CHIP_BK7238;
    if (toupper((unsigned char)module[0]) == 'W' && strlen(module) >= 3 &&
        strchr("RDrd", module[2]) == NULL)
        return BEKEN_CHIP_BK7231T;
    return BEKEN_CHIP_UNKNOWN;
}

static json_t *pins_json(const struct tuya_pins *pins)
{
    json_t *object = json_object();
    char name[8];
    char role[40];
    for (size_t i = 0; i < pins->count; i++) {
        const struct tuya_pin *pin = &pins->pins[i];
        if (pin->role == NULL)
            continue;
        (void)snprintf(name, sizeof name, "%u", pin->pin);
        (void)snprintf(role, sizeof role, "%s;%u", pin->role, pin->channel);
        (void)json_object_set_new(object, name, json_string(role));
    }
    return object;
}

/* One line: a startup command has only one. */
static void join_commands(const struct tuya_pins *pins, char *command, size_t size)
{
    command[0] = '\0';
    if (pins->commands[0] == '\0')
        return;
    (void)snprintf(command, size, "backlog %s", pins->commands);
    for (char *c = command; *c != '\0'; c++)
        if (*c == '\n')
            *c = c[1] == '\0' ? '\0' : ';';
}

json_t *tuya_pins_template(const struct tuya_pins *pins, enum beken_chip chip)
{
    char command[sizeof pins->commands + 16];
    join_commands(pins, command, sizeof command);
    if (chip == BEKEN_CHIP_UNKNOWN)
        chip = pins->chip;
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:s, s:s, s:s}", "vendor",
                     "Tuya", "bDetailed", "0", "name", "", "model", "", "chip",
                     chip == BEKEN_CHIP_UNKNOWN ? "" : beken_chip_name(chip), "board", pins->module,
                     "flags", "1024", "keywords", json_array(), "pins", pins_json(pins), "command",
                     command, "image", "", "wiki", "");
}

void tuya_pins_apply(const struct tuya_pins *pins, struct obk_config *config)
{
    char command[sizeof pins->commands + 16];
    char present[OBK_CONFIG_TEXT_SIZE];
    for (size_t i = 0; i < pins->count; i++) {
        const struct tuya_pin *pin = &pins->pins[i];
        struct obk_config_pin what = {.channel = pin->channel};
        if (pin->pin < OBK_CONFIG_PINS && pin->role != NULL &&
            obk_role_parse(pin->role, strlen(pin->role), &what.role))
            obk_config_set_pin(config, pin->pin, what);
    }
    join_commands(pins, command, sizeof command);
    obk_config_get(config, "startup_command", present);
    if (present[0] == '\0' && command[0] != '\0')
        (void)obk_config_set(config, "startup_command", command, NULL);
}
