/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Fills a file from its begin to its end. Big pieces go from where they are straight into the kernel; small ones and zeros are
 * collected, so that thousands of tiny segments cost no thousands of calls:
 *
 *     file      |...one chunk: one pwritev...|...|
 *     pieces    |from the caller|buffer|from the caller|
 *
 * A chunk is COW_IMAGE_CHUNK_BYTES of the file, the last one less: as many calls as chunks, if the kernel takes them whole. */
#ifndef COW_IMAGE_WRITER_H
#define COW_IMAGE_WRITER_H

#include "image.h"

enum {
    COW_IMAGE_CHUNK_BYTES = COW_IMAGE_WRITE_BYTES,
    COW_IMAGE_DIRECT_BYTES = 4096, /* pieces of less are copied into the buffer */
    /* Between two direct pieces at most one of the buffer, and one at either end. */
    COW_IMAGE_MAX_PIECES = 2 * COW_IMAGE_CHUNK_BYTES / COW_IMAGE_DIRECT_BYTES + 1
};

struct cow_image_writer {
    struct cow_sys *sys;
    int fd;
    int result;                  /* the first error; from then on nothing is written */
    uint64_t chunk_offset_bytes; /* where the chunk begins in the file */
    uint64_t n_bytes;            /* of the chunk, so far */
    uint8_t *buffer;             /* one chunk */
    uint64_t n_buffered;
    size_t n_pieces;
    struct iovec pieces[COW_IMAGE_MAX_PIECES];
};

/* -ENOMEM. Nothing is written before a chunk is full, or the writer ends. */
int cow_image_writer_begin(struct cow_image_writer *writer, struct cow_sys *sys, int fd);
/* The bytes must stay until the next chunk begins or the writer ends. */
void cow_image_writer_put(struct cow_image_writer *writer, const uint8_t *bytes, uint64_t length_bytes);
void cow_image_writer_put_zeros(struct cow_image_writer *writer, uint64_t length_bytes);
/* From another file; -EIO when that ends early. */
void cow_image_writer_put_file(struct cow_image_writer *writer, int fd, uint64_t offset_bytes, uint64_t length_bytes);
/* Writes the rest, and returns the first error of all. */
int cow_image_writer_end(struct cow_image_writer *writer);

/* Writes all of the pieces at an offset, which it uses up. */
int cow_image_write(struct cow_sys *sys, int fd, struct iovec *pieces, size_t n_pieces, uint64_t offset_bytes);

#endif
