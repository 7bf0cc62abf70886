/* SPDX-License-Identifier: MIT */
/*
 * The thread, its state and its policy. What is shared with callers and with Paho's threads is
 * guarded by `lock`; the thread lets go of it around every call into connection.c. Paho's callbacks
 * take it with Paho's own lock held, never the other way round.
 *
 * Reconnecting is done here and not by Paho: why is reported in connection.c.
 */
#include "bridge/mqtt/publisher_state.h"

#include "bridge/mqtt/jitter.h"
#include "bridge/mqtt/packet_guard.h"
#include "bridge/mqtt/reason.h"
#include "drivers/base/clock.h"
#include "drivers/base/memory.h"

#include <string.h>

#define RETRY_LAST_MS 20000               /* plus up to a half of jitter: 30 s */
#define STABLE_MS BROKER_LIMITS_STABLE_MS /* back to the first retry interval */
#define TURN_MS 1000                      /* the thread wakes at least this often */
#define STILL_TRYING_MS 10000             /* say so when an attempt takes longer */
/* No acknowledgement for so long although the link answers pings: the broker is stuck. */
#define STALL_MIN_MS 60000
/* An attempt without any outcome for so long means a lost callback; then even a destroy that may
 * block is worth it (the watchdog sees if it does). */
#define ATTEMPT_LOST_MS 600000
#define PACKET_MAX (2 * PUBLISHER_PAYLOAD_MAX + 1024)

/* ---- small things --------------------------------------------------------------------------- */

static void wake_caller(struct publisher *publisher)
{
    if (publisher->wake != NULL && !publisher->abandoned)
        publisher->wake(publisher->wake_context);
}

/* ---- what comes from Paho's threads --------------------------------------------------------- */

static void on_connected(void *context, const struct connection_limits *limits)
{
    struct publisher *publisher = context;
    pthread_mutex_lock(&publisher->lock);
    publisher->connected_event = true;
    publisher->announced = *limits;
    pthread_cond_signal(&publisher->changed);
    pthread_mutex_unlock(&publisher->lock);
}

static void on_ended(void *context, const struct connection_end *end)
{
    struct publisher *publisher = context;
    pthread_mutex_lock(&publisher->lock);
    publisher->ended_event = true;
    publisher->end = *end;
    pthread_cond_signal(&publisher->changed);
    pthread_mutex_unlock(&publisher->lock);
}

static void on_message(void *context, const char *topic, const char *payload, size_t length,
                       bool retained)
{
    struct publisher *publisher = context;
    pthread_mutex_lock(&publisher->lock);
    publisher->health.received++;
    publisher->limits.seen_retained = publisher->limits.seen_retained || retained;
    if (length > PUBLISHER_PAYLOAD_MAX ||
        !inbox_message(&publisher->inbox, topic, payload, length, retained)) {
        publisher->health.dropped++;
        publisher->complaints_dropped++;
    } else {
        wake_caller(publisher);
    }
    pthread_mutex_unlock(&publisher->lock);
}

static void note_denied(struct publisher *publisher, const char *name, int reason)
{
    struct text text;
    text_init(&text, publisher->denied_name, sizeof publisher->denied_name);
    text_append(&text, "%s", name);
    if (publisher->denied == publisher->denied_said)
        publisher->denied_since_ms = clock_boot_ms();
    publisher->denied++;
    publisher->denied_reason = reason;
}

