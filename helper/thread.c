/* See thread.h. No GIL needed, except where said there. */

#include "thread.h"

#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

struct mt_thread mt_thread_none;
__thread struct mt_thread *mt_thread_self = &mt_thread_none;

// Guards `threads`. Leaf: nothing is called with it held.
static pthread_mutex_t threads_lock = PTHREAD_MUTEX_INITIALIZER;
static struct mt_thread *threads;

// Runs forget() when a thread ends.
static pthread_key_t exit_key;
static pthread_once_t exit_key_once = PTHREAD_ONCE_INIT;

static size_t mapping_size(void)
{
    return sizeof(struct mt_thread) + MT_PENDING_MAX * sizeof(struct mt_pending) +
           MT_CALLS_MAX * sizeof(struct mt_call);
}

static void forget(void *argument)
{
    struct mt_thread *thread = argument;

    mt_ring_close(&thread->ring);
    pthread_mutex_lock(&threads_lock);
    if (thread->previous)
        thread->previous->next = thread->next;
    else
        threads = thread->next;
    if (thread->next)
        thread->next->previous = thread->previous;
    pthread_mutex_unlock(&threads_lock);
    mt_thread_self = &mt_thread_none;
    munmap(thread, mapping_size());
}

static void make_exit_key(void)
{
    pthread_key_create(&exit_key, forget);
}

struct mt_thread *mt_thread_create(void)
{
    pthread_once(&exit_key_once, make_exit_key);
    struct mt_thread *thread = mmap(NULL, mapping_size(), PROT_READ | PROT_WRITE,
                                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (thread == MAP_FAILED)
        return NULL;
    thread->pending = (struct mt_pending *)(thread + 1);
    thread->calls = (struct mt_call *)(thread->pending + MT_PENDING_MAX);
    mt_ring_init(&thread->ring, (uint32_t)syscall(SYS_gettid));

    pthread_mutex_lock(&threads_lock);
    thread->next = threads;
    if (threads)
        threads->previous = thread;
    threads = thread;
    pthread_mutex_unlock(&threads_lock);

    pthread_setspecific(exit_key, thread);
    mt_thread_self = thread;
    return thread;
}

static void forget_call(struct mt_thread *thread)
{
    thread->call.frame = thread->quick_frame = thread->untraced_frame = NULL;
    thread->call_code = NULL;
    thread->late.frame = NULL;
    thread->hit_frame = NULL;
    thread->unsettled = thread->pending_count != 0;
}

#if MT_FREE_THREADED

uint64_t mt_plans_died;

void mt_thread_forget_plan(const struct mt_plan *plan)
{
    // Another thread's state can't be touched: see mt_thread_is_fresh() and mt_pending_top().
    __atomic_fetch_add(&mt_plans_died, 1, __ATOMIC_RELAXED);
}

#else

static void forget_plan(struct mt_thread *thread, const struct mt_plan *plan)
{
    if (thread->call.plan == plan) {
        forget_call(thread);
        thread->call.plan = NULL; // mt_thread_each_plan() goes by it
    }
    for (uint32_t i = 0; i < thread->call_count; i++) {
        if (thread->calls[i].plan == plan)
            thread->calls[i] = (struct mt_call){NULL, NULL, 0};
    }
    if (thread->late.plan == plan)
        thread->late.frame = NULL;
    // What it still held is not given back here, where a code object is being destroyed.
    for (int i = 0; i < thread->pending_count; i++) {
        if (thread->pending[i].plan == plan) {
            thread->pending[i].frame = NULL;
            thread->pending[i].plan = NULL;
        }
    }
}

void mt_thread_forget_plan(const struct mt_plan *plan)
{
    pthread_mutex_lock(&threads_lock);
    for (struct mt_thread *thread = threads; thread; thread = thread->next)
        forget_plan(thread, plan);
    pthread_mutex_unlock(&threads_lock);
}

#endif

static void each_plan(struct mt_thread *thread, void (*each)(struct mt_plan *plan))
{
    if (thread->call.plan)
        each(thread->call.plan);
    for (uint32_t i = 0; i < thread->call_count; i++) {
        if (thread->calls[i].plan)
            each(thread->calls[i].plan);
    }
    if (thread->late.frame)
        each(thread->late.plan);
    for (int i = 0; i < thread->pending_count; i++) {
        if (thread->pending[i].plan)
            each(thread->pending[i].plan);
    }
}

void mt_thread_each_plan(void (*each)(struct mt_plan *plan))
{
    pthread_mutex_lock(&threads_lock);
    for (struct mt_thread *thread = threads; thread; thread = thread->next)
        each_plan(thread, each);
    pthread_mutex_unlock(&threads_lock);
}

void mt_thread_forget_calls(void)
{
    pthread_mutex_lock(&threads_lock);
    for (struct mt_thread *thread = threads; thread; thread = thread->next)
        forget_call(thread);
    pthread_mutex_unlock(&threads_lock);
}

void mt_thread_forget_quick_frames(void)
{
    pthread_mutex_lock(&threads_lock);
    for (struct mt_thread *thread = threads; thread; thread = thread->next)
        thread->quick_frame = thread->untraced_frame = NULL;
    pthread_mutex_unlock(&threads_lock);
}

void mt_thread_drop_calls(void)
{
    mt_thread_forget_calls();
    pthread_mutex_lock(&threads_lock);
    for (struct mt_thread *thread = threads; thread; thread = thread->next)
        thread->call_count = 0;
    pthread_mutex_unlock(&threads_lock);
}

void mt_thread_close_all(void)
{
    mt_thread_forget_calls();
    pthread_mutex_lock(&threads_lock);
    for (struct mt_thread *thread = threads; thread; thread = thread->next) {
        mt_ring_close(&thread->ring);
        thread->call_count = 0;
    }
    pthread_mutex_unlock(&threads_lock);
}

void mt_thread_abandon(void)
{
    // Only the forking thread lives on. The others' mappings are lost, a page or two each;
    // the mutex may have been held by one of them.
    pthread_mutex_init(&threads_lock, NULL);
    threads = mt_thread_self != &mt_thread_none ? mt_thread_self : NULL;
    if (!threads)
        return;
    threads->next = threads->previous = NULL;
    threads->pending_count = 0;
    threads->call_count = 0;
    forget_call(threads);
    mt_ring_init(&threads->ring, (uint32_t)syscall(SYS_gettid));
}
