/* SPDX-License-Identifier: MIT */
#include "drivers/bl0942/session_chip.h"

#include "drivers/bl0942/registers.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define PACKET_ATTEMPTS 2
#define REGISTER_ATTEMPTS 3
#define SETUP_ATTEMPTS 3
#define KNOWN_RATE_ATTEMPTS 2 /* the first of a round, at which it most likely is */
#define MISSES_UNTIL_OFFLINE 3
#define MISSED_RETRY_MS 5000 /* slower chips than this are asked again sooner after a miss */
#define VERIFY_INTERVAL_MS 60000
#define WITNESS_MS 500 /* from telling a restart until the settings that show it are overwritten */
#define REMOTE_QUIET_MS 2000 /* after a time-out the late answer is waited for */
#define PROBE_PAUSE_MS 2000  /* between two rounds through all baud rates */

#define NOISE_SLOT_MS 10000
#define NOISE_DAMAGED_MIN 5

static const uint32_t usual_rates[] = {4800, 9600, 19200, 38400};
#define USUAL_RATES (sizeof usual_rates / sizeof usual_rates[0])
#define RATES_MAX (USUAL_RATES + 2)

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

void bl0942_chip_set_offline(const struct bl0942_session *session, struct chip *chip,
                             const char *format, ...)
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
    size_t candidates = session->raw ? 1 : RATES_MAX;
    for (size_t i = 0; i < candidates; i++) {
        bool known = false;
        for (size_t j = 0; j < count; j++)
            known = known || rates[j] == wanted[i];
        if (!known)
            rates[count++] = wanted[i];
    }
    return count;
}

