/* SPDX-License-Identifier: MIT */
#include "bridge/mqtt/discovery.h"

#include <string.h>

#define STATE_TEMPLATE "{{ value_json['state'] }}"
#define OBJECT_ID_SIZE 160

const char *discovery_id(const struct device_description *device)
{
    return device->discovery_id != NULL && device->discovery_id[0] != '\0' ? device->discovery_id
                                                                           : device->id;
}

/* Jansson's iterators want a pointer to non-const, although they change nothing. */
static json_t *iterable(const json_t *json)
{
    return (json_t *)json;
}

static void object_id(const struct discovery_context *context, const char *device_id, char *id,
                      size_t size)
{
    struct text text;
    text_init(&text, id, size);
    text_append(&text, "bl2mqtt_%s_%s", context->bridge_id, device_id);
}

static void device_topic(const struct discovery_context *context, const char *device_id,
                         char *topic, size_t size)
{
    char id[OBJECT_ID_SIZE];
    object_id(context, device_id, id, sizeof id);
    struct text text;
    text_init(&text, topic, size);
    text_append(&text, "%s/device/%s/config", context->prefix, id);
}

static void component_topic(const struct discovery_context *context, const char *device_id,
                            const char *platform, const char *key, char *topic, size_t size)
{
    char id[OBJECT_ID_SIZE];
    object_id(context, device_id, id, sizeof id);
    struct text text;
    text_init(&text, topic, size);
    text_append(&text, "%s/%s/%s/%s/config", context->prefix, platform, id, key);
}

/* Texts of the form base/middle/end go into JSON often enough. */
static json_t *topic_json(const char *base, const char *middle, const char *end)
{
    return json_sprintf("%s/%s%s%s", base, middle, *end != '\0' ? "/" : "", end);
}

static void set_text(json_t *object, const char *key, const char *value)
{
    if (value != NULL && *value != '\0')
        json_object_set_new(object, key, json_string(value));
}

static void emit_json(json_t *payload, const char *topic, discovery_emit emit, void *emit_context)
{
    char *text = json_dumps(payload, JSON_COMPACT);
    json_decref(payload);
    if (text == NULL) /* only for text that is not UTF-8, which the configuration never holds */
        return;
    emit(emit_context, topic, text);
    free(text);
}

static json_t *availability_entry(json_t *topic)
{
    return json_pack("{s:o,s:s}", "topic", topic, "value_template", STATE_TEMPLATE);
}

static json_t *bridge_availability(const struct discovery_context *context)
{
    return json_pack("[o]", availability_entry(topic_json(context->base_topic, "bridge", "state")));
}

static json_t *device_availability(const struct discovery_context *context, const char *device_id)
{
    json_t *list = bridge_availability(context);
    json_array_append_new(
        list, availability_entry(topic_json(context->base_topic, device_id, "availability")));
    return list;
}

static json_t *origin(const struct discovery_context *context)
{
    return json_pack("{s:s,s:s}", "name", "bl2mqtt", "sw_version", context->version);
}

/* What Home Assistant allows in an entity id: lower case, and underscores only between other
 * characters, never two in a row. */
static void make_slug(char *text)
{
    char *to = text;
    for (const char *from = text; *from != '\0'; from++) {
        char c = *from >= 'A' && *from <= 'Z' ? (char)(*from - 'A' + 'a') : *from;
        bool word = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        if (word)
            *to++ = c;
        else if (to > text && to[-1] != '_')
            *to++ = '_';
    }
    while (to > text && to[-1] == '_')
        to--;
    *to = '\0';
}

/* Only used by Home Assistant when it meets the entity for the first time: a readable entity id. It
 * is made from the device's id, not from its name, like everything that lasts. */
static void set_entity_ids(const struct discovery_context *context, json_t *component,
                           const char *platform, const char *device_id, const char *key)
{
    char id[OBJECT_ID_SIZE];
    struct text text;
    text_init(&text, id, sizeof id);
    if (strcmp(device_id, DISCOVERY_BRIDGE_DEVICE) == 0)
        text_append(&text, "bl2mqtt_%s_%s", context->bridge_id, key);
    else
        text_append(&text, "%s_%s", device_id, key);
    make_slug(id);
    /* default_entity_id since Home Assistant 2025.10, object_id until 2026.3; each ignores the
     * other's. */
    json_object_set_new(component, "default_entity_id", json_sprintf("%s.%s", platform, id));
    json_object_set_new(component, "object_id", json_string(id));
}

