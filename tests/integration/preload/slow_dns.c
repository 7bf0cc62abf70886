/* SPDX-License-Identifier: MIT */
/* LD_PRELOAD: a resolver that takes SLOW_DNS_MS before it answers. With SLOW_DNS_FILE it is only slow
 * while that file exists. Numeric addresses are not looked up, so they are not slowed down. */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <netdb.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

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
    const char *file = getenv("SLOW_DNS_FILE");
    const char *delay = getenv("SLOW_DNS_MS");
    if (delay == NULL || (file != NULL && access(file, F_OK) != 0))
        return 0;
    return strtol(delay, NULL, 10);
}

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                struct addrinfo **result)
{
    long left = is_numeric(node) ? 0 : delay_ms();
    struct timespec pause = {.tv_sec = left / 1000, .tv_nsec = left % 1000 * 1000000L};
    while (nanosleep(&pause, &pause) != 0)
        ;
    resolver real = (resolver)dlsym(RTLD_NEXT, "getaddrinfo");
    return real != NULL ? real(node, service, hints, result) : EAI_FAIL;
}
