/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* A program under way: both sides, the registers, and what has been found. Private to the runner: run.c drives it, operate.c
 * does the operations, observe.c compares contents, probe.c tries the bounds, placement.c knows which slot and which
 * kernel calls to expect, kernel_state.c (with mappings.c and residue.c) what the kernel must hold, ending.c sweeps and
 * closes, report.c explains. */
#ifndef RIG_STATE_H
#define RIG_STATE_H

#include "faulty.h"
#include "guest.h"
#include "kernel_view.h"
#include "ref.h"
#include "run.h"

/* The result of an operation, on which both sides agreed. */
enum rig_outcome_kind {
    RIG_OUTCOME_NOOP,
    RIG_OUTCOME_OK,
    RIG_OUTCOME_REFUSED,
    RIG_OUTCOME_TRAP,
    RIG_OUTCOME_ERROR, /* a kernel call was made to fail, and the operation with it */
};
#define RIG_BOUNDS COW_N_REFUSALS /* a check in software, by the engine, that the rig plays */
struct rig_outcome {
    enum rig_outcome_kind kind;
    int refusal;          /* enum cow_refusal or RIG_BOUNDS; ERROR: the errno, above 0 */
    int64_t trap_offset;  /* from the memory's base */
    uint64_t grown_bytes; /* grow: the new length */
};

/* A sealed file that holds an image's data, behind a page and before a page of something else; images that name each other by
 * samefile= and copyfile= are of one. */
struct rig_file {
    struct rig_file *next;
    struct cow_file_range range;
    struct cow_segment *segments; /* what is in the range: what lies between them is a hole of the file */
    uint32_t n_segments;
};

struct rig_image {
    void *subject; /* NULL: the letter is free */
    struct ref_image *model;
    uint32_t generation; /* of all images and instances of the program: unique */
    uint32_t n_segments;
    struct cow_segment *segments;
    struct rig_file *file; /* NULL until an image is made of its file */
    bool is_of_file;
    bool is_copied; /* out of that file */
};

struct rig_lease {
    uint64_t handle;          /* the subject's; 0 when nothing was ever held */
    struct ref_memory *model; /* NULL once the lease has ended */
    struct rig_image image;   /* a copy: the letter may be reused; .subject NULL for none */
    uint32_t generation;
    uint32_t slot;
    uint64_t previous_bytes; /* the accessible end of the slot's tenant before */
    uint64_t reached_bytes;  /* how far that one could reach at most, and this one before it was reset */
    bool is_tainted;         /* the kernel may hold on to its pages */
    uint64_t peak_bytes;     /* how far it could reach at most so far */
    uint8_t *base;
};

struct rig_register {
    struct rig_lease held[RIG_MAX_AGE + 1]; /* newest first */
};

/* Of the pages that a slot keeps from lease to lease, since they were last let go: keeping.c. */
struct rig_history {
    uint32_t n_leases;
    uint64_t n_private, n_hot, n_most, n_spared, wasted;
    uint32_t n_in_vain; /* the only one that is kept when they are */
};

/* What the model of placement knows of a slot. */
struct rig_slot {
    enum rig_slot_state state;
    bool was_warm;             /* when it was lent */
    uint32_t image_generation; /* what it maps; 0: zero */
    bool image_is_dead, image_has_file;
    uint64_t paved_bytes;
    uint64_t window_bytes;     /* beyond it, with guard markers until it is opened */
    uint64_t accessible_bytes; /* of the last tenant, at its end */
    uint64_t reached_bytes;    /* and at its peak */
    uint64_t idle_since;
    bool keeps_pages;    /* the image was copied back into them */
    uint64_t kept_bytes; /* how much */
    struct rig_history history;
    bool must_discard;     /* queued: its private pages too */
    uint64_t queued_bytes; /* of a slot that is queued: how much past E is still open */
};

/* Who wrote where: for reports. */
struct rig_writer {
    uint32_t op, generation, slot;
    uint64_t offset, length_bytes;
};
#define RIG_MAX_WRITES 512

/* What the matrix needs to know of the past, and of the operation under way. */
struct rig_met {
    uint8_t last_kind, last_of_slot[RIG_MAX_SLOTS];
    bool is_written[RIG_MAX_SLOTS];
    int slot; /* -1: none */
    uint8_t state;
};

