/* SPDX-License-Identifier: MIT */
#include "bridge/config/checks.h"

#include "bridge/config/mapping_file.h"
#include "bridge/meter/tariff.h"
#include "drivers/base/address.h"
#include "drivers/base/memory.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* A packet is asked for with 2 bytes and answered with 23, of 10 bits each. */
#define PACKET_BITS INT64_C(250)
#define OPENBEKEN_CLIENT_MAX 63 /* the firmware stores no more characters */

struct checker {
    const struct config *config;
    const struct notes *file;
    const struct device_notes *devices;
    const struct notes *sinks;
    struct config_problems *problems;
};

/* Where a key's value stands; where its group stands if the key is not there. */
static struct place place_of(const struct notes *notes, const char *path)
{
    char group[64];
    struct text text;
    for (size_t length = strlen(path); length > 0; length--) {
        if (path[length] != '\0' && path[length] != '.')
            continue;
        text_init(&text, group, sizeof group);
        text_append(&text, "%.*s", (int)length, path);
        const struct yaml_node *node = yaml_node_at(notes->node, group);
        if (node != NULL)
            return node->place;
    }
    return notes->node->place;
}

/* False also if the driver is missing or unknown. */
static bool is_driven_by(const struct checker *checker, size_t device, enum config_driver driver)
{
    const struct notes *notes = &checker->devices[device].own;
    return checker->config->devices[device].driver == driver &&
           notes_has(notes->given, SCOPE_DEVICE, "driver") &&
           !notes_has(notes->failed, SCOPE_DEVICE, "driver");
}

/* "12:3", or the variable's name for what came from the environment. */
static void append_place(struct text *out, struct place place)
{
    if (place.line > 0)
        text_append(out, "%d:%d", place.line, place.column);
    else
        text_append(out, "%s", place.file);
}

/* ---- what must be unique ---- */

struct entry {
    const char *word;
    struct place place;
    size_t position;
};

static int compare_entries(const void *left, const void *right)
{
    const struct entry *a = left;
    const struct entry *b = right;
    int order = strcmp(a->word, b->word);
    return order != 0 ? order : (a->position > b->position) - (a->position < b->position);
}

/* what: what the later ones have in common with the first. The words themselves are not shown: they
   may come from secrets.yaml. */
static void check_unique(const struct checker *checker, struct entry *entries, size_t count,
                         const char *what)
{
    qsort(entries, count, sizeof *entries, compare_entries);
    size_t first = 0;
    for (size_t i = 1; i < count; i++) {
        if (strcmp(entries[first].word, entries[i].word) != 0) {
            first = i;
            continue;
        }
        char where[300];
        struct text text;
        text_init(&text, where, sizeof where);
        append_place(&text, entries[first].place);
        problems_add(checker->problems, CONFIG_ERROR, entries[i].place,
                     "Another device has the same %s; the first is at %s.", what, where);
    }
}

static void check_ids(const struct checker *checker)
{
    size_t count = 0;
    struct entry *entries memory_auto = memory_new(checker->config->device_count, sizeof *entries);
    for (size_t i = 0; i < checker->config->device_count; i++) {
        const struct config_device *device = &checker->config->devices[i];
        if (device->id[0] == '\0')
            continue;
        struct place place = place_of(&checker->devices[i].own, "id");
        entries[count] = (struct entry){device->id, place, count};
        count++;
        /* <base>/bridge/... are the bridge's own topics. */
        if (strcmp(device->id, "bridge") == 0)
            problems_add(checker->problems, CONFIG_ERROR, place,
                         "The id \"bridge\" is taken by the bridge itself; choose another.");
    }
    check_unique(checker, entries, count, "id");
}

/* True if topic is parent or stands below it. */
static bool is_below(const char *topic, const char *parent)
{
    size_t length = strlen(parent);
    return strncmp(topic, parent, length) == 0 && (topic[length] == '\0' || topic[length] == '/');
}

/* Below its own topics the bridge would take its own messages for a module's. */
static void check_source_topic(const struct checker *checker, size_t number)
{
    const struct config_device *device = &checker->config->devices[number];
    struct place place = place_of(&checker->devices[number].own, "topic");
    if (is_below(device->topic, checker->config->mqtt.base_topic))
        problems_add(checker->problems, CONFIG_ERROR, place,
                     "This topic is among the bridge's own (below mqtt.base_topic); give the "
                     "module another client id or topic prefix.");
    if (device->driver == DRIVER_OPENBEKEN && strlen(device->topic) > OPENBEKEN_CLIENT_MAX)
        problems_add(checker->problems, CONFIG_ERROR, place,
                     "An OpenBeken module's client id has at most %d characters.",
                     OPENBEKEN_CLIENT_MAX);
}

