/* SPDX-License-Identifier: MIT */
/**
 * The serial conversation with a module that sits in its boot ROM or bootloader: getting the bus
 * through a reset, asking one thing at a time, changing the baud rate, and finding back after lost
 * bytes, a chip reset or an unplugged adapter. Blocking, with a bound on everything; times come
 * from the boot clock. For foreground tools and one thread.
 *
 * Whoever is linked to a T must not leave it alone: after some 60 ms of silence its watchdog starts
 * the app. Every function here that waits keeps it busy; between calls use link_while().
 */
#ifndef DRIVERS_BEKEN_LINK_H
#define DRIVERS_BEKEN_LINK_H

#include "drivers/base/status.h"
#include "drivers/beken/frame.h"

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define LINK_FIRST_BAUD 115200u

/** The adapter's line that pulls CEN (reset) low. */
enum link_reset { LINK_RESET_NONE, LINK_RESET_RTS, LINK_RESET_DTR, LINK_RESET_RTS_DTR };

struct link_options {
    const char *port;
    enum link_reset reset;
    bool reset_inverted; /**< the line resets while it is released, not while it is asserted */
    int64_t timeout_ms;  /**< how long to wait for a module that does not answer */
    uint32_t
        likely_baud; /**< a rate at which an earlier session may have left the chip; 0 = none */
    FILE *trace;     /**< the whole conversation in hex; NULL = none; not owned */
    const volatile sig_atomic_t *stop; /**< non-zero: come back at the next frame boundary */
    /** Sentences for the person while something is being waited for; may be NULL. */
    void (*note)(void *context, const char *sentence);
    void *context;
};

struct link;

/** Opens the port; strings in options are borrowed for the link's life. */
enum status link_open(const struct link_options *options, struct link **link, struct error *error);
void link_close(struct link *link);

/**
 * Gets the module to answer, whatever state it and the line are in: probes the rates a former
 * session may have left behind, then pulses the reset line (or asks for a power cycle) under a
 * stream of LinkChecks. Afterwards the link is at 115200 or at a left-behind rate (see link_baud).
 * STATUS_NO_ANSWER with the likely reason when time is up; STATUS_FAILED when stopped.
 */
enum status link_connect(struct link *link, struct error *error);

/** After trouble: the same, but starts with what is quickest for a chip that was linked just now,
 *  and reopens a port that has gone. One time-out covers all of it; its sentences leave out what to
 *  do about it, which only the caller knows. */
enum status link_reconnect(struct link *link, struct error *error);

/** What answer is waited for, and how. */
struct link_want {
    bool flash;       /**< a long reply */
    uint8_t command;  /**< as the reply names it */
    bool has_address; /**< only a reply with this address, or a refusal, will do */
    uint32_t address;
    int64_t timeout_ms; /**< after the last byte is out */
    bool chip_busy;     /**< a long operation: feed a T while waiting */
    bool patient;       /**< a boot ROM's reply may pause for a second: late is not lost */
    int64_t piece_us;   /**< send 256-byte pieces this far apart; 0 = at line speed */
};

/**
 * Sends a command and waits for its answer, which stays valid until the next call. What came before
 * is thrown away. STATUS_NO_ANSWER: nothing, or only part of it, came in time; STATUS_FAILED: the
 * port has gone.
 */
enum status link_ask(struct link *link, const struct beken_command *command,
                     const struct link_want *want, struct beken_reply *reply, struct error *error);
/** Sends without waiting for an answer, and until the bytes are out. */
enum status link_tell(struct link *link, const struct beken_command *command, struct error *error);

/** One LinkCheck; STATUS_OK means that everything asked before has been answered or never will be.
 */
enum status link_check(struct link *link, struct error *error);
/** A window of count (at most 32) LinkChecks at once; *lost of them, or of their answers, never
 *  arrived. For line tests. */
enum status link_volley(struct link *link, unsigned count, unsigned *lost, struct error *error);

/**
 * After a missing answer: fills a half-received command until the chip listens again, at the
 * present rate. The filler starts with zeros, so that a command that lost an address byte ends in
 * an address the chip refuses or that is harmless, never in one made of our own bytes.
 */
enum status link_resync(struct link *link, struct error *error);

/** Moves both sides to another rate and confirms it. On failure the old rate is probed and restored
 *  if it answers (STATUS_FAILED); STATUS_NO_ANSWER: neither answers, use link_reconnect. */
enum status link_set_baud(struct link *link, uint32_t baud, struct error *error);
uint32_t link_baud(const struct link *link);

/** Whether the chip must be fed (a T, or not yet known). */
void link_set_flapping(struct link *link, bool flapping);

/** Runs work (files, checksums, questions) on another thread and keeps the chip linked meanwhile.
 */
void link_while(struct link *link, void (*work)(void *context), void *context);

bool link_stopped(const struct link *link);
/** True while the adapter is away. */
bool link_gone(const struct link *link);
/** The words and status for a stop before anything was erased. */
enum status link_stop_error(struct error *error);

/** Adapter's and chip's own delay of a short exchange, measured; microseconds. */
int64_t link_round_trip_us(const struct link *link);
/** After a successful link_ask: from the command's last byte on the wire to the answer's first. */
int64_t link_tail_us(const struct link *link);
/** After an unanswered link_ask: the chip has shown since that it waits for commands, because half of
 *  the answer came or because it answered the feed. */
bool link_listens(const struct link *link);
/** Bytes of the last unanswered reply that did come. */
size_t link_partial(const struct link *link);

#endif