static json_t *new_component(const struct discovery_context *context, const char *platform,
                             const char *device_id, const char *key, const char *label)
{
    char id[OBJECT_ID_SIZE];
    object_id(context, device_id, id, sizeof id);
    json_t *component = json_object();
    set_text(component, "platform", platform);
    json_object_set_new(component, "unique_id", json_sprintf("%s_%s", id, key));
    set_entity_ids(context, component, platform, device_id, key);
    set_text(component, "name", label);
    return component;
}

/* "key" -> {{ value_json['key'] }}: not value_json.key, because a key may be a method's name. */
static void set_value_template(json_t *component, const char *key, const char *filter)
{
    json_object_set_new(component, "value_template",
                        json_sprintf("{{ value_json['%s']%s }}", key, filter));
}

/* JSON's true and false arrive in templates as "True" and "False". */
static void set_binary(json_t *component, const char *key)
{
    set_value_template(component, key, " | lower");
    set_text(component, "payload_on", "true");
    set_text(component, "payload_off", "false");
}

static json_t *thousandths(int64_t milli)
{
    return milli % 1000 == 0 ? json_integer((json_int_t)(milli / 1000))
                             : json_real((double)milli / 1000);
}

/* Without quotes: what Home Assistant renders is the value's JSON. */
static void set_command_template(json_t *component, const struct property *property,
                                 const char *value)
{
    json_object_set_new(component, "command_template",
                        json_sprintf("{\"%s\": %s }", property->name, value));
}

/* What <base>/<device>/set takes. */
static void set_settable(json_t *component, const struct discovery_context *context,
                         const char *device_id, const struct property *property)
{
    json_object_set_new(component, "command_topic",
                        topic_json(context->base_topic, device_id, "set"));
    if (property->platform == PLATFORM_SELECT)
        set_command_template(component, property, "\"{{ value }}\"");
    if (property->platform == PLATFORM_SWITCH) {
        set_value_template(component, property->name, " | lower");
        set_text(component, "state_on", "true");
        set_text(component, "state_off", "false");
        json_object_set_new(component, "payload_on",
                            json_sprintf("{\"%s\": true}", property->name));
        json_object_set_new(component, "payload_off",
                            json_sprintf("{\"%s\": false}", property->name));
    }
    if (property->platform != PLATFORM_NUMBER)
        return;
    set_command_template(component, property, "{{ value }}");
    json_object_set_new(component, "min", thousandths(property->low_milli));
    json_object_set_new(component, "max", thousandths(property->high_milli));
    json_object_set_new(component, "step", thousandths(property->step_milli));
    set_text(component, "mode", "box");
}

/* The state's object as it is; Home Assistant's "Install" is a request to the bridge. */
static void set_update(json_t *component, const struct discovery_context *context,
                       const char *device_id, const char *key)
{
    set_value_template(component, key, " | tojson");
    json_object_set_new(component, "command_topic",
                        topic_json(context->base_topic, "bridge/request/device", "update"));
    json_object_set_new(component, "payload_install", json_sprintf("{\"id\": \"%s\"}", device_id));
    set_text(component, "title", "OpenBeken");
    set_text(component, "entity_category", "config");
}

static void set_options(json_t *component, const struct property *property)
{
    if (property->options[0] == NULL)
        return;
    json_t *options = json_array();
    size_t offered =
        property->options_offered > 0 ? property->options_offered : PROPERTY_OPTIONS_MAX;
    for (size_t i = 0; i < offered && property->options[i] != NULL; i++)
        json_array_append_new(options, json_string(property->options[i]));
    json_object_set_new(component, "options", options);
}

/* What the user wants otherwise. */
static void override_component(json_t *component, const struct device_description *device,
                               const char *key)
{
    const struct device_entity *entity = device_entity_find(device, key);
    if (entity == NULL)
        return;
    set_text(component, "name", entity->name);
    set_text(component, "icon", entity->icon);
    if (entity->enabled == 0)
        json_object_set_new(component, "enabled_by_default", json_false());
    if (entity->enabled == 1)
        json_object_del(component, "enabled_by_default");
    if (entity->decimals >= 0 && json_object_get(component, "suggested_display_precision") != NULL)
        json_object_set_new(component, "suggested_display_precision",
                            json_integer(entity->decimals));
}

