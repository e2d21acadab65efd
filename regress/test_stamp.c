/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Stamps: bytes that name who wrote them. */
#include "harness.h"

#include "state.h"

enum { N_BYTES = 256 };

static void write_stamps(uint32_t generation, uint32_t op, uint64_t offset, uint8_t ret_bytes[N_BYTES])
{
    for (uint32_t i = 0; i < N_BYTES; i++)
        ret_bytes[i] = rig_stamp(generation, op, offset + i, 0, 0);
}

static uint32_t count_same(const uint8_t a[N_BYTES], const uint8_t b[N_BYTES])
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < N_BYTES; i++)
        n += a[i] == b[i];
    return n;
}

/* Chance makes some bytes equal. */
static void test_stamp__instances_operations_and_addresses_write_other_bytes(void)
{
    uint8_t bytes[N_BYTES], others[N_BYTES];
    for (uint32_t generation = 1; generation < 20; generation++)
        for (uint32_t op = 0; op < 20; op++) {
            write_stamps(generation, op, 0, bytes);
            write_stamps(generation + 1, op, 0, others);
            CHECK(count_same(bytes, others) < N_BYTES / 4);
            write_stamps(generation, op + 1, 0, others);
            CHECK(count_same(bytes, others) < N_BYTES / 4);
            write_stamps(generation, op, 1, others);
            CHECK(count_same(bytes, others) < N_BYTES / 4);
            write_stamps(generation, op, 4096, others);
            CHECK(count_same(bytes, others) < N_BYTES / 4);
        }
}

static void test_stamp__is_never_zero_nor_what_was_there(void)
{
    for (uint32_t image_byte = 0; image_byte < 256; image_byte++)
        for (uint32_t old_byte = 0; old_byte < 256; old_byte++)
            for (uint64_t offset = 0; offset < 300; offset += 7) {
                const uint8_t stamp = rig_stamp(3, 5, offset, (uint8_t)image_byte, (uint8_t)old_byte);
                CHECK(stamp && stamp != image_byte && stamp != old_byte);
                CHECK(rig_stamp_fits(3, 5, offset, stamp));
            }
}

static void test_stamp__is_zero_nowhere(void)
{
    for (uint32_t op = 0; op < 100; op++)
        for (uint64_t offset = 0; offset < 1000; offset++)
            CHECK(rig_stamp(2, op, offset, 7, 9) != 0);
}

static void test_stamp__all_values_but_zero_are_used_and_three_of_them_fit(void)
{
    uint32_t n_of[256] = {0};
    for (uint64_t offset = 0; offset < 25500; offset++) {
        uint32_t n_fitting = 0;
        n_of[rig_stamp(1, 1, offset, 0, 0)]++;
        for (uint32_t byte = 0; byte < 256; byte++)
            n_fitting += rig_stamp_fits(1, 1, offset, (uint8_t)byte);
        CHECK_EQ(n_fitting, 3);
    }
    for (uint32_t byte = 1; byte < 256; byte++)
        CHECK(n_of[byte] > 30 && n_of[byte] < 300);
    CHECK_EQ(n_of[0], 0);
}

int main(void)
{
    RUN(test_stamp__instances_operations_and_addresses_write_other_bytes);
    RUN(test_stamp__is_never_zero_nor_what_was_there);
    RUN(test_stamp__is_zero_nowhere);
    RUN(test_stamp__all_values_but_zero_are_used_and_three_of_them_fit);
    return 0;
}
