/* SPDX-License-Identifier: MIT */
/**
 * The running bridge: `bl2mqtt run`. Owns the loop, the history, the publisher and all devices,
 * from a checked configuration to the clean stop.
 */
#ifndef BRIDGE_SERVICE_SERVICE_H
#define BRIDGE_SERVICE_SERVICE_H

#include "bridge/config/config.h"

enum service_end {
    SERVICE_STOPPED, /**< SIGTERM or SIGINT */
    SERVICE_RELOAD,  /**< SIGHUP or a restart request: load the configuration again and run */
};

/** Runs until told to stop. config and log are borrowed; devices that are adopted meanwhile are added to
 *  config. */
enum status service_run(struct config *config, const char *config_path, struct log *log,
                        enum service_end *end, struct error *error);

#endif
