/* SPDX-License-Identifier: MIT */
/**
 * The connections that are open and what each waits for, so that slow or silent peers cannot keep
 * others out. Shuts sockets down and leaves closing them to whoever owns them.
 */
#ifndef BRIDGE_WEB_PEERS_H
#define BRIDGE_WEB_PEERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum peer_phase {
    PEER_NEW,       /**< connected, nothing complete was received yet */
    PEER_IDLE,      /**< between two requests */
    PEER_RECEIVING, /**< the headers are complete, the body is not */
    PEER_ANSWERING,
};

struct peer {
    int fd;
    enum peer_phase phase;
    int64_t since_boot_ms; /**< of the phase */
    struct peer *next, *previous;
};

struct peers {
    struct peer *first, *last; /**< in the order of their connecting */
    size_t count;
    size_t answering;
};

struct peer *peers_add(struct peers *peers, int fd, int64_t boot_ms);
/** Frees it. */
void peers_remove(struct peers *peers, struct peer *peer);
void peers_set_phase(struct peers *peers, struct peer *peer, enum peer_phase phase,
                     int64_t boot_ms);
/** Shuts down those that have waited for too long. */
void peers_sweep(const struct peers *peers, int64_t boot_ms);
/** Shuts down the one that has been waiting for longest, to make room. False if all are busy. */
bool peers_evict(const struct peers *peers);

#endif
