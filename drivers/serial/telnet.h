/* SPDX-License-Identifier: MIT */
/**
 * The client's side of telnet (RFC 854) with the COM port option (RFC 2217): bytes of the wire to
 * bytes of the serial port and back. Pure; keeps its state over the borders of segments.
 *
 * On the wire 0xFF announces a command, so a data byte 0xFF is sent twice. Options are negotiated:
 * both directions in binary, and COM-PORT-OPTION, without which this is no serial port.
 */
#ifndef DRIVERS_SERIAL_TELNET_H
#define DRIVERS_SERIAL_TELNET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TELNET_SUB_MAX 16   /**< longer subnegotiations are of no interest */
#define TELNET_REPLY_MAX 96 /**< bytes that wait to be sent */

enum telnet_state {
    TELNET_DATA,
    TELNET_CARRIAGE_RETURN, /* NUL behind it is dropped, unless the direction is binary */
    TELNET_COMMAND,
    TELNET_OPTION,
    TELNET_SUB,
    TELNET_SUB_COMMAND,
};

/** Zero-initialise it. */
struct telnet {
    enum telnet_state state;
    uint8_t verb;
    uint8_t sub[TELNET_SUB_MAX];
    size_t sub_length;
    uint8_t reply[TELNET_REPLY_MAX]; /**< to be sent as it is; the caller empties it */
    size_t reply_length;
    uint8_t refused_do[32], refused_will[32]; /* bits: answered once, never again */
    bool binary_in, binary_out;               /**< agreed */
    bool com_port;                            /**< agreed */
    bool com_port_refused;
    uint32_t baud; /**< as the server last confirmed; 0: not yet */
};

/** Puts what a client says first into reply. */
void telnet_begin(struct telnet *telnet);

/** Agreed on all that is needed. */
bool telnet_is_ready(const struct telnet *telnet);

/** Takes length bytes of the wire; data (with room for length) receives the serial port's. Returns how
 *  many. Answers to negotiations are appended to reply. */
size_t telnet_decode(struct telnet *telnet, const uint8_t *bytes, size_t length, uint8_t *data);

/** The wire's form of data: at most 2 * length bytes. Returns how many. */
size_t telnet_encode(const uint8_t *data, size_t length, uint8_t *bytes);

#define TELNET_COMMAND_SIZE 16

/** Commands of RFC 2217: each returns the number of bytes. */
size_t telnet_set_baud(uint32_t baud, uint8_t bytes[TELNET_COMMAND_SIZE]);
size_t telnet_set_8n1(uint8_t bytes[3 * TELNET_COMMAND_SIZE]); /**< and no flow control */
size_t telnet_set_break(bool on, uint8_t bytes[TELNET_COMMAND_SIZE]);
size_t telnet_set_dtr(bool on, uint8_t bytes[TELNET_COMMAND_SIZE]);
size_t telnet_set_rts(bool on, uint8_t bytes[TELNET_COMMAND_SIZE]);

#endif
