/* SPDX-License-Identifier: MIT */
#include "drivers/bl0942/session.h"

#include "drivers/base/memory.h"
#include "drivers/bl0942/codec.h"
#include "drivers/bl0942/registers.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* 33 bit times at 4800 baud are 6.9 ms; the clock's milliseconds may cut one off. */
#define BREAK_MS 12
/* The datasheet asks for 20 ms after a break and between chips; one more for the clock. */
#define GUARD_MS 21
/* Between two writes, on top of their time on the wire: the adapter may start them late. */
#define WRITE_GAP_MS 5
/* USB adapters and a busy machine delay an answer by this much at most. */
#define REPLY_MARGIN_MS 150

#define PACKET_ATTEMPTS 2
#define REGISTER_ATTEMPTS 3
#define SETUP_ATTEMPTS 3
#define MISSES_UNTIL_OFFLINE 3
#define MISSED_RETRY_MS 5000 /* slower chips than this are asked again sooner after a miss */
#define VERIFY_INTERVAL_MS 60000
#define PROBE_PAUSE_MS 2000    /* between two rounds through all baud rates */
#define PROBE_PATIENCE_MS 5000 /* then a probe no longer waits for a gap between polls */

#define NOISE_SLOTS 6
#define NOISE_SLOT_MS 10000
#define NOISE_DAMAGED_MIN 5

static const uint32_t usual_rates[] = {4800, 9600, 19200, 38400};
#define USUAL_RATES (sizeof usual_rates / sizeof usual_rates[0])
#define RATES_MAX (USUAL_RATES + 2)

/* What is asked of a chip next. The order of the set-up steps is the order they are done in. */
enum step {
    STEP_PROBE, /* read MODE at a rate at which the chip may be */
    STEP_READ_CREEP,
    STEP_UNLOCK,
    STEP_WRITE_MODE,
    STEP_WRITE_CREEP,
    STEP_CHECK_MODE,
    STEP_CHECK_CREEP,
    STEP_LOCK,
    STEP_PACKET,
    STEP_VERIFY, /* read MODE before the packet in hand is reported */
};

enum availability { AVAILABILITY_UNKNOWN, AVAILABILITY_ONLINE, AVAILABILITY_OFFLINE };

struct noise_slot {
    int64_t number;
    unsigned good, damaged;
};

struct chip {
    struct bl0942_chip_options options;
    struct driver_statistics statistics;
    enum availability availability;

    enum step step;
    unsigned attempt; /* failed attempts of this step */
    int64_t due_ms;   /* not before this */
    int64_t grid_ms;  /* the next poll by the schedule; 0: never polled */
    unsigned misses, damaged_misses;

    uint32_t baud, reported_baud;
    size_t rate_index; /* of probe_rates() */
    bool break_due;    /* reset the line before the next probe */

    bool contacted;    /* it answered once since the session exists */
    bool mode_ours;    /* MODE was read as written and, as far as we know, still is */
    uint32_t odd_mode; /* a value of MODE to be confirmed by a second reading; 0: none */
    unsigned setup_attempts;
    bool stubborn; /* answers, but does not keep MODE */
    bool verify_due;
    int64_t verified_ms;

    bool reset_pending;  /* the next reading carries READING_CHIP_RESET */
    bool doubted;        /* one packet with an impossible counter was dropped already */
    struct reading held; /* the packet that waits for STEP_VERIFY */
    bool reported;       /* last_* are set */
    int64_t last_energy, last_ms;

    struct noise_slot noise[NOISE_SLOTS];
    bool noisy;
};

enum phase {
    PHASE_CLOSED,
    PHASE_IDLE,
    PHASE_BREAK,       /* the line is held low until until_ms */
    PHASE_AFTER_BREAK, /* and is quiet until until_ms */
    PHASE_WRITING,     /* a register write is on the wire until until_ms */
    PHASE_REPLY,       /* an answer is awaited until until_ms */
};

struct bl0942_session {
    struct driver_sink sink;
    char *name;
    uint32_t configured_baud;
    size_t chip_count;
    struct chip chips[BL0942_CHIPS_PER_LINE];

