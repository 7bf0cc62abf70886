/* SPDX-License-Identifier: MIT */
#include "drivers/serial/holder.h"

#include "drivers/base/clock.h"
#include "drivers/base/number.h"

#include <dirent.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define LOCK_LINE_SIZE 256

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

/* False if there is no such process (any more): a lock outlives the process that took it when a child
 * inherited the file. */
static bool describe(int64_t pid, char *text, size_t size)
{
    char name[64];
    read_command_name(pid, name, sizeof name);
    if (name[0] == '\0')
        return false;
    (void)snprintf(text, size, "%s (pid %lld)", name, (long long)pid);
    return true;
}

/* "1: FLOCK  ADVISORY  WRITE 812 00:1a:5 0 EOF": the word in front of the file is the process. Returns
 * 0 if the line is about another file, or about a process that only waits ("1: -> FLOCK ..."). */
static int64_t locked_by(char *line, const char *file)
{
    int64_t pid = 0;
    char *rest = line;
    const char *word;
    while ((word = strsep(&rest, " \n")) != NULL) {
        if (strcmp(word, "->") == 0)
            return 0;
        if (strcmp(word, file) == 0)
            return pid;
        if (*word != '\0' && !number_parse_int(word, strlen(word), 1, INT32_MAX, &pid))
            pid = 0;
    }
    return 0;
}

/* proc(5), /proc/locks: device numbers in hexadecimal, the inode in decimal. */
static bool find_lock(const char *device, char *text, size_t size)
{
    struct stat status;
    if (stat(device, &status) != 0)
        return false;
    char wanted[64];
    (void)snprintf(wanted, sizeof wanted, "%02x:%02x:%llu", major(status.st_dev),
                   minor(status.st_dev), (unsigned long long)status.st_ino);
    FILE *locks = fopen("/proc/locks", "re");
    if (locks == NULL)
        return false;
    bool found = false;
    char line[LOCK_LINE_SIZE];
    while (!found && fgets(line, sizeof line, locks) != NULL) {
        int64_t pid = locked_by(line, wanted);
        found = pid != 0 && pid != getpid() && describe(pid, text, size);
    }
    (void)fclose(locks);
    return found;
}

static bool find_open(const char *device, int64_t limit_ms, char *text, size_t size)
{
    DIR *processes = opendir("/proc");
    if (processes == NULL)
        return false;
    int64_t give_up = clock_boot_ms() + limit_ms;
    bool found = false;
    const struct dirent *entry;
    while (!found && (entry = readdir(processes)) != NULL && clock_boot_ms() < give_up) {
        int64_t pid;
        found = number_parse_int(entry->d_name, strlen(entry->d_name), 1, INT32_MAX, &pid) &&
                pid != getpid() && has_open(pid, device) && describe(pid, text, size);
    }
    (void)closedir(processes);
    return found;
}

bool serial_find_holder(const char *device, int64_t limit_ms, char *text, size_t size)
{
    text[0] = '\0';
    return find_lock(device, text, size) || find_open(device, limit_ms, text, size);
}