/* With lock held. */
static void end_slot(struct publisher *publisher, struct slot *slot,
                     enum connection_outcome outcome, int reason)
{
    bool delivered = outcome == CONNECTION_DELIVERED;
    bool denied = outcome == CONNECTION_DENIED;
    switch (slot->kind) {
    case SLOT_FREE:
        return;
    case SLOT_BIRTH:
        break;
    case SLOT_GOODBYE:
        publisher->goodbye_done = outcome != CONNECTION_INCOMPLETE;
        break;
    case SLOT_FILTER:
        if (denied)
            note_denied(publisher, publisher->filters[slot->filter].text, reason);
        break;
    case SLOT_VALUE:
        if (denied)
            note_denied(publisher, slot->value.topic, reason);
        latest_done(publisher->latest, &slot->value,
                    delivered ? LATEST_DELIVERED : (denied ? LATEST_REFUSED : LATEST_FAILED));
        break;
    case SLOT_EVENT:
        if (denied)
            note_denied(publisher, slot->event->topic, reason);
        if (!delivered)
            publisher->health.dropped++;
        publisher_free_event(slot->event);
        break;
    }
    if (delivered && slot->kind != SLOT_FILTER)
        publisher->health.published++;
    *slot = (struct slot){.kind = SLOT_FREE};
    publisher->on_the_way--;
    publisher->progress_ms = clock_boot_ms();
}

static void on_done(void *context, unsigned index, enum connection_outcome outcome, int reason)
{
    struct publisher *publisher = context;
    pthread_mutex_lock(&publisher->lock);
    end_slot(publisher, &publisher->slots[index], outcome, reason);
    pthread_cond_signal(&publisher->changed);
    pthread_mutex_unlock(&publisher->lock);
}

/* ---- sending (the thread, lock held on entry and exit) ----------------------------------------- */

static unsigned free_slot(const struct publisher *publisher)
{
    unsigned index = 0;
    while (publisher->slots[index].kind != SLOT_FREE)
        index++;
    return index;
}

static bool choose_again(struct publisher *publisher, size_t *filter)
{
    for (size_t i = 0; i < publisher->filter_count && publisher->filters_again > 0; i++) {
        if (!publisher->filters[i].again)
            continue;
        publisher->filters[i].again = false;
        publisher->filters_again--;
        *filter = i;
        return true;
    }
    return false;
}

/* Fills slot with the next thing to send; false if there is nothing. */
static bool choose_next(struct publisher *publisher, struct slot *slot)
{
    if (!publisher->birth_sent) {
        slot->kind = SLOT_BIRTH;
        return true;
    }
    if (publisher->filters_sent < publisher->filter_count) {
        slot->kind = SLOT_FILTER;
        slot->filter = publisher->filters_sent;
        return true;
    }
    if (choose_again(publisher, &slot->filter)) {
        slot->kind = SLOT_FILTER;
        return true;
    }
    if (publisher->goodbye_sent)
        return false;
    /* By turns, so that a flood of one kind does not hold up the other. */
    publisher->event_turn = !publisher->event_turn;
    if (publisher->events.first != NULL &&
        (publisher->event_turn || !latest_waiting(publisher->latest))) {
        slot->kind = SLOT_EVENT;
        slot->event = publisher_pop_event(&publisher->events);
        return true;
    }
    if (latest_take(publisher->latest, &slot->value)) {
        slot->kind = SLOT_VALUE;
        return true;
    }
    return false;
}

/* What a slot sends; all it points to stays while the slot is in use. */
struct outgoing {
    const char *topic, *payload;
    size_t length;
    int qos;
    bool retained;
};

static struct outgoing outgoing_of(const struct publisher *publisher, const struct slot *slot)
{
    const struct settings_copy *settings = &publisher->settings;
    struct outgoing out = {.topic = NULL};
    if (slot->kind == SLOT_BIRTH)
        out = (struct outgoing){settings->will_topic, settings->birth_payload,
                                strlen(settings->birth_payload), 1, true};
    else if (slot->kind == SLOT_GOODBYE)
        out = (struct outgoing){settings->will_topic, settings->will_payload,
                                strlen(settings->will_payload), 1, true};
    else if (slot->kind == SLOT_VALUE)
        out = (struct outgoing){slot->value.topic, slot->value.payload->bytes,
                                slot->value.payload->length, slot->value.qos, slot->value.retained};
    else if (slot->kind == SLOT_EVENT)
        out = (struct outgoing){slot->event->topic, slot->event->payload->bytes,
                                slot->event->payload->length, slot->event->qos, false};
    out.qos = broker_limits_qos(&publisher->limits, out.qos);
    out.retained = out.retained && (broker_limits_retain(&publisher->limits) || out.length == 0);
    return out;
}

