/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* What test_fast_path.sh looks at from outside: instantiate, store, grow if asked to, release, all on one image, between two
 * markers. Usage: fast_path_loop grow|plain|reset N */
#include "cowpool.h"

#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

static void require(int holds)
{
    if (!holds)
        abort();
}

int main(int n_arguments, char **arguments)
{
    require(n_arguments == 3);
    const char *mode = arguments[1];
    const long n_rounds = strtol(arguments[2], NULL, 10);
    const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    const struct cow_pool_config pool_config = {.growth = COW_GROWTH_TRUNCATE,
                                                .reset = COW_RESET_DISCARD,
                                                .n_slots = 4,
                                                .max_bytes = 16 * page,
                                                .guard_bytes = page};
    const struct cow_segment segment = {100, "data", 4};
    struct cow_pool *pool = NULL;
    struct cow_image *image = NULL;
    require(cow_pool_create(&pool_config, &pool) == COW_OK);
    require(cow_image_create(pool, page, &segment, 1, &image) == COW_OK);
    const struct cow_instance_config config = {.image = image, .initial_bytes = 2 * page, .max_bytes = 16 * page};
    for (long i = -1; i < n_rounds; i++) {
        struct cow_instance instance;
        struct cow_memory memory;
        uint64_t old_bytes = 0;
        if (i == 0) /* the round before was the cold one */
            prctl(PR_SET_NAME, "fast-path-begin");
        require(cow_instantiate(pool, &config, &instance) == COW_OK);
        require(cow_instance_memory(pool, instance, &memory) == COW_OK);
        require(memcmp(memory.base + 100, "data", 4) == 0 && memory.base[page] == 0);
        memory.base[100] = 1;
        memory.base[2 * page - 1] = 1;
        if (strcmp(mode, "grow") == 0) {
            require(cow_instance_grow(pool, instance, 3 * page, &old_bytes) == COW_OK);
            require(memory.base[5 * page - 1] == 0);
            memory.base[5 * page - 1] = 1;
        }
        if (strcmp(mode, "reset") == 0)
            require(cow_instance_reset(pool, instance) == COW_OK);
        require(cow_instance_release(pool, instance) == COW_OK);
    }
    prctl(PR_SET_NAME, "fast-path-end");
    return cow_pool_close(pool);
}
