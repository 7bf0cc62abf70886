/* SPDX-License-Identifier: MIT */
/* `bl2mqtt simulate module`: a simulated BK7231 module on a pseudo terminal, for people to try the
 * flasher without a module to lose and for tests to break. See bl2mqtt-simulate-module(1). */
#include "bridge/commands/command.h"

#include "drivers/base/log.h"
#include "drivers/base/memory.h"
#include "drivers/base/number.h"
#include "drivers/simulator/module_contents.h"
#include "drivers/simulator/module_port.h"
#include "drivers/simulator/module_stats.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <jansson.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#define NAME "simulate module"
#define STATS_INTERVAL_MS 1000
#define CONTROL_LINE_SIZE 4096
#define FLASH_SIZE_MIN 0x200000
#define FLASH_SIZE_MAX 0x1000000
#define VAULT_ADDRESS 0x1EE000U
#define VAULT_SIZE_MAX 0x12000U

/* ---- what was asked for ---- */

struct wishes {
    struct module_options module;
    struct module_contents_options contents;
    struct module_port_options port;
    struct module_faults faults;
    const char *flash_path, *vault_path, *stats_path; /* NULL: none */
    bool control, json;
};

static void print_help(const struct module_faults *faults)
{
    (void)printf(
        "Usage: bl2mqtt simulate module [OPTION...]\n\n"
        "A simulated BK7231 module with a USB adapter on a pseudo terminal. Prints its path and\n"
        "runs until Ctrl-C.\n\n"
        "  --chip CHIP            BK7231N (default), BK7231T or BK7231M\n"
        "  --link PATH            also make a symbolic link to the pseudo terminal\n"
        "  --flash FILE           the flash's contents, if FILE exists, and stored there at the "
        "end\n"
        "  --contents KIND        without them: vendor (default), openbeken or blank\n"
        "  --vault FILE           the vendor's settings, put where they belong\n"
        "  --flash-size BYTES     2 MiB (default) to 16 MiB\n"
        "  --status N             the flash's status registers at power-on (default 0x7C)\n"
        "  --boot-version TEXT    what a BK7231T answers (default BK7231S_1.0.5)\n"
        "  --unknown-bootloader   one whose checksum no tool knows\n"
        "  --seed N               of contents and faults\n"
        "  --fault NAME=VALUE     turn a knob, see below; repeatable\n"
        "  --speed X              module and line are X times as fast\n"
        "  --reset-every S        unless linked, power-cycle every S seconds (default 2; 0: "
        "never)\n"
        "  --power-cycle-on-open  power-cycle whenever the port is opened\n"
        "  --control -            take commands from standard input, one a line; ends with it:\n"
        "                         power-cycle, unplug SECONDS, fault NAME VALUE, stats, dump "
        "FILE,\n"
        "                         quit\n"
        "  --stats FILE           write what happened there every second and at the end\n"
        "  --json                 print port, link and chip as one JSON document\n"
        "  --help                 this text\n\n"
        "Faults, with their values for this chip:\n");
    const char *name;
    const char *help;
    double value;
    for (size_t i = 0; module_fault_describe(i, faults, &name, &value, &help); i++)
        (void)printf("  %-20s %8.7g  %s\n", name, value, help);
}

static enum status usage(const char *option, const char *value, const char *wanted)
{
    (void)fprintf(stderr, "bl2mqtt " NAME ": --%s %s: give %s.\n", option, value, wanted);
    return STATUS_USAGE;
}

static enum status fail(enum status status, const struct error *error)
{
    return command_fail(NAME, status, error);
}

/* Decimal, or hexadecimal with 0x. */
static bool parse_whole(const char *text, int64_t low, int64_t high, int64_t *value)
{
    if (strncmp(text, "0x", 2) != 0)
        return number_parse_int(text, strlen(text), low, high, value);
    int64_t number = 0;
    size_t length = strlen(text);
    if (length < 3 || length > 10)
        return false;
    for (const char *at = text + 2; *at != '\0'; at++) {
        static const char digits[] = "0123456789abcdefABCDEF";
        const char *digit = strchr(digits, *at);
        if (digit == NULL)
            return false;
        int64_t worth = digit - digits;
        number = number * 16 + (worth < 16 ? worth : worth - 6);
    }
    *value = number;
    return number >= low && number <= high;
}

