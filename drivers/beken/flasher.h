/* SPDX-License-Identifier: MIT */
/**
 * A flashing session with one module: find out what it is, test the line, read, write and verify
 * its flash, and come through lost bytes, late answers, resets and unplugged adapters. Blocking,
 * for foreground tools and one thread.
 *
 * Nothing is believed without the chip's CRC. Nothing is erased before all guards (plan.h), the
 * chip's protection and, on a T, the line test have said yes; a refusal is STATUS_REFUSED.
 */
#ifndef DRIVERS_BEKEN_FLASHER_H
#define DRIVERS_BEKEN_FLASHER_H

#include "drivers/base/status.h"
#include "drivers/beken/link.h"
#include "drivers/beken/module.h"
#include "drivers/beken/plan.h"

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** One step of progress. Bytes for "backup", "write", "erase", "check" and "verify". */
struct flasher_step {
    const char *stage; /**< connect, identify, link-test, backup, check, surroundings, erase, write,
                     verify, rewrite, repair, reboot; total stays the same within one */
    uint64_t done, total;
    uint32_t address; /**< where the work goes on; 0 for stages without a place */
    uint64_t retries; /**< since the session began */
    uint32_t baud;
};

struct flasher_options {
    struct link_options link; /**< note and context also serve the flasher */
    uint32_t baud;            /**< 0: the best that a line test finds; else kept to */
    enum beken_chip chip;     /**< BEKEN_CHIP_UNKNOWN: ask the module */
    bool open_guards;         /**< the user typed the confirmation of --force-bootloader */
    void (*progress)(void *context, const struct flasher_step *step); /**< may be NULL */
};

struct flasher;

/** Opens the port, links and identifies. */
enum status flasher_open(const struct flasher_options *options, struct flasher **flasher,
                         struct error *error);
/** Puts the chip back to 115200, so that the next tool finds it, and closes. */
void flasher_close(struct flasher *flasher);

/** Borrowed. */
const struct beken_module *flasher_module(const struct flasher *flasher);
uint32_t flasher_baud(const struct flasher *flasher);
/** How often something had to be sent again. */
uint64_t flasher_retries(const struct flasher *flasher);
/** Where the time went. */
struct flasher_times {
    int64_t read_us, erase_us, write_us, crc_us;
};
/** Since the session began. */
struct flasher_times flasher_times(const struct flasher *flasher);
/** For files, checksums and questions in mid session: link_while(). */
void flasher_while(struct flasher *flasher, void (*work)(void *context), void *context);
/** STATUS_NO_ANSWER, with what to do about it, if the module answers but its flash does not. */
enum status flasher_check_flash(const struct flasher *flasher, struct error *error);
/** What the flash holds: reads a few sectors; fills application and mac of the module. */
enum status flasher_identify_contents(struct flasher *flasher, struct error *error);

/* ------------------------------------------------------------------ line test */

#define FLASHER_RATES_MAX 8u

struct flasher_rate {
    uint32_t baud;
    uint64_t bytes;  /**< that crossed the line, both ways */
    uint64_t errors; /**< bytes that were lost, and blocks that arrived damaged */
    bool usable;     /**< false: the module or the adapter did not get to this rate at all */
};

struct flasher_line_report {
    size_t count;
    struct flasher_rate rates[FLASHER_RATES_MAX]; /**< those tested, from slow to fast */
    size_t untested_count;
    uint32_t untested[FLASHER_RATES_MAX]; /**< those not tried, and why */
    char untested_reason[160];            /**< one sentence, "" if all were tried */
    uint32_t recommended_baud;            /**< 0: none is fit for use */
    bool module_lost;                     /**< it did not come back from the last rate tested */
    char verdict[600];                    /**< whole sentences */
};

/**
 * Tests these rates, or a usual set if count is 0, from slow to fast; ends at the recommended one.
 *
 * It ends early at a rate where hardly anything gets across: faster ones are not better, and the
 * module could be lost there. Recommended is the fastest clean rate up to 921600. If a slower one
 * had errors, it must first pass a longer test, in which a line that loses one byte in 20000 is
 * found out. If none is clean, it is the one that gets most across.
 */
enum status flasher_test_line(struct flasher *flasher, const uint32_t *rates, size_t count,
                              struct flasher_line_report *report, struct error *error);
/** Goes to the rate asked for, or to the best of a line test. Call before moving much data.
 *  for_writing: on a T the test is thorough and the line must be clean, else STATUS_REFUSED. */
enum status flasher_choose_baud(struct flasher *flasher, bool for_writing, struct error *error);

/* ------------------------------------------------------------------ reading and writing */

/** Reads length bytes (whole sectors), every 64 KiB checked by the chip's CRC; blocks that are blank by
 *  it are not carried over the line. */
enum status flasher_read(struct flasher *flasher, uint32_t address, uint8_t *bytes, size_t length,
                         struct error *error);

struct flasher_job {
    uint32_t address;
    const uint8_t *bytes; /**< NULL: erase */
    size_t length;
    const uint8_t *current; /**< the whole flash as it is now (a fresh backup), or NULL */
    /** The whole flash as it was (any backup of this module), or NULL: to repair what a damaged
     *  command may hit outside the job. Without it the line must be clean. */
    const uint8_t *reference;
    bool with_rf; /**< also the RF sector (restore --full) */
};

/** Whether the flash's write protection is again as it was found. */
enum flasher_protection {
    FLASHER_PROTECTION_AS_FOUND,
    FLASHER_PROTECTION_OPEN,       /**< it was lifted and the chip did not let it be put back */
    FLASHER_PROTECTION_BOOTLOADER, /**< a T's bootloader lifts it and puts it on, in its own way */
};

struct flasher_result {
    size_t sectors; /**< the sum of the next four */
    size_t equal;   /**< right already, and not touched */
    size_t written;
    size_t blanked; /**< erased, to stay blank */
    size_t guarded; /**< left alone: RF, a T's bootloader */
    enum flasher_protection protection;
    uint64_t retries;
    unsigned reconnects, repaired;
    uint32_t baud; /**< in the end */
    struct flasher_times times;
    int64_t total_us;
};

/** Erases and writes what differs, then verifies all of it. Run it again after an interruption: it
 *  goes on with what is missing. STATUS_MISMATCH: verification failed in the end. */
enum status flasher_write(struct flasher *flasher, const struct flasher_job *job,
                          struct flasher_result *result, struct error *error);

/** Compares by CRC; differing[] gets true for each sector that differs, *count how many.
 * everything: also what a write would not touch (RF, a T's bootloader). */
enum status flasher_verify(struct flasher *flasher, uint32_t address, const uint8_t *bytes,
                           size_t length, bool everything, bool *differing, size_t *count,
                           struct error *error);

/** Starts the app. There is no answer to wait for. */
enum status flasher_reboot(struct flasher *flasher, struct error *error);

#endif
