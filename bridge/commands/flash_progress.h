/* SPDX-License-Identifier: MIT */
/** What the flasher is doing, on stderr: as a bar on one line of the terminal, as JSON lines, or not. */
#ifndef BRIDGE_COMMANDS_FLASH_PROGRESS_H
#define BRIDGE_COMMANDS_FLASH_PROGRESS_H

#include "bridge/commands/flash_options.h"
#include "drivers/beken/flasher.h"

#include <stdbool.h>
#include <stdint.h>

struct flash_progress {
    enum flash_progress_mode mode; /* never FLASH_PROGRESS_AUTO */
    struct flasher_step step;      /* the latest one; its stage is "start" before the first */
    int64_t stage_start_ms;        /* boot clock */
    uint64_t stage_start_done;
    int64_t drawn_ms;
    bool bar_shown;
    bool ended; /* the bar of this stage was full, and its line has ended */
};

void flash_progress_init(struct flash_progress *progress, enum flash_progress_mode mode);
/** The next step. */
void flash_progress_step(struct flash_progress *progress, const struct flasher_step *step);
/** A sentence for the person, above the bar. */
void flash_progress_note(struct flash_progress *progress, const char *sentence);
/** Ends the line that the bar stands on. */
void flash_progress_end(struct flash_progress *progress);
/** The last line of --progress json. False in the other modes: nothing was printed. */
bool flash_progress_fail(const struct flash_progress *progress, int exit_status,
                         const char *sentence);

/** The bar of one step as text, at most `columns` wide: what matters least is left out when there is
 *  little room. elapsed_ms and moved (bytes): since the stage began. */
void flash_progress_format(const struct flasher_step *step, int64_t elapsed_ms, uint64_t moved,
                           int columns, char *buffer, size_t size);

#endif
