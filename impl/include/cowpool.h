/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* cowpool: reusable WebAssembly linear memories on Linux.
 *
 *     cow_pool_create ──> pool ──────────────────────────────────────────────> cow_pool_close
 *                          │
 *       cow_image_create ──┼──> image ─────────────────────────────────> cow_image_drop
 *                          │      │
 *                          └──────┴─ cow_instantiate ──> instance ─────> cow_instance_release
 *                                                          │  ▲
 *                                    grow, load and store, └──┘ reset
 *
 * A pool reserves address space for a fixed number of *slots*. An *instance* is one use of a slot: a
 * copy-on-write view of an immutable *image*, zero beyond it, as long as the guest asked for. Releasing it puts
 * the slot back to the image, so that the next instance of the same image starts without a kernel call.
 *
 * Units.   Every size is in bytes, in a uint64_t, and named `_bytes`. "Page" alone never appears: a host page is
 *          what the kernel maps (4, 16 or 64 KiB), the unit of a memory's length is cow_pool_config.unit_bytes.
 *          length      what the guest may use (memory.size times the Wasm page size)
 *          accessible  length rounded up to host pages: what the hardware lets the guest touch
 *          slack       [length, accessible): writable, content unspecified, zeroed before a grow makes it visible
 *
 * Results. Functions return 0, or a positive enum cow_refusal (the caller asked for something that the contract
 *          forbids; nothing was changed), or a negative -errno from the kernel, passed on unchanged. `ret_`
 *          arguments are written only on success. The library never prints and never exits; a broken invariant
 *          of its own aborts.
 *
 * Threads. A pool may be used from any number of threads. An instance, from instantiate to release, belongs to
 *          one thread at a time: calls that name the same instance must not overlap.
 *
 * Caveats. After fork() the child holds no instance: every call there returns COW_FORKED, the slots are
 *          inaccessible, and the address range stays occupied so that nothing else can land in it. (A child made
 *          by a raw clone system call runs no fork handlers: every call is still refused there, but the range is left
 *          open, the extension files are inherited, and so is a slot that another thread was making ready.)
 *          A guest access past `accessible` raises SIGBUS or SIGSEGV; see cow_pool_locate() and cow_trap_call().
 */
#ifndef COWPOOL_H
#define COWPOOL_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct cow_pool;
struct cow_image;
struct cow_sys_table; /* impl/sys/sys.h: the kernel calls a pool makes */

/* One lease of a slot. Unique in the process: a handle that was released, the null handle {0} and a handle of
 * another pool are all refused as COW_STALE. Copy it freely; it owns nothing. */
struct cow_instance {
    uint64_t id;
};

/* Why a call was refused. Part of the contract: two correct implementations refuse the same calls. */
enum cow_refusal {
    COW_OK = 0,
    COW_FULL,         /* every slot is lent, or lost to errors: release one, or make a larger pool */
    COW_STALE,        /* the handle names no live instance of this pool: do not use it again */
    COW_FOREIGN,      /* the image belongs to another pool: create it in this one */
    COW_LIMIT,        /* the growth would pass the instance's maximum, or overflow: memory.grow's -1 */
    COW_UNALIGNED,    /* a length is no multiple of the pool's unit_bytes */
    COW_LENGTH,       /* initial is above maximum, or maximum above what the pool was made for */
    COW_IMAGE_LONGER, /* the image's extent is longer than the initial length */
    COW_IMAGE_BOUNDS, /* a data segment reaches past the image's extent */
    COW_IMAGE_SPARSE, /* the data lies in more than COW_IMAGE_MAX_RUNS dense runs: initialise at run time */
    COW_IMAGE_LARGE,  /* the extent is larger than the largest memory of the pool */
    COW_BUSY,         /* instances are live: release them first */
    COW_FORKED,       /* the pool belongs to the parent process: make one in this process */
    COW_CONFIG,       /* a field of the configuration is out of its range */
    COW_UNSUPPORTED,  /* this build or kernel has no such growth or reset mode */
    COW_KERNEL,       /* the kernel, or emulator, does not keep its word about madvise or ftruncate */
    COW_N_REFUSALS
};

/* "full", "stale", "image-longer" ...; "ok" for 0; "error" for a negative result. Static storage. */
const char *cow_result_name(int result);

