/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Emitting C: the runner drives a subject that does what the model does, in the place that the pool has promised to choose, and
 * writes down every call that is made to it, with the model's answer. So the C program does what the rig would do to a pool:
 * operations, comparisons, probes, counts of kernel calls, the sweep at the end. */
#include "emit_c.h"

#include "state.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_LEASES = 1 + RIG_MAX_OPS + 2 * RIG_MAX_SLOTS }; /* number 0 is the null handle */

struct emitted_lease {
    uint64_t handle;
    uint32_t slot;
    uint64_t checked; /* n_changes when its contents were last compared */
};

static struct {
    struct rig_subject subject;
    struct rig_subject *model;
    const struct rig_run *run; /* NULL before the first operation */
    FILE *body;
    struct rig_emit_c_tables tables;
    struct emitted_lease leases[MAX_LEASES];
    uint32_t n_leases, n_images, n_files;
    void *images[RIG_MAX_OPS];
    const struct rig_file *files[RIG_MAX_OPS];
    uint64_t n_changes; /* so far, of anything */
    uint64_t bare_since[RIG_MAX_SLOTS], clock, max_bytes;
    bool compares; /* contents, after each operation */
} rec;

/* ---- words ---- */

/* "image-longer" is IMAGE_LONGER. */
static const char *upper(const char *name, char ret_name[32])
{
    snprintf(ret_name, 32, "%s", name);
    for (char *at = ret_name; *at; at++)
        *at = *at == '-' ? '_' : (char)toupper((unsigned char)*at);
    return ret_name;
}

static const char *constant(int result, char ret_name[32])
{
    char name[32];
    snprintf(ret_name, 32, "COW_%.27s", upper(cow_result_name(result), name));
    return ret_name;
}

/* One line of the program. (A macro: the analyzer of clang 14 does not follow a va_list here.) */
#define emit(...) (fputs("    ", rec.body), fprintf(rec.body, __VA_ARGS__), fputc('\n', rec.body))

static void emit_change(void)
{
    rec.n_changes++;
}

static int lease_of(uint64_t handle)
{
    for (uint32_t i = 0; i < rec.n_leases; i++)
        if (rec.leases[i].handle == handle)
            return (int)i;
    return 0;
}

static int image_of(const void *image)
{
    for (uint32_t i = 0; i < rec.n_images; i++)
        if (rec.images[i] == image)
            return (int)i;
    return -1;
}

/* ---- images ---- */

static int note_image(void *image, int result)
{
    if (result == COW_OK)
        rec.images[rec.n_images] = image;
    emit_change();
    return (int)rec.n_images++;
}

static int rec_image_create(struct rig_subject *subject, uint64_t extent_bytes, const struct cow_segment *segments,
                            size_t n_segments, void **ret_image)
{
    (void)subject;
    char name[32];
    const int result = rig_subject_model.image_create(rec.model, extent_bytes, segments, n_segments, ret_image);
    const int i = note_image(*ret_image, result);
    if (n_segments)
        fprintf(rec.body, "    image(%d, %ju, %zu, (const struct segment[]){", i, (uintmax_t)extent_bytes, n_segments);
    else
        fprintf(rec.body, "    image(%d, %ju, 0, NULL, ", i, (uintmax_t)extent_bytes);
    for (size_t j = 0; j < n_segments; j++)
        fprintf(rec.body, "%s{%ju, %ju, %s}", j ? ", " : "", (uintmax_t)segments[j].offset_bytes,
                (uintmax_t)segments[j].length_bytes,
                rig_emit_c_table(&rec.tables, segments[j].bytes, segments[j].length_bytes, name));
    fprintf(rec.body, "%s%s);\n", n_segments ? "}, " : "", constant(result, name));
    return result;
}

