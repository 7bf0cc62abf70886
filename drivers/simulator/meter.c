/* SPDX-License-Identifier: MIT */
#include "drivers/simulator/meter.h"

#include "drivers/base/clock.h"
#include "drivers/base/memory.h"
#include "drivers/simulator/dice.h"
#include "drivers/simulator/pty.h"

#include <time.h>
#include <unistd.h>

#define LOAD_STEP_MS 200
#define CHUNK 256
/* Longer than the first averaging window: the chips already measure when a host meets them. */
#define POWERED_BEFORE_US 450000

struct device {
    struct simulator_meter_chip options;
    struct chip *chip;
    bool silent;
};

/* One life of the adapter. A poll handle of libuv is closed later than its meter may be plugged in
 * again, so each has its own. */
struct plug {
    uv_poll_t poll;
    struct pty pty;
};

struct simulator_meter {
    uv_loop_t *loop;
    char *link;
    struct plug *plug; /* NULL while unplugged */
    uv_timer_t due;    /* the next byte of a chip */
    uv_timer_t step;   /* the load */
    int open_timers;
    size_t device_count;
    struct device devices[SIMULATOR_CHIPS_MAX];
    uint64_t dice;
};

static int64_t now_us(void)
{
    return (int64_t)(uv_hrtime() / 1000);
}

/* ---- from the chips to the host ---- */

/* Lines idle high, so where two chips speak at once, zeros win. */
static size_t collide(uint8_t *line, size_t line_length, const uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++)
        line[i] = i < line_length ? line[i] & bytes[i] : bytes[i];
    return length > line_length ? length : line_length;
}

static size_t gather(struct simulator_meter *meter, uint32_t host_baud, uint8_t *line)
{
    size_t line_length = 0;
    for (size_t i = 0; i < meter->device_count; i++) {
        uint8_t bytes[CHUNK];
        struct chip *chip = meter->devices[i].chip;
        size_t length = chip_transmit(chip, now_us(), bytes, sizeof bytes);
        for (size_t k = 0; !chip_same_baud(chip_baud(chip), host_baud) && k < length; k++)
            bytes[k] = (uint8_t)dice_next(&meter->dice);
        line_length = collide(line, line_length, bytes, length);
    }
    return line_length;
}

static void on_due(uv_timer_t *timer);

/* Sets the timer for the earliest event of any chip. */
static void schedule(struct simulator_meter *meter)
{
    int64_t next_us = INT64_MAX;
    for (size_t i = 0; i < meter->device_count; i++) {
        int64_t at_us = chip_next_us(meter->devices[i].chip);
        next_us = at_us < next_us ? at_us : next_us;
    }
    if (next_us == INT64_MAX) {
        (void)uv_timer_stop(&meter->due);
        return;
    }
    int64_t wait_us = next_us - now_us();
    uint64_t wait_ms = wait_us <= 0 ? 0 : (uint64_t)(wait_us + 999) / 1000;
    uv_update_time(meter->loop);
    (void)uv_timer_start(&meter->due, on_due, wait_ms, 0);
}

static void speak(struct simulator_meter *meter)
{
    uint8_t line[CHUNK];
    const struct plug *plug = meter->plug;
    size_t length = gather(meter, plug == NULL ? 0 : pty_host_baud(&plug->pty), line);
    if (length > 0 && plug != NULL) {
        ssize_t written = write(plug->pty.master, line, length);
        (void)written; /* nobody reads and the pty is full: a UART does not wait either */
    }
    schedule(meter);
}

static void on_due(uv_timer_t *timer)
{
    speak(timer->data);
}

/* ---- from the host to the chips ---- */

static void on_readable(uv_poll_t *poll, int status, int events)
{
    (void)events;
    struct simulator_meter *meter = poll->data;
    struct plug *plug = meter->plug;
    uint8_t bytes[CHUNK];
    ssize_t length = status == 0 ? read(plug->pty.master, bytes, sizeof bytes) : -1;
    if (length <= 0)
        return; /* EAGAIN; while we hold the slave there is no hang-up */
    uint32_t baud = pty_host_baud(&plug->pty);
    for (size_t i = 0; i < meter->device_count; i++)
        chip_receive(meter->devices[i].chip, now_us(), baud, bytes, (size_t)length);
    speak(meter);
}

/* ---- load and faults ---- */

/* Looked up each time, so that the evening stays where it is when summer time begins. */
static int64_t local_offset_s(int64_t wall_ms)
{
    time_t now = (time_t)(wall_ms / 1000);
    struct tm local;
    return localtime_r(&now, &local) != NULL ? local.tm_gmtoff : 0;
}

static void apply_load(struct device *device, int64_t at_us)
{
    struct chip_load load;
    int64_t wall_ms = clock_wall_ms();
    device->options.load.utc_offset_s = local_offset_s(wall_ms);
    load_at(&device->options.load, wall_ms, &load);
    chip_set_load(device->chip, at_us, &load);
}

static void on_step(uv_timer_t *timer)
{
    struct simulator_meter *meter = timer->data;
    for (size_t i = 0; i < meter->device_count; i++)
        apply_load(&meter->devices[i], now_us());
}

static void apply_faults(struct device *device)
{
    struct chip_faults faults = device->options.faults;
    if (device->silent)
        faults.silence = 1;
    chip_set_faults(device->chip, &faults);
}

