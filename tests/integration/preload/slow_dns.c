/* SPDX-License-Identifier: MIT */
/* LD_PRELOAD: a resolver that knows every name ending in .test as 127.0.0.1, and that takes SLOW_DNS_MS
 * before it answers. Numeric addresses are not looked up, so they are not slowed down. */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <netdb.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef int (*resolver)(const char *node, const char *service, const struct addrinfo *hints,
                        struct addrinfo **result);

static bool is_numeric(const char *node)
{
    unsigned char address[16];
    return node == NULL || inet_pton(AF_INET, node, address) == 1 ||
           inet_pton(AF_INET6, node, address) == 1;
}

static long delay_ms(void)
{
    const char *delay = getenv("SLOW_DNS_MS");
    return delay != NULL ? strtol(delay, NULL, 10) : 0;
}

static bool is_ours(const char *node)
{
    static const char ending[] = ".test";
    size_t length = node != NULL ? strlen(node) : 0;
    return length >= sizeof ending && strcmp(node + length - (sizeof ending - 1), ending) == 0;
}

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                struct addrinfo **result)
{
    long left = is_numeric(node) ? 0 : delay_ms();
    struct timespec pause = {.tv_sec = left / 1000, .tv_nsec = left % 1000 * 1000000L};
    while (nanosleep(&pause, &pause) != 0)
        ;
    resolver real = (resolver)dlsym(RTLD_NEXT, "getaddrinfo");
    if (real == NULL)
        return EAI_FAIL;
    return real(is_ours(node) ? "127.0.0.1" : node, service, hints, result);
}
