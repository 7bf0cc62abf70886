/* SPDX-License-Identifier: MIT */
/* bridge/config/edit: what changes in the text of bridge.yaml, and above all what does not. */
#include "bridge/config/edit.h"

#include "drivers/base/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

struct edit_case {
    const char *what;
    const char *device;  /* NULL: the whole file */
    const char *options; /* JSON; ' for " */
    const char *before, *after;
};

static json_t *json_of(const char *words)
{
    char *text memory_auto = memory_copy_text(words);
    for (char *quote = text; (quote = strchr(quote, '\'')) != NULL;)
        *quote = '"';
    json_t *value = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(value);
    return value;
}

static void test_options(void **state)
{
    static const struct edit_case cases[] = {
        {"a value keeps its comment", NULL, "{'bridge':{'log_level':'debug'}}",
         "bridge:\n  log_level: info   # how much\n  id: home\n",
         "bridge:\n  log_level: debug   # how much\n  id: home\n"},
        {"the same value changes nothing", NULL, "{'bridge':{'log_level':'info','n':5}}",
         "bridge: {log_level:   'info', n: 5.0}\n", "bridge: {log_level:   'info', n: 5.0}\n"},
        {"a new key goes to the end of its block, in front of comments", NULL,
         "{'mqtt':{'version':'5'}}",
         "mqtt:\n  server: mqtt://h:1 # here\n\n# next\nweb:\n  listen: off\n",
         "mqtt:\n  server: mqtt://h:1 # here\n  version: \"5\"\n\n# next\nweb:\n  listen: off\n"},
        {"a group that is missing", NULL, "{'history':{'keep':{'raw':'7d'}}}", "mqtt:\n  user: u\n",
         "mqtt:\n  user: u\nhistory:\n  keep: {raw: 7d}\n"},
        {"a group whose keys are commented out", NULL, "{'mqtt':{'user':'me'}}",
         "mqtt:   # the broker\n  # user: you\nweb: {}\n",
         "mqtt:   # the broker\n  user: me\n  # user: you\nweb: {}\n"},
        {"a flow mapping grows inside", NULL, "{'history':{'keep':{'minute':'2y'}}}",
         "history:\n  keep: {raw: 30d}  # for now\n",
         "history:\n  keep: {raw: 30d, minute: 2y}  # for now\n"},
        {"an empty flow mapping", NULL, "{'web':{'listen':'off'}}", "web: {}\n",
         "web: {listen: \"off\"}\n"},
        {"a key without a value", NULL, "{'mqtt':{'user':'x y'}}",
         "mqtt:\n  user:  # none\n  ca:\n", "mqtt:\n  user: \"x y\"  # none\n  ca:\n"},
        {"the last line has no end", NULL, "{'a':{'c':2}}", "a:\n  b: 1", "a:\n  b: 1\n  c: 2\n"},
        {"an empty file", NULL, "{'bridge':{'id':'x'}}", "", "bridge: {id: x}\n"},
        {"a file of comments", NULL, "{'bridge':{'id':'x'}}", "# mine\n",
         "# mine\nbridge: {id: x}\n"},
        {"line ends of another system", NULL, "{'a':{'b':2,'c':3}}", "a:\r\n  b: 1 # x\r\nd: 1\r\n",
         "a:\r\n  b: 2 # x\r\n  c: 3\r\nd: 1\r\n"},
        {"characters of several bytes in front", NULL, "{'b':'z'}",
         "a: '\xc3\xa4\xe2\x82\xac' # \xf0\x9f\x94\x8c\nb: y # \xc3\xbc\n",
         "a: '\xc3\xa4\xe2\x82\xac' # \xf0\x9f\x94\x8c\nb: z # \xc3\xbc\n"},
        {"a byte order mark", NULL, "{'a':2}",
         "\xef\xbb\xbf"
         "a: 1\n",
         "\xef\xbb\xbf"
         "a: 2\n"},
        {"null takes the line away", NULL, "{'mqtt':{'user':null,'absent':null}}",
         "mqtt:\n  server: s\n  user: u # me\n  ca: c\n", "mqtt:\n  server: s\n  ca: c\n"},
        {"null in a flow mapping", NULL, "{'a':{'b':null},'c':{'e':null}}",
         "a: {b: 1, x: 2}\nc: {d: 1, e: 2}\n", "a: {x: 2}\nc: {d: 1}\n"},
        {"the secret that is shown as stars", NULL, "{'mqtt':{'password':'********','user':'v'}}",
         "mqtt:\n  password: !secret p\n  user: u\n", "mqtt:\n  password: !secret p\n  user: v\n"},
        {"a device by its id", NULL, "{'devices':[{'id':'b','name':'Bee'}]}",
         "devices:\n  - id: a\n    name: A\n  - name: B # b\n    id: b\n",
         "devices:\n  - id: a\n    name: A\n  - name: Bee # b\n    id: b\n"},
        {"devices as an object", NULL, "{'devices':{'a':{'interval':'2s'}}}",
         "devices:\n- id: a\n  # why\n  interval: 1s\n\n- id: b\n",
         "devices:\n- id: a\n  # why\n  interval: 2s\n\n- id: b\n"},
        {"a channel of a device", "a", "{'channels':{'b':{'invert':true}}}",
         "devices:\n  - id: a\n    channels:\n      a: {port: /dev/x}\n      b: {port: /dev/y} # "
         "solar\n",
         "devices:\n  - id: a\n    channels:\n      a: {port: /dev/x}\n      b: {port: /dev/y, "
         "invert: true} # solar\n"},
        {"a new channel", "a", "{'channels':{'b':{'port':'/dev/y'}}}",
         "devices:\n  - id: a\n    channels:\n      a: {port: /dev/x}\n# end\n",
         "devices:\n  - id: a\n    channels:\n      a: {port: /dev/x}\n      b: {port: /dev/y}\n# "
         "end\n"},
        {"a device in one line", "d", "{'interval':'5s'}",
         "devices:\n  - {id: d, driver: simulator, channels: {a: {}}}\n",
         "devices:\n  - {id: d, driver: simulator, channels: {a: {}}, interval: 5s}\n"},
        {"the first key of an element", "d", "{'name':null}", "devices:\n  - name: x\n    id: d\n",
         "devices:\n  - id: d\n"},
        {"a list in place of a list", NULL, "{'sinks':[{'id':'x','send':['minutes','days']}]}",
         "sinks:\n  - id: x\n    send: [readings]\n",
         "sinks:\n  - id: x\n    send: [minutes, days]\n"},
        {"an element more, the others are untouched", "d",
         "{'alarms':[{'name':'a','when':'power > 1'},{'name':'b','when':'power_a > 7000'}]}",
         "devices:\n  - id: d\n    alarms:\n      # first\n      - {name: a, when: power > 1} # "
         "one\n    name: D\n",
         "devices:\n  - id: d\n    alarms:\n      # first\n      - {name: a, when: power > 1} # "
         "one\n"
         "      - name: b\n        when: \"power_a > 7000\"\n    name: D\n"},
        {"an element less", "d", "{'alarms':[{'name':'b'}]}",
         "devices:\n  - id: d\n    alarms:\n      - name: a # gone\n      - name: b # stays\n",
         "devices:\n  - id: d\n    alarms:\n      - name: b # stays\n"},
        {"elements that begin with a minus", "d", "{'sum':['house/a','-solar/b']}",
         "devices:\n  - id: d\n    sum:\n      - house/a # all\n      - -solar/a\n",
         "devices:\n  - id: d\n    sum:\n      - house/a # all\n      - \"-solar/b\"\n"},
        {"a block becomes one line and keeps the key's comment", NULL, "{'windows':[]}",
         "windows: # of the tariff\n  - {from: 1}\n  - {from: 2}\nnext: 1\n",
         "windows: [] # of the tariff\nnext: 1\n"},
        {"a value in the place of a group becomes one", "d",
         "{'homeassistant':{'exclude':['energy']}}",
         "devices:\n  - id: d\n    homeassistant: false # not yet\n",
         "devices:\n  - id: d\n    homeassistant: {enabled: false, exclude: [energy]} # not yet\n"},
        {"... and its key is another value", "d", "{'homeassistant':{'enabled':true}}",
         "devices:\n  - id: d\n    homeassistant: false\n",
         "devices:\n  - id: d\n    homeassistant: {enabled: true}\n"},
        {"quotes stay, needed or not", NULL, "{'a':'new','b':'it is','c':5,'d':'x'}",
         "a: \"old\" # one\nb: 'was'\nc: \"4\"\nd: y\n",
         "a: \"new\" # one\nb: 'it is'\nc: 5\nd: x\n"},
        {"a text over several lines", NULL, "{'a':'short'}", "a: >-\n  long\n  text\n\n# c\nb: 1\n",
         "a: short\n\n# c\nb: 1\n"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        json_t *options = json_of(cases[i].options);
        char *result = NULL;
        struct error error = {""};
        enum status status =
            config_edit_options(cases[i].before, cases[i].device, options, &result, &error);
        if (status != STATUS_OK)
            fail_msg("%s: %s", cases[i].what, error.text);
        if (strcmp(result, cases[i].after) != 0)
            fail_msg("%s:\n%s--- should be\n%s", cases[i].what, result, cases[i].after);
        free(result);
        json_decref(options);
    }
}

static void test_refusals(void **state)
{
    static const struct {
        const char *options, *text;
        enum status status;
        const char *words;
    } cases[] = {
        {"{'mqtt':{'password':'new'}}", "mqtt: {password: !secret p}\n", STATUS_REFUSED,
         "secrets.yaml"},
        {"{'devices':{'x':{'name':'y'}}}", "devices:\n  - id: a\n", STATUS_USAGE, "\"x\""},
        {"{'devices':[{'name':'y'}]}", "devices:\n  - id: a\n", STATUS_USAGE, "its id"},
        {"{'a':{'b':1}}", "a: text\n", STATUS_USAGE, "no group"},
        {"{'a':1}", "a: [1\nb: 2\n", STATUS_USAGE, "line 2"},
        {"[1]", "a: 1\n", STATUS_USAGE, "JSON object"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        json_t *options = json_of(cases[i].options);
        char *result = NULL;
        struct error error = {""};
        assert_int_equal(config_edit_options(cases[i].text, NULL, options, &result, &error),
                         cases[i].status);
        if (strstr(error.text, cases[i].words) == NULL)
            fail_msg("\"%s\" lacks \"%s\"", error.text, cases[i].words);
        assert_null(result);
        json_decref(options);
    }
}

static void check_text(char *result, const char *wanted)
{
    assert_non_null(result);
    if (strcmp(result, wanted) != 0)
        fail_msg("%s--- should be\n%s", result, wanted);
    free(result);
}

static void test_adding_devices(void **state)
{
    static const struct {
        const char *before, *after;
    } cases[] = {
        {"mqtt: {}\n", "mqtt: {}\ndevices:\n  - id: new\n    driver: bl0942\n    channels:\n"
                       "      a: {port: /dev/x, baud: 4800}\n"},
        {"devices: []  # none yet\nweb: {}\n",
         "devices:  # none yet\n  - id: new\n    driver: bl0942\n    channels:\n"
         "      a: {port: /dev/x, baud: 4800}\nweb: {}\n"},
        {"devices:\n", "devices:\n  - id: new\n    driver: bl0942\n    channels:\n"
                       "      a: {port: /dev/x, baud: 4800}\n"},
        {"devices:\n- id: a # first\n\n# end\n",
         "devices:\n- id: a # first\n- id: new\n  driver: bl0942\n  channels:\n"
         "    a: {port: /dev/x, baud: 4800}\n\n# end\n"},
        {"{\"web\": {}, \"devices\": []}\n",
         "{\"web\": {}, \"devices\": [{driver: bl0942, id: new, channels: {a: {port: /dev/x, baud: "
         "4800}}}]}\n"},
        {"{\"web\": {}}\n",
         "{\"web\": {}, devices: [{driver: bl0942, id: new, channels: {a: {port: "
         "/dev/x, baud: 4800}}}]}\n"},
        {"devices: [{id: a}] # all\n", "devices: [{id: a}, {driver: bl0942, id: new, channels: {a: "
                                       "{port: /dev/x, baud: 4800}}}] # all\n"},
    };
    (void)state;
    json_t *device =
        json_of("{'driver':'bl0942','id':'new','channels':{'a':{'port':'/dev/x','baud':4800}}}");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *result = NULL;
        assert_int_equal(config_edit_add_device(cases[i].before, device, &result, NULL), STATUS_OK);
        check_text(result, cases[i].after);
    }
    char *result = NULL;
    struct error error = {""};
    assert_int_equal(config_edit_add_device("devices: [{id: new}]\n", device, &result, &error),
                     STATUS_USAGE);
    assert_non_null(strstr(error.text, "already"));
    json_decref(device);
}

static void test_removing_devices(void **state)
{
    static const struct {
        const char *before, *after;
    } cases[] = {
        {"devices:\n  # both\n  - id: a\n  - id: b # b\n    name: B\n\n# end\n",
         "devices:\n  # both\n  - id: a\n\n# end\n"},
        {"devices:\n  - name: B\n    id: b\n  - id: c\n", "devices:\n  - id: c\n"},
        {"devices: # list\n  - id: b\nweb: {}\n", "devices: [] # list\nweb: {}\n"},
        {"devices: [{id: a}, {id: b}, {id: c}]\n", "devices: [{id: a}, {id: c}]\n"},
        {"devices: [{id: b}, {id: c}]\n", "devices: [{id: c}]\n"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *result = NULL;
        assert_int_equal(config_edit_remove_device(cases[i].before, "b", &result, NULL), STATUS_OK);
        check_text(result, cases[i].after);
    }
    char *result = NULL;
    assert_int_equal(config_edit_remove_device("devices: []\n", "b", &result, NULL),
                     STATUS_NO_ANSWER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_adding_devices),
        cmocka_unit_test(test_removing_devices),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