static size_t packet_size(const struct outgoing *out)
{
    return connection_packet_size(strlen(out->topic), out->length);
}

/* Whether it may be sent at all: a packet too large, or a topic cleared where nothing is retained, may not. */
static bool admitted(struct publisher *publisher, const struct outgoing *out)
{
    if (out->topic == NULL)
        return true;
    if (out->retained && out->length == 0 && !broker_limits_may_clear(&publisher->limits))
        return false;
    return broker_limits_admit(&publisher->limits, out->topic, packet_size(out));
}

static void hold_back(struct publisher *publisher, struct slot *slot)
{
    if (slot->kind == SLOT_VALUE)
        latest_done(publisher->latest, &slot->value, LATEST_REFUSED);
    if (slot->kind == SLOT_EVENT)
        publisher_free_event(slot->event);
    if (slot->kind == SLOT_GOODBYE)
        publisher->goodbye_done = true;
}

static void note_sent(struct publisher *publisher, const struct slot *slot)
{
    if (slot->kind == SLOT_BIRTH)
        publisher->birth_sent = true;
    else if (slot->kind == SLOT_FILTER && slot->filter == publisher->filters_sent)
        publisher->filters_sent++;
}

/* Sends one chosen thing; false if the connection takes nothing more for now. */
static bool send_chosen(struct publisher *publisher, const struct slot *chosen)
{
    const struct outgoing out = outgoing_of(publisher, chosen);
    if (!admitted(publisher, &out)) {
        struct slot held = *chosen;
        hold_back(publisher, &held);
        note_sent(publisher, chosen);
        return true;
    }
    unsigned index = free_slot(publisher);
    publisher->slots[index] = *chosen;
    publisher->on_the_way++;
    if (publisher->on_the_way == 1)
        publisher->progress_ms = clock_boot_ms();
    /* The text of a filter stays where it is; the array that points to it may move. */
    struct filter filter = {.text = NULL};
    if (chosen->kind == SLOT_FILTER)
        filter = publisher->filters[chosen->filter];

    pthread_mutex_unlock(&publisher->lock);
    enum connection_sent sent =
        filter.text != NULL
            ? connection_subscribe(publisher->connection, index, filter.text, filter.qos)
            : connection_send(publisher->connection, index, out.topic, out.payload, out.length,
                              out.qos, out.retained);
    pthread_mutex_lock(&publisher->lock);

    if (sent == CONNECTION_LATER) {
        end_slot(publisher, &publisher->slots[index], CONNECTION_INCOMPLETE, 0);
        return false;
    }
    if (sent == CONNECTION_NEVER)
        end_slot(publisher, &publisher->slots[index], CONNECTION_DENIED, REASON_TOPIC_INVALID);
    note_sent(publisher, chosen);
    return true;
}

/* True if it stopped because the connection would take no more. */
static bool send_waiting(struct publisher *publisher)
{
    while (publisher->on_the_way < CONNECTION_SLOTS && !publisher->ended_event) {
        struct slot chosen = {.kind = SLOT_FREE};
        if (!choose_next(publisher, &chosen))
            return false;
        if (!send_chosen(publisher, &chosen))
            return true;
    }
    return false;
}

/* ---- connecting (the thread, lock held on entry and exit) --------------------------------------- */

static void enter(struct publisher *publisher, enum phase phase)
{
    publisher->phase = phase;
    publisher->phase_since_ms = clock_boot_ms();
    publisher->said_trying = false;
}

