/* SPDX-License-Identifier: MIT */
/**
 * The seam between a serial port's users (port.h) and what it is made of: a tty of this machine, or
 * a socket to a serial port elsewhere. Private to this folder. A kind embeds struct serial_port as
 * its first member.
 */
#ifndef DRIVERS_SERIAL_KIND_H
#define DRIVERS_SERIAL_KIND_H

#include "drivers/serial/port.h"

struct serial_kind {
    enum status (*read)(struct serial_port *port, void *buffer, size_t size, size_t *count,
                        bool *gone, struct error *error);
    enum status (*write)(struct serial_port *port, const void *bytes, size_t size, size_t *count,
                         bool *gone, struct error *error);
    void (*flush_input)(struct serial_port *port);
    enum status (*drain)(struct serial_port *port, int64_t timeout_ms, struct error *error);
    enum status (*set_baud)(struct serial_port *port, uint32_t baud, struct error *error);
    enum status (*set_break)(struct serial_port *port, bool on, struct error *error);
    bool (*has_lines)(const struct serial_port *port);
    enum status (*set_lines)(struct serial_port *port, enum serial_line_level dtr,
                             enum serial_line_level rts, struct error *error);
    void (*close)(struct serial_port *port);
};

struct serial_port {
    const struct serial_kind *kind;
    bool remote, raw;
    char *name; /* as the user wrote it, for messages; owned */
    int fd;     /* non-blocking */
};

enum status serial_tty_open(const char *path, const struct serial_options *options,
                            struct serial_port **port, struct error *error);
/** Looks the name up and connects, for at most 10 s: for commands, never on an event loop. */
enum status serial_socket_open(const char *address, const struct serial_options *options,
                               struct serial_port **port, struct error *error);

#endif
