/* SPDX-License-Identifier: MIT */
/**
 * Opens serial ports over the network on the event loop: looks names up on a thread, connects,
 * negotiates RFC 2217, or listens for a module that dials. Nothing blocks. Loop thread only.
 */
#ifndef DRIVERS_SERIAL_DIALER_H
#define DRIVERS_SERIAL_DIALER_H

#include "drivers/serial/port.h"

#include <uv.h>

struct serial_dialer;

struct serial_dialer_options {
    const char *name; /**< an address that serial_address_read() takes, but no tty; copied */
    uint32_t baud;    /**< what an RFC 2217 port is set to */
    void *context;
    /** The port is the callee's from now on. A listening dialer may call again: the newest
     *  connection is the one that counts. */
    void (*opened)(void *context, struct serial_port *port);
    /** This attempt failed; the callee decides when to dial again. reason: a sentence. */
    void (*failed)(void *context, const char *reason);
};

struct serial_dialer *serial_dialer_create(uv_loop_t *loop,
                                           const struct serial_dialer_options *options);
/** Begins an attempt, unless one is under way or somebody is listened for. */
void serial_dialer_dial(struct serial_dialer *dialer);
/** Gives up and frees; the loop must run once more for libuv to let go of its handles. */
void serial_dialer_close(struct serial_dialer *dialer);

#endif