    enum phase phase;
    int64_t until_ms;
    bool lost; /* the port was open before */
    uint32_t baud;
    struct chip *active; /* whose request is on the line, or was last */
    bool keep_active;    /* its next step comes before anything of the others */
    int64_t free_ms;     /* when the last exchange ended */
    int64_t quiet_ms;    /* an answer may still be under way until then */
    int64_t sent_ms;
    size_t received; /* bytes since the request */
    struct bl0942_receiver receiver;
    uint64_t junk_seen; /* of receiver.junk_bytes, already put into a chip's statistics */
};

/* ------------------------------------------------------------------ words */

static __attribute__((format(printf, 4, 5))) void report_event(const struct bl0942_session *session,
                                                               const struct chip *chip,
                                                               enum driver_event event,
                                                               const char *format, ...)
{
    char text[320];
    int length = snprintf(text, sizeof text, "The chip at address %u on %s ", chip->options.address,
                          session->name);
    va_list arguments;
    va_start(arguments, format);
    if (length > 0 && length < (int)sizeof text)
        (void)vsnprintf(text + length, sizeof text - (size_t)length, format, arguments);
    va_end(arguments);
    session->sink.event(session->sink.context, chip->options.channel, event, text);
}

static void set_online(const struct bl0942_session *session, struct chip *chip)
{
    if (chip->availability == AVAILABILITY_ONLINE)
        return;
    chip->availability = AVAILABILITY_ONLINE;
    session->sink.availability(session->sink.context, chip->options.channel, true, "");
}

static __attribute__((format(printf, 3, 4))) void
set_offline(const struct bl0942_session *session, struct chip *chip, const char *format, ...)
{
    if (chip->availability == AVAILABILITY_OFFLINE)
        return;
    chip->availability = AVAILABILITY_OFFLINE;
    char text[320];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    session->sink.availability(session->sink.context, chip->options.channel, false, text);
}

/* ------------------------------------------------------------------ facts about a chip */

static size_t probe_rates(const struct bl0942_session *session, const struct chip *chip,
                          uint32_t rates[RATES_MAX])
{
    uint32_t wanted[RATES_MAX] = {chip->baud, session->configured_baud};
    memcpy(wanted + 2, usual_rates, sizeof usual_rates);
    size_t count = 0;
    for (size_t i = 0; i < RATES_MAX; i++) {
        bool known = false;
        for (size_t j = 0; j < count; j++)
            known = known || rates[j] == wanted[i];
        if (!known)
            rates[count++] = wanted[i];
    }
    return count;
}

/* The rate of the chip's next request. */
static uint32_t step_baud(const struct bl0942_session *session, const struct chip *chip)
{
    if (chip->step != STEP_PROBE)
        return chip->baud;
    uint32_t rates[RATES_MAX];
    (void)probe_rates(session, chip, rates);
    return rates[chip->rate_index];
}

static uint32_t wanted_mode(const struct chip *chip)
{
    uint32_t mode =
        BL0942_MODE_RESERVED | BL0942_MODE_CF_EN | BL0942_MODE_RMS_800MS | BL0942_MODE_ABSOLUTE;
    if (chip->options.mains_hz == 60)
        mode |= BL0942_MODE_60HZ;
    if (chip->baud == 19200)
        mode |= BL0942_MODE_BAUD_19200;
    if (chip->baud == 38400)
        mode |= BL0942_MODE_BAUD_38400;
    return mode;
}

static bool is_power_on_mode(uint32_t mode)
{
    return (mode | BL0942_MODE_RESERVED) == BL0942_MODE_DEFAULT;
}

static bool step_writes(enum step step)
{
    return step == STEP_UNLOCK || step == STEP_WRITE_MODE || step == STEP_WRITE_CREEP ||
           step == STEP_LOCK;
}

static size_t reply_size(enum step step)
{
    return step == STEP_PACKET ? BL0942_PACKET_SIZE : BL0942_REPLY_SIZE;
}

static int64_t wire_ms(size_t bytes, uint32_t baud)
{
    return ((int64_t)bytes * 10000 + baud - 1) / baud;
}

static int64_t exchange_ms(enum step step, uint32_t baud)
{
    return wire_ms(BL0942_REQUEST_SIZE + reply_size(step), baud);
}

/* ------------------------------------------------------------------ noise */

