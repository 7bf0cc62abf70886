/* SPDX-License-Identifier: MIT */
/*
 * Paho MQTT C 1.3.12 (MQTTAsync, with TLS), and what is done about its habits:
 *
 * - Its sender thread resolves names with getaddrinfo while holding the lock that nearly every call
 *   takes. Hence one thread calls Paho, and calls nothing between connection_open and its outcome.
 * - Its automatic reconnect looks at the clock every 3 s, loses the reason of a failure, keeps messages
 *   queued before a loss and sends them first afterwards, and calls failure callbacks twice. Hence it
 *   is not used: each attempt is a new handle, and the publisher decides when.
 * - Destroying the last handle stops Paho's threads, and each of them leaves OpenSSL's per-thread data
 *   behind (fixed in 1.3.13). Hence a spare handle, never connected, is kept as long as the publisher.
 * - With MQTTVERSION_DEFAULT it falls back to MQTT 3.1 after a loss. Hence the version is explicit.
 * - With the default options the host name in the certificate is not checked. Hence verify = 1.
 * - It obeys http_proxy and https_proxy from the environment also for plain MQTT. Hence
 *   publisher_create takes them out of this process's environment.
 * - It keeps no messages on disk here (its file persistence crashes on a damaged file) and buffers
 *   none while offline: latest.c does that.
 */
#include "bridge/mqtt/connection.h"

#include "bridge/mqtt/paho.h"
#include "drivers/base/memory.h"
#include "drivers/base/text.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* The resolver's own patience is 30 s in the worst common case (three servers, two tries of 5 s each);
 * Paho counts it as part of this, and the handshakes need theirs. */
#define CONNECT_TIMEOUT_S 60
#define THREADS_GONE_TRIES 250 /* of 2 ms */

struct slot {
    struct connection *connection;
    unsigned index;
};

struct connection {
    const struct paho *paho;
    MQTTAsync handle;
    struct connection_events events;
    bool version_5;
    bool was_connected; /* these three: only touched with Paho's lock held */
    bool has_ended;
    struct connection_end end;
    struct slot slots[CONNECTION_SLOTS];
};

struct connection_library {
    const struct paho *paho;
    MQTTAsync spare;
};

struct connection_library *connection_library_open(bool tls, struct error *error)
{
    const struct paho *paho = paho_load(tls, error);
    if (paho == NULL)
        return NULL;
    struct connection_library *library = memory_new(1, sizeof *library);
    library->paho = paho;
    int rc = paho->create(&library->spare, "tcp://localhost:1", "spare",
                          MQTTCLIENT_PERSISTENCE_NONE, NULL);
    if (rc == MQTTASYNC_SUCCESS)
        return library;
    (void)error_set(error, STATUS_FAILED, "The MQTT library could not be started (%s).",
                    paho->strerror(rc));
    free(library);
    return NULL;
}

static bool is_paho_thread(const char *task)
{
    char path[64];
    char name[16] = "";
    struct text text;
    text_init(&text, path, sizeof path);
    text_append(&text, "/proc/self/task/%s/comm", task);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false; /* it ended meanwhile */
    ssize_t got = read(fd, name, sizeof name - 1);
    (void)close(fd);
    return got > 0 && strncmp(name, "MQTTAsync_", 10) == 0;
}

static bool paho_threads_left(void)
{
    DIR *tasks = opendir("/proc/self/task");
    if (tasks == NULL)
        return false;
    bool left = false;
    const struct dirent *entry;
    while (!left && (entry = readdir(tasks)) != NULL)
        left = is_paho_thread(entry->d_name);
    (void)closedir(tasks);
    return left;
}

/* Destroying the last handle waits until Paho's threads say that they stop, but they are detached and
 * then still clean up after OpenSSL. If the process ended at that moment, both would clean up at once. */
void connection_library_close(struct connection_library *library)
{
    if (library == NULL)
        return;
    library->paho->destroy(&library->spare);
    free(library);
    for (int tries = 0; tries < THREADS_GONE_TRIES && paho_threads_left(); tries++) {
        const struct timespec pause = {.tv_nsec = 2000000};
        (void)nanosleep(&pause, NULL);
    }
}

static void report_end(struct connection *connection, enum connection_end_kind kind, int code)
{
    if (connection->has_ended)
        return;
    connection->has_ended = true;
    connection->end.kind = kind;
    connection->end.code = code;
    connection->events.ended(connection->events.context, &connection->end);
}

