/* SPDX-License-Identifier: MIT */
/**
 * Which device topics this bridge has published retained messages under, as a small JSON file in the
 * data directory: so that a device that was removed, renamed or moved to another base topic does not
 * stay "online" on the broker forever.
 */
#ifndef BRIDGE_SERVICE_ROSTER_H
#define BRIDGE_SERVICE_ROSTER_H

#include "bridge/config/config.h"
#include "drivers/base/log.h"

/** Behind a discovery prefix. */
#define ROSTER_DISCOVERY "#discovery"

/**
 * Calls gone for every topic (<base>/<device>, and <base>/bridge) that the file names and config does not, then writes
 * what config has, and the <base>/bridge of a few former base topics. Likewise discovery prefixes, <prefix>#discovery. A damaged file is reported and replaced; a full disk only delays the forgetting.
 */
void roster_update(const char *path, const struct config *config,
                   void (*gone)(void *context, const char *topic), void *context, struct log *log);

/** Adds a topic of a device that joined later, so that its removal is noticed. Any thread, but not while
 *  roster_update runs. */
void roster_add(const char *path, const char *base_topic, const char *device, struct log *log);

#endif