struct rig_run {
    const struct rig_program *program;
    const struct rig_options *options;
    const struct rig_subject_ops *ops;
    struct rig_subject *subject;
    struct rig_verdict *verdict;
    struct rig_geometry geometry;
    uint64_t capacity_bytes, guard_bytes, stride_bytes;
    struct ref_pool model;
    struct rig_register registers[RIG_N_REGISTERS];
    struct rig_image images[RIG_N_IMAGES];
    struct rig_slot slots[RIG_MAX_SLOTS];
    uint64_t clock; /* of idle_since */
    uint32_t op;    /* the operation under way */
    uint32_t generation;
    uint32_t built_by; /* 1 + the image operation that made the newest image; 0: none yet */
    bool changed;      /* the operation changed bytes, a length or a lease */
    bool failed;
    struct rig_verdict
        suspicion; /* the first wrong kernel call; .report NULL when there is none. The verdict if nothing worse comes */
    struct rig_layout *layouts;               /* of all images so far: what of them must be mapped where */
    uint64_t extension_inodes[RIG_MAX_SLOTS]; /* 0: not asked for yet */
    uint32_t discarded;                       /* bit i: the operation has reset slot i, or released it */
    int n_descriptors;                        /* that were open before the program */
    uint64_t n_calls[COW_N_CALLS],
        n_expected[COW_N_CALLS]; /* kernel calls before the operation, and that it may make */
    struct cow_stats counted;    /* only what counts events: see rig_check_statistics() */
    uint32_t n_probes;
    struct rig_faulty *kernel; /* NULL: the real one, in which nothing is made to fail */
    int64_t n_mapped_bytes;    /* through it, once the subject was made */
    /* Which slots the operation may lose to an error, and how many of them. */
    struct {
        uint32_t slots; /* bit i: slot i */
        uint32_t n_at_most;
    } may_retire;
    struct rig_outcome opening; /* what became of making the subject while its first faults were armed */
    bool expects_nothing;       /* the subject cannot meet a fault that the program has, or has no such bounds */
    bool unforeseen;            /* many bytes were cleaned: with how many calls depends on their order */
    bool is_over;               /* there is no subject, rightly: nothing more can be done */
    struct {
        uint32_t slot;
        uint64_t n_private, n_differing; /* pages that scans told of, and that were not as in the image then */
        bool is_whole;                   /* nobody scans: all pages are copied over */
    } scanned;
    struct rig_pin *pins;
    int scratch_fd;         /* for host calls; -1 until needed */
    struct rig_file *files; /* closed at the end of the program */
    uint8_t *buffer;
    uint64_t buffer_bytes;
    struct rig_garbage *garbage;                                /* freed at the end of the program */
    uint8_t seen[RIG_N_KINDS][RIG_N_EDGES][COW_N_REFUSALS + 4]; /* (operation, edge, result): an effect is new once */
    struct rig_met met;
    struct rig_writer writes[RIG_MAX_WRITES];
    uint32_t n_writes;
    sigjmp_buf landing;
    struct rig_fault fault;
};

/* ---- run.c ---- */
void *rig_allocate(struct rig_run *run, uint64_t n_bytes); /* zeroed; until the program ends */
/* A lease may need it as long as the program runs. */
void rig_keep_image(struct rig_run *run, struct ref_image *image);
uint8_t *rig_buffer(struct rig_run *run, uint64_t n_bytes); /* one, overwritten by the next call */
uint64_t rig_size_bytes(const struct rig_run *run, struct rig_size size);
uint64_t rig_hash(uint64_t hash, const void *bytes, uint64_t n_bytes);

/* ---- asking.c ---- */
/* For pools that the program does not get. */
void rig_ask_for_others(struct rig_run *run);
/* What another pool makes of this one's handles and images, and this one of others'. */
void rig_ask_a_neighbour(struct rig_run *run);
/* NULL: none can be had. */
struct rig_subject *rig_open_neighbour(struct rig_run *run, uint64_t *ret_handle);
void rig_close_neighbour(struct rig_run *run, struct rig_subject *neighbour, uint64_t handle);

/* ---- asking_file.c ---- */
/* What a pool makes of answers about files that kernels seldom give. */
void rig_ask_of_files(struct rig_run *run);