static struct noise_slot *noise_slot(struct chip *chip, int64_t now_ms)
{
    int64_t number = now_ms / NOISE_SLOT_MS;
    struct noise_slot *slot = &chip->noise[(uint64_t)number % NOISE_SLOTS];
    if (slot->number != number)
        *slot = (struct noise_slot){.number = number};
    return slot;
}

static void judge_noise(const struct bl0942_session *session, struct chip *chip, int64_t now_ms)
{
    int64_t oldest = now_ms / NOISE_SLOT_MS - NOISE_SLOTS;
    unsigned good = 0, damaged = 0;
    for (size_t i = 0; i < NOISE_SLOTS; i++) {
        if (chip->noise[i].number <= oldest)
            continue;
        good += chip->noise[i].good;
        damaged += chip->noise[i].damaged;
    }
    if (chip->noisy) {
        chip->noisy = damaged * 20 > good + damaged; /* over at half of what began it */
        return;
    }
    if (damaged < NOISE_DAMAGED_MIN || damaged * 10 <= good + damaged)
        return;
    chip->noisy = true;
    report_event(session, chip, DRIVER_LINE_NOISY,
                 "sent %u damaged answers out of %u in the last minute; check wiring, pull-up "
                 "resistors, isolation and the adapter.",
                 damaged, good + damaged);
}

/* ------------------------------------------------------------------ steps */

static void go_to(struct bl0942_session *session, struct chip *chip, enum step step, int64_t due_ms)
{
    chip->step = step;
    chip->attempt = 0;
    chip->due_ms = due_ms;
    chip->odd_mode = 0;
    session->keep_active = step != STEP_PROBE && step != STEP_PACKET;
}

static void start_probing(struct bl0942_session *session, struct chip *chip, int64_t due_ms)
{
    chip->rate_index = 0;
    chip->break_due = true;
    go_to(session, chip, STEP_PROBE, due_ms);
}

/* At once if a reading is owed, else when the grid says so. */
static void start_polling(struct bl0942_session *session, struct chip *chip, int64_t now_ms)
{
    if (chip->grid_ms == 0)
        chip->grid_ms = now_ms;
    bool owed = chip->availability != AVAILABILITY_ONLINE || chip->grid_ms < now_ms;
    go_to(session, chip, STEP_PACKET, owed ? now_ms : chip->grid_ms);
}

static void advance_grid(struct chip *chip, int64_t now_ms)
{
    int64_t interval = chip->options.interval_ms;
    if (chip->grid_ms <= now_ms)
        chip->grid_ms += ((now_ms - chip->grid_ms) / interval + 1) * interval;
}

static void settings_agree(struct bl0942_session *session, struct chip *chip, int64_t now_ms)
{
    chip->mode_ours = true;
    chip->stubborn = false;
    chip->setup_attempts = 0;
    chip->verified_ms = now_ms;
    /* Whether the chip restarted between this and the first packet, MODE shows behind the packet.
     */
    chip->verify_due = true;
    start_polling(session, chip, now_ms);
}

/* A chip that does not take its settings is read all the same. MODE then tells nothing about
 * restarts, and if nothing was reported yet, not of an earlier one either. */
static void give_up_mode(const struct bl0942_session *session, struct chip *chip, uint32_t mode)
{
    if (!chip->reported)
        chip->reset_pending = false;
    chip->verify_due = false;
    if (!chip->stubborn)
        report_event(session, chip, DRIVER_CHIP_CHANGED,
                     "does not keep its settings (MODE reads 0x%03X instead of 0x%03X); it is read "
                     "nevertheless, but only its energy counter shows when it restarts.",
                     mode, wanted_mode(chip));
    chip->stubborn = true;
}

static void chip_restarted(struct bl0942_session *session, struct chip *chip)
{
    chip->reset_pending = true;
    if (!chip->contacted)
        return; /* before our time: the reading says it, but there is nothing to report */
    chip->statistics.chip_resets++;
    report_event(session, chip, DRIVER_CHIP_RESET,
                 "restarted: its MODE register was back at 0x%03X; its settings are written again.",
                 BL0942_MODE_DEFAULT);
}

