/* SPDX-License-Identifier: MIT */
/** What the parts of `calibrate` work on: fresh readings of a channel, the factors, the answer. */
#ifndef BRIDGE_COMMANDS_CALIBRATE_H
#define BRIDGE_COMMANDS_CALIBRATE_H

#include "bridge/commands/command.h"
#include "bridge/config/config.h"
#include "bridge/meter/reference.h"
#include "drivers/reading.h"

#include <stdbool.h>
#include <stdint.h>

struct calibrate_options {
    const char *device, *channel;
    struct reference reference;
    int64_t seconds;
    bool dry_run, json;
};

/* What the work is about, and what came of it. */
struct calibrate_work {
    const struct calibrate_options *options;
    const struct config *config;
    const struct config_device *device;
    const struct config_channel *channel;
    size_t channel_index;
    const char *history_path;
    bool service_runs;

    struct calibration old;
    bool invert;
    struct reference_samples samples;
    int64_t first_ms; /* stamp of the first reading; 0: none yet */
    int64_t last_ms;  /* ... and of the last */

    struct reference_result result;
    bool stored;
    int64_t valid_from_ms;
};

enum reading_kind calibrate_kind(const struct calibrate_work *work);

/* ---- fresh readings, averaged over options->seconds ---- */

/** As the running service stores them. */
enum status calibrate_from_service(struct calibrate_work *work, struct error *error);
/** From the chip itself. */
enum status calibrate_from_chip(struct calibrate_work *work, struct error *error);

/* ---- the answer ---- */

void calibrate_print_text(const struct calibrate_work *work);
void calibrate_print_json(const struct calibrate_work *work);
/** What is doubtful about the factors, on stderr. */
void calibrate_warn(const struct calibrate_work *work);

#endif