static void check_module_topics(const struct checker *checker)
{
    size_t count = 0;
    struct entry *entries memory_auto = memory_new(checker->config->device_count, sizeof *entries);
    for (size_t i = 0; i < checker->config->device_count; i++) {
        const struct config_device *device = &checker->config->devices[i];
        if (device->topic[0] == '\0')
            continue;
        check_source_topic(checker, i);
        if (!is_driven_by(checker, i, DRIVER_OPENBEKEN))
            continue;
        struct place place = place_of(&checker->devices[i].own, "topic");
        entries[count] = (struct entry){device->topic, place, count};
        count++;
    }
    check_unique(checker, entries, count, "topic");
}

/* A module has a first chip and perhaps a second one; other names would read nothing. */
static void check_module_channels(const struct checker *checker)
{
    for (size_t i = 0; i < checker->config->device_count; i++) {
        const struct config_device *device = &checker->config->devices[i];
        if (!is_driven_by(checker, i, DRIVER_OPENBEKEN))
            continue;
        for (size_t j = 0; j < device->channel_count; j++)
            if (strcmp(device->channels[j].name, "a") != 0 &&
                strcmp(device->channels[j].name, "b") != 0)
                problems_add(checker->problems, CONFIG_ERROR,
                             checker->devices[i].channels[j].node->place,
                             "A channel of an OpenBeken module is called a (its first chip) or b "
                             "(its second one).");
    }
}

static bool mapping_has_channel(const struct mapping *mapping, const char *name)
{
    for (size_t i = 0; i < mapping->channel_count; i++)
        if (strcmp(mapping->channels[i], name) == 0)
            return true;
    return false;
}

static void check_mapping(const struct checker *checker, size_t number)
{
    const struct config_device *device = &checker->config->devices[number];
    struct mapping *mapping = NULL;
    struct error error = {""};
    if (mapping_load(device->mapping, &mapping, &error) != STATUS_OK) {
        problems_add(checker->problems, CONFIG_ERROR,
                     place_of(&checker->devices[number].own, "mapping"), "%s", error.text);
        return;
    }
    for (size_t i = 0; i < device->channel_count; i++)
        if (!mapping_has_channel(mapping, device->channels[i].name))
            problems_add(checker->problems, CONFIG_ERROR,
                         checker->devices[number].channels[i].node->place,
                         "The mapping %s has no such channel; its first is %s.", mapping->name,
                         mapping->channels[0]);
    mapping_free(mapping);
}

static void check_mappings(const struct checker *checker)
{
    for (size_t i = 0; i < checker->config->device_count; i++)
        if (is_driven_by(checker, i, DRIVER_MQTT) && checker->config->devices[i].mapping[0] != '\0')
            check_mapping(checker, i);
}

/* ---- serial lines ---- */

struct chip {
    const struct config_device *device;
    const struct config_channel *channel;
    const struct notes *notes;
    size_t position;
};

static int compare_chips(const void *left, const void *right)
{
    const struct chip *a = left;
    const struct chip *b = right;
    int order = strcmp(a->channel->port, b->channel->port);
    return order != 0 ? order : (a->position > b->position) - (a->position < b->position);
}

static void report_same_address(const struct checker *checker, const struct chip *first,
                                const struct chip *again)
{
    char where[300];
    struct text text;
    text_init(&text, where, sizeof where);
    append_place(&text, place_of(first->notes, "port"));
    const char *path =
        notes_has(again->notes->given, SCOPE_CHANNEL, "address") ? "address" : "port";
    problems_add(checker->problems, CONFIG_ERROR, place_of(again->notes, path),
                 "The chip with address %" PRId64
                 " on this port is already channel %s at %s; chips "
                 "on one line need different addresses.",
                 again->channel->address, first->channel->name, where);
}

static void report_other_baud(const struct checker *checker, const struct chip *first,
                              const struct chip *other)
{
    char where[300];
    struct text text;
    text_init(&text, where, sizeof where);
    append_place(&text, place_of(first->notes, "port"));
    const char *path = notes_has(other->notes->given, SCOPE_CHANNEL, "baud") ? "baud" : "port";
    problems_add(checker->problems, CONFIG_ERROR, place_of(other->notes, path),
                 "The chips on one port must have the same baud: here it is %" PRId64
                 ", but %" PRId64 " for channel %s at %s.",
                 other->channel->baud, first->channel->baud, first->channel->name, where);
}