static void deliver(struct bl0942_session *session, struct chip *chip, int64_t now_ms)
{
    struct reading reading = chip->held;
    if (chip->reset_pending)
        reading.flags |= READING_CHIP_RESET;
    chip->doubted = false;
    chip->reset_pending = false;
    chip->verify_due = false;
    chip->misses = 0;
    chip->damaged_misses = 0;
    chip->reported = true;
    chip->last_energy = reading.energy;
    chip->last_ms = reading.boot_ms;
    chip->statistics.readings++;
    advance_grid(chip, now_ms);
    go_to(session, chip, STEP_PACKET, chip->grid_ms);
    set_online(session, chip);
    session->sink.reading(session->sink.context, chip->options.channel, &reading);
}

/* The most that the counter can have moved since the last reading. A second more than the clock
 * says, as either packet may have been under way for long. */
static int64_t greatest_step(const struct chip *chip)
{
    int64_t elapsed_ms = chip->held.boot_ms - chip->last_ms + 1000;
    return elapsed_ms * BL0942_COUNTS_PER_SECOND_MAX / 1000 + 3;
}

static bool step_impossible(const struct chip *chip)
{
    int64_t step = (chip->held.energy - chip->last_energy) & (BL0942_COUNTER_RANGE - 1);
    return chip->reported && step > greatest_step(chip);
}

/* A counter that began at 0 since the last reading cannot be any higher than that step. */
static bool restart_possible(const struct chip *chip)
{
    return !chip->reported || step_impossible(chip) || chip->held.energy <= greatest_step(chip);
}

static void take_packet(struct bl0942_session *session, struct chip *chip, int64_t now_ms,
                        int64_t wall_ms)
{
    bl0942_packet_to_reading(&session->receiver.packet, &chip->held);
    chip->held.boot_ms = now_ms;
    chip->held.wall_ms = wall_ms;
    bool minute_over = now_ms - chip->verified_ms >= VERIFY_INTERVAL_MS;
    bool verify =
        chip->mode_ours ? minute_over || chip->verify_due || restart_possible(chip) : minute_over;
    if (verify)
        go_to(session, chip, STEP_VERIFY, now_ms);
    else
        deliver(session, chip, now_ms);
}

/* ------------------------------------------------------------------ answers that do not come */

static void try_next_rate(struct bl0942_session *session, struct chip *chip, int64_t now_ms)
{
    uint32_t rates[RATES_MAX];
    session->keep_active = false;
    chip->odd_mode = 0;
    chip->attempt = 0;
    chip->due_ms = now_ms;
    if (++chip->rate_index < probe_rates(session, chip, rates))
        return;
    set_offline(session, chip,
                "The chip at address %u on %s answers at no baud rate; check its power, the wiring "
                "(RX and TX swapped?), the isolation and the address.",
                chip->options.address, session->name);
    start_probing(session, chip, now_ms + PROBE_PAUSE_MS);
}

static void miss_poll(struct bl0942_session *session, struct chip *chip, bool damaged,
                      int64_t now_ms)
{
    chip->verify_due = true;
    chip->misses++;
    chip->damaged_misses += damaged;
    advance_grid(chip, now_ms);
    if (chip->misses < MISSES_UNTIL_OFFLINE) {
        int64_t soon = now_ms + MISSED_RETRY_MS;
        go_to(session, chip, STEP_PACKET, chip->grid_ms < soon ? chip->grid_ms : soon);
        return;
    }
    if (chip->damaged_misses == chip->misses)
        set_offline(
            session, chip,
            "All answers of the chip at address %u on %s are damaged; check wiring, pull-up "
            "resistors, isolation and the adapter.",
            chip->options.address, session->name);
    else
        set_offline(session, chip,
                    "The chip at address %u on %s has stopped answering; check its power and the "
                    "wiring.",
                    chip->options.address, session->name);
    chip->misses = 0;
    chip->damaged_misses = 0;
    chip->setup_attempts = 0;
    start_probing(session, chip, now_ms);
}

/* No reading before MODE is ours: after the next start of this program, MODE as it is at power-on
 * must mean that the chip restarted since its last reading. */
static void give_up_setup(struct bl0942_session *session, struct chip *chip, int64_t now_ms)
{
    set_offline(
        session, chip,
        "The chip at address %u on %s answers too seldom to be set up; check wiring, pull-up "
        "resistors, isolation and the adapter.",
        chip->options.address, session->name);
    chip->setup_attempts = 0;
    start_probing(session, chip, now_ms + PROBE_PAUSE_MS);
}

