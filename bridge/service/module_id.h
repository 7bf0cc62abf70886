/* SPDX-License-Identifier: MIT */
/** Device ids for modules that have none yet. Pure. */
#ifndef BRIDGE_SERVICE_MODULE_ID_H
#define BRIDGE_SERVICE_MODULE_ID_H

#include <stdbool.h>

#define MODULE_ID_SIZE 33 /**< 32 characters, the longest id of a device */

/** Remembers which numbers it has given out, so that making many ids of one word is quick. */
struct module_ids;
struct module_ids *module_ids_create(void);
void module_ids_free(struct module_ids *ids);

/** Makes an id out of the last word of the client id: in small letters, with a number if is_taken says that
 *  it is taken. A number that ids has given out is not tried again. */
void module_ids_make(struct module_ids *ids, const char *client,
                     bool (*is_taken)(void *context, const char *id), void *context,
                     char id[MODULE_ID_SIZE]);

#endif
