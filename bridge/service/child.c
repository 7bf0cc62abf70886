/* SPDX-License-Identifier: MIT */
#include "bridge/service/child.h"

#include "drivers/base/memory.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#define OUTPUT_MAX 1048576 /* bytes of a document */
#define COMPLAINT_MAX 4096 /* bytes of stderr that are kept, the last ones */

struct stream {
    uv_pipe_t pipe;
    char *bytes;
    size_t length, room;
    bool keeps_end; /* of a longer text, the end is kept */
};

struct child {
    uv_process_t process;
    struct stream output, complaint;
    child_done done; /* NULL: nobody wants to know any more */
    void *context;
    child_line line; /* NULL: nobody reads along */
    char words[CHILD_LINE_MAX];
    size_t word_count;
    int64_t exit_status;
    unsigned open_handles; /* that must close before it is done */
    char buffer[4096];
};

static void finish(struct child *child);

static void on_closed(uv_handle_t *handle)
{
    struct child *child = handle->data;
    if (--child->open_handles == 0)
        finish(child);
}

/* ---- what it prints ---- */

static void on_room(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    struct child *child = handle->data;
    (void)suggested;
    *buffer = uv_buf_init(child->buffer, sizeof child->buffer);
}

static void keep(struct stream *stream, const char *bytes, size_t length)
{
    size_t limit = stream->keeps_end ? COMPLAINT_MAX : OUTPUT_MAX;
    if (stream->length + length > limit) {
        if (!stream->keeps_end)
            return;
        size_t drop = stream->length + length - limit;
        drop = drop < stream->length ? drop : stream->length;
        memmove(stream->bytes, stream->bytes + drop, stream->length - drop);
        stream->length -= drop;
    }
    while (stream->room < stream->length + length + 1)
        stream->bytes = memory_grow(stream->bytes, stream->room, &stream->room, 1);
    memcpy(stream->bytes + stream->length, bytes, length);
    stream->length += length;
    stream->bytes[stream->length] = '\0';
}

static void read_along(struct child *child, const char *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (bytes[i] != '\n') {
            if (child->word_count < sizeof child->words - 1)
                child->words[child->word_count++] = bytes[i];
            continue;
        }
        child->words[child->word_count] = '\0';
        child->word_count = 0;
        child->line(child->context, child->words);
    }
}

static void on_bytes(uv_stream_t *pipe, ssize_t count, const uv_buf_t *buffer)
{
    struct child *child = pipe->data;
    struct stream *stream =
        pipe == (uv_stream_t *)&child->output.pipe ? &child->output : &child->complaint;
    if (count > 0 && child->line != NULL && stream == &child->complaint)
        read_along(child, buffer->base, (size_t)count);
    if (count > 0)
        keep(stream, buffer->base, (size_t)count);
    else if (count < 0)
        uv_close((uv_handle_t *)pipe, on_closed);
}

/* ---- its end ---- */

static void on_exit_of(uv_process_t *process, int64_t exit_status, int signal_number)
{
    struct child *child = process->data;
    child->exit_status = signal_number != 0 ? STATUS_FAILED : exit_status;
    uv_close((uv_handle_t *)process, on_closed);
}

/* "bl2mqtt scan: Sentence.": the last line, without the command's name. */
static void last_sentence(const struct stream *complaint, struct error *error)
{
    char *text = complaint->bytes;
    if (text == NULL) {
        (void)error_set(error, STATUS_FAILED, "The command failed without a word.");
        return;
    }
    size_t length = complaint->length;
    while (length > 0 && text[length - 1] == '\n')
        text[--length] = '\0';
    const char *line = strrchr(text, '\n');
    line = line == NULL ? text : line + 1;
    const char *colon = strncmp(line, "bl2mqtt", 7) == 0 ? strstr(line, ": ") : NULL;
    (void)error_set(error, STATUS_FAILED, "%s", colon == NULL ? line : colon + 2);
}

static void finish(struct child *child)
{
    struct error error = {""};
    enum status status = child->exit_status >= 0 && child->exit_status <= STATUS_MISMATCH
                             ? (enum status)child->exit_status
                             : STATUS_FAILED;
    if (child->done != NULL) {
        if (status != STATUS_OK)
            last_sentence(&child->complaint, &error);
        child->done(child->context, status, child->output.bytes == NULL ? "" : child->output.bytes,
                    &error);
    }
    free(child->output.bytes);
    free(child->complaint.bytes);
    free(child);
}

/* ---- life ---- */

static void open_pipe(struct child *child, uv_loop_t *loop, struct stream *stream)
{
    (void)uv_pipe_init(loop, &stream->pipe, 0);
    stream->pipe.data = child;
    child->open_handles++;
}

enum status child_start(uv_loop_t *loop, const char *const *arguments, child_done done,
                        void *context, struct child **started, struct error *error)
{
    static char program[] = "/proc/self/exe", name[] = "bl2mqtt";
    char *words[CHILD_ARGUMENTS_MAX + 2] = {name};
    for (size_t i = 0; arguments[i] != NULL && i < CHILD_ARGUMENTS_MAX; i++)
        words[i + 1] = (char *)arguments[i]; /* execve's own signature; it copies them */
    struct child *child = memory_new(1, sizeof *child);
    child->complaint.keeps_end = true;
    open_pipe(child, loop, &child->output);
    open_pipe(child, loop, &child->complaint);
    child->process.data = child;
    child->open_handles++;
    uv_stdio_container_t stdio[3] = {
        {.flags = UV_IGNORE},
        {.flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE,
         .data.stream = (uv_stream_t *)&child->output.pipe},
        {.flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE,
         .data.stream = (uv_stream_t *)&child->complaint.pipe},
    };
    const uv_process_options_t options = {
        .exit_cb = on_exit_of, .file = program, .args = words, .stdio_count = 3, .stdio = stdio};
    int result = uv_spawn(loop, &child->process, &options);
    if (result != 0) {
        uv_close((uv_handle_t *)&child->process, on_closed);
        uv_close((uv_handle_t *)&child->output.pipe, on_closed);
        uv_close((uv_handle_t *)&child->complaint.pipe, on_closed);
        return error_set(error, STATUS_FAILED, "The command could not be started: %s.",
                         uv_strerror(result));
    }
    child->done = done;
    child->context = context;
    (void)uv_read_start((uv_stream_t *)&child->output.pipe, on_room, on_bytes);
    (void)uv_read_start((uv_stream_t *)&child->complaint.pipe, on_room, on_bytes);
    *started = child;
    return STATUS_OK;
}

void child_watch(struct child *child, child_line line)
{
    child->line = line;
}

void child_ask_to_end(struct child *child)
{
    (void)uv_process_kill(&child->process, SIGTERM);
}

static void let_go(struct child *child, int signal_number)
{
    child->done = NULL;
    child->line = NULL;
    (void)uv_process_kill(&child->process, signal_number);
    uv_handle_t *const handles[] = {(uv_handle_t *)&child->process,
                                    (uv_handle_t *)&child->output.pipe,
                                    (uv_handle_t *)&child->complaint.pipe};
    for (size_t i = 0; i < 3; i++)
        if (!uv_is_closing(handles[i]))
            uv_close(handles[i], on_closed);
}

void child_stop(struct child *child)
{
    if (child != NULL)
        let_go(child, SIGKILL);
}

void child_leave(struct child *child)
{
    if (child != NULL)
        let_go(child, SIGTERM);
}
