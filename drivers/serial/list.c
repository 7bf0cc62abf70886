/* SPDX-License-Identifier: MIT */
#include "drivers/serial/list.h"

#include "drivers/base/memory.h"
#include "drivers/serial/holder.h"

#include <dirent.h>
#include <libserialport.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BY_ID "/dev/serial/by-id"
#define SYS_TTY "/sys/class/tty"
#define PORTS_MAX 1000
#define BY_PATH "/dev/serial/by-path"

static void copy(char *target, size_t size, const char *text)
{
    (void)snprintf(target, size, "%s", text != NULL ? text : "");
}

bool serial_stable_name(const char *folder, const char *device, char *name, size_t size)
{
    name[0] = '\0';
    DIR *links = opendir(folder);
    if (links == NULL)
        return false; /* udev makes the folder with the first such port */
    char best[NAME_MAX + 1] = "";
    const struct dirent *entry;
    while ((entry = readdir(links)) != NULL) {
        char path[PATH_MAX], target[PATH_MAX];
        int length = snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        if (length >= (int)sizeof path || realpath(path, target) == NULL ||
            strcmp(target, device) != 0)
            continue;
        if (best[0] == '\0' || strcmp(entry->d_name, best) < 0) /* the order of readdir varies */
            copy(best, sizeof best, entry->d_name);
    }
    (void)closedir(links);
    if (best[0] == '\0')
        return false;
    return snprintf(name, size, "%s/%s", folder, best) < (int)size;
}

/* udev names by vendor, product and serial number: two adapters that agree in these share one name,
 * and the one plugged in last has it. */
static bool same_identity(const struct sp_port *one, const struct sp_port *other)
{
    int bus[2] = {-1, -1}, address[2] = {-1, -1}, vid[2] = {-1, -1}, pid[2] = {-1, -1};
    if (sp_get_port_usb_bus_address(one, &bus[0], &address[0]) != SP_OK ||
        sp_get_port_usb_bus_address(other, &bus[1], &address[1]) != SP_OK ||
        (bus[0] == bus[1] && address[0] == address[1])) /* two ports of one adapter */
        return false;
    if (sp_get_port_usb_vid_pid(one, &vid[0], &pid[0]) != SP_OK ||
        sp_get_port_usb_vid_pid(other, &vid[1], &pid[1]) != SP_OK || vid[0] != vid[1] ||
        pid[0] != pid[1])
        return false;
    const char *serial = sp_get_port_usb_serial(one);
    const char *other_serial = sp_get_port_usb_serial(other);
    return strcmp(serial != NULL ? serial : "", other_serial != NULL ? other_serial : "") == 0;
}

static void describe(struct serial_listing *listing, const struct sp_port *port,
                     struct sp_port *const *all)
{
    char device[PATH_MAX];
    copy(listing->path, sizeof listing->path, sp_get_port_name(port));
    if (realpath(listing->path, device) == NULL)
        copy(device, sizeof device, listing->path);
    copy(listing->description, sizeof listing->description, sp_get_port_description(port));
    listing->usb = sp_get_port_transport(port) == SP_TRANSPORT_USB &&
                   sp_get_port_usb_vid_pid(port, &listing->usb_vid, &listing->usb_pid) == SP_OK;
    if (listing->usb)
        copy(listing->usb_serial, sizeof listing->usb_serial, sp_get_port_usb_serial(port));
    (void)serial_stable_name(BY_PATH, device, listing->by_path, sizeof listing->by_path);
    listing->by_id_unique =
        serial_stable_name(BY_ID, device, listing->by_id, sizeof listing->by_id);
    for (; *all != NULL; all++)
        if (*all != port && same_identity(port, *all))
            listing->by_id_unique = false;
    (void)serial_find_holder(device, HOLDER_SEARCH_PATIENT_MS, listing->holder,
                             sizeof listing->holder);
}

static int compare_paths(const void *one, const void *other)
{
    return strverscmp(((const struct serial_listing *)one)->path,
                      ((const struct serial_listing *)other)->path);
}

/* Serial ports are those with hardware behind them; type 0 is a place for a chip that is not there. */
static bool is_port(const char *name)
{
    char path[PATH_MAX], target[PATH_MAX], type[16] = "";
    (void)snprintf(path, sizeof path, SYS_TTY "/%s", name);
    if (realpath(path, target) == NULL || strstr(target, "/devices/virtual/") != NULL)
        return false;
    (void)snprintf(path, sizeof path, SYS_TTY "/%s/type", name);
    FILE *file = fopen(path, "re");
    bool placeholder = file != NULL && fgets(type, sizeof type, file) != NULL && type[0] == '0';
    if (file != NULL)
        (void)fclose(file);
    return !placeholder;
}

/* What sp_list_ports() does, for where it fails as a whole because one port of /sys has no device in /dev:
 * libserialport 0.1.2 in a container. Such a port is left out. */
static bool list_by_hand(struct sp_port ***ports)
{
    DIR *folder = opendir(SYS_TTY);
    if (folder == NULL)
        return false;
    size_t count = 0;
    *ports = memory_new(PORTS_MAX + 1, sizeof **ports); /* ends with NULL */
    const struct dirent *entry;
    while ((entry = readdir(folder)) != NULL && count < PORTS_MAX) {
        char path[PATH_MAX];
        struct sp_port *port;
        (void)snprintf(path, sizeof path, "/dev/%s", entry->d_name);
        if (entry->d_name[0] == '.' || !is_port(entry->d_name) || access(path, F_OK) != 0 ||
            sp_get_port_by_name(path, &port) != SP_OK)
            continue;
        (*ports)[count++] = port;
    }
    (void)closedir(folder);
    return true;
}

enum status serial_list(struct serial_listing **listings, size_t *count, struct error *error)
{
    struct sp_port **ports = NULL;
    if (sp_list_ports(&ports) != SP_OK && !list_by_hand(&ports))
        return error_set(error, STATUS_FAILED,
                         "The serial ports could not be listed; is /sys mounted and readable?");
    size_t found = 0;
    while (ports[found] != NULL)
        found++;
    *listings = memory_new(found > 0 ? found : 1, sizeof **listings);
    for (size_t i = 0; i < found; i++)
        describe(&(*listings)[i], ports[i], ports);
    sp_free_port_list(ports);
    qsort(*listings, found, sizeof **listings, compare_paths);
    *count = found;
    return STATUS_OK;
}
