/* SPDX-License-Identifier: MIT */
/**
 * A serial port, opened for one owner: libserialport finds and configures real ports, and what it
 * (0.1.1) cannot do is done here on the file descriptor: by-id symlinks, ptys, exclusive access,
 * close-on-exec, noticing an unplugged adapter, and leaving DTR and RTS alone.
 *
 * A port may also be elsewhere, behind a TCP connection (address.h has the names).
 *
 * All calls are non-blocking unless they name a time-out. An unplugged port answers STATUS_FAILED
 * with *gone set by serial_read/serial_write; close it and open it again by its stable name.
 */
#ifndef DRIVERS_SERIAL_PORT_H
#define DRIVERS_SERIAL_PORT_H

#include "drivers/base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** KEEP: as the kernel has it after opening a tty, which asserts both unless the port was open
 *  already; nothing short of the adapter's wiring can prevent that. */
enum serial_line_level { SERIAL_LINE_KEEP, SERIAL_LINE_LOW, SERIAL_LINE_HIGH };

struct serial_options {
    uint32_t baud; /**< any rate the adapter can do; 8N1, no flow control */
    /** As set right after opening; LOW = asserted on a usual adapter. */
    enum serial_line_level dtr;
    enum serial_line_level rts;
    bool low_latency; /**< ASYNC_LOW_LATENCY where the adapter has it */
    bool patient;     /**< a refusal may take a second, to find out who holds the port */
};

struct serial_port;

/** Opens and locks; STATUS_NO_ANSWER if there is no such port, STATUS_REFUSED if another process
 *  holds it (the message names it if it can be found), STATUS_FAILED otherwise. */
enum status serial_open(const char *path, const struct serial_options *options,
                        struct serial_port **port, struct error *error);
void serial_close(struct serial_port *port);

/** Reached over a network: answers may take a second. */
bool serial_is_remote(const struct serial_port *port);
/** Carries bytes only: no break, no baud rate, no modem lines. */
bool serial_is_raw(const struct serial_port *port);

/** For uv_poll or poll(2): readable, or POLLHUP/POLLERR when unplugged. Owned by the port. */
int serial_fd(const struct serial_port *port);

/** *count bytes were there (0: none now). *gone: unplugged. */
enum status serial_read(struct serial_port *port, void *buffer, size_t size, size_t *count,
                        bool *gone, struct error *error);
/** *count bytes were accepted by the kernel, maybe fewer than size. */
enum status serial_write(struct serial_port *port, const void *bytes, size_t size, size_t *count,
                         bool *gone, struct error *error);
/** Throws away what arrived and was not read. */
void serial_flush_input(struct serial_port *port);
/** Waits until everything written has left the UART; bounded. STATUS_NO_ANSWER when time is up. */
enum status serial_drain(struct serial_port *port, int64_t timeout_ms, struct error *error);
enum status serial_set_baud(struct serial_port *port, uint32_t baud, struct error *error);
/** Break on or off (TIOCSBRK); ignored quietly where the port has no break (ptys). */
enum status serial_set_break(struct serial_port *port, bool on, struct error *error);
/** False for a port without modem lines (ptys, a few adapters). */
bool serial_has_lines(const struct serial_port *port);
/** KEEP leaves a line; ports without modem lines (ptys) ignore it. */
enum status serial_set_lines(struct serial_port *port, enum serial_line_level dtr,
                             enum serial_line_level rts, struct error *error);

/** The version of the libserialport that runs. */
const char *serial_library_version(void);

#endif