static void attempt_failed(struct bl0942_session *session, struct chip *chip, int64_t now_ms)
{
    if (chip->step == STEP_PROBE) {
        try_next_rate(session, chip, now_ms);
        return;
    }
    /* A floating line alone gives a byte or two. */
    bool damaged = session->received * 2 >= reply_size(chip->step);
    chip->statistics.frame_errors++;
    if (damaged)
        noise_slot(chip, now_ms)->damaged++;
    else
        chip->statistics.timeouts++;
    judge_noise(session, chip, now_ms);

    bool polling = chip->step == STEP_PACKET || chip->step == STEP_VERIFY;
    chip->due_ms = now_ms;
    session->keep_active = false; /* others first, if their time has come */
    if (++chip->attempt < (polling ? PACKET_ATTEMPTS : REGISTER_ATTEMPTS))
        return;
    if (polling)
        miss_poll(session, chip, damaged, now_ms);
    else if (++chip->setup_attempts < SETUP_ATTEMPTS)
        start_probing(session, chip, now_ms);
    else
        give_up_setup(session, chip, now_ms);
}

/* ------------------------------------------------------------------ answers */

/* MODE replies are short and much hangs on an unexpected one, so it must come twice. */
static bool mode_confirmed(struct chip *chip, uint32_t mode)
{
    if (mode == wanted_mode(chip) || mode == chip->odd_mode)
        return true;
    chip->odd_mode = mode;
    return false;
}

static void take_probe(struct bl0942_session *session, struct chip *chip, uint32_t mode,
                       int64_t now_ms)
{
    if (chip->baud != chip->reported_baud) {
        chip->reported_baud = chip->baud;
        report_event(session, chip, DRIVER_CHIP_CHANGED, "answers at %u baud; configured are %u.",
                     chip->baud, session->configured_baud);
    }
    if (is_power_on_mode(mode) && (chip->mode_ours || !chip->contacted))
        chip_restarted(session, chip);
    chip->contacted = true;
    chip->mode_ours = mode == wanted_mode(chip);
    if (!chip->mode_ours)
        go_to(session, chip, STEP_UNLOCK, now_ms);
    else if (chip->options.creep >= 0)
        go_to(session, chip, STEP_READ_CREEP, now_ms);
    else
        settings_agree(session, chip, now_ms);
}

/* The chip did not restart and yet its counter made an impossible step: most likely damage that the
 * 8-bit checksum did not show. Another packet decides. */
static void doubt_packet(struct bl0942_session *session, struct chip *chip, int64_t now_ms)
{
    chip->doubted = true;
    chip->statistics.frame_errors++;
    noise_slot(chip, now_ms)->damaged++;
    go_to(session, chip, STEP_PACKET, now_ms);
}

static void take_verify(struct bl0942_session *session, struct chip *chip, uint32_t mode,
                        int64_t now_ms)
{
    chip->verified_ms = now_ms;
    if (mode == wanted_mode(chip)) {
        chip->mode_ours = true;
        chip->stubborn = false;
        if (!chip->reset_pending && !chip->doubted && step_impossible(chip))
            doubt_packet(session, chip, now_ms);
        else
            deliver(session, chip, now_ms);
        return;
    }
    if (chip->mode_ours && is_power_on_mode(mode)) {
        /* Before or after the packet in hand? Unknown, so ask for another one afterwards. */
        chip_restarted(session, chip);
    } else {
        if (chip->mode_ours)
            report_event(session, chip, DRIVER_CHIP_CHANGED,
                         "had 0x%03X in its MODE register; its settings are written again.", mode);
        deliver(session, chip, now_ms);
    }
    chip->mode_ours = false;
    chip->setup_attempts = chip->stubborn ? SETUP_ATTEMPTS - 1 : 0;
    go_to(session, chip, STEP_UNLOCK, now_ms);
}

static void take_check_mode(struct bl0942_session *session, struct chip *chip, uint32_t mode,
                            int64_t now_ms)
{
    chip->mode_ours = mode == wanted_mode(chip);
    if (chip->mode_ours) {
        go_to(session, chip, chip->options.creep >= 0 ? STEP_CHECK_CREEP : STEP_LOCK, now_ms);
    } else if (++chip->setup_attempts < SETUP_ATTEMPTS) {
        go_to(session, chip, STEP_UNLOCK, now_ms);
    } else {
        give_up_mode(session, chip, mode);
        go_to(session, chip, STEP_LOCK, now_ms);
    }
}

