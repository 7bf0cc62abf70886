/* SPDX-License-Identifier: MIT */
/** A device id for a module that has none yet. Pure. */
#ifndef BRIDGE_SERVICE_MODULE_ID_H
#define BRIDGE_SERVICE_MODULE_ID_H

#include <stdbool.h>

#define MODULE_ID_SIZE 33 /**< 32 characters, the longest id of a device */

/** Makes one out of the last word of the client id: in small letters, with a number if it is taken. */
void module_id_make(const char *client, bool (*is_taken)(void *context, const char *id),
                    void *context, char id[MODULE_ID_SIZE]);

#endif
