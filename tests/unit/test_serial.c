/* SPDX-License-Identifier: MIT */
/* drivers/serial on real ptys: opening by symlink, the lock and who holds it, bytes, hang-up. */
#include "port_holder_helper.h"

#include "drivers/serial/holder.h"
#include "drivers/serial/list.h"
#include "drivers/serial/port.h"
#include "drivers/serial/rate.h"

#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static const struct serial_options usual = {.baud = 4800};

struct pair {
    int master;
    char name[64];
    char folder[64];
    char link[96];
};

static int set_up(void **state)
{
    struct pair *pair = calloc(1, sizeof *pair);
    int slave;
    assert_int_equal(openpty(&pair->master, &slave, pair->name, NULL, NULL), 0);
    close(slave);
    snprintf(pair->folder, sizeof pair->folder, "/tmp/bl2mqtt-serial-XXXXXX");
    assert_non_null(mkdtemp(pair->folder));
    snprintf(pair->link, sizeof pair->link, "%s/usb-adapter", pair->folder);
    assert_int_equal(symlink(pair->name, pair->link), 0);
    *state = pair;
    return 0;
}

static int tear_down(void **state)
{
    struct pair *pair = *state;
    if (pair->master >= 0)
        close(pair->master);
    unlink(pair->link);
    rmdir(pair->folder);
    free(pair);
    return 0;
}

static struct serial_port *open_link(const struct pair *pair)
{
    struct serial_port *port = NULL;
    struct error error = {""};
    if (serial_open(pair->link, &usual, &port, &error) != STATUS_OK)
        fail_msg("%s", error.text);
    return port;
}

static void wait_readable(int fd)
{
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    assert_int_equal(poll(&wait, 1, 2000), 1);
}

static void test_bytes_pass_unchanged(void **state)
{
    struct pair *pair = *state;
    struct serial_port *port = open_link(pair);
    assert_true(fcntl(serial_fd(port), F_GETFD) & FD_CLOEXEC);
    uint8_t bytes[256], back[256];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)i; /* every value: no CR, XON, interrupt or break tricks */
    size_t count;
    bool gone;
    assert_int_equal(serial_read(port, back, sizeof back, &count, &gone, NULL), STATUS_OK);
    assert_int_equal(count, 0);
    assert_false(gone);

    assert_int_equal(serial_write(port, bytes, sizeof bytes, &count, &gone, NULL), STATUS_OK);
    assert_int_equal(count, sizeof bytes);
    assert_int_equal(read(pair->master, back, sizeof back), sizeof back);
    assert_memory_equal(bytes, back, sizeof bytes);

    assert_int_equal(write(pair->master, bytes, sizeof bytes), sizeof bytes);
    size_t total = 0;
    while (total < sizeof bytes) {
        wait_readable(serial_fd(port));
        assert_int_equal(serial_read(port, back + total, sizeof back - total, &count, &gone, NULL),
                         STATUS_OK);
        total += count;
    }
    assert_memory_equal(bytes, back, sizeof bytes);

    assert_int_equal(write(pair->master, "old", 3), 3);
    wait_readable(serial_fd(port));
    serial_flush_input(port);
    assert_int_equal(serial_read(port, back, sizeof back, &count, &gone, NULL), STATUS_OK);
    assert_int_equal(count, 0);
    assert_int_equal(serial_drain(port, 1000, NULL), STATUS_OK);
    serial_close(port);
}

static void test_any_baud_rate_and_absent_lines(void **state)
{
    struct serial_port *port = open_link(*state);
    static const uint32_t rates[] = {4800, 9600, 38400, 12345, 921600, 1500000};
    for (size_t i = 0; i < sizeof rates / sizeof rates[0]; i++) {
        assert_int_equal(serial_set_baud(port, rates[i], NULL), STATUS_OK);
        assert_int_equal(rate_get(serial_fd(port)), rates[i]);
    }
    struct error error = {""};
    assert_int_equal(serial_set_baud(port, 0, &error), STATUS_FAILED);
    assert_string_not_equal(error.text, "");
    assert_int_equal(serial_set_break(port, true, NULL), STATUS_OK);
    assert_int_equal(serial_set_break(port, false, NULL), STATUS_OK);
    assert_int_equal(serial_set_lines(port, SERIAL_LINE_LOW, SERIAL_LINE_HIGH, NULL), STATUS_OK);
    serial_close(port);
}

static void test_second_owner_is_refused_by_name(void **state)
{
    struct pair *pair = *state;
    struct port_holder other;
    port_holder_start(&other, pair->name, true);
    struct serial_port *port = NULL;
    struct error error = {""};
    assert_int_equal(serial_open(pair->link, &usual, &port, &error), STATUS_REFUSED);
    assert_null(port);
    assert_non_null(strstr(error.text, other.words));
    char holder[128];
    assert_true(serial_find_holder(pair->name, 0, holder, sizeof holder)); /* by its lock */
    assert_non_null(strstr(holder, other.words));
    port_holder_end(&other);
    serial_close(open_link(pair)); /* free again, twice: nothing stays behind */
    serial_close(open_link(pair));
}

