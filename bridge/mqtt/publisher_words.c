/* SPDX-License-Identifier: MIT */
/* What the publisher's thread says: lost connections and their reasons, refusals, limits, losses. */
#include "bridge/mqtt/publisher_state.h"

#include "bridge/mqtt/packet_guard.h"
#include "bridge/mqtt/reason.h"
#include "drivers/base/clock.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define STABLE_MS BROKER_LIMITS_STABLE_MS
#define COLLECT_MS 3000 /* so long refusals and limits are collected before they are reported */
#define COMPLAIN_AGAIN_MS 600000 /* repeat an unchanged complaint only this often */
#define EXPLAIN_MS 4000

void publisher_say(struct publisher *publisher, enum log_level level, const char *format, ...)
{
    char line[LOG_LINE_SIZE];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);

    pthread_mutex_lock(&publisher->log_guard);
    if (!publisher->abandoned) {
        if (level == LOG_LEVEL_WARNING)
            log_warning(publisher->log, "%s", line);
        else
            log_info(publisher->log, "%s", line);
    }
    pthread_mutex_unlock(&publisher->log_guard);
}

/* A complaint about the same thing as the last one is only repeated after a while. */
void publisher_complain(struct publisher *publisher, const char *sentence)
{
    int64_t now = clock_boot_ms();
    if (strcmp(sentence, publisher->complaint) == 0 &&
        now - publisher->complained_ms < COMPLAIN_AGAIN_MS)
        return;
    struct text text;
    text_init(&text, publisher->complaint, sizeof publisher->complaint);
    text_append(&text, "%s", sentence);
    publisher->complained_ms = now;
    publisher_say(publisher, LOG_LEVEL_WARNING, "%s", sentence);
}

static void describe_lost(const struct connection_end *end, int64_t stood_ms, size_t refused,
                          struct text *text)
{
    if (refused > 0)
        text_append(text,
                    "the broker sent a packet of %zu bytes; %zu are the most that is accepted here",
                    refused, PACKET_GUARD_MAX);
    else if (end->code != 0)
        text_append(text, "%s", reason_text(end->code));
    else
        text_append(text, "the broker closed it or no longer answers; check that it runs, and the "
                          "network");
    if (end->code == 0 && refused == 0 && stood_ms < STABLE_MS)
        text_append(text,
                    " (it stood for only %" PRId64 ".%" PRId64 " s: if this repeats, another "
                    "client may use the same client id, or the broker does not accept large or "
                    "retained messages)",
                    stood_ms / 1000, stood_ms % 1000 / 100);
}

void publisher_describe_end(struct publisher *publisher, const struct connection_end *end,
                            bool was_online, int64_t stood_ms, size_t refused, struct text *text)
{
    const char *uri = publisher->address.uri;
    if (was_online) {
        text_append(text, "The connection to the MQTT broker %s was lost: ", uri);
        describe_lost(end, stood_ms, refused, text);
    } else if (end->kind == CONNECTION_REFUSED) {
        text_append(text, "The MQTT broker %s refused the connection: %s", uri,
                    reason_text(end->code));
    } else if (end->kind == CONNECTION_TLS_FAILED) {
        text_append(
            text,
            "TLS with the MQTT broker %s failed: %s; check mqtt.ca, mqtt.cert and mqtt.key, "
            "and the clock of this machine",
            uri, end->words);
    } else if (end->kind == CONNECTION_DROPPED) {
        text_append(
            text, "The MQTT broker %s closed the connection without an answer: %s", uri,
            publisher->address.tls
                ? "it may want a client certificate (mqtt.cert and mqtt.key); look at its log"
                : "check the port in mqtt.server, and whether it wants mqtts://");
    } else {
        text_append(text, "The MQTT broker %s cannot be reached: ", uri);
        server_address_explain(
            &publisher->address, EXPLAIN_MS,
            publisher->address.tls
                ? "it accepts TCP connections, but its certificate is not for this host name, or "
                  "it "
                  "asks for a certificate of this bridge, or it does not answer in TLS; check the "
                  "name and the port in mqtt.server, and mqtt.cert"
                : "it accepts TCP connections, but does not answer in MQTT; check the port in "
                  "mqtt.server",
            text);
    }
    text_append(text, ".");
}

void publisher_describe_denied(const struct publisher *publisher, char *sentence, size_t size)
{
    struct text text;
    text_init(&text, sentence, size);
    text_append(&text,
                "The MQTT broker refused %" PRIu64
                " messages or subscriptions since the connection began, the last one for \"%s\": "
                "%s.",
                publisher->denied, publisher->denied_name, reason_text(publisher->denied_reason));
}

static void say_denied(struct publisher *publisher)
{
    if (publisher->denied == publisher->denied_said ||
        clock_boot_ms() - publisher->denied_since_ms < COLLECT_MS)
        return;
    char sentence[PUBLISHER_PROBLEM_SIZE];
    publisher->denied_said = publisher->denied;
    publisher_describe_denied(publisher, sentence, sizeof sentence);
    pthread_mutex_unlock(&publisher->lock);
    publisher_say(publisher, LOG_LEVEL_WARNING, "%s", sentence);
    pthread_mutex_lock(&publisher->lock);
}

/* Once the connection had time to meet them all. */
static void say_limits(struct publisher *publisher)
{
    char sentences[BROKER_LIMITS_PROBLEMS][BROKER_LIMITS_SENTENCE];
    if (publisher->phase != PHASE_ONLINE || publisher->said_limits ||
        clock_boot_ms() - publisher->phase_since_ms < COLLECT_MS)
        return;
    publisher->said_limits = true;
    size_t count = broker_limits_problems(&publisher->limits, sentences);
    pthread_mutex_unlock(&publisher->lock);
    for (size_t i = 0; i < count; i++)
        publisher_say(publisher, LOG_LEVEL_WARNING, "%s", sentences[i]);
    pthread_mutex_lock(&publisher->lock);
}

/* What was lost is reported at most once a minute. */
static void say_losses(struct publisher *publisher)
{
    int64_t now = clock_boot_ms();
    if (publisher->complaints_dropped == 0 ||
        (publisher->drops_said_ms != 0 && now - publisher->drops_said_ms < 60000))
        return;
    uint64_t dropped = publisher->complaints_dropped;
    publisher->complaints_dropped = 0;
    publisher->drops_said_ms = now;
    pthread_mutex_unlock(&publisher->lock);
    publisher_say(publisher, LOG_LEVEL_WARNING,
                  "%" PRIu64
                  " MQTT messages were dropped: too long, too many at once, or events while "
                  "there was no connection.",
                  dropped);
    pthread_mutex_lock(&publisher->lock);
}

void publisher_say_troubles(struct publisher *publisher)
{
    say_losses(publisher);
    say_denied(publisher);
    say_limits(publisher);
}
