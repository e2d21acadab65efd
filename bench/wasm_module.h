/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Wasm binaries, made here (core specification, 5 "Binary Format"). The bytes are the caller's to free; NULL without memory. */
#ifndef BENCH_WASM_MODULE_H
#define BENCH_WASM_MODULE_H

#include <stddef.h>
#include <stdint.h>

/* A memory of 4096 Wasm pages, with data_bytes in segments of segment_bytes that lie gap_bytes apart. */
uint8_t *bench_module_of_segments(uint64_t data_bytes, uint64_t segment_bytes, uint64_t gap_bytes, size_t *ret_n_bytes);

/* A memory that is exported as "memory", as large as the image, which is its one segment, and may grow by n_grown Wasm
 * pages. Without an image: no memory, but a global that is exported under that name. */
uint8_t *bench_module_of_image(const uint8_t *image, uint64_t image_bytes, unsigned n_grown, size_t *ret_n_bytes);

#endif
