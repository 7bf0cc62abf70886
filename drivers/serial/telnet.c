/* SPDX-License-Identifier: MIT */
#include "drivers/serial/telnet.h"

#include <string.h>

enum {
    SE = 0xF0,
    SB = 0xFA,
    WILL = 0xFB,
    WONT = 0xFC,
    DO = 0xFD,
    DONT = 0xFE,
    IAC = 0xFF,
};

enum { OPTION_BINARY = 0x00, OPTION_ECHO = 0x01, OPTION_GO_AHEAD = 0x03, OPTION_COM_PORT = 0x2C };

/* RFC 2217; the server's codes are the client's plus 100. */
enum {
    SET_BAUD = 1,
    SET_DATA_SIZE = 2,
    SET_PARITY = 3,
    SET_STOP_SIZE = 4,
    SET_CONTROL = 5,
    SERVER = 100,
};
enum {
    NO_FLOW_CONTROL = 1,
    BREAK_ON = 5,
    BREAK_OFF = 6,
    DTR_ON = 8,
    DTR_OFF = 9,
    RTS_ON = 11,
    RTS_OFF = 12,
};

static void say(struct telnet *telnet, uint8_t verb, uint8_t option)
{
    if (telnet->reply_length + 3 > TELNET_REPLY_MAX)
        return; /* whoever negotiates that much gets no answer */
    telnet->reply[telnet->reply_length++] = IAC;
    telnet->reply[telnet->reply_length++] = verb;
    telnet->reply[telnet->reply_length++] = option;
}

void telnet_begin(struct telnet *telnet)
{
    say(telnet, WILL, OPTION_BINARY);
    say(telnet, DO, OPTION_BINARY);
    say(telnet, DO, OPTION_GO_AHEAD);
    say(telnet, WILL, OPTION_GO_AHEAD);
    say(telnet, WILL, OPTION_COM_PORT);
}

bool telnet_is_ready(const struct telnet *telnet)
{
    return telnet->binary_in && telnet->binary_out && telnet->com_port;
}

/* Each refusal is said once, so two stubborn sides cannot talk forever. */
static void refuse(struct telnet *telnet, uint8_t seen[32], uint8_t verb, uint8_t option)
{
    uint8_t bit = (uint8_t)(1U << option % 8);
    if ((seen[option / 8] & bit) != 0)
        return;
    seen[option / 8] |= bit;
    say(telnet, verb, option);
}

/* What was offered at the beginning needs no other answer. */
static void take_option(struct telnet *telnet, uint8_t verb, uint8_t option)
{
    switch (verb) {
    case DO:
        telnet->binary_out = telnet->binary_out || option == OPTION_BINARY;
        telnet->com_port = telnet->com_port || option == OPTION_COM_PORT;
        if (option != OPTION_BINARY && option != OPTION_COM_PORT && option != OPTION_GO_AHEAD)
            refuse(telnet, telnet->refused_do, WONT, option);
        break;
    case WILL:
        telnet->binary_in = telnet->binary_in || option == OPTION_BINARY;
        if (option != OPTION_BINARY && option != OPTION_GO_AHEAD)
            refuse(telnet, telnet->refused_will, DONT, option);
        break;
    case DONT:
        telnet->com_port_refused = telnet->com_port_refused || option == OPTION_COM_PORT;
        break;
    default: /* WONT */
        break;
    }
}

static void take_sub(struct telnet *telnet)
{
    const uint8_t *sub = telnet->sub;
    if (telnet->sub_length != 6 || sub[0] != OPTION_COM_PORT || sub[1] != SERVER + SET_BAUD)
        return;
    telnet->baud = (uint32_t)sub[2] << 24 | (uint32_t)sub[3] << 16 | (uint32_t)sub[4] << 8 | sub[5];
}

static void take_sub_byte(struct telnet *telnet, uint8_t byte)
{
    if (telnet->sub_length < TELNET_SUB_MAX)
        telnet->sub[telnet->sub_length] = byte;
    if (telnet->sub_length <= TELNET_SUB_MAX) /* one more: too long */
        telnet->sub_length++;
}

