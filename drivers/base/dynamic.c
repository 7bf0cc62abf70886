/* SPDX-License-Identifier: MIT */
#include "drivers/base/dynamic.h"

#include <dlfcn.h>
#include <string.h>

/* POSIX lets a function's address come back as void *, C has no cast for it: hence the copy. */
static bool find(void *handle, const char *name, char *pointer)
{
    void *symbol = dlsym(handle, name);
    memcpy(pointer, &symbol, sizeof symbol);
    return symbol != NULL;
}

void *dynamic_load(const struct dynamic_library *library, void *table, struct error *error)
{
    void *handle = dlopen(library->file, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (handle == NULL) {
        (void)error_set(
            error, STATUS_FAILED,
            "%s needs %s, which cannot be loaded: %s. Install it (on Debian the package "
            "%s).",
            library->purpose, library->file, dlerror(), library->package);
        return NULL;
    }
    for (size_t i = 0; i < library->count; i++) {
        const struct dynamic_function *function = &library->functions[i];
        if (find(handle, function->name, (char *)table + function->at))
            continue;
        (void)error_set(
            error, STATUS_FAILED,
            "%s is not the library it should be: it has no %s. Install Debian's package "
            "%s again.",
            library->file, function->name, library->package);
        (void)dlclose(handle);
        return NULL;
    }
    return handle;
}
