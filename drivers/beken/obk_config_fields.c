/* SPDX-License-Identifier: MIT */
/* The one table of what is where in OpenBeken's configuration. */
#include "drivers/beken/obk_config.h"

#include <string.h>

#define TEXT(longest) OBK_CONFIG_TEXT, 1, longest, 0, 0, NULL
#define SECRET(longest, variable) OBK_CONFIG_TEXT, 1, longest, 0, 0, variable
#define BYTES(count) OBK_CONFIG_U8, count, 0, 0, UINT8_MAX, NULL
#define NUMBER(type, low, high) type, 1, 0, low, high, NULL
#define BITS OBK_CONFIG_BITS, 1, 0, 0, UINT32_MAX, NULL
#define FLOATS(count) OBK_CONFIG_FLOAT, count, 0, 0, 0, NULL
#define IPV4 OBK_CONFIG_IPV4, 1, 0, 0, 0, NULL
#define HEX OBK_CONFIG_HEX, 1, 0, 0, 0, NULL

/* Offsets and sizes as the firmware's compiler lays them out. The firmware writes names into JSON
 * and web pages without escaping, but takes whatever stands here. */
static const struct obk_config_field fields[] = {
    {"generic_flags", "genericFlags", 0x008, 4, BITS,
     "flags 0 to 31; better one by one with --flag"},
    {"generic_flags2", "genericFlags2", 0x00C, 4, BITS, "flags 32 to 63"},
    {"change_counter", "changeCounter", 0x010, 2, NUMBER(OBK_CONFIG_U16, 0, UINT16_MAX),
     "how often it was saved"},
    {"ota_counter", "otaCounter", 0x012, 2, NUMBER(OBK_CONFIG_U16, 0, UINT16_MAX),
     "how often the firmware was updated"},
    {"wifi_ssid", "wifi_ssid", 0x014, 64, TEXT(32),
     "Wi-Fi network; empty: an access point of its own"},
    {"wifi_password", "wifi_pass", 0x054, 64, SECRET(64, "OBK_WIFI_PASSWORD"), "its password"},
    {"mqtt_host", "mqtt_host", 0x094, 256, TEXT(255), "broker: name or address; empty: no MQTT"},
    {"mqtt_client_id", "mqtt_clientId", 0x194, 64, TEXT(63),
     "client id: the module's topics begin with it"},
    {"mqtt_user", "mqtt_userName", 0x1D4, 64, TEXT(63), "user at the broker; empty: without"},
    {"mqtt_password", "mqtt_pass", 0x214, 128, SECRET(127, "OBK_MQTT_PASSWORD"), "its password"},
    {"mqtt_port", "mqtt_port", 0x294, 4, NUMBER(OBK_CONFIG_I32, 1, 65535), "the broker's port"},
    {"webapp_root", "webappRoot", 0x298, 64, TEXT(63), "where the web application comes from"},
    {"mac", "mac", 0x2D8, 6, HEX, "not used on Beken chips"},
    {"short_name", "shortDeviceName", 0x2DE, 32, TEXT(31), "short name: the host name"},
    {"name", "longDeviceName", 0x2FE, 64, TEXT(63), "full name"},
    {"pin_roles", "pins.roles", 0x33E, 32, BYTES(32), "role of pins P0 to P31; better with --pin"},
    {"pin_channels", "pins.channels", 0x35E, 32, BYTES(32), "channel of each pin"},
    {"pin_channels2", "pins.channels2", 0x37E, 32, BYTES(32), "second channel of each pin"},
    {"channel_types", "pins.channelTypes", 0x39E, 64, BYTES(64), "types of channels 0 to 63"},
    {"start_values", "startChannelValues", 0x3DE, 128, OBK_CONFIG_I16, 64, 0, INT16_MIN, INT16_MAX,
     NULL, "values of channels 0 to 63 at start; -1: as before"},
    {"log_to_file", "log2lfs", 0x45E, 1, NUMBER(OBK_CONFIG_U8, 0, UINT8_MAX),
     "seconds of log kept in the file system at start"},
    {"fill_45f", "unused_fill", 0x45F, 1, HEX, "unused"},
    {"group_send_flags", "dgr_sendFlags", 0x460, 4, BITS, "what is sent to the device group"},
    {"group_receive_flags", "dgr_recvFlags", 0x464, 4, BITS, "what is taken from the device group"},
    {"group_name", "dgr_name", 0x468, 16, TEXT(15), "device group"},
    {"ntp_server", "ntpServer", 0x478, 32, TEXT(31), "time server"},
    {"calibration", "cal", 0x498, 32, FLOATS(8), "calibration of the energy meter"},
    {"button_short", "buttonShortPress", 0x4B8, 1, NUMBER(OBK_CONFIG_U8, 0, UINT8_MAX),
     "a short press, in 0.1 s"},
    {"button_long", "buttonLongPress", 0x4B9, 1, NUMBER(OBK_CONFIG_U8, 0, UINT8_MAX),
     "a long press, in 0.1 s"},
    {"button_repeat", "buttonHoldRepeat", 0x4BA, 1, NUMBER(OBK_CONFIG_U8, 0, UINT8_MAX),
     "repetition while a button is held, in 0.1 s"},
    {"fill_4bb", "unused_fill1", 0x4BB, 1, HEX, "unused"},
    {"file_system_size", "LFS_Size", 0x4BC, 4, NUMBER(OBK_CONFIG_U32, 0, UINT32_MAX),
     "size of the file system in bytes; 0: as the firmware chooses"},
    {"logger_flags", "loggerFlags", 0x4C0, 4, BITS, "what is logged"},
    {"fill_4c4", "unusedSectorAB", 0x4C4, 99, HEX, "unused"},
    {"ip_address", "staticIP.localIPAddr", 0x527, 4, IPV4, "fixed address; 0.0.0.0: by DHCP"},
    {"ip_mask", "staticIP.netMask", 0x52B, 4, IPV4, "its network mask"},
    {"ip_gateway", "staticIP.gatewayIPAddr", 0x52F, 4, IPV4, "its gateway"},
    {"ip_dns", "staticIP.dnsServerIpAddr", 0x533, 4, IPV4, "its name server"},
    {"led_map", "ledRemap", 0x537, 5, BYTES(5), "order of the colours of a lamp"},
    {"led_correction", "led_corr.rgb_cal", 0x53C, 12, FLOATS(3), "red, green, blue of a lamp"},
    {"led_gamma", "led_corr.led_gamma", 0x548, 4, FLOATS(1), "gamma of a lamp"},
    {"led_min_rgb", "led_corr.rgb_bright_min", 0x54C, 4, FLOATS(1), "lowest brightness, colour"},
    {"led_min_white", "led_corr.cw_bright_min", 0x550, 4, FLOATS(1), "lowest brightness, white"},
    {"mqtt_group", "mqtt_group", 0x554, 64, TEXT(63), "group topic"},
    {"fill_594", "unused_bytefill", 0x594, 3, HEX, "unused"},
    {"boot_success", "timeRequiredToMarkBootSuccessfull", 0x597, 1,
     NUMBER(OBK_CONFIG_U8, 0, UINT8_MAX), "seconds after which a start counts as good"},
    {"ping_interval", "ping_interval", 0x598, 4, NUMBER(OBK_CONFIG_I32, 0, INT32_MAX),
     "seconds between pings; 0: none"},
    {"ping_lost", "ping_seconds", 0x59C, 4, NUMBER(OBK_CONFIG_I32, 0, INT32_MAX),
     "seconds without an answer after which the module restarts"},
    {"ping_host", "ping_host", 0x5A0, 64, TEXT(63), "whom to ping"},
    {"startup_command", "initCommandLine", 0x5E0, 1568, TEXT(1567),
     "runs at each start, like: backlog startDriver BL0942; startDriver NTP"},
    {"wifi_ssid2", "wifi_ssid2", 0xC00, 64, TEXT(32), "second Wi-Fi network"},
    {"wifi_password2", "wifi_pass2", 0xC40, 68, SECRET(64, "OBK_WIFI_PASSWORD2"), "its password"},
    {"web_password", "webPassword", 0xC84, 33, SECRET(32, "OBK_WEB_PASSWORD"),
     "password of the module's web page (user admin); empty: none"},
    {"mqtt_tls", "mqtt_use_tls", 0xCA5, 1, NUMBER(OBK_CONFIG_U8, 0, 1), "1: MQTT over TLS"},
    {"mqtt_tls_verify", "mqtt_verify_tls_cert", 0xCA6, 1, NUMBER(OBK_CONFIG_U8, 0, 1),
     "1: check the broker's certificate"},
    {"mqtt_certificate", "mqtt_cert_file", 0xCA7, 20, TEXT(19), "its file on the module"},
    {"web_off", "disable_web_server", 0xCBB, 1, NUMBER(OBK_CONFIG_U8, 0, 1),
     "1: no web page on the module"},
    {"fill_cbc", "unused", 0xCBC, 324, HEX, "unused"},
};

