/* SPDX-License-Identifier: MIT */
#include "bridge/provision/broker_watch.h"

#include "bridge/mqtt/connection.h"
#include "bridge/mqtt/server_address.h"
#include "drivers/base/clock.h"
#include "drivers/base/memory.h"
#include "drivers/base/text.h"

#include <pthread.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define RETAINED_MS 700 /* within this, a broker has sent what is retained */
#define CLIENT_SIZE (OPENBEKEN_CLIENT_MAX + 1)
#define EXPLAIN_MS 3000
#define GOODBYE_MS 1500
#define PACKET_MAX 65536

struct broker_watch {
    struct connection_library *library;
    struct connection *connection;
    struct server_address address;
    char client_id[CLIENT_SIZE]; /* the module's */
    char ip_topic[CLIENT_SIZE + 4];
    bool esphome;
    struct esphome_factors factors;
    pthread_mutex_t lock; /* guards what is below, which Paho's threads write */
    pthread_cond_t news;
    uint64_t changes;
    bool connected, subscribed, denied, ended;
    struct connection_end end;
    struct broker_observation observation;
    struct esphome_values held[2];                            /* ESPHome: as they came */
    int64_t told_boot_ms, seen_boot_ms[2][BROKER_QUANTITIES]; /* when */
};

static void note(struct broker_watch *watch)
{
    watch->changes++;
    pthread_cond_broadcast(&watch->news);
}

static void on_connected(void *context, const struct connection_limits *limits)
{
    (void)limits; /* it publishes nothing */
    struct broker_watch *watch = context;
    pthread_mutex_lock(&watch->lock);
    watch->connected = true;
    note(watch);
    pthread_mutex_unlock(&watch->lock);
}

static void on_ended(void *context, const struct connection_end *end)
{
    struct broker_watch *watch = context;
    pthread_mutex_lock(&watch->lock);
    watch->ended = true;
    watch->end = *end;
    note(watch);
    pthread_mutex_unlock(&watch->lock);
}

static void on_done(void *context, unsigned slot, enum connection_outcome outcome, int reason)
{
    (void)slot; /* the subscription is the only one */
    (void)reason;
    struct broker_watch *watch = context;
    pthread_mutex_lock(&watch->lock);
    watch->subscribed = outcome == CONNECTION_DELIVERED;
    watch->denied = outcome == CONNECTION_DENIED;
    note(watch);
    pthread_mutex_unlock(&watch->lock);
}

/* Nothing but what an address is made of. */
static void take_ip(struct broker_observation *observation, const char *payload, size_t length)
{
    static const char characters[] = "0123456789abcdefABCDEF.:";
    observation->ip[0] = '\0';
    if (length >= sizeof observation->ip)
        return;
    for (size_t i = 0; i < length; i++)
        if (payload[i] == '\0' || strchr(characters, payload[i]) == NULL)
            return;
    memcpy(observation->ip, payload, length);
    observation->ip[length] = '\0';
}

static void see_connected(struct broker_watch *watch, const char *payload, size_t length)
{
    struct broker_observation *observation = &watch->observation;
    bool online = false;
    bool good = watch->esphome ? esphome_status(payload, length, &online)
                               : openbeken_connected(payload, length, &online) == OPENBEKEN_GOOD;
    if (!good || !online)
        *observation =
            (struct broker_observation){.reported = true}; /* what it published before is over */
    observation->reported = true;
    observation->online = online;
    watch->told_boot_ms = clock_boot_ms();
    note(watch);
}

static void keep_value(struct broker_watch *watch, size_t chip, enum openbeken_quantity quantity,
                       double value)
{
    watch->observation.seen[chip][quantity] = true;
    watch->observation.value[chip][quantity] = value;
    watch->seen_boot_ms[chip][quantity] = clock_boot_ms();
}

static void see_value(struct broker_watch *watch, const struct openbeken_topic *topic,
                      const char *payload, size_t length)
{
    int64_t milli;
    if (topic->quantity >= BROKER_QUANTITIES ||
        openbeken_value(topic->quantity, payload, length, &milli) != OPENBEKEN_GOOD)
        return;
    keep_value(watch, topic->chip, topic->quantity, (double)milli / 1000);
    note(watch);
}

