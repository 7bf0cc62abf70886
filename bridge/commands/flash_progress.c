/* SPDX-License-Identifier: MIT */
#include "bridge/commands/flash_progress.h"

#include "bridge/options/layout.h"
#include "drivers/base/clock.h"
#include "drivers/base/text.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { BAR_MAX = 24, BAR_MIN = 6, BAR_EVERY_MS = 100, SETTLE_MS = 200, LINE_SIZE = 400 };

/* ---- the bar ---- */

/* The parts behind the bar, in the order in which they stand. */
enum { PART_ADDRESS, PART_RATE, PART_BAUD, PART_RETRIES, PARTS };
struct parts {
    char text[PARTS][40];
};

static void format_rate(const struct flasher_step *step, int64_t elapsed_ms, uint64_t moved,
                        char *buffer, size_t size)
{
    bool ended = step->done == step->total;
    if ((elapsed_ms < SETTLE_MS && !ended) || moved == 0)
        return;
    double rate = (double)moved / (double)(elapsed_ms > 0 ? elapsed_ms : 1); /* kB per second */
    double seconds =
        ended ? (double)elapsed_ms / 1000 : (double)(step->total - step->done) / rate / 1000;
    int minutes = seconds < 60000 ? (int)seconds / 60 : 999;
    (void)snprintf(buffer, size, ended ? "  %.1f kB/s in %d:%02d" : "  %.1f kB/s  %d:%02d left",
                   rate, minutes, (int)seconds % 60);
}

static int room_for_bar(const struct parts *parts, int head, int columns)
{
    int used = head;
    for (size_t i = 0; i < PARTS; i++)
        used += (int)strlen(parts->text[i]);
    return columns - used;
}

void flash_progress_format(const struct flasher_step *step, int64_t elapsed_ms, uint64_t moved,
                           int columns, char *buffer, size_t size)
{
    static const unsigned char given_up[] = {PART_ADDRESS, PART_BAUD, PART_RATE, PART_RETRIES};
    struct parts parts = {{""}};
    struct text text;
    uint64_t total = step->total == 0 ? 1 : step->total;
    if (step->total > 1) {
        (void)snprintf(parts.text[PART_ADDRESS], sizeof parts.text[0], "  0x%06" PRIX32,
                       step->address);
        format_rate(step, elapsed_ms, moved, parts.text[PART_RATE], sizeof parts.text[0]);
        (void)snprintf(parts.text[PART_BAUD], sizeof parts.text[0], "  %" PRIu32 " baud",
                       step->baud);
    }
    if (step->retries > 0)
        (void)snprintf(parts.text[PART_RETRIES], sizeof parts.text[0], "  %" PRIu64 " %s",
                       step->retries, step->retries == 1 ? "retry" : "retries");
    int stage = (int)strlen(step->stage) > 12 ? (int)strlen(step->stage) : 12;
    int head = stage + (int)strlen(" [] 100 %");
    for (size_t i = 0; i < sizeof given_up && room_for_bar(&parts, head, columns) < BAR_MIN; i++)
        parts.text[given_up[i]][0] = '\0';
    int room = room_for_bar(&parts, head, columns);
    int width = room > BAR_MAX ? BAR_MAX : room > 0 ? room : 0;
    int filled = (int)(step->done * (uint64_t)width / total);
    text_init(&text, buffer, size);
    text_append(&text, "%-12s [", step->stage);
    for (int i = 0; i < width; i++)
        text_append(&text, i < filled ? "#" : ".");
    text_append(&text, "] %3d %%", (int)(step->done * 100 / total));
    for (size_t i = 0; i < PARTS; i++)
        text_append(&text, "%s", parts.text[i]);
}

static void draw(struct flash_progress *progress)
{
    char line[LINE_SIZE];
    const struct flasher_step *step = &progress->step;
    int64_t now = clock_boot_ms();
    bool ended = step->done == step->total;
    if (ended && progress->ended)
        return;
    if (!ended && progress->bar_shown && now - progress->drawn_ms < BAR_EVERY_MS)
        return;
    progress->drawn_ms = now;
    /* The last column stays free: some terminals go to the next line behind it. */
    flash_progress_format(step, now - progress->stage_start_ms,
                          step->done - progress->stage_start_done,
                          layout_terminal_width(STDERR_FILENO) - 1, line, sizeof line);
    (void)fprintf(stderr, "\r\033[K%s", line);
    (void)fflush(stderr);
    progress->bar_shown = true;
    progress->ended = ended;
    if (ended)
        flash_progress_end(progress);
}

/* ---- JSON lines ---- */

/* message: NULL for none; exit_status: 0 if this is not the end. */
static void print_line(const struct flash_progress *progress, const char *message, int exit_status)
{
    const struct flasher_step *step = &progress->step;
    json_t *line = json_pack("{s:s, s:I, s:I, s:I, s:I, s:I}", "stage", step->stage, "done",
                             (json_int_t)step->done, "total", (json_int_t)step->total, "address",
                             (json_int_t)step->address, "retries", (json_int_t)step->retries,
                             "baud", (json_int_t)step->baud);
    if (message != NULL)
        (void)json_object_set_new(line, "message", json_string(message));
    if (exit_status != 0)
        (void)json_object_set_new(line, "exit_status", json_integer(exit_status));
    char *text = json_dumps(line, JSON_COMPACT);
    if (text != NULL)
        (void)fprintf(stderr, "%s\n", text);
    free(text);
    json_decref(line);
}

/* ---- what is shown ---- */

void flash_progress_init(struct flash_progress *progress, enum flash_progress_mode mode)
{
    *progress = (struct flash_progress){.mode = mode, .step = {.stage = "start"}};
    if (mode == FLASH_PROGRESS_AUTO)
        progress->mode = isatty(STDERR_FILENO) != 0 ? FLASH_PROGRESS_BAR : FLASH_PROGRESS_NONE;
}

void flash_progress_step(struct flash_progress *progress, const struct flasher_step *step)
{
    if (strcmp(progress->step.stage, step->stage) != 0 || step->done < progress->step.done) {
        flash_progress_end(progress);
        progress->stage_start_ms = clock_boot_ms();
        progress->stage_start_done = step->done;
        progress->ended = false;
    }
    progress->step = *step;
    if (progress->mode == FLASH_PROGRESS_JSON)
        print_line(progress, NULL, 0);
    else if (progress->mode == FLASH_PROGRESS_BAR)
        draw(progress);
}

void flash_progress_note(struct flash_progress *progress, const char *sentence)
{
    if (progress->bar_shown)
        (void)fputs("\r\033[K", stderr);
    progress->bar_shown = false;
    if (progress->mode == FLASH_PROGRESS_JSON)
        print_line(progress, sentence, 0);
    else
        layout_message(stderr, sentence);
}

void flash_progress_end(struct flash_progress *progress)
{
    if (progress->bar_shown)
        (void)fputc('\n', stderr);
    progress->bar_shown = false;
}

bool flash_progress_fail(const struct flash_progress *progress, int exit_status,
                         const char *sentence)
{
    if (progress->mode != FLASH_PROGRESS_JSON)
        return false;
    print_line(progress, sentence, exit_status);
    return true;
}
