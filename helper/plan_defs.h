/* Definitions of a plan: its code object and its sites, written at first need.
 *
 * A plan that is dropped to save memory leaves its ids behind, and the plan made later goes on
 * with them: so the sites' ids are one range, reserved when the first of them is needed. Needs
 * the GIL; without it, any thread may call the first two, and takes mt_sharing_lock. Who reads a
 * def_id elsewhere does so with acquire: then the definition is in the buffer before any event
 * that names it. */
#ifndef MT_PLAN_DEFS_H
#define MT_PLAN_DEFS_H

#include <stdbool.h>
#include "plan.h"

/* The MT_DEF_SITE id of a site or an argument, defined if it isn't yet; 0: no room (counted). */
uint32_t mt_plan_defs_site(struct mt_plan *plan, struct mt_site *site);
uint32_t mt_plan_defs_argument(struct mt_plan *plan, struct mt_argument *argument);

/* Define all that events can name, in a plan that has ids. False: no room. */
bool mt_plan_defs_complete(struct mt_plan *plan);

/* Go on with ids that a plan of the same code left, when it was complete. */
void mt_plan_defs_resume(struct mt_plan *plan, uint32_t code_id, uint32_t first_id);

/* Forget all ids: the buffer is a new one. */
void mt_plan_defs_forget(struct mt_plan *plan);

#endif
