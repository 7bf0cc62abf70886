/* SPDX-License-Identifier: MIT */
/** What the reader found out about a configuration beside its values, for the checks that look at
 *  several values at once. */
#ifndef BRIDGE_CONFIG_NOTES_H
#define BRIDGE_CONFIG_NOTES_H

#include "bridge/config/fields.h"
#include "bridge/config/yaml_tree.h"

/** About one scope: the file, a device or a channel. */
struct notes {
    struct yaml_node *node; /**< the mapping it was read from */
    uint64_t given;         /**< fields that were there, good or bad */
    uint64_t failed;        /**< fields whose value could not be used */
};

/** Beside config->devices[i]: channels[j] is about config->devices[i].channels[j]. */
struct device_notes {
    struct notes own;
    struct notes *channels;
};

static inline bool notes_has(uint64_t set, enum field_scope scope, const char *path)
{
    return (set & field_bit(field_by_path(scope, path))) != 0;
}

#endif
