/* SPDX-License-Identifier: MIT */
#include "drivers/bl0942/session.h"

#include "drivers/base/memory.h"
#include "drivers/bl0942/session_chip.h"

#include <stdio.h>

/* 33 bit times at 4800 baud are 6.9 ms; the clock's milliseconds may cut one off. */
#define BREAK_MS 12
/* The datasheet asks for 20 ms after a break and between chips; one more for the clock. */
#define GUARD_MS 21
/* Between two writes, on top of their time on the wire: the adapter may start them late. */
#define WRITE_GAP_MS 5
/* USB adapters and a busy machine delay an answer by this much at most. */
#define REPLY_MARGIN_MS 150
/* Wi-Fi adds to it; and between two requests the chip's UART must find 20 ms of silence. */
#define REMOTE_REPLY_MARGIN_MS 1000
#define REMOTE_GUARD_MS 50
/* No chip is faster, so an answer that comes sooner is an old one. */
#define FASTEST_BAUD 38400

/* An answer's last bytes are waited for, not the others: so much before it can be complete. */
#define LISTEN_EARLY_MS 3

#define PROBE_PATIENCE_MS 5000 /* then a probe no longer waits for a gap between polls */

static int64_t reply_margin_ms(const struct bl0942_session *session)
{
    return session->remote ? REMOTE_REPLY_MARGIN_MS : REPLY_MARGIN_MS;
}

/* How long a probe keeps the line, from now until another chip may be asked. */
static int64_t probe_ms(const struct bl0942_session *session, const struct chip *chip)
{
    int64_t needed = GUARD_MS + bl0942_exchange_ms(STEP_PROBE, bl0942_chip_baud(session, chip)) +
                     reply_margin_ms(session) + GUARD_MS;
    return chip->break_due ? needed + BREAK_MS + GUARD_MS : needed;
}

static struct chip *earliest(struct bl0942_session *session, bool waiting)
{
    struct chip *best = NULL;
    for (size_t i = 0; i < session->chip_count; i++) {
        struct chip *chip = &session->chips[i];
        if (chip->can_wait == waiting && (best == NULL || chip->due_ms < best->due_ms))
            best = chip;
    }
    return best;
}

/* The chip whose turn it is; NULL: none before *wake_ms. */
static struct chip *choose(struct bl0942_session *session, int64_t now_ms, int64_t *wake_ms)
{
    if (session->keep_active)
        return session->active;
    struct chip *poll = earliest(session, false);
    struct chip *probe = earliest(session, true);
    int64_t poll_ms = poll != NULL ? poll->due_ms : INT64_MAX;
    int64_t probe_due_ms = probe != NULL ? probe->due_ms : INT64_MAX;
    bool fits = probe != NULL && now_ms + probe_ms(session, probe) <= poll_ms;
    if (probe_due_ms <= now_ms && (fits || now_ms - probe_due_ms >= PROBE_PATIENCE_MS))
        return probe;
    if (poll_ms <= now_ms)
        return poll;
    if (probe != NULL && probe_due_ms <= now_ms)
        probe_due_ms += PROBE_PATIENCE_MS;
    *wake_ms = poll_ms < probe_due_ms ? poll_ms : probe_due_ms;
    return NULL;
}

static void send_request(struct bl0942_session *session, struct chip *chip, int64_t now_ms,
                         struct bl0942_action *action)
{
    action->kind = BL0942_SEND;
    action->length = bl0942_chip_encode(chip, action->bytes);
    session->active = chip;
    session->keep_active = false;
    session->sent_ms = now_ms;
    session->received = 0;
    if (bl0942_step_writes(chip->step)) {
        session->phase = PHASE_WRITING;
        session->until_ms = now_ms + bl0942_wire_ms(action->length, session->baud) + WRITE_GAP_MS;
        return;
    }
    session->phase = PHASE_REPLY;
    session->until_ms =
        now_ms + bl0942_exchange_ms(chip->step, session->baud) + reply_margin_ms(session);
    if (chip->step == STEP_PACKET)
        bl0942_receiver_expect_packet(&session->receiver, chip->options.address);
    else
        bl0942_receiver_expect_reply(&session->receiver, chip->options.address, action->bytes[1]);
}

