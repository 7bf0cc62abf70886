/* SPDX-License-Identifier: MIT */
#include "drivers/simulator/module_port.h"

#include "drivers/base/memory.h"
#include "drivers/simulator/pty.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define SECOND_NS 1000000000LL
#define SLICE_NS 500000LL     /* the timer fires at most so often */
#define CATCH_UP_NS 1000000LL /* steps in which a late wake-up is made good */
#define LATE_MAX_NS 5000000LL /* more than this is not made good: the module's time stood still */
#define LOOK_NS 4000000LL     /* how often the host's settings are looked at when nothing happens */
#define ABSENT_NS 15000000LL  /* how often to see whether somebody opened the pty */
#define OFF_US 50000
#define BACKLOG_LOW 512U  /* refilled from here on, lest bytes be fetched one by one */
#define BACKLOG_MAX 1024U /* bytes that the adapter takes from the host ahead of the line */

struct module_port {
    uv_loop_t *loop;
    struct module *module;
    struct module_port_options options;
    char *link;
    struct pty pty; /* master -1: the adapter is unplugged */
    int timer;
    uv_poll_t *master_poll; /* lives until its close callback */
    uv_poll_t timer_poll;
    bool reading;
    bool host_present;
    int64_t start_ns;
    int64_t model_us;         /* the module has been taken so far */
    int64_t due_us;           /* the timer was set for this */
    int64_t back_ns;          /* when the adapter comes back */
    bool powered;             /* once at least */
    int64_t waiting_since_ns; /* 0: the module does not wait for a power cycle */
    uint8_t out[4096];
    size_t out_length;
};

static int64_t now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_BOOTTIME, &now);
    return now.tv_sec * SECOND_NS + now.tv_nsec;
}

static int64_t model_time_us(const struct module_port *port, int64_t at_ns)
{
    return (int64_t)((double)(at_ns - port->start_ns) / 1000.0 * port->options.speed);
}

static int64_t real_ns(const struct module_port *port, int64_t model_us)
{
    return port->start_ns + (int64_t)((double)model_us * 1000.0 / port->options.speed);
}

/* The pty -------------------------------------------------------------------------------------- */

static bool plugged(const struct module_port *port)
{
    return port->pty.master >= 0;
}

static enum status open_pty(struct module_port *port, struct error *error)
{
    enum status status = pty_open(&port->pty, error);
    if (status != STATUS_OK)
        return status;
    pty_release_slave(&port->pty);
    if (port->link != NULL)
        status = pty_link(&port->pty, port->link, error);
    if (status != STATUS_OK) {
        pty_close(&port->pty);
        return status;
    }
    port->host_present = false;
    port->reading = false;
    return STATUS_OK;
}

static void free_poll(uv_handle_t *handle)
{
    free(handle);
}

static void close_pty(struct module_port *port)
{
    if (!plugged(port))
        return;
    if (port->link != NULL)
        pty_unlink(&port->pty, port->link);
    uv_close((uv_handle_t *)port->master_poll, free_poll);
    port->master_poll = NULL;
    pty_close(&port->pty);
    port->out_length = 0;
}

/* One step ------------------------------------------------------------------------------------- */

/* True if these bytes ask the module to change to the rate. */
static bool asks_for(const uint8_t *bytes, size_t length, uint32_t baud)
{
    const uint8_t frame[] = {0x01,
                             0xE0,
                             0xFC,
                             0x06,
                             0x0F,
                             (uint8_t)baud,
                             (uint8_t)(baud >> 8),
                             (uint8_t)(baud >> 16),
                             (uint8_t)(baud >> 24)};
    return memmem(bytes, length, frame, sizeof frame) != NULL;
}

/* Bytes that the host wrote before it changed its rate go out at the old one. When bytes and a new
 * rate are found together, it cannot be seen which came first; what asks the module for that very
 * rate was written before. */
static void take_from_host(struct module_port *port, int64_t at_us, bool readable)
{
    size_t backlog = module_backlog(port->module);
    uint32_t baud = pty_host_baud(&port->pty);
    bool changed = baud != 0 && baud != module_host_baud(port->module);
    if (changed && backlog > 0)
        return; /* when they have left */
    uint8_t bytes[BACKLOG_MAX];
    ssize_t count = 0;
    if (readable && backlog <= BACKLOG_LOW)
        count = read(port->pty.master, bytes, sizeof bytes - backlog);
    if (changed && (count <= 0 || !asks_for(bytes, (size_t)count, baud)))
        module_set_host_baud(port->module, at_us, baud);
    if (count > 0)
        module_receive(port->module, at_us, bytes, (size_t)count);
}

