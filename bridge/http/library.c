/* SPDX-License-Identifier: MIT */
#include "bridge/http/library.h"

#include <dlfcn.h>
#include <string.h>

#define LIBRARY_NAME "libcurl.so.4"

/* POSIX lets a function's address come back as void *, C has no cast for it: hence the copy. */
static bool find(void *handle, const char *name, void *pointer)
{
    void *symbol = dlsym(handle, name);
    memcpy(pointer, &symbol, sizeof symbol);
    return symbol != NULL;
}

enum status library_load(struct library *library, struct error *error)
{
    void *handle = dlopen(LIBRARY_NAME, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (handle == NULL)
        return error_set(error, STATUS_FAILED,
                         "HTTP needs " LIBRARY_NAME ", which cannot be loaded: %s. Install it (on "
                         "Debian the package libcurl4).",
                         dlerror());
    library->handle = handle;
    if (find(handle, "curl_global_init", &library->global_init) &&
        find(handle, "curl_easy_init", &library->easy_init) &&
        find(handle, "curl_easy_reset", &library->easy_reset) &&
        find(handle, "curl_easy_cleanup", &library->easy_cleanup) &&
        find(handle, "curl_easy_setopt", &library->easy_setopt) &&
        find(handle, "curl_easy_getinfo", &library->easy_getinfo) &&
        find(handle, "curl_easy_perform", &library->easy_perform) &&
        find(handle, "curl_easy_strerror", &library->easy_strerror) &&
        find(handle, "curl_slist_append", &library->slist_append) &&
        find(handle, "curl_slist_free_all", &library->slist_free_all) &&
        find(handle, "curl_version", &library->version) &&
        library->global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK)
        return STATUS_OK;
    (void)dlclose(handle);
    return error_set(error, STATUS_FAILED,
                     LIBRARY_NAME " is not the library it should be: functions are missing, or it "
                                  "does not start. Install Debian's package libcurl4 again.");
}