static void on_connected(struct connection *connection, const struct connection_limits *limits)
{
    if (connection->has_ended || connection->was_connected)
        return;
    connection->was_connected = true;
    connection->events.connected(connection->events.context, limits);
}

/* The codes of a CONNACK are positive; Paho's own are negative, with a text where it knows more. */
static void on_connect_failure(struct connection *connection, int code, const char *message)
{
    if (code > 0)
        report_end(connection, CONNECTION_REFUSED, code);
    else if (connection->end.words[0] != '\0')
        report_end(connection, CONNECTION_TLS_FAILED, code);
    else if (message != NULL && strstr(message, "timeout") != NULL)
        report_end(connection, CONNECTION_SILENT, code);
    else if (message != NULL && strstr(message, "completion") != NULL)
        report_end(connection, CONNECTION_DROPPED, code); /* between CONNECT and CONNACK */
    else
        report_end(connection, CONNECTION_UNREACHABLE, code);
}

static void connect_success(void *context, MQTTAsync_successData *response)
{
    (void)response;
    on_connected(context, &CONNECTION_NO_LIMITS);
}

/* False, and *value as it was, if the broker does not name it. */
static bool read_property(const struct paho *paho, MQTTAsync_successData5 *response,
                          enum MQTTPropertyCodes code, int64_t *value)
{
    if (paho->has_property(&response->properties, code) == 0)
        return false;
    *value = paho->numeric_property(&response->properties, code);
    return true;
}

static void connect_success5(void *context, MQTTAsync_successData5 *response)
{
    const struct connection *connection = context;
    const struct paho *paho = connection->paho;
    struct connection_limits limits = CONNECTION_NO_LIMITS;
    int64_t value = 0;
    /* An int of 32 bits in the library, although the value has no sign. */
    if (read_property(paho, response, MQTTPROPERTY_CODE_MAXIMUM_PACKET_SIZE, &value))
        limits.packet_max = (uint32_t)value;
    if (read_property(paho, response, MQTTPROPERTY_CODE_MAXIMUM_QOS, &value))
        limits.qos_max = (int)value;
    if (read_property(paho, response, MQTTPROPERTY_CODE_RETAIN_AVAILABLE, &value))
        limits.retain = value != 0;
    on_connected(context, &limits);
}

static void connect_failure(void *context, MQTTAsync_failureData *response)
{
    on_connect_failure(context, response->code, response->message);
}

static void connect_failure5(void *context, MQTTAsync_failureData5 *response)
{
    /* The reason code of the CONNACK is in code; reasonCode is not always set. */
    on_connect_failure(context, response->code, response->message);
}

static void connection_lost(void *context, char *cause)
{
    (void)cause; /* always NULL in this version */
    report_end(context, CONNECTION_LOST, 0);
}

/* MQTT 5: the broker says why, just before it closes. */
static void server_disconnected(void *context, MQTTProperties *properties,
                                enum MQTTReasonCodes reason)
{
    (void)properties;
    report_end(context, CONNECTION_LOST, (int)reason);
}

static void disconnected(void *context, MQTTAsync_successData *response)
{
    (void)response;
    report_end(context, CONNECTION_CLOSED, 0);
}

static void disconnected5(void *context, MQTTAsync_successData5 *response)
{
    (void)response;
    report_end(context, CONNECTION_CLOSED, 0);
}

static int message_arrived(void *context, char *topic, int topic_length, MQTTAsync_message *message)
{
    struct connection *connection = context;
    /* The topic is NUL-terminated; a NUL inside, which MQTT forbids, shows in the length (which is 0
     * or not, depending on the path through Paho). */
    bool whole = topic_length <= 0 || strlen(topic) == (size_t)topic_length;
    if (whole && message->payloadlen >= 0)
        connection->events.message(connection->events.context, topic, message->payload,
                                   (size_t)message->payloadlen, message->retained != 0);
    connection->paho->free_message(&message);
    connection->paho->free(topic);
    return 1;
}

static void end_slot(void *context, enum connection_outcome outcome, int reason)
{
    struct slot *slot = context;
    struct connection *connection = slot->connection;
    connection->events.done(connection->events.context, slot->index, outcome, reason);
}

static void operation_success(void *context, MQTTAsync_successData *response)
{
    (void)response;
    end_slot(context, CONNECTION_DELIVERED, 0);
}

/* 0x80 and above is the broker's answer, all else is Paho giving up. */
static enum connection_outcome failure_outcome(int code)
{
    return code >= 0x80 ? CONNECTION_DENIED : CONNECTION_INCOMPLETE;
}

