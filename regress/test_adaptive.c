/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Keep or let go (adaptive.h), against the best that could have been decided by somebody who knows the future.
 *
 * A trace says which pages each lease writes to. By the costs of adaptive.h, what the function decides may cost at most twice the
 * optimum, and a constant, as with skis that are rented: no deterministic choice that cannot see the future does better in the worst
 * case. Traces of some shapes are changed at random, and kept when the ratio grew: the worst of them is what is tested. */
#include "harness.h"

#include "adaptive.h"

enum { N_LEASES = 192, N_GROUPS = 64 };

static uint64_t random_state = 88172645463325252u;
static uint64_t next_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}
static unsigned below(unsigned n)
{
    return (unsigned)(next_random() >> 33) % n;
}

static uint64_t random_groups(void)
{
    const uint64_t some = next_random();
    return some & next_random();
}

static bool add(struct cow_history *history, uint64_t n_private, bool is_audit, uint64_t n_differing)
{
    return cow_history_add(history, &(struct cow_copies){n_private, n_differing, false, is_audit});
}

/* Bit g: the lease writes to group g, of so many pages. */
struct trace {
    uint64_t writes[N_LEASES];
    unsigned group_pages;
};

static uint64_t n_pages(const struct trace *trace, uint64_t groups)
{
    return (uint64_t)__builtin_popcountll(groups) * trace->group_pages;
}

/* What a lease of these writes costs, and which groups are private then; those that were not written to are of no use if all are copied
 * whole. */
static uint64_t cost_of_lease(const struct trace *trace, uint64_t writes, uint64_t *private, bool is_audit,
                              struct cow_copies *ret_copies)
{
    const bool is_whole = __builtin_popcountll(*private) >= N_GROUPS - N_GROUPS / COW_WHOLE_BUT;
    const uint64_t now = is_whole ? UINT64_MAX : *private | writes, before = *private;
    const uint64_t copied = is_audit ? writes : now;
    *private = now;
    *ret_copies = (struct cow_copies){n_pages(trace, now), n_pages(trace, writes), is_whole, is_audit};
    return COW_COST_FAULT * n_pages(trace, now & ~before) + (is_whole ? 0 : COW_COST_SCAN) +
           (is_whole ? COW_COST_WHOLE : COW_COST_COPY) * n_pages(trace, copied) +
           (is_audit ? COW_COST_COMPARE * n_pages(trace, now) : 0);
}

static uint64_t cost_of_deciding(const struct trace *trace)
{
    struct cow_history history = {.n_leases = 0};
    struct cow_copies copies;
    uint64_t cost = 0, private = 0;
    for (int i = 0; i < N_LEASES; i++) {
        cost += cost_of_lease(trace, trace->writes[i], &private, cow_history_is_audit(&history), &copies);
        if (cow_history_add(&history, &copies)) {
            cost += COW_COST_DROP;
            private = 0;
        }
    }
    return cost;
}

/* By when pages were let go last: costs[t] is the least that leases so far can have cost, if that was before lease t. */
static uint64_t optimum(const struct trace *trace)
{
    static uint64_t costs[N_LEASES + 1], privates[N_LEASES + 1];
    struct cow_copies copies;
    uint64_t least = 0;
    memset(privates, 0, sizeof privates);
    costs[0] = 0;
    for (int i = 0; i < N_LEASES; i++) {
        least = UINT64_MAX;
        for (int t = 0; t <= i; t++) {
            const uint64_t faults = COW_COST_FAULT * n_pages(trace, trace->writes[i] & ~privates[t]);
            if (costs[t] + faults + COW_COST_DROP < least)
                least = costs[t] + faults + COW_COST_DROP;
            costs[t] += cost_of_lease(trace, trace->writes[i], &privates[t], false, &copies);
        }
        costs[i + 1] = least;
    }
    for (int t = 0; t < N_LEASES; t++)
        if (costs[t] < least)
            least = costs[t];
    return least;
}

/* In thousandths. The constant: all pages fault twice. */
static uint64_t ratio(const struct trace *trace)
{
    const uint64_t constant = UINT64_C(2) * COW_COST_FAULT * n_pages(trace, UINT64_MAX), cost = cost_of_deciding(trace);
    return cost < constant ? 0 : (cost - constant) * 1000 / optimum(trace);
}

static void begin_trace(struct trace *trace, unsigned shape, unsigned group_pages)
{
    const uint64_t some = random_groups();
    const unsigned period = 1 + below(40);
    trace->group_pages = group_pages;
    for (unsigned i = 0; i < N_LEASES; i++) {
        const uint64_t one = UINT64_C(1) << below(N_GROUPS), few = one | UINT64_C(1) << below(N_GROUPS);
        const uint64_t shapes[] = {some,
                                   few,
                                   random_groups(),
                                   i % 8 == 7 ? UINT64_MAX : 0,
                                   i / period % 2 ? some : 0,
                                   i % period == 0 ? UINT64_MAX : 0};
        trace->writes[i] = shapes[shape % (sizeof shapes / sizeof *shapes)];
    }
}