static json_t *property_component(const struct discovery_context *context,
                                  const struct device_description *device,
                                  const struct property *property, int channel, const char *key)
{
    char label[64];
    property_label(property, device, channel, label, sizeof label);
    json_t *component = new_component(context, property_platform_name(property->platform),
                                      discovery_id(device), key, label);
    set_text(component, "device_class", property->device_class);
    set_text(component, "unit_of_measurement", property_unit(property, device));
    set_text(component, "state_class", property->state_class);
    set_text(component, "icon", property->icon);
    if (property->settable)
        set_text(component, "entity_category", "config");
    else if (property->diagnostic)
        set_text(component, "entity_category", "diagnostic");
    if (!property->enabled)
        json_object_set_new(component, "enabled_by_default", json_false());
    set_options(component, property);

    if (property->platform == PLATFORM_BINARY_SENSOR) {
        set_binary(component, key);
        if (property->scope == PROPERTY_ALARM) /* it may be unknown, and "none" is no state */
            set_value_template(component, key,
                               " | string | replace('True', 'true') | replace('False', 'false')");
        return component;
    }
    if (property->platform == PLATFORM_UPDATE) {
        set_update(component, context, device->id, key);
        return component;
    }
    set_value_template(component, key, "");
    if (property->settable)
        set_settable(component, context, device->id, property);
    else if (property_unit(property, device) != NULL)
        json_object_set_new(component, "suggested_display_precision",
                            json_integer((json_int_t)property_decimals(property, device)));
    if (property->last_reset != NULL)
        json_object_set_new(component, "last_reset_value_template",
                            json_sprintf("{{ value_json['%s'] }}", property->last_reset));
    return component;
}

/* What discovery_device and discovery_bridge have in common: everything but the components. */
struct announcement {
    const struct discovery_context *context;
    const char *device_id;
    const struct device_description *device; /* NULL for the bridge */
    json_t *components;                      /* key -> component */
    json_t *device_json;
    json_t *availability;
    const char *availability_mode; /* NULL: one topic, no mode */
    json_t *state_topic;           /* inherited by all components, or NULL */
};

/* In device mode `platform` stands in the component, in component mode in the topic. Shared options
 * go to the root, which allows no others than these. */
static void emit_device_mode(const struct announcement *a, const json_t *removed,
                             discovery_emit emit, void *emit_context)
{
    const char *key;
    json_t *platform;
    json_object_foreach(iterable(removed), key, platform)
    {
        if (json_object_get(a->components, key) == NULL)
            json_object_set_new(a->components, key, json_pack("{s:O}", "platform", platform));
    }

    char topic[DISCOVERY_TOPIC_SIZE];
    device_topic(a->context, a->device_id, topic, sizeof topic);
    json_t *root = json_pack("{s:O,s:o,s:O,s:i}", "device", a->device_json, "origin",
                             origin(a->context), "availability", a->availability, "qos", 1);
    set_text(root, "availability_mode", a->availability_mode);
    if (a->state_topic != NULL)
        json_object_set(root, "state_topic", a->state_topic);
    json_object_set(root, "components", a->components);
    emit_json(root, topic, emit, emit_context);
}

static void emit_one_component(const struct announcement *a, const char *key,
                               const json_t *component, discovery_emit emit, void *emit_context)
{
    json_t *payload = json_copy(iterable(component));
    const char *platform = json_string_value(json_object_get(component, "platform"));
    char topic[DISCOVERY_TOPIC_SIZE];
    component_topic(a->context, a->device_id, platform, key, topic, sizeof topic);
    json_object_del(payload, "platform");
    json_object_set(payload, "device", a->device_json);
    json_object_set_new(payload, "origin", origin(a->context));
    if (json_object_get(payload, "availability") == NULL) {
        json_object_set(payload, "availability", a->availability);
        set_text(payload, "availability_mode", a->availability_mode);
    }
    if (a->state_topic != NULL)
        json_object_set(payload, "state_topic", a->state_topic);
    json_object_set_new(payload, "qos", json_integer(1));
    emit_json(payload, topic, emit, emit_context);
}

static void emit_component_mode(const struct announcement *a, const json_t *removed,
                                discovery_emit emit, void *emit_context)
{
    const char *key;
    json_t *value;
    json_object_foreach(iterable(removed), key, value)
    {
        if (json_object_get(a->components, key) != NULL)
            continue;
        char topic[DISCOVERY_TOPIC_SIZE];
        component_topic(a->context, a->device_id, json_string_value(value), key, topic,
                        sizeof topic);
        emit(emit_context, topic, "");
    }
    json_object_foreach(a->components, key, value)
        emit_one_component(a, key, value, emit, emit_context);
}