/* ---- fault_op.c ---- */
/* Makes the subject; on a kernel in which calls fail, if the program or the options want that. False: the program ends here. */
bool rig_open(struct rig_run *run);
void rig_close_kernel(struct rig_run *run);
void rig_begin_faults(struct rig_run *run);
/* What follows may lose so many of these slots (bit i: slot i) to an error; until said otherwise none. */
void rig_may_retire(struct rig_run *run, uint32_t slots, uint32_t n_at_most);
/* And these: each of them, if it comes to that. */
void rig_may_also_retire(struct rig_run *run, uint32_t slots);
/* Slots that had to be cleaned before one could be lent: some are out of service, perhaps. */
bool rig_lost_all_cleaned(struct rig_run *run); /* every slot that could have been lent */
void rig_adopt_cleaned(struct rig_run *run, uint32_t lent);
/* The operation is over: what the subject made of faults is looked at, and taken over. */
void rig_end_faults(struct rig_run *run);
struct rig_outcome rig_operate_fault(struct rig_run *run, const struct rig_op *op);
/* The model says that it could be done, the subject has failed, and a fault may be why. */
bool rig_is_fault(const struct rig_run *run, int model, int subject);
struct rig_outcome rig_failed(struct rig_run *run, int subject);
/* The same of an operation after which nothing new may be open or mapped. */
struct rig_outcome rig_failed_leaving_nothing(struct rig_run *run, int subject);
/* The lease has ended by an error: its slot must be out of service, its handle stale. */
void rig_check_retired(struct rig_run *run, const struct rig_lease *lease);

/* ---- pin.c ---- */
struct rig_outcome rig_operate_pin(struct rig_run *run, const struct rig_op *op, struct rig_lease *lease);
/* Before the contents of a lease go: what is pinned keeps them. */
void rig_settle_pins(struct rig_run *run, const struct rig_lease *lease);
/* At the end of the program: all of them are compared and let go. */
void rig_close_pins(struct rig_run *run);
void rig_free_pins(struct rig_run *run);
/* Each holds a descriptor. */
uint32_t rig_count_pins(const struct rig_run *run);

/* ---- operate.c ---- */
/* The operation `run->op`, and what both sides agreed on. */
struct rig_outcome rig_operate(struct rig_run *run, const struct rig_op *op);
/* Which lease an operation is about: the register's own, live or stale; an empty register stands for the next live one, if there is any. */
struct rig_lease *rig_pick_lease(struct rig_run *run, const struct rig_op *op);
/* Lends a slot on both sides. */
struct rig_outcome rig_lend(struct rig_run *run, struct rig_register *reg, const struct rig_image *image,
                            uint64_t initial_bytes, uint64_t max_bytes);
struct rig_outcome rig_release(struct rig_run *run, struct rig_lease *lease);
struct rig_outcome rig_grow(struct rig_run *run, struct rig_lease *lease, uint64_t delta_bytes);
void rig_drop(struct rig_run *run, struct rig_image *image);
struct rig_outcome rig_flush(struct rig_run *run, bool trims);
/* Whether the subject is asked for what the model has answered so. */
bool rig_asks(const struct rig_run *run, int model);
/* Both results must be the same. */
bool rig_same_result(struct rig_run *run, int model, int subject);

/* ---- image_op.c ---- */
struct rig_outcome rig_make_image(struct rig_run *run, const struct rig_op *op);
/* A data operation: the image operation has taken it already, if there was one. */
struct rig_outcome rig_account_data(struct rig_run *run, const struct rig_op *op);

/* ---- wasm_op.c ---- */
/* An image of that data was made, or refused so: the same of a Wasm binary. */
void rig_make_image_of_wasm(struct rig_run *run, uint64_t extent_bytes, const struct rig_image *image, int expected);

/* ---- file_op.c ---- */
/* A file of that data. NULL: it cannot be had, and the program ends here. */
struct rig_file *rig_make_file(struct rig_run *run, const struct ref_image *model);
void rig_close_files(struct rig_run *run);

/* ---- fork_op.c ---- */
struct rig_outcome rig_fork(struct rig_run *run, const struct rig_op *op);