/* The rate of the chip's next request. */
uint32_t bl0942_chip_baud(const struct bl0942_session *session, const struct chip *chip)
{
    if (chip->step != STEP_PROBE)
        return chip->baud;
    uint32_t rates[RATES_MAX] = {0};
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

bool bl0942_step_writes(enum step step)
{
    return step == STEP_UNLOCK || step == STEP_WRITE_MODE || step == STEP_WRITE_CREEP ||
           step == STEP_LOCK;
}

static size_t reply_size(enum step step)
{
    return step == STEP_PACKET ? BL0942_PACKET_SIZE : BL0942_REPLY_SIZE;
}

int64_t bl0942_wire_ms(size_t bytes, uint32_t baud)
{
    return ((int64_t)bytes * 10000 + baud - 1) / baud;
}

int64_t bl0942_exchange_ms(enum step step, uint32_t baud)
{
    return bl0942_wire_ms(BL0942_REQUEST_SIZE + reply_size(step), baud);
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

void bl0942_chip_look_for(struct bl0942_session *session, struct chip *chip, int64_t due_ms)
{
    chip->rate_index = 0;
    chip->break_due = true;
    go_to(session, chip, STEP_PROBE, due_ms);
}

static void set_up_again(struct bl0942_session *session, struct chip *chip, int64_t due_ms)
{
    go_to(session, chip, STEP_UNLOCK, due_ms);
    session->keep_active = false; /* the others' polls go on */
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
    /* Whether the chip restarts before the next packet, MODE behind that packet will show. */
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

/* Told before the settings are written: whoever forgets it now, because the process is killed, is told
 * again by the next one. */
static void chip_restarted(struct bl0942_session *session, struct chip *chip)
{
    chip->reset_pending = true;
    if (!chip->contacted) {
        report_event(session, chip, DRIVER_CHIP_BEGAN,
                     "has its power-on settings: it restarted since it was last set up.");
        return;
    }
    chip->statistics.chip_resets++;
    report_event(session, chip, DRIVER_CHIP_RESET,
                 "restarted: its MODE register was back at 0x%03X; its settings are written again.",
                 BL0942_MODE_DEFAULT);
}

static void compare_with(struct chip *chip)
{
    chip->compared = true;
    chip->last_energy = chip->held.energy;
    chip->last_ms = chip->held.boot_ms;
}

/* The most that the counter can have moved since the last reading. A second more than the clock
 * says, as either packet may have been under way for long. */
static int64_t maximum_step(const struct chip *chip)
{
    int64_t elapsed_ms = chip->held.boot_ms - chip->last_ms + 1000;
    return elapsed_ms * BL0942_COUNTS_PER_SECOND_MAX / 1000 + 3;
}

static bool counter_may_have_gone_on(const struct chip *chip)
{
    int64_t step = (chip->held.energy - chip->last_energy) & (BL0942_COUNTER_RANGE - 1);
    return step <= maximum_step(chip);
}

/* After a restart the counter itself is the step. */
static bool counter_may_have_restarted(const struct chip *chip)
{
    return chip->held.energy <= maximum_step(chip);
}

static bool counter_impossible(const struct chip *chip)
{
    bool restarted = chip->reset_pending && chip->reported && counter_may_have_restarted(chip);
    return !restarted && !counter_may_have_gone_on(chip);
}

static bool restart_possible(const struct chip *chip)
{
    return counter_may_have_restarted(chip) || !counter_may_have_gone_on(chip);
}

/* MODE fell back, but the counter is too high to have restarted and just where it would be had it
 * gone on: then it did go on, and to say otherwise would count it twice. */
static bool counter_survived(const struct chip *chip)
{
    return chip->reported && counter_may_have_gone_on(chip) && !counter_may_have_restarted(chip);
}

static void deliver(struct bl0942_session *session, struct chip *chip, int64_t now_ms)
{
    struct reading reading = chip->held;
    if (chip->reset_pending && !counter_survived(chip))
        reading.flags |= READING_CHIP_RESET;
    chip->doubted = false;
    chip->reset_pending = false;
    chip->verify_due = false;
    chip->misses = 0;
    chip->damaged_misses = 0;
    chip->reported = true;
    compare_with(chip);
    chip->statistics.readings++;
    advance_grid(chip, now_ms);
    go_to(session, chip, STEP_PACKET, chip->grid_ms);
    set_online(session, chip);
    session->sink.reading(session->sink.context, chip->options.channel, &reading);
}

static void take_packet(struct bl0942_session *session, struct chip *chip, int64_t now_ms,
                        int64_t wall_ms)
{
    bl0942_packet_to_reading(&session->receiver.packet, &chip->held);
    chip->held.boot_ms = now_ms;
    chip->held.wall_ms = wall_ms;
    if (!chip->compared) { /* much hangs on the first reading's counter, so it must come twice */
        compare_with(chip);
        go_to(session, chip, STEP_PACKET, now_ms);
        return;
    }
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
    chip->due_ms = now_ms;
    if (chip->rate_index == 0 && ++chip->attempt < KNOWN_RATE_ATTEMPTS)
        return;
    chip->attempt = 0;
    if (++chip->rate_index < probe_rates(session, chip, rates))
        return;
    bl0942_chip_set_offline(
        session, chip,
        "The chip at address %u on %s answers at no baud rate; check its power, the wiring "
        "(RX and TX swapped?), the isolation and the address.",
        chip->options.address, session->name);
    chip->can_wait = true;
    bl0942_chip_look_for(session, chip, now_ms + PROBE_PAUSE_MS);
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
        bl0942_chip_set_offline(
            session, chip,
            "All answers of the chip at address %u on %s are damaged; check wiring, pull-up "
            "resistors, isolation and the adapter.",
            chip->options.address, session->name);
    else
        bl0942_chip_set_offline(
            session, chip,
            "The chip at address %u on %s has stopped answering; check its power and the "
            "wiring.",
            chip->options.address, session->name);
    chip->misses = 0;
    chip->damaged_misses = 0;
    chip->setup_attempts = 0;
    chip->can_wait = true;
    bl0942_chip_look_for(session, chip, now_ms);
}

/* No reading before MODE is ours: after the next start of this program, MODE as it is at power-on
 * must mean that the chip restarted since its last reading. */
static void give_up_setup(struct bl0942_session *session, struct chip *chip, int64_t now_ms)
{
    bl0942_chip_set_offline(
        session, chip,
        "The chip at address %u on %s answers too seldom to be set up; check wiring, pull-up "
        "resistors, isolation and the adapter.",
        chip->options.address, session->name);
    chip->setup_attempts = 0;
    chip->can_wait = true;
    bl0942_chip_look_for(session, chip, now_ms + PROBE_PAUSE_MS);
}

static void take_failure(struct bl0942_session *session, struct chip *chip, int64_t now_ms)
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
    unsigned attempts = polling ? PACKET_ATTEMPTS : REGISTER_ATTEMPTS;
    if (session->remote && polling)
        attempts = 1; /* TCP loses nothing, and the pause behind it is long */
    if (++chip->attempt < attempts)
        return;
    if (polling)
        miss_poll(session, chip, damaged, now_ms);
    else if (++chip->setup_attempts < SETUP_ATTEMPTS)
        bl0942_chip_look_for(session, chip, now_ms);
    else
        give_up_setup(session, chip, now_ms);
}

void bl0942_chip_failed(struct bl0942_session *session, struct chip *chip, int64_t now_ms)
{
    take_failure(session, chip, now_ms);
    if (session->remote && chip->due_ms < now_ms + REMOTE_QUIET_MS)
        chip->due_ms = now_ms + REMOTE_QUIET_MS;
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
    bool restarted = is_power_on_mode(mode) && (chip->mode_ours || !chip->contacted);
    if (restarted)
        chip_restarted(session, chip);
    chip->contacted = true;
    chip->can_wait = false;
    chip->mode_ours = mode == wanted_mode(chip);
    if (restarted)
        set_up_again(session, chip, now_ms + WITNESS_MS);
    else if (!chip->mode_ours)
        go_to(session, chip, STEP_UNLOCK, now_ms);
    else if (chip->options.creep >= 0)
        go_to(session, chip, STEP_READ_CREEP, now_ms);
    else
        settings_agree(session, chip, now_ms);
}

/* It is known whether the chip restarted, and yet its counter cannot be: most likely damage that the
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
        if (!chip->doubted && counter_impossible(chip))
            doubt_packet(session, chip, now_ms);
        else
            deliver(session, chip, now_ms);
        return;
    }
    bool restarted = chip->mode_ours && is_power_on_mode(mode);
    if (restarted) {
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
    if (restarted)
        set_up_again(session, chip, now_ms + WITNESS_MS);
    else
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
            bl0942_chip_failed(session, chip, now_ms);
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

void bl0942_chip_answered(struct bl0942_session *session, struct chip *chip, int64_t now_ms,
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
void bl0942_chip_written(struct bl0942_session *session, struct chip *chip, int64_t now_ms)
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

/* ------------------------------------------------------------------ requests */

size_t bl0942_chip_encode(const struct chip *chip, uint8_t bytes[BL0942_WRITE_SIZE])
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
