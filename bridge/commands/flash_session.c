/* SPDX-License-Identifier: MIT */
#include "bridge/commands/flash_session.h"

#include "bridge/commands/command.h"
#include "bridge/commands/flash_progress.h"
#include "drivers/base/file.h"
#include "drivers/base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The only thing a signal handler may touch, so it cannot live in the session. */
static volatile sig_atomic_t stop_asked;

struct flash_session {
    const struct command_line *line;
    struct flasher *flasher;
    FILE *trace;
    struct flash_progress progress;
};

static void on_progress(void *context, const struct flasher_step *step)
{
    struct flash_session *session = context;
    flash_progress_step(&session->progress, step);
}

static void on_note(void *context, const char *sentence)
{
    struct flash_session *session = context;
    flash_progress_note(&session->progress, sentence);
}

void flash_session_say(struct flash_session *session, const char *format, ...)
{
    char sentence[ERROR_TEXT_SIZE];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(sentence, sizeof sentence, format, arguments);
    va_end(arguments);
    on_note(session, sentence);
}

static void on_signal(int number)
{
    (void)number;
    stop_asked = 1;
}

static enum status watch_signals(struct error *error)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
    (void)sigemptyset(&action.sa_mask);
    (void)signal(SIGPIPE, SIG_IGN); /* work on a module outlives whoever reads how it goes */
    if (sigaction(SIGINT, &action, NULL) == 0 && sigaction(SIGTERM, &action, NULL) == 0)
        return STATUS_OK;
    return error_set(error, STATUS_FAILED, "Signals cannot be caught: %s.", strerror(errno));
}

static enum status open_trace(const char *path, FILE **trace, struct error *error)
{
    if (path == NULL)
        return STATUS_OK;
    /* What goes over the line may be passwords, so only this user may read it. A device or a pipe is
     * written to as it is; a link to a file may have been planted. */
    struct stat status;
    bool is_node = lstat(path, &status) == 0 && !S_ISREG(status.st_mode);
    if (is_node && stat(path, &status) == 0 && S_ISREG(status.st_mode))
        return error_set(error, STATUS_USAGE,
                         "%s is a symbolic link to a file. Name the file itself for the trace.",
                         path);
    int fd = is_node ? open(path, O_WRONLY | O_NOCTTY | O_CLOEXEC) : file_create(path, 0600);
    *trace = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (*trace == NULL)
        return error_set(error, STATUS_USAGE, "%s cannot be written: %s.", path, strerror(errno));
    return STATUS_OK;
}

static void close_trace(struct flash_session *session)
{
    if (session->trace == NULL)
        return;
    bool failed = ferror(session->trace) != 0;
    if (fclose(session->trace) != 0 || failed)
        flash_session_say(session, "The trace could not be written to its end.");
    session->trace = NULL;
}

struct flash_session *flash_session_create(const struct command_line *line,
                                           const struct flash_options *options)
{
    struct flash_session *session = memory_new(1, sizeof *session);
    session->line = line;
    flash_progress_init(&session->progress, options->progress);
    return session;
}

enum status flash_session_open(const struct command_line *line, const struct flash_options *options,
                               struct flash_session **result, struct error *error)
{
    if (*result == NULL)
        *result = flash_session_create(line, options);
    struct flash_session *session = *result;
    enum status status = open_trace(options->trace_path, &session->trace, error);
    if (status == STATUS_OK)
        status = watch_signals(error);
    if (status != STATUS_OK)
        return status;
    struct flasher_options flasher = flash_flasher_options(options);
    flasher.progress = on_progress;
    flasher.link.trace = session->trace;
    flasher.link.stop = &stop_asked;
    flasher.link.note = on_note;
    flasher.link.context = session;
    return flasher_open(&flasher, &session->flasher, error);
}

void flash_session_disconnect(struct flash_session *session)
{
    flash_progress_end(&session->progress);
    flasher_close(session->flasher);
    session->flasher = NULL;
    close_trace(session);
}

void flash_session_close(struct flash_session *session)
{
    if (session == NULL)
        return;
    flash_session_disconnect(session);
    free(session);
}

struct flasher *flash_session_flasher(struct flash_session *session)
{
    return session->flasher;
}

bool flash_session_takes(const struct flash_session *session, const char *option)
{
    return options_find(session->line, option) != NULL;
}

bool flash_session_stopped(void)
{
    return stop_asked != 0;
}

enum status flash_fail(const struct command_line *line, struct flash_session *session,
                       enum status status, const struct error *error)
{
    if (session != NULL)
        flash_progress_end(&session->progress);
    if (session == NULL || !flash_progress_fail(&session->progress, (int)status, error->text))
        return command_fail(line->name, status, error);
    return status;
}
