/* SPDX-License-Identifier: MIT */
#include "bridge/web/peers.h"

#include "bridge/web/server.h"
#include "drivers/base/memory.h"

#include <sys/socket.h>

struct peer *peers_add(struct peers *peers, int fd, int64_t boot_ms)
{
    struct peer *peer = memory_new(1, sizeof *peer);
    *peer = (struct peer){
        .fd = fd, .phase = PEER_NEW, .since_boot_ms = boot_ms, .previous = peers->last};
    if (peers->last != NULL)
        peers->last->next = peer;
    else
        peers->first = peer;
    peers->last = peer;
    peers->count++;
    return peer;
}

void peers_remove(struct peers *peers, struct peer *peer)
{
    if (peer->phase == PEER_ANSWERING)
        peers->answering--;
    if (peer->previous != NULL)
        peer->previous->next = peer->next;
    else
        peers->first = peer->next;
    if (peer->next != NULL)
        peer->next->previous = peer->previous;
    else
        peers->last = peer->previous;
    peers->count--;
    free(peer);
}

void peers_set_phase(struct peers *peers, struct peer *peer, enum peer_phase phase, int64_t boot_ms)
{
    if (peer->phase == PEER_ANSWERING)
        peers->answering--;
    if (phase == PEER_ANSWERING)
        peers->answering++;
    peer->phase = phase;
    peer->since_boot_ms = boot_ms;
}

static int64_t patience_ms(enum peer_phase phase)
{
    static const int64_t patience[] = {
        [PEER_NEW] = SERVER_FIRST_MS,
        [PEER_IDLE] = SERVER_IDLE_MS,
        [PEER_RECEIVING] = SERVER_BODY_MS,
        [PEER_ANSWERING] = INT64_MAX,
    };
    return patience[phase];
}

void peers_sweep(const struct peers *peers, int64_t boot_ms)
{
    for (const struct peer *peer = peers->first; peer != NULL; peer = peer->next)
        if (boot_ms - peer->since_boot_ms > patience_ms(peer->phase))
            (void)shutdown(peer->fd, SHUT_RDWR);
}

bool peers_evict(const struct peers *peers)
{
    const struct peer *oldest = NULL;
    for (const struct peer *peer = peers->first; peer != NULL; peer = peer->next)
        if (peer->phase != PEER_ANSWERING &&
            (oldest == NULL || peer->since_boot_ms < oldest->since_boot_ms))
            oldest = peer;
    return oldest != NULL && shutdown(oldest->fd, SHUT_RDWR) == 0;
}
