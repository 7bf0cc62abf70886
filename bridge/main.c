/* SPDX-License-Identifier: MIT */
/* bl2mqtt [--config FILE] COMMAND [OPTION...]: finds the command, fills its options, runs it. */
#include "bridge/commands/command.h"
#include "bridge/commands/versions.h"
#include "bridge/config/suggest.h"
#include "bridge/options/layout.h"
#include "drivers/base/memory.h"
#include "drivers/base/plain.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SHOWN_SIZE 200 /* of a word that is no command */

enum { NAME_COLUMN = 24, NAME_SIZE = 64, WORDS_MAX = 3 };

/* ---- the words before the command ---- */

struct own_options {
    const char *config;
    bool version;
    bool complete, print_options;
};

static const struct option_row own_rows[] = {
    {.name = "config",
     .argument = "FILE",
     .at = offsetof(struct own_options, config),
     .file = true,
     .help =
         "the configuration (default: BL2MQTT_CONFIG, ./bridge.yaml, /etc/bl2mqtt/bridge.yaml)"},
    {.name = "version",
     .kind = OPTION_FLAG,
     .at = offsetof(struct own_options, version),
     .help = "print the version, and those of the libraries in use"},
    {.name = NULL},
};

/* For other programs: the shell's completion, and the test of the man pages. */
static const struct option_row hidden_rows[] = {
    {.name = "complete",
     .kind = OPTION_FLAG,
     .at = offsetof(struct own_options, complete),
     .help = ""},
    {.name = "print-options",
     .kind = OPTION_FLAG,
     .at = offsetof(struct own_options, print_options),
     .help = ""},
    {.name = NULL},
};

static const struct command_line own_line = {
    .name = "",
    .summary = "",
    .tables = {own_rows, hidden_rows},
    .size = sizeof(struct own_options),
};

/* The first that is given or there. */
static const char *find_config(const char *given)
{
    const char *named = getenv("BL2MQTT_CONFIG");
    if (given != NULL)
        return given;
    if (named != NULL && named[0] != '\0')
        return named;
    bool here = access("bridge.yaml", F_OK) == 0;
    return !here && access("/etc/bl2mqtt/bridge.yaml", F_OK) == 0 ? "/etc/bl2mqtt/bridge.yaml"
                                                                  : "bridge.yaml";
}

static bool config_is_named(const char *given)
{
    const char *named = getenv("BL2MQTT_CONFIG");
    return given != NULL || (named != NULL && named[0] != '\0');
}

/* ---- the list of commands ---- */

static void print_command(FILE *out, const char *before, const struct command *command, int width)
{
    char form[NAME_SIZE];
    struct text text;
    text_init(&text, form, sizeof form);
    if (before[0] == '\0')
        text_append(&text, "%s", command->line.name);
    else
        options_append_form(&command->line, &text);
    int column = fprintf(out, "  %s%s", before, form);
    int indent = NAME_COLUMN + 2 + (int)strlen(before);
    if (column + 2 > indent)
        column = fputc('\n', out) == EOF ? column : 0;
    layout_wrap(out, command->line.summary, column, indent, width);
}

static void print_overview(FILE *out)
{
    int width = layout_text_width(fileno(out));
    layout_wrap(
        out,
        "Usage: bl2mqtt [--config FILE] COMMAND [OPTION...]\n\n"
        "BL0942 energy meters to MQTT, Home Assistant and a long-term history.\n\nCommands:",
        0, 0, width);
    for (size_t i = 0; commands[i] != NULL; i++)
        print_command(out, "", commands[i], width);
    (void)fprintf(out, "\nOptions:\n");
    options_print_rows(own_rows, out, width);
    (void)fputc('\n', out);
    layout_wrap(out, "`bl2mqtt COMMAND --help` shows a command's options; each has a man page.", 0,
                0, width);
}

/* How many of the words are the command's name; 0 if they are another's. */
static int match(const struct command *command, int count, char **words)
{
    const char *name = command->line.name;
    for (int i = 0; i < count && i < WORDS_MAX; i++) {
        size_t length = strlen(words[i]);
        if (strncmp(name, words[i], length) != 0)
            return 0;
        if (name[length] == '\0')
            return i + 1;
        if (name[length] != ' ')
            return 0;
        name += length + 1;
    }
    return 0;
}

/* The longest name that fits: "profiles esphome" rather than "profiles". */
static const struct command *find(int count, char **words, int *matched)
{
    const struct command *best = NULL;
    *matched = 0;
    for (size_t i = 0; commands[i] != NULL; i++) {
        int length = match(commands[i], count, words);
        best = length > *matched ? commands[i] : best;
        *matched = length > *matched ? length : *matched;
    }
    return best;
}