/* How the accessible end moves. */
enum cow_growth {
    COW_GROWTH_TRUNCATE, /* the memory beyond its initial length is a file of its own; growth is one ftruncate */
};

/* How a slot becomes equal to its image again. */
enum cow_reset {
    COW_RESET_DISCARD, /* one madvise over the initial part, one ftruncate if the memory grew */
};

#define COW_MAX_SLOTS (1u << 20)
#define COW_MAX_MEMORY_BYTES (UINT64_C(4) << 30)
#define COW_MAX_GUARD_BYTES (UINT64_C(16) << 30)
#define COW_MAX_SHARDS 256u
#define COW_IMAGE_MAX_RUNS 16u
#define COW_IMAGE_JOIN_BYTES (UINT64_C(64) << 10)

/* Everything zero but n_slots and max_bytes is a sensible pool. */
struct cow_pool_config {
    uint32_t n_slots;     /* 1 .. COW_MAX_SLOTS; each takes one descriptor and at most a handful of mappings */
    uint64_t max_bytes;   /* the largest length of any instance, 0 .. 4 GiB, any byte count */
    uint64_t guard_bytes; /* inaccessible bytes behind each slot and before the first, rounded up to host pages,
                                  at most 16 GiB. 0: none behind a slot, for engines that check every bound in software;
                                  a memory grown to max_bytes then ends where the next one begins */
    uint64_t unit_bytes;  /* every initial, maximum and growth is a multiple of it; 0 and 1 allow any byte count */
    uint32_t n_shards;    /* independent parts that instantiate and release do not contend across; 0 means 1 */
    enum cow_growth growth;
    enum cow_reset reset;
    uint64_t image_join_bytes; /* dense runs of data with a gap of at most this between them are joined into one
                                  mapping, the gap kept as zero bytes; 0 means COW_IMAGE_JOIN_BYTES */
    int raise_descriptor_limit; /* non-zero: raise the soft RLIMIT_NOFILE by n_slots, as far as allowed (setrlimit(2)); it
                                   stays raised whatever becomes of the pool */
    const struct cow_sys_table *sys; /* the kernel; NULL is Linux. Must outlive the pool */
};

/* Makes a pool: reserves the address space, opens one memfd per slot, and checks once per process that the
 * kernel restores and removes pages as the pool relies on (always, for a table that is not the built-in one).
 * Returns 0; COW_CONFIG, COW_UNSUPPORTED; COW_KERNEL (the self-test failed); -ENOSYS (no memfd_create);
 * -EMFILE or -ENFILE (descriptors); -ENOMEM (address space, RLIMIT_AS, mappings or heap); any other errno of mmap(2),
 * memfd_create(2), madvise(2). After a failure nothing is left behind. Linear in n_slots.
 * Environment: under strict overcommit (vm.overcommit_memory = 2) creation needs no commit charge, instantiate
 * charges the initial length, which an idle slot keeps until it is taken for something else; under mlockall(2), before or after, resets use MADV_DONTNEED_LOCKED (Linux 5.18;
 * older kernels: the reset fails with -EINVAL and the slot is retired); a slot takes at most COW_IMAGE_MAX_RUNS * 2 + 3
 * mappings of vm.max_map_count; a process that is not dumpable loses nothing; under a limit on
 * file sizes (RLIMIT_FSIZE) that is smaller than a host page, or than an image, creating them raises SIGXFSZ. */
int cow_pool_create(const struct cow_pool_config *config, struct cow_pool **ret_pool);

/* Gives everything back: slots, descriptors, and every image of the pool that was not dropped (its pointer becomes
 * invalid). Returns 0, or COW_BUSY with nothing changed. In a forked child: frees the child's bookkeeping, unmaps
 * nothing, and returns COW_FORKED; the pool must not be named again. */
int cow_pool_close(struct cow_pool *pool);

/* ---- images ---------------------------------------------------------------------------------------------- */

/* An active data segment (WebAssembly core specification, 2.5.7 "Data Segments"). */
struct cow_segment {
    uint64_t offset_bytes;
    const void *bytes;
    uint64_t length_bytes;
};