/* ---- ESPHome ---- */

/* Which of the two chips an object's suffix names; both if there is none. */
static bool names_chip(const char *suffix, size_t length, size_t chip)
{
    return length == 0 || (length == 1 && suffix[0] == 'a' + (char)chip);
}

/* What one chip has published, in volts, amperes and watts. */
static void convert(struct broker_watch *watch, size_t chip)
{
    const unsigned kinds = 1U << ESPHOME_VOLTAGE | 1U << ESPHOME_COUNTER | 1U << ESPHOME_ENERGY;
    const struct esphome_values *values = &watch->held[chip];
    if ((values->present & kinds) == 0)
        return; /* nothing shows yet whether these are registers */
    bool registers = esphome_are_registers(values, true);
    const struct {
        enum esphome_quantity from;
        enum openbeken_quantity to;
        double factor;
    } quantities[BROKER_QUANTITIES] = {
        {ESPHOME_VOLTAGE, OPENBEKEN_VOLTAGE, watch->factors.voltage},
        {ESPHOME_CURRENT, OPENBEKEN_CURRENT, watch->factors.current},
        {ESPHOME_POWER, OPENBEKEN_POWER, watch->factors.power},
    };
    for (size_t i = 0; i < BROKER_QUANTITIES; i++)
        if ((values->present & 1U << quantities[i].from) != 0)
            keep_value(watch, chip, quantities[i].to,
                       values->value[quantities[i].from] / (registers ? quantities[i].factor : 1));
    note(watch);
}

static void see_object(struct broker_watch *watch, const char *object, size_t object_length,
                       const char *payload, size_t length)
{
    enum esphome_quantity quantity;
    const char *suffix;
    size_t suffix_length;
    double value;
    if (!esphome_object_read(object, object_length, &quantity, &suffix, &suffix_length) ||
        esphome_value(quantity, payload, length, &value) != ESPHOME_GOOD)
        return;
    for (size_t chip = 0; chip < 2; chip++) {
        if (!names_chip(suffix, suffix_length, chip))
            continue;
        watch->held[chip].present |= 1U << quantity;
        watch->held[chip].value[quantity] = value;
        convert(watch, chip);
    }
}

static void see_esphome(struct broker_watch *watch, const char *topic, const char *payload,
                        size_t length, bool retained)
{
    static const char sensor[] = "/sensor/", state[] = "/state";
    size_t id_length = strlen(watch->client_id), topic_length = strlen(topic);
    if (strncmp(topic, watch->client_id, id_length) != 0)
        return;
    const char *rest = topic + id_length;
    size_t rest_length = topic_length - id_length;
    if (strcmp(rest, "/status") == 0)
        see_connected(watch, payload, length);
    size_t around = sizeof sensor - 1 + sizeof state - 1;
    if (retained || rest_length <= around || strncmp(rest, sensor, sizeof sensor - 1) != 0 ||
        strcmp(topic + topic_length - (sizeof state - 1), state) != 0)
        return;
    see_object(watch, rest + sizeof sensor - 1, rest_length - around, payload, length);
}

/* ---- OpenBeken ---- */

/* Retained readings are of some other day; a retained `connected` is the present state. */
static void see(struct broker_watch *watch, const char *topic, const char *payload, size_t length,
                bool retained)
{
    if (strcmp(topic, watch->ip_topic) == 0 && !retained) {
        take_ip(&watch->observation, payload, length);
        note(watch);
        return;
    }
    struct openbeken_topic candidates[OPENBEKEN_CANDIDATES];
    size_t count = openbeken_topic_read(topic, candidates), length_of_id = strlen(watch->client_id);
    for (size_t i = 0; i < count; i++) {
        if (candidates[i].client_length != length_of_id ||
            memcmp(candidates[i].client, watch->client_id, length_of_id) != 0)
            continue;
        if (candidates[i].kind == OPENBEKEN_CONNECTED)
            see_connected(watch, payload, length);
        else if (candidates[i].kind == OPENBEKEN_VALUE && !retained)
            see_value(watch, &candidates[i], payload, length);
    }
}

