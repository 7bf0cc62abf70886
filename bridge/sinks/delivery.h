/* SPDX-License-Identifier: MIT */
/**
 * What an engine's answer to a batch means and when to try again. Pure.
 */
#ifndef BRIDGE_SINKS_DELIVERY_H
#define BRIDGE_SINKS_DELIVERY_H

#include "bridge/http/client.h"

#include <stdbool.h>
#include <stdint.h>

enum delivery {
    DELIVERY_DONE,    /**< all of it was taken */
    DELIVERY_PARTLY,  /**< the engine says that it took all but some */
    DELIVERY_DIVIDE,  /**< something in it is refused, or it is too large: halves may be taken */
    DELIVERY_LATER,   /**< the engine is away, busy or broken */
    DELIVERY_SETTING, /**< not without a change of configuration, here or there */
};

/**
 * *refused: with DELIVERY_PARTLY, how many. InfluxDB answers 400 "partial write: ... dropped=N" when it
 * took the rest; every other 400 and 422 may be about a single line. 413: too large. 401, 403:
 * credentials; 404: no such database, or not an engine; 3xx: somebody else. 429 and 5xx: later.
 */
enum delivery delivery_judge(enum http_outcome outcome, int code, const char *body,
                             int64_t *refused);

/** A sentence that fits behind "Sink X: ". words: libcurl's, for an outcome other than an answer. */
void delivery_explain(enum http_outcome outcome, int code, const char *body, const char *words,
                      char *text, size_t size);

#define DELIVERY_DELAY_MAX_MS 300000

/** How long to wait after that many failures in a row (at least 1): 1 s, doubled with each, five
 *  minutes at most; chance (0..1) spreads it over half to all of that, so that a fleet does not come
 *  back in one moment. */
int64_t delivery_delay_ms(unsigned failures, double chance);

/** The same where the engine has answered with that code and asked to be left alone for so long
 *  (Retry-After; 0: it has not): with 429 and 503 not before that, and spread over a quarter more; but
 *  five minutes at most, whatever it asks for. */
int64_t delivery_wait_ms(unsigned failures, double chance, int code, int64_t retry_after_ms);

#endif
