/* SPDX-License-Identifier: MIT */
/** From a tree to a config: the walk by the table of fields. */
#ifndef BRIDGE_CONFIG_READER_H
#define BRIDGE_CONFIG_READER_H

#include "bridge/config/notes.h"

struct reader {
    struct config_problems *problems;
    struct config *config;
    struct notes file;
    struct device_notes *devices;
    struct notes *sinks; /**< beside config->sinks */
    size_t adopted;      /**< so many devices at the end of the list have files of their own */
};

/** What is being read into. */
struct target {
    struct reader *reader;
    enum field_scope scope;
    void *memory; /**< the scope's struct */
    uint64_t *from_secret;
    struct notes *notes;
    unsigned drivers; /**< bit of the device's driver; FOR_ALL while it is not known */
    char label[80];   /**< "devices.house." in front of paths in messages, or "" */
};

/**
 * Fills reader->config (its own fields initialised by the caller) from the tree and reports
 * whatever is not in the table or not as it must be. Leaves reader->file, reader->devices and
 * reader->sinks (both may be NULL) for the checks; reader_release frees the latter two.
 */
void reader_read(struct reader *reader, struct yaml_node *root);
void reader_release(struct reader *reader);

#endif