static void change(struct trace *trace)
{
    const unsigned begin = below(N_LEASES), length = 1 + below(24), period = 1 + below(48);
    const uint64_t writes = below(3) ? 0 : below(2) ? UINT64_MAX : random_groups();
    for (unsigned i = begin; i < N_LEASES && i < begin + length; i++)
        trace->writes[i] = below(2) ? writes : trace->writes[begin];
    for (unsigned i = period; i < N_LEASES && below(4) == 0; i++)
        trace->writes[i] = trace->writes[i - period];
}

static void test_adaptive__costs_about_twice_what_the_future_would_have_told(void)
{
    static const unsigned group_pages[] = {1, 4, 64};
    uint64_t worst = 0;
    for (unsigned i = 0; i < 36; i++) {
        static struct trace best, candidate;
        begin_trace(&best, i, group_pages[i / 6 % 3]);
        uint64_t best_ratio = ratio(&best);
        for (int step = 0; step < 250; step++) {
            candidate = best;
            change(&candidate);
            const uint64_t its_ratio = ratio(&candidate);
            if (its_ratio >= best_ratio) {
                best = candidate;
                best_ratio = its_ratio;
            }
        }
        worst = best_ratio > worst ? best_ratio : worst;
    }
    printf("# the worst trace costs %ju.%03ju times the optimum\n", (uintmax_t)worst / 1000, (uintmax_t)worst % 1000);
    CHECK(worst > 1500); /* else the search has searched nothing */
    CHECK(worst <= 2000);
}

/* Tenants that write to some pages of many, other ones each time: nothing is worth keeping, and a slot learns it. */
static void test_adaptive__gives_up_on_pages_that_are_never_the_same(void)
{
    static struct trace trace;
    uint64_t cost = 0, least = 0;
    trace.group_pages = 16;
    for (int i = 0; i < 8; i++) {
        for (unsigned lease = 0; lease < N_LEASES; lease++)
            trace.writes[lease] = UINT64_C(1) << below(N_GROUPS);
        cost += cost_of_deciding(&trace);
        least += optimum(&trace);
    }
    CHECK(cost * 1000 / least <= 1300); /* 1450 with the same patience each time */
}

/* Leases that write to n_new pages nobody has written to before, until they are let go; that many. */
static int count_leases(struct cow_history *history, uint64_t n_new)
{
    int n = 1;
    while (!add(history, history->n_private + n_new, false, 0) && n < 1000)
        n++;
    return n;
}

static void test_adaptive__has_less_patience_each_time(void)
{
    struct cow_history history = {.n_leases = 0};
    int n_before = count_leases(&history, 16);
    for (uint32_t i = 1; i <= COW_MOST_IN_VAIN; i++) {
        CHECK_EQ(history.n_in_vain, i);
        CHECK_EQ(history.n_private, 0);
        const int n = count_leases(&history, 16);
        CHECK(n < n_before);
        n_before = n;
    }
    CHECK_EQ(n_before, 2);
    CHECK_EQ(history.n_in_vain, COW_MOST_IN_VAIN);
    CHECK_EQ(count_leases(&history, 16), 2);
    /* What all write to is kept all the same; and if then nobody does, it has paid to try. */
    for (int i = 0; i < 100; i++)
        CHECK(!add(&history, 16, cow_history_is_audit(&history), 16));
    while (!add(&history, 16, cow_history_is_audit(&history), 0)) {
    }
    CHECK_EQ(history.n_in_vain, 0);
}

/* Twelve faults were spared when a hundred needless copies more made so much waste. */
static uint32_t in_vain_after(uint64_t wasted)
{
    struct cow_history history = {.n_leases = 1, .n_private = 100, .n_hot = 1, .n_most = 1, .n_spared = 12};
    history.wasted = wasted - UINT64_C(100) * COW_COST_COPY;
    CHECK(add(&history, 101, false, 0));
    return history.n_in_vain;
}

static void test_adaptive__what_spares_half_is_not_in_vain(void)
{
    CHECK_EQ(in_vain_after(UINT64_C(24) * COW_COST_FAULT), 0);
    CHECK_EQ(in_vain_after(UINT64_C(24) * COW_COST_FAULT + 2), 1);
}

static void test_adaptive__keeps_what_every_lease_writes_to(void)
{
    struct cow_history history = {.n_leases = 0};
    for (int i = 0; i < 10000; i++)
        CHECK(!add(&history, 16, cow_history_is_audit(&history), 16));
}

static void test_adaptive__lets_go_of_what_nobody_writes_to(void)
{
    struct cow_history history = {.n_leases = 0};
    int n = 0;
    CHECK(!add(&history, 100, false, 0));
    while (!add(&history, 100, cow_history_is_audit(&history), 0))
        CHECK(++n < 100 * COW_COST_FAULT / COW_COST_COPY);
    CHECK_EQ(history.n_leases, 0);
    CHECK_EQ(history.wasted, 0);
}

