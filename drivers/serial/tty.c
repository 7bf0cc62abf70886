/* SPDX-License-Identifier: MIT */
#include "drivers/serial/kind.h"

#include "drivers/base/clock.h"
#include "drivers/base/memory.h"
#include "drivers/serial/holder.h"
#include "drivers/serial/rate.h"

#include <errno.h>
#include <fcntl.h>
#include <libserialport.h>
#include <limits.h>
#include <linux/serial.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <termios.h>
#include <unistd.h>

/* Unix98 pty slaves, Documentation/admin-guide/devices.txt of the kernel. */
#define PTY_MAJOR_FIRST 136
#define PTY_MAJOR_LAST 143

struct tty {
    struct serial_port base;       /* its fd is locked; all bytes go through it */
    struct sp_port *libserialport; /* NULL where libserialport cannot serve (ptys) */
    bool pty;
    bool exclusive; /* TIOCEXCL is ours to undo */
    int64_t holder_search_ms;
    uint32_t baud;
    int64_t idle_ms; /* boot clock: by then the UART has sent all that was written */
};

static bool is_gone(int error)
{
    return error == EIO || error == ENODEV || error == ENXIO || error == EPIPE;
}

static enum status report_gone(const struct tty *port, struct error *error)
{
    return error_set(error, STATUS_FAILED, "%s has gone: the adapter was unplugged or lost power.",
                     port->base.name);
}

static enum status fail(const struct tty *port, struct error *error, const char *what)
{
    if (is_gone(errno))
        return report_gone(port, error);
    return error_set(error, STATUS_FAILED, "%s: %s failed (%s).", port->base.name, what,
                     strerror(errno));
}

static enum status busy(const struct tty *port, const char *device, struct error *error)
{
    char holder[128];
    if (serial_find_holder(device, port->holder_search_ms, holder, sizeof holder))
        return error_set(error, STATUS_REFUSED,
                         "%s is in use by %s; stop that program or choose another port.",
                         port->base.name, holder);
    return error_set(error, STATUS_REFUSED,
                     "%s is in use by another program; stop it or choose another port.",
                     port->base.name);
}

static enum status explain_open(const struct tty *port, const char *device, struct error *error)
{
    switch (errno) {
    case ENOENT:
    case ENXIO:
    case ENODEV:
    case EIO: /* a pty whose other side is closed */
        return error_set(error, STATUS_NO_ANSWER,
                         "There is no port %s; is the adapter plugged in? `bl2mqtt ports` lists "
                         "what is there.",
                         port->base.name);
    case EBUSY:
        return busy(port, device, error);
    case EACCES:
    case EPERM:
        return error_set(error, STATUS_FAILED,
                         "No permission to open %s; add this user to the group that owns it "
                         "(usually dialout) and log in again.",
                         port->base.name);
    default:
        return fail(port, error, "opening it");
    }
}

static bool is_pty(int fd)
{
    struct stat status;
    if (fstat(fd, &status) != 0)
        return false;
    unsigned number = major(status.st_rdev);
    return number >= PTY_MAJOR_FIRST && number <= PTY_MAJOR_LAST;
}

/* The lock comes before anything that changes the port, so that a port which somebody else uses is
 * left as it is. */