#define COUNT (sizeof fields / sizeof fields[0])

const struct obk_config_field *obk_config_field(size_t index)
{
    return index < COUNT ? &fields[index] : NULL;
}

const struct obk_config_field *obk_config_find_field(const char *name)
{
    for (size_t i = 0; i < COUNT; i++)
        if (strcmp(fields[i].name, name) == 0)
            return &fields[i];
    return NULL;
}

const char *obk_config_flag_help(unsigned flag)
{
    static const char *const help[64] = {
        [0] = "MQTT: lamp's settings in one message",
        [1] = "MQTT: lamp's final colour",
        [2] = "MQTT: own state every minute",
        [3] = "lamp: raw channels",
        [4] = "lamp: always show all colour controls",
        [5] = "command console over TCP",
        [6] = "buttons react at once",
        [7] = "MQTT: retain everything",
        [8] = "lamp: other way of warm and cold white",
        [9] = "lamp: SM2135 with separate modes",
        [10] = "MQTT: own state after connecting",
        [11] = "slow PWM",
        [12] = "lamp: remember its state",
        [13] = "web page shows pins",
        [14] = "infrared: publish what is received",
        [15] = "infrared: also unknown protocols",
        [16] = "MQTT: full colour of a lamp",
        [17] = "lamp: on when changed on the web page",
        [18] = "lamp: smooth changes",
        [19] = "TuyaMCU: always publish channels",
        [20] = "lamp: colour mode only",
        [21] = "MQTT: retain power channels",
        [22] = "infrared: publish as JSON",
        [23] = "lamp: on when changed in any way",
        [24] = "lamp: make cold white of colours",
        [25] = "energy: negative power allowed",
        [26] = "energy meter or TuyaMCU on UART2",
        [27] = "automatic Home Assistant discovery",
        [28] = "lamp: white by setting colour",
        [29] = "short name is the host name",
        [30] = "MQTT: Tasmota's TELE messages",
        [31] = "command console on UART1",
        [32] = "lamp: old linear brightness",
        [33] = "MQTT: publish multiplied values",
        [34] = "discovery: relays are lights",
        [35] = "MQTT: no availability",
        [36] = "drivers do not start by themselves",
        [37] = "Wi-Fi: fast connect",
        [38] = "energy: power is zero while all relays are open",
        [39] = "MQTT: publish all channels",
        [40] = "MQTT: energy in kWh",
        [41] = "all buttons off",
        [42] = "door sensor: inverted",
        [43] = "TuyaMCU: queue",
        [44] = "web page: no password in safe mode",
        [45] = "discovery: lights stay apart",
        [46] = "TuyaMCU: store raw data",
        [47] = "TuyaMCU: store all data",
        [48] = "energy: invert power",
        [49] = "web page: no words for on and off",
        [50] = "MQTT: topics never end in /get",
        [51] = "Wi-Fi: enhanced fast connect",
    };
    return flag < 64 ? help[flag] : NULL;
}