/* An acknowledgement may say no. */
static void operation_success5(void *context, MQTTAsync_successData5 *response)
{
    int reason = (int)response->reasonCode;
    end_slot(context, reason >= 0x80 ? CONNECTION_DENIED : CONNECTION_DELIVERED, reason);
}

static void operation_failure(void *context, MQTTAsync_failureData *response)
{
    end_slot(context, failure_outcome(response->code), response->code);
}

/* Paho leaves reasonCode unset in some of these and negative code in others: only a code of its own
 * (negative) is telling. */
static void operation_failure5(void *context, MQTTAsync_failureData5 *response)
{
    int reason = response->code < 0 ? 0 : (int)response->reasonCode;
    end_slot(context, failure_outcome(reason), reason);
}

/* OpenSSL's line is "thread:error:code:library:function:reason:file:line:...". Only the first is kept:
 * later ones are consequences. */
static int tls_error(const char *line, size_t length, void *context)
{
    struct connection *connection = context;
    if (connection->end.words[0] != '\0')
        return 1;
    const char *from = line;
    const char *end = line + length;
    for (int field = 0; field < 5; field++) {
        const char *colon = memchr(from, ':', (size_t)(end - from));
        if (colon == NULL) {
            from = line; /* of another kind: kept whole */
            break;
        }
        from = colon + 1;
    }
    const char *to = memchr(from, ':', (size_t)(end - from));
    size_t kept = (size_t)((to != NULL ? to : end) - from);
    if (kept >= sizeof connection->end.words)
        kept = sizeof connection->end.words - 1;
    memcpy(connection->end.words, from, kept);
    connection->end.words[kept] = '\0';
    return 1;
}

static const char *text_or_null(const char *text)
{
    return text != NULL && *text != '\0' ? text : NULL;
}

static void fill_tls(MQTTAsync_SSLOptions *tls, const struct connection_options *options,
                     struct connection *connection)
{
    tls->trustStore = text_or_null(options->ca); /* NULL: the system's certificates */
    tls->keyStore = text_or_null(options->cert);
    tls->privateKey = text_or_null(options->key);
    tls->enableServerCertAuth = options->insecure ? 0 : 1;
    tls->verify = options->insecure ? 0 : 1;
    tls->ssl_error_cb = tls_error;
    tls->ssl_error_context = connection;
}

static int create_handle(struct connection *connection, const struct connection_options *options)
{
    MQTTAsync_createOptions create = MQTTAsync_createOptions_initializer;
    create.MQTTVersion = options->version == 5 ? MQTTVERSION_5 : MQTTVERSION_3_1_1;
    create.sendWhileDisconnected = 0;
    create.maxBufferedMessages = 2 * CONNECTION_SLOTS;
    return connection->paho->create_with_options(&connection->handle, options->uri,
                                                 options->client_id, MQTTCLIENT_PERSISTENCE_NONE,
                                                 NULL, &create);
}

static bool uses_tls(const struct connection_options *options)
{
    return strncmp(options->uri, "mqtts://", 8) == 0;
}

static int start_connect(struct connection *connection, const struct connection_options *options)
{
    MQTTAsync_connectOptions three = MQTTAsync_connectOptions_initializer;
    MQTTAsync_connectOptions five = MQTTAsync_connectOptions_initializer5;
    MQTTAsync_connectOptions connect = connection->version_5 ? five : three;
    MQTTAsync_willOptions will = MQTTAsync_willOptions_initializer;
    MQTTAsync_SSLOptions tls = MQTTAsync_SSLOptions_initializer;
    MQTTProperties properties = MQTTProperties_initializer;

    will.topicName = options->will_topic;
    will.message = options->will_payload;
    will.retained = options->will_retained ? 1 : 0;
    will.qos = options->will_qos;
    bool wills = options->will_topic != NULL && options->will_topic[0] != '\0';
    connect.will = wills ? &will : NULL;
    connect.keepAliveInterval = options->keepalive_s;
    connect.connectTimeout = CONNECT_TIMEOUT_S;
    connect.username = text_or_null(options->user);
    connect.password = text_or_null(options->password);
    connect.context = connection;
    if (uses_tls(options)) {
        fill_tls(&tls, options, connection);
        connect.ssl = &tls;
    }
    if (connection->version_5) {
        MQTTProperty limit = {.identifier = MQTTPROPERTY_CODE_MAXIMUM_PACKET_SIZE};
        limit.value.integer4 = (unsigned int)options->packet_max;
        (void)connection->paho->properties_add(&properties, &limit);
        connect.connectProperties = &properties;
        connect.onSuccess5 = connect_success5;
        connect.onFailure5 = connect_failure5;
    } else {
        connect.MQTTVersion = MQTTVERSION_3_1_1;
        connect.onSuccess = connect_success;
        connect.onFailure = connect_failure;
    }
    int rc = connection->paho->connect(connection->handle, &connect);
    connection->paho->properties_free(&properties);
    return rc;
}

