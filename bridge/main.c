/* SPDX-License-Identifier: MIT */
/* bl2mqtt [--config FILE] COMMAND [OPTION...]: finds the subcommand in the table and runs it. */
#include "bridge/commands/command.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

static void print_help(FILE *out)
{
    (void)fprintf(out, "Usage: bl2mqtt [--config FILE] COMMAND [OPTION...]\n\n"
                       "BL0942 energy meters to MQTT, Home Assistant and a long-term history.\n\n"
                       "Commands:\n");
    for (const struct command *command = commands; command->name != NULL; command++)
        (void)fprintf(out, "  %-20s %s\n", command->name, command->summary);
    (void)fprintf(out, "\nOptions:\n"
                       "  --config FILE        configuration file (default: bridge.yaml)\n"
                       "  --help               this text; `bl2mqtt COMMAND --help` tells more\n"
                       "  --version            version\n");
}

/* A name may have two words; words[] then holds both. Returns how many words matched, 0 if none. */
static int match(const struct command *command, int count, char **words)
{
    const char *space = strchr(command->name, ' ');
    if (space == NULL)
        return strcmp(command->name, words[0]) == 0 ? 1 : 0;
    size_t first = (size_t)(space - command->name);
    if (count < 2 || strncmp(command->name, words[0], first) != 0 || words[0][first] != '\0')
        return 0;
    return strcmp(space + 1, words[1]) == 0 ? 2 : 0;
}

static bool in_group(const struct command *command, const char *word)
{
    size_t length = strlen(word);
    return strncmp(command->name, word, length) == 0 && command->name[length] == ' ';
}

static bool is_group(const char *word)
{
    for (const struct command *command = commands; command->name != NULL; command++)
        if (in_group(command, word))
            return true;
    return false;
}

static void print_group(FILE *out, const char *word)
{
    for (const struct command *command = commands; command->name != NULL; command++)
        if (in_group(command, word))
            (void)fprintf(out, "  bl2mqtt %-20s %s\n", command->name, command->summary);
}

/* "history --help", "history" alone, "history enrgy", "rnu". */
static enum status no_such_command(int count, char **words)
{
    if (!is_group(words[0])) {
        (void)fprintf(stderr, "bl2mqtt: There is no command \"%s\"; `bl2mqtt --help` lists them.\n",
                      words[0]);
        return STATUS_USAGE;
    }
    if (count > 1 && strcmp(words[1], "--help") == 0) {
        (void)printf("The commands of bl2mqtt %s; each has --help and a man page:\n", words[0]);
        print_group(stdout, words[0]);
        return STATUS_OK;
    }
    if (count > 1)
        (void)fprintf(stderr, "bl2mqtt: There is no command \"%s %s\". These there are:\n",
                      words[0], words[1]);
    else
        (void)fprintf(stderr, "bl2mqtt %s: Say which of these you mean:\n", words[0]);
    print_group(stderr, words[0]);
    return STATUS_USAGE;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},
        {NULL, 0, NULL, 0},
    };
    struct command_context context = {.config_path = "bridge.yaml"};
    int option;
    while ((option = getopt_long(argc, argv, "+c:hV", options, NULL)) != -1) {
        switch (option) {
        case 'c':
            context.config_path = optarg;
            break;
        case 'h':
            print_help(stdout);
            return STATUS_OK;
        case 'V':
            (void)printf("bl2mqtt %s\n", BL2MQTT_VERSION);
            return STATUS_OK;
        default:
            (void)fprintf(stderr, "Try `bl2mqtt --help`.\n");
            return STATUS_USAGE;
        }
    }
    if (optind >= argc) {
        print_help(stderr);
        return STATUS_USAGE;
    }
    for (const struct command *command = commands; command->name != NULL; command++) {
        int words = match(command, argc - optind, argv + optind);
        if (words == 0)
            continue;
        /* getopt puts argv[0] in front of what it finds wrong. */
        char name[64];
        (void)snprintf(name, sizeof name, "bl2mqtt %s", command->name);
        int first = optind + words - 1;
        argv[first] = name;
        optind = 0; /* glibc: start a new scan */
        return (int)command->run(&context, argc - first, argv + first);
    }
    return (int)no_such_command(argc - optind, argv + optind);
}
