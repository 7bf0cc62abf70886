/* SPDX-License-Identifier: MIT */
/**
 * When discovery is sent: at connect, after Home Assistant's birth message (with jitter), and when
 * devices change; what was announced is kept in a file, so that what is no longer there is removed
 * for real (Home Assistant does not drop a component that is merely omitted). Runs on the loop.
 *
 * A device that Home Assistant's user removed there (an empty message on its discovery topic that
 * is not ours) is left alone until the next birth or restart; bridge/event reports it.
 */
#ifndef BRIDGE_MQTT_ANNOUNCER_H
#define BRIDGE_MQTT_ANNOUNCER_H

#include "bridge/mqtt/discovery.h"
#include "bridge/mqtt/publisher.h"

#include <uv.h>

/** Milliseconds; tests use shorter ones. */
struct announcer_timing {
    int64_t gap_ms;    /**< between two devices; less when there are more than a thousand */
    int64_t settle_ms; /**< between two different messages for one device: Home Assistant drops
                                the second one while it still works on the first */
    int64_t birth_min_ms, birth_max_ms;     /**< after a birth, at random */
    int64_t birth_quiet_ms;                 /**< births are answered at most this often */
    int64_t refresh_min_ms, refresh_max_ms; /**< after the last announcement, at random */
};

extern const struct announcer_timing announcer_timing_default;

struct announcer_options {
    struct discovery_context context; /**< texts are borrowed and must outlive the announcer */
    bool enabled;                     /**< false: announce nothing, take back what was announced */
    const char *status_topic;
    const char *memory_path; /**< data_dir/announced.json; copied */
    size_t device_count;
    const struct device_description *const *devices; /**< borrowed; those without homeassistant are
                                                          taken back */
    /** Called after a birth was answered: publish availability and full states again. */
    void (*refresh)(void *context);
    void *refresh_context;
    const struct announcer_timing *timing; /**< NULL: announcer_timing_default; copied */
    struct log *log;
};

struct announcer;

/** Reads the memory and subscribes; the first announcement follows PUBLISHER_CONNECTED. A missing
 *  memory is an empty one; a damaged one is quarantined (".damaged") and reported. */
struct announcer *announcer_create(uv_loop_t *loop, const struct announcer_options *options,
                                   struct publisher *publisher);
/** One more device, which is announced as soon as there is a connection; borrowed like the others. */
void announcer_add(struct announcer *announcer, const struct device_description *device);

/** A device leaves: what was announced of it is taken back. Nothing happens if it was not announced. device_id: its
 *  discovery_id(). If one with the same is added in the same turn of the loop, it is the same device under another
 *  id, and Home Assistant keeps its entities. */
void announcer_remove(struct announcer *announcer, const char *device_id);
/** The description of a device has changed (its name, its channels, whether it is announced at all). */
void announcer_changed(struct announcer *announcer, const struct device_description *device);
/** Other prices or intensities are published now, or none: the bridge's entities follow. currency as in the context. */
void announcer_prices(struct announcer *announcer, const char *currency, bool co2);
/** Announces everything anew, also what a user removed, and then calls options.refresh. */
void announcer_refresh(struct announcer *announcer);
/** Removes announcements of a device that this announcer knows nothing of: in its memory's absence they are
 *  looked for on the broker, in both modes. */
void announcer_forget(struct announcer *announcer, const char *device_id);
/** Announcements were below another prefix before: what is retained there of this bridge's devices is cleared. */
void announcer_old_prefix(struct announcer *announcer, const char *prefix);
/** Clears what was announced of devices that are no more, again; returns of how many. */
size_t announcer_purge(struct announcer *announcer);
/** True while announcements of a device that is gone are still to be removed, or those of one that has another id
 *  now are still on their way. device_id: of its topics. */
bool announcer_leaving(const struct announcer *announcer, const char *device_id);

/** Frees itself in the loop's next turn. Before publisher_close. NULL is allowed. */
void announcer_close(struct announcer *announcer);

/** To be given every incoming item; returns true if it was the announcer's. Edges are never. */
bool announcer_incoming(struct announcer *announcer, const struct publisher_incoming *incoming);

/** True when the broker has acknowledged every announcement and every removal. For tests. */
bool announcer_idle(const struct announcer *announcer);

#endif
