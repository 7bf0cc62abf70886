/* SPDX-License-Identifier: MIT */
/** What the `flash` commands share: a session with its signals, trace and progress, and answers. */
#ifndef BRIDGE_COMMANDS_FLASH_SESSION_H
#define BRIDGE_COMMANDS_FLASH_SESSION_H

#include "bridge/commands/flash_options.h"
#include "drivers/beken/flasher.h"
#include "drivers/beken/image.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

struct flash_session;

/** Only what is needed to say things in the way that --progress asks for; nothing is opened. */
struct flash_session *flash_session_create(const struct command_line *line,
                                           const struct flash_options *options);
/**
 * Opens port, trace and module; *session is created unless it is there, and has to be closed even
 * after a failure. From here on SIGINT and SIGTERM end the work at the next frame boundary; a
 * second one at once.
 */
enum status flash_session_open(const struct command_line *line, const struct flash_options *options,
                               struct flash_session **session, struct error *error);
/** Lets go of port, trace and module; what is said after that is said in the same way. */
void flash_session_disconnect(struct flash_session *session);
/** Ends the progress display and closes; NULL is allowed. */
void flash_session_close(struct flash_session *session);
struct flasher *flash_session_flasher(struct flash_session *session);
/** Whether the command that the session belongs to has this option. */
bool flash_session_takes(const struct flash_session *session, const char *option);
/** A signal asked for the end. */
bool flash_session_stopped(void);
/** A sentence for the person, on stderr, above the bar. */
__attribute__((format(printf, 2, 3))) void flash_session_say(struct flash_session *session,
                                                             const char *format, ...);

/**
 * The typed confirmation of --force-bootloader: says what will be overwritten, with what ("nothing",
 * "x.bin"), and waits while the module is kept linked. STATUS_REFUSED if anything else is typed.
 */
enum status flash_session_confirm(struct flash_session *session, uint32_t address, size_t length,
                                  const char *with, struct error *error);

/** Says the sentence in error, as text or as the last line of --progress json; returns status. A
 *  session of NULL: as text. */
enum status flash_fail(const struct command_line *line, struct flash_session *session,
                       enum status status, const struct error *error);

/** A string, or null for "". */
json_t *flash_json_text(const char *text);
/** Seconds, to the millisecond. */
json_t *flash_json_seconds(int64_t time_us);
/** What all commands that write answer with. */
json_t *flash_json_result(const struct flasher *flasher, const struct flasher_result *result);
/** The same in words: "Verified 3 sectors: ...", and the sentence that follows; "" for none. */
void flash_print_result(const char *verb, const struct flasher *flasher,
                        const struct flasher_result *result, const char *after);

/**
 * Reads the whole flash, checks it and keeps it in path (backup_file_save). *bytes: free().
 */
enum status flash_take_backup(struct flash_session *session, const char *path, uint8_t **bytes,
                              size_t *length, struct error *error);

/**
 * The backup that a write falls back on. If path is there already, it belongs to an interrupted run and
 * is kept if it is of this module (STATUS_REFUSED else); otherwise it is made. *fresh: it was made just
 * now, so it says what is in the flash. *bytes: free(); the whole flash.
 */
enum status flash_keep_backup(struct flash_session *session, const char *path, uint8_t **bytes,
                              bool *fresh, struct error *error);

#endif
