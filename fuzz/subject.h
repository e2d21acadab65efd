/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* What is tested against the model. A subject is one allocator of reusable memories behind a table of functions: the pool
 * (subject_pool.c), the model itself (subject_model.c), or yours (subject_template.c). The first block is all that is needed; a NULL
 * in the second switches off the checks that need it.
 *
 * Results are cowpool.h's: 0, a positive enum cow_refusal, or a negative -errno. */
#ifndef RIG_SUBJECT_H
#define RIG_SUBJECT_H

#include "cowpool.h"

#include <stdbool.h>

struct rig_geometry {
    const struct cow_sys_table *sys; /* the kernel; NULL: the real one */
    uint32_t n_slots;
    uint64_t max_bytes, unit_bytes, guard_bytes, join_bytes;
    uint64_t page_bytes;                   /* the host's */
    uint64_t capacity_bytes, stride_bytes; /* of a slot, without and with the guard behind it: whole host pages */
    enum cow_growth growth;
    uint64_t
        window_bytes; /* growth guard: how much beyond the initial length has guard markers; adaptive: how much may wait */
    enum cow_reset reset;
    uint64_t whole_bytes;    /* a memory of at most so many is copied back whole */
    uint32_t warm_slots;     /* how many idle slots go on mapping what they do while there are bare ones; 0: all */
    uint32_t queue_slots;    /* how many slots wait to be cleaned together; 0: as many as the subject likes */
    uint64_t resident_bytes; /* what idle slots may keep; 0: as much as the subject likes */
    uint32_t n_shards;       /* 0: as many as the subject likes */
    bool raises_limit;       /* of descriptors */
};

/* In which a slot can be. After a failed kernel call only the subject knows. */
enum rig_slot_state {
    RIG_SLOT_BARE,    /* maps nothing that anybody could reach */
    RIG_SLOT_IDLE,    /* mapped, clean, and not lent */
    RIG_SLOT_QUEUED,  /* mapped, not clean yet, and not lent */
    RIG_SLOT_LIVE,    /* lent */
    RIG_SLOT_RETIRED, /* as bare, after an error; used again when no other is left */
    RIG_SLOT_LOST,    /* never used again */
};

struct rig_subject {
    const struct rig_subject_ops *ops;
};

enum rig_access_kind { RIG_ACCESS_LOAD, RIG_ACCESS_STORE };
struct rig_access {
    enum rig_access_kind kind;
    int64_t offset; /* from the memory's base; may lie in a guard */
    unsigned width;
    uint8_t bytes[16]; /* what a store writes, what a load read */
    bool trapped;
    int64_t trap_offset;
    int trap_place; /* enum cow_place that the subject attributes the fault to, or -1 if it cannot */
};

struct rig_subject_ops {
    const char *name;
    int (*open)(const struct rig_geometry *geometry, struct rig_subject **ret_subject);
    int (*close)(struct rig_subject *subject);
    int (*instantiate)(struct rig_subject *subject, void *image, uint64_t initial_bytes, uint64_t max_bytes,
                       uint64_t *ret_handle);
    /* base, length, accessible and slot; base may be NULL when there is nothing to read. */
    int (*memory)(struct rig_subject *subject, uint64_t handle, struct cow_memory *ret_memory);
    int (*grow)(struct rig_subject *subject, uint64_t handle, uint64_t delta_bytes, uint64_t *ret_old_bytes);
    int (*reset)(struct rig_subject *subject, uint64_t handle);
    int (*release)(struct rig_subject *subject, uint64_t handle);
    void (*access)(struct rig_subject *subject, uint64_t handle, struct rig_access *access);
    /* Host code writes [offset, offset + length) of accessible memory, as memory.fill or a bug in an engine does. */
    void (*write)(struct rig_subject *subject, uint64_t handle, uint64_t offset, const uint8_t *bytes,
                  uint64_t length_bytes);