static void take_creep(struct bl0942_session *session, struct chip *chip, uint32_t value,
                       int64_t now_ms)
{
    bool equal = value == (uint32_t)chip->options.creep;
    if (chip->step == STEP_READ_CREEP && equal) {
        settings_agree(session, chip, now_ms);
    } else if (equal) {
        go_to(session, chip, STEP_LOCK, now_ms);
    } else if (chip->step == STEP_READ_CREEP || ++chip->setup_attempts < SETUP_ATTEMPTS) {
        go_to(session, chip, STEP_UNLOCK, now_ms);
    } else {
        report_event(session, chip, DRIVER_CHIP_CHANGED,
                     "does not keep its no-load threshold (WA_CREEP reads %u instead of %d).",
                     value, chip->options.creep);
        go_to(session, chip, STEP_LOCK, now_ms);
    }
}

static void take_mode(struct bl0942_session *session, struct chip *chip, uint32_t mode,
                      int64_t now_ms)
{
    if (chip->step == STEP_PROBE) {
        chip->baud = session->baud;
        chip->rate_index = 0; /* in the list of rates, that one is now the first */
    }
    if (!mode_confirmed(chip, mode)) {
        if (++chip->attempt >= REGISTER_ATTEMPTS)
            attempt_failed(session, chip, now_ms);
        else
            session->keep_active = true;
        return;
    }
    if (chip->step == STEP_PROBE)
        take_probe(session, chip, mode, now_ms);
    else if (chip->step == STEP_VERIFY)
        take_verify(session, chip, mode, now_ms);
    else
        take_check_mode(session, chip, mode, now_ms);
}

static void take_answer(struct bl0942_session *session, struct chip *chip, int64_t now_ms,
                        int64_t wall_ms)
{
    if (chip->step != STEP_PROBE) {
        noise_slot(chip, now_ms)->good++;
        judge_noise(session, chip, now_ms);
    }
    if (chip->step == STEP_PACKET)
        take_packet(session, chip, now_ms, wall_ms);
    else if (chip->step == STEP_READ_CREEP || chip->step == STEP_CHECK_CREEP)
        take_creep(session, chip, session->receiver.value, now_ms);
    else
        take_mode(session, chip, session->receiver.value, now_ms);
}

/* A register write has been on the wire; it is never acknowledged. */
static void after_write(struct bl0942_session *session, struct chip *chip, int64_t now_ms)
{
    switch (chip->step) {
    case STEP_UNLOCK:
        go_to(session, chip, STEP_WRITE_MODE, now_ms);
        break;
    case STEP_WRITE_MODE:
        go_to(session, chip, chip->options.creep >= 0 ? STEP_WRITE_CREEP : STEP_CHECK_MODE, now_ms);
        break;
    case STEP_WRITE_CREEP:
        go_to(session, chip, STEP_CHECK_MODE, now_ms);
        break;
    default: /* STEP_LOCK */
        if (chip->mode_ours)
            settings_agree(session, chip, now_ms);
        else
            start_polling(session, chip, now_ms);
        break;
    }
}

/* ------------------------------------------------------------------ what to do next */

/* How long a probe keeps the line, from now until another chip may be asked. */
static int64_t probe_ms(const struct bl0942_session *session, const struct chip *chip)
{
    int64_t needed =
        GUARD_MS + exchange_ms(STEP_PROBE, step_baud(session, chip)) + REPLY_MARGIN_MS + GUARD_MS;
    return chip->break_due ? needed + BREAK_MS + GUARD_MS : needed;
}

/* A chip that is offline is looked for in the gaps between the polls of the others. */
static bool can_wait(const struct chip *chip)
{
    return chip->step == STEP_PROBE && chip->availability == AVAILABILITY_OFFLINE;
}