/* ---- access.c ---- */
struct rig_outcome rig_operate_guest(struct rig_run *run, const struct rig_op *op, struct rig_lease *lease);
struct rig_outcome rig_operate_host(struct rig_run *run, const struct rig_op *op, struct rig_lease *lease);
/* Host code writes stamps on both sides; the range must be accessible. */
void rig_write_stamps(struct rig_run *run, struct rig_lease *lease, uint64_t offset, uint64_t length_bytes);
int64_t rig_resolve(const struct rig_run *run, const struct rig_lease *lease, struct rig_at at);
/* The range of an operation, cut to [0, limit). False: nothing is left of it. */
bool rig_resolve_cut_range(const struct rig_run *run, const struct rig_lease *lease, const struct rig_op *op,
                           uint64_t limit, uint64_t *ret_offset, uint64_t *ret_length_bytes);

/* ---- stamp.c ---- */
/* The byte that names its writer: never zero, and neither the image's byte nor the one that it overwrites. */
uint8_t rig_stamp(uint32_t generation, uint32_t op, uint64_t offset, uint8_t image_byte, uint8_t old_byte);
/* Whether a stamp of that writer could look like this. */
bool rig_stamp_fits(uint32_t generation, uint32_t op, uint64_t offset, uint8_t byte);
void rig_stamp_range(const struct rig_run *run, const struct rig_lease *lease, uint64_t offset, uint8_t *ret_bytes,
                     uint64_t length_bytes);
void rig_note_write(struct rig_run *run, uint32_t generation, uint32_t slot, uint64_t offset, uint64_t length_bytes);

/* ---- observe.c ---- */
void rig_observe(struct rig_run *run, enum rig_observe how);
void rig_compare_lease(struct rig_run *run, const struct rig_lease *lease, enum rig_observe how);

/* ---- probe.c ---- */
void rig_probe(struct rig_run *run);
/* A guest access on both sides; the offset must lie in the slot or in a guard. */
struct rig_outcome rig_guest_access(struct rig_run *run, struct rig_lease *lease, struct rig_access *access);
int64_t rig_lowest_offset(const struct rig_run *run);

/* ---- cleaning.c ---- */
/* What a reset leaves to be told about. */
struct rig_ended {
    uint32_t slot;
    uint64_t extension_bytes; /* how far past E it had grown */
    bool is_tainted;
    struct cow_stats before;
};
/* Whether images are copied back into slots. */
bool rig_copies_back(const struct rig_run *run);
/* Whether slots that are released may have to wait. */
bool rig_defers(const struct rig_run *run);
void rig_expect_grow(struct rig_run *run, const struct rig_lease *lease, uint64_t old_bytes, uint64_t new_bytes);
struct rig_ended rig_begin_ending(struct rig_run *run, const struct rig_lease *lease);
/* When it is done: in place, and at the end of a lease. */
void rig_expect_reset(struct rig_run *run, const struct rig_ended *reset);
/* Of one that ended with an error: whether the slot itself could not be cleaned; else it was one that waited. */
bool rig_release_failed(const struct rig_run *run, const struct rig_ended *reset);
void rig_expect_release(struct rig_run *run, const struct rig_ended *reset);
/* All that waits is cleaned. Bit i: slot i. */
uint32_t rig_expect_cleaning(struct rig_run *run);
/* Idle slots are about to let go of all pages. Returns those that had any. */
uint32_t rig_expect_trim(struct rig_run *run);
/* After a failed call: one that was to be trimmed may have been lost before. */
void rig_adopt_trims(struct rig_run *run);

/* ---- keeping.c ---- */
/* A reset of the slot begins: what scans of it tell is noted. */
void rig_begin_scans(struct rig_run *run, uint32_t slot);
/* Its pages are kept: those that scans told of, or all. */
void rig_end_scans(struct rig_run *run);
/* After this lease, too, is added to it: whether an adaptive pool lets the pages go. */
bool rig_lets_go(const struct rig_run *run, struct rig_history *history);