/* The number of a file, which is written down once, holes and all. */
static int file_of(const struct rig_file *file)
{
    char name[32];
    for (uint32_t i = 0; i < rec.n_files; i++)
        if (rec.files[i] == file)
            return (int)i;
    emit("file(%u, %ju);", rec.n_files, (uintmax_t)file->range.length_bytes);
    for (uint32_t i = 0; i < file->n_segments; i++) {
        const struct cow_segment *segment = &file->segments[i];
        if (segment->length_bytes)
            emit("file_data(%u, %ju, %ju, %s);", rec.n_files,
                 (uintmax_t)(segment->offset_bytes - file->range.offset_bytes), (uintmax_t)segment->length_bytes,
                 rig_emit_c_table(&rec.tables, segment->bytes, segment->length_bytes, name));
    }
    emit("file_end(%u);", rec.n_files);
    rec.files[rec.n_files] = file;
    return (int)rec.n_files++;
}

static int rec_image_from_file(struct rig_subject *subject, uint64_t extent_bytes, const struct cow_file_range *range,
                               void **ret_image)
{
    (void)subject;
    char name[32];
    const struct rig_file *it = rec.run->files;
    while (it->range.fd != range->fd)
        it = it->next;
    const int file = file_of(it);
    const int result = rig_subject_model.image_create(rec.model, extent_bytes, it->segments, it->n_segments, ret_image);
    const int i = note_image(*ret_image, result);
    emit("image_of_file(%d, %ju, %d, %ju, %ju, %s, %s);", i, (uintmax_t)extent_bytes, file,
         (uintmax_t)range->length_bytes, (uintmax_t)range->offset_bytes,
         range->use == COW_FILE_COPIED ? "COW_FILE_COPIED" : "COW_FILE_GUARDED", constant(result, name));
    return result;
}

static void rec_image_drop(struct rig_subject *subject, void *image)
{
    (void)subject;
    emit_change();
    emit("drop(%d);", image_of(image));
}

/* ---- leases ---- */

static uint32_t image_generation_of(const void *image)
{
    for (uint32_t i = 0; i < RIG_N_IMAGES && image; i++)
        if (rec.run->images[i].subject == image)
            return rec.run->images[i].generation;
    return 0;
}

/* What the pool does: the warm slot that became idle last, else the one that has been bare longest, else the one that has been
 * idle longest; the last two the other way round once as many are idle as may stay warm. */
static uint32_t choose_slot(const void *image, uint64_t initial_bytes)
{
    const struct rig_run *run = rec.run;
    const uint64_t paved_bytes = ref_accessible_of(&run->model, initial_bytes);
    const uint32_t generation = image_generation_of(image);
    uint32_t warm = RIG_MAX_SLOTS, bare = RIG_MAX_SLOTS, oldest = RIG_MAX_SLOTS, n_idle = 0;
    for (uint32_t i = 0; i < run->geometry.n_slots; i++) {
        const struct rig_slot *slot = &run->slots[i];
        if (slot->state == RIG_SLOT_LIVE)
            continue;
        if (slot->state != RIG_SLOT_IDLE) {
            bare = bare == RIG_MAX_SLOTS || rec.bare_since[i] < rec.bare_since[bare] ? i : bare;
            continue;
        }
        n_idle++;
        oldest = oldest == RIG_MAX_SLOTS || slot->idle_since < run->slots[oldest].idle_since ? i : oldest;
        if (slot->image_generation == generation && slot->paved_bytes == paved_bytes)
            warm = warm == RIG_MAX_SLOTS || slot->idle_since > run->slots[warm].idle_since ? i : warm;
    }
    if (run->geometry.warm_slots && n_idle >= run->geometry.warm_slots)
        bare = RIG_MAX_SLOTS;
    return warm != RIG_MAX_SLOTS ? warm : bare != RIG_MAX_SLOTS ? bare : oldest;
}

static int rec_instantiate(struct rig_subject *subject, void *image, uint64_t initial_bytes, uint64_t max_bytes,
                           uint64_t *ret_handle)
{
    (void)subject;
    char name[32];
    const int result = rig_subject_model.instantiate(rec.model, image, initial_bytes, max_bytes, ret_handle);
    const uint32_t i = rec.n_leases++;
    if (result == COW_OK)
        rec.leases[i] = (struct emitted_lease){*ret_handle, choose_slot(image, initial_bytes), 0};
    emit_change();
    emit("lend(%u, %d, %ju, %ju, %s);", i, image_of(image), (uintmax_t)initial_bytes, (uintmax_t)max_bytes,
         constant(result, name));
    return result;
}

