/* SPDX-License-Identifier: MIT */
/**
 * The kernel's termios2: raw 8N1 at any rate. A file of its own because the kernel's header and the
 * C library's <termios.h> cannot be included together.
 */
#ifndef DRIVERS_SERIAL_RATE_H
#define DRIVERS_SERIAL_RATE_H

#include <stdbool.h>
#include <stdint.h>

/** No line discipline tricks, no flow control, modem status ignored, lines kept on close. The rate
 *  stays. False with errno set. */
bool rate_make_raw(int fd);
/** Any rate, also one without a B constant. False with errno set. */
bool rate_set(int fd, uint32_t baud);
/** The rate the driver really chose; 0 if it does not tell. */
uint32_t rate_get(int fd);

#endif
