/* SPDX-License-Identifier: MIT */
#include "bridge/commands/check_broker.h"

#include "bridge/mqtt/publisher.h"
#include "bridge/service/broker.h"
#include "drivers/base/clock.h"
#include "drivers/base/file.h"
#include "drivers/base/log.h"
#include "drivers/base/memory.h"

#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { PEM_MAX = 1 << 20, CONNECT_MS = 10000, RETAINED_MS = 1000, POLL_MS = 20, CLOSE_MS = 1000 };

/* ---- files ---- */

static enum status check_pem(const char *key, const char *path, const char *holds,
                             struct error *error)
{
    char *bytes = NULL;
    size_t length = 0;
    if (path[0] == '\0')
        return STATUS_OK;
    if (file_read(path, PEM_MAX, &bytes, &length, error) != STATUS_OK)
        return error_prefix(error, STATUS_USAGE, "%s: ", key);
    const char *begin = memmem(bytes, length, "-----BEGIN ", 11);
    bool good = begin != NULL && memmem(bytes, length, holds, strlen(holds)) != NULL;
    explicit_bzero(bytes, length);
    free(bytes);
    if (good)
        return STATUS_OK;
    return error_set(error, STATUS_USAGE, "%s: %s is no PEM file with a %s.", key, path,
                     strcmp(key, "mqtt.key") == 0 ? "private key" : "certificate");
}

enum status check_tls_files(const struct config_mqtt *mqtt, struct error *error)
{
    if (strncmp(mqtt->server, "mqtts:", 6) != 0)
        return STATUS_OK; /* they change nothing */
    enum status status = check_pem("mqtt.ca", mqtt->ca, "CERTIFICATE-----", error);
    if (status == STATUS_OK)
        status = check_pem("mqtt.cert", mqtt->cert, "CERTIFICATE-----", error);
    return status == STATUS_OK ? check_pem("mqtt.key", mqtt->key, "PRIVATE KEY-----", error)
                               : status;
}

/* ---- the broker ---- */

struct looking {
    char topic[256];
    bool connected;
    char bridge_id[64]; /* as it is retained; "" none */
    pthread_mutex_t lock;
    char complaint
        [LOG_LINE_SIZE]; /* what the publisher's thread said first; "" nothing. Under the lock */
};

/* Why there is no connection, in the publisher's words: a wrong password does not become right by waiting. */
static void on_log(void *context, enum log_level level, const char *message)
{
    struct looking *looking = context;
    (void)level;
    pthread_mutex_lock(&looking->lock);
    if (looking->complaint[0] == '\0')
        (void)snprintf(looking->complaint, sizeof looking->complaint, "%s", message);
    pthread_mutex_unlock(&looking->lock);
}

static bool complained(struct looking *looking)
{
    pthread_mutex_lock(&looking->lock);
    bool answer = looking->complaint[0] != '\0';
    pthread_mutex_unlock(&looking->lock);
    return answer;
}

static void on_incoming(void *context, const struct publisher_incoming *incoming)
{
    struct looking *looking = context;
    looking->connected = looking->connected || incoming->kind == PUBLISHER_CONNECTED;
    if (incoming->kind != PUBLISHER_MESSAGE || strcmp(incoming->topic, looking->topic) != 0)
        return;
    json_t *info = json_loadb(incoming->payload, incoming->payload_length, 0, NULL);
    const char *id = json_string_value(json_object_get(info, "bridge_id"));
    (void)snprintf(looking->bridge_id, sizeof looking->bridge_id, "%.60s", id != NULL ? id : "");
    json_decref(info);
}

static void look(struct publisher *publisher, struct looking *looking)
{
    int64_t until_ms = clock_boot_ms() + CONNECT_MS;
    bool counted = false;
    while (clock_boot_ms() < until_ms && looking->bridge_id[0] == '\0') {
        const struct timespec pause = {.tv_nsec = POLL_MS * 1000000L};
        (void)nanosleep(&pause, NULL);
        publisher_poll(publisher, on_incoming, looking);
        if (!looking->connected && complained(looking))
            return;
        if (looking->connected && !counted)
            until_ms = clock_boot_ms() + RETAINED_MS;
        counted = looking->connected;
    }
}

static enum status judge(const struct config *config, const struct looking *looking,
                         struct error *error)
{
    if (!looking->connected && looking->complaint[0] != '\0')
        return error_set(error, STATUS_NO_ANSWER, "%s", looking->complaint);
    if (!looking->connected)
        return error_set(error, STATUS_NO_ANSWER,
                         "The broker %s did not let this configuration in within %d s.",
                         config->mqtt.server, CONNECT_MS / 1000);
    if (looking->bridge_id[0] == '\0' || strcmp(looking->bridge_id, config->bridge.id) == 0)
        return STATUS_OK;
    return error_set(
        error, STATUS_USAGE,
        "The bridge \"%s\" has published on %s, but this one is \"%s\": give each bridge its own "
        "mqtt.base_topic. If the other one is gone, clear that topic.",
        looking->bridge_id, looking->topic, config->bridge.id);
}

enum status check_broker(const struct config *config, struct error *error)
{
    char client_id[64];
    struct looking looking = {.lock = PTHREAD_MUTEX_INITIALIZER};
    struct publisher *publisher = NULL;
    struct publisher_options options = broker_options(&config->mqtt);
    struct log *log = log_create(LOG_LEVEL_WARNING);
    (void)snprintf(client_id, sizeof client_id, "bl2mqtt_check_%d", (int)getpid());
    (void)snprintf(looking.topic, sizeof looking.topic, "%s/bridge/info", config->mqtt.base_topic);
    options.client_id = client_id;
    options.log = log;
    log_observe(log, on_log, &looking);
    enum status status = publisher_create(&options, &publisher, error);
    if (status == STATUS_OK) {
        publisher_subscribe(publisher, looking.topic, 1);
        status = publisher_start(publisher, error);
        if (status == STATUS_OK)
            look(publisher, &looking);
        publisher_close(publisher, CLOSE_MS);
    }
    log_free(log);
    return status == STATUS_OK ? judge(config, &looking, error) : status;
}
