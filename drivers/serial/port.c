/* SPDX-License-Identifier: MIT */
#include "drivers/serial/kind.h"

#include "drivers/serial/address.h"

enum status serial_open(const char *name, const struct serial_options *options,
                        struct serial_port **port, struct error *error)
{
    struct serial_address address;
    enum status status = serial_address_read(name, &address, error);
    if (status != STATUS_OK)
        return status;
    return address.kind == SERIAL_TTY ? serial_tty_open(name, options, port, error)
                                      : serial_socket_open(name, options, port, error);
}

void serial_close(struct serial_port *port)
{
    if (port != NULL)
        port->kind->close(port);
}

bool serial_is_remote(const struct serial_port *port)
{
    return port->remote;
}

bool serial_is_raw(const struct serial_port *port)
{
    return port->raw;
}

int serial_fd(const struct serial_port *port)
{
    return port->fd;
}

enum status serial_read(struct serial_port *port, void *buffer, size_t size, size_t *count,
                        bool *gone, struct error *error)
{
    *count = 0;
    *gone = false;
    return port->kind->read(port, buffer, size, count, gone, error);
}

enum status serial_write(struct serial_port *port, const void *bytes, size_t size, size_t *count,
                         bool *gone, struct error *error)
{
    *count = 0;
    *gone = false;
    return port->kind->write(port, bytes, size, count, gone, error);
}

void serial_flush_input(struct serial_port *port)
{
    port->kind->flush_input(port);
}

enum status serial_drain(struct serial_port *port, int64_t timeout_ms, struct error *error)
{
    return port->kind->drain(port, timeout_ms, error);
}

enum status serial_set_baud(struct serial_port *port, uint32_t baud, struct error *error)
{
    return port->kind->set_baud(port, baud, error);
}

enum status serial_set_break(struct serial_port *port, bool on, struct error *error)
{
    return port->kind->set_break(port, on, error);
}

bool serial_has_lines(const struct serial_port *port)
{
    return port->kind->has_lines(port);
}

enum status serial_set_lines(struct serial_port *port, enum serial_line_level dtr,
                             enum serial_line_level rts, struct error *error)
{
    return port->kind->set_lines(port, dtr, rts, error);
}