/* picocom --nolock, cat, a script: nothing in /proc/locks. */
static void test_holder_without_a_lock(void **state)
{
    const struct pair *pair = *state;
    char holder[128] = "?";
    assert_false(
        serial_find_holder(pair->name, 10000, holder, sizeof holder)); /* we do not count */
    assert_string_equal(holder, "");
    struct port_holder other;
    port_holder_start(&other, pair->name, false);
    assert_true(serial_find_holder(pair->name, 10000, holder, sizeof holder));
    assert_non_null(strstr(holder, other.words));
    port_holder_end(&other);
}

static void test_hang_up_is_gone(void **state)
{
    struct pair *pair = *state;
    struct serial_port *port = open_link(pair);
    assert_int_equal(write(pair->master, "last", 4), 4);
    wait_readable(serial_fd(port));
    close(pair->master);
    pair->master = -1;
    struct pollfd wait = {.fd = serial_fd(port), .events = POLLIN};
    assert_int_equal(poll(&wait, 1, 2000), 1);
    assert_true(wait.revents & POLLHUP);
    char bytes[16];
    size_t count = 1;
    bool gone = false;
    struct error error = {""};
    for (int i = 0; i < 10 && !gone; i++) /* what arrived before may be read or not, then it ends */
        (void)serial_read(port, bytes, sizeof bytes, &count, &gone, &error);
    assert_true(gone);
    assert_string_not_equal(error.text, "");
    assert_int_equal(serial_read(port, bytes, sizeof bytes, &count, &gone, &error), STATUS_FAILED);
    gone = false;
    assert_int_equal(serial_write(port, "x", 1, &count, &gone, &error), STATUS_FAILED);
    assert_true(gone);
    assert_int_equal(serial_drain(port, 100, &error), STATUS_FAILED);
    assert_int_equal(serial_set_baud(port, 9600, &error), STATUS_FAILED);
    assert_non_null(strstr(error.text, "has gone"));
    serial_close(port);
    assert_int_equal(serial_open(pair->link, &usual, &port, &error), STATUS_NO_ANSWER);
}

static void test_what_is_no_port(void **state)
{
    const struct pair *pair = *state;
    struct serial_port *port = NULL;
    struct error error = {""};
    char path[128];
    snprintf(path, sizeof path, "%s/nothing", pair->folder);
    assert_int_equal(serial_open(path, &usual, &port, &error), STATUS_NO_ANSWER);
    assert_non_null(strstr(error.text, path));
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(serial_open(path, &usual, &port, &error), STATUS_FAILED);
    assert_int_equal(serial_open(pair->folder, &usual, &port, &error), STATUS_FAILED);
    assert_int_equal(serial_open("/dev/null", &usual, &port, &error), STATUS_FAILED);
    assert_null(port);
    unlink(path);
}

static void test_stable_names(void **state)
{
    const struct pair *pair = *state;
    char first[128], name[256];
    snprintf(first, sizeof first, "%s/usb-a-first", pair->folder);
    assert_int_equal(symlink(pair->name, first), 0);
    assert_true(serial_stable_name(pair->folder, pair->name, name, sizeof name));
    assert_string_equal(name, first); /* of two the first by alphabet */
    unlink(first);
    assert_true(serial_stable_name(pair->folder, pair->name, name, sizeof name));
    assert_string_equal(name, pair->link);
    assert_false(serial_stable_name(pair->folder, "/dev/null", name, sizeof name));
    assert_string_equal(name, "");
    assert_false(serial_stable_name("/nonexistent", pair->name, name, sizeof name));
}

static bool listing_fails;

int __real_sp_list_ports(void *ports); /* the library stays behind drivers/serial */
int __wrap_sp_list_ports(void *ports);

/* As libserialport 0.1.2 does where one port of /sys has no device in /dev. */
int __wrap_sp_list_ports(void *ports)
{
    return listing_fails ? -3 /* SP_ERR_MEM */ : __real_sp_list_ports(ports);
}

static void list_ports(bool fails, struct serial_listing **listings, size_t *count)
{
    struct error error = {""};
    listing_fails = fails;
    enum status status = serial_list(listings, count, &error);
    listing_fails = false;
    if (access("/sys/class/tty", R_OK) == 0) {
        assert_int_equal(status, STATUS_OK);
    } else {
        assert_string_not_equal(error.text, "");
        *count = 0;
    }
}

static void test_listing(void **state)
{
    (void)state;
    struct serial_listing *listings = NULL, *by_hand = NULL;
    size_t count = 0, by_hand_count = 0;
    list_ports(false, &listings, &count);
    list_ports(true, &by_hand, &by_hand_count);
    assert_int_equal(by_hand_count, count);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(strncmp(listings[i].path, "/dev/", 5), 0);
        assert_string_equal(listings[i].path, by_hand[i].path);
    }
    (void)printf("figure: %zu serial ports here\n", count);
    free(listings);
    free(by_hand);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_bytes_pass_unchanged, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_any_baud_rate_and_absent_lines, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_second_owner_is_refused_by_name, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_holder_without_a_lock, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_hang_up_is_gone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_is_no_port, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_stable_names, set_up, tear_down),
        cmocka_unit_test(test_listing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