/* Asked before an operation, and to compare behind it: what has not changed since it was compared is not compared again. */
static int rec_memory(struct rig_subject *subject, uint64_t handle, struct cow_memory *ret_memory)
{
    (void)subject;
    char name[32];
    const int i = lease_of(handle);
    const int result = rig_subject_model.memory(rec.model, handle, ret_memory);
    if (result != COW_OK) {
        emit("stale(%d);", i);
        return result;
    }
    struct emitted_lease *lease = &rec.leases[i];
    ret_memory->slot = lease->slot;
    if (lease->checked == rec.n_changes)
        return result;
    lease->checked = rec.n_changes;
    if (rec.compares)
        emit("check(%d, %ju, %ju, %s);", i, (uintmax_t)ret_memory->length_bytes, (uintmax_t)ret_memory->max_bytes,
             rig_emit_c_table(&rec.tables, ret_memory->base, ret_memory->length_bytes, name));
    else
        emit("lengths(%d, %ju, %ju);", i, (uintmax_t)ret_memory->length_bytes, (uintmax_t)ret_memory->max_bytes);
    return result;
}

static int rec_grow(struct rig_subject *subject, uint64_t handle, uint64_t delta_bytes, uint64_t *ret_old_bytes)
{
    (void)subject;
    char name[32];
    const int result = rig_subject_model.grow(rec.model, handle, delta_bytes, ret_old_bytes);
    emit_change();
    emit("grow(%d, %juu, %s, %ju);", lease_of(handle), (uintmax_t)delta_bytes, constant(result, name),
         (uintmax_t)(result == COW_OK ? *ret_old_bytes : 0));
    return result;
}

static int rec_reset(struct rig_subject *subject, uint64_t handle)
{
    (void)subject;
    char name[32];
    const int result = rig_subject_model.reset(rec.model, handle);
    emit_change();
    emit("reset(%d, %s);", lease_of(handle), constant(result, name));
    return result;
}

static int rec_release(struct rig_subject *subject, uint64_t handle)
{
    (void)subject;
    char name[32];
    const int result = rig_subject_model.release(rec.model, handle);
    emit_change();
    emit("release(%d, %s);", lease_of(handle), constant(result, name));
    return result;
}

static int rec_flush(struct rig_subject *subject)
{
    (void)subject;
    emit_change();
    emit("flush();");
    return COW_OK;
}

static int rec_trim(struct rig_subject *subject)
{
    (void)subject;
    emit_change();
    emit("trim();");
    return COW_OK;
}

/* ---- accesses ---- */

static void rec_access(struct rig_subject *subject, uint64_t handle, struct rig_access *access)
{
    (void)subject;
    char hex[2 * sizeof access->bytes + 1] = "";
    const int i = lease_of(handle);
    const bool is_store = access->kind == RIG_ACCESS_STORE;
    rig_subject_model.access(rec.model, handle, access);
    if (access->trapped) {
        emit("traps(%d, %d, %jd, %u, %jd);", i, is_store, (intmax_t)access->offset, access->width,
             (intmax_t)access->trap_offset);
        return;
    }
    for (unsigned at = 0; at < access->width; at++)
        snprintf(hex + (size_t)2 * at, 3, "%02x", access->bytes[at]);
    if (is_store)
        emit_change();
    emit("%s(%d, %jd, %u, \"%s\");", is_store ? "store" : "load", i, (intmax_t)access->offset, access->width, hex);
}

static void rec_write(struct rig_subject *subject, uint64_t handle, uint64_t offset, const uint8_t *bytes,
                      uint64_t length_bytes)
{
    (void)subject;
    char name[32];
    emit_change();
    emit("put(%d, %ju, %ju, %s);", lease_of(handle), (uintmax_t)offset, (uintmax_t)length_bytes,
         rig_emit_c_table(&rec.tables, bytes, length_bytes, name));
    rig_subject_model.write(rec.model, handle, offset, bytes, length_bytes);
}

