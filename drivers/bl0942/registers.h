/* SPDX-License-Identifier: MIT */
/**
 * Registers and bits of the BL0942 that this driver uses. Source: Shanghai Belling, BL0942
 * datasheet V1.10 (2024-07-16), sections 1.5 and 1.6; STATUS bits 8 and 9 in a packet from field
 * captures.
 */
#ifndef DRIVERS_BL0942_REGISTERS_H
#define DRIVERS_BL0942_REGISTERS_H

enum bl0942_register {
    BL0942_I_RMS = 0x03,
    BL0942_V_RMS = 0x04,
    BL0942_I_FAST_RMS = 0x05,
    BL0942_WATT = 0x06,
    BL0942_CF_CNT = 0x07,
    BL0942_FREQ = 0x08,
    BL0942_STATUS = 0x09,
    BL0942_WA_CREEP = 0x14,
    BL0942_MODE = 0x19,
    BL0942_USR_WRPROT = 0x1D,
    BL0942_PACKET = 0xAA, /**< not a register: asks for the 23-byte packet */
};

/** Written to USR_WRPROT: any other value locks registers 0x12..0x1C. */
#define BL0942_UNLOCK 0x55
#define BL0942_LOCK 0x00

enum bl0942_mode_bit {
    BL0942_MODE_RESERVED = 0x003,   /**< read as 11 and are to stay so */
    BL0942_MODE_CF_EN = 0x004,      /**< count energy */
    BL0942_MODE_RMS_800MS = 0x008,  /**< average over 800 ms instead of 400 ms */
    BL0942_MODE_FAST_AC = 0x010,    /**< fast RMS without direct current */
    BL0942_MODE_60HZ = 0x020,       /**< line cycle length */
    BL0942_MODE_CLEAR_READ = 0x040, /**< reading clears CF_CNT: a lost reply loses energy */
    BL0942_MODE_ABSOLUTE = 0x080,   /**< energy counts up in both directions */
    BL0942_MODE_BAUD_19200 = 0x200, /**< bits 9:8; 00 and 01 leave the rate to a pin */
    BL0942_MODE_BAUD_38400 = 0x300,
    BL0942_MODE_BAUD_MASK = 0x300,
};

/** MODE after every power-on. */
#define BL0942_MODE_DEFAULT 0x087

enum bl0942_status_bit {
    BL0942_STATUS_REVERSE = 0x001,     /**< CF_REVP_F: the last energy pulse was negative */
    BL0942_STATUS_CREEP = 0x002,       /**< CREEP_F: no load */
    BL0942_STATUS_CURRENT_LOW = 0x100, /**< I_ZX_LTH_F */
    BL0942_STATUS_VOLTAGE_LOW = 0x200, /**< V_ZX_LTH_F */
};

/** CF_CNT moves once per 419430.4 / |WATT| seconds, and WATT has 24 bits with its sign. */
#define BL0942_COUNTS_PER_SECOND_MAX 20
#define BL0942_COUNTER_RANGE 0x1000000

#endif
