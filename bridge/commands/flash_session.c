/* SPDX-License-Identifier: MIT */
#include "bridge/commands/flash_session.h"

#include "bridge/commands/command.h"
#include "drivers/base/clock.h"
#include "drivers/base/file.h"
#include "drivers/base/memory.h"
#include "drivers/beken/backup_file.h"
#include "drivers/beken/bytes.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BAR_WIDTH = 24, BAR_EVERY_MS = 100, SETTLE_MS = 200, ASK_EVERY_MS = 100 };

/* The only thing a signal handler may touch, so it cannot live in the session. */
static volatile sig_atomic_t stop_asked;

struct flash_session {
    const struct flash_command *command;
    struct flasher *flasher;
    FILE *trace;
    enum flash_progress_mode mode;
    struct flasher_step step; /* the latest; its stage is "start" before the first */
    int64_t stage_start_ms;   /* boot clock */
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
    bool ended = step->done == step->total;
    if ((elapsed_ms < SETTLE_MS && !ended) || moved == 0)
        return;
    double rate = (double)moved / (double)(elapsed_ms > 0 ? elapsed_ms : 1); /* kB per second */
    double seconds =
        ended ? (double)elapsed_ms / 1000 : (double)(step->total - step->done) / rate / 1000;
    (void)fprintf(stderr, ended ? "  %.1f kB/s in %d:%02d" : "  %.1f kB/s  %d:%02d left", rate,
                  (int)seconds / 60, (int)seconds % 60);
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
    (void)fprintf(stderr, "\r\033[K%-12s [", step->stage);
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

/* One line of --progress json: the step, and what there is to say. message: NULL = nothing;
 * exit_status: 0 = not the end. */
static void print_line(const struct flash_session *session, const char *message, int exit_status)
{
    const struct flasher_step *step = &session->step;
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

static void on_progress(void *context, const struct flasher_step *step)
{
    struct flash_session *session = context;
    if (strcmp(session->step.stage, step->stage) != 0 || step->done < session->step.done) {
        if (session->bar_shown)
            (void)fputc('\n', stderr);
        session->bar_shown = false;
        session->stage_start_ms = clock_boot_ms();
        session->stage_start_done = step->done;
    }
    session->step = *step;
    if (session->mode == FLASH_PROGRESS_JSON)
        print_line(session, NULL, 0);
    else if (session->mode == FLASH_PROGRESS_BAR)
        draw_bar(session, step);
}

static void on_note(void *context, const char *sentence)
{
    struct flash_session *session = context;
    clear_bar(session);
    if (session->mode == FLASH_PROGRESS_JSON)
        print_line(session, sentence, 0);
    else
        (void)fprintf(stderr, "%s\n", sentence);
}

void flash_session_say(struct flash_session *session, const char *format, ...)
{
    char sentence[ERROR_TEXT_SIZE];
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

static enum status open_trace(const char *path, FILE **trace, struct error *error)
{
    if (path == NULL)
        return STATUS_OK;
    /* What goes over the line may be passwords, so only this user may read it. A device or a pipe is
     * written to as it is; a link to a file may have been planted. */
    struct stat status;
    bool is_node = lstat(path, &status) == 0 && !S_ISREG(status.st_mode);
    if (is_node && stat(path, &status) == 0 && S_ISREG(status.st_mode))
        return error_set(error, STATUS_USAGE,
                         "%s is a symbolic link to a file. Name the file itself for the trace.",
                         path);
    int fd = is_node ? open(path, O_WRONLY | O_NOCTTY | O_CLOEXEC) : file_create(path, 0600);
    *trace = fd >= 0 ? fdopen(fd, "w") : NULL;
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
        flash_session_say(session, "The trace could not be written to its end.");
    session->trace = NULL;
}

struct flash_session *flash_session_create(const struct flash_command *command,
                                           const struct flash_options *options)
{
    struct flash_session *session = memory_new(1, sizeof *session);
    session->command = command;
    session->step.stage = "start";
    session->mode = options->progress;
    if (session->mode == FLASH_PROGRESS_AUTO)
        session->mode = isatty(STDERR_FILENO) != 0 ? FLASH_PROGRESS_BAR : FLASH_PROGRESS_NONE;
    return session;
}

enum status flash_session_open(const struct flash_command *command, struct flash_options *options,
                               struct flash_session **result, struct error *error)
{
    if (*result == NULL)
        *result = flash_session_create(command, options);
    struct flash_session *session = *result;
    enum status status = open_trace(options->trace_path, &session->trace, error);
    if (status == STATUS_OK)
        status = watch_signals(error);
    if (status != STATUS_OK)
        return status;
    /* Nothing is written before flash_session_confirm(). */
    options->flasher.open_guards = options->force_bootloader;
    options->flasher.progress = on_progress;
    options->flasher.link.trace = session->trace;
    options->flasher.link.stop = &stop_asked;
    options->flasher.link.note = on_note;
    options->flasher.link.context = session;
    return flasher_open(&options->flasher, &session->flasher, error);
}

void flash_session_disconnect(struct flash_session *session)
{
    if (session->bar_shown)
        (void)fputc('\n', stderr);
    session->bar_shown = false;
    flasher_close(session->flasher);
    session->flasher = NULL;
    close_trace(session);
}

void flash_session_close(struct flash_session *session)
{
    if (session == NULL)
        return;
    flash_session_disconnect(session);
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
    if (session == NULL || session->mode != FLASH_PROGRESS_JSON)
        return command_fail(command->name, status, error);
    print_line(session, error->text, (int)status);
    return status;
}

/* ------------------------------------------------------------------ the typed confirmation */

struct answer {
    char line[80];
};

/* Looks up now and then, so that Ctrl-C is noticed. */
static void read_answer(void *context)
{
    struct answer *answer = context;
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    int ready = 0;
    while (ready == 0 && stop_asked == 0)
        ready = poll(&input, 1, ASK_EVERY_MS);
    if (ready <= 0 || fgets(answer->line, sizeof answer->line, stdin) == NULL)
        answer->line[0] = '\0';
    answer->line[strcspn(answer->line, "\r\n")] = '\0';
}

static const char *at_stake(const struct beken_module *module, uint32_t address, uint64_t end)
{
    const struct beken_layout *layout = beken_chip_layout(module->chip);
    bool bootloader = address < BEKEN_CODE_ADDRESS;
    bool rf = address < layout->rf_address + BEKEN_SECTOR_SIZE && end > layout->rf_address;
    if (bootloader && layout->guarded_below > 0)
        return rf ? " That covers the bootloader, without which the module is lost to the serial "
                    "line, and the RF calibration with the MAC address, which cannot be made again."
                  : " That covers the bootloader, without which the module is lost to the serial "
                    "line.";
    if (rf)
        return " That covers the RF calibration and the MAC address, which cannot be made again.";
    return bootloader ? " That covers the bootloader." : "";
}

enum status flash_session_confirm(struct flash_session *session, uint32_t address, size_t length,
                                  const char *with, struct error *error)
{
    static const char phrase[] = "overwrite the bootloader";
    const struct beken_module *module = flasher_module(session->flasher);
    uint64_t end = (uint64_t)address + length; /* whole sectors are erased */
    end = (end + BEKEN_SECTOR_SIZE - 1) / BEKEN_SECTOR_SIZE * BEKEN_SECTOR_SIZE;
    char mac[18] = "unknown";
    if (module->has_mac)
        backup_file_format_mac(module->mac, mac);
    flash_session_say(session,
                      "--force-bootloader opens all guards: 0x%06" PRIX32 " to 0x%06" PRIX64
                      " of this %s (MAC %s) will be overwritten with %s.%s Type \"%s\" to go on:",
                      address, end, beken_chip_name(module->chip), mac, with,
                      at_stake(module, address, end), phrase);
    struct answer answer = {""};
    flasher_while(session->flasher, read_answer, &answer);
    if (strcmp(answer.line, phrase) == 0)
        return STATUS_OK;
    return error_set(error, STATUS_REFUSED, "Not confirmed; nothing was changed.");
}

/* ------------------------------------------------------------------ answers and files */

json_t *flash_json_text(const char *text)
{
    return text[0] == '\0' ? json_null() : json_string(text);
}

json_t *flash_json_seconds(int64_t time_us)
{
    int64_t time_ms = (time_us + 500) / 1000; /* more digits would mean nothing */
    return json_real((double)time_ms / 1000);
}

json_t *flash_json_result(const struct flasher *flasher, const struct flasher_result *result)
{
    static const char *const protection[] = {"as-found", "open", "bootloader"};
    json_t *seconds = json_pack(
        "{s:o, s:o, s:o, s:o}", "erase", flash_json_seconds(result->times.erase_us), "write",
        flash_json_seconds(result->times.write_us), "crc", flash_json_seconds(result->times.crc_us),
        "total", flash_json_seconds(result->total_us));
    return json_pack(
        "{s:b, s:s, s:I, s:I, s:I, s:I, s:I, s:s, s:I, s:I, s:I, s:I, s:o}", "verified", 1, "chip",
        beken_chip_name(flasher_module(flasher)->chip), "sectors", (json_int_t)result->sectors,
        "written", (json_int_t)result->written, "blanked", (json_int_t)result->blanked, "equal",
        (json_int_t)result->equal, "guarded", (json_int_t)result->guarded, "protection",
        protection[result->protection], "retries", (json_int_t)result->retries, "reconnects",
        (json_int_t)result->reconnects, "repaired", (json_int_t)result->repaired, "baud",
        (json_int_t)result->baud, "seconds", seconds);
}

void flash_print_result(const char *verb, const struct flasher *flasher,
                        const struct flasher_result *result)
{
    (void)printf("%s %zu %s: %zu written, %zu blanked, %zu right already", verb, result->sectors,
                 COMMAND_PLURAL(result->sectors, "sector", "sectors"), result->written,
                 result->blanked, result->equal);
    if (result->guarded > 0)
        (void)printf(", %zu guarded and left alone", result->guarded);
    (void)printf(" (%.1f s, %" PRIu64 " %s).", (double)result->total_us / 1e6, result->retries,
                 COMMAND_PLURAL(result->retries, "retry", "retries"));
    if (result->protection == FLASHER_PROTECTION_BOOTLOADER &&
        result->written + result->blanked > 0)
        (void)printf(" The %s's bootloader has write-protected the flash in its own way.",
                     beken_chip_name(flasher_module(flasher)->chip));
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

/* A backup that is already there belongs to an interrupted run of this command, or it is in the
 * way. */
static enum status take_old_backup(struct flash_session *session, const char *path, uint8_t **bytes,
                                   struct error *error)
{
    const struct beken_module *module = flasher_module(session->flasher);
    struct backup_facts facts;
    uint8_t *loaded = NULL;
    size_t length = 0;
    enum status status = backup_file_load(path, &loaded, &length, &facts, error);
    if (status == STATUS_OK && (!backup_file_is_of(&facts, module) || length != module->flash_size))
        status = error_set(
            error, STATUS_REFUSED,
            "%s is already there and is no backup of this module; name another file.", path);
    if (status != STATUS_OK) {
        free(loaded);
        return status == STATUS_USAGE ? STATUS_REFUSED : status;
    }
    *bytes = loaded;
    flash_session_say(session, "%s is this module's backup of %s and is kept.", path, facts.time);
    return STATUS_OK;
}

enum status flash_keep_backup(struct flash_session *session, const char *path, uint8_t **bytes,
                              bool *fresh, struct error *error)
{
    *fresh = false;
    if (access(path, F_OK) == 0)
        return take_old_backup(session, path, bytes, error);
    size_t length = 0;
    enum status status = flash_take_backup(session, path, bytes, &length, error);
    *fresh = status == STATUS_OK;
    if (status == STATUS_OK)
        flash_session_say(session, "The flash's old contents are in %s.", path);
    return status;
}