static enum status parse_fault(struct wishes *wishes, const char *text)
{
    const char *equals = strchr(text, '=');
    if (equals == NULL || equals - text >= 64)
        return usage("fault", text, "a knob's name (see --help), \"=\" and a number");
    char name[64];
    memcpy(name, text, (size_t)(equals - text));
    name[equals - text] = '\0';
    struct error error = {""};
    enum status status = module_fault_set(&wishes->faults, name, equals + 1, &error);
    return status == STATUS_OK ? STATUS_OK : fail(status, &error);
}

enum option_key {
    OPTION_CHIP = 1000,
    OPTION_LINK,
    OPTION_FLASH,
    OPTION_CONTENTS,
    OPTION_VAULT,
    OPTION_FLASH_SIZE,
    OPTION_STATUS,
    OPTION_BOOT_VERSION,
    OPTION_UNKNOWN_BOOTLOADER,
    OPTION_SEED,
    OPTION_FAULT,
    OPTION_SPEED,
    OPTION_RESET_EVERY,
    OPTION_POWER_CYCLE_ON_OPEN,
    OPTION_CONTROL,
    OPTION_STATS,
    OPTION_JSON,
    OPTION_HELP,
};

static const struct option option_table[] = {
    {"chip", required_argument, NULL, OPTION_CHIP},
    {"link", required_argument, NULL, OPTION_LINK},
    {"flash", required_argument, NULL, OPTION_FLASH},
    {"contents", required_argument, NULL, OPTION_CONTENTS},
    {"vault", required_argument, NULL, OPTION_VAULT},
    {"flash-size", required_argument, NULL, OPTION_FLASH_SIZE},
    {"status", required_argument, NULL, OPTION_STATUS},
    {"boot-version", required_argument, NULL, OPTION_BOOT_VERSION},
    {"unknown-bootloader", no_argument, NULL, OPTION_UNKNOWN_BOOTLOADER},
    {"seed", required_argument, NULL, OPTION_SEED},
    {"fault", required_argument, NULL, OPTION_FAULT},
    {"speed", required_argument, NULL, OPTION_SPEED},
    {"reset-every", required_argument, NULL, OPTION_RESET_EVERY},
    {"power-cycle-on-open", no_argument, NULL, OPTION_POWER_CYCLE_ON_OPEN},
    {"control", required_argument, NULL, OPTION_CONTROL},
    {"stats", required_argument, NULL, OPTION_STATS},
    {"json", no_argument, NULL, OPTION_JSON},
    {"help", no_argument, NULL, OPTION_HELP},
    {NULL, 0, NULL, 0},
};

/* Options about the module itself. --chip was taken in a scan of its own: the faults' defaults hang
 * on it. */
static enum status take_module_option(struct wishes *wishes, int key, const char *value)
{
    int64_t number = 0;
    switch (key) {
    case OPTION_FLASH_SIZE:
        if (!parse_whole(value, FLASH_SIZE_MIN, FLASH_SIZE_MAX, &number) || number % NOR_BLOCK != 0)
            return usage("flash-size", value, "a multiple of 65536 from 2097152 to 16777216");
        wishes->module.flash_size = (uint32_t)number;
        return STATUS_OK;
    case OPTION_STATUS:
        if (!parse_whole(value, 0, 0xFFFFFF, &number))
            return usage("status", value, "a number from 0 to 0xFFFFFF");
        wishes->module.status = (uint32_t)number;
        return STATUS_OK;
    case OPTION_BOOT_VERSION:
        if (strlen(value) > 16)
            return usage("boot-version", value, "at most 16 characters");
        wishes->module.boot_version = value;
        return STATUS_OK;
    case OPTION_UNKNOWN_BOOTLOADER:
        wishes->contents.unknown_bootloader = true;
        return STATUS_OK;
    case OPTION_CONTENTS:
        return module_contents_parse(value, &wishes->contents.kind)
                   ? STATUS_OK
                   : usage("contents", value, "vendor, openbeken or blank");
    case OPTION_SEED:
        if (!parse_whole(value, 0, INT64_MAX, &number))
            return usage("seed", value, "a whole number");
        wishes->module.seed = wishes->contents.seed = (uint64_t)number;
        return STATUS_OK;
    case OPTION_FAULT:
        return parse_fault(wishes, value);
    default:
        return STATUS_OK;
    }
}

