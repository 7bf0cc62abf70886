/* SPDX-License-Identifier: MIT */
#include "drivers/bl0942/scan.h"

#include "drivers/base/clock.h"
#include "drivers/bl0942/registers.h"

#include <poll.h>

#define BREAK_MS 12
#define GUARD_MS 21         /* after a break, and between different chips */
#define REPLY_MARGIN_MS 100 /* the adapter's delay */
#define REMOTE_MARGIN_MS 1000
#define ATTEMPTS 2

struct scanner {
    struct serial_port *port;
    struct bl0942_scan *scan;
    struct error *error;
    uint32_t baud;
    bool remote, raw;
    struct bl0942_receiver receiver;
};

static void sleep_ms(int ms)
{
    (void)poll(NULL, 0, ms);
}

/* Takes what is there. *found: the awaited answer is complete. */
static enum status receive(struct scanner *scanner, bool *found)
{
    uint8_t bytes[64];
    size_t count;
    bool gone;
    enum status status =
        serial_read(scanner->port, bytes, sizeof bytes, &count, &gone, scanner->error);
    if (status != STATUS_OK)
        return status;
    scanner->scan->bytes_received += count;
    for (size_t i = 0; i < count && !*found; i++)
        *found = bl0942_receiver_push(&scanner->receiver, bytes[i]);
    return STATUS_OK;
}

/* Sends a request and awaits what the receiver was told to expect. */
static enum status ask(struct scanner *scanner, const uint8_t *request, bool *found)
{
    serial_flush_input(scanner->port);
    size_t sent;
    bool gone;
    enum status status =
        serial_write(scanner->port, request, BL0942_REQUEST_SIZE, &sent, &gone, scanner->error);
    int64_t wire_bytes = (int64_t)(BL0942_REQUEST_SIZE + scanner->receiver.wanted);
    int64_t deadline_ms = clock_boot_ms() + wire_bytes * 10000 / scanner->baud +
                          (scanner->remote ? REMOTE_MARGIN_MS : REPLY_MARGIN_MS);
    *found = false;
    while (status == STATUS_OK && !*found) {
        int64_t left_ms = deadline_ms - clock_boot_ms();
        if (left_ms <= 0)
            return STATUS_OK;
        struct pollfd wait = {.fd = serial_fd(scanner->port), .events = POLLIN};
        if (poll(&wait, 1, (int)left_ms) != 0)
            status = receive(scanner, found);
    }
    return status;
}

static enum status ask_mode(struct scanner *scanner, unsigned address, uint32_t *mode, bool *found)
{
    uint8_t request[BL0942_REQUEST_SIZE];
    (void)bl0942_encode_read(address, BL0942_MODE, request);
    bl0942_receiver_expect_reply(&scanner->receiver, address, BL0942_MODE);
    enum status status = ask(scanner, request, found);
    *mode = scanner->receiver.value;
    return status;
}

static enum status ask_packet(struct scanner *scanner, unsigned address,
                              struct bl0942_packet *packet, bool *found)
{
    uint8_t request[BL0942_REQUEST_SIZE];
    (void)bl0942_encode_packet_request(address, request);
    bl0942_receiver_expect_packet(&scanner->receiver, address);
    enum status status = ask(scanner, request, found);
    *packet = scanner->receiver.packet;
    return status;
}

/* A register reply alone could be noise: one in 256 passes. The packet is the proof. */
static enum status look_for(struct scanner *scanner, unsigned address)
{
    struct bl0942_found chip = {.baud = scanner->baud, .address = address};
    bool mode_found = false, packet_found = false;
    enum status status = STATUS_OK;
    sleep_ms(GUARD_MS);
    for (int i = 0; i < ATTEMPTS && status == STATUS_OK && !mode_found; i++)
        status = ask_mode(scanner, address, &chip.mode, &mode_found);
    for (int i = 0; i < ATTEMPTS && status == STATUS_OK && mode_found && !packet_found; i++)
        status = ask_packet(scanner, address, &chip.packet, &packet_found);
    if (status == STATUS_OK && packet_found)
        scanner->scan->chips[scanner->scan->count++] = chip;
    return status;
}

static bool is_found(const struct bl0942_scan *scan, unsigned address)
{
    for (size_t i = 0; i < scan->count; i++)
        if (scan->chips[i].address == address)
            return true;
    return false;
}

static enum status reset_line(struct scanner *scanner)
{
    enum status status = serial_set_break(scanner->port, true, scanner->error);
    if (status != STATUS_OK)
        return status;
    sleep_ms(BREAK_MS);
    return serial_set_break(scanner->port, false, scanner->error);
}

static enum status scan_rate(struct scanner *scanner)
{
    enum status status = STATUS_OK;
    if (!scanner->raw)
        status = serial_set_baud(scanner->port, scanner->baud, scanner->error);
    if (status == STATUS_OK && !scanner->raw)
        status = reset_line(scanner);
    for (unsigned address = 0; address < BL0942_ADDRESSES && status == STATUS_OK; address++)
        if (!is_found(scanner->scan, address))
            status = look_for(scanner, address);
    return status;
}

static enum status advise(const struct bl0942_scan *scan, struct error *error)
{
    if (scan->bytes_received > 0)
        return error_set(
            error, STATUS_NO_ANSWER,
            "No BL0942 answered, but %zu other bytes were received. If another device is on this "
            "line, choose another port; else the adapter's RX is floating: it needs a pull-up "
            "resistor, and an isolator must be powered on both sides.",
            scan->bytes_received);
    return error_set(
        error, STATUS_NO_ANSWER,
        "No BL0942 answered and nothing at all was received. Check that the chip has its 3.3 V, "
        "that "
        "the adapter's TX goes to the chip's RX and its RX to the chip's TX (try them swapped), "
        "that both chip pins have pull-up resistors, that the isolator between mains and this "
        "machine is powered on both sides, and that the module's own processor is not using the "
        "same pins.");
}

enum status bl0942_scan(struct serial_port *port, uint32_t only_baud, bl0942_scan_progress progress,
                        void *context, struct bl0942_scan *scan, struct error *error)
{
    static const uint32_t rates[] = {4800, 9600, 19200, 38400};
    *scan = (struct bl0942_scan){.count = 0};
    struct scanner scanner = {.port = port,
                              .scan = scan,
                              .error = error,
                              .remote = serial_is_remote(port),
                              .raw = serial_is_raw(port)};
    uint32_t only = scanner.raw && only_baud == 0 ? rates[0] : only_baud;
    for (size_t i = 0; i < sizeof rates / sizeof rates[0]; i++) {
        if (only != 0 && rates[i] != only)
            continue;
        scanner.baud = rates[i];
        progress(context, rates[i]);
        enum status status = scan_rate(&scanner);
        if (status != STATUS_OK)
            return status;
    }
    return scan->count > 0 ? STATUS_OK : advise(scan, error);
}