static bool in_group(const struct command *command, const char *group)
{
    size_t length = strlen(group);
    return length > 0 && strncmp(command->line.name, group, length) == 0 &&
           command->line.name[length] == ' ';
}

/* As many of the words as are the beginning of commands' names: "flash obk-config". Returns how many. */
static int find_group(int count, char **words, char group[NAME_SIZE])
{
    char longer[NAME_SIZE];
    int found = 0;
    group[0] = '\0';
    for (int i = 0; i < count && i < WORDS_MAX; i++) {
        bool any = false;
        (void)snprintf(longer, sizeof longer, "%.40s%s%.20s", group, i == 0 ? "" : " ", words[i]);
        for (size_t c = 0; commands[c] != NULL; c++)
            any = any || in_group(commands[c], longer);
        if (!any)
            break;
        memcpy(group, longer, sizeof longer);
        found = i + 1;
    }
    return found;
}

static void print_group(FILE *out, const char *group)
{
    for (size_t i = 0; commands[i] != NULL; i++)
        if (in_group(commands[i], group))
            print_command(out, "bl2mqtt ", commands[i], layout_text_width(fileno(out)));
}

/* "histroy": the nearest of the words that groups of commands begin with. */
static bool nearest_group(const char *word, char guess[NAME_SIZE])
{
    guess[0] = '\0';
    for (size_t i = 0; commands[i] != NULL; i++) {
        char group[NAME_SIZE];
        struct suggestion near = {.word = word};
        (void)snprintf(group, sizeof group, "%.40s", commands[i]->line.name);
        if (group[strcspn(group, " ")] == '\0')
            continue;
        group[strcspn(group, " ")] = '\0';
        suggestion_offer(&near, group);
        if (near.best != NULL && guess[0] == '\0')
            (void)snprintf(guess, NAME_SIZE, "%s", group);
    }
    return guess[0] != '\0';
}

/* "histroy energy", "enrgy": the nearest name, or the nearest word of one. */
static const char *nearest(int count, char **words)
{
    char typed[NAME_SIZE];
    (void)snprintf(typed, sizeof typed, "%.30s%s%.30s", words[0], count > 1 ? " " : "",
                   count > 1 ? words[1] : "");
    struct suggestion whole = {.word = typed};
    struct suggestion first = {.word = words[0]};
    struct suggestion last = {.word = words[0]};
    const char *of_last = NULL;
    const char *begins = NULL; /* with what was typed */
    for (size_t i = 0; commands[i] != NULL; i++) {
        const char *name = commands[i]->line.name;
        const char *space = strrchr(name, ' ');
        const char *best = last.best;
        if (begins == NULL && strlen(words[0]) >= 2 &&
            strncmp(name, words[0], strlen(words[0])) == 0)
            begins = name;
        suggestion_offer(&whole, name);
        suggestion_offer(&first, name);
        if (space != NULL)
            suggestion_offer(&last, space + 1);
        of_last = last.best != best ? name : of_last;
    }
    if (whole.best != NULL || first.best != NULL)
        return whole.best != NULL ? whole.best : first.best;
    return begins != NULL ? begins : of_last;
}

/* "history --help", "history" alone, "history enrgy", "rnu". */
static enum status no_such_command(int count, char **words)
{
    char group[NAME_SIZE];
    int known = find_group(count, words, group);
    const char *word = known < count ? words[known] : NULL;
    if (known > 0 && word != NULL && (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)) {
        (void)printf("The commands of bl2mqtt %s; each has --help and a man page:\n", group);
        print_group(stdout, group);
        return STATUS_OK;
    }
    char of_group[NAME_SIZE];
    const char *guess = word != NULL ? nearest(count, words) : NULL;
    if (guess == NULL && known == 0 && word != NULL && nearest_group(word, of_group))
        guess = of_group;
    char shown[SHOWN_SIZE] = "";
    if (word != NULL)
        (void)plain_copy(shown, sizeof shown, word);
    if (known == 0 && word != NULL)
        (void)fprintf(stderr, "bl2mqtt: There is no command \"%s\"", shown);
    else if (word != NULL)
        (void)fprintf(stderr, "bl2mqtt: There is no command \"%s %s\"", group, shown);
    if (word != NULL && guess != NULL)
        (void)fprintf(stderr, ". Did you mean `bl2mqtt %s`?%s", guess, known == 0 ? "\n" : "");
    else if (word != NULL)
        (void)fprintf(stderr, known == 0 ? "; `bl2mqtt --help` lists them.\n" : ".");
    if (known > 0 && word != NULL)
        (void)fprintf(stderr, "\nThe commands are:\n");
    if (known > 0 && word == NULL)
        (void)fprintf(stderr, "bl2mqtt %s: Say which of these you mean:\n", group);
    if (known > 0)
        print_group(stderr, group);
    return STATUS_USAGE;
}

