/* SPDX-License-Identifier: MIT */
/**
 * The protocol of one line with one to four BL0942 chips on it, as a pure machine: no I/O and no
 * clock of its own. It is told the time and the bytes that arrive, says what to do next, and
 * reports readings, availability and events to a driver_sink. All times are boot clock milliseconds
 * and must not go backwards; wall_ms is only copied into readings.
 *
 * How to drive it (the port half, line.c, does this on libuv; a test does it under a virtual clock,
 * where nothing waits and an hour passes in milliseconds):
 *
 *     bl0942_session_open(session, now);                  // the port is open at options.baud
 *     for (;;) {
 *         // first hand over all bytes that have arrived by now:
 *         bl0942_session_receive(session, now, wall, bytes, length);
 *         // then do as told until it says WAIT:
 *         do {
 *             bl0942_session_next(session, now, &action);
 *             // SEND: write action.bytes at once. SET_BAUD, BREAK_ON, BREAK_OFF: do that to the
 * port. } while (action.kind != BL0942_WAIT);
 *         // sleep until action.until_ms or, from action.listen_ms on, until bytes arrive, whichever is first
 *     }
 *     bl0942_session_gone(session, now, "why");           // the port failed; open again later
 *
 * What it does:
 *  - A break resets the chips' UARTs, then each chip is looked for by reading MODE: at the baud
 * rate that is configured (or at which it was last seen), then at 4800, 9600, 19200 and 38400.
 *  - Set-up, only where something differs: unlock, MODE (800 ms averages, line frequency, absolute
 *    energy, never clear-on-read, the chip's baud bits as they are), WA_CREEP if configured, read
 *    back, lock. Never SOFT_RESET, which may clear the energy counter.
 *  - Polls on a grid without drift, one chip after another with a guard time between different
 * ones. A damaged or missing answer is asked for once more. Chips that are being looked for use the
 *    gaps between the polls of those that answer.
 *  - MODE is this driver's evidence of a chip reset (at power-on it is another value than the one
 *    written). It is read behind a packet, before that packet is reported: when none has been
 *    reported yet, after a missed poll, every minute, and whenever the energy counter is so low or
 *    moved so far that a restart is possible at all. So between two reported readings a reset can
 *    never go unnoticed: the packet read before it was noticed is dropped, the settings are written
 *    again, and the next reading carries READING_CHIP_RESET. At first contact too: a chip that had
 *    this driver's settings before and has the power-on ones now restarted meanwhile. Only when
 *    MODE fell back while the counter evidently went on, the reading does not say so. A restart is told
 *    (DRIVER_CHIP_RESET, DRIVER_CHIP_BEGAN) half a second before MODE, the evidence, is overwritten:
 *    time to put it on disk, so that a kill does not make it forgotten.
 *  - A packet with an impossible counter is dropped once and another one asked for, because one
 *    damaged packet in 256 passes the checksum. For the same reason the very first packet only
 *    serves to compare the second with. A counter that stays impossible is reported as it is.
 *  - Over a network an answer that is late is still under way, and looks like the next one's. So after a
 *    time-out the chip is left alone for 2 s, and what comes sooner than bytes can travel is dropped.
 *    A raw connection is never broken and never given another baud rate: 50 ms of silence between
 *    requests do what a break does.
 *  - A chip is offline after 3 missed polls or when it is found at no rate; online with its next
 *    reading.
 */
#ifndef DRIVERS_BL0942_SESSION_H
#define DRIVERS_BL0942_SESSION_H

#include "drivers/driver.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BL0942_CHIPS_PER_LINE 4

struct bl0942_chip_options {
    unsigned channel;    /**< the number the sink is called with */
    unsigned address;    /**< 0..3 */
    int64_t interval_ms; /**< 50..3600000; the chip itself updates every 800 ms */
    unsigned mains_hz;   /**< 50 or 60 */
    int creep;           /**< WA_CREEP register 0..255, or -1 to leave the chip's own */
};

struct bl0942_session_options {
    const char *name; /**< of the line, for sentences; copied */
    uint32_t baud;
    bool
        remote; /**< over a network: answers may take a second, and may come after their deadline */
    bool
        raw; /**< no break and no other baud rate than `baud`, which only says how long bytes take */
    size_t chip_count; /**< 1..BL0942_CHIPS_PER_LINE, addresses distinct */
    struct bl0942_chip_options chips[BL0942_CHIPS_PER_LINE];
};

enum bl0942_action_kind {
    BL0942_WAIT, /**< nothing to do until until_ms (INT64_MAX: until the port is open), or until bytes
                      arrive; those that come before listen_ms need no attention: they can be read then */
    BL0942_SEND, /**< write bytes[0..length-1] in one go */
    BL0942_SET_BAUD,
    BL0942_BREAK_ON,
    BL0942_BREAK_OFF,
};

struct bl0942_action {
    enum bl0942_action_kind kind;
    int64_t until_ms, listen_ms;
    uint32_t baud;
    uint8_t bytes[6];
    size_t length;
};

struct bl0942_session;

/** The sink is copied; what it points to must outlive the session. It is called from open, receive,
 *  next and gone, and must not call the session. */
struct bl0942_session *bl0942_session_create(const struct bl0942_session_options *options,
                                             const struct driver_sink *sink);
void bl0942_session_free(struct bl0942_session *session);

/** The port is open, at options.baud. */
void bl0942_session_open(struct bl0942_session *session, int64_t now_ms);
/** The port could not be opened, or was lost. reason: a sentence for people. */
/** Requests in a row, of all chips, that got no valid answer. */
unsigned bl0942_session_silence(const struct bl0942_session *session);

void bl0942_session_gone(struct bl0942_session *session, int64_t now_ms, const char *reason);

void bl0942_session_receive(struct bl0942_session *session, int64_t now_ms, int64_t wall_ms,
                            const uint8_t *bytes, size_t length);
void bl0942_session_next(struct bl0942_session *session, int64_t now_ms,
                         struct bl0942_action *action);

/** False if no chip of this line has that channel number. */
bool bl0942_session_statistics(const struct bl0942_session *session, unsigned channel,
                               struct driver_statistics *statistics);

#endif
