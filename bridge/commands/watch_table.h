/* SPDX-License-Identifier: MIT */
/** The table of `watch`: one line for each channel, from the published states. */
#ifndef BRIDGE_COMMANDS_WATCH_TABLE_H
#define BRIDGE_COMMANDS_WATCH_TABLE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct watch_table;

struct watch_table *watch_table_new(void);
void watch_table_free(struct watch_table *table);

/** <base>/bridge/devices: names, and which devices there are. */
void watch_table_devices(struct watch_table *table, const json_t *devices);
/** <base>/bridge/state; NULL: not known. */
void watch_table_bridge(struct watch_table *table, const char *state);
/** <base>/<device>; borrowed. What is no object is left out. */
void watch_table_state(struct watch_table *table, const char *device, json_t *state,
                       int64_t now_ms);
/** <base>/<device>/availability. */
void watch_table_availability(struct watch_table *table, const char *device, const char *state);

/** How many devices have a state. */
size_t watch_table_count(const struct watch_table *table);

/** How many devices are not offline and have no state yet. */
size_t watch_table_waiting(const struct watch_table *table);

/** Prints the table as wide as the terminal; in_place: over the previous one. */
void watch_table_print(const struct watch_table *table, bool in_place, bool connected,
                       int64_t now_ms);

/** One line on standard output. */
void watch_print_json(const char *device, json_t *state);

#endif