static void give_to_host(struct module_port *port, int64_t at_us)
{
    for (;;) {
        if (port->out_length == 0)
            port->out_length = module_transmit(port->module, at_us, port->out, sizeof port->out);
        if (port->out_length == 0)
            return;
        if (!port->host_present) {
            port->out_length = 0;
            continue;
        }
        ssize_t count = write(port->pty.master, port->out, port->out_length);
        if (count <= 0)
            return;
        port->out_length -= (size_t)count;
        memmove(port->out, port->out + count, port->out_length);
    }
}

static void power_cycle(struct module_port *port, int64_t at_us)
{
    module_power_cycle(port->module, at_us, (int64_t)(OFF_US * port->options.speed));
    port->waiting_since_ns = 0;
    port->powered = true;
}

static void host_came(struct module_port *port, int64_t at_us)
{
    log_info(port->options.log, "The port was opened.");
    uint32_t baud = pty_host_baud(&port->pty);
    if (baud != 0)
        module_set_host_baud(port->module, at_us, baud);
    if (port->options.power_cycle_on_open)
        power_cycle(port, at_us);
}

static void look_at_host(struct module_port *port, int64_t at_us)
{
    struct pollfd look = {.fd = port->pty.master, .events = POLLIN};
    (void)poll(&look, 1, 0);
    bool readable = (look.revents & POLLIN) != 0;
    bool present = readable || (look.revents & POLLHUP) == 0;
    if (present && !port->host_present)
        host_came(port, at_us);
    if (!present && port->host_present) {
        log_info(port->options.log, "The port was closed.");
        port->out_length = 0;
        module_unplug(port->module, at_us);
    }
    port->host_present = present;
    if (!present)
        return;
    take_from_host(port, at_us, readable);
}

static void step(struct module_port *port, int64_t at_us)
{
    port->model_us = at_us;
    if (plugged(port))
        look_at_host(port, at_us);
    give_to_host(port, at_us);
}

/* Between steps -------------------------------------------------------------------------------- */

static void on_ready(uv_poll_t *handle, int status, int events);

static enum status start_poll(struct module_port *port, struct error *error)
{
    port->master_poll = memory_new(1, sizeof *port->master_poll);
    int result = uv_poll_init(port->loop, port->master_poll, port->pty.master);
    if (result != 0) {
        free(port->master_poll);
        if (port->link != NULL)
            pty_unlink(&port->pty, port->link);
        pty_close(&port->pty);
        return error_set(error, STATUS_FAILED, "The pseudo terminal cannot be watched: %s.",
                         uv_strerror(result));
    }
    port->master_poll->data = port;
    return STATUS_OK;
}

static void come_back(struct module_port *port)
{
    struct error error = {""};
    if (open_pty(port, &error) != STATUS_OK || start_poll(port, &error) != STATUS_OK) {
        log_error(port->options.log, "%s", error.text);
        port->back_ns = now_ns() + SECOND_NS;
        return;
    }
    log_info(port->options.log, "The adapter is back at %s.", port->pty.path);
}

/* A module that nobody is linked to gets its power taken away now and then, as by the person whom
 * the flasher asks to do so. */
static void cycle_if_waiting(struct module_port *port, int64_t at_ns)
{
    enum module_state state = module_state(port->module);
    int64_t every_ns = port->options.power_cycle_ms * 1000000;
    bool waits = !port->powered || state == MODULE_APPLICATION || state == MODULE_DEAD;
    if (!waits || every_ns == 0) {
        port->waiting_since_ns = 0;
        return;
    }
    if (port->waiting_since_ns == 0)
        port->waiting_since_ns = at_ns;
    if (!port->powered || at_ns - port->waiting_since_ns >= every_ns)
        power_cycle(port, port->model_us);
}

static void run_errands(struct module_port *port, int64_t at_ns)
{
    int64_t outage_us;
    if (module_take_vanish(port->module, &outage_us))
        module_port_vanish(port, outage_us / 1000);
    if (!plugged(port) && at_ns >= port->back_ns)
        come_back(port);
    cycle_if_waiting(port, at_ns);
}

static void set_timer(struct module_port *port, int64_t at_ns)
{
    int64_t next_us = module_next_us(port->module);
    int64_t wake_ns = at_ns + (port->host_present ? LOOK_NS : ABSENT_NS);
    if (next_us != INT64_MAX && port->out_length == 0) {
        int64_t event_ns = real_ns(port, next_us);
        if (event_ns < at_ns + SLICE_NS)
            event_ns = at_ns + SLICE_NS;
        if (event_ns < wake_ns)
            wake_ns = event_ns;
    }
    port->due_us = model_time_us(port, wake_ns);
    struct itimerspec timer = {.it_value = {.tv_sec = (time_t)(wake_ns / SECOND_NS),
                                            .tv_nsec = (long)(wake_ns % SECOND_NS)}};
    (void)timerfd_settime(port->timer, TFD_TIMER_ABSTIME, &timer, NULL);
}