static void check_line_speed(const struct checker *checker, const struct chip *chips, size_t count)
{
    int64_t interval_ms = INT64_MAX;
    int64_t needed_ms = 0;
    for (size_t i = 0; i < count; i++) {
        needed_ms += PACKET_BITS * INT64_C(1000) / chips[i].channel->baud + 1;
        if (chips[i].device->interval_ms < interval_ms)
            interval_ms = chips[i].device->interval_ms;
    }
    if (needed_ms <= interval_ms)
        return;
    problems_add(checker->problems, CONFIG_WARNING, place_of(chips[0].notes, "port"),
                 "At %" PRId64 " baud one round over the chips of this port takes at least %" PRId64
                 " ms, so they cannot be read every %" PRId64 " ms.",
                 chips[0].channel->baud, needed_ms, interval_ms);
}

/* chips: all on one port, in the order of the file. */
static void check_line(const struct checker *checker, const struct chip *chips, size_t count)
{
    const struct chip *by_address[4] = {NULL};
    for (size_t i = 0; i < count; i++) {
        const struct chip **taken = &by_address[chips[i].channel->address];
        if (*taken != NULL)
            report_same_address(checker, *taken, &chips[i]);
        else
            *taken = &chips[i];
        if (chips[i].channel->baud != chips[0].channel->baud)
            report_other_baud(checker, &chips[0], &chips[i]);
    }
    if (count <= 4) /* more cannot be right and were reported */
        check_line_speed(checker, chips, count);
    if (strncmp(chips[0].channel->port, "/dev/ttyUSB", 11) == 0 ||
        strncmp(chips[0].channel->port, "/dev/ttyACM", 11) == 0)
        problems_add(checker->problems, CONFIG_WARNING, place_of(chips[0].notes, "port"),
                     "After the next start this may be another adapter; use its name in "
                     "/dev/serial/by-id (`bl2mqtt ports` shows it).");
}

static bool chip_is_usable(const struct config_channel *channel, const struct notes *notes)
{
    return channel->port[0] != '\0' && !notes_has(notes->failed, SCOPE_CHANNEL, "address") &&
           !notes_has(notes->failed, SCOPE_CHANNEL, "baud");
}

static void check_lines(const struct checker *checker)
{
    size_t most = 0;
    size_t count = 0;
    for (size_t i = 0; i < checker->config->device_count; i++)
        most += checker->config->devices[i].channel_count;
    struct chip *chips memory_auto = memory_new(most, sizeof *chips);
    for (size_t i = 0; i < checker->config->device_count; i++) {
        const struct config_device *device = &checker->config->devices[i];
        if (!is_driven_by(checker, i, DRIVER_BL0942))
            continue;
        for (size_t j = 0; j < device->channel_count; j++) {
            const struct notes *notes = &checker->devices[i].channels[j];
            if (chip_is_usable(&device->channels[j], notes)) {
                chips[count] = (struct chip){device, &device->channels[j], notes, count};
                count++;
            }
        }
    }
    qsort(chips, count, sizeof *chips, compare_chips);
    for (size_t first = 0; first < count;) {
        size_t end = first + 1;
        while (end < count && strcmp(chips[end].channel->port, chips[first].channel->port) == 0)
            end++;
        check_line(checker, &chips[first], end - first);
        first = end;
    }
}

/* ---- calibration ---- */

/* power belongs to voltage and current through the chip's own constants; when it does not, one of
   the three was mistyped or measured badly. OpenBeken's factors are corrections and free. */
static void check_calibration(const struct checker *checker, const struct config_device *device,
                              const struct config_channel *channel, const struct notes *notes)
{
    if (!notes_has(notes->given, SCOPE_CHANNEL, "calibration.power") ||
        config_reading_kind(device->driver) != READING_BL0942 ||
        notes_has(notes->failed, SCOPE_CHANNEL, "calibration.voltage") ||
        notes_has(notes->failed, SCOPE_CHANNEL, "calibration.current") ||
        notes_has(notes->failed, SCOPE_CHANNEL, "calibration.power"))
        return;
    double consistency = calibration_consistency(&channel->calibration);
    if (consistency >= 0.98 && consistency <= 1.02)
        return;
    char expected[40];
    struct text text;
    text_init(&text, expected, sizeof expected);
    double power =
        calibration_power_from(channel->calibration.voltage, channel->calibration.current);
    text_append_decimal(&text, (int64_t)(power * 10 + 0.5), 1, 1, false);
    problems_add(
        checker->problems, CONFIG_WARNING, place_of(notes, "calibration.power"),
        "These factors do not go together: from voltage and current follows a power factor "
        "of %s, but it is %.1f %% off that. Calibrate again, or leave power out.",
        expected, 100 * (consistency - 1));
}