/* How many of the bytes from offset on lie below an end. */
static uint64_t room(uint64_t offset, uint64_t end, uint64_t length_bytes)
{
    const uint64_t n = offset < end ? end - offset : 0;
    return n < length_bytes ? n : length_bytes;
}

static int64_t rec_host_read(struct rig_subject *subject, uint64_t handle, uint64_t offset, uint64_t length_bytes,
                             int fd)
{
    (void)subject;
    char name[32];
    struct cow_memory memory;
    if (rig_subject_model.memory(rec.model, handle, &memory) != COW_OK)
        return -EFAULT;
    const uint64_t in_bounds = room(offset, memory.accessible_bytes, length_bytes);
    const uint64_t visible = room(offset, memory.length_bytes, length_bytes);
    const uint8_t *bytes = visible ? memory.base + offset : NULL;
    emit("host_read(%d, %ju, %ju, %ju, %ju, %s);", lease_of(handle), (uintmax_t)offset, (uintmax_t)length_bytes,
         (uintmax_t)in_bounds, (uintmax_t)visible, rig_emit_c_table(&rec.tables, bytes, visible, name));
    return rig_subject_model.host_read(rec.model, handle, offset, length_bytes, fd);
}

static int64_t rec_host_write(struct rig_subject *subject, uint64_t handle, uint64_t offset, uint64_t length_bytes,
                              int fd)
{
    char name[32];
    struct cow_memory memory;
    uint8_t *bytes = malloc(length_bytes + 1);
    if (!bytes || pread(fd, bytes, length_bytes, 0) != (ssize_t)length_bytes ||
        rig_subject_model.memory(rec.model, handle, &memory) != COW_OK)
        abort();
    const uint64_t in_bounds = room(offset, memory.accessible_bytes, length_bytes);
    (void)subject;
    emit_change();
    emit("host_write(%d, %ju, %ju, %ju, %s);", lease_of(handle), (uintmax_t)offset, (uintmax_t)length_bytes,
         (uintmax_t)in_bounds, rig_emit_c_table(&rec.tables, bytes, length_bytes, name));
    free(bytes);
    return rig_subject_model.host_write(rec.model, handle, offset, length_bytes, fd);
}

/* ---- books ---- */

/* The counts that are expected, whatever they are: right ones. (But for resets that go by what they find, or when: not told.) */
static void rec_calls(struct rig_subject *subject, uint64_t ret_n_calls[COW_N_CALLS])
{
    (void)subject;
    char name[32];
    memset(ret_n_calls, 0, COW_N_CALLS * sizeof *ret_n_calls);
    if (!rec.run)
        return;
    const bool is_told = rec.run->geometry.reset == COW_RESET_DISCARD;
    bool has_some = false;
    if (is_told)
        fputs("    calls((const uint64_t[COW_N_CALLS]){", rec.body);
    for (int call = 0; call < COW_N_CALLS; call++) {
        const uint64_t n = rec.run->n_expected[call];
        ret_n_calls[call] = rec.run->n_calls[call] + n;
        if (n && is_told)
            fprintf(rec.body, "%s[COW_CALL_%s] = %ju", has_some ? ", " : "",
                    upper(cow_call_name((enum cow_call)call), name), (uintmax_t)n);
        has_some = has_some || n;
    }
    if (is_told)
        fprintf(rec.body, "%s});\n", has_some ? "" : "0");
}

static const char *rec_check(struct rig_subject *subject)
{
    (void)subject;
    emit("books();");
    return NULL;
}

static uint64_t rec_dead_bytes(struct rig_subject *subject)
{
    (void)subject;
    emit("dead_bytes(%ju);", (uintmax_t)rig_dead_bytes(rec.run));
    return rig_dead_bytes(rec.run);
}

