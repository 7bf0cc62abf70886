/* SPDX-License-Identifier: MIT */
#include "drivers/bl0942/spi_line.h"

#include "drivers/base/clock.h"
#include "drivers/base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/spi/spidev.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define PREFIX "spi:"
#define SPEED_HZ 800000 /* 900 kHz were seen to damage half of the answers */
#define RETRY_MS 5000

struct bl0942_spi_line {
    uv_loop_t *loop;
    struct log *log;
    char *path;
    int fd; /* -1: not open */
    struct bl0942_spi_chip *chip;
    uv_timer_t timer;
    bool complained;
};

bool bl0942_is_spi(const char *port)
{
    return strncmp(port, PREFIX, sizeof PREFIX - 1) == 0;
}

static enum status transfer(void *context, const uint8_t out[BL0942_SPI_FRAME],
                            uint8_t in[BL0942_SPI_FRAME], struct error *error)
{
    const struct bl0942_spi_line *line = context;
    const struct spi_ioc_transfer exchange = {
        .tx_buf = (uintptr_t)out,
        .rx_buf = (uintptr_t)in,
        .len = BL0942_SPI_FRAME,
        .speed_hz = SPEED_HZ,
        .bits_per_word = 8,
    };
    if (ioctl(line->fd, SPI_IOC_MESSAGE(1), &exchange) == BL0942_SPI_FRAME)
        return STATUS_OK;
    return error_set(error, STATUS_FAILED, "%s: an exchange failed (%s).", line->path,
                     strerror(errno));
}

static enum status open_bus(struct bl0942_spi_line *line, struct error *error)
{
    uint8_t mode = SPI_MODE_1;
    line->fd = open(line->path, O_RDWR | O_CLOEXEC);
    if (line->fd >= 0 && ioctl(line->fd, SPI_IOC_WR_MODE, &mode) == 0)
        return STATUS_OK;
    enum status status = error_set(
        error, STATUS_NO_ANSWER,
        "%s cannot be used as an SPI bus (%s); is SPI switched on, and may this user open it?",
        line->path, strerror(errno));
    if (line->fd >= 0)
        (void)close(line->fd);
    line->fd = -1;
    return status;
}

static void on_timer(uv_timer_t *timer)
{
    struct bl0942_spi_line *line = timer->data;
    struct error error = {""};
    int64_t wait_ms = RETRY_MS;
    if (line->fd < 0 && open_bus(line, &error) != STATUS_OK) {
        if (!line->complained)
            log_warning(line->log, "%s", error.text);
        line->complained = true;
        bl0942_spi_chip_gone(line->chip, error.text);
    } else {
        line->complained = false;
        wait_ms = bl0942_spi_chip_poll(line->chip, clock_boot_ms(), clock_wall_ms());
    }
    uv_update_time(line->loop);
    (void)uv_timer_start(&line->timer, on_timer, (uint64_t)wait_ms, 0);
}

struct bl0942_spi_line *bl0942_spi_line_create(uv_loop_t *loop, const char *port,
                                               const struct bl0942_chip_options *options,
                                               const struct driver_sink *sink, struct log *log)
{
    struct bl0942_spi_line *line = memory_new(1, sizeof *line);
    const struct bl0942_spi spi = {.context = line, .transfer = transfer};
    line->loop = loop;
    line->log = log;
    line->path = memory_copy_text(port + sizeof PREFIX - 1);
    line->fd = -1;
    line->chip = bl0942_spi_chip_create(options, port, &spi, sink);
    (void)uv_timer_init(loop, &line->timer); /* never fails */
    line->timer.data = line;
    (void)uv_timer_start(&line->timer, on_timer, 0, 0);
    return line;
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct bl0942_spi_line *line = handle->data;
    bl0942_spi_chip_free(line->chip);
    free(line->path);
    free(line);
}

void bl0942_spi_line_close(struct bl0942_spi_line *line)
{
    if (line == NULL)
        return;
    if (line->fd >= 0)
        (void)close(line->fd);
    line->fd = -1;
    uv_close((uv_handle_t *)&line->timer, on_timer_closed);
}

void bl0942_spi_line_statistics(const struct bl0942_spi_line *line,
                                struct driver_statistics *statistics)
{
    bl0942_spi_chip_statistics(line->chip, statistics);
}
