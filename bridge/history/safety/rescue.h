/* SPDX-License-Identifier: MIT */
/** Brings what the small tables of a damaged history still hold into a fresh one. */
#ifndef BRIDGE_HISTORY_SAFETY_RESCUE_H
#define BRIDGE_HISTORY_SAFETY_RESCUE_H

#include "drivers/base/status.h"

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>

struct rescued {
    unsigned channels;
    unsigned calibrations;
    unsigned totals;
};

/**
 * Copies channels, calibrations, corrections of these and totals row by row from the damaged file
 * into db, which has the schema of this program's version: from both ends of each table until a row
 * cannot be read. Rows that db has already, and rows that break its rules, are left out. Never
 * fails: what cannot be read is not counted.
 */
struct rescued rescue_salvage(const char *damaged, sqlite3 *db);

#endif
