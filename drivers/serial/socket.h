/* SPDX-License-Identifier: MIT */
/**
 * Serial ports at the other end of a TCP connection: raw bytes, or telnet with RFC 2217. What a raw
 * port cannot do it refuses (baud rate) or ignores (break, modem lines).
 */
#ifndef DRIVERS_SERIAL_SOCKET_H
#define DRIVERS_SERIAL_SOCKET_H

#include "drivers/base/text.h"
#include "drivers/serial/port.h"

/** Makes a connected socket such as a port needs: not blocking, no delay, keepalive after 10 s, and
 *  given up when sent bytes are not acknowledged for 15 s. */
void serial_socket_prepare(int fd);

/** A port over a prepared socket, which it takes over. name is copied. */
struct serial_port *serial_socket_adopt(const char *name, int fd, bool rfc2217, uint32_t baud);

/**
 * Goes on with the negotiation of an RFC 2217 port; to be called when the socket is readable, until
 * *ready. A raw port is ready at once. STATUS_FAILED if the other side closes or does not speak it.
 */
enum status serial_socket_negotiate(struct serial_port *port, bool *ready, struct error *error);

/** Appends why a connected port may show no answer of a chip, from what it sent so far. */
void serial_socket_explain_silence(const struct serial_port *port, struct text *text);

#endif
