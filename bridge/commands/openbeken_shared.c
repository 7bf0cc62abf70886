/* SPDX-License-Identifier: MIT */
#include "bridge/commands/openbeken_shared.h"

#include "bridge/commands/command.h"
#include "bridge/config/text_rules.h"
#include "bridge/provision/proof.h"
#include "drivers/base/file.h"
#include "drivers/base/memory.h"
#include "drivers/base/number.h"

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#define TIMEOUT_DEFAULT_MS 10000
#define LOOK_EVERY_MS 100

enum status openbeken_parse(const char *command, const struct words_row *own, int argc, char **argv,
                            struct openbeken_target *target, bool *help, const char **operand)
{
    const struct words_row shared[] = {
        {"host", &target->host, NULL},
        {"web-password-file", &target->web_password_file, NULL},
        {"timeout", &target->timeout, NULL},
        {NULL, NULL, NULL},
    };
    int at = 0;
    enum status status = option_rows_parse(command, shared, own, argc, argv, help, &at);
    if (status != STATUS_OK || *help)
        return status;
    if (operand != NULL && at < argc)
        *operand = argv[at++];
    return at < argc ? command_extra_word(command, argv[at]) : STATUS_OK;
}

static enum status read_timeout(const char *text, int64_t *timeout_ms, struct error *error)
{
    double seconds = 0;
    *timeout_ms = TIMEOUT_DEFAULT_MS;
    if (text == NULL)
        return STATUS_OK;
    if (!number_parse_double(text, strlen(text), 0.1, 300, &seconds))
        return error_set(error, STATUS_USAGE,
                         "--timeout must be a number of seconds from 0.1 to 300.");
    *timeout_ms = (int64_t)(seconds * 1000);
    return STATUS_OK;
}

enum status openbeken_open(const struct openbeken_target *target, struct module **module,
                           struct error *error)
{
    char password[SECRET_SIZE] = "";
    struct http_options options = {.host = target->host, .web_password = password};
    if (target->host == NULL)
        return error_set(error, STATUS_USAGE, "Say which module with --host.");
    enum status status = read_timeout(target->timeout, &options.timeout_ms, error);
    if (status == STATUS_OK)
        status = openbeken_secret("web password", target->web_password_file, "OBK_WEB_PASSWORD",
                                  false, password, error);
    if (status == STATUS_OK)
        status = module_open(&options, module, error);
    explicit_bzero(password, sizeof password);
    return status;
}

static enum status take_line(const char *what, const char *line, size_t length,
                             char secret[SECRET_SIZE], struct error *error)
{
    if (length > 0 && line[length - 1] == '\r')
        length--;
    if (length == 0 || length >= SECRET_SIZE || memchr(line, '\0', length) != NULL)
        return error_set(error, STATUS_USAGE, "The %s must be a line of 1 to %d bytes.", what,
                         SECRET_SIZE - 1);
    memcpy(secret, line, length);
    secret[length] = '\0';
    return STATUS_OK;
}

static enum status from_file(const char *what, const char *path, char secret[SECRET_SIZE],
                             struct error *error)
{
    char *bytes = NULL;
    size_t length = 0;
    if (file_read(path, 4096, &bytes, &length, error) != STATUS_OK)
        return STATUS_USAGE;
    const char *end = memchr(bytes, '\n', length);
    enum status status =
        take_line(what, bytes, end != NULL ? (size_t)(end - bytes) : length, secret, error);
    explicit_bzero(bytes, length);
    free(bytes);
    return status == STATUS_OK ? status : error_prefix(error, status, "%s: ", path);
}

/* Until a line is typed; false if one of the signals that are held came first. */
static bool wait_for_line(const sigset_t *held)
{
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    for (;;) {
        sigset_t pending;
        if (sigpending(&pending) == 0)
            for (int number = 1; number < NSIG; number++)
                if (sigismember(held, number) == 1 && sigismember(&pending, number) == 1)
                    return false;
        if (poll(&input, 1, LOOK_EVERY_MS) > 0)
            return true;
    }
}

/* What is typed must not show, and the terminal gets its ways back whatever happens to the reading: a
 * signal, as by Ctrl-C, waits until then. */