struct connection *connection_open(const struct connection_options *options,
                                   const struct connection_events *events, struct error *error)
{
    const struct paho *paho = paho_load(uses_tls(options), error);
    if (paho == NULL)
        return NULL;
    struct connection *connection = memory_new(1, sizeof *connection);
    connection->paho = paho;
    connection->events = *events;
    connection->version_5 = options->version == 5;
    for (unsigned i = 0; i < CONNECTION_SLOTS; i++)
        connection->slots[i] = (struct slot){.connection = connection, .index = i};

    int rc = create_handle(connection, options);
    if (rc == MQTTASYNC_SUCCESS)
        rc = connection->paho->set_callbacks(connection->handle, connection, connection_lost,
                                             message_arrived, NULL);
    if (rc == MQTTASYNC_SUCCESS && connection->version_5)
        rc =
            connection->paho->set_disconnected(connection->handle, connection, server_disconnected);
    if (rc == MQTTASYNC_SUCCESS)
        rc = start_connect(connection, options);
    if (rc == MQTTASYNC_SUCCESS)
        return connection;
    (void)error_set(error, STATUS_FAILED, "The connection could not be started (%s).",
                    connection->paho->strerror(rc));
    connection_destroy(connection);
    return NULL;
}

static MQTTAsync_responseOptions response_options(struct connection *connection, unsigned slot)
{
    MQTTAsync_responseOptions response = MQTTAsync_responseOptions_initializer;
    response.context = &connection->slots[slot];
    if (connection->version_5) {
        response.onSuccess5 = operation_success5;
        response.onFailure5 = operation_failure5;
    } else {
        response.onSuccess = operation_success;
        response.onFailure = operation_failure;
    }
    return response;
}

static enum connection_sent sent(int rc)
{
    if (rc == MQTTASYNC_SUCCESS)
        return CONNECTION_ACCEPTED;
    if (rc == MQTTASYNC_BAD_UTF8_STRING || rc == MQTTASYNC_BAD_QOS)
        return CONNECTION_NEVER;
    return CONNECTION_LATER;
}

enum connection_sent connection_send(struct connection *connection, unsigned slot,
                                     const char *topic, const char *payload, size_t length, int qos,
                                     bool retained)
{
    MQTTAsync_responseOptions response = response_options(connection, slot);
    return sent(connection->paho->send(connection->handle, topic, (int)length, payload, qos,
                                       retained ? 1 : 0, &response));
}

enum connection_sent connection_subscribe(struct connection *connection, unsigned slot,
                                          const char *filter, int qos)
{
    MQTTAsync_responseOptions response = response_options(connection, slot);
    return sent(connection->paho->subscribe(connection->handle, filter, qos, &response));
}

bool connection_disconnect(struct connection *connection)
{
    MQTTAsync_disconnectOptions three = MQTTAsync_disconnectOptions_initializer;
    MQTTAsync_disconnectOptions five = MQTTAsync_disconnectOptions_initializer5;
    MQTTAsync_disconnectOptions options = connection->version_5 ? five : three;
    options.context = connection;
    if (connection->version_5)
        options.onSuccess5 = disconnected5;
    else
        options.onSuccess = disconnected;
    return connection->paho->disconnect(connection->handle, &options) == MQTTASYNC_SUCCESS;
}

void connection_destroy(struct connection *connection)
{
    if (connection == NULL)
        return;
    if (connection->handle != NULL)
        connection->paho->destroy(&connection->handle);
    free(connection);
}

size_t connection_packet_size(size_t topic_length, size_t payload_length)
{
    /* Type, length of the rest, length of the topic, packet number, length of the (no) properties. */
    return 1 + 4 + 2 + topic_length + 2 + 1 + payload_length;
}

const char *connection_library_version(void)
{
    struct error error = {""};
    const struct paho *paho = paho_load(false, &error);
    const MQTTAsync_nameValue *info = paho == NULL ? NULL : paho->version_info();
    for (; info != NULL && info->name != NULL; info++)
        if (strcmp(info->name, "Version") == 0)
            return info->value;
    return paho == NULL ? NULL : "unknown";
}
