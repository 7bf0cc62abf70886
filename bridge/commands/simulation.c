/* SPDX-License-Identifier: MIT */
#include "bridge/commands/simulation.h"

#include "bridge/commands/command.h"
#include "drivers/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void simulation_stop(struct simulation *simulation)
{
    simulation->stopping = true;
    uv_stop(&simulation->loop);
}

static void on_signal(uv_signal_t *signal, int number)
{
    (void)number;
    simulation_stop(signal->data);
}

static int start_signals(struct simulation *simulation)
{
    simulation->interrupt.data = simulation->terminate.data = simulation;
    int result = uv_signal_init(&simulation->loop, &simulation->interrupt);
    if (result == 0)
        result = uv_signal_start(&simulation->interrupt, on_signal, SIGINT);
    if (result == 0)
        result = uv_signal_init(&simulation->loop, &simulation->terminate);
    if (result == 0)
        result = uv_signal_start(&simulation->terminate, on_signal, SIGTERM);
    return result;
}

enum status simulation_open(struct simulation *simulation, const char *name, struct error *error)
{
    *simulation = (struct simulation){.name = name, .input_flags = -1};
    int result = uv_loop_init(&simulation->loop);
    if (result == 0) {
        result = start_signals(simulation);
        if (result != 0)
            simulation_close(simulation);
    }
    if (result != 0)
        return error_set(error, STATUS_FAILED, "The event loop cannot be set up: %s.",
                         uv_strerror(result));
    (void)signal(SIGPIPE, SIG_IGN);
    return STATUS_OK;
}

static void take_byte(struct simulation *simulation, char byte)
{
    if (byte != '\n') {
        if (simulation->line_length < sizeof simulation->line - 1)
            simulation->line[simulation->line_length++] = byte != '\0' ? byte : '?';
        else
            simulation->line_too_long = true;
        return;
    }
    simulation->line[simulation->line_length] = '\0';
    simulation->obey(simulation->context, simulation->line_too_long ? NULL : simulation->line);
    simulation->line_length = 0;
    simulation->line_too_long = false;
}

/* False when there is nothing more to read now. */
static bool read_control(struct simulation *simulation)
{
    char bytes[512];
    ssize_t length = read(STDIN_FILENO, bytes, sizeof bytes);
    if (length < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    for (ssize_t i = 0; i < length && !simulation->stopping; i++)
        take_byte(simulation, bytes[i]);
    if (length <= 0)
        simulation_stop(simulation); /* whoever steered it is gone; do not stay behind */
    return length > 0;
}

static void on_control(uv_poll_t *poll, int status, int events)
{
    (void)events;
    struct simulation *simulation = poll->data;
    if (status != 0)
        simulation_stop(simulation);
    else
        (void)read_control(simulation);
}

void simulation_control(struct simulation *simulation, void (*obey)(void *context, char *line),
                        void *context)
{
    simulation->obey = obey;
    simulation->context = context;
    /* libuv makes standard input non-blocking, which a shell on the same terminal must not keep. */
    simulation->input_flags = fcntl(STDIN_FILENO, F_GETFL);
    if (uv_poll_init(&simulation->loop, &simulation->control, STDIN_FILENO) == 0) {
        simulation->control.data = simulation;
        (void)uv_poll_start(&simulation->control, UV_READABLE | UV_DISCONNECT, on_control);
        return;
    }
    while (!simulation->stopping && read_control(simulation)) /* a file: it cannot be waited for */
        ;
}

void simulation_run(struct simulation *simulation)
{
    while (!simulation->stopping)
        (void)uv_run(&simulation->loop, UV_RUN_DEFAULT);
}

static void close_handle(uv_handle_t *handle, void *unused)
{
    (void)unused;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

void simulation_close(struct simulation *simulation)
{
    uv_walk(&simulation->loop, close_handle, NULL);
    while (uv_loop_close(&simulation->loop) != 0) /* once more if it was stopped before it ran */
        (void)uv_run(&simulation->loop, UV_RUN_DEFAULT);
    if (simulation->input_flags >= 0)
        (void)fcntl(STDIN_FILENO, F_SETFL, simulation->input_flags);
}

void simulation_print(struct simulation *simulation, json_t *document)
{
    if (command_print_json(simulation->name, document, JSON_COMPACT) == STATUS_OK)
        return;
    simulation->status = STATUS_FAILED;
    simulation_stop(simulation);
}

enum status simulation_write_file(const char *name, const void *bytes, size_t length,
                                  struct error *error)
{
    char path[PATH_MAX];
    char temporary[PATH_MAX];
    enum status status = file_target(name, path, error);
    if (status != STATUS_OK)
        return status;
    int named = snprintf(temporary, sizeof temporary, "%s.new", path);
    if (named < 0 || (size_t)named >= sizeof temporary)
        return error_set(error, STATUS_FAILED, "The name %s is too long.", path);
    int fd = file_create(temporary, FILE_MODE_UMASK);
    FILE *file = fd >= 0 ? fdopen(fd, "wb") : NULL;
    bool written = file != NULL && fwrite(bytes, 1, length, file) == length;
    int reason = errno;
    if (file != NULL && fclose(file) != 0) {
        written = false;
        reason = errno;
    }
    if (written && rename(temporary, path) == 0)
        return STATUS_OK;
    if (written)
        reason = errno;
    if (file != NULL)
        (void)unlink(temporary);
    return error_set(error, STATUS_FAILED, "%s cannot be written: %s.", path, strerror(reason));
}
