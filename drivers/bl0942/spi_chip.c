/* SPDX-License-Identifier: MIT */
#include "drivers/bl0942/spi_chip.h"
#include "drivers/base/memory.h"
#include "drivers/bl0942/registers.h"

#include <stdio.h>
#include <string.h>

#define MISSES_UNTIL_OFFLINE 3
#define EVIDENCE_MS                                                                                \
    500 /* from reporting a restart until the settings that show it are overwritten */
#define RETRY_MS 2000

enum availability { UNKNOWN, ONLINE, OFFLINE };

struct bl0942_spi_chip {
    struct bl0942_chip_options options;
    struct bl0942_spi spi;
    struct driver_sink sink;
    char *name;
    struct driver_statistics statistics;
    enum availability availability;
    bool contacted, ours; /* MODE was read as written */
    bool reset_pending;
    int64_t set_up_ms; /* when to write the settings again; 0: they are right */
    unsigned misses;
};

static uint32_t wanted_mode(const struct bl0942_spi_chip *chip)
{
    uint32_t mode =
        BL0942_MODE_RESERVED | BL0942_MODE_CF_EN | BL0942_MODE_RMS_800MS | BL0942_MODE_ABSOLUTE;
    return chip->options.mains_hz == 60 ? mode | BL0942_MODE_60HZ : mode;
}

static int64_t miss(struct bl0942_spi_chip *chip, const char *reason)
{
    chip->statistics.frame_errors++;
    chip->statistics.timeouts++;
    if (++chip->misses >= MISSES_UNTIL_OFFLINE && chip->availability != OFFLINE) {
        chip->availability = OFFLINE;
        chip->sink.availability(chip->sink.context, chip->options.channel, false, reason);
    }
    return chip->misses >= MISSES_UNTIL_OFFLINE ? RETRY_MS : chip->options.interval_ms;
}

/* The settings are the evidence of the restart: it is reported before they are overwritten. */
static void report_restart(struct bl0942_spi_chip *chip, int64_t now_ms)
{
    char text[320];
    bool again = chip->contacted;
    (void)snprintf(
        text, sizeof text,
        "The chip on %s restarted: its MODE register was back at 0x%03X; its settings are "
        "written again.",
        chip->name, BL0942_MODE_DEFAULT);
    chip->reset_pending = true;
    chip->statistics.chip_resets += again;
    chip->set_up_ms = now_ms + EVIDENCE_MS;
    chip->sink.event(chip->sink.context, chip->options.channel,
                     again ? DRIVER_CHIP_RESET : DRIVER_CHIP_BEGAN, text);
}

/* True if the chip is set up and may be read. */
static bool is_ready(struct bl0942_spi_chip *chip, uint32_t mode, int64_t now_ms,
                     enum status *status, struct error *error)
{
    bool power_on = (mode | BL0942_MODE_RESERVED) == BL0942_MODE_DEFAULT;
    *status = STATUS_OK;
    if (mode == wanted_mode(chip)) {
        chip->ours = chip->contacted = true;
        chip->set_up_ms = 0;
        return true;
    }
    if (power_on && chip->set_up_ms == 0 && (chip->ours || !chip->contacted))
        report_restart(chip, now_ms);
    chip->ours = false;
    chip->contacted = true;
    if (now_ms < chip->set_up_ms)
        return false;
    *status = bl0942_spi_set_up(&chip->spi, wanted_mode(chip), chip->options.creep, error);
    chip->set_up_ms = 0;
    return *status == STATUS_OK;
}

static void deliver(struct bl0942_spi_chip *chip, const struct bl0942_packet *packet,
                    int64_t now_ms, int64_t wall_ms)
{
    struct reading reading;
    bl0942_packet_to_reading(packet, &reading);
    reading.boot_ms = now_ms;
    reading.wall_ms = wall_ms;
    if (chip->reset_pending)
        reading.flags |= READING_CHIP_RESET;
    chip->reset_pending = false;
    chip->misses = 0;
    chip->statistics.readings++;
    if (chip->availability != ONLINE) {
        chip->statistics.reconnects += chip->availability == OFFLINE;
        chip->availability = ONLINE;
        chip->sink.availability(chip->sink.context, chip->options.channel, true, "");
    }
    chip->sink.reading(chip->sink.context, chip->options.channel, &reading);
}

int64_t bl0942_spi_chip_poll(struct bl0942_spi_chip *chip, int64_t now_ms, int64_t wall_ms)
{
    struct error error = {""};
    struct bl0942_packet packet;
    uint32_t mode = 0, after = 0;
    enum status status = STATUS_OK;
    if (!chip->contacted) /* nobody knows at which bit it stands */
        status = bl0942_spi_resynchronise(&chip->spi, &error);
    if (status == STATUS_OK)
        status = bl0942_spi_read(&chip->spi, BL0942_MODE, &mode, &error);
    if (status != STATUS_OK)
        return miss(chip, error.text);
    if (!is_ready(chip, mode, now_ms, &status, &error)) {
        if (status != STATUS_OK)
            return miss(chip, error.text);
        return chip->set_up_ms > now_ms ? chip->set_up_ms - now_ms : chip->options.interval_ms;
    }
    status = bl0942_spi_measure(&chip->spi, &packet, &error);
    if (status == STATUS_OK)
        status = bl0942_spi_read(&chip->spi, BL0942_MODE, &after, &error);
    if (status != STATUS_OK)
        return miss(chip, error.text);
    if (after != wanted_mode(chip)) /* it restarted meanwhile: the next poll deals with it */
        return 0;
    deliver(chip, &packet, now_ms, wall_ms);
    return chip->options.interval_ms;
}

struct bl0942_spi_chip *bl0942_spi_chip_create(const struct bl0942_chip_options *options,
                                               const char *name, const struct bl0942_spi *spi,
                                               const struct driver_sink *sink)
{
    struct bl0942_spi_chip *chip = memory_new(1, sizeof *chip);
    chip->options = *options;
    chip->name = memory_copy_text(name);
    chip->spi = *spi;
    chip->sink = *sink;
    return chip;
}

void bl0942_spi_chip_gone(struct bl0942_spi_chip *chip, const char *reason)
{
    chip->misses = MISSES_UNTIL_OFFLINE;
    (void)miss(chip, reason);
}

void bl0942_spi_chip_statistics(const struct bl0942_spi_chip *chip,
                                struct driver_statistics *statistics)
{
    *statistics = chip->statistics;
    statistics->frame_errors += chip->spi.damaged;
}

void bl0942_spi_chip_free(struct bl0942_spi_chip *chip)
{
    if (chip == NULL)
        return;
    free(chip->name);
    free(chip);
}