static void on_message(void *context, const char *topic, const char *payload, size_t length,
                       bool retained)
{
    struct broker_watch *watch = context;
    pthread_mutex_lock(&watch->lock);
    if (watch->esphome)
        see_esphome(watch, topic, payload, length, retained);
    else
        see(watch, topic, payload, length, retained);
    pthread_mutex_unlock(&watch->lock);
}

/* With the lock held. False once the time is over. */
static bool wait_for_news(struct broker_watch *watch, int64_t deadline_boot_ms)
{
    int64_t left_ms = deadline_boot_ms - clock_boot_ms();
    if (left_ms <= 0)
        return false;
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    int64_t ns = until.tv_nsec + left_ms % 1000 * 1000000;
    until.tv_sec += (time_t)(left_ms / 1000 + ns / 1000000000);
    until.tv_nsec = (long)(ns % 1000000000);
    uint64_t before = watch->changes;
    while (watch->changes == before)
        if (pthread_cond_timedwait(&watch->news, &watch->lock, &until) != 0)
            return false;
    return true;
}

/* The words are the service's, whose broker is configured; here it is an option. */
static void name_the_option(char *words)
{
    static const char key[] = "mqtt.server", option[] = "--mqtt";
    char *at = strstr(words, key);
    if (at == NULL)
        return;
    memcpy(at, option, sizeof option - 1);
    char *rest = at + sizeof key - 1;
    memmove(at + sizeof option - 1, rest, strlen(rest) + 1);
}

static enum status explain_end(const struct broker_watch *watch, struct error *error)
{
    const struct connection_end *end = &watch->end;
    char words[ERROR_TEXT_SIZE / 2];
    struct text text;
    text_init(&text, words, sizeof words);
    switch (end->kind) {
    case CONNECTION_REFUSED:
        return error_set(error, STATUS_FAILED,
                         "The broker %s refuses us (code %d). Check --mqtt-user and its password, "
                         "and the broker's access rules.",
                         watch->address.uri, end->code);
    case CONNECTION_UNREACHABLE:
    case CONNECTION_SILENT:
        server_address_explain(&watch->address, EXPLAIN_MS, "it does not speak MQTT there", &text);
        name_the_option(words);
        return error_set(error, STATUS_NO_ANSWER, "The broker %s cannot be reached from here: %s.",
                         watch->address.uri, words);
    default:
        return error_set(error, STATUS_FAILED, "The broker %s closed the connection.",
                         watch->address.uri);
    }
}

static enum status explain_silence(const struct broker_watch *watch, struct error *error)
{
    if (watch->denied)
        return error_set(error, STATUS_FAILED,
                         "The broker %s does not let this user read %s/#; see its access rules.",
                         watch->address.uri, watch->client_id);
    return error_set(error, STATUS_NO_ANSWER, "The broker %s does not answer.", watch->address.uri);
}

/* Waits until the flag is set. */
static enum status wait_until(struct broker_watch *watch, const bool *flag,
                              int64_t deadline_boot_ms, struct error *error)
{
    pthread_mutex_lock(&watch->lock);
    while (!*flag && !watch->ended && !watch->denied && wait_for_news(watch, deadline_boot_ms))
        continue;
    bool reached = *flag, ended = watch->ended;
    pthread_mutex_unlock(&watch->lock);
    if (reached)
        return STATUS_OK;
    return ended ? explain_end(watch, error) : explain_silence(watch, error);
}

static enum status start(struct broker_watch *watch, const struct broker_watch_options *options,
                         struct error *error)
{
    char client_id[40];
    struct text text;
    text_init(&text, client_id, sizeof client_id);
    text_append(&text, "bl2mqtt_watch_%ld", (long)getpid());
    const struct connection_options connection = {
        .uri = watch->address.uri,
        .client_id = client_id,
        .user = options->user,
        .password = options->password,
        .keepalive_s = 30,
        .version = 4,
        .ca = "",
        .cert = "",
        .key = "",
        .packet_max = PACKET_MAX,
    };
    const struct connection_events events = {
        .context = watch,
        .connected = on_connected,
        .ended = on_ended,
        .message = on_message,
        .done = on_done,
    };
    watch->library = connection_library_open(watch->address.tls, error);
    if (watch->library == NULL)
        return STATUS_FAILED;
    watch->connection = connection_open(&connection, &events, error);
    return watch->connection != NULL ? STATUS_OK : STATUS_FAILED;
}

