/* SPDX-License-Identifier: MIT */
/** What was measured, row by row: as CSV or JSON lines, calibrated, or as the energy of whole hours that
 *  Home Assistant imports as long-term statistics. The service may write the history meanwhile. */
#ifndef BRIDGE_HISTORY_EXPORT_EXPORT_H
#define BRIDGE_HISTORY_EXPORT_EXPORT_H

#include "drivers/base/status.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum history_export_format { HISTORY_EXPORT_CSV, HISTORY_EXPORT_JSONL, HISTORY_EXPORT_HA };

struct history_export_options {
    const char *path; /**< the history */
    const char *device;
    const char *channel; /**< NULL: all of the device */
    int64_t from_ms, to_ms;
    enum history_export_format format;
    const char *output; /**< a file, which is complete once it is there; NULL: out */
    /* For Home Assistant: statistics.h has the meaning. */
    const char *present; /**< file with what it has; NULL: nothing */
    const char *entity;  /**< NULL: as discovery proposes it; else of one channel and direction */
    bool produced;       /**< entity is about what is fed back */
    bool has_mean;       /**< it is older than 2025.11 */
    bool resume;         /**< resume where the file ends; CSV and JSON lines only */
};

/** STATUS_USAGE: no such history, device or channel, an empty span, or a file that cannot be resumed. */
enum status history_export(const struct history_export_options *options, FILE *out,
                           struct error *error);

#endif
