/* SPDX-License-Identifier: MIT */
/**
 * One question and its answer: the parts of link_ask() that finding a module and changing the rate need too.
 * Shared by link_exchange.c and link_find.c.
 */
#ifndef DRIVERS_BEKEN_LINK_EXCHANGE_H
#define DRIVERS_BEKEN_LINK_EXCHANGE_H

#include "drivers/beken/link_wire.h"

/** A T's watchdog bites after 60 ms at the earliest: nobody may be silent for longer than this. */
#define EXCHANGE_FEED_AFTER_MS 35

/** How one answer is being waited for. */
struct exchange_wait {
    int64_t sent_us; /**< when the command's last byte was out */
    int64_t deadline_us;
    int64_t fed_us;    /**< 0: not yet */
    unsigned probes;   /**< LinkChecks sent to find out whether a cut reply is only late */
    uint64_t received; /**< bytes before the latest of them */
};

bool exchange_is_link_answer(const struct beken_reply *reply);
/** first: zeros, see link_resync(); else a LinkCheck. Harmless to a chip that is busy or listens. */
enum status exchange_feed(struct link *link, bool first, struct error *error);
/** One answer within wait->deadline_us, which moves while bytes of it keep coming. */
enum status exchange_await(struct link *link, const struct link_want *want,
                           struct exchange_wait *wait, struct beken_reply *reply,
                           struct error *error);

#endif
