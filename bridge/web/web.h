/* SPDX-License-Identifier: MIT */
/**
 * The web page and the HTTP API of the running bridge: an output of the hub and a door to the requests.
 * The table of what is served is in api.c; docs/api.md describes it for programs.
 */
#ifndef BRIDGE_WEB_WEB_H
#define BRIDGE_WEB_WEB_H

#include "bridge/hub/hub.h"
#include "bridge/meter/tariff.h"
#include "bridge/requests/requests.h"
#include "drivers/base/log.h"
#include "drivers/base/status.h"

#include <uv.h>

/** All texts are borrowed and never NULL; "" is "none". */
struct web_settings {
    const char *listen;    /**< host:port; "off" is the caller's to know */
    const char *password;  /**< for the login page */
    const char *token;     /**< for programs */
    const char *base_path; /**< "" or "/meter" */
    bool login_always;     /**< web.auth: always */
    bool login_never;      /**< web.auth: none */
    const char *history_path;
    const char *backup_folder; /**< "": beside the history */
    const char *folder;        /**< for files that come and go; is created */
    bool maintenance;          /**< web.maintenance: backups and firmware are handled over HTTP */
    bool maintenance_open;     /**< also where neither loopback nor a login protects it */
    struct tariffs *const
        *tariffs; /**< where those in force are kept: what energy cost; borrowed */
    uv_loop_t *loop;
    struct hub *hub;
    struct requests *requests;
    struct log *log;
};

struct web;

/** STATUS_FAILED with a sentence if the address cannot be listened on; nothing is open then. */
enum status web_open(const struct web_settings *settings, struct web **web, struct error *error);
/** Before the hub and the requests go. The loop must run once more. NULL is allowed. */
void web_close(struct web *web);

#endif
