/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* The same image once more, from a Wasm binary that has its data: what the pool makes of a module is what it makes of segments. */
#include "state.h"

#include <string.h>

/* ---- the binary: a memory with pages of one byte (custom-page-sizes), and active segments ---- */

struct binary {
    uint8_t *bytes;
    size_t n_bytes;
};

static void put_bytes(struct binary *binary, const void *bytes, size_t n_bytes)
{
    memcpy(binary->bytes + binary->n_bytes, bytes, n_bytes);
    binary->n_bytes += n_bytes;
}

/* Of five bytes each, so that lengths are known beforehand. */
static void put_u32(struct binary *binary, uint64_t value)
{
    for (int i = 0; i < 5; i++)
        binary->bytes[binary->n_bytes++] = (uint8_t)((value >> 7 * i & 0x7f) | (i < 4 ? 0x80 : 0));
}

static void put_i32(struct binary *binary, uint64_t value)
{
    put_u32(binary, value & 0xffffffff);
    if (value >> 31 & 1) /* the sign goes on */
        binary->bytes[binary->n_bytes - 1] |= 0x70;
}

static void write_module(struct rig_run *run, uint64_t extent_bytes, const struct rig_image *image,
                         struct binary *ret_binary)
{
    enum { AROUND_SEGMENT = 1 + 1 + 5 + 1 + 5, AROUND_ALL = 64 };
    uint64_t n_bytes = 5;
    for (uint32_t i = 0; i < image->n_segments; i++)
        n_bytes += AROUND_SEGMENT + image->segments[i].length_bytes;
    *ret_binary = (struct binary){.bytes = rig_allocate(run, n_bytes + AROUND_ALL)};
    put_bytes(ret_binary, "\0asm\1\0\0\0\5\10\1\10", 12); /* one memory, its pages as long as it says */
    put_u32(ret_binary, extent_bytes);
    put_bytes(ret_binary, "\0\13", 2); /* of 2^0 bytes; data */
    put_u32(ret_binary, n_bytes);
    put_u32(ret_binary, image->n_segments);
    for (uint32_t i = 0; i < image->n_segments; i++) {
        const struct cow_segment *segment = &image->segments[i];
        put_bytes(ret_binary, "\0\101", 2); /* i32.const */
        put_i32(ret_binary, segment->offset_bytes);
        put_bytes(ret_binary, "\13", 1);
        put_u32(ret_binary, segment->length_bytes);
        put_bytes(ret_binary, segment->bytes, segment->length_bytes);
    }
}

/* ---- what the pool makes of it ---- */

static const char untouched[] = "untouched";

/* A refusal of the image has no place in the binary; one of the binary itself has a sentence; without one nothing is said. */
static void check_told(struct rig_run *run, int result, const struct cow_wasm_error *error)
{
    const bool is_told = error->what != untouched;
    if (!run->failed && is_told != (result != COW_OK))
        rig_diverge(run, "image", "wasm-error",
                    is_told ? "an image was made of a binary, and an error is told"
                            : "a binary was refused, and nobody says why");
}

static void ask_for_unreadable(struct rig_run *run, const struct binary *binary)
{
    struct cow_wasm_error error = {.what = untouched};
    struct cow_wasm_memory memory;
    void *subject;
    const int result =
        run->ops->image_from_wasm(run->subject, binary->bytes, binary->n_bytes - 1, &subject, &memory, &error);
    (void)rig_same_result(run, COW_WASM_TRUNCATED, result);
    check_told(run, COW_WASM_TRUNCATED, &error);
    if (!run->failed)
        (void)rig_same_result(
            run, COW_WASM_TRUNCATED,
            run->ops->image_from_wasm(run->subject, binary->bytes, binary->n_bytes - 1, &subject, NULL, NULL));
}

/* The reader may find these before the pool finds something else. */
static bool has_outside(uint64_t extent_bytes, const struct rig_image *image)
{
    for (uint32_t i = 0; i < image->n_segments; i++)
        if (image->segments[i].offset_bytes > extent_bytes ||
            image->segments[i].length_bytes > extent_bytes - image->segments[i].offset_bytes)
            return true;
    return false;
}

void rig_make_image_of_wasm(struct rig_run *run, uint64_t extent_bytes, const struct rig_image *image, int expected)
{
    struct cow_wasm_error error = {.what = untouched};
    struct cow_wasm_memory memory = {.minimum_bytes = UINT64_MAX};
    struct rig_image again = *image;
    struct binary binary;
    if (!rig_is_real(run) || run->kernel || run->failed || !run->ops->image_from_wasm ||
        has_outside(extent_bytes, image))
        return;
    write_module(run, extent_bytes, image, &binary);
    const int result =
        run->ops->image_from_wasm(run->subject, binary.bytes, binary.n_bytes, &again.subject, &memory, &error);
    (void)rig_same_result(run, expected, result);
    check_told(run, expected, &error);
    if (!run->failed && (memory.minimum_bytes != extent_bytes || memory.page_bytes != 1))
        rig_diverge(run, "image", "wasm-memory", "a memory of %ju bytes is said to have %ju", (uintmax_t)extent_bytes,
                    (uintmax_t)memory.minimum_bytes);
    for (int is_silent = 0; is_silent < 2 && !run->failed; is_silent++) {
        if (is_silent && !rig_same_result(run, expected,
                                          run->ops->image_from_wasm(run->subject, binary.bytes, binary.n_bytes,
                                                                    &again.subject, NULL, NULL)))
            break;
        if (expected == COW_OK) {
            rig_check_image(run, &again, 0, extent_bytes);
            run->ops->image_drop(run->subject, again.subject);
        }
    }
    if (!run->failed)
        ask_for_unreadable(run, &binary);
    rig_begin_calls(run); /* these were none of the operation's */
}
