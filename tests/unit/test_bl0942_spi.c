/* SPDX-License-Identifier: MIT */
/*
 * A BL0942 on SPI, behind the transfer: frames by the sheet, a chip that is out of step, damaged answers,
 * registers that change while they are read, restarts.
 */
#include "drivers/bl0942/registers.h"
#include "drivers/bl0942/spi_chip.h"
#include "tests/unit/random_helper.h"

struct fake {
    uint32_t registers[256];
    bool unlocked, silent;
    int damage;      /* so many answers to come are damaged */
    int out_of_step; /* six FF put it right */
    int moves;       /* so many reads of I_RMS to come show another value each */
    unsigned resyncs;
};

static void power_on(struct fake *chip)
{
    chip->registers[BL0942_MODE] = BL0942_MODE_DEFAULT;
    chip->registers[BL0942_WA_CREEP] = 0x0B;
    chip->registers[BL0942_CF_CNT] = 0;
    chip->unlocked = false;
}

static enum status transfer(void *context, const uint8_t *out, uint8_t *in, struct error *error)
{
    struct fake *chip = context;
    static const uint8_t resync[6] = {0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF};
    (void)error;
    memset(in, 0, 6);
    if (memcmp(out, resync, 6) == 0) {
        chip->out_of_step = 0;
        chip->resyncs++;
        return STATUS_OK;
    }
    if (chip->silent || chip->out_of_step != 0)
        return STATUS_OK;
    uint8_t sum = (uint8_t) ~(out[0] + out[1] + out[2] + out[3] + out[4]);
    if (out[0] == 0xA8 && out[5] == sum) {
        uint32_t value = (uint32_t)out[2] << 16 | (uint32_t)out[3] << 8 | out[4];
        if (out[1] == BL0942_USR_WRPROT)
            chip->unlocked = value == 0x55;
        else if (chip->unlocked)
            chip->registers[out[1]] = value;
    }
    if (out[0] != 0x58)
        return STATUS_OK;
    if (out[1] == BL0942_I_RMS && chip->moves > 0) {
        chip->moves--;
        chip->registers[BL0942_I_RMS]++;
    }
    uint32_t value = chip->registers[out[1]] & 0xFFFFFF;
    in[2] = (uint8_t)(value >> 16);
    in[3] = (uint8_t)(value >> 8);
    in[4] = (uint8_t)value;
    in[5] = (uint8_t) ~(0x58 + out[1] + in[2] + in[3] + in[4]);
    if (chip->damage > 0) {
        chip->damage--;
        in[4] ^= 0x10;
    }
    return STATUS_OK;
}

struct received {
    unsigned readings, resets, began, offline, online;
    struct reading last;
    char reason[300];
};

static void on_reading(void *context, unsigned channel, const struct reading *reading)
{
    struct received *received = context;
    assert_int_equal(channel, 7);
    received->readings++;
    received->last = *reading;
}

static void on_availability(void *context, unsigned channel, bool online, const char *reason)
{
    struct received *received = context;
    (void)channel;
    received->online += online;
    received->offline += !online;
    (void)snprintf(received->reason, sizeof received->reason, "%s", reason);
}

static void on_event(void *context, unsigned channel, enum driver_event event, const char *message)
{
    struct received *received = context;
    (void)channel, (void)message;
    received->resets += event == DRIVER_CHIP_RESET;
    received->began += event == DRIVER_CHIP_BEGAN;
}

static int64_t run(struct bl0942_spi_chip *chip, int64_t *now_ms, int64_t ms)
{
    int64_t end_ms = *now_ms + ms, next_ms = *now_ms;
    while (next_ms < end_ms) {
        *now_ms = next_ms;
        next_ms += bl0942_spi_chip_poll(chip, *now_ms, 1790000000000 + *now_ms);
    }
    *now_ms = end_ms;
    return next_ms;
}

static void test_frames(void **state)
{
    (void)state;
    static const uint8_t write_mode[] = {0xA8, 0x19, 0x00, 0x00, 0x8F, 0xAF};
    static const uint8_t read_mode[] = {0x58, 0x19, 0, 0, 0, 0};
    static const uint8_t answer[] = {0, 0, 0x00, 0x00, 0x8F, 0xFF};
    static const uint8_t zeros[6] = {0}, ones[6] = {0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF};
    uint8_t bytes[BL0942_SPI_FRAME];
    uint32_t value = 0;
    bl0942_spi_encode_write(BL0942_MODE, 0x8F, bytes);
    assert_memory_equal(bytes, write_mode, sizeof write_mode);
    bl0942_spi_encode_read(BL0942_MODE, bytes);
    assert_memory_equal(bytes, read_mode, sizeof read_mode);
    assert_true(bl0942_spi_decode(BL0942_MODE, answer, &value));
    assert_int_equal(value, 0x8F);
    for (unsigned reg = 0; reg < 0x20; reg++) { /* of a bus without a chip */
        assert_false(bl0942_spi_decode(reg, zeros, &value));
        assert_false(bl0942_spi_decode(reg, ones, &value));
    }
}