static void plan_retry(struct publisher *publisher)
{
    unsigned doublings = publisher->failures < 5 ? publisher->failures : 5;
    int64_t base = publisher->settings.retry_ms << doublings;
    if (base > RETRY_LAST_MS)
        base = RETRY_LAST_MS;
    publisher->failures++;
    publisher->retry_at_ms = clock_boot_ms() + base + jitter_between(0, base / 2);
}

static void begin_attempt(struct publisher *publisher)
{
    const struct settings_copy *settings = &publisher->settings;
    struct connection_options options = {
        .uri = publisher->address.uri,
        .client_id = settings->client_id,
        .user = settings->user,
        .password = settings->password,
        .keepalive_s = settings->keepalive_s,
        .version = broker_limits_version(&publisher->limits),
        .ca = settings->ca,
        .cert = settings->cert,
        .key = settings->key,
        .insecure = settings->insecure,
        .will_topic = settings->will_topic,
        .will_payload = settings->will_payload,
        .will_qos = broker_limits_qos(&publisher->limits, 1),
        .will_retained = broker_limits_retain(&publisher->limits),
        .packet_max = PACKET_MAX,
    };
    struct connection_events events = {
        .context = publisher,
        .connected = on_connected,
        .ended = on_ended,
        .message = on_message,
        .done = on_done,
    };
    struct error error = {.text = ""};
    publisher->connected_event = false;
    publisher->ended_event = false;
    pthread_mutex_unlock(&publisher->lock);
    struct connection *connection = connection_open(&options, &events, &error);
    if (connection == NULL)
        publisher_complain(publisher, error.text);
    pthread_mutex_lock(&publisher->lock);
    publisher->connection = connection;
    if (connection == NULL)
        plan_retry(publisher);
    else
        enter(publisher, PHASE_CONNECTING);
}

static void begin_session(struct publisher *publisher)
{
    enter(publisher, PHASE_ONLINE);
    publisher->birth_sent = publisher->settings.will_topic[0] == '\0';
    publisher->filters_sent = 0;
    publisher->progress_ms = publisher->phase_since_ms;
    publisher->denied = publisher->denied_said = 0;
    publisher->said_limits = false;
    bool now_5 = broker_limits_connected(&publisher->limits, &publisher->announced);
    latest_resend(publisher->latest);
    publisher->is_online = true;
    publisher->health.connected = true;
    if (publisher->ever_connected)
        publisher->health.reconnects++;
    inbox_edge(&publisher->inbox, PUBLISHER_CONNECTED);
    wake_caller(publisher);

    /* Both edges of an outage at the same level; the first connect undoes no edge. */
    bool undoes = publisher->ever_connected || publisher->complaint[0] != '\0';
    publisher->ever_connected = true;
    publisher->complaint[0] = '\0';
    pthread_mutex_unlock(&publisher->lock);
    publisher_say(publisher, undoes ? LOG_LEVEL_WARNING : LOG_LEVEL_INFO,
                  "Connected to the MQTT broker %s%s.", publisher->address.uri,
                  undoes ? " again" : "");
    if (now_5)
        publisher_say(
            publisher, LOG_LEVEL_WARNING,
            "MQTT 5 is used, because the broker closed connections of MQTT 3.1.1 without a "
            "reason.");
    pthread_mutex_lock(&publisher->lock);
}

/* What the limits learn from it. The slots are still as they were. */
static void note_end(struct publisher *publisher, const struct connection_end *end, bool was_online,
                     int64_t stood_ms, size_t refused)
{
    struct broker_limits_end facts = {.kind = end->kind,
                                      .code = end->code,
                                      .was_connected = was_online,
                                      .stood_ms = stood_ms,
                                      .packet_refused = refused > 0};
    for (unsigned i = 0; i < CONNECTION_SLOTS; i++) {
        const struct outgoing out = outgoing_of(publisher, &publisher->slots[i]);
        if (out.topic == NULL || packet_size(&out) <= facts.size)
            continue;
        facts.topic = out.topic;
        facts.size = packet_size(&out);
    }
    broker_limits_ended(&publisher->limits, &facts);
}