static struct chip *earliest(struct bl0942_session *session, bool waiting)
{
    struct chip *best = NULL;
    for (size_t i = 0; i < session->chip_count; i++) {
        struct chip *chip = &session->chips[i];
        if (can_wait(chip) == waiting && (best == NULL || chip->due_ms < best->due_ms))
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

static size_t encode(const struct chip *chip, uint8_t bytes[BL0942_WRITE_SIZE])
{
    unsigned address = chip->options.address;
    switch (chip->step) {
    case STEP_PACKET:
        return bl0942_encode_packet_request(address, bytes);
    case STEP_READ_CREEP:
    case STEP_CHECK_CREEP:
        return bl0942_encode_read(address, BL0942_WA_CREEP, bytes);
    case STEP_UNLOCK:
        return bl0942_encode_write(address, BL0942_USR_WRPROT, BL0942_UNLOCK, bytes);
    case STEP_WRITE_MODE:
        return bl0942_encode_write(address, BL0942_MODE, wanted_mode(chip), bytes);
    case STEP_WRITE_CREEP:
        return bl0942_encode_write(address, BL0942_WA_CREEP, (uint32_t)chip->options.creep, bytes);
    case STEP_LOCK:
        return bl0942_encode_write(address, BL0942_USR_WRPROT, BL0942_LOCK, bytes);
    default:
        return bl0942_encode_read(address, BL0942_MODE, bytes);
    }
}

static void send_request(struct bl0942_session *session, struct chip *chip, int64_t now_ms,
                         struct bl0942_action *action)
{
    action->kind = BL0942_SEND;
    action->length = encode(chip, action->bytes);
    session->active = chip;
    session->keep_active = false;
    session->sent_ms = now_ms;
    session->received = 0;
    if (step_writes(chip->step)) {
        session->phase = PHASE_WRITING;
        session->until_ms = now_ms + wire_ms(action->length, session->baud) + WRITE_GAP_MS;
        return;
    }
    session->phase = PHASE_REPLY;
    session->until_ms = now_ms + exchange_ms(chip->step, session->baud) + REPLY_MARGIN_MS;
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
    int64_t ready_ms = chip == session->active ? session->free_ms : session->free_ms + GUARD_MS;
    if (ready_ms < session->quiet_ms)
        ready_ms = session->quiet_ms;
    if (now_ms < ready_ms) {
        action->until_ms = ready_ms;
        return;
    }
    if (chip->step == STEP_PROBE && chip->break_due) {
        begin_break(session, now_ms, action);
        return;
    }
    uint32_t baud = step_baud(session, chip);
    if (baud != session->baud) {
        session->baud = baud;
        action->kind = BL0942_SET_BAUD;
        action->baud = baud;
        return;
    }
    send_request(session, chip, now_ms, action);
}

void bl0942_session_next(struct bl0942_session *session, int64_t now_ms,
                         struct bl0942_action *action)
{
    *action = (struct bl0942_action){.kind = BL0942_WAIT, .until_ms = INT64_MAX};
    if (session->phase == PHASE_CLOSED)
        return;
    if (session->phase != PHASE_IDLE && now_ms < session->until_ms) {
        action->until_ms = session->until_ms;
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
        after_write(session, session->active, now_ms);
    if (ended == PHASE_REPLY) {
        bl0942_receiver_expect_nothing(&session->receiver);
        attempt_failed(session, session->active, now_ms);
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
    if (chip->attempt > 0 && now_ms - session->sent_ms < exchange_ms(chip->step, session->baud))
        session->quiet_ms = session->until_ms;
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
        bl0942_receiver_expect_nothing(&session->receiver);
        guard_against_late_answer(session, session->active, now_ms);
        session->phase = PHASE_IDLE;
        session->free_ms = now_ms;
        take_answer(session, session->active, now_ms, wall_ms);
    }
    account_junk(session);
}

void bl0942_session_open(struct bl0942_session *session, int64_t now_ms)
{
    session->phase = PHASE_IDLE;
    session->baud = session->configured_baud;
    session->active = NULL;
    session->keep_active = false;
    session->free_ms = now_ms;
    session->quiet_ms = now_ms;
    for (size_t i = 0; i < session->chip_count; i++) {
        struct chip *chip = &session->chips[i];
        chip->misses = 0;
        chip->damaged_misses = 0;
        chip->setup_attempts = 0;
        start_probing(session, chip, now_ms);
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
        start_probing(session, chip, now_ms);
        set_offline(session, chip, "%s", reason);
        if (was_open)
            session->sink.event(session->sink.context, chip->options.channel, DRIVER_PORT_GONE,
                                reason);
    }
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
