/* Numbers of activations: which call a frame's address stands for.
 *
 * A table from frame address to number. A call enters it at its first event and leaves it
 * when it returns; a suspended generator stays. Serialised by the GIL; without it (sharing.h)
 * any thread may call, but for the last two: alone (guard.h). Memory is mapped, not malloc'ed,
 * and bounded: beyond MT_ACTIVATIONS_MAX live calls one is forgotten, which is counted
 * (lost_activations): it goes on under a new number. */
#ifndef MT_ACTIVATION_H
#define MT_ACTIVATION_H

#include <stdbool.h>
#include <stdint.h>

enum { MT_ACTIVATIONS_MAX = 1 << 17 };

/* The number of the call behind `frame`, or 0. */
uint32_t mt_activation_find(const void *frame);

/* Give the call behind `frame` a new number, whatever was known of that address. */
uint32_t mt_activation_begin(const void *frame);

/* A number for a call that is not kept here. */
uint32_t mt_activation_next(void);

/* The call is over. */
void mt_activation_end(const void *frame);

/* Is any call known that has not ended? */
bool mt_activation_any(void);

/* Forget all and number from 1: a recording begins. */
void mt_activation_reset(void);

#endif