static const char *rec_stripped(struct rig_subject *subject, uint32_t slot)
{
    (void)subject;
    uint32_t newest = 0;
    for (uint32_t i = 1; i < rec.n_leases; i++)
        newest = rec.leases[i].handle && rec.leases[i].slot == slot ? i : newest;
    rec.bare_since[slot] = ++rec.clock;
    emit("stripped(%u);", newest);
    return NULL;
}

static const char *rec_residue(struct rig_subject *subject)
{
    (void)subject;
    emit("residue(%u);", rec.n_leases);
    return NULL;
}

/* ---- begin and end ---- */

static int rec_open(const struct rig_geometry *geometry, struct rig_subject **ret_subject)
{
    static const char *const growths[] = {[COW_GROWTH_TRUNCATE] = "COW_GROWTH_TRUNCATE",
                                          [COW_GROWTH_PROTECT] = "COW_GROWTH_PROTECT",
                                          [COW_GROWTH_GUARD] = "COW_GROWTH_GUARD",
                                          [COW_GROWTH_SOFTWARE] = "COW_GROWTH_SOFTWARE"};
    static const char *const resets[] = {[COW_RESET_DISCARD] = "COW_RESET_DISCARD",
                                         [COW_RESET_COPYBACK] = "COW_RESET_COPYBACK",
                                         [COW_RESET_DEFERRED] = "COW_RESET_DEFERRED",
                                         [COW_RESET_ADAPTIVE] = "COW_RESET_ADAPTIVE"};
    emit("begin(&(const struct cow_pool_config){.n_slots = %u, .max_bytes = %ju, .guard_bytes = %ju,",
         geometry->n_slots, (uintmax_t)geometry->max_bytes, (uintmax_t)geometry->guard_bytes);
    emit("                                      .unit_bytes = %ju, .image_join_bytes = %ju,",
         (uintmax_t)geometry->unit_bytes, (uintmax_t)geometry->join_bytes);
    emit("                                      .growth = %s, .guard_window_bytes = %ju,", growths[geometry->growth],
         (uintmax_t)geometry->window_bytes);
    emit("                                      .reset = %s, .copy_whole_bytes = %ju,", resets[geometry->reset],
         (uintmax_t)geometry->whole_bytes);
    emit("                                      .queue_slots = %u, .warm_slots = %u, .resident_bytes = %ju});",
         geometry->queue_slots, geometry->warm_slots, (uintmax_t)geometry->resident_bytes);
    rec.max_bytes = geometry->max_bytes;
    *ret_subject = &rec.subject;
    return rig_subject_model.open(geometry, &rec.model);
}

static int rec_close(struct rig_subject *subject)
{
    (void)subject;
    emit("return finish(%u);", rec.n_files);
    return rig_subject_model.close(rec.model);
}

static const struct rig_subject_ops recorder = {
    .name = "recorder",
    .open = rec_open,
    .close = rec_close,
    .image_create = rec_image_create,
    .image_drop = rec_image_drop,
    .instantiate = rec_instantiate,
    .memory = rec_memory,
    .grow = rec_grow,
    .reset = rec_reset,
    .release = rec_release,
    .flush = rec_flush,
    .trim = rec_trim,
    .access = rec_access,
    .write = rec_write,
    .image_from_file = rec_image_from_file,
    .calls = rec_calls,
    .promises_placement = true,
    .bounds_in_software = true,
    .host_read = rec_host_read,
    .host_write = rec_host_write,
    .dead_bytes = rec_dead_bytes,
    .check = rec_check,
    .stripped = rec_stripped,
    .residue = rec_residue,
};

/* A heading for what follows, which is also what a failure begins with. */
static void before(const struct rig_run *run)
{
    rec.run = run;
    fputs("\n    step = \"", rec.body);
    if (run->op < run->program->n_ops) {
        fprintf(rec.body, "operation %u, ", run->op);
        rig_print_op(rec.body, &run->program->ops[run->op]);
    } else {
        fputs("the end", rec.body);
        rec.compares = true;
        emit_change();
    }
    fputs("\";\n", rec.body);
}

