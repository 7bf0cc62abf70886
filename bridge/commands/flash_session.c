/* SPDX-License-Identifier: MIT */
#include "bridge/commands/flash_session.h"

#include "bridge/commands/command.h"
#include "drivers/base/clock.h"
#include "drivers/base/memory.h"
#include "drivers/beken/backup_file.h"
#include "drivers/beken/bytes.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

enum { BAR_WIDTH = 24, BAR_EVERY_MS = 100, SETTLE_MS = 500 };

/* The only thing a signal handler may touch, so it cannot live in the session. */
static volatile sig_atomic_t stop_asked;

struct flash_session {
    const struct flash_command *command;
    struct flasher *flasher;
    FILE *trace;
    enum flash_progress_mode mode;
    char stage[16];
    int64_t stage_start_ms; /* boot clock */
    uint64_t stage_start_done;
    int64_t drawn_ms;
    bool bar_shown;
};

/* ------------------------------------------------------------------ progress */

static void clear_bar(struct flash_session *session)
{
    if (!session->bar_shown)
        return;
    (void)fputs("\r\033[K", stderr);
    session->bar_shown = false;
}

static void draw_rate(const struct flash_session *session, const struct flasher_step *step,
                      int64_t now)
{
    int64_t elapsed_ms = now - session->stage_start_ms;
    uint64_t moved = step->done - session->stage_start_done;
    if (elapsed_ms < SETTLE_MS || moved == 0)
        return;
    double rate = (double)moved / (double)elapsed_ms; /* kB per second */
    double left_s = (double)(step->total - step->done) / rate / 1000;
    (void)fprintf(stderr, "  %.1f kB/s  %d:%02d left", rate, (int)left_s / 60, (int)left_s % 60);
}

static void draw_bar(struct flash_session *session, const struct flasher_step *step)
{
    int64_t now = clock_boot_ms();
    bool ended = step->done == step->total;
    if (!ended && session->bar_shown && now - session->drawn_ms < BAR_EVERY_MS)
        return;
    session->drawn_ms = now;
    uint64_t total = step->total == 0 ? 1 : step->total;
    int filled = (int)(step->done * BAR_WIDTH / total);
    (void)fprintf(stderr, "\r\033[K%-9s [", step->stage);
    for (int i = 0; i < BAR_WIDTH; i++)
        (void)fputc(i < filled ? '#' : '.', stderr);
    (void)fprintf(stderr, "] %3d %%", (int)(step->done * 100 / total));
    if (step->total > 1) {
        (void)fprintf(stderr, "  0x%06" PRIX32, step->address);
        draw_rate(session, step, now);
        (void)fprintf(stderr, "  %" PRIu32 " baud", step->baud);
    }
    if (step->retries > 0)
        (void)fprintf(stderr, "  %" PRIu64 " %s", step->retries,
                      step->retries == 1 ? "retry" : "retries");
    (void)fflush(stderr);
    session->bar_shown = true;
}

static void print_step(const struct flasher_step *step)
{
    (void)fprintf(stderr,
                  "{\"stage\":\"%s\",\"done\":%" PRIu64 ",\"total\":%" PRIu64
                  ",\"address\":%" PRIu32 ",\"retries\":%" PRIu64 ",\"baud\":%" PRIu32 "}\n",
                  step->stage, step->done, step->total, step->address, step->retries, step->baud);
}

static void on_progress(void *context, const struct flasher_step *step)
{
    struct flash_session *session = context;
    if (strcmp(session->stage, step->stage) != 0 || step->done < session->stage_start_done) {
        if (session->bar_shown)
            (void)fputc('\n', stderr);
        session->bar_shown = false;
        (void)snprintf(session->stage, sizeof session->stage, "%s", step->stage);
        session->stage_start_ms = clock_boot_ms();
        session->stage_start_done = step->done;
    }
    if (session->mode == FLASH_PROGRESS_JSON)
        print_step(step);
    else if (session->mode == FLASH_PROGRESS_BAR)
        draw_bar(session, step);
}

static void on_note(void *context, const char *sentence)
{
    struct flash_session *session = context;
    clear_bar(session);
    if (session->mode != FLASH_PROGRESS_JSON) {
        (void)fprintf(stderr, "%s\n", sentence);
        return;
    }
    json_t *line = json_pack("{s:s}", "message", sentence);
    if (line != NULL && json_dumpf(line, stderr, JSON_COMPACT) == 0)
        (void)fputc('\n', stderr);
    json_decref(line);
}

void flash_session_say(struct flash_session *session, const char *format, ...)
{
    char sentence[600];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(sentence, sizeof sentence, format, arguments);
    va_end(arguments);
    on_note(session, sentence);
}

/* ------------------------------------------------------------------ the session */

static void on_signal(int number)
{
    (void)number;
    stop_asked = 1;
}

static enum status watch_signals(struct error *error)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
    (void)sigemptyset(&action.sa_mask);
    if (sigaction(SIGINT, &action, NULL) == 0 && sigaction(SIGTERM, &action, NULL) == 0)
        return STATUS_OK;
    return error_set(error, STATUS_FAILED, "Signals cannot be caught: %s.", strerror(errno));
}

static enum status confirm_guards(struct error *error)
{
    static const char phrase[] = "overwrite the bootloader";
    char line[80] = "";
    (void)fprintf(
        stderr,
        "This opens all guards: bootloader, RF calibration, wrong chip. A mistake can make the "
        "module useless for ever.\nType \"%s\" to go on: ",
        phrase);
    (void)fflush(stderr);
    if (fgets(line, sizeof line, stdin) == NULL)
        line[0] = '\0';
    line[strcspn(line, "\n")] = '\0';
    if (strcmp(line, phrase) == 0)
        return STATUS_OK;
    return error_set(error, STATUS_REFUSED, "Not confirmed; nothing was done.");
}

