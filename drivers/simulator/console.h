/* SPDX-License-Identifier: MIT */
/**
 * The words by which a person or a test steers a running simulated meter
 * (bl2mqtt-simulate-meter(1), CONTROL), and the truth about it as JSON. No I/O of its own.
 */
#ifndef DRIVERS_SIMULATOR_CONSOLE_H
#define DRIVERS_SIMULATOR_CONSOLE_H

#include "drivers/base/status.h"
#include "drivers/simulator/meter.h"

#include <jansson.h>

enum console_order {
    CONSOLE_DONE,   /**< carried out, or an empty line */
    CONSOLE_REPLUG, /**< the caller is to plug the meter in, as that can fail */
    CONSOLE_TRUTH,  /**< the caller is to tell the truth */
    CONSOLE_QUIT,   /**< the caller is to end */
    CONSOLE_WRONG,  /**< not understood; nothing was done */
};

/** Carries out one line without its newline; line is cut into words in place. error is set with
 *  CONSOLE_WRONG only. */
enum console_order console_obey(struct simulator_meter *meter, char *line, struct error *error);

/** What really happened on all chips of the line; the caller owns the document. */
json_t *console_truth(struct simulator_meter *meter);

/** Sets the fault of that name (a member of struct chip_faults) to a probability in text. False,
 *  with nothing set, if there is no such fault or it is no probability. */
bool console_set_fault(struct chip_faults *faults, const char *name, size_t name_length,
                       const char *probability);

#endif