static enum telnet_state take_command(struct telnet *telnet, uint8_t byte)
{
    telnet->verb = byte;
    if (byte == SB) {
        telnet->sub_length = 0;
        return TELNET_SUB;
    }
    return byte >= WILL && byte <= DONT ? TELNET_OPTION : TELNET_DATA;
}

static enum telnet_state after_sub_command(struct telnet *telnet, uint8_t byte)
{
    if (byte == IAC) {
        take_sub_byte(telnet, byte);
        return TELNET_SUB;
    }
    if (byte == SE)
        take_sub(telnet);
    return TELNET_DATA;
}

size_t telnet_decode(struct telnet *telnet, const uint8_t *bytes, size_t length, uint8_t *data)
{
    size_t count = 0;
    for (size_t i = 0; i < length; i++) {
        uint8_t byte = bytes[i];
        switch (telnet->state) {
        case TELNET_CARRIAGE_RETURN:
            telnet->state = TELNET_DATA;
            if (byte == 0)
                break;
            __attribute__((fallthrough));
        case TELNET_DATA:
            if (byte == IAC) {
                telnet->state = TELNET_COMMAND;
                break;
            }
            data[count++] = byte;
            if (byte == '\r' && !telnet->binary_in)
                telnet->state = TELNET_CARRIAGE_RETURN;
            break;
        case TELNET_COMMAND:
            if (byte == IAC)
                data[count++] = byte;
            telnet->state = byte == IAC ? TELNET_DATA : take_command(telnet, byte);
            break;
        case TELNET_OPTION:
            take_option(telnet, telnet->verb, byte);
            telnet->state = TELNET_DATA;
            break;
        case TELNET_SUB:
            if (byte == IAC)
                telnet->state = TELNET_SUB_COMMAND;
            else
                take_sub_byte(telnet, byte);
            break;
        case TELNET_SUB_COMMAND:
            telnet->state = after_sub_command(telnet, byte);
            break;
        }
    }
    return count;
}

size_t telnet_encode(const uint8_t *data, size_t length, uint8_t *bytes)
{
    size_t count = 0;
    for (size_t i = 0; i < length; i++) {
        bytes[count++] = data[i];
        if (data[i] == IAC)
            bytes[count++] = IAC;
    }
    return count;
}

static size_t command(uint8_t code, const uint8_t *value, size_t length, uint8_t *bytes)
{
    static const uint8_t begin[] = {IAC, SB, OPTION_COM_PORT};
    memcpy(bytes, begin, sizeof begin);
    size_t count = sizeof begin;
    bytes[count++] = code;
    count += telnet_encode(value, length, bytes + count);
    bytes[count++] = IAC;
    bytes[count++] = SE;
    return count;
}

size_t telnet_set_baud(uint32_t baud, uint8_t bytes[TELNET_COMMAND_SIZE])
{
    const uint8_t value[4] = {(uint8_t)(baud >> 24), (uint8_t)(baud >> 16), (uint8_t)(baud >> 8),
                              (uint8_t)baud};
    return command(SET_BAUD, value, sizeof value, bytes);
}

static size_t command_1(uint8_t code, uint8_t value, uint8_t *bytes)
{
    return command(code, &value, 1, bytes);
}

size_t telnet_set_8n1(uint8_t bytes[3 * TELNET_COMMAND_SIZE])
{
    size_t count = command_1(SET_DATA_SIZE, 8, bytes);
    count += command_1(SET_PARITY, 1, bytes + count);
    count += command_1(SET_STOP_SIZE, 1, bytes + count);
    return count + command_1(SET_CONTROL, NO_FLOW_CONTROL, bytes + count);
}

size_t telnet_set_break(bool on, uint8_t bytes[TELNET_COMMAND_SIZE])
{
    return command_1(SET_CONTROL, on ? BREAK_ON : BREAK_OFF, bytes);
}

size_t telnet_set_dtr(bool on, uint8_t bytes[TELNET_COMMAND_SIZE])
{
    return command_1(SET_CONTROL, on ? DTR_ON : DTR_OFF, bytes);
}

size_t telnet_set_rts(bool on, uint8_t bytes[TELNET_COMMAND_SIZE])
{
    return command_1(SET_CONTROL, on ? RTS_ON : RTS_OFF, bytes);
}
