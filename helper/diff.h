/* Two snapshots → did it change? No Python.h: works on what snapshot.c wrote. */
#ifndef MT_DIFF_H
#define MT_DIFF_H

#include <stdint.h>

enum { MT_SNAPSHOT_ITEMS = 64 };

/* Contents of one container at one moment, cut at MT_SNAPSHOT_ITEMS. */
struct mt_snapshot {
    uint64_t container;                /* its address; 0: empty snapshot */
    uint64_t length;                   /* items; bytes of a bytearray */
    uint64_t version;                  /* something that changes whenever the contents do, else 0
                                  (dict: ma_version_tag, CPython <= 3.11) */
    uint32_t count;                    /* words in `items` */
    uint32_t whole;                    /* 1: `items` covers all of it */
    uint64_t items[MT_SNAPSHOT_ITEMS]; /* item identity mixed with its scalar value, so that
                                  an address used again shows; keys and values of dicts */
};

enum mt_change {
    MT_UNCHANGED,
    MT_CHANGED,
    MT_UNDECIDED, /* equal as far as the bound reaches, not covered whole */
};

/* Both of the same container. */
enum mt_change mt_diff(const struct mt_snapshot *before, const struct mt_snapshot *after);

#endif
