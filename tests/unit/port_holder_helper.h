/* SPDX-License-Identifier: MIT */
/* Another process that has a serial port. */
#ifndef TESTS_UNIT_PORT_HOLDER_HELPER_H
#define TESTS_UNIT_PORT_HOLDER_HELPER_H

#include "drivers/serial/port.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

struct port_holder {
    pid_t child;
    int finish;
    char words[32]; /* "(pid 12)", as messages call it */
};

/* Returns when the other process has the port: locked as this program does, or just open. */
static inline void port_holder_start(struct port_holder *holder, const char *path, bool locked)
{
    int ready[2], finish[2];
    assert_int_equal(pipe(ready), 0);
    assert_int_equal(pipe(finish), 0);
    holder->child = fork();
    if (holder->child == 0) {
        const struct serial_options options = {.baud = 4800};
        struct serial_port *port = NULL;
        bool held = locked ? serial_open(path, &options, &port, NULL) == STATUS_OK
                           : open(path, O_RDWR | O_NOCTTY) >= 0;
        char byte = held ? 'y' : 'n';
        close(finish[1]);
        (void)!write(ready[1], &byte, 1);
        (void)!read(finish[0], &byte, 1); /* until the parent closes its end */
        _exit(0);                         /* without serial_close, as if it had been killed */
    }
    char byte = 0;
    assert_int_equal(read(ready[0], &byte, 1), 1);
    assert_int_equal(byte, 'y');
    close(ready[0]);
    close(ready[1]);
    close(finish[0]);
    holder->finish = finish[1];
    snprintf(holder->words, sizeof holder->words, "(pid %d)", (int)holder->child);
}

static inline void port_holder_end(const struct port_holder *holder)
{
    close(holder->finish);
    assert_int_equal(waitpid(holder->child, NULL, 0), holder->child);
}

#endif
