/* See overhead.h. */

#include "overhead.h"

#include <stdlib.h>
#include <string.h>

// A look that took longer was interrupted: by the kernel, or by a breakpoint.
enum { LONGEST_NS = 100 * 1000 };

static void clear(struct mt_overhead *overhead)
{
    overhead->looks = overhead->samples = 0;
    overhead->cost_ns = 0;
    memset(overhead->places, 0, sizeof overhead->places);
}

void mt_overhead_init(struct mt_overhead *overhead, uint32_t limit, uint32_t look_ns)
{
    overhead->limit = limit;
    overhead->look_ns = look_ns;
    clear(overhead);
}

bool mt_overhead_count(struct mt_overhead *overhead)
{
    return overhead->looks++ % MT_OVERHEAD_SAMPLE == 0;
}

bool mt_overhead_is_full(const struct mt_overhead *overhead)
{
    return overhead->looks >= MT_OVERHEAD_WINDOW;
}

// The entry of a place, or a free one, or NULL: too many places, none of which is hot then.
static struct mt_place *find_place(struct mt_overhead *overhead, const void *plan, uint32_t index)
{
    uint32_t at = (uint32_t)(((uintptr_t)plan >> 4) + index) * 2654435769u >> 16;

    for (uint32_t i = 0; i < MT_OVERHEAD_PLACES; i++) {
        struct mt_place *place = &overhead->places[(at + i) % MT_OVERHEAD_PLACES];
        if (!place->plan || (place->plan == plan && place->index == index))
            return place;
    }
    return NULL;
}

void mt_overhead_sample(struct mt_overhead *overhead, const void *plan, uint32_t index,
                        uint64_t cost_ns)
{
    uint64_t cost = (cost_ns < LONGEST_NS ? cost_ns : LONGEST_NS) + overhead->look_ns;
    struct mt_place *place = plan ? find_place(overhead, plan, index) : NULL;

    overhead->samples++;
    overhead->cost_ns += cost;
    if (!place)
        return;
    place->plan = plan;
    place->index = index;
    place->cost_ns += cost;
}

static int by_cost(const void *first, const void *second)
{
    const struct mt_place *one = first, *other = second;

    return (one->cost_ns < other->cost_ns) - (one->cost_ns > other->cost_ns);
}

uint32_t mt_overhead_judge(struct mt_overhead *overhead, uint64_t elapsed_ns,
                           struct mt_place ret[MT_OVERHEAD_HOT_MAX], uint32_t *ret_percent)
{
    uint64_t samples = overhead->samples ? overhead->samples : 1;
    uint64_t cost = overhead->cost_ns * overhead->looks / samples;
    // Costs are estimates: some of the time was the program's own.
    uint64_t own = elapsed_ns > cost + elapsed_ns / 64 ? elapsed_ns - cost : elapsed_ns / 64 + 1;
    uint64_t allowed = own * (overhead->limit - 100) / 100;
    uint32_t count = 0;

    *ret_percent = (uint32_t)((own + cost) * 100 / own);
    if (cost > allowed && overhead->samples) {
        qsort(overhead->places, MT_OVERHEAD_PLACES, sizeof *overhead->places, by_cost);
        uint64_t excess = (cost - allowed) * samples / overhead->looks, saved = 0;
        while (count < MT_OVERHEAD_HOT_MAX && saved < excess && overhead->places[count].plan) {
            saved += overhead->places[count].cost_ns;
            ret[count] = overhead->places[count];
            count++;
        }
    }
    clear(overhead);
    return count;
}