static enum status from_terminal(const char *what, char secret[SECRET_SIZE], struct error *error)
{
    struct termios before, quiet;
    sigset_t held, old;
    if (tcgetattr(STDIN_FILENO, &before) != 0)
        return error_set(error, STATUS_USAGE, "The terminal does not do (%s).", strerror(errno));
    (void)sigemptyset(&held);
    (void)sigaddset(&held, SIGINT);
    (void)sigaddset(&held, SIGTERM);
    (void)sigaddset(&held, SIGHUP);
    (void)sigprocmask(SIG_BLOCK, &held, &old);
    quiet = before;
    quiet.c_lflag &= ~(tcflag_t)ECHO;
    char line[SECRET_SIZE + 2];
    (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
    (void)fprintf(stderr, "Please type the %s: ", what); /* now that it does not show any more */
    bool got = wait_for_line(&held) && fgets(line, sizeof line, stdin) != NULL;
    (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
    (void)fputc('\n', stderr);
    (void)sigprocmask(SIG_SETMASK, &old, NULL); /* what waited ends the program now */
    size_t length = got ? strcspn(line, "\n") : 0;
    enum status status = take_line(what, line, length, secret, error);
    explicit_bzero(line, sizeof line);
    return status;
}

enum status openbeken_secret(const char *what, const char *file, const char *variable,
                             bool must_have, char secret[SECRET_SIZE], struct error *error)
{
    secret[0] = '\0';
    if (file != NULL)
        return from_file(what, file, secret, error);
    const char *value = getenv(variable);
    if (value != NULL && *value != '\0')
        return take_line(what, value, strlen(value), secret, error);
    if (!must_have)
        return STATUS_OK;
    if (isatty(STDIN_FILENO))
        return from_terminal(what, secret, error);
    return error_set(error, STATUS_USAGE,
                     "The %s is needed: in a file that is named on the command line, in the "
                     "environment variable %s, or typed on a terminal.",
                     what, variable);
}

enum status openbeken_print_json(json_t *document, struct error *error)
{
    int failed = json_dumpf(document, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
    json_decref(document);
    (void)putchar('\n');
    if (failed == 0 && fflush(stdout) == 0)
        return STATUS_OK;
    return error_set(error, STATUS_FAILED, "The answer could not be written.");
}

static void set_number(json_t *object, const char *key, double value)
{
    (void)json_object_set_new(object, key, isfinite(value) ? json_real(value) : json_null());
}

json_t *openbeken_energy_json(const struct obk_energy *energy)
{
    json_t *object = json_object();
    set_number(object, "voltage_v", energy->voltage_v);
    set_number(object, "current_a", energy->current_a);
    set_number(object, "power_w", energy->power_w);
    set_number(object, "frequency_hz", energy->frequency_hz);
    set_number(object, "total_wh", energy->total_wh);
    return object;
}

json_t *openbeken_advice_json(const struct obk_advice *advice)
{
    json_t *list = json_array();
    for (size_t i = 0; i < advice->count; i++)
        (void)json_array_append_new(list, json_string(advice->sentences[i]));
    return list;
}

void openbeken_print_advice(const struct obk_advice *advice)
{
    for (size_t i = 0; i < advice->count; i++)
        (void)fprintf(stderr, "warning: %s\n", advice->sentences[i]);
}

json_t *openbeken_channels_json(const struct broker_sight *sight)
{
    json_t *channels = json_object();
    for (size_t i = 0; sight != NULL && i < 2; i++) {
        const double *value = sight->value[i];
        const char name[2] = {(char)('a' + (int)i), '\0'};
        if (proof_channel_seen(sight, i))
            (void)json_object_set_new(
                channels, name,
                json_pack("{s:f, s:f, s:f}", "voltage_v", value[OPENBEKEN_VOLTAGE], "current_a",
                          value[OPENBEKEN_CURRENT], "power_w", value[OPENBEKEN_POWER]));
    }
    return channels;
}

void openbeken_print_channels(const struct broker_sight *sight)
{
    for (size_t i = 0; i < 2; i++) {
        const double *value = sight->value[i];
        char name = (char)('a' + (int)i);
        if (!proof_channel_seen(sight, i))
            continue;
        (void)printf("channel %c: %.1f V, %.3f A, %.2f W\n", name, value[OPENBEKEN_VOLTAGE],
                     value[OPENBEKEN_CURRENT], value[OPENBEKEN_POWER]);
    }
}

void openbeken_warn_of_power(const struct broker_sight *sight)
{
    for (size_t i = 0; i < 2; i++)
        if (proof_channel_seen(sight, i) && sight->value[i][OPENBEKEN_POWER] < 0)
            (void)fprintf(
                stderr,
                "warning: Channel %c has negative power. If nothing feeds in there, its clamp "
                "is the wrong way round: turn it, or set invert: true in bridge.yaml.\n",
                (char)('a' + (int)i));
}

enum status openbeken_check_client_id(const char *option, const char *id, struct error *error)
{
    char reason[200], normal[OBK_CLIENT_ID_MAX + 16];
    struct text text;
    text_init(&text, reason, sizeof reason);
    if (id == NULL)
        return error_set(error, STATUS_USAGE, "Say with %s which client id it shall have.", option);
    enum status status = obk_check_text("client id", id, OBK_CLIENT_ID_MAX, error);
    if (status == STATUS_OK &&
        !text_rule_check(TEXT_TOPIC, id, OBK_CLIENT_ID_MAX, normal, sizeof normal, &text))
        return error_set(error, STATUS_USAGE, "%s \"%s\" cannot be the beginning of a topic. %s",
                         option, id, reason);
    return status;
}
