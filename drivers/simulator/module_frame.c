/* SPDX-License-Identifier: MIT */
/*
 * The frame parser, as the T's bootloader does it: 01 E0 FC, then a length and that many bytes (the
 * command first), or FF F4 and a 16-bit length. A wrong header byte sends it back to waiting for 01
 * and is itself forgotten. There is no time-out: a lost byte leaves it waiting for the next
 * frame's.
 */
#include "drivers/simulator/module_internal.h"

static void expect(struct module_frame *frame, bool right, enum module_parse next)
{
    frame->state = right ? next : MODULE_PARSE_01;
}

static void begin_payload(struct module_frame *frame, bool is_long, uint32_t wanted)
{
    frame->is_long = is_long;
    frame->wanted = wanted;
    frame->got = 0;
    expect(frame, wanted > 0, MODULE_PARSE_PAYLOAD);
}

static void take_payload(struct module *module, uint8_t byte)
{
    struct module_frame *frame = &module->frame;
    if (frame->got < sizeof frame->payload)
        frame->payload[frame->got] = byte;
    frame->got++;
    /* Before the command is counted: the page is programmed while its successor comes in. */
    if (module_command_streams(module) && frame->got > 5 && (frame->got - 5) % NOR_PAGE == 0)
        module_command_page(module);
    if (frame->got < frame->wanted)
        return;
    frame->state = MODULE_PARSE_01;
    module_count_frame(module);
    if (module->hung || module->state == MODULE_OFF)
        return;
    if (module->job == MODULE_JOB_NONE)
        module_command_begin(module);
    else
        module->frame_pending = true;
}

void module_parse_byte(struct module *module, uint8_t byte)
{
    struct module_frame *frame = &module->frame;
    switch (frame->state) {
    case MODULE_PARSE_01:
        expect(frame, byte == 0x01, MODULE_PARSE_E0);
        break;
    case MODULE_PARSE_E0:
        expect(frame, byte == 0xE0, MODULE_PARSE_FC);
        break;
    case MODULE_PARSE_FC:
        expect(frame, byte == 0xFC, MODULE_PARSE_LENGTH);
        break;
    case MODULE_PARSE_LENGTH:
        if (byte == 0xFF)
            frame->state = MODULE_PARSE_F4;
        else
            begin_payload(frame, false, byte);
        break;
    case MODULE_PARSE_F4:
        expect(frame, byte == 0xF4, MODULE_PARSE_LENGTH_LOW);
        break;
    case MODULE_PARSE_LENGTH_LOW:
        frame->wanted = byte;
        frame->state = MODULE_PARSE_LENGTH_HIGH;
        break;
    case MODULE_PARSE_LENGTH_HIGH:
        begin_payload(frame, true, frame->wanted | (uint32_t)byte << 8);
        break;
    case MODULE_PARSE_PAYLOAD:
        take_payload(module, byte);
        break;
    }
}
