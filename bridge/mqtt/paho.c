/* SPDX-License-Identifier: MIT */
#include "bridge/mqtt/paho.h"

#include "bridge/mqtt/packet_guard.h"
#include "drivers/base/dynamic.h"

#include <pthread.h>

#define FUNCTION(symbol, member)                                                                   \
    {                                                                                              \
#symbol, offsetof(struct paho, member)                                                     \
    }

static const struct dynamic_function functions[] = {
    FUNCTION(MQTTAsync_connect, connect),
    FUNCTION(MQTTAsync_create, create),
    FUNCTION(MQTTAsync_createWithOptions, create_with_options),
    FUNCTION(MQTTAsync_destroy, destroy),
    FUNCTION(MQTTAsync_disconnect, disconnect),
    FUNCTION(MQTTAsync_free, free),
    FUNCTION(MQTTAsync_freeMessage, free_message),
    FUNCTION(MQTTAsync_getVersionInfo, version_info),
    FUNCTION(MQTTAsync_global_init, global_init),
    FUNCTION(MQTTAsync_send, send),
    FUNCTION(MQTTAsync_setCallbacks, set_callbacks),
    FUNCTION(MQTTAsync_setDisconnected, set_disconnected),
    FUNCTION(MQTTAsync_strerror, strerror),
    FUNCTION(MQTTAsync_subscribe, subscribe),
    FUNCTION(MQTTProperties_add, properties_add),
    FUNCTION(MQTTProperties_free, properties_free),
    FUNCTION(MQTTProperties_getNumericValue, numeric_property),
    FUNCTION(MQTTProperties_hasProperty, has_property),
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct paho tables[2];
static void *handles[2]; /* with and without TLS */

/* Once for each library: it makes Paho's locks anew, also while another connection's threads hold them. Then
 * nothing wakes its sender any more, and whatever is sent takes up to a second. OpenSSL starts by itself when
 * it is first used. */
static void start(const struct paho *paho)
{
    MQTTAsync_init_options options = MQTTAsync_init_options_initializer;
    options.do_openssl_init = 0;
    paho->global_init(&options);
}

const struct paho *paho_load(bool tls, struct error *error)
{
    const struct dynamic_library library = {
        .file = tls ? "libpaho-mqtt3as.so.1" : "libpaho-mqtt3a.so.1",
        .purpose = "MQTT",
        .package = "libpaho-mqtt1.3",
        .functions = functions,
        .count = sizeof functions / sizeof functions[0],
    };
    (void)pthread_mutex_lock(&mutex);
    if (handles[tls] == NULL) {
        handles[tls] = dynamic_load(&library, &tables[tls], error);
        if (handles[tls] != NULL && tls)
            packet_guard_tls(handles[tls]);
        if (handles[tls] != NULL)
            start(&tables[tls]);
    }
    const struct paho *paho = handles[tls] == NULL ? NULL : &tables[tls];
    (void)pthread_mutex_unlock(&mutex);
    return paho;
}