static void drop_events(struct publisher *publisher)
{
    while (publisher->events.first != NULL)
        publisher_drop_oldest_event(publisher);
}

/* Whatever the connection was, it is no more. */
static void end_connection(struct publisher *publisher)
{
    struct connection_end end = publisher->end;
    bool was_online = publisher->phase == PHASE_ONLINE;
    int64_t stood_ms = clock_boot_ms() - publisher->phase_since_ms;
    struct connection *connection = publisher->connection;
    publisher->connection = NULL;
    size_t refused = packet_guard_refused();
    publisher->is_online = false;
    publisher->health.connected = false;
    note_end(publisher, &end, was_online, stood_ms, refused);

    pthread_mutex_unlock(&publisher->lock);
    connection_destroy(connection);
    pthread_mutex_lock(&publisher->lock);
    for (unsigned i = 0; i < CONNECTION_SLOTS; i++)
        end_slot(publisher, &publisher->slots[i], CONNECTION_INCOMPLETE, 0);
    drop_events(publisher);
    publisher->ended_event = false;
    publisher->connected_event = false;
    if (was_online) {
        inbox_edge(&publisher->inbox, PUBLISHER_DISCONNECTED);
        wake_caller(publisher);
        if (stood_ms >= STABLE_MS)
            publisher->failures = 0;
    }
    enter(publisher, PHASE_OFFLINE);
    plan_retry(publisher);
    if (publisher->closing)
        return;

    char sentence[ERROR_TEXT_SIZE];
    struct text text;
    text_init(&text, sentence, sizeof sentence);
    pthread_mutex_unlock(&publisher->lock);
    publisher_describe_end(publisher, &end, was_online, stood_ms, refused, &text);
    publisher_complain(publisher, sentence);
    pthread_mutex_lock(&publisher->lock);
}

/* ---- one turn of the thread, by phase (lock held on entry and exit) ------------------------------- */

static void turn_offline(struct publisher *publisher)
{
    int64_t now = clock_boot_ms();
    if (now >= publisher->retry_at_ms) {
        begin_attempt(publisher);
        return;
    }
    int64_t wait = publisher->retry_at_ms - now;
    publisher_wait(publisher, &publisher->changed, wait < TURN_MS ? wait : TURN_MS);
}

static void turn_connecting(struct publisher *publisher)
{
    if (publisher->connected_event) { /* first, even if it has ended since: both edges are real */
        publisher->connected_event = false;
        begin_session(publisher);
        return;
    }
    if (publisher->ended_event) {
        end_connection(publisher);
        return;
    }
    int64_t took_ms = clock_boot_ms() - publisher->phase_since_ms;
    if (took_ms > ATTEMPT_LOST_MS) {
        publisher->end = (struct connection_end){.kind = CONNECTION_SILENT};
        end_connection(publisher);
        return;
    }
    if (took_ms > STILL_TRYING_MS && !publisher->said_trying) {
        publisher->said_trying = true;
        char sentence[ERROR_TEXT_SIZE];
        struct text text;
        text_init(&text, sentence, sizeof sentence);
        text_append(
            &text,
            "Still trying to reach the MQTT broker %s: the name lookup or the host does not "
            "answer; check the network and DNS.",
            publisher->address.uri);
        pthread_mutex_unlock(&publisher->lock);
        publisher_complain(publisher, sentence);
        pthread_mutex_lock(&publisher->lock);
        return;
    }
    publisher_wait(publisher, &publisher->changed, TURN_MS);
}

static bool stalled(const struct publisher *publisher)
{
    int64_t patience_ms = (int64_t)publisher->settings.keepalive_s * 3000;
    if (patience_ms < STALL_MIN_MS)
        patience_ms = STALL_MIN_MS;
    return publisher->on_the_way > 0 && clock_boot_ms() - publisher->progress_ms > patience_ms;
}