static enum status take_option(struct wishes *wishes, int key, const char *value)
{
    double seconds = 0;
    switch (key) {
    case OPTION_LINK:
        wishes->port.link = value;
        return STATUS_OK;
    case OPTION_FLASH:
        wishes->flash_path = value;
        return STATUS_OK;
    case OPTION_VAULT:
        wishes->vault_path = value;
        return STATUS_OK;
    case OPTION_SPEED:
        return number_parse_double(value, strlen(value), 0.1, 1000, &wishes->port.speed)
                   ? STATUS_OK
                   : usage("speed", value, "a factor from 0.1 to 1000");
    case OPTION_RESET_EVERY:
        if (!number_parse_double(value, strlen(value), 0, 86400, &seconds))
            return usage("reset-every", value, "seconds from 0 to 86400");
        wishes->port.power_cycle_ms = (int64_t)(seconds * 1000);
        return STATUS_OK;
    case OPTION_POWER_CYCLE_ON_OPEN:
        wishes->port.power_cycle_on_open = true;
        return STATUS_OK;
    case OPTION_CONTROL:
        wishes->control = true;
        return strcmp(value, "-") == 0 ? STATUS_OK
                                       : usage("control", value, "\"-\" (standard input)");
    case OPTION_STATS:
        wishes->stats_path = value;
        return STATUS_OK;
    case OPTION_JSON:
        wishes->json = true;
        return STATUS_OK;
    default:
        return take_module_option(wishes, key, value);
    }
}

static enum status find_chip(int argc, char **argv, struct wishes *wishes)
{
    int key;
    opterr = 0;
    while ((key = getopt_long(argc, argv, "", option_table, NULL)) != -1) {
        if (key == OPTION_CHIP && !module_chip_parse(optarg, &wishes->module.chip))
            return usage("chip", optarg, "BK7231N, BK7231T or BK7231M");
    }
    opterr = 1;
    optind = 0; /* glibc: start a new scan */
    wishes->contents.chip = wishes->module.chip;
    module_faults_default(wishes->module.chip, &wishes->faults);
    return STATUS_OK;
}

/* *done: --help was asked for and given. */
static enum status parse_arguments(int argc, char **argv, struct wishes *wishes, bool *done)
{
    enum status status = find_chip(argc, argv, wishes);
    int key;
    while (status == STATUS_OK && (key = getopt_long(argc, argv, "", option_table, NULL)) != -1) {
        if (key == OPTION_HELP) {
            print_help(&wishes->faults);
            *done = true;
            return STATUS_OK;
        }
        if (key == '?') {
            (void)fprintf(stderr, "Try `bl2mqtt " NAME " --help`.\n");
            return STATUS_USAGE;
        }
        status = take_option(wishes, key, optarg);
    }
    if (status == STATUS_OK && optind < argc) {
        (void)fprintf(stderr, "bl2mqtt " NAME ": \"%s\" is no option; try --help.\n", argv[optind]);
        return STATUS_USAGE;
    }
    wishes->module.window_scale = wishes->port.speed;
    return status;
}

/* ---- files ---- */

/* *length is 0 and *missing true if there is no such file. */
static enum status read_file(const char *path, uint8_t *bytes, size_t size, size_t *length,
                             bool *missing, struct error *error)
{
    *length = 0;
    FILE *file = fopen(path, "rbe");
    *missing = file == NULL && errno == ENOENT;
    if (*missing)
        return STATUS_OK;
    if (file == NULL)
        return error_set(error, STATUS_FAILED, "%s cannot be opened: %s.", path, strerror(errno));
    *length = fread(bytes, 1, size, file);
    bool failed = ferror(file) != 0;
    bool more = !failed && fgetc(file) != EOF;
    (void)fclose(file);
    if (failed)
        return error_set(error, STATUS_FAILED, "%s cannot be read.", path);
    if (more)
        return error_set(error, STATUS_USAGE, "%s has more than the %zu bytes there is room for.",
                         path, size);
    return STATUS_OK;
}

