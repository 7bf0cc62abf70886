/* SPDX-License-Identifier: MIT */
#include "drivers/serial/holder.h"

#include "drivers/base/clock.h"
#include "drivers/base/number.h"

#include <dirent.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SEARCH_LIMIT_MS 50

static bool has_open(int64_t pid, const char *device)
{
    char folder[64];
    (void)snprintf(folder, sizeof folder, "/proc/%lld/fd", (long long)pid);
    DIR *files = opendir(folder);
    if (files == NULL)
        return false; /* gone meanwhile, or another user's */
    bool found = false;
    const struct dirent *entry;
    while (!found && (entry = readdir(files)) != NULL) {
        char target[PATH_MAX];
        ssize_t length = readlinkat(dirfd(files), entry->d_name, target, sizeof target - 1);
        if (length <= 0)
            continue;
        target[length] = '\0';
        found = strcmp(target, device) == 0;
    }
    (void)closedir(files);
    return found;
}

static void read_command_name(int64_t pid, char *name, size_t size)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%lld/comm", (long long)pid);
    name[0] = '\0';
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return;
    if (fgets(name, (int)size, file) == NULL)
        name[0] = '\0';
    name[strcspn(name, "\n")] = '\0';
    (void)fclose(file);
}

bool serial_find_holder(const char *device, char *text, size_t size)
{
    text[0] = '\0';
    DIR *processes = opendir("/proc");
    if (processes == NULL)
        return false;
    int64_t give_up = clock_boot_ms() + SEARCH_LIMIT_MS;
    bool found = false;
    const struct dirent *entry;
    while (!found && (entry = readdir(processes)) != NULL && clock_boot_ms() < give_up) {
        int64_t pid;
        if (!number_parse_int(entry->d_name, strlen(entry->d_name), 1, INT32_MAX, &pid) ||
            pid == getpid() || !has_open(pid, device))
            continue;
        char name[64];
        read_command_name(pid, name, sizeof name);
        (void)snprintf(text, size, "%s (pid %lld)", name[0] != '\0' ? name : "a process",
                       (long long)pid);
        found = true;
    }
    (void)closedir(processes);
    return found;
}