/* ---- the adapter ---- */

static void on_plug_closed(uv_handle_t *handle)
{
    free((struct plug *)handle); /* poll is its first member */
}

void simulator_meter_unplug(struct simulator_meter *meter)
{
    struct plug *plug = meter->plug;
    if (plug == NULL)
        return;
    meter->plug = NULL;
    if (meter->link != NULL)
        pty_unlink(&plug->pty, meter->link);
    uv_close((uv_handle_t *)&plug->poll,
             on_plug_closed); /* stops polling before the fd is closed */
    pty_close(&plug->pty);
}

enum status simulator_meter_plug(struct simulator_meter *meter, struct error *error)
{
    if (meter->plug != NULL)
        return STATUS_OK;
    struct plug *plug = memory_new(1, sizeof *plug);
    enum status status = pty_open(&plug->pty, error);
    if (status == STATUS_OK && meter->link != NULL)
        status = pty_link(&plug->pty, meter->link, error);
    int failed = status == STATUS_OK ? uv_poll_init(meter->loop, &plug->poll, plug->pty.master) : 0;
    if (failed != 0) {
        status = error_set(error, STATUS_FAILED, "The simulated meter cannot be polled: %s.",
                           uv_strerror(failed));
        if (meter->link != NULL)
            pty_unlink(&plug->pty, meter->link);
    }
    if (status != STATUS_OK) {
        pty_close(&plug->pty);
        free(plug);
        return status;
    }
    plug->poll.data = meter;
    meter->plug = plug;
    (void)uv_poll_start(&plug->poll, UV_READABLE, on_readable);
    return STATUS_OK;
}

/* ---- the outside ---- */

enum status simulator_meter_create(uv_loop_t *loop, const struct simulator_meter_options *options,
                                   struct simulator_meter **created, struct error *error)
{
    struct simulator_meter *meter = memory_new(1, sizeof *meter);
    meter->loop = loop;
    meter->link = options->link != NULL ? memory_copy_text(options->link) : NULL;
    enum status status = simulator_meter_plug(meter, error);
    if (status != STATUS_OK) {
        free(meter->link);
        free(meter);
        return status;
    }
    meter->dice = options->chips[0].chip.seed;
    meter->device_count = options->chip_count;
    for (size_t i = 0; i < meter->device_count; i++) {
        struct device *device = &meter->devices[i];
        device->options = options->chips[i];
        int64_t start_us = now_us() - POWERED_BEFORE_US;
        device->chip = chip_create(&device->options.chip, start_us);
        apply_faults(device);
        apply_load(device, start_us);
    }
    (void)uv_timer_init(loop, &meter->due);
    (void)uv_timer_init(loop, &meter->step);
    meter->open_timers = 2;
    meter->due.data = meter->step.data = meter;
    (void)uv_timer_start(&meter->step, on_step, LOAD_STEP_MS, LOAD_STEP_MS);
    *created = meter;
    return STATUS_OK;
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct simulator_meter *meter = handle->data;
    if (--meter->open_timers > 0)
        return;
    for (size_t i = 0; i < meter->device_count; i++)
        chip_free(meter->devices[i].chip);
    free(meter->link);
    free(meter);
}

void simulator_meter_close(struct simulator_meter *meter)
{
    if (meter == NULL)
        return;
    simulator_meter_unplug(meter);
    uv_close((uv_handle_t *)&meter->due, on_timer_closed);
    uv_close((uv_handle_t *)&meter->step, on_timer_closed);
}

const char *simulator_meter_port(const struct simulator_meter *meter)
{
    return meter->plug != NULL ? meter->plug->pty.path : NULL;
}

size_t simulator_meter_chip_count(const struct simulator_meter *meter)
{
    return meter->device_count;
}

unsigned simulator_meter_address(const struct simulator_meter *meter, size_t chip)
{
    return chip_address(meter->devices[chip].chip);
}

void simulator_meter_set_load(struct simulator_meter *meter, size_t chip,
                              const struct load_options *load)
{
    meter->devices[chip].options.load = *load;
    apply_load(&meter->devices[chip], now_us());
}

void simulator_meter_get_load(const struct simulator_meter *meter, size_t chip,
                              struct load_options *load)
{
    *load = meter->devices[chip].options.load;
}

void simulator_meter_set_faults(struct simulator_meter *meter, size_t chip,
                                const struct chip_faults *faults)
{
    meter->devices[chip].options.faults = *faults;
    apply_faults(&meter->devices[chip]);
}

void simulator_meter_get_faults(const struct simulator_meter *meter, size_t chip,
                                struct chip_faults *faults)
{
    *faults = meter->devices[chip].options.faults;
}

void simulator_meter_silence(struct simulator_meter *meter, size_t chip, bool silent)
{
    meter->devices[chip].silent = silent;
    apply_faults(&meter->devices[chip]);
}

void simulator_meter_reset(struct simulator_meter *meter, size_t chip)
{
    chip_reset(meter->devices[chip].chip, now_us());
}

void simulator_meter_set_counter(struct simulator_meter *meter, size_t chip, uint32_t value)
{
    chip_set_counter(meter->devices[chip].chip, now_us(), value);
}

void simulator_meter_truth(struct simulator_meter *meter, size_t chip, struct chip_truth *truth)
{
    chip_truth(meter->devices[chip].chip, now_us(), truth);
}