/* Whole or not at all. */
static enum status write_file(const char *path, const void *bytes, size_t length,
                              struct error *error)
{
    char temporary[PATH_MAX];
    int named = snprintf(temporary, sizeof temporary, "%s.%ld", path, (long)getpid());
    if (named < 0 || (size_t)named >= sizeof temporary)
        return error_set(error, STATUS_FAILED, "The name %s is too long.", path);
    FILE *file = fopen(temporary, "wbe");
    bool written = file != NULL && fwrite(bytes, 1, length, file) == length;
    int reason = errno;
    if (file != NULL && fclose(file) != 0) {
        written = false;
        reason = errno;
    }
    if (written && rename(temporary, path) == 0)
        return STATUS_OK;
    if (written)
        reason = errno;
    if (file != NULL)
        (void)unlink(temporary);
    return error_set(error, STATUS_FAILED, "%s cannot be written: %s.", path, strerror(reason));
}

static enum status make_contents(const struct wishes *wishes, uint8_t *flash, size_t size,
                                 struct error *error)
{
    module_contents_fill(&wishes->contents, flash, size);
    enum status status = STATUS_OK;
    size_t length = 0;
    bool missing = true;
    if (wishes->flash_path != NULL) {
        uint8_t *stored memory_auto = memory_new(size, 1);
        status = read_file(wishes->flash_path, stored, size, &length, &missing, error);
        if (status == STATUS_OK && !missing) {
            memset(flash, 0xFF, size);
            memcpy(flash, stored, length);
        }
    }
    if (status != STATUS_OK || wishes->vault_path == NULL)
        return status;
    status = read_file(wishes->vault_path, flash + VAULT_ADDRESS, VAULT_SIZE_MAX, &length, &missing,
                       error);
    if (status == STATUS_OK && missing)
        return error_set(error, STATUS_FAILED, "There is no file %s.", wishes->vault_path);
    return status;
}

/* ---- running ---- */

struct session {
    uv_loop_t loop;
    uv_signal_t interrupt, terminate;
    uv_timer_t stats_timer;
    uv_poll_t control;
    const struct wishes *wishes;
    struct log *log;
    struct module *module;
    struct module_port *port;
    char line[CONTROL_LINE_SIZE];
    size_t line_length;
    bool line_too_long;
    bool stopping;
    enum status status;
};

static void stop(struct session *session)
{
    session->stopping = true;
    uv_stop(&session->loop);
}

static void on_signal(uv_signal_t *signal, int number)
{
    (void)number;
    stop(signal->data);
}

static void print_document(struct session *session, json_t *document)
{
    int failed = json_dumpf(document, stdout, JSON_COMPACT);
    json_decref(document);
    if (failed == 0 && putchar('\n') != EOF && fflush(stdout) == 0)
        return;
    (void)fprintf(stderr, "bl2mqtt " NAME ": Standard output cannot be written; stopping.\n");
    session->status = STATUS_FAILED;
    stop(session);
}

static enum status write_stats(struct session *session, struct error *error)
{
    if (session->wishes->stats_path == NULL)
        return STATUS_OK;
    json_t *document = module_stats(session->module);
    char *text memory_auto = json_dumps(document, JSON_INDENT(2));
    json_decref(document);
    if (text == NULL)
        return error_set(error, STATUS_FAILED, "The statistics cannot be put into words.");
    return write_file(session->wishes->stats_path, text, strlen(text), error);
}

static enum status store_flash(struct session *session, const char *path, struct error *error)
{
    struct nor *nor = module_flash(session->module);
    return write_file(path, nor_cells(nor), nor_size(nor), error);
}

static void on_stats_timer(uv_timer_t *timer)
{
    struct session *session = timer->data;
    struct error error = {""};
    if (write_stats(session, &error) != STATUS_OK)
        (void)fail(STATUS_FAILED, &error);
}

