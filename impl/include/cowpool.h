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
 *          accessible  length rounded up to host pages: what the hardware lets the guest touch (with growth software:
 *                      the pool's max_bytes rounded up)
 *          slack       from the length to the end of its host page: writable, content unspecified, zeroed before a grow
 *                      makes it visible
 *
 * Results. Functions return 0, or a positive enum cow_refusal (the caller asked for something that the contract
 *          forbids; nothing was changed), or a negative -errno from the kernel, passed on unchanged. `ret_`
 *          arguments are written only on success. The library never prints and never exits; a broken invariant
 *          of its own aborts.
 *
 * Threads. A pool may be used from any number of threads. An instance, from instantiate to release, belongs to
 *          one thread at a time: calls that name the same instance must not overlap. A release may clean slots of others that wait.
 *
 * Caveats. After fork() the child holds no instance: every call there returns COW_FORKED, the slots are
 *          inaccessible, and the address range stays occupied so that nothing else can land in it. (A slot that is lost to errors is
 *          left as it is: what can be read there holds no guest's bytes. A child made
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
    COW_UNALIGNED,    /* a length is no multiple of the pool's unit_bytes, or a file range not of whole host pages */
    COW_LENGTH,       /* initial is above maximum, or maximum above what the pool was made for */
    COW_IMAGE_LONGER, /* the image's extent is longer than the initial length */
    COW_IMAGE_BOUNDS, /* a data segment reaches past the image's extent, or a range past its file's end */
    COW_IMAGE_SPARSE, /* the data lies in more than COW_IMAGE_MAX_RUNS dense runs: initialise at run time */
    COW_IMAGE_LARGE,  /* the extent is larger than the largest memory of the pool */
    COW_BUSY,         /* instances are live: release them first */
    COW_FORKED,       /* the pool belongs to the parent process: make one in this process */
    COW_CONFIG,       /* a field of the configuration is out of its range */
    COW_UNSUPPORTED,  /* this build or kernel has no such growth or reset mode */
    COW_KERNEL,       /* the kernel, or emulator, does not keep its word about madvise or ftruncate */

    /* Of a Wasm binary, by cow_wasm_read() and cow_image_from_wasm(); struct cow_wasm_error says where and what. */
    COW_WASM_FOREIGN,   /* no Wasm binary, or one of a version other than 1 */
    COW_WASM_TEXT,      /* a module in the text format: assemble it first */
    COW_WASM_COMPONENT, /* a component: give the core module inside it */
    COW_WASM_TRUNCATED, /* the bytes end in the middle of something */
    COW_WASM_LEB128,    /* an integer with more bytes, or more bits, than its type has */
    COW_WASM_MALFORMED, /* the binary format forbids it: a section twice, out of order, or not as long as it says, ... */
    COW_WASM_INVALID,   /* well-formed, but the specification's validation rejects it: limits, indices, types, ... */
    COW_WASM_NO_MEMORY, /* the module has no memory of this index */
    COW_WASM_RUNTIME,   /* a segment's place depends on an imported global: initialise at run time */
    COW_WASM_UNKNOWN, /* an instruction or type of a proposal that this reader does not know, or an offset of over 32 operands */
    COW_N_REFUSALS
};

/* "full", "stale", "image-longer" ...; "ok" for 0; "error" for a negative result. Static storage. */
const char *cow_result_name(int result);

/* How the accessible end moves. */
enum cow_growth {
    COW_GROWTH_DEFAULT,  /* GUARD, or PROTECT where the kernel has no guard markers */
    COW_GROWTH_TRUNCATE, /* the memory beyond its initial length is a file of its own; growth is one ftruncate */
    COW_GROWTH_PROTECT,  /* it is reserved, and made accessible by one mprotect */
    COW_GROWTH_GUARD,    /* it is mapped, under guard markers that growth takes away (Linux 6.13), for the first
                            COW_GUARD_WINDOW_BYTES; what lies further is as with PROTECT */
    COW_GROWTH_SOFTWARE, /* for engines that check every access against the length themselves, and for nobody else: all
                            of max_bytes stays readable and writable, whatever the length, and growth makes no kernel call. What is
                            above the length is zero at the begin of a lease, and no lease sees what another wrote there. Only in
                            the same lease: bytes that the engine let somebody write past the slack are still there after a grow */
};

/* How a slot becomes equal to its image again. */
enum cow_reset {
    COW_RESET_DEFAULT, /* ADAPTIVE */
    COW_RESET_DISCARD, /* its private pages go back to the kernel, at once */
    COW_RESET_COPYBACK, /* the image is copied back into them: all of a small memory, else what PAGEMAP_SCAN finds (Linux 6.7) */
    COW_RESET_DEFERRED, /* released slots wait until their pages go in one call for many (process_madvise, Linux 6.13 for the process
                           itself; by fewer calls from 6.16 on); a reset in place is as with DISCARD */
    COW_RESET_ADAPTIVE, /* copied back, as long as that costs less than new page faults would, and the pool keeps no more than
                           resident_bytes; what is not copied is deferred */
};

#define COW_MAX_SLOTS (1u << 20)
#define COW_MAX_MEMORY_BYTES (UINT64_C(4) << 30)
#define COW_MAX_GUARD_BYTES (UINT64_C(16) << 30)
#define COW_MAX_SHARDS 256u
#define COW_GUARD_WINDOW_BYTES (UINT64_C(256) << 10)
#define COW_COPY_WHOLE_BYTES (UINT64_C(64) << 10)
#define COW_QUEUE_SLOTS 32u
#define COW_RESIDENT_BYTES (UINT64_C(256) << 20)
#define COW_IMAGE_MAX_RUNS 16u
#define COW_IMAGE_JOIN_BYTES (UINT64_C(64) << 10)
#define COW_IMAGE_WRITE_BYTES (UINT64_C(64) << 10)

/* Everything zero but n_slots and max_bytes is a sensible pool. */
struct cow_pool_config {
    uint32_t
        n_slots; /* 1 .. COW_MAX_SLOTS; each takes at most a handful of mappings, and with growth truncate a descriptor */
    uint64_t max_bytes;   /* the largest length of any instance, 0 .. 4 GiB, any byte count */
    uint64_t guard_bytes; /* inaccessible bytes behind each slot and before the first, rounded up to host pages,
                                  at most 16 GiB. 0: none behind a slot, for engines that check every bound in software;
                                  a memory grown to max_bytes then ends where the next one begins */
    uint64_t unit_bytes;  /* every initial, maximum and growth is a multiple of it; 0 and 1 allow any byte count */
    uint32_t n_shards;    /* independent parts that instantiate and release do not contend across; 0 means 1 */
    enum cow_growth growth;
    enum cow_reset reset;
    uint64_t
        guard_window_bytes; /* growth guard: how much of a memory beyond its initial length is under guard markers, rounded
                                  up to host pages; 0 means COW_GUARD_WINDOW_BYTES. Each slot pays for it with 8 bytes of page
                                  table for each host page, and some 20 ns when it is made ready for another image. In
                                  every growth: adaptive shuts a slot that has grown by more when it is released */
    uint64_t copy_whole_bytes; /* copyback, adaptive: an initial length of at most this is copied whole; 0 means
                                  COW_COPY_WHOLE_BYTES */
    uint32_t
        queue_slots; /* deferred, adaptive: how many slots of a shard may wait until they are cleaned together, which the
                                  release that fills the queue does for all of them; 0 means COW_QUEUE_SLOTS */
    uint32_t
        warm_slots; /* how many idle slots may go on mapping what they map while there are slots that map nothing: an instance that
                                  finds no warm slot takes the one idle longest if there are as many as that, else one that maps
                                  nothing. Divided among the shards, rounded up. 0: any number */
    uint64_t
        resident_bytes; /* adaptive: what idle slots may keep in private pages, all together; 0 means COW_RESIDENT_BYTES.
                                  Divided among the shards */
    uint64_t image_join_bytes; /* dense runs of data with a gap of at most this between them are joined into one
                                  mapping, the gap kept as zero bytes; 0 means COW_IMAGE_JOIN_BYTES */
    int raise_descriptor_limit; /* non-zero: raise the soft RLIMIT_NOFILE by n_slots, as far as allowed (setrlimit(2)); it
                                   stays raised whatever becomes of the pool */
    const struct cow_sys_table *sys; /* the kernel; NULL is Linux. Must outlive the pool */
};

/* Makes a pool: reserves the address space, opens one memfd per slot (growth truncate) or one for all, up to two more for resets, and checks,
 * once per process and way to grow and reset, that the kernel restores and removes pages as the pool relies on (always, for a
 * table that is not the built-in one). What a reset can do without is no reason to refuse: cow_stats.n_fell_back tells.
 * Returns 0; COW_CONFIG, COW_UNSUPPORTED (growth guard was asked for, and there are no guard markers, or memory is locked); COW_KERNEL (the self-test failed); -ENOSYS (no memfd_create);
 * -EMFILE or -ENFILE (descriptors); -ENOMEM (address space, RLIMIT_AS, mappings or heap); any other errno of mmap(2),
 * memfd_create(2), madvise(2). After a failure nothing is left behind. Linear in n_slots.
 * Environment: under strict overcommit (vm.overcommit_memory = 2) creation needs no commit charge, instantiate
 * charges the initial length, which an idle slot keeps until it is taken for something else (growth protect charges what has grown, guard the window too, software all of max_bytes); under mlockall(2),
 * before or after, resets use MADV_DONTNEED_LOCKED (Linux 5.18; older kernels: the reset fails with -EINVAL and the
 * slot is retired); a slot takes at most COW_IMAGE_MAX_RUNS * 2 + 3 mappings of vm.max_map_count, and each shard one
 * that it gives up rather than lose a slot; a process that is not dumpable loses nothing; under a limit on file sizes
 * (RLIMIT_FSIZE) that is smaller than a host page, or than an image, creating them raises SIGXFSZ. */
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
 * memfd_create(2), pwritev(2), fcntl(2). After a failure nothing is left behind.
 * Cost: linear in segments that are given in ascending order, else O(n log n); one copy of the data, by one call for each
 * COW_IMAGE_WRITE_BYTES of the file, begun, and one more for each segment that shares a byte with another. */
int cow_image_create(struct cow_pool *pool, uint64_t extent_bytes, const struct cow_segment *segments,
                     size_t n_segments, struct cow_image **ret_image);

/* Gives up the caller's reference; the pointer is invalid afterwards. Never fails. Live instances keep the image
 * until they are released; idle slots keep its mapping until they are next taken for another image or cow_pool_flush()
 * is called (until then its memory is counted in dead_image_bytes). In a forked child: nothing happens. */
void cow_image_drop(struct cow_image *image);

/* ---- images from Wasm binaries --------------------------------------------------------------------------- */

/* A memory's type (core specification 2.3.11 "Memory Types"), in bytes. */
struct cow_wasm_memory {
    uint64_t minimum_bytes;
    uint64_t maximum_bytes; /* UINT64_MAX when the module names none */
    uint64_t page_bytes;    /* the unit of memory.grow: 65536, or 1 (custom-page-sizes proposal) */
    int is_imported;
    int is_shared;
    int is_64; /* its addresses are i64 */
};

/* What a module says about one of its memories before it runs. */
struct cow_wasm {
    struct cow_wasm_memory memory;
    const struct cow_segment
        *segments; /* active ones of this memory, in the module's order; .bytes point into the binary */
    size_t n_segments;
    size_t n_other_segments; /* passive ones, and active ones of other memories */
};

/* Where a binary was refused. */
struct cow_wasm_error {
    size_t
        offset_bytes; /* from the begin of the binary: the first byte that is wrong, or its end when it is truncated */
    const char *what; /* a sentence, in static storage */
};

/* Reads the type of memory number memory_index (imported ones first, as in the specification's index space, 2.5.1) and its
 * active data segments, with i32.const, i64.const and extended constant offsets, over the globals that the module itself defines
 * if need be. Only what that takes is parsed: section headers (5.5.2), imports (5.5.5), memories (5.5.8), data (5.5.14) and its
 * count (5.5.15), globals (5.5.9) when an offset names one; code is skipped. So a module that is read here may still be
 * invalid; one that is refused here is refused by every engine of version 3.0 of the specification, except for COW_IMAGE_BOUNDS
 * (an imported memory may be larger than its minimum), COW_IMAGE_LARGE, COW_WASM_RUNTIME, COW_WASM_UNKNOWN and
 * COW_WASM_NO_MEMORY. A segment counts as outside when it reaches past
 * the minimum, an empty one too.
 * Returns 0: *ret_wasm must be given to cow_wasm_free(), and is good for as long as the binary's bytes are. Or a refusal,
 * COW_WASM_*, COW_IMAGE_BOUNDS, COW_IMAGE_LARGE (a minimum of 2^64 bytes), or -ENOMEM; with *ret_error filled in unless it is NULL. Needs no pool, makes no kernel call,
 * does not look at the bytes of data. Linear in the binary's length; the heap it takes is at most six times that. */
int cow_wasm_read(const void *binary, size_t binary_bytes, uint32_t memory_index, struct cow_wasm *ret_wasm,
                  struct cow_wasm_error *ret_error);
void cow_wasm_free(struct cow_wasm *wasm);

/* cow_wasm_read(), then cow_image_create() with an extent of the memory's minimum. *ret_memory and *ret_error are optional (NULL);
 * ret_memory is filled in as soon as the binary could be read, even if no image could be made of it. The image does not need the
 * binary any more. Returns what these two return; a refusal by cow_image_create() has no place in the binary:
 * its offset_bytes is 0 and `what` says so. */
int cow_image_from_wasm(struct cow_pool *pool, const void *binary, size_t binary_bytes, uint32_t memory_index,
                        struct cow_image **ret_image, struct cow_wasm_memory *ret_memory,
                        struct cow_wasm_error *ret_error);

/* ---- images from files ----------------------------------------------------------------------------------- */

enum cow_file_use {
    COW_FILE_GUARDED, /* mapped if the file is sealed against writing and shrinking (fcntl(2), F_SEAL_WRITE and
                         F_SEAL_SHRINK), else copied */
    COW_FILE_VOUCHED, /* mapped: the caller vouches that nobody writes to, truncates, or punches holes in the range while the
                         image lives. Whoever does changes clean slots at once; a truncate also takes
                         pages away that a guest has written, and the guest's next access there is a host fault (SIGBUS) */
    COW_FILE_COPIED, /* copied, whatever the file is */
};

/* Bytes of a file that lie at offset_bytes of a memory. All three sizes are whole host pages. */
struct cow_file_range {
    int fd; /* readable; the caller may close it afterwards */
    enum cow_file_use use;
    uint64_t file_offset_bytes;
    uint64_t length_bytes;
    uint64_t offset_bytes;
};

/* Makes an image of [0, extent_bytes): the range of the file, zero elsewhere. Holes of the file are not mapped, since reading
 * a hole of a memory file through a mapping would fill it for good: each stretch of data between holes is a run. With more than
 * COW_IMAGE_MAX_RUNS of them a guarded file is copied, by the rule of cow_image_create() for joining runs, and a file that is
 * vouched for is refused. cow_image_maps_file() tells which way it went.
 * Returns 0; the first that applies of COW_FORKED, COW_CONFIG (no such use), COW_UNALIGNED, COW_IMAGE_LARGE, COW_IMAGE_BOUNDS
 * (past the extent, or past the end of the file), COW_IMAGE_SPARSE; -EBADF, -EACCES (not open for reading), -ENODEV (vouched for,
 * but of huge pages or no regular file), -EIO (the file ended early: somebody has truncated it meanwhile), or another
 * errno of fcntl(2), lseek(2), mmap(2), pread(2) and of what cow_image_create() calls. After a failure nothing is left behind. The
 * position of the open file is moved and put back: nobody else may rely on it meanwhile.
 * Cost: a few kernel calls and two for each stretch; and one copy of the data, where it is copied. */
int cow_image_from_file(struct cow_pool *pool, uint64_t extent_bytes, const struct cow_file_range *range,
                        struct cow_image **ret_image);

/* The extent given at creation; the bytes of file memory that its runs map; whether they are the caller's file, not a copy. */
uint64_t cow_image_extent_bytes(const struct cow_image *image);
uint64_t cow_image_memory_bytes(const struct cow_image *image);
int cow_image_maps_file(const struct cow_image *image);

/* ---- instances ------------------------------------------------------------------------------------------- */

struct cow_instance_config {
    const struct cow_image *image; /* NULL: all zero */
    uint64_t initial_bytes;        /* at least the image's extent */
    uint64_t max_bytes;            /* initial_bytes .. the pool's max_bytes */
    uint32_t shard_hint;           /* any number; equal hints share a shard. For instance the worker's index */
};

/* What an engine needs to run a guest. Read again after grow. */
struct cow_memory {
    uint8_t *base; /* stays where it is */
    uint64_t length_bytes;
    uint64_t accessible_bytes;
    uint64_t max_bytes;
    uint32_t slot;
};

/* Lends a slot: its memory equals the image, then zero, up to initial_bytes (core specification 4.5.4 "Instantiation").
 * Within the hinted shard prefers an idle slot that already maps this image at this initial length (with growth software: at any; no
 * kernel call), then one that maps nothing, then the one idle longest (the other way round once warm_slots are idle); then the other
 * shards in turn, each likewise; slots retired by an error only when no other is left in any.
 * Returns 0; the first that applies of COW_FORKED, COW_FOREIGN, COW_LENGTH, COW_UNALIGNED, COW_IMAGE_LONGER, COW_FULL; or an
 * errno of mmap(2), madvise(2), ftruncate(2): the slot that could not be made ready is retired (or, short of mappings, is as it
 * was), nothing else has changed. */
int cow_instantiate(struct cow_pool *pool, const struct cow_instance_config *config, struct cow_instance *ret_instance);

/* Where the instance's memory is and how long it is. Returns 0, COW_STALE, COW_FORKED. */
int cow_instance_memory(const struct cow_pool *pool, struct cow_instance instance, struct cow_memory *ret_memory);

/* memory.grow (core specification 4.4.7): adds delta_bytes, which read zero, and tells the length before.
 * Slack that becomes visible is zeroed whatever was written there. delta_bytes of 0 is allowed.
 * Returns 0; the first that applies of COW_FORKED, COW_STALE, COW_UNALIGNED, COW_LIMIT (past the maximum, or an overflowing
 * sum); or the errno of ftruncate(2), mprotect(2) or madvise(2). After any failure the instance is exactly as it was; except
 * that where mprotect or madvise did a part, and that cannot be undone, the lease has ended, the slot is retired, and the
 * handle stale (COW_STALE from now on). At most one kernel call, or two across the end of the guard window. Under a
 * limit on file sizes (RLIMIT_FSIZE) that call raises SIGXFSZ, as setrlimit(2) says. */
int cow_instance_grow(struct cow_pool *pool, struct cow_instance instance, uint64_t delta_bytes,
                      uint64_t *ret_old_bytes);

/* Makes the memory equal to what instantiate gave, in place: same handle, initial length, image bytes.
 * Returns 0, COW_STALE, COW_FORKED; or an errno: then the lease has ended, the slot is retired, the handle stale. */
int cow_instance_reset(struct cow_pool *pool, struct cow_instance instance);

/* Ends the lease. The slot is clean before anybody else can get it. Returns 0, COW_STALE, COW_FORKED; or an errno:
 * the lease has ended all the same, and the slot is retired, not lent; or another one is, that had waited to be cleaned with it. */
int cow_instance_release(struct cow_pool *pool, struct cow_instance instance);

/* The kernel may still read or write this instance's memory after the lease, on somebody's behalf: it was given to vmsplice(2), to a
 * zero-copy send, to io_uring or O_DIRECT I/O that is not known to be complete. From here to the end of the lease resets let go of its
 * pages, which such I/O then keeps for itself; copied back in place, it would see the next tenant's bytes. Returns 0, COW_STALE,
 * COW_FORKED. Makes no kernel call. */
int cow_instance_taint_io(struct cow_pool *pool, struct cow_instance instance);

/* Cleans the slots that wait for it, and takes dead images out of idle slots, now. Returns 0, COW_FORKED, or the first errno of mmap(2) (the slot concerned is
 * retired; the others have been done). Linear in the slots. */
int cow_pool_flush(struct cow_pool *pool);

/* Gives memory back: cow_pool_flush(), then idle slots let go of their private pages, the longest idle first, until all together keep at
 * most keep_bytes, which are divided among the shards. Keeps the pool usable: they are as warm as before, with new page faults.
 * Returns 0, COW_FORKED, or the first errno of what cow_pool_flush() and a reset call (the slot concerned is retired; the others
 * have been done). */
int cow_pool_trim(struct cow_pool *pool, uint64_t keep_bytes);

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
    COW_CALL_PROCESS_MADVISE,
    COW_CALL_MPROTECT,
    COW_CALL_FTRUNCATE,
    COW_CALL_MEMFD_CREATE,
    COW_CALL_FCNTL,
    COW_CALL_PWRITE, /* pwritev */
    COW_CALL_PREAD,
    COW_CALL_PAGEMAP_SCAN, /* ioctl of /proc/self/pagemap */
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
    uint64_t n_let_go;         /* of n_resets: private pages were given back to the kernel, or are queued for it */
    uint64_t n_copied;         /* the image was copied into them */
    uint64_t
        n_fell_back; /* they were let go where they should have been copied: after taint_io, of an image over a file that the
                             caller vouches for, or since page tables cannot be scanned */
    uint64_t n_deferred; /* releases after which the slot had to wait to be cleaned */
    uint64_t n_trims;    /* idle slots that gave up pages because all kept too many, or for cow_pool_trim() */
    uint64_t n_queued;   /* slots that wait now */
    uint64_t idle_bytes; /* in private pages that idle slots keep now */
    uint64_t n_calls[COW_N_CALLS];
    enum cow_growth growth; /* in use: never DEFAULT, nor the next */
    enum cow_reset reset;
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