static enum status subscribe(struct broker_watch *watch, int64_t deadline_boot_ms,
                             struct error *error)
{
    char filter[CLIENT_SIZE + 4];
    struct text text;
    text_init(&text, filter, sizeof filter);
    text_append(&text, "%s/#", watch->client_id);
    if (connection_subscribe(watch->connection, 0, filter, 1) != CONNECTION_ACCEPTED)
        return error_set(error, STATUS_FAILED, "The broker %s could not be asked for %s.",
                         watch->address.uri, filter);
    enum status status = wait_until(watch, &watch->subscribed, deadline_boot_ms, error);
    if (status == STATUS_OK) /* whether anything is retained or not */
        (void)wait_until(watch, &watch->observation.reported, clock_boot_ms() + RETAINED_MS, NULL);
    return status;
}

static struct broker_watch *new_watch(const char *client_id)
{
    struct broker_watch *watch = memory_new(1, sizeof *watch);
    struct text text;
    text_init(&text, watch->client_id, sizeof watch->client_id);
    text_append(&text, "%s", client_id);
    text_init(&text, watch->ip_topic, sizeof watch->ip_topic);
    text_append(&text, "%s/ip", client_id);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&watch->news, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&watch->lock, NULL);
    return watch;
}

enum status broker_watch_open(const struct broker_watch_options *options, int64_t timeout_ms,
                              struct broker_watch **watch, struct error *error)
{
    (void)unsetenv("http_proxy");
    (void)unsetenv("https_proxy");
    struct broker_watch *opened = new_watch(options->client_id);
    opened->esphome = options->esphome;
    opened->factors = options->factors;
    int64_t deadline = clock_boot_ms() + timeout_ms;
    enum status status = server_address_parse(options->server, &opened->address, error);
    if (status == STATUS_OK)
        status = start(opened, options, error);
    if (status == STATUS_OK)
        status = wait_until(opened, &opened->connected, deadline, error);
    if (status == STATUS_OK)
        status = subscribe(opened, deadline, error);
    if (status == STATUS_OK)
        *watch = opened;
    else
        broker_watch_close(opened);
    return status;
}

void broker_watch_close(struct broker_watch *watch)
{
    if (watch == NULL)
        return;
    if (watch->connection != NULL) {
        pthread_mutex_lock(&watch->lock);
        bool stands = watch->connected && !watch->ended;
        pthread_mutex_unlock(&watch->lock);
        if (stands && connection_disconnect(watch->connection))
            (void)wait_until(watch, &watch->ended, clock_boot_ms() + GOODBYE_MS, NULL);
        connection_destroy(watch->connection);
    }
    connection_library_close(watch->library);
    pthread_cond_destroy(&watch->news);
    pthread_mutex_destroy(&watch->lock);
    free(watch);
}

void broker_watch_forget(struct broker_watch *watch, int64_t before_boot_ms)
{
    struct broker_observation *observation = &watch->observation;
    pthread_mutex_lock(&watch->lock);
    memset(watch->held, 0, sizeof watch->held);
    if (watch->told_boot_ms < before_boot_ms)
        observation->reported = observation->online = false;
    for (size_t channel = 0; channel < 2; channel++)
        for (size_t i = 0; i < BROKER_QUANTITIES; i++)
            if (watch->seen_boot_ms[channel][i] < before_boot_ms)
                observation->seen[channel][i] = false;
    pthread_mutex_unlock(&watch->lock);
}

enum status broker_watch_wait(struct broker_watch *watch, int64_t deadline_boot_ms,
                              struct broker_observation *observation, struct error *error)
{
    pthread_mutex_lock(&watch->lock);
    if (!watch->ended)
        (void)wait_for_news(watch, deadline_boot_ms);
    *observation = watch->observation;
    bool ended = watch->ended;
    pthread_mutex_unlock(&watch->lock);
    return ended ? explain_end(watch, error) : STATUS_OK;
}
