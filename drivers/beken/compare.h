/* SPDX-License-Identifier: MIT */
/**
 * What is in the flash, by the chip's own CRC: reading it, and comparing it with a plan. Part of the
 * flasher; its public functions are flasher_read() and flasher_verify().
 */
#ifndef DRIVERS_BEKEN_COMPARE_H
#define DRIVERS_BEKEN_COMPARE_H

#include "drivers/beken/plan.h"
#include "drivers/beken/session.h"

/** The stage of something that is part of another one and shows no progress of its own. */
#define COMPARE_QUIETLY ""

/** True if a sector of the block is to be treated so. */
bool compare_block_has(struct plan *plan, const struct plan_block *block, enum plan_action action);

/**
 * Sets each sector's action to PLAN_EQUAL or PLAN_WRITE, except those to be left alone. surely: a damaged
 * answer is asked for again. Before a write it only costs a needless one; afterwards it would be a false alarm.
 */
enum status compare_plan(struct flasher *flasher, struct plan *plan, const char *stage, bool surely,
                         struct error *error);

#endif