static void emit_announcement(struct announcement *a, const json_t *removed, discovery_emit emit,
                              void *emit_context)
{
    if (a->context->device_mode)
        emit_device_mode(a, removed, emit, emit_context);
    else
        emit_component_mode(a, removed, emit, emit_context);
    json_decref(a->components);
    json_decref(a->device_json);
    json_decref(a->availability);
    json_decref(a->state_topic);
}

static void add_component(void *context, const struct property *property, int channel,
                          const char *key)
{
    struct announcement *a = context;
    json_t *component = property_component(a->context, a->device, property, channel, key);
    override_component(component, a->device, key);
    json_object_set_new(a->components, key, component);
}

/* What can be pressed, per channel. Rare, and so disabled by default. */
static void add_reset_button(void *context, const struct property *property, int channel,
                             const char *key)
{
    struct announcement *a = context;
    char label[64];
    property_label(property, a->device, channel, label, sizeof label);
    json_t *button = new_component(a->context, "button", a->device_id, key, label);
    set_text(button, "entity_category", "config");
    set_text(button, "icon", property->icon);
    json_object_set_new(button, "enabled_by_default", json_false());
    json_object_set_new(button, "command_topic",
                        topic_json(a->context->base_topic, "bridge/request/device/energy", "set"));
    json_object_set_new(button, "payload_press",
                        json_sprintf("{\"id\": \"%s\", \"channel\": \"%s\", \"energy\": 0, "
                                     "\"energy_produced\": 0}",
                                     a->device->id, a->device->channel_names[channel]));
    override_component(button, a->device, key);
    json_object_set_new(a->components, key, button);
}

static const char *announced_name(const struct device_description *device)
{
    const char *name = device->homeassistant_name;
    return name != NULL && name[0] != '\0' ? name : device->name;
}

void discovery_device(const struct discovery_context *context,
                      const struct device_description *device, const json_t *removed,
                      discovery_emit emit, void *emit_context)
{
    char id[OBJECT_ID_SIZE];
    char bridge[OBJECT_ID_SIZE];
    object_id(context, discovery_id(device), id, sizeof id);
    object_id(context, DISCOVERY_BRIDGE_DEVICE, bridge, sizeof bridge);

    struct announcement a = {
        .context = context,
        .device_id = discovery_id(device),
        .device = device,
        .components = json_object(),
        .device_json = json_pack("{s:[s],s:s}", "identifiers", id, "name", announced_name(device)),
        .availability = device_availability(context, device->id),
        .availability_mode = "all",
        .state_topic = topic_json(context->base_topic, device->id, ""),
    };
    set_text(a.device_json, "manufacturer", device->manufacturer);
    set_text(a.device_json, "model", device->model);
    set_text(a.device_json, "sw_version", device->version);
    set_text(a.device_json, "configuration_url", device->url);
    set_text(a.device_json, "via_device", bridge);
    entities_visit(device, add_component, &a);
    buttons_visit(device, add_reset_button, &a);
    emit_announcement(&a, removed, emit, emit_context);
}

/* The bridge's entities. Keys, like those of properties, are never changed. */
struct bridge_component {
    const char *key, *label, *platform;
    const char *device_class; /* NULL: none */
    const char *category;     /* "diagnostic" or "config" */
    const char *topic;        /* of its state, below <base>/bridge/; NULL: it has none */
    const char *value;        /* template; NULL: the value under its key */
    const char *request;      /* what it asks for, below <base>/bridge/request/; NULL: nothing */
    const char *command;      /* what it sends: a button's payload, or a template */
    enum { ALWAYS, WITH_PRICES, WITH_CO2 } when;
    const char *unit, *icon; /* NULL: none; the unit of a price has the currency before it */
    bool hidden;             /* disabled by default */
};

/* Home Assistant keeps no more than 255 characters of a state. */
#define PROBLEMS_TEMPLATE "{{ ((value_json['problems'] | join(' ')) or 'none')[:250] }}"