    /* It checks nothing: what must be refused is not asked of it, and it never meets a handle that was released. */
    bool trusts_caller;
    /* Takes dropped images out of slots that nobody holds. NULL: there are none. */
    int (*flush)(struct rig_subject *subject);
    /* The same, and nobody's pages stay in memory. */
    int (*trim)(struct rig_subject *subject);
    /* Both, or neither: then an image is a struct ref_image (ref.h), of which extent and bytes outlive every lease. */
    int (*image_create)(struct rig_subject *subject, uint64_t extent_bytes, const struct cow_segment *segments,
                        size_t n_segments, void **ret_image);
    void (*image_drop)(struct rig_subject *subject, void *image);
    /* An image of a range of a sealed file, mapped or copied. NULL: image_create with the file's bytes does. */
    int (*image_from_file)(struct rig_subject *subject, uint64_t extent_bytes, const struct cow_file_range *range,
                           void **ret_image);
    /* The same of a Wasm binary; the last two may be NULL. NULL: it reads none. */
    int (*image_from_wasm)(struct rig_subject *subject, const void *binary, size_t binary_bytes, void **ret_image,
                           struct cow_wasm_memory *ret_memory, struct cow_wasm_error *ret_error);
    /* How many kernel calls of each kind were made so far. */
    void (*calls)(struct rig_subject *subject, uint64_t ret_n_calls[COW_N_CALLS]);
    /* In which state a slot is. NULL: the subject makes its calls by itself, none can be made to fail. */
    enum rig_slot_state (*slot_state)(struct rig_subject *subject, uint32_t slot);
    /* The subject promises cow_instantiate()'s choice of slot, and no kernel call when it is warm. */
    bool promises_placement;
    /* With growth=software the whole slot can be touched, as COW_GROWTH_SOFTWARE says. Without, such programs run with bounds in
     * hardware. */
    bool bounds_in_software;
    /* The kernel reads and writes guest memory: pwrite(2) from there to the begin of a file, pread(2) from the file. The number of
     * bytes, or -errno. NULL: it cannot be asked, since memory is not real. */
    int64_t (*host_read)(struct rig_subject *subject, uint64_t handle, uint64_t offset, uint64_t length_bytes, int fd);
    int64_t (*host_write)(struct rig_subject *subject, uint64_t handle, uint64_t offset, uint64_t length_bytes, int fd);
    /* Fills ret_resident[i] for n_pages host pages from offset of the slot: 1 if loading the page disturbs nothing; bit 1 (2): its
     * bytes come from a file. */
    int (*residency)(struct rig_subject *subject, uint32_t slot, uint64_t offset, uint64_t n_pages,
                     uint8_t *ret_resident);
    /* Reads bytes of pages that are not resident, without touching them. */
    int (*peek)(struct rig_subject *subject, uint32_t slot, uint64_t offset, uint8_t *ret_bytes, uint64_t length_bytes);
    /* What it tells of itself, as cow_pool_stats(). */
    int (*stats)(struct rig_subject *subject, struct cow_stats *ret_stats);
    /* Bytes of dropped images that are still mapped. */
    uint64_t (*dead_bytes)(struct rig_subject *subject);
    /* Reads the image's bytes from behind its back. */
    int (*read_image)(struct rig_subject *subject, void *image, uint64_t offset, uint8_t *ret_bytes,
                      uint64_t length_bytes);
    /* NULL, or the invariant that does not hold. */
    const char *(*check)(struct rig_subject *subject);
    /* After a flush, of an idle slot that had mapped a dropped image: NULL, or what the kernel still holds. */
    const char *(*stripped)(struct rig_subject *subject, uint32_t slot);
    /* After everything was released and flushed: NULL, or what the kernel still holds. */
    const char *(*residue)(struct rig_subject *subject);
    /* Descriptors that the subject holds, for a subject that is laid out like the pool (kernel_state.c): of a slot's extension file,
     * and of the file that holds an image's data; -1: it has none. Both, or neither. */
    int (*extension_file)(struct rig_subject *subject, uint32_t slot);
    int (*image_file)(struct rig_subject *subject, void *image);
    /* How many descriptors it has open beside these. */
    uint32_t (*n_own_files)(struct rig_subject *subject);
    /* The lease has given its memory to the kernel. NULL: the subject never copies an image back. */
    int (*taint)(struct rig_subject *subject, uint64_t handle);
    /* Of a slot that is queued: whether more waits than what it grew into. */
    bool (*must_discard)(struct rig_subject *subject, uint32_t slot);
    /* With growth=guard: how much of a slot that is paved has guard markers, or had them before it grew. */
    uint64_t (*window)(struct rig_subject *subject, uint32_t slot);
    /* The address range of the whole subject; after close, nothing may be mapped in it. */
    void (*range)(struct rig_subject *subject, uintptr_t *ret_base, size_t *ret_length_bytes);
    /* Whose an address is, as cow_pool_locate(). */
    struct cow_location (*locate)(struct rig_subject *subject, uintptr_t address);
    /* In a forked child: NULL, or which promise about children is broken. */
    const char *(*in_child)(struct rig_subject *subject, uint64_t handle);
    /* Prints the kernel's and the subject's view of a byte, for reports. */
    void (*describe)(struct rig_subject *subject, uint32_t slot, uint64_t offset, void *out_file);
};

/* For subjects whose memories are this process's own and trap by signals: they need a range. */
void rig_real_access(struct rig_subject *subject, uint64_t handle, struct rig_access *access);
void rig_real_write(struct rig_subject *subject, uint64_t handle, uint64_t offset, const uint8_t *bytes,
                    uint64_t length_bytes);
int64_t rig_real_host_read(struct rig_subject *subject, uint64_t handle, uint64_t offset, uint64_t length_bytes,
                           int fd);
int64_t rig_real_host_write(struct rig_subject *subject, uint64_t handle, uint64_t offset, uint64_t length_bytes,
                            int fd);

extern const struct rig_subject_ops rig_subject_pool, rig_subject_model, rig_subject_template;
/* NULL: there is none of that name. */
const struct rig_subject_ops *rig_find_subject(const char *name);
/* What the environment names in RIG_SUBJECT, else the pool. Without such a subject the process ends: exit code 2. */
const struct rig_subject_ops *rig_default_subject(void);

#endif