static void check_calibrations(const struct checker *checker)
{
    for (size_t i = 0; i < checker->config->device_count; i++) {
        const struct config_device *device = &checker->config->devices[i];
        for (size_t j = 0; j < device->channel_count; j++)
            check_calibration(checker, device, &device->channels[j],
                              &checker->devices[i].channels[j]);
    }
}

/* ---- broker, topics, history ---- */

static void check_tls(const struct checker *checker, const struct config_mqtt *mqtt)
{
    bool tls = strncmp(mqtt->server, "mqtts://", 8) == 0;
    struct place server = place_of(checker->file, "mqtt.server");
    if (mqtt->cert[0] != '\0' && mqtt->key[0] == '\0' &&
        !notes_has(checker->file->failed, SCOPE_FILE, "mqtt.key"))
        problems_add(checker->problems, CONFIG_ERROR, place_of(checker->file, "mqtt.cert"),
                     "mqtt.cert needs mqtt.key, the private key that belongs to it.");
    if (mqtt->key[0] != '\0' && mqtt->cert[0] == '\0' &&
        !notes_has(checker->file->failed, SCOPE_FILE, "mqtt.cert"))
        problems_add(checker->problems, CONFIG_ERROR, place_of(checker->file, "mqtt.key"),
                     "mqtt.key needs mqtt.cert, the certificate that belongs to it.");
    if (notes_has(checker->file->failed, SCOPE_FILE, "mqtt.server"))
        return;
    if (!tls && (mqtt->ca[0] != '\0' || mqtt->cert[0] != '\0' || mqtt->insecure))
        problems_add(checker->problems, CONFIG_WARNING,
                     place_of(checker->file, mqtt->ca[0] != '\0'     ? "mqtt.ca"
                                             : mqtt->cert[0] != '\0' ? "mqtt.cert"
                                                                     : "mqtt.insecure"),
                     "mqtt:// is not encrypted, so mqtt.ca, cert, key and insecure change nothing; "
                     "TLS is mqtts://.");
    size_t length = strlen(mqtt->server);
    const char *port = length > 5 ? mqtt->server + length - 5 : "";
    if (!tls && strcmp(port, ":8883") == 0)
        problems_add(checker->problems, CONFIG_WARNING, server,
                     "Port 8883 is the one for TLS; should this be mqtts://?");
    if (tls && strcmp(port, ":1883") == 0)
        problems_add(checker->problems, CONFIG_WARNING, server,
                     "Port 1883 is the one without TLS; should this be mqtt://, or port 8883?");
}

static void check_mqtt(const struct checker *checker)
{
    const struct config_mqtt *mqtt = &checker->config->mqtt;
    check_tls(checker, mqtt);
    if (mqtt->password[0] != '\0' && mqtt->user[0] == '\0' &&
        !notes_has(checker->file->failed, SCOPE_FILE, "mqtt.user"))
        problems_add(checker->problems, CONFIG_ERROR, place_of(checker->file, "mqtt.password"),
                     "There is a password but no mqtt.user; brokers take both or neither.");
    const struct config_homeassistant *there = &checker->config->homeassistant;
    if ((there->backfill_url[0] == '\0') != (there->backfill_token[0] == '\0') &&
        !notes_has(checker->file->failed, SCOPE_FILE, "homeassistant.backfill.url") &&
        !notes_has(checker->file->failed, SCOPE_FILE, "homeassistant.backfill.token"))
        problems_add(checker->problems, CONFIG_ERROR,
                     place_of(checker->file, there->backfill_url[0] == '\0'
                                                 ? "homeassistant.backfill.token"
                                                 : "homeassistant.backfill.url"),
                     "homeassistant.backfill needs both, url and token.");
    if (strcmp(mqtt->base_topic, checker->config->homeassistant.discovery_prefix) == 0)
        problems_add(checker->problems, CONFIG_ERROR, place_of(checker->file, "mqtt.base_topic"),
                     "mqtt.base_topic and homeassistant.discovery_prefix must differ, or Home "
                     "Assistant takes the meters' states for announcements.");
}

