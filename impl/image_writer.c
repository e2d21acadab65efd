/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Filling the file of an image. */
#include "image_writer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Takes n bytes off the front. False: the pieces are not as long as that. */
static bool advance(struct iovec **pieces, size_t *n_pieces, uint64_t n)
{
    while (*n_pieces && n >= (*pieces)->iov_len) {
        n -= (*pieces)->iov_len;
        ++*pieces;
        --*n_pieces;
    }
    if (n && *n_pieces == 0)
        return false;
    if (n) {
        (*pieces)->iov_base = (uint8_t *)(*pieces)->iov_base + n;
        (*pieces)->iov_len -= n;
    }
    return true;
}

int cow_image_write(struct cow_sys *sys, int fd, struct iovec *pieces, size_t n_pieces, uint64_t offset_bytes)
{
    while (n_pieces) {
        const int64_t n = cow_sys_pwrite(sys, fd, pieces, n_pieces, offset_bytes);
        if (n < 0)
            return (int)n;
        /* A file that takes nothing, or claims more than it was given. */
        if (n == 0 || !advance(&pieces, &n_pieces, (uint64_t)n))
            return -EIO;
        offset_bytes += (uint64_t)n;
    }
    return 0;
}

int cow_image_writer_begin(struct cow_image_writer *writer, struct cow_sys *sys, int fd)
{
    writer->sys = sys;
    writer->fd = fd;
    writer->result = 0;
    writer->chunk_offset_bytes = writer->n_bytes = writer->n_buffered = 0;
    writer->n_pieces = 0;
    writer->buffer = calloc(1, COW_IMAGE_CHUNK_BYTES);
    return writer->buffer ? 0 : -ENOMEM;
}

static void end_chunk(struct cow_image_writer *writer)
{
    if (!writer->result)
        writer->result =
            cow_image_write(writer->sys, writer->fd, writer->pieces, writer->n_pieces, writer->chunk_offset_bytes);
    writer->chunk_offset_bytes += writer->n_bytes;
    memset(writer->buffer, 0, writer->n_buffered);
    writer->n_bytes = writer->n_buffered = 0;
    writer->n_pieces = 0;
}

/* How much of length_bytes goes into this chunk. */
static uint64_t room(const struct cow_image_writer *writer, uint64_t length_bytes)
{
    const uint64_t left = COW_IMAGE_CHUNK_BYTES - writer->n_bytes;
    return length_bytes < left ? length_bytes : left;
}

static void add_piece(struct cow_image_writer *writer, const uint8_t *bytes, uint64_t length_bytes)
{
    struct iovec *last = writer->n_pieces ? &writer->pieces[writer->n_pieces - 1] : NULL;
    if (last && (const uint8_t *)last->iov_base + last->iov_len == bytes)
        last->iov_len += length_bytes;
    else
        writer->pieces[writer->n_pieces++] =
            (struct iovec){.iov_base = (void *)(uintptr_t)bytes, .iov_len = length_bytes};
    writer->n_bytes += length_bytes;
    if (writer->n_bytes == COW_IMAGE_CHUNK_BYTES)
        end_chunk(writer);
}

/* The next length_bytes of the buffer, to be filled and added. They are zero: clearing it once for each chunk is cheaper than a
 * thousand gaps one by one. There is room, as the buffer is as long as a chunk. */
static uint8_t *buffered(struct cow_image_writer *writer, uint64_t length_bytes)
{
    uint8_t *bytes = writer->buffer + writer->n_buffered;
    writer->n_buffered += length_bytes;
    return bytes;
}

void cow_image_writer_put(struct cow_image_writer *writer, const uint8_t *bytes, uint64_t length_bytes)
{
    for (uint64_t n; length_bytes; bytes += n, length_bytes -= n) {
        n = room(writer, length_bytes);
        add_piece(writer, n < COW_IMAGE_DIRECT_BYTES ? memcpy(buffered(writer, n), bytes, n) : bytes, n);
    }
}

void cow_image_writer_put_zeros(struct cow_image_writer *writer, uint64_t length_bytes)
{
    for (uint64_t n; length_bytes; length_bytes -= n) {
        n = room(writer, length_bytes);
        add_piece(writer, buffered(writer, n), n);
    }
}

static int read_all(struct cow_sys *sys, int fd, uint8_t *ret_bytes, uint64_t length_bytes, uint64_t offset_bytes)
{
    while (length_bytes) {
        const int64_t n = cow_sys_pread(sys, fd, ret_bytes, length_bytes, offset_bytes);
        if (n < 0)
            return (int)n;
        if (n == 0 || (uint64_t)n > length_bytes)
            return -EIO;
        ret_bytes += n;
        offset_bytes += (uint64_t)n;
        length_bytes -= (uint64_t)n;
    }
    return 0;
}

void cow_image_writer_put_file(struct cow_image_writer *writer, int fd, uint64_t offset_bytes, uint64_t length_bytes)
{
    for (uint64_t n; length_bytes && !writer->result; offset_bytes += n, length_bytes -= n) {
        n = room(writer, length_bytes);
        uint8_t *bytes = buffered(writer, n);
        writer->result = read_all(writer->sys, fd, bytes, n, offset_bytes);
        add_piece(writer, bytes, n);
    }
}

int cow_image_writer_end(struct cow_image_writer *writer)
{
    end_chunk(writer);
    free(writer->buffer);
    return writer->result;
}