static enum status open_locked(struct tty *port, const char *device, struct error *error)
{
    port->base.fd = open(device, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (port->base.fd < 0)
        return explain_open(port, device, error);
    if (isatty(port->base.fd) == 0) {
        if (is_gone(errno))
            return explain_open(port, device, error);
        return error_set(error, STATUS_FAILED, "%s is not a serial port.", port->base.name);
    }
    if (flock(port->base.fd, LOCK_EX | LOCK_NB) != 0)
        return errno == EWOULDBLOCK ? busy(port, device, error) : fail(port, error, "locking it");
    port->pty = is_pty(port->base.fd);
    /* On a pty TIOCEXCL would stay behind for as long as the other side lives, even if we are
     * killed, and keep us out afterwards; on a real port the last close ends it. */
    if (port->pty)
        return STATUS_OK;
    int exclusive = 0; /* root is let in although it is set, so ask */
    if (ioctl(port->base.fd, TIOCGEXCL, &exclusive) == 0 && exclusive != 0)
        return busy(port, device, error);
    return STATUS_OK;
}

/* libserialport opens the device once more for itself; we keep that for configuring only. */
static enum status attach_libserialport(struct tty *port, const char *device, struct error *error)
{
    if (port->pty || sp_get_port_by_name(device, &port->libserialport) != SP_OK) {
        port->libserialport = NULL;
        return STATUS_OK;
    }
    int lines = 0;
    bool has_lines = ioctl(port->base.fd, TIOCMGET, &lines) == 0;
    if (sp_open(port->libserialport, SP_MODE_READ_WRITE) != SP_OK) {
        enum status status = fail(port, error, "opening it with libserialport");
        sp_free_port(port->libserialport);
        port->libserialport = NULL;
        return status;
    }
    if (has_lines)
        (void)ioctl(port->base.fd, TIOCMSET, &lines); /* sp_open raised DTR and RTS */
    int handle = -1;
    if (sp_get_port_handle(port->libserialport, &handle) == SP_OK)
        (void)fcntl(handle, F_SETFD, FD_CLOEXEC);
    if (sp_set_bits(port->libserialport, 8) != SP_OK ||
        sp_set_parity(port->libserialport, SP_PARITY_NONE) != SP_OK ||
        sp_set_stopbits(port->libserialport, 1) != SP_OK)
        return fail(port, error, "setting 8 data bits, no parity, 1 stop bit");
    return STATUS_OK;
}

static void set_low_latency(const struct tty *port)
{
    struct serial_struct settings;
    if (ioctl(port->base.fd, TIOCGSERIAL, &settings) != 0)
        return; /* the adapter has no such thing: an optimisation only */
    settings.flags = (int)((unsigned)settings.flags | ASYNC_LOW_LATENCY);
    (void)ioctl(port->base.fd, TIOCSSERIAL, &settings);
}

static enum status configure(struct tty *port, const char *device,
                             const struct serial_options *options, struct error *error)
{
    enum status status = open_locked(port, device, error);
    if (status != STATUS_OK)
        return status;
    status = attach_libserialport(port, device, error);
    if (status != STATUS_OK)
        return status;
    if (!port->pty)
        port->exclusive = ioctl(port->base.fd, TIOCEXCL) == 0;
    /* Also undoes HUPCL, which sp_open sets, and CRTSCTS, which libserialport 0.1.1 looks for in
     * the wrong word and so leaves on. */
    if (!rate_make_raw(port->base.fd))
        return fail(port, error, "switching it to raw mode");
    status = serial_set_lines(&port->base, options->dtr, options->rts, error);
    if (status != STATUS_OK)
        return status;
    if (options->low_latency)
        set_low_latency(port);
    return serial_set_baud(&port->base, options->baud, error);
}

static const struct serial_kind kind;
static void tty_close(struct serial_port *base);

enum status serial_tty_open(const char *path, const struct serial_options *options,
                            struct serial_port **result, struct error *error)
{
    struct tty *port = memory_new(1, sizeof *port);
    port->base.kind = &kind;
    port->base.name = memory_copy_text(path);
    port->base.fd = -1;
    port->holder_search_ms = options->patient ? HOLDER_SEARCH_PATIENT_MS : HOLDER_SEARCH_MS;
    char device[PATH_MAX];
    enum status status = realpath(path, device) == NULL ? explain_open(port, path, error)
                                                        : configure(port, device, options, error);
    if (status != STATUS_OK) {
        tty_close(&port->base);
        return status;
    }
    *result = &port->base;
    return STATUS_OK;
}

static void tty_close(struct serial_port *base)
{
    struct tty *port = (struct tty *)base;
    if (port->exclusive)
        (void)ioctl(port->base.fd, TIOCNXCL);
    if (port->libserialport != NULL) {
        (void)sp_close(port->libserialport);
        sp_free_port(port->libserialport);
    }
    if (port->base.fd >= 0)
        (void)close(port->base.fd);
    free(port->base.name);
    free(port);
}

static bool hung_up(const struct tty *port)
{
    struct pollfd state = {.fd = port->base.fd, .events = POLLIN};
    return poll(&state, 1, 0) > 0 && (state.revents & (POLLHUP | POLLERR | POLLNVAL)) != 0;
}

static enum status unplugged(const struct tty *port, bool *gone, struct error *error)
{
    *gone = true;
    return report_gone(port, error);
}

static enum status tty_read(struct serial_port *base, void *buffer, size_t size, size_t *count,
                            bool *gone, struct error *error)
{
    const struct tty *port = (struct tty *)base;
    ssize_t got;
    do {
        got = read(port->base.fd, buffer, size);
    } while (got < 0 && errno == EINTR);
    if (got > 0) {
        *count = (size_t)got;
        return STATUS_OK;
    }
    /* A tty that was hung up reads as end of file, some drivers also when there is just nothing. */
    if (got == 0)
        return size > 0 && hung_up(port) ? unplugged(port, gone, error) : STATUS_OK;
    if (errno == EAGAIN)
        return STATUS_OK;
    return is_gone(errno) ? unplugged(port, gone, error) : fail(port, error, "reading");
}

/* When the UART will have sent length more bytes: a start bit, eight data bits, a stop bit each. */
static void note_written(struct tty *port, size_t length)
{
    int64_t now = clock_boot_ms();
    int64_t start = port->idle_ms > now ? port->idle_ms : now;
    port->idle_ms = start + ((int64_t)length * 10000 + port->baud - 1) / port->baud;
}

static enum status tty_write(struct serial_port *base, const void *bytes, size_t size,
                             size_t *count, bool *gone, struct error *error)
{
    struct tty *port = (struct tty *)base;
    ssize_t put;
    do {
        put = write(port->base.fd, bytes, size);
    } while (put < 0 && errno == EINTR);
    if (put >= 0) {
        *count = (size_t)put;
        note_written(port, *count);
        return STATUS_OK;
    }
    if (errno == EAGAIN)
        return hung_up(port) ? unplugged(port, gone, error) : STATUS_OK;
    return is_gone(errno) ? unplugged(port, gone, error) : fail(port, error, "writing");
}

static void tty_flush_input(struct serial_port *base)
{
    (void)tcflush(base->fd, TCIFLUSH); /* a port that is gone has nothing to flush */
}

static void sleep_ms(int64_t ms)
{
    (void)poll(NULL, 0, (int)ms);
}

static enum status tty_drain(struct serial_port *base, int64_t timeout_ms, struct error *error)
{
    const struct tty *port = (struct tty *)base;
    int64_t deadline = clock_boot_ms() + timeout_ms;
    for (;;) {
        int queued = 0;
        if (ioctl(port->base.fd, TIOCOUTQ, &queued) != 0 || hung_up(port))
            return error_set(error, STATUS_FAILED, "%s has gone while bytes were still to be sent.",
                             port->base.name);
        int64_t now = clock_boot_ms();
        /* The kernel's queue may be empty while the adapter's own is not; only the time that the
         * bytes take on the wire tells. A pty has no wire. */
        if (queued == 0 && (port->pty || now >= port->idle_ms))
            return STATUS_OK;
        if (now >= deadline)
            return error_set(error, STATUS_NO_ANSWER,
                             "%s did not send all bytes within %lld ms; the adapter is stuck or "
                             "waits for flow control.",
                             port->base.name, (long long)timeout_ms);
        sleep_ms(1);
    }
}

static enum status tty_set_baud(struct serial_port *base, uint32_t baud, struct error *error)
{
    struct tty *port = (struct tty *)base;
    if (baud == 0 || baud > INT_MAX)
        return error_set(error, STATUS_FAILED, "%s: %u is not a baud rate.", port->base.name, baud);
    bool set =
        port->libserialport != NULL && sp_set_baudrate(port->libserialport, (int)baud) == SP_OK;
    if (!set && !rate_set(port->base.fd, baud)) {
        if (is_gone(errno))
            return report_gone(port, error);
        return error_set(error, STATUS_FAILED, "%s: the adapter does not do %u baud (%s).",
                         port->base.name, baud, strerror(errno));
    }
    /* Drivers answer a rate they cannot make with the nearest they can; UARTs bear about 3 %. */
    uint32_t real = rate_get(port->base.fd);
    uint32_t difference = real > baud ? real - baud : baud - real;
    if (real != 0 && difference > baud / 33)
        return error_set(error, STATUS_FAILED,
                         "%s: the adapter does not do %u baud; the nearest it offers is %u.",
                         port->base.name, baud, real);
    port->baud = baud;
    return STATUS_OK;
}

/* Ptys and a few adapters have no modem lines and no break. */
static bool unsupported(int error)
{
    return error == ENOTTY || error == EINVAL || error == ENOSYS || error == EOPNOTSUPP;
}

static enum status tty_set_break(struct serial_port *base, bool on, struct error *error)
{
    const struct tty *port = (struct tty *)base;
    if (ioctl(port->base.fd, on ? TIOCSBRK : TIOCCBRK) == 0 || unsupported(errno))
        return STATUS_OK;
    return fail(port, error, on ? "starting a break" : "ending a break");
}

static enum status set_line(const struct tty *port, int line, enum serial_line_level level,
                            struct error *error)
{
    if (level == SERIAL_LINE_KEEP)
        return STATUS_OK;
    /* TTL outputs are active low: an asserted line is the low one. */
    unsigned long request = level == SERIAL_LINE_LOW ? TIOCMBIS : TIOCMBIC;
    if (ioctl(port->base.fd, request, &line) == 0 || unsupported(errno))
        return STATUS_OK;
    return fail(port, error, line == TIOCM_DTR ? "setting DTR" : "setting RTS");
}

static bool tty_has_lines(const struct serial_port *base)
{
    int lines = 0;
    return ioctl(base->fd, TIOCMGET, &lines) == 0;
}

static enum status tty_set_lines(struct serial_port *base, enum serial_line_level dtr,
                                 enum serial_line_level rts, struct error *error)
{
    const struct tty *port = (struct tty *)base;
    enum status status = set_line(port, TIOCM_DTR, dtr, error);
    return status == STATUS_OK ? set_line(port, TIOCM_RTS, rts, error) : status;
}

static const struct serial_kind kind = {
    .read = tty_read,
    .write = tty_write,
    .flush_input = tty_flush_input,
    .drain = tty_drain,
    .set_baud = tty_set_baud,
    .set_break = tty_set_break,
    .has_lines = tty_has_lines,
    .set_lines = tty_set_lines,
    .close = tty_close,
};

const char *serial_library_version(void)
{
    return sp_get_package_version_string();
}
