/* SPDX-License-Identifier: MIT */
#include "bridge/mqtt/broker_limits.h"

#include "bridge/mqtt/reason.h"
#include "drivers/base/text.h"

#include <inttypes.h>
#include <string.h>

#define ASK_AFTER_LOSSES 2
#define HOLD_AFTER_LOSSES 3
#define SUSPECT_SIZE_MIN 1024 /* no broker in use has a smaller limit */

void broker_limits_init(struct broker_limits *limits, int version, bool wants_retain)
{
    *limits = (struct broker_limits){
        .configured_version = version,
        .wants_retain = wants_retain,
        .announced = CONNECTION_NO_LIMITS,
    };
}

int broker_limits_version(const struct broker_limits *limits)
{
    bool asks = limits->asking == LIMITS_ASK_IN_5 || limits->asking == LIMITS_KEEP_5;
    return asks ? 5 : limits->configured_version;
}

bool broker_limits_connected(struct broker_limits *limits,
                             const struct connection_limits *announced)
{
    bool changes = limits->asking == LIMITS_ASK_IN_5;
    bool retain = limits->announced.retain;
    int qos_max = limits->announced.qos_max;
    limits->announced = *announced;
    if (broker_limits_version(limits) == 4) { /* 3.1.1 announces nothing: what was refused stays */
        limits->announced.retain = retain;
        limits->announced.qos_max = qos_max;
    }
    limits->longest_size = 0;
    limits->seen_retained = false;
    if (changes)
        limits->asking = LIMITS_KEEP_5;
    return changes;
}

static void copy_topic(char to[BROKER_LIMITS_TOPIC], const char *topic)
{
    struct text text;
    text_init(&text, to, BROKER_LIMITS_TOPIC);
    text_append(&text, "%s", topic);
}

/* Which message the connection may have broken on. */
static void suspect(struct broker_limits *limits, const struct broker_limits_end *end)
{
    if (end->topic == NULL || end->size < SUSPECT_SIZE_MIN)
        return;
    if (strncmp(limits->suspect, end->topic, sizeof limits->suspect - 1) != 0)
        limits->suspect_losses = 0;
    copy_topic(limits->suspect, end->topic);
    limits->suspect_losses++;
    if (limits->suspect_losses < HOLD_AFTER_LOSSES && end->code != REASON_PACKET_TOO_LARGE)
        return;
    limits->held_size = end->size;
    limits->suspect_losses = 0;
}

static void ask_in_5(struct broker_limits *limits, const struct broker_limits_end *end)
{
    if (limits->configured_version == 5)
        return;
    bool heard_no = end->kind == CONNECTION_REFUSED || end->kind == CONNECTION_DROPPED ||
                    end->kind == CONNECTION_SILENT;
    if (limits->asking == LIMITS_ASK_IN_5 && !end->was_connected && heard_no)
        limits->asking = LIMITS_NOT_IN_5;
    else if (limits->asking == LIMITS_KEEP_5 && !end->was_connected && heard_no)
        limits->asking = LIMITS_AS_CONFIGURED; /* another broker may have taken its place */
    else if (limits->asking == LIMITS_AS_CONFIGURED &&
             (limits->short_losses >= ASK_AFTER_LOSSES || end->packet_refused))
        limits->asking = LIMITS_ASK_IN_5;
}

static void note_refusal(struct broker_limits *limits, int code)
{
    if (code == REASON_RETAIN_NOT_SUPPORTED)
        limits->announced.retain = false;
    if (code == REASON_QOS_NOT_SUPPORTED)
        limits->announced.qos_max = 0;
}

void broker_limits_ended(struct broker_limits *limits, const struct broker_limits_end *end)
{
    note_refusal(limits, end->code);
    if (end->was_connected && end->stood_ms >= BROKER_LIMITS_STABLE_MS) {
        limits->short_losses = limits->suspect_losses = 0;
        limits->held_size = 0;
        if (limits->asking == LIMITS_NOT_IN_5)
            limits->asking = LIMITS_AS_CONFIGURED;
        return;
    }
    bool without_reason = end->code <= 0 && ((end->was_connected && end->kind == CONNECTION_LOST) ||
                                             end->kind == CONNECTION_DROPPED);
    if (without_reason)
        limits->short_losses++;
    if (end->was_connected && (without_reason || end->code == REASON_PACKET_TOO_LARGE))
        suspect(limits, end);
    ask_in_5(limits, end);
}

bool broker_limits_admit(struct broker_limits *limits, const char *topic, size_t size)
{
    size_t packet_max = limits->announced.packet_max;
    bool fits = (packet_max == 0 || size <= packet_max) &&
                (limits->held_size == 0 || size < limits->held_size);
    if (!fits && size > limits->longest_size) {
        limits->longest_size = size;
        copy_topic(limits->longest, topic);
    }
    return fits;
}

int broker_limits_qos(const struct broker_limits *limits, int qos)
{
    return qos < limits->announced.qos_max ? qos : limits->announced.qos_max;
}

bool broker_limits_retain(const struct broker_limits *limits)
{
    return limits->wants_retain && limits->announced.retain;
}

bool broker_limits_may_clear(const struct broker_limits *limits)
{
    return limits->announced.retain && (limits->wants_retain || limits->seen_retained);
}

static void append_packet_limit(const struct broker_limits *limits, struct text *text)
{
    if (limits->announced.packet_max > 0)
        text_append(text, "The MQTT broker accepts packets of at most %zu bytes; ",
                    limits->announced.packet_max);
    else
        text_append(text, "The MQTT broker closes the connection after large messages; ");
    text_append(text,
                "longer messages are not published, of these the longest is %s (%zu bytes). Raise "
                "the broker's limit (mosquitto: max_packet_size).",
                limits->longest, limits->longest_size);
}

size_t broker_limits_problems(const struct broker_limits *limits,
                              char sentences[BROKER_LIMITS_PROBLEMS][BROKER_LIMITS_SENTENCE])
{
    size_t count = 0;
    struct text text;
    if (limits->longest_size > 0) {
        text_init(&text, sentences[count++], BROKER_LIMITS_SENTENCE);
        append_packet_limit(limits, &text);
    }
    if (limits->wants_retain && !limits->announced.retain) {
        text_init(&text, sentences[count++], BROKER_LIMITS_SENTENCE);
        text_append(&text,
                    "The MQTT broker keeps no retained messages: whoever connects later knows "
                    "nothing of this bridge until it publishes again. Allow them (mosquitto: "
                    "retain_available), or set mqtt.retain to false.");
    }
    if (limits->announced.qos_max < 1) {
        text_init(&text, sentences[count++], BROKER_LIMITS_SENTENCE);
        text_append(&text, "The MQTT broker accepts only QoS 0: what is published may be lost "
                           "without notice (mosquitto: max_qos).");
    }
    return count;
}
