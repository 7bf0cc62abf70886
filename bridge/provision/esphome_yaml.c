/* SPDX-License-Identifier: MIT */
#include "bridge/provision/esphome_yaml.h"

#include "drivers/base/memory.h"

#include <ctype.h>
#include <jansson.h>
#include <string.h>

#define TCP_PORT_FIRST 6638 /* not 8892, where ESPHome's updates come in */

/* Of each UART of a BK7231: where the chip's answers arrive and the module's requests leave. */
static const struct {
    int tx, rx;
} pins[] = {[1] = {11, 10}, [2] = {0, 1}};

bool esphome_node_is_good(const char *node)
{
    size_t length = strspn(node, "abcdefghijklmnopqrstuvwxyz0123456789-");
    return length > 0 && length <= ESPHOME_NODE_MAX && node[length] == '\0' && node[0] != '-' &&
           node[length - 1] != '-';
}

static const char *board_of(const struct profile *profile)
{
    for (size_t i = 0; i < profile->image.chip_count; i++)
        if (strcmp(beken_chip_name(profile->image.chips[i]), "BK7231N") == 0)
            return "cbu";
    return "generic-bk7231t-qfn32-tuya";
}

static void append_head(const struct profile *profile, const char *node, enum esphome_road road,
                        struct text *text)
{
    text_append(text,
                "# ESPHome for %s: %s\n"
                "# Wi-Fi%s stand in ESPHome's secrets.yaml. Compile with ESPHome %s or later.\n"
                "esphome:\n"
                "  name: %s\n"
                "bk72xx:\n"
                "  board: %s\n"
                "logger:\n"
                "  baud_rate: 0                 # the log would share a UART with a chip\n"
                "wifi:\n"
                "  ssid: !secret wifi_ssid\n"
                "  password: !secret wifi_password\n"
                "  power_save_mode: none\n"
                "ota:\n"
                "  - platform: esphome\n",
                profile->name, profile->title, road == ESPHOME_MQTT ? " and broker" : "",
                road == ESPHOME_MQTT ? "2026.6" : "2026.10", node, board_of(profile));
}

static void append_uarts(const struct profile *profile, struct text *text)
{
    text_append(text, "uart:\n");
    for (size_t i = 0; i < profile->channel_count; i++) {
        int uart = profile->channels[i].uart;
        text_append(text, "  - {id: uart_%c, tx_pin: P%d, rx_pin: P%d, baud_rate: 4800}\n",
                    profile->channels[i].name, pins[uart].tx, pins[uart].rx);
    }
}

static void append_sensor(char name, struct text *text)
{
    static const struct {
        const char *key, *title;
        int decimals;
    } values[] = {
        {"voltage", "Voltage", 0}, {"current", "Current", 0},     {"power", "Power", 0},
        {"energy", "CF", 0},       {"frequency", "Frequency", 3},
    };
    text_append(text,
                "  - platform: bl0942\n"
                "    uart_id: uart_%c\n"
                "    reset: false               # true, the default, would clear the counter\n"
                "    update_interval: 1s\n"
                "    voltage_reference: 1       # registers as they are: the bridge calibrates\n"
                "    current_reference: 1\n"
                "    power_reference: 1\n"
                "    energy_reference: 1\n",
                name);
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
        text_append(text, "    %s: {name: \"%s %c\", accuracy_decimals: %d}\n", values[i].key,
                    values[i].title, toupper((unsigned char)name), values[i].decimals);
}

static void append_mqtt(const struct profile *profile, struct text *text)
{
    text_append(text, "mqtt:\n"
                      "  broker: !secret mqtt_broker\n"
                      "  username: !secret mqtt_username\n"
                      "  password: !secret mqtt_password\n"
                      "  discovery: false             # its units would be wrong\n");
    append_uarts(profile, text);
    text_append(text, "sensor:\n");
    for (size_t i = 0; i < profile->channel_count; i++)
        append_sensor(profile->channels[i].name, text);
}

static void append_tcp(const struct profile *profile, struct text *text)
{
    append_uarts(profile, text);
    text_append(text, "uart_tcp:\n");
    for (size_t i = 0; i < profile->channel_count; i++)
        text_append(text, "  - {role: server, uart_id: uart_%c, port: %zu}\n",
                    profile->channels[i].name, TCP_PORT_FIRST + i);
}

static void append_bridge(const struct profile *profile, const char *node, enum esphome_road road,
                          struct text *text)
{
    char id[PROFILE_DEVICE_ID_MAX + 1];
    profile_device_id(node, id);
    text_append(text,
                "# For bridge.yaml:\n"
                "#devices:\n"
                "#  - id: %s\n"
                "#    driver: %s\n",
                id, road == ESPHOME_MQTT ? "esphome" : "bl0942");
    if (road == ESPHOME_MQTT)
        text_append(text, "#    topic: %s\n", node);
    text_append(text, "#    mains: {max_current: %g}\n#    channels:\n", profile->max_current_a);
    for (size_t i = 0; i < profile->channel_count; i++) {
        char name = profile->channels[i].name;
        if (road == ESPHOME_MQTT)
            text_append(text, "#      %c: {}\n", name);
        else
            text_append(text, "#      %c: {port: \"tcp://%s.local:%zu\"}\n", name, node,
                        TCP_PORT_FIRST + i);
    }
}

enum status esphome_yaml_append(const struct profile *profile, const char *node,
                                enum esphome_road road, struct text *text, struct error *error)
{
    if (!profile->openbeken)
        return error_set(error, STATUS_USAGE,
                         "%s is wired to this machine: there is no module to write anything for.",
                         profile->name);
    append_head(profile, node, road, text);
    if (road == ESPHOME_MQTT)
        append_mqtt(profile, text);
    else
        append_tcp(profile, text);
    append_bridge(profile, node, road, text);
    if (text->cut)
        return error_set(error, STATUS_FAILED, "The file for %s is too long.", profile->name);
    return STATUS_OK;
}

void esphome_bridge_append(const struct profile *profile, const char *node, const char *name,
                           struct text *text)
{
    char id[PROFILE_DEVICE_ID_MAX + 1];
    profile_device_id(node, id);
    json_t *quoted = json_string(name);
    char *words memory_auto = json_dumps(quoted, JSON_ENCODE_ANY);
    json_decref(quoted);
    text_append(text, "devices:\n  - id: %s\n", id);
    if (name[0] != '\0' && words != NULL)
        text_append(text, "    name: %s\n", words); /* JSON's strings are YAML's */
    text_append(text, "    driver: esphome\n    topic: %s\n    mains: {max_current: %g}\n", node,
                profile->max_current_a);
    text_append(text, "    channels: {");
    for (size_t i = 0; i < profile->channel_count; i++)
        text_append(text, "%s%c: {}", i > 0 ? ", " : "", profile->channels[i].name);
    text_append(text, "}\n");
}
