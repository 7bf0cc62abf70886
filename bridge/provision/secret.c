/* SPDX-License-Identifier: MIT */
#include "bridge/provision/secret.h"

#include "drivers/base/file.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#define LOOK_EVERY_MS 100

static enum status take_line(const char *what, const char *line, size_t length,
                             char secret[SECRET_SIZE], struct error *error)
{
    if (length > 0 && line[length - 1] == '\r')
        length--;
    if (length == 0 || length >= SECRET_SIZE || memchr(line, '\0', length) != NULL)
        return error_set(error, STATUS_USAGE, "The %s must be a line of 1 to %d bytes.", what,
                         SECRET_SIZE - 1);
    memcpy(secret, line, length);
    secret[length] = '\0';
    return STATUS_OK;
}

static enum status from_file(const char *what, const char *path, char secret[SECRET_SIZE],
                             struct error *error)
{
    char *bytes = NULL;
    size_t length = 0;
    if (file_read(path, 4096, &bytes, &length, error) != STATUS_OK)
        return STATUS_USAGE;
    const char *end = memchr(bytes, '\n', length);
    enum status status =
        take_line(what, bytes, end != NULL ? (size_t)(end - bytes) : length, secret, error);
    explicit_bzero(bytes, length);
    free(bytes);
    return status == STATUS_OK ? status : error_prefix(error, status, "%s: ", path);
}

/* Until a line is typed; false if one of the signals that are held came first. */
static bool wait_for_line(const sigset_t *held)
{
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    for (;;) {
        sigset_t pending;
        if (sigpending(&pending) == 0)
            for (int number = 1; number < NSIG; number++)
                if (sigismember(held, number) == 1 && sigismember(&pending, number) == 1)
                    return false;
        if (poll(&input, 1, LOOK_EVERY_MS) > 0)
            return true;
    }
}

/* What is typed must not show, and the terminal is put back whatever happens to the reading: a signal,
 * as by Ctrl-C, waits until then. */
static enum status from_terminal(const char *what, char secret[SECRET_SIZE], struct error *error)
{
    struct termios before, quiet;
    sigset_t held, old;
    if (tcgetattr(STDIN_FILENO, &before) != 0)
        return error_set(error, STATUS_USAGE, "The terminal does not do (%s).", strerror(errno));
    (void)sigemptyset(&held);
    (void)sigaddset(&held, SIGINT);
    (void)sigaddset(&held, SIGTERM);
    (void)sigaddset(&held, SIGHUP);
    (void)sigprocmask(SIG_BLOCK, &held, &old);
    quiet = before;
    quiet.c_lflag &= ~(tcflag_t)ECHO;
    char line[SECRET_SIZE + 2];
    (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
    (void)fprintf(stderr, "Please type the %s: ", what); /* now that it does not show any more */
    bool got = wait_for_line(&held) && fgets(line, sizeof line, stdin) != NULL;
    (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
    (void)fputc('\n', stderr);
    (void)sigprocmask(SIG_SETMASK, &old, NULL); /* what waited ends the program now */
    size_t length = got ? strcspn(line, "\n") : 0;
    enum status status = take_line(what, line, length, secret, error);
    explicit_bzero(line, sizeof line);
    return status;
}

enum status secret_read(const char *what, const char *file, const char *variable, bool must_have,
                        char secret[SECRET_SIZE], struct error *error)
{
    secret[0] = '\0';
    if (file != NULL)
        return from_file(what, file, secret, error);
    const char *value = getenv(variable);
    if (value != NULL && *value != '\0')
        return take_line(what, value, strlen(value), secret, error);
    if (!must_have)
        return STATUS_OK;
    if (isatty(STDIN_FILENO))
        return from_terminal(what, secret, error);
    return error_set(error, STATUS_USAGE,
                     "The %s is needed: in a file that is named on the command line, in the "
                     "environment variable %s, or typed on a terminal.",
                     what, variable);
}
