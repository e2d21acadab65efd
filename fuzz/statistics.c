/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* What the subject tells of itself, figure by figure, against what was seen to happen. (Kernel calls are counted in placement.c;
 * how much of dropped images is held, with each flush.) */
#include "state.h"

#include <string.h>

#define FIGURE(name)                                                                                                   \
    {                                                                                                                  \
#name, offsetof(struct cow_stats, name)                                                                        \
    }

static const struct {
    const char *name;
    size_t offset;
} figures[] = {
    FIGURE(n_slots),  FIGURE(n_live),      FIGURE(n_retired),  FIGURE(n_lost),   FIGURE(n_instantiations),
    FIGURE(n_warm),   FIGURE(n_repaved),   FIGURE(n_grows),    FIGURE(n_resets), FIGURE(n_failed_resets),
    FIGURE(n_images), FIGURE(image_bytes), FIGURE(n_deferred), FIGURE(n_trims),  FIGURE(n_queued),
};

static uint64_t figure_of(const struct cow_stats *stats, size_t i)
{
    uint64_t figure;
    memcpy(&figure, (const uint8_t *)stats + figures[i].offset, sizeof figure);
    return figure;
}

/* What has happened so far is in run->counted; the rest is how things are now. */
static struct cow_stats expected_stats(const struct rig_run *run)
{
    struct cow_stats stats = run->counted;
    stats.n_slots = run->geometry.n_slots;
    stats.n_live = run->model.n_live;
    for (uint32_t i = 0; i < run->geometry.n_slots; i++) {
        stats.n_queued += run->slots[i].state == RIG_SLOT_QUEUED;
        stats.n_lost += run->slots[i].state == RIG_SLOT_LOST;
        stats.n_retired += run->slots[i].state == RIG_SLOT_LOST || run->slots[i].state == RIG_SLOT_RETIRED;
    }
    for (uint32_t i = 0; i < RIG_N_IMAGES; i++)
        if (run->images[i].subject) {
            stats.n_images++;
            stats.image_bytes += run->images[i].model->run_bytes;
        }
    return stats;
}

void rig_check_statistics(struct rig_run *run)
{
    struct cow_stats told = {0};
    if (!run->ops->stats || run->failed || run->options->foreign_faults || !run->subject)
        return;
    const struct cow_stats expected = expected_stats(run);
    if (!rig_same_result(run, COW_OK, run->ops->stats(run->subject, &told)))
        return;
    for (size_t i = 0; i < sizeof figures / sizeof *figures; i++)
        if (figure_of(&told, i) != figure_of(&expected, i))
            rig_suspect(run, "statistics", figures[i].name, "the subject tells a %s of %ju, not %ju", figures[i].name,
                        (uintmax_t)figure_of(&told, i), (uintmax_t)figure_of(&expected, i));
}
