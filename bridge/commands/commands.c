/* SPDX-License-Identifier: MIT */
#include "bridge/commands/command.h"

#define COMMAND(id)
#define WORDS(id, words, text)                                                                     \
    static const struct command words_##id = {.line = {.name = words, .summary = text},            \
                                              .run_words = command_##id};
#include "bridge/commands/commands.def"
#undef COMMAND
#undef WORDS

const struct command *const commands[] = {
#define COMMAND(id) &command_##id,
#define WORDS(id, words, text) &words_##id,
#include "bridge/commands/commands.def"
    NULL,
};