static struct bl0942_spi_chip *create(struct fake *fake, struct received *received)
{
    const struct bl0942_chip_options options = {
        .channel = 7, .interval_ms = 1000, .mains_hz = 50, .creep = -1};
    const struct bl0942_spi spi = {.context = fake, .transfer = transfer};
    const struct driver_sink sink = {received, on_reading, on_availability, on_event};
    power_on(fake);
    fake->registers[BL0942_V_RMS] = 3653168;
    fake->registers[BL0942_I_RMS] = 557000;
    fake->registers[BL0942_WATT] = 0xFFFE52; /* -430 */
    fake->registers[BL0942_FREQ] = 20000;
    return bl0942_spi_chip_create(&options, "spi:/dev/spidev0.0", &spi, &sink);
}

static void test_a_chip(void **state)
{
    (void)state;
    struct fake fake = {.out_of_step = 1};
    struct received received = {0};
    int64_t now_ms = 1000;
    struct bl0942_spi_chip *chip = create(&fake, &received);
    (void)run(chip, &now_ms, 10000);
    assert_int_equal(received.began, 1);
    assert_int_equal(received.online, 1);
    assert_in_range(received.readings, 8, 10);
    assert_int_equal(fake.registers[BL0942_MODE], 0x8F);
    assert_false(fake.unlocked);
    assert_int_equal(received.last.power, -430);
    assert_int_equal(received.last.voltage, 3653168);
    assert_int_equal(received.last.present, READING_ALL);

    unsigned before = received.readings;
    fake.damage = 2; /* asked again within the same poll */
    fake.moves = 3;  /* read again until it stands */
    (void)run(chip, &now_ms, 3000);
    assert_int_equal(received.readings, before + 3);
    assert_int_equal(received.last.current, fake.registers[BL0942_I_RMS]);
    assert_int_equal(received.offline, 0);

    fake.registers[BL0942_CF_CNT] = 500;
    (void)run(chip, &now_ms, 2000);
    power_on(&fake); /* while the service runs */
    fake.registers[BL0942_CF_CNT] = 3;
    (void)run(chip, &now_ms, 400); /* reported before the evidence is overwritten */
    (void)run(chip, &now_ms, 1200);
    assert_int_equal(received.resets, 1);
    (void)run(chip, &now_ms, 3000);
    assert_int_equal(fake.registers[BL0942_MODE], 0x8F);
    assert_int_equal(received.last.energy, 3);
    bl0942_spi_chip_free(chip);
}

static void test_a_restart_is_flagged_once(void **state)
{
    (void)state;
    struct fake fake = {0};
    struct received received = {0};
    int64_t now_ms = 1000;
    struct bl0942_spi_chip *chip = create(&fake, &received);
    (void)run(chip, &now_ms, 5000);
    power_on(&fake);
    unsigned before = received.readings, flagged = 0;
    for (int i = 0; i < 60; i++) {
        unsigned readings = received.readings;
        (void)run(chip, &now_ms, 100);
        flagged += received.readings > readings && (received.last.flags & READING_CHIP_RESET) != 0;
    }
    assert_true(received.readings > before);
    assert_int_equal(received.resets, 1);
    assert_true(flagged >= 1);
    assert_int_equal(received.last.flags & READING_CHIP_RESET, 0);
    bl0942_spi_chip_free(chip);
}

static void test_no_chip(void **state)
{
    (void)state;
    struct fake fake = {.silent = true};
    struct received received = {0};
    int64_t now_ms = 1000;
    struct bl0942_spi_chip *chip = create(&fake, &received);
    (void)run(chip, &now_ms, 20000);
    assert_int_equal(received.readings, 0);
    assert_int_equal(received.offline, 1);
    assert_non_null(strstr(received.reason, "SEL"));
    fake.silent = false;
    (void)run(chip, &now_ms, 5000);
    assert_int_equal(received.online, 1);
    bl0942_spi_chip_free(chip);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frames),
        cmocka_unit_test(test_a_chip),
        cmocka_unit_test(test_a_restart_is_flagged_once),
        cmocka_unit_test(test_no_chip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
