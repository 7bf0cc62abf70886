/* SPDX-License-Identifier: MIT */
/**
 * Reads what devices have counted and paid since the running day and month began (history/query/past.h) on a
 * worker thread, all that wait at once, so that the loop never waits for the disk and a thousand devices that
 * begin at once read the file a few times and not a thousand. Answers are handed out some at a time. Loop
 * thread only.
 */
#ifndef BRIDGE_SERVICE_PAST_READER_H
#define BRIDGE_SERVICE_PAST_READER_H

#include "bridge/history/query/past.h"

#include <uv.h>

struct past_reader;

/** pasts: one for each channel in the order of the question, and one for their sum; borrowed for the call, like
 *  question, whose device and tariffs are not to be used. */
typedef void (*past_done)(void *context, enum status status,
                          const struct history_past_question *question,
                          const struct history_past *pasts);

/** history_path is copied. */
struct past_reader *past_reader_create(uv_loop_t *loop, const char *history_path);
/** What is being read is read to its end, and done is not called. The loop must run until all handles are closed. NULL is allowed. */
void past_reader_close(struct past_reader *reader);

/** question is copied, its tariffs are those given, which are held meanwhile; so are channels. done is called
 *  later, on the loop; context also identifies the question for past_reader_cancel. */
void past_reader_ask(struct past_reader *reader, const struct history_past_question *question,
                     struct tariffs *tariffs, const char *const *channels, size_t channel_count,
                     past_done done, void *context);
/** done is not called any more for that context. */
void past_reader_cancel(struct past_reader *reader, const void *context);

#endif
