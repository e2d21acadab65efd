/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* A subject that lies. Its table is an honest subject's with one function replaced; the replacement tells the truth until the
 * program's first `flush`, and from then on its lie. Each program runs twice: honestly, where everything must agree, so that
 * nothing but the lie can be what is seen; then lying, where the rig must say exactly what the test expects. */
#ifndef REGRESS_LYING_H
#define REGRESS_LYING_H

#include "harness.h"
#include "run.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

enum { LYING_ANYWHERE = -1 }; /* whichever operation finds it */

static const struct rig_subject_ops *truth = &rig_subject_pool;
static struct rig_subject_ops liar; /* a test replaces functions in here; lying_expect() puts the truth back */

static struct {
    bool armed, begun, just_begun;
    struct rig_subject *subject;
    const struct cow_sys_table *sys; /* that it was given; NULL: the real one */
    uint64_t handle;                 /* of the newest lease */
    char report[1 << 14];
} lying_state;

/* Whether to lie in this call. */
static inline bool is_lying(void)
{
    return lying_state.begun;
}

/* Whether this is the flush that the lies begin at: for what is to be done once. */
static inline bool is_first_lie(void)
{
    return lying_state.just_begun;
}

/* ---- what every liar does: notes what is going on, and begins to lie at the first flush ---- */

static inline int lying_open(const struct rig_geometry *geometry, struct rig_subject **ret_subject)
{
    const int result = truth->open(geometry, ret_subject);
    if (geometry->n_shards) /* not the program's: one of those beside it */
        return result;
    lying_state.begun = false;
    lying_state.sys = geometry->sys;
    lying_state.subject = result ? NULL : *ret_subject;
    return result;
}

static inline int lying_instantiate(struct rig_subject *subject, void *image, uint64_t initial_bytes,
                                    uint64_t max_bytes, uint64_t *ret_handle)
{
    const int result = truth->instantiate(subject, image, initial_bytes, max_bytes, ret_handle);
    if (result == COW_OK && subject == lying_state.subject)
        lying_state.handle = *ret_handle;
    return result;
}

static inline int lying_flush(struct rig_subject *subject)
{
    lying_state.just_begun = lying_state.armed && !lying_state.begun;
    lying_state.begun = lying_state.armed;
    return truth->flush(subject);
}

/* To be called first in main(). */
static inline void lying_begin(const struct rig_subject_ops *honest)
{
    truth = honest;
    liar = *honest;
    liar.open = lying_open;
    liar.instantiate = lying_instantiate;
    liar.flush = lying_flush;
}

/* ---- running ---- */

static inline struct rig_verdict lying_run(const char *program, bool armed)
{
    static struct rig_text text;
    struct rig_text_error error;
    struct rig_verdict verdict;
    const struct rig_options options = {.subject = &liar, .until = UINT32_MAX};
    lying_state.armed = armed;
    if (rig_text_parse(program, strlen(program), &text, &error))
        printf("%s: %u:%u: %s\n", check_test_name, error.line, error.column, error.what), exit(1);
    rig_run(&text.program, &options, &verdict);
    lying_state.begun = lying_state.just_begun = lying_state.armed = false;
    return verdict;
}

/* What the last report says. */
static inline bool lying_says(const char *words)
{
    if (strstr(lying_state.report, words))
        return true;
    printf("the report does not say '%s':\n%s", words, lying_state.report);
    return false;
}

/* Runs the program honestly, then lying: this must be the stable line, found at this operation, and a report for people. */
static inline void lying_expect(const char *program, const char *line, int op)
{
    char words[160];
    struct rig_verdict verdict = lying_run(program, false);
    if (verdict.kind != RIG_AGREE)
        printf("honest, and yet: %s\n%s", verdict.line, verdict.report ? verdict.report : "");
    CHECK_EQ(verdict.kind, RIG_AGREE);
    verdict = lying_run(program, true);
    CHECK_STRINGS(verdict.line, line);
    CHECK_EQ(verdict.kind, RIG_DIVERGED);
    CHECK(op == LYING_ANYWHERE || verdict.op == (uint32_t)op);
    CHECK_EQ(verdict.counters.n_divergences, 1);
    snprintf(lying_state.report, sizeof lying_state.report, "%s", verdict.report);
    free(verdict.report);
    CHECK(strncmp(lying_state.report, line, strlen(line)) == 0);
    snprintf(words, sizeof words, "\nat operation %u (", verdict.op);
    CHECK(lying_says(words));
    CHECK(lying_says(truth->name));
    CHECK(lying_says("\nthe program so far:\ncowpool-ops 1\n"));
    snprintf(words, sizeof words, "\n>%3u  ", verdict.op);
    CHECK(lying_says(strstr(line, " end ") ? "\n>     (the end: " : words));
    lying_begin(truth);
}

/* ---- means of lying that are real: the pool's own memory and files, behind its back ---- */

static inline uint64_t lying_page(void)
{
    return (uint64_t)sysconf(_SC_PAGESIZE);
}

/* Of the newest lease. */
static inline struct cow_memory lying_memory(void)
{
    struct cow_memory memory = {0};
    CHECK_EQ(truth->memory(lying_state.subject, lying_state.handle, &memory), COW_OK);
    return memory;
}

static inline uint8_t *lying_at(int64_t offset)
{
    return lying_memory().base + offset;
}

/* The page of that address, rounded down. */
static inline void *lying_page_of(const uint8_t *at)
{
    const uintptr_t address = (uintptr_t)at;
    return (void *)(address - address % lying_page());
}

static inline void lying_protect(const uint8_t *at, int protection)
{
    CHECK_EQ(mprotect(lying_page_of(at), lying_page(), protection), 0);
}

/* Memory where there must be none. */
static inline void lying_put_page(const uint8_t *at)
{
    void *page = lying_page_of(at);
    CHECK(mmap(page, lying_page(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == page);
}

/* The descriptor of the file that is mapped there. */
static inline int lying_file_at(const uint8_t *at)
{
    char line[512];
    unsigned long begin, end, inode = 0;
    struct stat status;
    FILE *maps = fopen("/proc/self/maps", "re");
    CHECK(maps != NULL);
    while (inode == 0 && fgets(line, sizeof line, maps))
        if (sscanf(line, "%lx-%lx %*s %*s %*s %lu", &begin, &end, &inode) == 3 &&
            ((uintptr_t)at < begin || (uintptr_t)at >= end))
            inode = 0;
    fclose(maps);
    int fd = 0;
    while (fd < 4096 && (fstat(fd, &status) || status.st_ino != inode))
        fd++;
    CHECK(inode && fd < 4096);
    return fd;
}

#endif
