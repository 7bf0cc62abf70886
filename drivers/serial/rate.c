/* SPDX-License-Identifier: MIT */
#include "drivers/serial/rate.h"

#include <asm/ioctls.h>
#include <asm/termbits.h>

/* <sys/ioctl.h> pulls in a struct winsize that <asm/termbits.h>'s family defines as well. */
extern int ioctl(int fd, unsigned long request, ...);

/* The usual rates by their constants, which is what other programs that look at the port expect. */
static tcflag_t rate_flag(uint32_t baud)
{
    static const struct {
        uint32_t baud;
        tcflag_t flag;
    } usual[] = {
        {1200, B1200},     {2400, B2400},     {4800, B4800},     {9600, B9600},
        {19200, B19200},   {38400, B38400},   {57600, B57600},   {115200, B115200},
        {230400, B230400}, {460800, B460800}, {921600, B921600}, {1500000, B1500000},
    };
    for (unsigned i = 0; i < sizeof usual / sizeof usual[0]; i++)
        if (usual[i].baud == baud)
            return usual[i].flag;
    return BOTHER;
}

bool rate_make_raw(int fd)
{
    struct termios2 settings;
    if (ioctl(fd, TCGETS2, &settings) != 0)
        return false;
    settings.c_iflag = IGNPAR;
    settings.c_oflag = 0;
    settings.c_lflag = 0;
    settings.c_cflag &= ~(tcflag_t)(CSIZE | PARENB | PARODD | CSTOPB | CRTSCTS | HUPCL);
    settings.c_cflag |= CS8 | CREAD | CLOCAL;
    settings.c_cc[VMIN] = 1;
    settings.c_cc[VTIME] = 0;
    return ioctl(fd, TCSETS2, &settings) == 0;
}

bool rate_set(int fd, uint32_t baud)
{
    struct termios2 settings;
    if (ioctl(fd, TCGETS2, &settings) != 0)
        return false;
    settings.c_cflag &= ~(tcflag_t)(CBAUD | (CBAUD << IBSHIFT));
    settings.c_cflag |= rate_flag(baud); /* input bits 0: the same rate as output */
    settings.c_ispeed = baud;
    settings.c_ospeed = baud;
    return ioctl(fd, TCSETS2, &settings) == 0;
}

uint32_t rate_get(int fd)
{
    struct termios2 settings;
    return ioctl(fd, TCGETS2, &settings) == 0 ? settings.c_ospeed : 0;
}
