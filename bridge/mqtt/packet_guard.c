/* SPDX-License-Identifier: MIT */
/* The fortified headers define recv inline; here it is defined anew. */
#undef _FORTIFY_SOURCE
#include "bridge/mqtt/packet_guard.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/types.h>

static _Atomic size_t refused;

size_t packet_guard_refused(void)
{
    return atomic_exchange(&refused, 0);
}

static void *_Atomic tls_library;

void packet_guard_tls(void *library)
{
    atomic_store(&tls_library, library);
}

static int refuse(size_t size)
{
    atomic_store(&refused, size);
    errno = EMSGSIZE;
    return -1;
}

__attribute__((visibility("default"))) ssize_t recv(int fd, void *buffer, size_t size, int flags)
{
    static ssize_t (*_Atomic next)(int, void *, size_t, int);
    if (size > PACKET_GUARD_MAX)
        return refuse(size);
    ssize_t (*call)(int, void *, size_t, int) = atomic_load(&next);
    if (call == NULL) {
        *(void **)&call = dlsym(RTLD_NEXT, "recv"); /* POSIX lets that be a function */
        atomic_store(&next, call);
    }
    return call(fd, buffer, size, flags);
}

/* OpenSSL's, without its headers: this program uses TLS through the libraries only. */
__attribute__((visibility("default"))) int SSL_read(void *ssl, void *buffer, int size);

int SSL_read(void *ssl, void *buffer, int size)
{
    static int (*_Atomic next)(void *, void *, int);
    if (size > 0 && (size_t)size > PACKET_GUARD_MAX)
        return refuse((size_t)size);
    int (*call)(void *, void *, int) = atomic_load(&next);
    if (call == NULL) {
        /* The MQTT library may not be there with TLS: then another one reads, of HTTP or of WebSockets, and
         * whoever calls has loaded OpenSSL. Without a handle dlsym would find this very function. */
        void *library = atomic_load(&tls_library);
        if (library == NULL)
            library = dlopen("libssl.so.3", RTLD_NOW | RTLD_NOLOAD | RTLD_NODELETE);
        if (library == NULL)
            return refuse(0);
        *(void **)&call = dlsym(library, "SSL_read");
        atomic_store(&next, call);
    }
    return call(ssl, buffer, size);
}