/* -1 is unlimited. */
static bool is_shorter(int64_t a, int64_t b)
{
    return a >= 0 && (b < 0 || a < b);
}

static void check_history(const struct checker *checker)
{
    const struct config_history *history = &checker->config->history;
    if (is_shorter(history->keep_minute_ms, history->keep_raw_ms))
        problems_add(checker->problems, CONFIG_WARNING, place_of(checker->file, "history.keep"),
                     "Minutes are kept shorter than the readings they are made from.");
    if (is_shorter(history->keep_hour_ms, history->keep_minute_ms))
        problems_add(checker->problems, CONFIG_WARNING, place_of(checker->file, "history.keep"),
                     "Hours are kept shorter than the minutes they are made from.");
}

/* No list of devices is an error and not a state to run in: a file that was cut short would otherwise
   take every meter out of Home Assistant. Nobody writes `devices: []` by accident. */
static void check_device_count(const struct checker *checker)
{
    if (checker->config->device_count > 0 ||
        notes_has(checker->file->failed, SCOPE_FILE, "devices"))
        return;
    const struct yaml_node *list = yaml_node_at(checker->file->node, "devices");
    if (list != NULL && list->kind == YAML_SEQUENCE)
        problems_add(checker->problems, CONFIG_WARNING, list->place,
                     "There are no devices yet; the service will only wait for one to be adopted "
                     "(`bl2mqtt openbeken find --adopt`).");
    else
        problems_add(
            checker->problems, CONFIG_ERROR, place_of(checker->file, "devices"),
            "There are no devices. Below `devices:` each meter begins with `- id:`; `bl2mqtt "
            "check --print-defaults` shows examples. `devices: []` stands for none yet.");
}

/* ---- tariffs ---- */

static struct yaml_node *list_of(struct yaml_node *node, const char *key)
{
    struct yaml_node *list = yaml_node_child(node, key);
    return list != NULL && list->kind == YAML_SEQUENCE ? list->first : NULL;
}

/* Of the key, or of what it would stand in. */
static struct place place_in(const struct yaml_node *node, const char *key)
{
    const struct yaml_node *child = yaml_node_child(node, key);
    return child != NULL ? child->place : node->place;
}

static void check_windows(const struct checker *checker, const struct config_tariff *tariff,
                          struct yaml_node *node)
{
    struct yaml_node *window = list_of(node, "windows");
    for (size_t i = 0; i < tariff->window_count && window != NULL; i++, window = window->next) {
        int from = 0;
        int to = 0;
        (void)tariff_parse_minute(tariff->windows[i].from, &from);
        (void)tariff_parse_minute(tariff->windows[i].to, &to);
        if (from == to || from == TARIFF_DAY_MINUTES)
            problems_add(checker->problems, CONFIG_ERROR, place_in(window, "to"),
                         "This window has no time in it; a whole day is from 00:00 to 24:00.");
        if (tariff->windows[i].price_micro == TARIFF_ABSENT &&
            tariff->windows[i].feed_in_micro == TARIFF_ABSENT)
            problems_add(checker->problems, CONFIG_WARNING, window->place,
                         "This window has neither price nor feed_in and so changes nothing.");
    }
}

static void check_tariffs(const struct checker *checker)
{
    const struct config *config = checker->config;
    struct yaml_node *node = list_of(checker->file->node, "tariffs");
    for (size_t i = 0; i < config->tariff_count && node != NULL; i++, node = node->next) {
        const struct config_tariff *tariff = &config->tariffs[i];
        check_windows(checker, tariff, node);
        if (strcmp(tariff->currency, config->tariffs[0].currency) != 0 &&
            tariff->currency[0] != '\0' && config->tariffs[0].currency[0] != '\0')
            problems_add(checker->problems, CONFIG_ERROR, place_in(node, "currency"),
                         "The currency is not that of the first tariff; sums over both would mean "
                         "nothing.");
        if ((tariff->dynamic || tariff->dynamic_feed_in) && config->prices.topic[0] == '\0' &&
            config->prices.file[0] == '\0')
            problems_add(checker->problems, CONFIG_ERROR, place_in(node, "dynamic"),
                         "The tariff is dynamic, but neither prices.topic nor prices.file says "
                         "where the prices come from.");
        for (size_t j = 0; j < i; j++) {
            if (strcmp(tariff->valid_from, config->tariffs[j].valid_from) != 0)
                continue;
            problems_add(checker->problems, CONFIG_ERROR, place_in(node, "valid_from"),
                         "Another tariff holds from the same day; one of them must begin later.");
            break;
        }
    }
}

