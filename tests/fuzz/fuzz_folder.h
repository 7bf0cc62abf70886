/* SPDX-License-Identifier: MIT */
/** A folder for targets that read files: in memory where that is possible, as each input is written to it. */
#ifndef TESTS_FUZZ_FUZZ_FOLDER_H
#define TESTS_FUZZ_FUZZ_FOLDER_H

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define FUZZ_PATH_SIZE 64

static char fuzz_folder[32];

static inline void fuzz_folder_remove(void)
{
    DIR *list = opendir(fuzz_folder);
    for (const struct dirent *entry; list != NULL && (entry = readdir(list)) != NULL;)
        (void)unlinkat(dirfd(list), entry->d_name, 0);
    if (list != NULL)
        (void)closedir(list);
    (void)rmdir(fuzz_folder);
}

/** path becomes that of a file named `name` in the folder, which is made with the first call. */
static inline void fuzz_file(const char *name, char path[FUZZ_PATH_SIZE])
{
    static const char *const roots[] = {"/dev/shm", "/tmp"};
    if (fuzz_folder[0] == '\0') {
        bool made = false;
        for (size_t i = 0; i < 2 && !made; i++) {
            (void)snprintf(fuzz_folder, sizeof fuzz_folder, "%s/bl2mqtt-fuzz-XXXXXX", roots[i]);
            made = mkdtemp(fuzz_folder) != NULL;
        }
        if (!made)
            abort();
        (void)atexit(fuzz_folder_remove);
    }
    (void)snprintf(path, FUZZ_PATH_SIZE, "%s/%s", fuzz_folder, name);
}

/** Makes the file what it says. */
static inline void fuzz_write(const char *path, const void *bytes, size_t length)
{
    FILE *file = fopen(path, "w");
    if (file == NULL || fwrite(bytes, 1, length, file) != length || fclose(file) != 0)
        abort();
}

#endif
