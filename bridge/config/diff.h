/* SPDX-License-Identifier: MIT */
/**
 * What is different between two configurations, so that a running service changes no more than it
 * must: which devices came, went or changed and how far that reaches, and the dotted paths of the
 * changed keys for people and programs ("bridge.log_level", "devices.house.interval"). Pure. How far
 * a key reaches stands in the table of keys (fields.h, `reach`).
 */
#ifndef BRIDGE_CONFIG_DIFF_H
#define BRIDGE_CONFIG_DIFF_H

#include "bridge/config/config.h"

#include <jansson.h>

/** How far a changed key reaches; the later in this list, the further. In the table of keys,
 *  CONFIG_REACH_USUAL stands for what is usual in the scope: the bridge's own keys need a restart, a
 *  device's and a channel's keys take that device up anew. */
enum config_reach {
    CONFIG_REACH_USUAL,
    CONFIG_REACH_LIVE,    /**< taken over while everything goes on */
    CONFIG_REACH_DEVICE,  /**< that device, or that part of the bridge, is taken up anew */
    CONFIG_REACH_SOURCE,  /**< the device's driver starts anew as well */
    CONFIG_REACH_RESTART, /**< holds only after the service was restarted */
};

enum config_device_change { CONFIG_DEVICE_ADDED, CONFIG_DEVICE_REMOVED, CONFIG_DEVICE_CHANGED };

struct config_device_diff {
    enum config_device_change change;
    const struct config_device *before; /**< of the old configuration; NULL: added */
    const struct config_device *after;  /**< of the new one; NULL: removed */
    enum config_reach reach;            /**< of a changed device; CONFIG_REACH_SOURCE otherwise */
};

struct config_diff {
    enum config_reach reach; /**< of the bridge's own keys, devices aside */
    struct config_device_diff *devices;
    size_t device_count;
    json_t *changed; /**< list of dotted paths; of an added or removed device just "devices.<id>" */
};

/** Both configurations are borrowed by the result. Linear in the number of devices. */
void config_diff(const struct config *before, const struct config *after, struct config_diff *diff);
void config_diff_release(struct config_diff *diff);

/** Whether some of it holds only after a restart. */
bool config_diff_restart_required(const struct config_diff *diff);

#endif
