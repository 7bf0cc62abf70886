/* SPDX-License-Identifier: MIT */
/* What a simulated module begins with, and the program that stands for its application. */
#include "bridge/commands/simulate_module.h"

#include "drivers/base/file.h"
#include "drivers/base/memory.h"

#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define VAULT_ADDRESS 0x1EE000U
#define VAULT_SIZE_MAX 0x12000U

enum status simulate_module_contents(const struct simulate_module *options, uint8_t *flash,
                                     size_t size, struct error *error)
{
    module_contents_fill(&options->contents, flash, size);
    if (options->flash_path != NULL) {
        char *stored memory_auto = NULL;
        size_t length = 0;
        enum status status = file_read(options->flash_path, size, &stored, &length, error);
        if (status != STATUS_OK && status != STATUS_NO_ANSWER) /* which is made at the end */
            return status;
        if (status == STATUS_OK) {
            memset(flash, 0xFF, size);
            memcpy(flash, stored, length);
        }
    }
    if (options->vault_path == NULL)
        return STATUS_OK;
    char *vault memory_auto = NULL;
    size_t length = 0;
    enum status status = file_read(options->vault_path, VAULT_SIZE_MAX, &vault, &length, error);
    if (status == STATUS_OK)
        memcpy(flash + VAULT_ADDRESS, vault, length);
    return status == STATUS_NO_ANSWER ? STATUS_FAILED : status;
}

enum status simulate_module_spawn(const char *program, const char *file, pid_t *pid,
                                  struct error *error)
{
    char *arguments[] = {memory_copy_text(program), memory_copy_text(file), NULL};
    posix_spawn_file_actions_t actions;
    int result = posix_spawn_file_actions_init(&actions);
    if (result == 0) {
        (void)posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
        (void)posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
        result = posix_spawnp(pid, arguments[0], &actions, NULL, arguments, environ);
        (void)posix_spawn_file_actions_destroy(&actions);
    }
    free(arguments[0]);
    free(arguments[1]);
    if (result == 0)
        return STATUS_OK;
    *pid = 0;
    return error_set(error, STATUS_FAILED, "%s cannot be run: %s.", program, strerror(result));
}
