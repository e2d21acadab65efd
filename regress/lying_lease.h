/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Programs about one lease, and lies about it that are told behind the pool's back, at a flush. Every byte that a guest sees is right, or
 * nobody looks at it. */
#ifndef REGRESS_LYING_LEASE_H
#define REGRESS_LYING_LEASE_H

#include "lying.h"

#define EACH "cowpool-ops 1\npool slots=2 max=8P probe=none observe=final kernel=each sweep=no\n"
#define END "cowpool-ops 1\npool slots=2 max=8P probe=none observe=final sweep=no\n"
/* The image has two pages of the same bytes; then there is zero memory up to 4P, and 2P are grown. */
#define IMAGE "image A size=2P\ndata 0 bytes 01 02 03\ndata 1P bytes 01 02 03\n"
#define LEASE IMAGE "instantiate i0 A initial=4P\ngrow i0 +2P\n"
/* The operation behind LEASE. With kernel=each it is followed by a look at the slot that is bare, and the next one by a look at the
 * lease's. Of programs that end with it the number of the end is the next one's. */
enum { FLUSH = 5, NEXT };

/* ---- at the flush ---- */

static void (*lie)(void);

static inline int lies_once(struct rig_subject *subject)
{
    const int result = lying_flush(subject);
    if (is_first_lie())
        lie();
    return result;
}

static inline void expect_at_flush(void (*do_lie)(void), const char *program, const char *line, int op)
{
    liar.flush = lies_once;
    lie = do_lie;
    lying_expect(program, line, op);
}

static inline uint8_t *page_at(int64_t n_pages)
{
    return lying_at(n_pages * (int64_t)lying_page());
}

#endif
