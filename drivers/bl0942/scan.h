/* SPDX-License-Identifier: MIT */
/**
 * Looks for BL0942 chips on a port: at 4800, 9600, 19200 and 38400 baud it asks every address for
 * its MODE register and then for a packet. A raw port has one rate, the one at its other end. Blocks
 * for up to 5 s, over a network up to 40 s. Changes nothing in the chips.
 */
#ifndef DRIVERS_BL0942_SCAN_H
#define DRIVERS_BL0942_SCAN_H

#include "drivers/base/status.h"
#include "drivers/bl0942/codec.h"
#include "drivers/serial/port.h"

#include <stddef.h>
#include <stdint.h>

struct bl0942_found {
    uint32_t baud;
    unsigned address;
    uint32_t mode;
    struct bl0942_packet packet;
};

struct bl0942_scan {
    struct bl0942_found chips[BL0942_ADDRESSES]; /**< in the order in which they were found */
    size_t count;
    size_t bytes_received; /**< bytes of any kind: 0 means a dead line, many without a chip noise */
};

/** Called before each baud rate is tried. */
typedef void (*bl0942_scan_progress)(void *context, uint32_t baud);

/** only_baud: 0 for all rates. STATUS_NO_ANSWER with advice in *error if no chip answered; *scan is
 *  valid then too. STATUS_FAILED if the port fails. */
enum status bl0942_scan(struct serial_port *port, uint32_t only_baud, bl0942_scan_progress progress,
                        void *context, struct bl0942_scan *scan, struct error *error);

#endif
