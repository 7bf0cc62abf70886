/* SPDX-License-Identifier: MIT */
#include "bridge/hub/hub.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

static const char *const channel_names[] = {"a", "b"};
static const struct device_description house = {.id = "house",
                                                .name = "House",
                                                .driver = "simulator",
                                                .channel_count = 2,
                                                .channel_names = channel_names};

struct seen {
    struct hub *hub;
    unsigned added, removed, states, availabilities, events, devices, infos, healths, wakes;
    enum hub_reason reason;
    char text[HUB_STATE_SIZE];
    bool leaves; /* in its next state */
};

static void on_wake(void *context)
{
    ((struct seen *)context)->wakes++;
}

static void on_state(void *context, struct hub_device *device, enum hub_reason reason)
{
    struct seen *seen = context;
    struct text text;
    seen->states++;
    seen->reason = reason;
    text_init(&text, seen->text, sizeof seen->text);
    assert_true(hub_state_json(device, &text));
    if (seen->leaves)
        hub_unsubscribe(seen->hub, seen);
}

static void on_added(void *context, struct hub_device *device)
{
    struct seen *seen = context;
    seen->added++;
    assert_string_equal(hub_device_description(device)->id, "house");
    assert_false(hub_device_state(device)->channels[1].power_mw.known);
}

static void on_removed(void *context, struct hub_device *device)
{
    struct seen *seen = context;
    seen->removed++;
    assert_string_equal(hub_device_description(device)->id, "house");
    assert_null(hub_find(seen->hub, "house"));
}

static void on_availability(void *context, struct hub_device *device)
{
    struct seen *seen = context;
    seen->availabilities++;
    assert_string_equal(hub_availability_json(device),
                        hub_device_online(device) ? MESSAGE_ONLINE : MESSAGE_OFFLINE);
}

static void on_event(void *context, const struct message_event *event)
{
    ((struct seen *)context)->events++;
    assert_string_equal(event->type, "chip_reset");
}

static void on_devices(void *context)
{
    ((struct seen *)context)->devices++;
}

static void on_info(void *context)
{
    ((struct seen *)context)->infos++;
}

static void on_health(void *context)
{
    ((struct seen *)context)->healths++;
}

static void subscribe(struct hub *hub, struct seen *seen)
{
    const struct hub_output output = {
        .context = seen,
        .state = on_state,
        .availability = on_availability,
        .device_added = on_added,
        .device_removed = on_removed,
        .devices = on_devices,
        .event = on_event,
        .health = on_health,
        .info = on_info,
    };
    seen->hub = hub;
    assert_true(hub_subscribe(hub, &output));
}

static void test_outputs_are_informed(void **state)
{
    (void)state;
    struct seen early = {0}, late = {0}, wakes = {0};
    struct hub *hub = hub_create(on_wake, &wakes);
    subscribe(hub, &early);
    struct hub_device *device = hub_add(hub, &house, &early);
    subscribe(hub, &late);
    assert_ptr_equal(hub_device_owner(device), &early);
    assert_int_equal(early.added, 1);
    assert_int_equal(late.added, 1); /* it is there already */
    assert_int_equal(hub_device_count(hub), 1);
    assert_ptr_equal(hub_find(hub, "house"), device);
    assert_null(hub_find(hub, "garage"));

    struct channel_values values[2] = {{.power_mw = {true, 1500000}},
                                       {.power_mw = {true, -500000}}};
    const struct device_state written = {.channels = values, .frame_errors = 3};
    hub_state(hub, device, &written, HUB_READING);
    values[0].power_mw.value = 0; /* it was copied */
    assert_int_equal(late.states, 1);
    assert_int_equal(late.reason, HUB_READING);
    assert_non_null(strstr(late.text, "\"power_a\":1500.0"));
    assert_non_null(strstr(late.text, "\"power\":1000.0"));

    hub_availability(hub, device, true);
    hub_availability(hub, device, true); /* no edge */
    assert_int_equal(early.availabilities, 1);
    hub_set_disabled(hub, device, true);
    assert_int_equal(early.availabilities, 2);

    const struct message_event event = {.type = "chip_reset", .message = "It restarted."};
    hub_event(hub, &event);
    assert_int_equal(early.events, 1);

    hub_remove(hub, device);
    assert_int_equal(early.removed, 1);
    assert_int_equal(hub_device_count(hub), 0);
    hub_free(hub);
}

/* However much changes in one turn of the loop, a list is made once. */
static void test_lists_are_collected(void **state)
{
    (void)state;
    struct seen seen = {0}, wakes = {0};
    struct hub *hub = hub_create(on_wake, &wakes);
    subscribe(hub, &seen);
    for (int i = 0; i < 100; i++) {
        hub_remove(hub, hub_add(hub, &house, NULL));
        hub_health_changed(hub);
        hub_info_changed(hub);
    }
    assert_int_equal(seen.devices + seen.infos + seen.healths, 0);
    assert_int_equal(wakes.wakes, 1);
    hub_flush(hub);
    hub_flush(hub);
    assert_int_equal(seen.devices, 1);
    assert_int_equal(seen.infos, 1);
    assert_int_equal(seen.healths, 1);
    hub_free(hub);
}

static void test_an_output_may_leave_inside_a_callback(void **state)
{
    (void)state;
    struct seen first = {.leaves = true}, second = {0};
    struct hub *hub = hub_create(NULL, NULL);
    struct hub_device *device = hub_add(hub, &house, NULL);
    subscribe(hub, &first);
    subscribe(hub, &second);
    const struct channel_values values[2] = {{.flow = FLOW_UNKNOWN}};
    const struct device_state written = {.channels = values};
    hub_state(hub, device, &written, HUB_URGENT);
    hub_state(hub, device, &written, HUB_URGENT);
    assert_int_equal(first.states, 1);
    assert_int_equal(second.states, 2);
    hub_free(hub);
}

static void test_documents(void **state)
{
    (void)state;
    struct hub *hub = hub_create(NULL, NULL);
    struct hub_device *device = hub_add(hub, &house, NULL);
    hub_set_disabled(hub, device, true);
    char *devices = hub_devices_json(hub), *health = hub_health_json(hub),
         *info = hub_info_json(hub);
    json_t *list = json_loads(devices, 0, NULL);
    assert_true(json_is_true(json_object_get(json_array_get(list, 0), "disabled")));
    assert_non_null(strstr(health, "\"house\""));
    assert_non_null(strstr(info, "\"restart_required\":false"));
    json_decref(list);
    free(devices);
    free(health);
    free(info);
    hub_free(hub);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_outputs_are_informed),
        cmocka_unit_test(test_lists_are_collected),
        cmocka_unit_test(test_an_output_may_leave_inside_a_callback),
        cmocka_unit_test(test_documents),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