/* Makes an immutable image of [0, extent_bytes): the segments in order, a later one over an earlier one, zero elsewhere.
 * The bytes are copied into a sealed memfd; only dense runs of data take memory. extent_bytes is the smallest
 * initial length the image may be instantiated with: the minimum of the module's memory.
 * Returns 0; COW_IMAGE_LARGE, COW_IMAGE_BOUNDS (an empty segment past the extent too, as the specification's
 * memory.init traps), COW_IMAGE_SPARSE; COW_FORKED; -ENOMEM, -EMFILE, -ENFILE, -ENOSPC or another errno of
 * memfd_create(2), write(2), fcntl(2). After a failure nothing is left behind.
 * Cost: O(n log n) in the segments, plus one copy of the data. */
int cow_image_create(struct cow_pool *pool, uint64_t extent_bytes, const struct cow_segment *segments,
                     size_t n_segments, struct cow_image **ret_image);

/* Gives up the caller's reference; the pointer is invalid afterwards. Never fails. Live instances keep the image
 * until they are released; idle slots keep its mapping until they are next taken for another image or cow_pool_flush()
 * is called (until then its memory is counted in dead_image_bytes). In a forked child: nothing happens. */
void cow_image_drop(struct cow_image *image);

/* The extent given at creation, and the bytes of file memory that hold its runs. */
uint64_t cow_image_extent_bytes(const struct cow_image *image);
uint64_t cow_image_memory_bytes(const struct cow_image *image);

/* ---- instances ------------------------------------------------------------------------------------------- */

struct cow_instance_config {
    const struct cow_image *image; /* NULL: all zero */
    uint64_t initial_bytes;        /* at least the image's extent */
    uint64_t max_bytes;            /* initial_bytes .. the pool's max_bytes */
    uint32_t shard_hint;           /* any number; equal hints share a shard. For instance the worker's index */
};

/* What an engine needs to run a guest. Read again after grow. */
struct cow_memory {
    uint8_t *base;
    uint64_t length_bytes;
    uint64_t accessible_bytes;
    uint64_t max_bytes;
    uint32_t slot;
};

/* Lends a slot: its memory equals the image, then zero, up to initial_bytes (core specification 4.5.4 "Instantiation").
 * Within the hinted shard prefers an idle slot that already maps this image at this initial length (no kernel call), then
 * one that maps nothing, then the one idle longest; then the other shards in turn, each likewise; slots retired by an
 * error only when no other is left in any.
 * Returns 0; the first that applies of COW_FORKED, COW_FOREIGN, COW_LENGTH, COW_UNALIGNED, COW_IMAGE_LONGER, COW_FULL; or an
 * errno of mmap(2), madvise(2), ftruncate(2): the slot that could not be made ready is retired (or, short of mappings, is as it
 * was), nothing else has changed. */
int cow_instantiate(struct cow_pool *pool, const struct cow_instance_config *config, struct cow_instance *ret_instance);

/* Where the instance's memory is and how long it is. Returns 0, COW_STALE, COW_FORKED. */
int cow_instance_memory(const struct cow_pool *pool, struct cow_instance instance, struct cow_memory *ret_memory);

/* memory.grow (core specification 4.4.7): adds delta_bytes, which read zero, and tells the length before.
 * Slack that becomes visible is zeroed whatever was written there. delta_bytes of 0 is allowed.
 * Returns 0; the first that applies of COW_FORKED, COW_STALE, COW_UNALIGNED, COW_LIMIT (past the maximum, or an overflowing
 * sum); or ftruncate(2)'s errno. After any failure the instance is exactly as it was. At most one kernel call. Under a
 * limit on file sizes (RLIMIT_FSIZE) that call raises SIGXFSZ, as setrlimit(2) says. */
int cow_instance_grow(struct cow_pool *pool, struct cow_instance instance, uint64_t delta_bytes,
                      uint64_t *ret_old_bytes);

/* Makes the memory equal to what instantiate gave, in place: same handle, initial length, image bytes.
 * Returns 0, COW_STALE, COW_FORKED; or an errno: then the lease has ended, the slot is retired, the handle stale. */
int cow_instance_reset(struct cow_pool *pool, struct cow_instance instance);

/* Ends the lease. The slot is clean before anybody else can get it. Returns 0, COW_STALE, COW_FORKED; or an errno:
 * the lease has ended all the same, and the slot is retired, not lent. */
