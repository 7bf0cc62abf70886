/* SPDX-License-Identifier: MIT */
/**
 * Carries log lines from whatever thread wrote them to the loop, which publishes them on
 * <base>/bridge/logging. Bounded: while the loop is behind, the oldest lines are dropped. It exists
 * because a thread that logs may hold locks that publishing would need.
 */
#ifndef BRIDGE_SERVICE_LOG_RELAY_H
#define BRIDGE_SERVICE_LOG_RELAY_H

#include "drivers/base/log.h"

struct log_relay;

/** Observes log until closed. wake is called on the logging thread after each line. */
struct log_relay *log_relay_create(struct log *log, void (*wake)(void *context), void *context);
void log_relay_close(struct log_relay *relay);

/** Loop thread: hands over every waiting line, oldest first. */
void log_relay_take(struct log_relay *relay,
                    void (*line)(void *context, enum log_level level, const char *message),
                    void *context);

#endif
