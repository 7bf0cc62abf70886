/* SPDX-License-Identifier: MIT */
#include "drivers/beken/obk_role.h"

#include "drivers/base/number.h"

#include <string.h>
#include <strings.h>

static const char *const names[] = {
    "None",
    "Rel",
    "Rel_n",
    "Btn",
    "Btn_n",
    "LED",
    "LED_n",
    "PWM",
    "WifiLED",
    "WifiLED_n",
    "Btn_Tgl_All",
    "Btn_Tgl_All_n",
    "dInput",
    "dInput_n",
    "TglChanOnTgl",
    "dInput_NoPullUp",
    "dInput_NoPullUp_n",
    "BL0937SEL",
    "BL0937CF",
    "BL0937CF1",
    "ADC",
    "SM2135DAT",
    "SM2135CLK",
    "BP5758D_DAT",
    "BP5758D_CLK",
    "BP1658CJ_DAT",
    "BP1658CJ_CLK",
    "PWM_n",
    "IRRecv",
    "IRSend",
    "Btn_NextColor",
    "Btn_NextColor_n",
    "Btn_NextDimmer",
    "Btn_NextDimmer_n",
    "AlwaysHigh",
    "AlwaysLow",
    "UCS1912_DIN",
    "SM16703P_DIN",
    "Btn_NextTemperature",
    "Btn_NextTemperature_n",
    "Btn_ScriptOnly",
    "Btn_ScriptOnly_n",
    "DHT11",
    "DHT12",
    "DHT21",
    "DHT22",
    "CHT83XX_SDA",
    "CHT83XX_SCK",
    "SHT3X_SDA",
    "SHT3X_SCK",
    "SoftSDA",
    "SoftSCL",
    "SM2235DAT",
    "SM2235CLK",
    "BridgeFWD",
    "BridgeREV",
    "Btn_SmartLED",
    "Btn_SmartLED_n",
    "DoorSnsrWSleep",
    "DoorSnsrWSleep_nPup",
    "BAT_ADC",
    "BAT_Relay",
    "TM1637_DIO",
    "TM1637_CLK",
    "BL0937SEL_n",
    "DoorSnsrWSleep_pd",
    "SGP_CLK",
    "SGP_DAT",
    "ADC_Button",
    "GN6932_CLK",
    "GN6932_DAT",
    "GN6932_STB",
    "TM1638_CLK",
    "TM1638_DAT",
    "TM1638_STB",
    "BAT_Relay_n",
    "KP18058_CLK",
    "KP18058_DAT",
    "DS1820_IO",
    "PWM_ScriptOnly",
    "PWM_ScriptOnly_n",
    "Counter_f",
    "Counter_r",
    "IRRecv_nPup",
    "StripState",
    "StripState_n",
    "HLW_8112_SCSN",
    "RCRecv",
    "RCRecv_nPup",
    "Btn_pd",
    "Btn_pd_n",
    "TglChanOnTgl_pd",
};

#define COUNT (sizeof names / sizeof names[0])

const char *obk_role_name(unsigned role)
{
    return role < COUNT ? names[role] : NULL;
}

bool obk_role_parse(const char *text, size_t length, uint8_t *role)
{
    int64_t number = 0;
    if (number_parse_int(text, length, 0, UINT8_MAX, &number)) {
        *role = (uint8_t)number;
        return true;
    }
    for (size_t i = 0; i < COUNT; i++) {
        if (strlen(names[i]) == length && strncasecmp(names[i], text, length) == 0) {
            *role = (uint8_t)i;
            return true;
        }
    }
    return false;
}
