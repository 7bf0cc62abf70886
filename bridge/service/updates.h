/* SPDX-License-Identifier: MIT */
/**
 * New firmware for OpenBeken modules, from a folder that the user fills: which version each module has (it
 * tells on CLIENT/build), which is the newest that fits, and the installing of it, one at a time, on a
 * thread of its own (provision/update.h). Loop thread only.
 *
 * A package fits if its code is for the module's chip and, for a device with a channel on the second chip,
 * can read two chips. The folder is looked through once a minute. A module that has not told its version
 * some seconds after the broker was reached is asked for it (publishAll), unless its flag 30 is on
 * (openbeken/source.h): it says when it connects the next time.
 */
#ifndef BRIDGE_SERVICE_UPDATES_H
#define BRIDGE_SERVICE_UPDATES_H

#include "bridge/config/config.h"
#include "bridge/device/properties.h"
#include "bridge/mqtt/publisher.h"
#include "bridge/requests/requests.h"
#include "drivers/base/log.h"

#include <uv.h>

struct updates_options {
    const char *folder;       /**< borrowed */
    const char *web_password; /**< borrowed; "" none. Only sent to a host that bridge.yaml names */
    struct publisher *publisher;
    struct log *log;
    /** owner: as in updates_add. */
    void (*changed)(void *context, void *owner, const struct device_update *update);
    void (*event)(void *context, const char *kind, const char *device, const char *message);
    void *context;
};

struct updates;

struct updates *updates_create(uv_loop_t *loop, const struct updates_options *options);
/** A module whose upload is under way is restarted with its old firmware. The loop must run until the
 *  thread has ended. NULL is allowed. */
void updates_close(struct updates *updates);

/** Does nothing for a device that is no OpenBeken module. What is needed of config is copied. */
void updates_add(struct updates *updates, void *owner, const struct config_device *config);
/** The device leaves. An update that is under way goes on. */
void updates_remove(struct updates *updates, const void *owner);

/** True if it was about a module's firmware or address. */
bool updates_incoming(struct updates *updates, const struct publisher_incoming *incoming);

/** Handler of device/update: installs the newest package that fits, and answers when the module is back:
 *  {"id","from","to"}. */
enum status updates_install(struct updates *updates, struct pending *pending, struct error *error);

/** About once a second. */
void updates_tick(struct updates *updates, int64_t boot_ms);

#endif
