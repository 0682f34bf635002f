/* See sharing.h. No Python.h. */

#include "sharing.h"

#if MT_FREE_THREADED

#include <pthread.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void mt_sharing_lock(void)
{
    pthread_mutex_lock(&lock);
}

void mt_sharing_unlock(void)
{
    pthread_mutex_unlock(&lock);
}

#else

typedef int mt_sharing_nothing_here; // ISO C wants a declaration in every file

#endif
