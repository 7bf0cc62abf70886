/* SPDX-License-Identifier: MIT */
/**
 * Finds the sources that a message belongs to: a hash table of exact topics, so that a message costs
 * the same with one meter and with ten thousand. Several sources may take the same topic. Sources
 * come and go one by one; the others do not notice.
 */
#ifndef DRIVERS_MESSAGES_ROUTER_H
#define DRIVERS_MESSAGES_ROUTER_H

#include "drivers/messages/source.h"

struct message_router;

struct message_router *message_router_create(void);
/** Releases all sources as well. NULL is allowed. */
void message_router_free(struct message_router *router);

/** Takes the source over. If the broker is connected, the source is told so at once. */
void message_router_add(struct message_router *router, struct message_source *source,
                        int64_t boot_ms);
/** Takes the source out and releases it. */
void message_router_remove(struct message_router *router, struct message_source *source);

/** True if at least one source takes the topic. */
bool message_router_message(struct message_router *router, const struct message *message);
void message_router_connection(struct message_router *router, bool connected, int64_t boot_ms);
void message_router_tick(struct message_router *router, int64_t boot_ms);

#endif