static enum status open_trace(const char *path, FILE **trace, struct error *error)
{
    if (path == NULL)
        return STATUS_OK;
    *trace = fopen(path, "we");
    if (*trace == NULL)
        return error_set(error, STATUS_USAGE, "%s cannot be written: %s.", path, strerror(errno));
    return STATUS_OK;
}

static void close_trace(struct flash_session *session)
{
    if (session->trace == NULL)
        return;
    bool failed = ferror(session->trace) != 0;
    if (fclose(session->trace) != 0 || failed)
        (void)fprintf(stderr, "bl2mqtt %s: The trace could not be written to its end.\n",
                      session->command->name);
}

enum status flash_session_open(const struct flash_command *command, struct flash_options *options,
                               struct flash_session **result, struct error *error)
{
    struct flash_session *session = memory_new(1, sizeof *session);
    session->command = command;
    session->mode = options->progress;
    if (session->mode == FLASH_PROGRESS_AUTO)
        session->mode = isatty(STDERR_FILENO) != 0 ? FLASH_PROGRESS_BAR : FLASH_PROGRESS_NONE;
    enum status status = options->force_bootloader ? confirm_guards(error) : STATUS_OK;
    if (status == STATUS_OK)
        status = open_trace(options->trace_path, &session->trace, error);
    if (status == STATUS_OK)
        status = watch_signals(error);
    if (status == STATUS_OK) {
        options->flasher.open_guards = options->force_bootloader;
        options->flasher.progress = on_progress;
        options->flasher.link.trace = session->trace;
        options->flasher.link.stop = &stop_asked;
        options->flasher.link.note = on_note;
        options->flasher.link.context = session;
        status = flasher_open(&options->flasher, &session->flasher, error);
    }
    if (status != STATUS_OK) {
        flash_session_close(session);
        return status;
    }
    *result = session;
    return STATUS_OK;
}

void flash_session_close(struct flash_session *session)
{
    if (session == NULL)
        return;
    if (session->bar_shown)
        (void)fputc('\n', stderr);
    flasher_close(session->flasher);
    close_trace(session);
    free(session);
}

struct flasher *flash_session_flasher(struct flash_session *session)
{
    return session->flasher;
}

bool flash_session_stopped(const struct flash_session *session)
{
    (void)session;
    return stop_asked != 0;
}

enum status flash_fail(const struct flash_command *command, const struct flash_session *session,
                       enum status status, struct error *error)
{
    if (session != NULL && session->bar_shown)
        (void)fputc('\n', stderr);
    return command_fail(command->name, status, error);
}

/* ------------------------------------------------------------------ answers and files */

json_t *flash_json_text(const char *text)
{
    return text[0] == '\0' ? json_null() : json_string(text);
}

enum status flash_load_image(const char *path, uint8_t **bytes, size_t *length,
                             struct image_info *info, struct error *error)
{
    enum status status = backup_file_read(path, bytes, length, error);
    if (status != STATUS_OK)
        return status;
    image_examine(*bytes, *length, info);
    if (info->rotated)
        image_unrotate(*bytes, *length);
    return STATUS_OK;
}

/* ------------------------------------------------------------------ backup */

struct saving {
    const char *path;
    const uint8_t *bytes;
    size_t length;
    const struct beken_module *module;
    enum status status;
    struct error *error;
};

static void save(void *context)
{
    struct saving *saving = context;
    saving->status = backup_file_save(saving->path, saving->bytes, saving->length, saving->module,
                                      clock_wall_ms(), saving->error);
}

/* Nothing but FF is an empty flash; nothing but 00 is hardly anything but wires. */
static enum status check_backup(const struct flash_session *session, const uint8_t *bytes,
                                size_t length, struct error *error)
{
    bool can_do_without = (session->command->accepts & FLASH_ACCEPTS_BACKUP) != 0;
    if (bytes_are_all(bytes, length, 0xFF))
        return error_set(error, STATUS_REFUSED,
                         "The whole flash reads as FF: it is empty, so there is nothing to back "
                         "up%s.",
                         can_do_without ? "; say --no-backup" : "");
    if (bytes_are_all(bytes, length, 0))
        return error_set(
            error, STATUS_REFUSED,
            "The whole flash reads as 00, which is no backup of anything: most likely it cannot "
            "be read. Disconnect what is on P20 to P24, or hold P24 low while the module is reset, "
            "and try again.");
    return STATUS_OK;
}

enum status flash_take_backup(struct flash_session *session, const char *path, uint8_t **bytes,
                              size_t *length, struct error *error)
{
    enum status status = backup_file_check(path, error);
    if (status == STATUS_OK && flasher_check_flash(session->flasher, error) != STATUS_OK)
        status = STATUS_REFUSED; /* what would be kept is not what is in the flash */
    if (status != STATUS_OK)
        return status;
    const struct beken_module *module = flasher_module(session->flasher);
    size_t size = module->flash_size;
    uint8_t *flash = memory_new(size, 1);
    status = flasher_read(session->flasher, 0, flash, size, error);
    if (status == STATUS_OK)
        status = check_backup(session, flash, size, error);
    if (status == STATUS_OK) {
        struct saving saving = {path, flash, size, module, STATUS_FAILED, error};
        flasher_while(session->flasher, save, &saving);
        status = saving.status;
    }
    if (status != STATUS_OK) {
        free(flash);
        return status;
    }
    *bytes = flash;
    *length = size;
    return STATUS_OK;
}