static void turn_online(struct publisher *publisher)
{
    if (!publisher->ended_event && stalled(publisher)) {
        publisher->end = (struct connection_end){.kind = CONNECTION_LOST};
        publisher->ended_event = true;
    }
    if (publisher->ended_event) {
        end_connection(publisher);
        return;
    }
    bool full = send_waiting(publisher);
    if (!publisher->ended_event)
        publisher_wait(publisher, &publisher->changed, full ? 100 : TURN_MS);
}

static bool anything_waits(const struct publisher *publisher)
{
    return publisher->events.first != NULL || latest_waiting(publisher->latest) ||
           publisher->on_the_way > 0;
}

/* Until the last word has arrived: what waits, then will_payload, then the disconnect. Half the time
 * is for the first, because "offline" matters more than one more state. */
static void say_goodbye(struct publisher *publisher)
{
    int64_t flush_by = clock_boot_ms() + (publisher->close_by_ms - clock_boot_ms()) / 2;
    while (!publisher->ended_event && clock_boot_ms() < publisher->close_by_ms &&
           !publisher->disconnect_sent) {
        bool full = send_waiting(publisher);
        bool flushed = !anything_waits(publisher) || clock_boot_ms() >= flush_by;
        if (flushed && publisher->settings.will_topic[0] == '\0')
            publisher->goodbye_sent = publisher->goodbye_done = true;
        if (flushed && !publisher->goodbye_sent && publisher->on_the_way < CONNECTION_SLOTS) {
            struct slot goodbye = {.kind = SLOT_GOODBYE};
            publisher->goodbye_sent = send_chosen(publisher, &goodbye);
            if (!publisher->goodbye_sent)
                publisher_wait(publisher, &publisher->changed, 10);
        } else if (publisher->goodbye_done) {
            pthread_mutex_unlock(&publisher->lock);
            bool closing = connection_disconnect(publisher->connection);
            pthread_mutex_lock(&publisher->lock);
            publisher->disconnect_sent = true;
            if (!closing)
                publisher->ended_event = true;
        } else {
            publisher_wait(publisher, &publisher->changed, full ? 10 : 50);
        }
    }
    while (publisher->disconnect_sent && !publisher->ended_event &&
           clock_boot_ms() < publisher->close_by_ms)
        publisher_wait(publisher, &publisher->changed, 50);
}

static void take_turn(struct publisher *publisher)
{
    switch (publisher->phase) {
    case PHASE_OFFLINE:
        turn_offline(publisher);
        break;
    case PHASE_CONNECTING:
        turn_connecting(publisher);
        break;
    case PHASE_ONLINE:
        turn_online(publisher);
        break;
    }
}

void *publisher_run(void *context)
{
    struct publisher *publisher = context;
    (void)pthread_setname_np(pthread_self(), "publisher");
    struct error error = {.text = ""};
    struct connection_library *library = connection_library_open(publisher->address.tls, &error);
    if (library == NULL)
        publisher_complain(publisher, error.text);

    pthread_mutex_lock(&publisher->lock);
    while (!publisher->closing) {
        publisher->health.progress++;
        publisher_say_troubles(publisher);
        take_turn(publisher);
    }
    if (publisher->phase == PHASE_ONLINE)
        say_goodbye(publisher);
    if (publisher->connection != NULL)
        end_connection(publisher);
    pthread_mutex_unlock(&publisher->lock);
    connection_library_close(library);

    pthread_mutex_lock(&publisher->lock);
    publisher->finished = true;
    bool abandoned = publisher->abandoned;
    pthread_cond_signal(&publisher->over);
    pthread_mutex_unlock(&publisher->lock);
    if (abandoned)
        publisher_free(publisher);
    return NULL;
}
