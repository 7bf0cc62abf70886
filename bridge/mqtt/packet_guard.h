/* SPDX-License-Identifier: MIT */
/**
 * Keeps the MQTT library from buffering huge packets. It reads a whole packet into memory before anybody
 * sees it, up to 268 MB, and has no bound of its own. With MQTT 5 the broker is told what this client
 * accepts, but 3.1.1 has no such word, and a broker may be hostile.
 *
 * So the program brings its own recv() and SSL_read(), which take the place of the system's: a read that asks
 * for more than PACKET_GUARD_MAX bytes, which only the body of such a packet does, fails with EMSGSIZE. The
 * library then ends the connection.
 */
#ifndef BRIDGE_MQTT_PACKET_GUARD_H
#define BRIDGE_MQTT_PACKET_GUARD_H

#include <stddef.h>

/** Bytes of one read, and so of a packet. Our own retained list of 3,000 devices comes back in one of 14 MB; nothing
 *  else in this program reads so much at once. */
#define PACKET_GUARD_MAX ((size_t)16 << 20)

/** The library that reads with TLS: where SSL_read() is found, in it or in what it brings along. */
void packet_guard_tls(void *library);

/** The size of the packet that was refused since the last call, 0: none. From any thread. */
size_t packet_guard_refused(void);

#endif
