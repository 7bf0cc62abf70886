/* SPDX-License-Identifier: MIT */
/**
 * Watches what the broker has under this bridge's own topics, below <base>. Loop thread only.
 *
 * - **Overwritten:** another client has published on a retained topic of ours (bridge/state, info, devices,
 *   health, a device's availability). It is published again, at once and then ever more slowly, and reported:
 *   another instance of this bridge may run.
 * - **Another bridge:** bridge/info has another bridge's id. Two bridges must not share a base topic; that is
 *   reported, and from then on nothing of the other's is repaired or cleared.
 * - **Missing:** what is published never comes back. Access rules may forbid to write or to read it.
 * - **Ghosts:** retained states and availabilities, in the form that this bridge gives them, that stand for no
 *   device of it: of devices that were removed while the broker did not see it. They are cleared, and their
 *   announcements with them. A retained state of a device whose states are not to be retained is cleared too.
 *   Whatever else is below <base> belongs to others and stays.
 */
#ifndef BRIDGE_MQTT_OWN_TOPICS_H
#define BRIDGE_MQTT_OWN_TOPICS_H

#include "bridge/mqtt/publisher.h"
#include "drivers/base/log.h"

#include <uv.h>

#define OWN_TOPICS_PROBLEMS_MAX 3
#define OWN_TOPICS_PROBLEM_SIZE 640

struct own_topics_options {
    struct publisher *publisher;
    const char *base_topic, *bridge_id; /**< copied */
    struct log *log;
    /** Whether there is such a device; *retained: whether its states are. */
    bool (*find)(void *context, const char *device_id, bool *retained);
    /** A ghost was found: its announcements are to be removed, wherever they are. */
    void (*forget)(void *context, const char *device_id);
    /** Whether announcements of a device that is gone are still to be removed. */
    bool (*announced)(void *context, const char *device_id);
    /** The problems have changed. */
    void (*changed)(void *context);
    void *context;
};

struct own_topics;

/** Subscribes to the topics. */
struct own_topics *own_topics_create(uv_loop_t *loop, const struct own_topics_options *options);
/** Frees itself in the loop's next turn. Before publisher_close. NULL is allowed. */
void own_topics_close(struct own_topics *own);

/** A device has left, or has moved to another base topic: what is retained on <base>/<device> (topic) and its
 *  availability is cleared, once its announcements are gone. retained: its state may be; if there is such a device again
 *  by then, whose state is not to be, that state is cleared all the same. */
void own_topics_left(struct own_topics *own, const char *topic, bool retained);
/** The base topic was another one before: what this bridge has retained on <old>/bridge/... is cleared, if
 *  bridge/info there says that it is this one's; and then what its devices have retained there. */
void own_topics_old_base(struct own_topics *own, const char *base_topic);

/** To be given every incoming item; true if it was on one of the topics that are watched. Edges never are. */
bool own_topics_incoming(struct own_topics *own, const struct publisher_incoming *incoming);

/** A sentence for each problem, for health; returns how many. */
size_t own_topics_problems(const struct own_topics *own,
                           char sentences[OWN_TOPICS_PROBLEMS_MAX][OWN_TOPICS_PROBLEM_SIZE]);

#endif