/* ---- for other programs ---- */

static enum status print_options(void)
{
    json_t *list = json_array();
    for (size_t i = 0; commands[i] != NULL; i++)
        (void)json_array_append_new(list, options_describe(&commands[i]->line));
    return command_print_json("--print-options", list, JSON_INDENT(1));
}

/* The next word of each command that begins with the words before it. */
static void complete_name(int count, char **words)
{
    const char *typed = count > 0 ? words[count - 1] : "";
    char group[NAME_SIZE];
    if (find_group(count - 1, words, group) != (count > 0 ? count - 1 : 0))
        return;
    size_t skip = group[0] == '\0' ? 0 : strlen(group) + 1;
    char last[NAME_SIZE] = "";
    for (size_t i = 0; commands[i] != NULL; i++) {
        const char *name = commands[i]->line.name;
        if (skip > 0 && !in_group(commands[i], group))
            continue;
        size_t length = strcspn(name + skip, " ");
        if (strncmp(name + skip, typed, strlen(typed)) != 0 ||
            (strlen(last) == length && strncmp(last, name + skip, length) == 0))
            continue;
        (void)snprintf(last, sizeof last, "%.*s", (int)length, name + skip);
        (void)puts(last);
    }
}

/* words: those behind "bl2mqtt" as far as they are typed. */
static enum status complete(int count, char **words)
{
    int matched = 0;
    while (count > 2 && strcmp(words[0], "--config") == 0) {
        words += 2;
        count -= 2;
    }
    const struct command *command = find(count > 0 ? count - 1 : 0, words, &matched);
    if (command != NULL)
        options_complete(&command->line, count - matched, words + matched, stdout);
    else if (count > 0 && words[count - 1][0] == '-')
        options_complete(&(struct command_line){.name = "", .tables = {own_rows}}, count, words,
                         stdout);
    else if (count > 1 && strcmp(words[count - 2], "--config") == 0)
        (void)puts("<files>");
    else
        complete_name(count, words);
    return STATUS_OK;
}

/* ---- running ---- */

static enum status run(const struct command *command, const struct command_context *context,
                       int argc, char **argv)
{
    bool help = false;
    void *options = memory_new(1, command->line.size > 0 ? command->line.size : 1);
    enum status status = options_parse(&command->line, argc, argv, options, &help);
    if (status == STATUS_OK && help)
        options_print_help(&command->line, stdout, layout_text_width(STDOUT_FILENO));
    else if (status == STATUS_OK)
        status = command->run(context, options);
    options_free(&command->line, options);
    free(options);
    return status;
}

/* `bl2mqtt help`, `bl2mqtt help history`, `bl2mqtt help history energy`: what --help prints. */
static enum status run_help(int count, char **words)
{
    int matched = 0;
    char group[NAME_SIZE];
    if (count == 0) {
        print_overview(stdout);
        return STATUS_OK;
    }
    const struct command *command = find(count, words, &matched);
    if (command != NULL) {
        options_print_help(&command->line, stdout, layout_text_width(STDOUT_FILENO));
        return STATUS_OK;
    }
    if (find_group(count, words, group) < count)
        return no_such_command(count, words);
    print_group(stdout, group);
    return STATUS_OK;
}

int main(int argc, char **argv)
{
    struct own_options own = {.config = NULL};
    bool help = false;
    int first = argc;
    int matched = 0;
    enum status status = options_parse_before(&own_line, argc, argv, &own, &help, &first);
    if (status != STATUS_OK)
        return (int)status;
    if (help) {
        print_overview(stdout);
        return STATUS_OK;
    }
    const char *word = first < argc ? argv[first] : "";
    if (own.version || strcmp(word, "version") == 0) {
        versions_print(stdout);
        return STATUS_OK;
    }
    if (own.print_options)
        return (int)print_options();
    if (own.complete)
        return (int)complete(argc - first, argv + first);
    if (first >= argc) {
        print_overview(stderr);
        return STATUS_USAGE;
    }
    if (strcmp(word, "help") == 0)
        return (int)run_help(argc - first - 1, argv + first + 1);
    const struct command_context context = {.config_path = find_config(own.config),
                                            .config_named = config_is_named(own.config)};
    const struct command *command = find(argc - first, argv + first, &matched);
    if (command == NULL)
        return (int)no_such_command(argc - first, argv + first);
    int name = first + matched - 1;
    return (int)run(command, &context, argc - name, argv + name);
}
