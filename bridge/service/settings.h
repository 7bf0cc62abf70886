/* SPDX-License-Identifier: MIT */
/**
 * Changes to the configuration while the service runs: bridge.yaml is edited and judged on a worker thread,
 * written, and then applied on the loop. One at a time, in order; devices that are added at once share a file.
 * Loop thread only.
 */
#ifndef BRIDGE_SERVICE_SETTINGS_H
#define BRIDGE_SERVICE_SETTINGS_H

#include "bridge/config/config.h"
#include "drivers/base/log.h"

#include <jansson.h>
#include <uv.h>

#define SETTINGS_WAITING_MAX 4096

enum settings_kind {
    SETTINGS_RELOAD,  /**< load the file as it is; nothing is written */
    SETTINGS_OPTIONS, /**< merge value into the file, or into one device of it */
    SETTINGS_ADD,     /**< value is a device as in bridge.yaml, with its id */
    SETTINGS_REMOVE,  /**< take a device out */
    SETTINGS_RENAME,  /**< value is {"id": "..."}: the device gets another id */
};

/** A device that has another id in the new configuration. */
struct settings_rename {
    const char *from, *to;
};

/** What came of it. Borrowed for the call. */
struct settings_result {
    json_t *changed;       /**< list of dotted key paths; NULL after an error */
    bool restart_required; /**< some of it holds only after a restart */
};

struct settings_change {
    enum settings_kind kind;
    const char *device; /**< id; NULL: the file as a whole. Copied */
    json_t *value;      /**< taken; NULL: none */
    /** Called once: after STATUS_OK it holds and is on disk. Not called if settings_close comes first. */
    void (*done)(void *context, enum status status, const struct settings_result *result,
                 const struct error *error);
    void *context;
};

struct settings_options {
    const char *path; /**< bridge.yaml; borrowed */
    const struct config
        *rules; /**< whose base_topic and discovery_prefix a device must respect; borrowed */
    /** Takes the new configuration over, in any case, and makes it hold. rename: NULL, or what became of a
     *  device that seems to be gone. */
    enum status (*apply)(void *context, struct config *after, const struct settings_rename *rename,
                         struct settings_result *result, struct error *error);
    /** A device that stands in a file of its own from former versions: that file; "" none. */
    void (*adopted_file)(void *context, const char *device, char *path, size_t size);
    /** On a worker thread: the topic of this device may get retained messages from now on. */
    void (*joining)(void *context, const char *device);
    void *context;
    struct log *log;
};

struct settings;

struct settings *settings_create(uv_loop_t *loop, const struct settings_options *options);
/** STATUS_FAILED: too many wait. */
enum status settings_submit(struct settings *settings, const struct settings_change *change,
                            struct error *error);
/** Whether a device with that id waits to be added. */
bool settings_adds(const struct settings *settings, const char *device);
/** Whether a device that reads this topic waits to be added: a second one would spoil the file of both. */
bool settings_adds_topic(const struct settings *settings, const char *topic);
/** What is at the disk is finished, not applied, and not answered. The loop must run until then. NULL is
 *  allowed. */
void settings_close(struct settings *settings);

#endif
