/* See plan_defs.h. */

#include "plan_defs.h"

#include <string.h>
#include "defs.h"
#include "sharing.h"

static struct mt_text text_of(const char *text)
{
    return (struct mt_text){text, strlen(text)};
}

// Ids of sites and arguments are read by other threads, without the lock.
static uint32_t get_id(const uint32_t *id)
{
    return __atomic_load_n(id, __ATOMIC_ACQUIRE);
}

static uint32_t set_id(uint32_t *id, uint32_t value)
{
    __atomic_store_n(id, value, __ATOMIC_RELEASE);
    return value;
}

// Under mt_sharing_lock, as all below up to mt_plan_defs_site.
static uint32_t code_definition(struct mt_plan *plan)
{
    if (!plan->def_id) {
        Py_ssize_t size = 0;
        const char *file = PyUnicode_AsUTF8AndSize(plan->code->co_filename, &size);
        if (!file) {
            PyErr_Clear();
            file = "?";
            size = 1;
        }
        plan->def_id = mt_defs_code((struct mt_text){file, (size_t)size}, text_of(plan->qualname),
                                    (uint32_t)plan->code->co_firstlineno);
    }
    return plan->def_id;
}

// The id that a site (by its index) or an argument (behind the sites) has.
static uint32_t id_at(struct mt_plan *plan, uint32_t index)
{
    if (!plan->first_id)
        plan->first_id = mt_defs_reserve_sites(plan->site_count + plan->argument_count);
    return plan->first_id + index;
}

static uint32_t define_site(struct mt_plan *plan, struct mt_site *site)
{
    uint32_t index = (uint32_t)(site - plan->sites);

    return set_id(&site->def_id,
                  mt_defs_site(id_at(plan, index), code_definition(plan),
                               site->line < 0 ? 0 : (uint32_t)site->line,
                               (enum mt_scope)site->scope, text_of(mt_site_name(site)),
                               text_of(mt_site_key(site))));
}

static uint32_t define_argument(struct mt_plan *plan, struct mt_argument *argument)
{
    uint32_t index = plan->site_count + (uint32_t)(argument - plan->arguments);

    return set_id(&argument->def_id,
                  mt_defs_site(id_at(plan, index), code_definition(plan),
                               (uint32_t)plan->code->co_firstlineno, MT_ARGUMENT,
                               text_of(mt_argument_name(argument)), text_of("")));
}

uint32_t mt_plan_defs_site(struct mt_plan *plan, struct mt_site *site)
{
    uint32_t id = get_id(&site->def_id);

    if (id)
        return id;
    mt_sharing_lock();
    id = site->def_id ? site->def_id : define_site(plan, site);
    mt_sharing_unlock();
    return id;
}

uint32_t mt_plan_defs_argument(struct mt_plan *plan, struct mt_argument *argument)
{
    uint32_t id = get_id(&argument->def_id);

    if (id)
        return id;
    mt_sharing_lock();
    id = argument->def_id ? argument->def_id : define_argument(plan, argument);
    mt_sharing_unlock();
    return id;
}

// Operators' events go by their partner's name, but for those whose store never comes: these
// few are defined once more when they need it.
static bool names_events(const struct mt_site *site)
{
    return site->op != MT_SITE_INPLACE && site->op != MT_SITE_CONCAT;
}

bool mt_plan_defs_complete(struct mt_plan *plan)
{
    bool complete = true;

    for (uint32_t i = 0; complete && i < plan->site_count; i++)
        complete = !names_events(&plan->sites[i]) || mt_plan_defs_site(plan, &plan->sites[i]);
    for (uint32_t i = 0; complete && i < plan->argument_count; i++)
        complete = mt_plan_defs_argument(plan, &plan->arguments[i]);
    return complete;
}

void mt_plan_defs_resume(struct mt_plan *plan, uint32_t code_id, uint32_t first_id)
{
    plan->def_id = code_id;
    plan->first_id = first_id;
    for (uint32_t i = 0; first_id && i < plan->site_count; i++)
        plan->sites[i].def_id = names_events(&plan->sites[i]) ? first_id + i : 0;
    for (uint32_t i = 0; first_id && i < plan->argument_count; i++)
        plan->arguments[i].def_id = first_id + plan->site_count + i;
}

void mt_plan_defs_forget(struct mt_plan *plan)
{
    plan->def_id = plan->first_id = 0;
    for (uint32_t i = 0; i < plan->site_count; i++)
        plan->sites[i].def_id = 0;
    for (uint32_t i = 0; i < plan->argument_count; i++)
        plan->arguments[i].def_id = 0;
}
