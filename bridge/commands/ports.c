/* SPDX-License-Identifier: MIT */
/* `bl2mqtt ports`: the machine's serial ports. See bl2mqtt-ports(1). */
#include "bridge/commands/command.h"

#include "drivers/base/memory.h"
#include "drivers/serial/list.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#define NAME "ports"

struct options {
    bool json;
};

/* Text from USB descriptors need not be UTF-8; JSON must be. */
static json_t *text_or_null(const char *text)
{
    json_t *value = text[0] != '\0' ? json_string(text) : NULL;
    return value != NULL ? value : json_null();
}

static json_t *usb_id(const struct serial_listing *listing, int id)
{
    return listing->usb ? json_sprintf("%04x", (unsigned)id & 0xFFFF) : json_null();
}

static enum status print_json(const struct serial_listing *listings, size_t count)
{
    json_t *ports = json_array();
    for (size_t i = 0; i < count; i++) {
        const struct serial_listing *listing = &listings[i];
        json_t *port = json_object();
        (void)json_object_set_new(port, "path", text_or_null(listing->path));
        (void)json_object_set_new(port, "by_id",
                                  text_or_null(listing->by_id_unique ? listing->by_id : ""));
        (void)json_object_set_new(port, "by_path", text_or_null(listing->by_path));
        (void)json_object_set_new(port, "usb_vid", usb_id(listing, listing->usb_vid));
        (void)json_object_set_new(port, "usb_pid", usb_id(listing, listing->usb_pid));
        (void)json_object_set_new(port, "serial", text_or_null(listing->usb_serial));
        (void)json_object_set_new(port, "description", text_or_null(listing->description));
        (void)json_object_set_new(port, "holder", text_or_null(listing->holder));
        (void)json_array_append_new(ports, port);
    }
    json_t *answer = json_object();
    (void)json_object_set_new(answer, "ports", ports);
    return command_print_json(NAME, answer, JSON_INDENT(2));
}

static void print_port(const struct serial_listing *listing)
{
    (void)printf("%s\n", listing->path);
    if (listing->by_id_unique)
        (void)printf("  name    %s\n", listing->by_id);
    else if (listing->by_path[0] != '\0')
        (void)printf("  name    %s\n", listing->by_path);
    if (!listing->by_id_unique && listing->by_id[0] != '\0')
        (void)printf("          (an identical adapter has the same by-id name;\n"
                     "           this name stays with the USB socket)\n");
    if (listing->usb)
        (void)printf("  USB     %04x:%04x %s\n", (unsigned)listing->usb_vid,
                     (unsigned)listing->usb_pid, listing->description);
    if (listing->holder[0] != '\0')
        (void)printf("  in use  by %s\n", listing->holder);
}

static enum status run(const struct command_context *context, void *own)
{
    (void)context;
    const struct options *options = own;
    struct error error = {""};
    struct serial_listing *listings memory_auto = NULL;
    size_t count = 0;
    enum status status = serial_list(&listings, &count, &error);
    if (status != STATUS_OK)
        return command_fail(NAME, status, &error);
    if (options->json)
        return print_json(listings, count);
    for (size_t i = 0; i < count; i++)
        print_port(&listings[i]);
    if (count == 0)
        (void)fprintf(stderr, "There are no serial ports. Is the adapter plugged in? `dmesg` shows "
                              "whether the kernel knows it.\n");
    return STATUS_OK;
}

static const struct option_row rows[] = {
    {.name = "json",
     .kind = OPTION_FLAG,
     .at = offsetof(struct options, json),
     .help = "one JSON document instead of text"},
    {.name = NULL},
};

const struct command command_ports = {
    .line = {.name = NAME,
             .summary = "serial ports with their stable names and who holds them",
             .purpose = "Lists serial ports with their stable names, USB ids, and who holds them.",
             .tables = {rows},
             .size = sizeof(struct options)},
    .run = run,
};