static void begin_break(struct bl0942_session *session, int64_t now_ms,
                        struct bl0942_action *action)
{
    for (size_t i = 0; i < session->chip_count; i++)
        session->chips[i].break_due = false; /* one break resets them all */
    session->phase = PHASE_BREAK;
    session->until_ms = now_ms + BREAK_MS;
    action->kind = BL0942_BREAK_ON;
}

static void begin(struct bl0942_session *session, int64_t now_ms, struct bl0942_action *action)
{
    struct chip *chip = choose(session, now_ms, &action->until_ms);
    if (chip == NULL)
        return;
    int64_t guard_ms = session->remote ? REMOTE_GUARD_MS : GUARD_MS;
    bool same = chip == session->active && !session->remote;
    int64_t ready_ms = same ? session->free_ms : session->free_ms + guard_ms;
    if (ready_ms < session->quiet_ms)
        ready_ms = session->quiet_ms;
    if (now_ms < ready_ms) {
        action->until_ms = ready_ms;
        return;
    }
    if (chip->step == STEP_PROBE && chip->break_due && !session->raw) {
        begin_break(session, now_ms, action);
        return;
    }
    uint32_t baud = bl0942_chip_baud(session, chip);
    if (baud != session->baud) {
        session->baud = baud;
        action->kind = BL0942_SET_BAUD;
        action->baud = baud;
        return;
    }
    send_request(session, chip, now_ms, action);
}

/* When the awaited answer is nearly there. At once where it matters when bytes come: over a network, and
 * after a repeated request (guard_against_late_answer). */
static int64_t listen_ms(const struct bl0942_session *session, int64_t now_ms)
{
    if (session->phase != PHASE_REPLY || session->remote || session->active->attempt > 0)
        return now_ms;
    int64_t took_ms = bl0942_exchange_ms(session->active->step, session->baud);
    return session->sent_ms + took_ms - LISTEN_EARLY_MS;
}

void bl0942_session_next(struct bl0942_session *session, int64_t now_ms,
                         struct bl0942_action *action)
{
    *action =
        (struct bl0942_action){.kind = BL0942_WAIT, .until_ms = INT64_MAX, .listen_ms = now_ms};
    if (session->phase == PHASE_CLOSED)
        return;
    if (session->phase != PHASE_IDLE && now_ms < session->until_ms) {
        action->until_ms = session->until_ms;
        action->listen_ms = listen_ms(session, now_ms);
        return;
    }
    enum phase ended = session->phase;
    if (ended == PHASE_BREAK) {
        session->phase = PHASE_AFTER_BREAK;
        session->until_ms = now_ms + GUARD_MS;
        action->kind = BL0942_BREAK_OFF;
        return;
    }
    session->phase = PHASE_IDLE;
    if (ended == PHASE_WRITING || ended == PHASE_REPLY)
        session->free_ms = now_ms;
    if (ended == PHASE_WRITING)
        bl0942_chip_written(session, session->active, now_ms);
    if (ended == PHASE_REPLY) {
        bl0942_receiver_expect_nothing(&session->receiver);
        session->silence++;
        bl0942_chip_failed(session, session->active, now_ms);
    }
    begin(session, now_ms, action);
}

/* ------------------------------------------------------------------ from outside */

/* An answer that comes sooner after a repeated request than bytes can travel belongs to the request
 * before; its own answer is still to come. Wait for that too, or every later answer would be taken
 * for the next request's. */
static void guard_against_late_answer(struct bl0942_session *session, const struct chip *chip,
                                      int64_t now_ms)
{
    if (chip->attempt > 0 &&
        now_ms - session->sent_ms < bl0942_exchange_ms(chip->step, session->baud))
        session->quiet_ms = session->until_ms;
}

/* What comes sooner than a request and its answer can travel was under way before: its own answer is
 * still to come, and is awaited. */
static bool is_stale(const struct bl0942_session *session, int64_t now_ms)
{
    return session->remote &&
           now_ms - session->sent_ms < bl0942_exchange_ms(session->active->step, FASTEST_BAUD);
}