int cow_instance_release(struct cow_pool *pool, struct cow_instance instance);

/* Takes dead images out of idle slots now. Returns 0, COW_FORKED, or the first errno of mmap(2) (the slot concerned is
 * retired; the others have been done). Linear in the slots. */
int cow_pool_flush(struct cow_pool *pool);

/* ---- faults ---------------------------------------------------------------------------------------------- */

#define COW_NO_SLOT UINT32_MAX

enum cow_place {
    COW_PLACE_ELSEWHERE,     /* not an address of this pool */
    COW_PLACE_OUT_OF_BOUNDS, /* at or past a slot's accessible end, or in a guard: a trap */
    COW_PLACE_HOST_FAULT,    /* inside accessible memory: not the guest's fault (memory error, no memory left) */
};

struct cow_location {
    enum cow_place place;
    uint32_t slot;                /* COW_NO_SLOT in the guard before the first slot */
    uint64_t offset_bytes;        /* from the slot's base; without a slot, from the reservation's begin */
    uint64_t accessible_bytes;    /* of the slot at this moment; 0 when it is not lent */
    struct cow_instance instance; /* null when the slot is not lent */
};

/* Whose an address is. Async-signal-safe, O(1), takes no lock and makes no call. A slot's guard belongs to that slot. */
struct cow_location cow_pool_locate(const struct cow_pool *pool, const void *address);

/* Runs function(argument), and returns 0 when it returned, or 1 when a guest access in it was out of bounds: then
 * *ret_location says where, function's frames were left by a longjmp, and the instance is as the guest left it. A host
 * fault, and a fault outside the pool, goes to the handlers that were there before. Needs cow_trap_install(). Nests; function
 * must not be left by a longjmp of the caller's own. */
int cow_trap_call(const struct cow_pool *pool, void (*function)(void *argument), void *argument,
                  struct cow_location *ret_location);

/* Installs handlers for SIGSEGV and SIGBUS that serve cow_trap_call() and hand on everything else to what was installed
 * before (sigaction(2)). Optional: for embedders that have no handler of their own. Idempotent, process-wide.
 * Returns 0 or an errno. */
int cow_trap_install(void);

/* ---- statistics and checks ------------------------------------------------------------------------------- */

enum cow_call {
    COW_CALL_MMAP,
    COW_CALL_MUNMAP,
    COW_CALL_MADVISE,
    COW_CALL_FTRUNCATE,
    COW_CALL_MEMFD_CREATE,
    COW_CALL_FCNTL,
    COW_CALL_PWRITE,
    COW_CALL_CLOSE,
    COW_N_CALLS
};

/* "mmap", "munmap", ... Static storage. */
const char *cow_call_name(enum cow_call call);

struct cow_stats {
    uint64_t n_slots;
    uint64_t n_live;
    uint64_t n_retired;        /* slots that an error took out of service and that nothing has repaved yet */
    uint64_t n_lost;           /* of these, slots that can never be repaved: their range could not be kept reserved, or
                                  their handles ran out */
    uint64_t n_instantiations; /* successful ones */
    uint64_t n_warm;           /* of these, without a kernel call */
    uint64_t n_repaved;        /* of these, on a slot that had been retired */
    uint64_t n_grows;          /* successful ones with a delta above zero */
    uint64_t n_resets;         /* in place and at release, successful ones */
    uint64_t n_failed_resets;
    uint64_t n_images;         /* that the caller holds */
    uint64_t image_bytes;      /* file memory of images that the caller holds */
    uint64_t dead_image_bytes; /* file memory of dropped images that slots still map */
    uint64_t n_calls[COW_N_CALLS];
};

/* A snapshot; each figure is exact once the calls that move it have returned. Returns 0 or COW_FORKED. Linear in the shards and the retired slots. */
int cow_pool_stats(const struct cow_pool *pool, struct cow_stats *ret_stats);

/* Walks the invariants of the pool's bookkeeping, and the sizes and seals of its files. Returns NULL when all hold, else
 * the number and sentence of the first one that does not: static storage. Slow; no other thread may use the pool meanwhile. */
const char *cow_pool_check(const struct cow_pool *pool);

#ifdef __cplusplus
}
#endif
#endif
