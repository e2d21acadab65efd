/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* What is measured: whoever lends memories that equal an image, and takes them back. Each contender is a peer (a table of functions,
 * one file) and the variant of it that a row of the tables names.
 *
 *     open ──> instantiate ─> (the harness reads and writes) ─> grow ─> (writes there) ─> release ──> ... ──> close
 *
 * Every contender runs in a process of its own, which makes the system calls of one, its mappings and its threads nobody
 * else's. Functions return NULL, or why it cannot be done: one line, static storage or from bench_why(). */
#ifndef BENCH_CONTENDER_H
#define BENCH_CONTENDER_H

#include "cowpool.h"

#include <stddef.h>
#include <stdint.h>

enum {
    BENCH_WASM_PAGE_BYTES = 65536,
    BENCH_MAX_GROWN = 16,  /* Wasm pages that a cycle grows by, at most */
    BENCH_MAX_DIRTY = 256, /* pages that a cycle writes in the image, at most */
    BENCH_MAX_THREADS = 2,
    BENCH_MAX_IMAGES = 2,
};

/* Of each slot, as engines do it that leave out bounds checks: 4 GiB, and the guard that wasmtime has when nothing else is asked for. */
#define BENCH_SLOT_BYTES (UINT64_C(4) << 30)
#define BENCH_GUARD_BYTES (UINT64_C(32) << 20)

/* What a cycle does, and where. */
struct bench_work {
    uint64_t image_bytes;
    unsigned n_dirty; /* host pages of the image that are written, a byte in each */
    int is_random;    /* other ones in each cycle, else always the same, spread evenly */
    unsigned n_reads; /* other pages of the image, spread evenly, of which a byte is read */
    unsigned n_grown; /* Wasm pages grown by, a byte written in the first host page of each */
    unsigned n_threads;
    unsigned n_slots;  /* of all threads together */
    unsigned n_images; /* which a thread takes in turn */
};

/* What all contenders of a cell are given. */
struct bench_world {
    struct bench_work work;
    uint64_t page_bytes; /* of the host */
    const uint8_t *images[BENCH_MAX_IMAGES];
    int image_fds[BENCH_MAX_IMAGES]; /* sealed memory files of the same bytes */
    int without_reset;               /* a peer that has a word for it leaves its reset out: the harness must notice */
};

/* One memory that is lent. */
struct bench_lease {
    uint8_t *base;
    uint64_t length_bytes;
    unsigned thread, image, slot;
    const uint64_t *
        dirty_bytes; /* offsets of the image's pages that the harness writes in this lease, n_dirty of them: for an oracle */
    union {
        struct cow_instance instance; /* of the pool */
        uint64_t private[4];          /* of whom it concerns */
        void *pointer;
    } of;
};

struct bench_contender {
    const char *name;
    const struct bench_peer *peer;
    int variant[2]; /* what they mean is the peer's affair */
    enum bench_kind {
        BENCH_FLOOR,   /* what could not be done with less, by an oracle */
        BENCH_POOL,    /* cowpool */
        BENCH_PEER,    /* anybody else's way */
        BENCH_NO_PEER, /* a figure that is subtracted from another one */
    } kind;
    const char *net_of; /* its figure counts less the one of the contender of that name */
};

struct bench_peer {
    int has_bounds; /* the kernel refuses what lies behind the length */
    const char *(*open)(const struct bench_contender *contender, const struct bench_world *world, void **ret_state);
    const char *(*instantiate)(void *state,
                               struct bench_lease *lease); /* thread and image are given; by many threads at once */
    const char *(*grow)(void *state, struct bench_lease *lease, unsigned n_wasm_pages);
    const char *(*release)(void *state, struct bench_lease *lease);
    const char *(*trim)(void *state); /* gives back what idle slots hold; NULL: there is no such thing */
    void (*close)(void *state);
};

extern const struct bench_contender bench_contenders[];
extern const size_t bench_n_contenders;

/* "WHAT: ERROR", of errno; or of a result of the pool. In static storage, one for each thread. */
const char *bench_why(const char *what);
const char *bench_why_result(const char *what, int result);

extern const struct bench_peer bench_floor, bench_pool, bench_pool_in_place, bench_pool_software, bench_truncate,
    bench_protect, bench_scan, bench_uffd, bench_malloc, bench_mmap, bench_wasmtime;

#endif