/* ---- sinks ---- */

static void check_sink(const struct checker *checker, const struct config_sink *sink,
                       const struct notes *notes)
{
    if (sink->password[0] != '\0' && sink->user[0] == '\0' &&
        !notes_has(notes->failed, SCOPE_SINK, "user"))
        problems_add(checker->problems, CONFIG_ERROR, place_of(notes, "password"),
                     "There is a password but no user.");
    if (sink->token[0] != '\0' && sink->user[0] != '\0')
        problems_add(checker->problems, CONFIG_ERROR, place_of(notes, "token"),
                     "Give either token or user and password; the engine reads one of them.");
    if (sink->bucket[0] != '\0' && sink->database[0] != '\0')
        problems_add(checker->problems, CONFIG_ERROR, place_of(notes, "bucket"),
                     "Give either database (InfluxDB 1) or bucket (InfluxDB 2).");
    if (sink->org[0] != '\0' && sink->bucket[0] == '\0' &&
        !notes_has(notes->failed, SCOPE_SINK, "bucket"))
        problems_add(checker->problems, CONFIG_ERROR, place_of(notes, "org"),
                     "org needs bucket: InfluxDB 2 has both.");
    bool secret = sink->token[0] != '\0' || sink->password[0] != '\0';
    if (secret && strncmp(sink->url, "http://", 7) == 0)
        problems_add(
            checker->problems, CONFIG_WARNING, place_of(notes, "url"),
            "http:// is not encrypted: anybody on the way can read the token or password.");
}

static void check_sinks(const struct checker *checker)
{
    const struct config *config = checker->config;
    for (size_t i = 0; i < config->sink_count; i++) {
        check_sink(checker, &config->sinks[i], &checker->sinks[i]);
        for (size_t j = 0; j < i; j++)
            if (config->sinks[i].id[0] != '\0' &&
                strcmp(config->sinks[i].id, config->sinks[j].id) == 0)
                problems_add(checker->problems, CONFIG_ERROR, place_of(&checker->sinks[i], "id"),
                             "Another sink has the same id.");
    }
}

/* ---- the web page ---- */

/* What others on the network can reach must not be open by oversight. */
static void check_web(const struct checker *checker)
{
    const struct config_web *web = &checker->config->web;
    char host[256];
    uint16_t port;
    if (notes_has(checker->file->failed, SCOPE_FILE, "web.listen") ||
        !address_split(web->listen, host, sizeof host, &port))
        return; /* off, or reported already */
    bool loopback = address_is_loopback(host);
    bool secret = web->password[0] != '\0' || web->token[0] != '\0';
    bool failed = notes_has(checker->file->failed, SCOPE_FILE, "web.password") ||
                  notes_has(checker->file->failed, SCOPE_FILE, "web.token") ||
                  notes_has(checker->file->failed, SCOPE_FILE, "web.auth");
    if (failed)
        return;
    if (!loopback && web->auth != WEB_AUTH_NONE && !secret)
        problems_add(checker->problems, CONFIG_ERROR, place_of(checker->file, "web.listen"),
                     "Other machines reach this address, so a login is needed: give web.password "
                     "or web.token, or say web.auth: none if everybody on the network may use it.");
    if (loopback && web->auth == WEB_AUTH_ALWAYS && !secret)
        problems_add(checker->problems, CONFIG_ERROR, place_of(checker->file, "web.auth"),
                     "auth: always needs web.password or web.token.");
    if (secret && (web->auth == WEB_AUTH_NONE || (loopback && web->auth == WEB_AUTH_AUTO)))
        problems_add(
            checker->problems, CONFIG_WARNING,
            place_of(checker->file, web->password[0] != '\0' ? "web.password" : "web.token"),
            "It is not asked for: web.auth is none, or web.listen is reached from this "
            "machine only. With auth: always it is.");
}

void checks_run(const struct config *config, const struct notes *file,
                const struct device_notes *devices, const struct notes *sinks,
                struct config_problems *problems)
{
    const struct checker checker = {config, file, devices, sinks, problems};
    check_device_count(&checker);
    check_ids(&checker);
    check_module_topics(&checker);
    check_module_channels(&checker);
    check_mappings(&checker);
    check_lines(&checker);
    check_calibrations(&checker);
    check_mqtt(&checker);
    check_history(&checker);
    check_sinks(&checker);
    check_tariffs(&checker);
    checks_virtual(config, devices, problems);
    checks_entities(config, devices, problems);
    check_web(&checker);
}