static void watch_host(struct module_port *port)
{
    bool wanted =
        plugged(port) && port->host_present && module_backlog(port->module) <= BACKLOG_LOW;
    if (!plugged(port) || wanted == port->reading)
        return;
    port->reading = wanted;
    if (wanted)
        (void)uv_poll_start(port->master_poll, UV_READABLE, on_ready);
    else
        (void)uv_poll_stop(port->master_poll);
}

/* Whatever the host wrote before a late wake-up it wrote in good time: the module must not believe
 * in a silence that was only this process waiting for the processor. So its time goes on from where
 * the timer was due, in steps, reading at each; after a long wait its clock is put back. */
static void turn(struct module_port *port)
{
    int64_t at_ns = now_ns();
    int64_t due_ns = real_ns(port, port->due_us);
    if (port->due_us > 0 && at_ns - due_ns > LATE_MAX_NS)
        port->start_ns += at_ns - due_ns - LATE_MAX_NS;
    int64_t target_us = model_time_us(port, at_ns);
    int64_t at_us = port->due_us < target_us ? port->due_us : target_us;
    if (at_us < port->model_us)
        at_us = port->model_us;
    int64_t stride_us = (int64_t)((double)CATCH_UP_NS / 1000 * port->options.speed);
    for (;;) {
        step(port, at_us);
        if (at_us >= target_us)
            break;
        at_us = target_us - at_us > stride_us ? at_us + stride_us : target_us;
    }
    run_errands(port, at_ns);
    watch_host(port);
    set_timer(port, at_ns);
}

static void on_ready(uv_poll_t *handle, int status, int events)
{
    (void)status;
    (void)events;
    turn(handle->data);
}

static void on_timer(uv_poll_t *handle, int status, int events)
{
    (void)status;
    (void)events;
    struct module_port *port = handle->data;
    uint64_t expirations;
    (void)!read(port->timer, &expirations, sizeof expirations);
    turn(port);
}

/* The caller's side ---------------------------------------------------------------------------- */

static void free_port(uv_handle_t *handle)
{
    struct module_port *port = handle->data;
    (void)close(port->timer);
    free(port->link);
    free(port);
}

enum status module_port_open(uv_loop_t *loop, struct module *module,
                             const struct module_port_options *options, struct module_port **port,
                             struct error *error)
{
    int timer = timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC);
    if (timer < 0)
        return error_set(error, STATUS_FAILED, "No timer could be made: %s.", strerror(errno));
    struct module_port *made = memory_new(1, sizeof *made);
    made->loop = loop;
    made->module = module;
    made->options = *options;
    made->link = options->link != NULL ? memory_copy_text(options->link) : NULL;
    made->options.link = made->link;
    made->pty.master = made->pty.slave = -1;
    made->timer = timer;
    made->start_ns = now_ns();
    enum status status = open_pty(made, error);
    if (status == STATUS_OK)
        status = start_poll(made, error);
    if (status != STATUS_OK) {
        (void)close(timer);
        free(made->link);
        free(made);
        return status;
    }
    int result = uv_poll_init(loop, &made->timer_poll, timer);
    if (result == 0) {
        made->timer_poll.data = made;
        result = uv_poll_start(&made->timer_poll, UV_READABLE, on_timer);
    }
    if (result != 0) {
        close_pty(made);
        made->timer_poll.data = made;
        free_port((uv_handle_t *)&made->timer_poll);
        return error_set(error, STATUS_FAILED, "The timer cannot be watched: %s.",
                         uv_strerror(result));
    }
    turn(made);
    *port = made;
    return STATUS_OK;
}

void module_port_close(struct module_port *port)
{
    if (port == NULL)
        return;
    close_pty(port);
    uv_close((uv_handle_t *)&port->timer_poll, free_port);
}

const char *module_port_tty(const struct module_port *port)
{
    return port->pty.path;
}

int64_t module_port_now_us(const struct module_port *port)
{
    int64_t us = model_time_us(port, now_ns());
    return us > port->model_us ? us : port->model_us;
}

void module_port_power_cycle(struct module_port *port)
{
    power_cycle(port, module_port_now_us(port));
    set_timer(port, now_ns());
}

void module_port_vanish(struct module_port *port, int64_t outage_ms)
{
    if (!plugged(port))
        return;
    log_info(port->options.log, "The adapter is unplugged for %lld ms.", (long long)outage_ms);
    module_unplug(port->module, module_port_now_us(port));
    close_pty(port);
    port->host_present = false;
    port->back_ns = now_ns() + outage_ms * 1000000;
    set_timer(port, now_ns());
}
