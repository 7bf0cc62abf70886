/* SPDX-License-Identifier: MIT */
/** The machine's serial ports, with stable names, USB ids and holders. */
#ifndef DRIVERS_SERIAL_LIST_H
#define DRIVERS_SERIAL_LIST_H

#include "drivers/base/status.h"

#include <stdbool.h>
#include <stddef.h>

struct serial_listing {
    char path[256];    /**< /dev/ttyUSB0 */
    char by_id[256];   /**< /dev/serial/by-id/..., "" if none */
    char by_path[256]; /**< /dev/serial/by-path/..., "" if none */
    bool by_id_unique; /**< false: none, or two identical adapters share it: use by_path */
    bool usb;
    int usb_vid, usb_pid;
    char usb_serial[128], description[256];
    char holder[128]; /**< "mosquitto (pid 12)" or "" */
};

/** New array of *count listings, freed with free(). */
enum status serial_list(struct serial_listing **listings, size_t *count, struct error *error);

/** The link in folder (/dev/serial/by-id) that leads to device (canonical), as "folder/link"; of
 *  several the first in alphabetical order. False, and "" in name, if there is none. */
bool serial_stable_name(const char *folder, const char *device, char *name, size_t size);

#endif