static void account_junk(struct bl0942_session *session)
{
    struct chip *chip = session->active != NULL ? session->active : &session->chips[0];
    chip->statistics.junk_bytes += session->receiver.junk_bytes - session->junk_seen;
    session->junk_seen = session->receiver.junk_bytes;
}

void bl0942_session_receive(struct bl0942_session *session, int64_t now_ms, int64_t wall_ms,
                            const uint8_t *bytes, size_t length)
{
    if (session->phase == PHASE_CLOSED)
        return;
    for (size_t i = 0; i < length; i++) {
        session->received++;
        if (!bl0942_receiver_push(&session->receiver, bytes[i]))
            continue;
        if (is_stale(session, now_ms)) {
            session->active->statistics.frame_errors++;
            continue;
        }
        bl0942_receiver_expect_nothing(&session->receiver);
        session->silence = 0;
        guard_against_late_answer(session, session->active, now_ms);
        session->phase = PHASE_IDLE;
        session->free_ms = now_ms;
        bl0942_chip_answered(session, session->active, now_ms, wall_ms);
    }
    account_junk(session);
}

void bl0942_session_open(struct bl0942_session *session, int64_t now_ms)
{
    session->phase = PHASE_IDLE;
    session->baud = session->configured_baud;
    session->active = NULL;
    session->keep_active = false;
    session->silence = 0;
    session->free_ms = now_ms;
    session->quiet_ms = now_ms;
    for (size_t i = 0; i < session->chip_count; i++) {
        struct chip *chip = &session->chips[i];
        chip->misses = 0;
        chip->damaged_misses = 0;
        chip->setup_attempts = 0;
        chip->can_wait = false;
        bl0942_chip_look_for(session, chip, now_ms);
        if (!session->lost)
            continue;
        chip->statistics.reconnects++;
        char text[320];
        (void)snprintf(text, sizeof text, "%s is back.", session->name);
        session->sink.event(session->sink.context, chip->options.channel, DRIVER_PORT_BACK, text);
    }
    session->lost = false;
}

void bl0942_session_gone(struct bl0942_session *session, int64_t now_ms, const char *reason)
{
    bool was_open = session->phase != PHASE_CLOSED;
    session->phase = PHASE_CLOSED;
    session->keep_active = false;
    session->lost = session->lost || was_open;
    bl0942_receiver_expect_nothing(&session->receiver);
    for (size_t i = 0; i < session->chip_count; i++) {
        struct chip *chip = &session->chips[i];
        bl0942_chip_look_for(session, chip, now_ms);
        bl0942_chip_set_offline(session, chip, "%s", reason);
        if (was_open)
            session->sink.event(session->sink.context, chip->options.channel, DRIVER_PORT_GONE,
                                reason);
    }
}

unsigned bl0942_session_silence(const struct bl0942_session *session)
{
    return session->silence;
}

bool bl0942_session_statistics(const struct bl0942_session *session, unsigned channel,
                               struct driver_statistics *statistics)
{
    for (size_t i = 0; i < session->chip_count; i++) {
        if (session->chips[i].options.channel != channel)
            continue;
        *statistics = session->chips[i].statistics;
        return true;
    }
    return false;
}

struct bl0942_session *bl0942_session_create(const struct bl0942_session_options *options,
                                             const struct driver_sink *sink)
{
    struct bl0942_session *session = memory_new(1, sizeof *session);
    session->sink = *sink;
    session->name = memory_copy_text(options->name);
    session->configured_baud = options->baud;
    session->remote = options->remote;
    session->raw = options->raw;
    session->chip_count = options->chip_count;
    session->phase = PHASE_CLOSED;
    for (size_t i = 0; i < options->chip_count; i++) {
        struct chip *chip = &session->chips[i];
        chip->options = options->chips[i];
        chip->baud = options->baud;
        chip->reported_baud = options->baud;
        for (size_t slot = 0; slot < NOISE_SLOTS; slot++)
            chip->noise[slot].number = -1;
    }
    return session;
}

void bl0942_session_free(struct bl0942_session *session)
{
    if (session == NULL)
        return;
    free(session->name);
    free(session);
}
