/* SPDX-License-Identifier: MIT */
/**
 * A pseudo terminal that plays a serial adapter: the simulator holds the master, the program under
 * test opens the slave by its path as it would open /dev/ttyUSB0.
 *
 * The slave is also kept open here, so that the pair outlives a host that closes and opens it. When
 * the pair is closed, a host that still has the slave open sees a hang-up, as with an adapter that
 * was pulled out.
 *
 * Apart from libuv because <uv.h> and <asm/termbits.h>, which knows every baud rate by its number,
 * do not go together.
 */
#ifndef DRIVERS_SIMULATOR_PTY_H
#define DRIVERS_SIMULATOR_PTY_H

#include "drivers/base/status.h"

#include <stdint.h>

struct pty {
    int master; /**< non-blocking, close-on-exec */
    int slave;
    char path[64]; /**< of the slave */
};

/** A raw pair at 4800 baud. STATUS_FAILED when the system has no more of them. */
enum status pty_open(struct pty *pty, struct error *error);
void pty_close(struct pty *pty);
/** Closes the simulator's own slave: from now on the master hangs up (POLLHUP) whenever no host has
 *  the pair open, so that opening and closing can be seen. */
void pty_release_slave(struct pty *pty);

/** The rate that the host has set on the slave; 0 if it cannot be read or is B0. */
uint32_t pty_host_baud(const struct pty *pty);

/**
 * Makes link a symbolic link to the slave, replacing another symbolic link in one step.
 * STATUS_REFUSED if something else is there, STATUS_FAILED if it cannot be made.
 */
enum status pty_link(const struct pty *pty, const char *link, struct error *error);
/** Removes link if it is a symbolic link to this slave. */
void pty_unlink(const struct pty *pty, const char *link);

#endif