static const struct bridge_component bridge_components[] = {
    {"connection_state", "Connection state", "binary_sensor", "connectivity", "diagnostic", "state",
     STATE_TEMPLATE, .request = NULL},
    {"version", "Version", "sensor", NULL, "diagnostic", "info", .request = NULL},
    {"problem", "Problem", "binary_sensor", "problem", "diagnostic", "health", .request = NULL},
    {"problems", "Problems", "sensor", NULL, "diagnostic", "health", PROBLEMS_TEMPLATE,
     .request = NULL},
    {"restart_required", "Restart required", "binary_sensor", "problem", "diagnostic", "info",
     .hidden = true},
    {"restart", "Restart", "button", "restart", "config", .request = "restart", .command = "{}"},
    {"backup", "Back up the history", "button", NULL, "config", .request = "backup",
     .command = "{}"},
    {"log_level", "Log level", "select", NULL, "config", "info", .request = "log_level",
     .command = "{\"level\": \"{{ value }}\"}"},
    {"permit_join", "Look for modules", "switch", NULL, "config", "info", .request = "permit_join"},
    {"price", "Price", "sensor", .topic = "price", .when = WITH_PRICES, .unit = "/kWh",
     .icon = "mdi:cash"},
    {"feed_in", "Feed-in price", "sensor", .topic = "price", .when = WITH_PRICES, .unit = "/kWh",
     .icon = "mdi:cash-plus", .hidden = true},
    {"co2_g_per_kwh", "CO2 intensity", "sensor", .topic = "co2", .when = WITH_CO2,
     .unit = "gCO2eq/kWh", .icon = "mdi:molecule-co2"},
};

static const size_t bridge_component_count = sizeof bridge_components / sizeof bridge_components[0];

static bool bridge_has(const struct discovery_context *context, const struct bridge_component *made)
{
    bool prices = context->currency != NULL && context->currency[0] != '\0';
    return made->when == ALWAYS || (made->when == WITH_PRICES ? prices : context->co2);
}

/* The parts that only one platform has. */
static void set_platform(json_t *component, const struct bridge_component *made)
{
    if (strcmp(made->platform, "button") == 0)
        set_text(component, "payload_press", made->command);
    if (strcmp(made->platform, "select") == 0) {
        set_text(component, "command_template", made->command);
        json_object_set_new(component, "options",
                            json_pack("[s,s,s,s]", "error", "warning", "info", "debug"));
    }
    if (strcmp(made->platform, "switch") == 0) {
        set_value_template(component, made->key, " | lower");
        set_text(component, "state_on", "true");
        set_text(component, "state_off", "false");
        set_text(component, "payload_on", "{\"value\": true}");
        set_text(component, "payload_off", "{\"value\": false}");
    }
    if (strcmp(made->key, "connection_state") == 0) {
        set_text(component, "payload_on", "online");
        set_text(component, "payload_off", "offline");
        /* It must say "disconnected" just when the bridge is not available. */
        json_object_set_new(component, "availability", json_array());
    } else if (strcmp(made->platform, "binary_sensor") == 0) {
        set_binary(component, made->key);
    }
}

static json_t *bridge_component(const struct discovery_context *context,
                                const struct bridge_component *made)
{
    json_t *component =
        new_component(context, made->platform, DISCOVERY_BRIDGE_DEVICE, made->key, made->label);
    set_text(component, "device_class", made->device_class);
    set_text(component, "entity_category", made->category);
    if (made->topic != NULL) {
        json_object_set_new(component, "state_topic",
                            topic_json(context->base_topic, "bridge", made->topic));
        set_value_template(component, made->key, "");
    }
    set_text(component, "value_template", made->value);
    if (made->request != NULL)
        json_object_set_new(component, "command_topic",
                            topic_json(context->base_topic, "bridge/request", made->request));
    set_text(component, "icon", made->icon);
    if (made->unit != NULL) {
        json_object_set_new(
            component, "unit_of_measurement",
            json_sprintf("%s%s", made->when == WITH_PRICES ? context->currency : "", made->unit));
        set_text(component, "state_class", "measurement");
    }
    if (made->hidden)
        json_object_set_new(component, "enabled_by_default", json_false());
    set_platform(component, made);
    return component;
}

void discovery_bridge(const struct discovery_context *context, const json_t *removed,
                      discovery_emit emit, void *emit_context)
{
    char id[OBJECT_ID_SIZE];
    object_id(context, DISCOVERY_BRIDGE_DEVICE, id, sizeof id);
    struct announcement a = {
        .context = context,
        .device_id = DISCOVERY_BRIDGE_DEVICE,
        .components = json_object(),
        .device_json = json_pack("{s:[s],s:o,s:s,s:s,s:s}", "identifiers", id, "name",
                                 json_sprintf("bl2mqtt %s", context->bridge_id), "manufacturer",
                                 "bl2mqtt", "model", "Bridge", "sw_version", context->version),
        .availability = bridge_availability(context),
    };
    for (size_t i = 0; i < bridge_component_count; i++) {
        if (!bridge_has(context, &bridge_components[i]))
            continue;
        json_object_set_new(a.components, bridge_components[i].key,
                            bridge_component(context, &bridge_components[i]));
    }
    emit_announcement(&a, removed, emit, emit_context);
}

