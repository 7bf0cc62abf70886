/* SPDX-License-Identifier: MIT */
/**
 * Finds modules with OpenBeken firmware by what they say on the broker. Pure; takes anything.
 *
 * A client id counts as a module's if one of these was received: an announcement to Home Assistant as
 * OpenBeken makes them, a `build` that begins with "Open", or a value on a topic ending in /get, which
 * other software does not use. `connected` alone is no sign; many programs say that.
 */
#ifndef DRIVERS_OPENBEKEN_FINDER_H
#define DRIVERS_OPENBEKEN_FINDER_H

#include "drivers/openbeken/discovery.h"

#define OPENBEKEN_FOUND_MAX 4096       /**< more client ids are not remembered */
#define OPENBEKEN_ANNOUNCEMENTS_MAX 64 /**< per module; it makes at most 32 */

struct openbeken_found {
    char client[OPENBEKEN_CLIENT_MAX + 1];
    char name[OPENBEKEN_NAME_MAX + 1];
    char long_name[OPENBEKEN_NAME_MAX + 1];
    char chipset[32];
    char page[80];
    char build[80];
    bool is_module;
    bool connected_known, connected;
    bool chips[OPENBEKEN_CHIPS]; /**< values of that chip were seen or announced */
    bool values_received;        /**< fresh ones */
    bool values_retained;        /**< left behind by flag 7: the broker repeats them forever */
    bool speaks_tele;            /**< flag 30 is on */
    enum openbeken_unit unit;    /**< as announced */
    size_t announcement_count;   /**< retained announcements to Home Assistant */
};

struct openbeken_finder;

struct openbeken_finder *openbeken_finder_create(const char *discovery_prefix);
void openbeken_finder_free(struct openbeken_finder *finder);

/** The topic filters that bring all there is to find: client ids of up to four words. */
void openbeken_finder_filters(const struct openbeken_finder *finder,
                              void (*subscribe)(void *context, const char *filter), void *context);

void openbeken_finder_message(struct openbeken_finder *finder, const char *topic,
                              const char *payload, size_t length, bool retained);

/** All client ids received; skip those that are no module. Borrowed until the next message. */
size_t openbeken_finder_count(const struct openbeken_finder *finder);
const struct openbeken_found *openbeken_finder_get(const struct openbeken_finder *finder,
                                                   size_t index);

/** The topics of a module's announcements, to be emptied by who wants them gone. */
const char *openbeken_finder_announcement(const struct openbeken_finder *finder, size_t index,
                                          size_t announcement);

#endif