/* Every figure, lease by lease, worked out by hand from adaptive.h. */
static void test_adaptive__accounts_for_every_page(void)
{
    enum { COPY = COW_COST_COPY, COMPARE = COW_COST_COMPARE, UNSEEN = COW_COST_COPY * (COW_AUDIT_EVERY - 1) };
    static const struct {
        uint64_t n_private, n_differing, n_hot, n_most, n_spared;
        int wasted;
        bool was_compared;
    } leases[] = {
        {100, 0, 100, 100, 0, 0, false},           /* all of them new: all needed */
        {100, 0, 100, 100, 100, 0, false},         /* as far as is known; a hundred faults did not happen */
        {130, 0, 100, 100, 170, 30 * COPY, false}, /* thirty are new, and thirty of the others were not needed */
        {130, 120, 120, 120, 290, 40 * COPY + 10 * COMPARE, true},
        {130, 120, 120, 120, 410, 50 * COPY + 20 * COMPARE, true},
        {130, 90, 90, 120, 500, 90 * COPY + 60 * COMPARE + 30 * UNSEEN, true},
        {90, 0, 90, 120, 590, 90 * COPY + 60 * COMPARE + 30 * UNSEEN, false}, /* fewer than before: none is new */
        {290, 0, 200, 200, 590, 180 * COPY + 60 * COMPARE + 30 * UNSEEN, false},
    };
    struct cow_history history = {.n_leases = 0};
    for (size_t i = 0; i < sizeof leases / sizeof *leases; i++) {
        CHECK(!add(&history, leases[i].n_private, leases[i].was_compared, leases[i].n_differing));
        CHECK_EQ(history.n_leases, i + 1);
        CHECK_EQ(history.n_private, leases[i].n_private);
        CHECK_EQ(history.n_hot, leases[i].n_hot);
        CHECK_EQ(history.n_most, leases[i].n_most);
        CHECK_EQ(history.n_spared, leases[i].n_spared);
        CHECK_EQ(history.wasted, leases[i].wasted);
    }
}

/* Nobody looked which pages are new: none is; those known to be needed have each spared a fault, the others cost less than with a scan. */
static void test_adaptive__takes_no_page_copied_whole_for_new(void)
{
    struct cow_history history = {.n_leases = 1, .n_private = 90, .n_hot = 20, .n_most = 20};
    CHECK(!cow_history_add(&history, &(struct cow_copies){.n_private = 100, .is_whole = true}));
    CHECK_EQ(history.n_private, 100);
    CHECK_EQ(history.n_hot, 20);
    CHECK_EQ(history.n_most, 20);
    CHECK_EQ(history.n_spared, 20);
    CHECK_EQ(history.wasted, 80 * COW_COST_WHOLE);
}

/* The waste that is just borne, and a nanosecond more. */
static void check_threshold(struct cow_history before, uint64_t n_private, uint64_t borne)
{
    struct cow_history history = before;
    history.wasted = borne;
    CHECK(!add(&history, n_private, false, 0));
    history = before;
    history.wasted = borne + 1;
    CHECK(add(&history, n_private, false, 0));
}

static void test_adaptive__lets_go_at_the_cost_of_doing_so(void)
{
    const struct cow_history few = {.n_leases = 1, .n_private = 10, .n_hot = 10, .n_most = 2, .n_spared = 3};
    /* What a lease of ten pages makes of it: most 10, spared 13; at most all pages, here ten. */
    check_threshold(few, 10, 10 * COW_COST_FAULT + COW_COST_DROP);
    const struct cow_history many = {.n_leases = 1, .n_private = 100, .n_hot = 10, .n_most = 10, .n_spared = 20};
    /* 4 * 10 + 30 faults, less what the lease itself has wasted. */
    check_threshold(many, 100, 70 * COW_COST_FAULT + COW_COST_DROP - 90 * COW_COST_COPY);
}

static void test_adaptive__any_counters_are_survived(void)
{
    for (int i = 0; i < 100000; i++) {
        struct cow_history history = {.n_leases = 0};
        for (int lease = 0; lease < 20; lease++)
            (void)add(&history, next_random() >> below(64) >> 24, below(2), next_random() >> below(64) >> 24);
    }
}

int main(void)
{
    RUN(test_adaptive__costs_about_twice_what_the_future_would_have_told);
    RUN(test_adaptive__gives_up_on_pages_that_are_never_the_same);
    RUN(test_adaptive__has_less_patience_each_time);
    RUN(test_adaptive__what_spares_half_is_not_in_vain);
    RUN(test_adaptive__keeps_what_every_lease_writes_to);
    RUN(test_adaptive__lets_go_of_what_nobody_writes_to);
    RUN(test_adaptive__accounts_for_every_page);
    RUN(test_adaptive__takes_no_page_copied_whole_for_new);
    RUN(test_adaptive__lets_go_at_the_cost_of_doing_so);
    RUN(test_adaptive__any_counters_are_survived);
    return 0;
}