static void emit_everywhere(const struct discovery_context *context, const char *device_id,
                            const json_t *announced, const char *payload, discovery_emit emit,
                            void *emit_context)
{
    char topic[DISCOVERY_TOPIC_SIZE];
    if (context->device_mode) {
        device_topic(context, device_id, topic, sizeof topic);
        emit(emit_context, topic, payload);
        return;
    }
    const char *key;
    json_t *platform;
    json_object_foreach(iterable(announced), key, platform)
    {
        component_topic(context, device_id, json_string_value(platform), key, topic, sizeof topic);
        emit(emit_context, topic, payload);
    }
}

void discovery_remove(const struct discovery_context *context, const char *device_id,
                      const json_t *announced, discovery_emit emit, void *emit_context)
{
    emit_everywhere(context, device_id, announced, "", emit, emit_context);
}

void discovery_migrate(const struct discovery_context *context, const char *device_id,
                       const json_t *announced, discovery_emit emit, void *emit_context)
{
    /* Exactly this and no other key, or it is taken for a (bad) announcement. */
    emit_everywhere(context, device_id, announced, "{\"migrate_discovery\":true}", emit,
                    emit_context);
}

static void add_announced(void *context, const struct property *property, int channel,
                          const char *key)
{
    (void)channel;
    json_object_set_new(context, key, json_string(property_platform_name(property->platform)));
}

static void add_announced_button(void *context, const struct property *property, int channel,
                                 const char *key)
{
    (void)property;
    (void)channel;
    json_object_set_new(context, key, json_string("button"));
}

json_t *discovery_announced(const struct device_description *device)
{
    json_t *announced = json_object();
    entities_visit(device, add_announced, announced);
    buttons_visit(device, add_announced_button, announced);
    return announced;
}

json_t *discovery_bridge_announced(const struct discovery_context *context)
{
    json_t *announced = json_object();
    for (size_t i = 0; i < bridge_component_count; i++)
        if (bridge_has(context, &bridge_components[i]))
            json_object_set_new(announced, bridge_components[i].key,
                                json_string(bridge_components[i].platform));
    return announced;
}

void discovery_filter(const struct discovery_context *context, const char *device_id, char *filter,
                      size_t size)
{
    if (context->device_mode)
        device_topic(context, device_id, filter, size);
    else
        component_topic(context, device_id, "+", "+", filter, size);
}

/* If text starts with what and a slash, moves past both. */
static bool skip_level(const char **text, const char *what)
{
    size_t length = strlen(what);
    if (strncmp(*text, what, length) != 0 || (*text)[length] != '/')
        return false;
    *text += length + 1;
    return true;
}

/* Copies the level at *text and moves past it and its slash; false if it is empty or does not fit. */
static bool take_level(const char **text, char *level, size_t size)
{
    size_t length = strcspn(*text, "/");
    if (length == 0 || length >= size || (*text)[length] != '/')
        return false;
    memcpy(level, *text, length);
    level[length] = '\0';
    *text += length + 1;
    return true;
}

bool discovery_topic_read(const struct discovery_context *context, const char *topic,
                          char device_id[DISCOVERY_DEVICE_ID_SIZE], char *key, size_t key_size)
{
    char before[OBJECT_ID_SIZE]; /* the object id of a device without a name */
    object_id(context, "", before, sizeof before);
    size_t length = strlen(before);
    key[0] = '\0';
    if (!skip_level(&topic, context->prefix))
        return false;
    if (context->device_mode && !skip_level(&topic, "device"))
        return false;
    const char *slash = strchr(topic, '/'); /* behind the platform, whichever */
    if (!context->device_mode && slash == NULL)
        return false;
    if (!context->device_mode)
        topic = slash + 1;
    if (strncmp(topic, before, length) != 0)
        return false;
    topic += length;
    return take_level(&topic, device_id, DISCOVERY_DEVICE_ID_SIZE) &&
           (context->device_mode || take_level(&topic, key, key_size)) &&
           strcmp(topic, "config") == 0;
}

bool discovery_topic_matches(const struct discovery_context *context, const char *device_id,
                             const char *topic, char *key, size_t key_size)
{
    char found[DISCOVERY_DEVICE_ID_SIZE];
    return discovery_topic_read(context, topic, found, key, key_size) &&
           strcmp(found, device_id) == 0;
}
