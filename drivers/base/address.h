/* SPDX-License-Identifier: MIT */
/** Addresses to listen on, as people write them: "127.0.0.1:8942", "[::1]:8942". Pure. */
#ifndef DRIVERS_BASE_ADDRESS_H
#define DRIVERS_BASE_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Splits "host:port"; host (of size bytes) gets no brackets. False if it is none or does not fit. */
bool address_split(const char *text, char *host, size_t size, uint16_t *port);

/** Whether listening on host (no brackets) reaches this machine only: localhost, ::1, 127.0.0.0/8. */
bool address_is_loopback(const char *host);

#endif