/* ---- commands on standard input ---- */

static json_t *done_or_not(enum status status, const struct error *error)
{
    if (status == STATUS_OK)
        return json_pack("{s:b}", "ok", 1);
    return json_pack("{s:b, s:s}", "ok", 0, "error", error->text);
}

static enum status do_fault(struct session *session, char *argument, struct error *error)
{
    char *value = argument;
    const char *name = strsep(&value, " ");
    if (value == NULL)
        return error_set(error, STATUS_USAGE, "Say: fault NAME VALUE.");
    struct module_faults faults;
    module_get_faults(session->module, &faults);
    enum status status = module_fault_set(&faults, name, value, error);
    if (status == STATUS_OK)
        module_set_faults(session->module, module_port_now_us(session->port), &faults);
    return status;
}

static enum status do_unplug(struct session *session, const char *argument, struct error *error)
{
    double seconds;
    if (!number_parse_double(argument, strlen(argument), 0.01, 3600, &seconds))
        return error_set(error, STATUS_USAGE, "Say: unplug SECONDS.");
    module_port_vanish(session->port, (int64_t)(seconds * 1000));
    return STATUS_OK;
}

static void obey(struct session *session, char *line)
{
    struct error error = {""};
    enum status status = STATUS_OK;
    char *argument = line;
    const char *verb = strsep(&argument, " ");
    if (*verb == '\0')
        return;
    if (strcmp(verb, "stats") == 0) {
        print_document(session, module_stats(session->module));
        return;
    }
    if (strcmp(verb, "power-cycle") == 0)
        module_port_power_cycle(session->port);
    else if (strcmp(verb, "quit") == 0)
        stop(session);
    else if (strcmp(verb, "fault") == 0 && argument != NULL)
        status = do_fault(session, argument, &error);
    else if (strcmp(verb, "unplug") == 0 && argument != NULL)
        status = do_unplug(session, argument, &error);
    else if (strcmp(verb, "dump") == 0 && argument != NULL && *argument != '\0')
        status = store_flash(session, argument, &error);
    else
        status = error_set(&error, STATUS_USAGE,
                           "Not understood. Say power-cycle, unplug SECONDS, fault NAME VALUE, "
                           "stats, dump FILE or quit.");
    print_document(session, done_or_not(status, &error));
}

static void take_character(struct session *session, char c)
{
    if (c != '\n') {
        if (session->line_length < sizeof session->line - 1)
            session->line[session->line_length++] = c != '\0' ? c : '?';
        else
            session->line_too_long = true;
        return;
    }
    session->line[session->line_length] = '\0';
    struct error error = {""};
    if (session->line_too_long)
        print_document(
            session, done_or_not(error_set(&error, STATUS_USAGE, "A command has at most %d bytes.",
                                           CONTROL_LINE_SIZE - 1),
                                 &error));
    else
        obey(session, session->line);
    session->line_length = 0;
    session->line_too_long = false;
}

