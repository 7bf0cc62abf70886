/* SPDX-License-Identifier: MIT */
/**
 * Erasing and writing a plan, sector by sector, with everything checked by CRC. Part of the flasher, shared
 * by write.c and write_job.c; its public function is flasher_write().
 */
#ifndef DRIVERS_BEKEN_WRITE_H
#define DRIVERS_BEKEN_WRITE_H

#include "drivers/beken/compare.h"

#define WRITE_NOWHERE SIZE_MAX
/** How often a plan is compared with the flash and what differs written again. */
#define WRITE_VERIFY_ROUNDS 5

/** A write under way. */
struct write_run {
    struct flasher *flasher;
    struct plan *plan;
    struct flasher_result *result;
    const char *stage; /**< of progress: what the passes over the plan are called */
    bool quiet;        /**< part of something else: no progress of its own */
    bool proven;       /**< a CRC has shown that this flash takes writes */
    size_t todo;       /**< sectors that differed in the beginning */
    size_t at;         /**< index of the sector that is being erased or sent; WRITE_NOWHERE */
};

#define WRITE_NOWHERE SIZE_MAX

/** Sectors that are to be written, or may have to be. */
size_t write_todo(const struct plan *plan);
/** One pass: all sectors of write_todo() are erased and written. */
enum status write_blocks(struct write_run *run, struct error *error);
/** Compares everything and writes again what differs; STATUS_MISMATCH if that does not help. */
enum status write_verified(struct write_run *run, struct error *error);

#endif
