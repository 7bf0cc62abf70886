/* SPDX-License-Identifier: MIT */
/* Any bytes from the line, in any pieces: the parser stays in its bounds, takes everything, and
 * finds a good reply behind whatever came before once it was reset. */
#include "drivers/beken/frame.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile unsigned sink;

static void take(struct beken_parser *parser)
{
    struct beken_reply reply;
    while (beken_parser_next(parser, &reply)) {
        if (reply.frame_length > BEKEN_REPLY_MAX || reply.length > reply.frame_length)
            abort();
        for (size_t i = 0; i < reply.length; i++) /* the sanitizer watches these reads */
            sink += reply.data[i];
        if (reply.well_formed && reply.flash && reply.status == 0 &&
            reply.command == BEKEN_FLASH_READ_4K && reply.length != 4 + BEKEN_SECTOR_SIZE)
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t good[] = {0x04, 0x0E, 0x05, 0x01, 0xE0, 0xFC, 0x01, 0x00};
    struct beken_parser *parser = beken_parser_create();
    /* The first byte says how large the pieces are. */
    size_t piece = size > 0 ? (size_t)data[0] * 16 + 1 : 1;
    for (size_t done = 0; done < size;) {
        size_t want = size - done < piece ? size - done : piece;
        size_t taken = beken_parser_push(parser, data + done, want);
        if (taken == 0)
            abort();
        done += taken;
        take(parser);
    }
    beken_parser_reset(parser);
    struct beken_reply reply;
    if (beken_parser_push(parser, good, sizeof good) != sizeof good ||
        !beken_parser_next(parser, &reply) || !reply.well_formed)
        abort();
    beken_parser_free(parser);
    return 0;
}
