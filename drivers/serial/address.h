/* SPDX-License-Identifier: MIT */
/**
 * Names of serial ports, here and elsewhere. Pure.
 *
 *   /dev/serial/by-id/usb-...     a tty of this machine
 *   tcp://HOST:PORT               raw bytes: ESPHome's uart_tcp, ser2net, serial servers. No break, no
 *                                 baud rate, no modem lines
 *   rfc2217://HOST:PORT           telnet with RFC 2217, which carries all three: ser2net
 *   tcp-listen://[ADDRESS]:PORT[?allow=A,B/24]
 *                                 raw bytes, but the other side dials: ESPHome's uart_tcp as client.
 *                                 Without ADDRESS: on all; without allow: from anywhere
 *
 * HOST is a name, an IPv4 address, or an IPv6 address in brackets.
 */
#ifndef DRIVERS_SERIAL_ADDRESS_H
#define DRIVERS_SERIAL_ADDRESS_H

#include "drivers/base/status.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum serial_address_kind { SERIAL_TTY, SERIAL_TCP, SERIAL_RFC2217, SERIAL_LISTEN };

#define SERIAL_HOST_MAX 253
#define SERIAL_ALLOWED_MAX 8

/** An address or network, IPv4 as IPv6 (::ffff:0:0/96). */
struct serial_allowed {
    struct in6_addr address;
    unsigned bits; /**< of its prefix, 0..128 */
};

struct serial_address {
    enum serial_address_kind kind;
    char host[SERIAL_HOST_MAX + 1]; /**< without brackets; "": all addresses (listening) */
    char port[6];
    size_t allowed_count; /**< 0: anybody */
    struct serial_allowed allowed[SERIAL_ALLOWED_MAX];
};

/** STATUS_USAGE with a sentence if it is none. Anything without "://" is a tty's path. */
enum status serial_address_read(const char *name, struct serial_address *address,
                                struct error *error);

/** Whether the peer may connect. */
bool serial_address_allows(const struct serial_address *address, const struct in6_addr *peer);

/** False for a tty and for rfc2217: those have a break and a baud rate. */
bool serial_address_is_raw(const struct serial_address *address);

#endif