/* ---- placement.c ---- */
void rig_expect_calls(struct rig_run *run, enum cow_call call, uint64_t n);
/* A slot is about to be lent for this image and E. Bit i: slot i had to be cleaned before. */
uint32_t rig_expect_lease(struct rig_run *run, uint32_t image_generation, uint64_t paved_bytes);
void rig_expect_image(struct rig_run *run, const struct rig_image *image);
void rig_expect_drop(struct rig_run *run, uint32_t image_generation, bool has_file);
/* Bit i: slot i is to lose a dead image. */
uint32_t rig_expect_flush(struct rig_run *run);
/* Bit i: slot i could be lent. */
uint32_t rig_free_slots(const struct rig_run *run);
/* Bit i: slot i may be chosen for this image and E. */
uint32_t rig_slots_to_choose_from(const struct rig_run *run, uint32_t image_generation, uint64_t paved_bytes);
void rig_place_lease(struct rig_run *run, const struct rig_lease *lease);
/* It is out of service. */
void rig_place_retired(struct rig_run *run, uint32_t slot, enum rig_slot_state state);
void rig_place_release(struct rig_run *run, const struct rig_lease *lease);
void rig_begin_calls(struct rig_run *run);
void rig_check_calls(struct rig_run *run);
uint64_t rig_dead_bytes(const struct rig_run *run);

/* ---- statistics.c ---- */
void rig_check_statistics(struct rig_run *run);

/* ---- mappings.c ---- */
/* How much of the image's file the subject maps to copy from; 0: it does not copy. */
uint64_t rig_view_bytes(const struct rig_run *run, uint32_t image_generation);
/* A new image: which of its pages must be mapped, and of which file. */
void rig_note_image(struct rig_run *run, const struct rig_image *image);
/* What the slot maps, dropped or not; NULL: only zeros. */
const struct ref_image *rig_mapped_image(const struct rig_run *run, uint32_t slot);
uintptr_t rig_slot_base(const struct rig_run *run, uint32_t slot);
void rig_check_mappings_of(struct rig_run *run, uint32_t slot, enum rig_walk how);
/* Of the whole range. */
void rig_check_mappings(struct rig_run *run, enum rig_walk how);

/* ---- kernel_state.c ---- */
/* The subject is laid out like the pool, and its mappings and files are the kernel's. */
bool rig_is_real(const struct rig_run *run);
bool rig_is_idle(const struct rig_slot *slot);
/* How much of it is open past E: 0 unless it is lent. */
uint64_t rig_extension_bytes(const struct rig_run *run, uint32_t slot);
void rig_check_extension(struct rig_run *run, uint32_t slot);
/* After an operation: something of it, in turn. */
void rig_check_kernel(struct rig_run *run);
void rig_check_kernel_whole(struct rig_run *run);

/* ---- residue.c ---- */
void rig_check_idle(struct rig_run *run, uint32_t slot);
/* The slots that were reset or released since the last time. */
void rig_check_discards(struct rig_run *run);

/* ---- matrix.c ---- */
/* Below RIG_N_RESULTS: fine, a refusal, a trap, or an error, whichever. */
int rig_result_class(const struct rig_outcome *outcome);
void rig_matrix_before(struct rig_run *run, const struct rig_op *op);
void rig_matrix_after(struct rig_run *run, const struct rig_op *op, const struct rig_outcome *outcome);

/* ---- ending.c ---- */
void rig_end(struct rig_run *run);
/* Some of an image's bytes, from behind its back. */
void rig_check_image(struct rig_run *run, const struct rig_image *image, uint64_t offset, uint64_t n_bytes);

/* ---- report.c ---- */
/* Records the first divergence. kind and place make the stable line; the rest is for people. */
void rig_diverge(struct rig_run *run, const char *kind, const char *place, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* The same for one byte of a lease. */
void rig_diverge_byte(struct rig_run *run, const struct rig_lease *lease, uint64_t offset, const uint8_t *subject_bytes,
                      uint64_t n_bytes);
/* Wrong without being wrong bytes: goes on, and is the verdict at the end of the program unless something worse turns up. */
void rig_suspect(struct rig_run *run, const char *kind, const char *place, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* Makes the suspicion the verdict, if nothing else is. */
void rig_settle(struct rig_run *run);
/* Who wrote a byte like this there: the lease of that generation, and earlier tenants of the slot. */
void rig_print_writers(FILE *out, const struct rig_run *run, uint32_t slot, uint32_t generation, uint64_t offset,
                       uint8_t byte);
const char *rig_result_name(int result);

#endif