static void on_control(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    struct session *session = poll->data;
    char bytes[512];
    ssize_t count = read(STDIN_FILENO, bytes, sizeof bytes);
    if (count < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (count <= 0) {
        stop(session);
        return;
    }
    for (ssize_t i = 0; i < count && !session->stopping; i++)
        take_character(session, bytes[i]);
}

/* ---- beginning and end ---- */

static enum status watch(struct session *session, struct error *error)
{
    session->interrupt.data = session->terminate.data = session;
    session->stats_timer.data = session->control.data = session;
    int result = uv_signal_init(&session->loop, &session->interrupt);
    if (result == 0)
        result = uv_signal_start(&session->interrupt, on_signal, SIGINT);
    if (result == 0)
        result = uv_signal_init(&session->loop, &session->terminate);
    if (result == 0)
        result = uv_signal_start(&session->terminate, on_signal, SIGTERM);
    if (result == 0)
        result = uv_timer_init(&session->loop, &session->stats_timer);
    if (result == 0 && session->wishes->stats_path != NULL)
        result = uv_timer_start(&session->stats_timer, on_stats_timer, STATS_INTERVAL_MS,
                                STATS_INTERVAL_MS);
    if (result != 0)
        return error_set(error, STATUS_FAILED, "The event loop cannot be set up: %s.",
                         uv_strerror(result));
    if (!session->wishes->control)
        return STATUS_OK;
    result = uv_poll_init(&session->loop, &session->control, STDIN_FILENO);
    if (result == 0)
        result = uv_poll_start(&session->control, UV_READABLE, on_control);
    if (result != 0)
        return error_set(error, STATUS_USAGE,
                         "Standard input cannot be watched (%s); give --control - a pipe or a "
                         "terminal.",
                         uv_strerror(result));
    return STATUS_OK;
}

static void announce(struct session *session)
{
    const struct wishes *wishes = session->wishes;
    const char *tty = module_port_tty(session->port);
    const char *link = wishes->port.link;
    if (!wishes->json) {
        (void)printf("%s\n", link != NULL ? link : tty);
        (void)fflush(stdout);
        return;
    }
    uint8_t mac[6];
    char mac_text[18];
    module_contents_mac(wishes->contents.seed, mac);
    (void)snprintf(mac_text, sizeof mac_text, "%02X:%02X:%02X:%02X:%02X:%02X", mac[0], mac[1],
                   mac[2], mac[3], mac[4], mac[5]);
    print_document(session, json_pack("{s:s, s:s?, s:s, s:s}", "port", tty, "link", link, "chip",
                                      module_chip_name(wishes->module.chip), "mac", mac_text));
}

static void close_handle(uv_handle_t *handle, void *unused)
{
    (void)unused;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

static enum status run(struct session *session, struct error *error)
{
    const struct wishes *wishes = session->wishes;
    enum status status = watch(session, error);
    if (status == STATUS_OK)
        status =
            module_port_open(&session->loop, session->module, &wishes->port, &session->port, error);
    if (status == STATUS_OK) {
        announce(session);
        while (!session->stopping)
            (void)uv_run(&session->loop, UV_RUN_DEFAULT);
        status = write_stats(session, error);
        if (status == STATUS_OK && wishes->flash_path != NULL)
            status = store_flash(session, wishes->flash_path, error);
    }
    module_port_close(session->port);
    uv_walk(&session->loop, close_handle, NULL);
    (void)uv_run(&session->loop, UV_RUN_DEFAULT);
    return status;
}

static enum status simulate(struct wishes *wishes, struct error *error)
{
    struct session *session memory_auto = memory_new(1, sizeof *session);
    size_t size = wishes->module.flash_size;
    uint8_t *contents memory_auto = memory_new(size, 1);
    enum status status = make_contents(wishes, contents, size, error);
    if (status != STATUS_OK)
        return status;
    int result = uv_loop_init(&session->loop);
    if (result != 0)
        return error_set(error, STATUS_FAILED, "The event loop cannot be set up: %s.",
                         uv_strerror(result));
    session->log = log_create(LOG_LEVEL_INFO);
    wishes->port.log = session->log;
    wishes->module.contents = contents;
    session->wishes = wishes;
    session->module = module_create(&wishes->module, &wishes->faults, 0);
    status = run(session, error);
    if (status == STATUS_OK)
        status = session->status;
    (void)uv_loop_close(&session->loop);
    module_free(session->module);
    log_free(session->log);
    return status;
}

enum status command_simulate_module(const struct command_context *context, int argc, char **argv)
{
    (void)context;
    struct wishes wishes = {
        .module = {.chip = MODULE_BK7231N, .flash_size = FLASH_SIZE_MIN, .status = 0x7C, .seed = 1},
        .contents = {.kind = MODULE_CONTENTS_VENDOR, .seed = 1},
        .port = {.speed = 1, .power_cycle_ms = 2000},
    };
    bool done = false;
    enum status status = parse_arguments(argc, argv, &wishes, &done);
    if (status != STATUS_OK || done)
        return status;
    struct error error = {""};
    status = simulate(&wishes, &error);
    if (status != STATUS_OK && error.text[0] != '\0')
        (void)fail(status, &error);
    return status;
}
