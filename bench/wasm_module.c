/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
#include "wasm_module.h"

#include <stdlib.h>
#include <string.h>

enum {
    SECTION_MEMORY = 5,
    SECTION_GLOBAL = 6,
    SECTION_EXPORT = 7,
    SECTION_DATA = 11,
    MOST_BESIDE_DATA = 128,
    WASM_PAGE_BYTES = 65536
};

static const uint8_t header[] = {0, 'a', 's', 'm', 1, 0, 0, 0};

static uint8_t *put_bytes(uint8_t *at, const void *bytes, size_t n_bytes)
{
    memcpy(at, bytes, n_bytes);
    return at + n_bytes;
}

static uint8_t *put_number(uint8_t *at, uint64_t n)
{
    for (; n >= 0x80; n >>= 7)
        *at++ = (uint8_t)(n | 0x80);
    *at++ = (uint8_t)n;
    return at;
}

/* i32.const takes a signed number. */
static uint8_t *put_offset(uint8_t *at, int64_t n)
{
    *at++ = 0x41;
    while (n < -64 || n > 63) {
        *at++ = (uint8_t)((n & 0x7f) | 0x80);
        n >>= 7;
    }
    *at++ = (uint8_t)(n & 0x7f);
    *at++ = 0x0b;
    return at;
}

static uint8_t *put_section(uint8_t *at, uint8_t id, const uint8_t *content, size_t n_bytes)
{
    *at++ = id;
    at = put_number(at, n_bytes);
    return put_bytes(at, content, n_bytes);
}

uint8_t *bench_module_of_segments(uint64_t data_bytes, uint64_t segment_bytes, uint64_t gap_bytes, size_t *ret_n_bytes)
{
    static const uint8_t memory[] = {1, 0, 0x80, 0x20};
    enum { MOST_BEFORE = 20 };
    const uint64_t n_segments = data_bytes / segment_bytes;
    uint8_t *data = malloc(data_bytes + n_segments * MOST_BEFORE + MOST_BEFORE), *at = data;
    uint8_t *bytes = malloc(data_bytes + n_segments * MOST_BEFORE + MOST_BESIDE_DATA);
    if (!data || !bytes)
        goto out;
    at = put_number(at, n_segments);
    for (uint64_t i = 0; i < n_segments; i++) {
        *at++ = 0;
        at = put_offset(at, (int64_t)(1024 + i * (segment_bytes + gap_bytes)));
        at = put_number(at, segment_bytes);
        memset(at, (int)(1 + i % 255), segment_bytes);
        at += segment_bytes;
    }
    const size_t n_data = (size_t)(at - data);
    at = put_bytes(bytes, header, sizeof header);
    at = put_section(at, SECTION_MEMORY, memory, sizeof memory);
    at = put_section(at, SECTION_DATA, data, n_data);
    *ret_n_bytes = (size_t)(at - bytes);
    free(data);
    return bytes;
out:
    free(data);
    free(bytes);
    return NULL;
}

uint8_t *bench_module_of_image(const uint8_t *image, uint64_t image_bytes, unsigned n_grown, size_t *ret_n_bytes)
{
    static const uint8_t global[] = {1, 0x7f, 0, 0x41, 0, 0x0b}; /* i32, constant, 0 */
    static const uint8_t exports[] = {1, 6, 'm', 'e', 'm', 'o', 'r', 'y'};
    enum { KIND_MEMORY = 2, KIND_GLOBAL = 3 };
    uint8_t content[MOST_BESIDE_DATA], *end;
    uint8_t *bytes = malloc(image_bytes + 2 * (size_t)MOST_BESIDE_DATA), *at = bytes;
    if (!bytes)
        return NULL;
    at = put_bytes(at, header, sizeof header);
    if (image) {
        content[0] = content[1] = 1; /* one, with a maximum */
        end = put_number(content + 2, image_bytes / WASM_PAGE_BYTES);
        end = put_number(end, image_bytes / WASM_PAGE_BYTES + n_grown);
        at = put_section(at, SECTION_MEMORY, content, (size_t)(end - content));
    } else {
        at = put_section(at, SECTION_GLOBAL, global, sizeof global);
    }
    end = put_bytes(content, exports, sizeof exports);
    *end++ = image ? KIND_MEMORY : KIND_GLOBAL;
    *end++ = 0;
    at = put_section(at, SECTION_EXPORT, content, (size_t)(end - content));
    if (image) {
        content[0] = 1;
        content[1] = 0;
        end = put_number(put_offset(content + 2, 0), image_bytes);
        *at++ = SECTION_DATA;
        at = put_number(at, (uint64_t)(end - content) + image_bytes);
        at = put_bytes(at, content, (size_t)(end - content));
        at = put_bytes(at, image, image_bytes);
    }
    *ret_n_bytes = (size_t)(at - bytes);
    return bytes;
}
