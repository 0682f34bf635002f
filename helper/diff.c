/* Two snapshots of one container → did its contents change?
 *
 * Pure functions of their arguments. No Python.h, needs no GIL, any thread. */
#include <string.h>

#include "diff.h"

enum mt_change mt_diff(const struct mt_snapshot *before, const struct mt_snapshot *after)
{
    if (before->container != after->container || before->length != after->length ||
        before->count != after->count)
        return MT_CHANGED;
    // The same version says that nothing was stored. Another version says only that
    // something was, perhaps the value that was there: the items decide as far as they go.
    if (before->version != 0 && before->version == after->version)
        return MT_UNCHANGED;
    uint32_t count = before->count < MT_SNAPSHOT_ITEMS ? before->count : MT_SNAPSHOT_ITEMS;
    if (memcmp(before->items, after->items, count * sizeof before->items[0]) != 0)
        return MT_CHANGED;
    if (before->whole && after->whole)
        return MT_UNCHANGED;
    return before->version != after->version ? MT_CHANGED : MT_UNDECIDED;
}
