/* SPDX-License-Identifier: MIT */
/** The web page and the API as the configuration has them. */
#ifndef BRIDGE_SERVICE_WEB_OUTPUT_H
#define BRIDGE_SERVICE_WEB_OUTPUT_H

#include "bridge/config/config.h"
#include "bridge/hub/hub.h"
#include "bridge/meter/tariff.h"
#include "bridge/requests/requests.h"

#include <uv.h>

struct web_output;

struct web_output_options {
    const struct config *config;    /**< borrowed, as everything here */
    const char *history_path;       /**< copied, as the next */
    const char *backup_folder;      /**< "": beside the history */
    struct tariffs *const *tariffs; /**< where those in force are kept */
    uv_loop_t *loop;
    struct hub *hub;
    struct requests *requests;
    struct log *log;
};

/** NULL if web.listen is off, or if the address cannot be listened on: the log has a warning then, and
 *  everything else continues. */
struct web_output *web_output_open(const struct web_output_options *options);
/** Before the hub is freed; the loop must run once more. NULL is allowed. */
void web_output_close(struct web_output *output);

#endif
