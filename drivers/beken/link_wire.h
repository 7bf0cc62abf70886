/* SPDX-License-Identifier: MIT */
/**
 * The bytes of a link: its port, what goes out at the line's pace, what comes in, and the trace of both.
 * Shared by link_wire.c, link_exchange.c and link_find.c; everybody else uses link.h.
 *
 * Times are microseconds of the boot clock. STATUS_FAILED with link->gone set means that the adapter has
 * gone; every function that needs the port reports that by itself.
 */
#ifndef DRIVERS_BEKEN_LINK_WIRE_H
#define DRIVERS_BEKEN_LINK_WIRE_H

#include "drivers/beken/link.h"

#include <poll.h>

struct serial_port;

/** Bytes sent at once; also the chip's page. */
#define WIRE_PIECE 256

/** What was received while no module answered: the words of the failure depend on it. */
struct received {
    uint64_t bytes;
    bool echo;       /**< our own LinkCheck came back */
    bool tuya_mcu;   /**< a second controller's frames */
    uint64_t window; /**< last eight bytes */
};

struct link {
    struct link_options options;
    struct serial_port *port; /**< NULL while the adapter is away */
    struct beken_parser *parser;
    uint32_t baud;
    bool flapping;
    bool gone;
    bool reconnecting;    /**< it answered before, so the wires are right */
    bool reported_gone;   /**< in this wait, that the adapter has gone */
    bool asked_for_power; /**< ... and that the module wants a power cycle */
    int64_t line_free_us; /**< when the last byte written will have left the wire */
    int64_t last_byte_us; /**< when anything was last sent or received */
    int64_t round_trip_us;
    int64_t tail_us;
    int64_t opened_us;
    size_t partial;
    bool listens;
    uint8_t held[BEKEN_REPLY_MAX]; /**< a reply's data, for as long as link_ask() promises */
    struct received received;
};

int64_t wire_now_us(void);
/** A signal may end it early. */
void wire_sleep_until(int64_t when_us);
/** How long so many bytes take on the wire at the present rate. */
int64_t wire_duration_us(const struct link *link, size_t bytes);

/** A sentence for the person. */
void wire_note(const struct link *link, const char *sentence);
/** An event and its number into the trace. */
void wire_trace(const struct link *link, const char *what, uint32_t value);

/** Opens link->options.port at link->baud with its lines at rest; STATUS_USAGE if it cannot change its rate. */
enum status wire_open(struct link *link, struct error *error);
enum status wire_set_baud(struct link *link, uint32_t baud, struct error *error);
enum status wire_gone_error(const struct link *link, struct error *error);

/** Until the port is readable or writable (poll's events) or the time is up. */
void wire_wait(const struct link *link, short events, int64_t until_us);
/** As fast as the adapter takes it; STATUS_FAILED if it takes nothing for seconds. */
enum status wire_send(struct link *link, const uint8_t *bytes, size_t length, struct error *error);
/** In pieces whose starts lie piece_us apart, for a chip that is slower than the line; 0: at once. */
enum status wire_send_paced(struct link *link, const uint8_t *bytes, size_t length,
                            int64_t piece_us, struct error *error);

/** Reads what is there into the parser; *count bytes. */
enum status wire_receive(struct link *link, size_t *count, struct error *error);
/** Forgets everything that has arrived so far. */
enum status wire_discard(struct link *link, struct error *error);
/** Until nothing has come for quiet_ms, at most ten times that; drops what comes. */
enum status wire_wait_quiet(struct link *link, int64_t quiet_ms, struct error *error);

#endif