static void print_head(const struct rig_program *program, const char *name, FILE *out)
{
    fprintf(
        out,
        "// cc -std=gnu11 -D_GNU_SOURCE -Iimpl/include -Iimpl %s impl/*.c impl/sys/*.c -lpthread -o repro && ./repro\n"
        "//\n"
        "// To be compiled from the root of cowpool. Expected: it prints \"ok\" and exits with 0. Where the pool does "
        "otherwise than\n"
        "// the model, it prints the first difference and exits with 1. Made by lockstep emit-c of this program:\n"
        "//\n",
        name);
    char *text = NULL;
    size_t size = 0;
    FILE *memory = open_memstream(&text, &size);
    if (!memory)
        abort();
    rig_print_program(memory, program, NULL, NULL);
    fclose(memory);
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
        fprintf(out, "//     %s\n", line);
    free(text);
    fputs("\n#include \"cowpool.h\"\n\n#include <dirent.h>\n#include <errno.h>\n#include <fcntl.h>\n#include "
          "<signal.h>\n"
          "#include <stdarg.h>\n#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n#include <sys/mman.h>\n"
          "#include <unistd.h>\n\n",
          out);
}

const char *rig_emit_c_refuses(const struct rig_program *program)
{
    static const uint8_t refused[] = {RIG_FORK, RIG_ADVISE, RIG_PIN, RIG_UNPIN, RIG_SCHEDULE, RIG_FAULT};
    for (uint32_t i = 0; i < program->n_ops; i++)
        for (size_t j = 0; j < sizeof refused; j++)
            if (program->ops[i].kind == refused[j])
                return rig_kind_name[refused[j]];
    return rig_program_unbuilt(program);
}

static void print_constants(FILE *out)
{
    const uint64_t page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
    fprintf(out, "#define PAGE_BYTES %ju\n#define CAPACITY_BYTES %ju\n", (uintmax_t)page_bytes,
            (uintmax_t)((rec.max_bytes + page_bytes - 1) / page_bytes * page_bytes));
    fprintf(out, "#define N_IMAGES %u\n#define N_LEASES %u /* number 0 is the null handle */\n#define N_FILES %u\n\n",
            rec.n_images + 1, rec.n_leases, rec.n_files + 1);
}

static int record(const struct rig_program *program)
{
    static struct rig_program copy;
    const struct rig_options options = {.subject = &recorder, .until = UINT32_MAX, .before = before};
    struct rig_verdict verdict;
    copy = *program;
    /* What quiet observation is careful about takes more than the public interface. */
    if (copy.world.observe != RIG_OBSERVE_FULL)
        copy.world.observe = RIG_OBSERVE_FINAL;
    rec.compares = copy.world.observe == RIG_OBSERVE_FULL;
    rec.n_leases = 1;
    rec.n_changes = 1;
    for (uint32_t i = 0; i < RIG_MAX_SLOTS; i++)
        rec.bare_since[i] = rec.clock++;
    rig_run(&copy, &options, &verdict);
    free(verdict.report);
    if (verdict.kind == RIG_AGREE)
        return 0;
    fprintf(stderr, "lockstep emit-c: %s\n", verdict.line);
    return 2;
}

int rig_emit_c(const struct rig_program *program, const char *name, FILE *out)
{
    char *body = NULL, *tables = NULL;
    size_t n_body = 0, n_tables = 0;
    rec.body = open_memstream(&body, &n_body);
    rec.tables.out = open_memstream(&tables, &n_tables);
    if (!rec.body || !rec.tables.out)
        abort();
    const int result = record(program);
    fclose(rec.body);
    fclose(rec.tables.out);
    if (result == 0) {
        print_head(program, name, out);
        print_constants(out);
        for (const char *const *line = rig_emit_c_lines; *line; line++) {
            if (strcmp(*line, "int main(void)") == 0)
                fprintf(out, "/* ---- what there is to write, and to be read ---- */\n\n%s\n", tables);
            fprintf(out, "%s\n", *line);
        }
        fprintf(out, "%s}\n", body);
    }
    rig_emit_c_tables_free(&rec.tables);
    free(body);
    free(tables);
    return result;
}
