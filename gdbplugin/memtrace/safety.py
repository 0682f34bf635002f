"""Is a stopped thread one that functions may be called from? Pure data in, verdict out.

gdb can call dlopen() or mmap() in any stopped thread; whether that is safe depends on what
the thread was in the middle of. In the allocator or in the loader, it holds their locks or
has their structures half changed, and the call would deadlock or corrupt. Anywhere else it
is as if a signal handler ran there, with the registers saved and restored around it.

So the verdict needs the whole stack, and for each visit to the C library the name of the
function that was called there. In a stripped library the frames themselves have no names
(sem_wait() leaves by a tail call to a static function), but the call instruction of the
caller goes through a slot of the global offset table, and the slot's relocation has the
name. What can't be named is unsafe: a moment later the thread is somewhere else.

No gdb; the frames come from inject.py."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum
from typing import FrozenSet, List, Optional, Sequence

# Allocators that replace malloc, and what watches it. Seen by file name.
_ALLOCATORS = re.compile(r"lib(jemalloc|tcmalloc|mimalloc|asan|tsan|hoard|snmalloc)")
_LOADER = re.compile(r"ld(-linux|-\d|64\.|\.so)")
_LIBC = re.compile(r"lib(c|pthread|dl|rt)(-[\d.]+)?\.so")
_ALIAS = re.compile(r"^__(libc_)?")

# Functions of the C library that allocate, load, or have locks held while they wait.
_UNSAFE = frozenset(
    "malloc free calloc realloc reallocarray cfree memalign aligned_alloc posix_memalign "
    "valloc pvalloc malloc_trim malloc_usable_size mallopt malloc_info mallinfo mallinfo2 "
    "dlopen dlmopen dlclose dlsym dlvsym dladdr dladdr1 dlinfo dlerror dl_iterate_phdr "
    "fork _Fork vfork posix_spawn posix_spawnp system popen pthread_create pthread_atfork "
    "exit quick_exit _exit abort setuid setgid setreuid setregid setresuid setresgid "
    "setgroups seteuid setegid".split()
)

# Functions of the C library from which nothing is called that has a lock, or that are left
# by waiting in the kernel with no lock held.
_HARMLESS = frozenset(
    "sem_wait sem_timedwait sem_clockwait sem_trywait sem_post "
    "pthread_cond_wait pthread_cond_timedwait pthread_cond_clockwait pthread_cond_signal "
    "pthread_cond_broadcast pthread_mutex_lock pthread_mutex_unlock pthread_mutex_trylock "
    "pthread_mutex_timedlock pthread_rwlock_rdlock pthread_rwlock_wrlock "
    "pthread_rwlock_unlock pthread_join pthread_timedjoin_np pthread_clockjoin_np "
    "pthread_barrier_wait pthread_getspecific pthread_setspecific pthread_self pthread_kill "
    "sched_yield nanosleep clock_nanosleep usleep sleep pause clock_gettime gettimeofday "
    "time select pselect poll ppoll epoll_wait epoll_pwait epoll_pwait2 "
    "read write pread pwrite pread64 pwrite64 readv writev preadv pwritev "
    "accept accept4 connect recv recvfrom recvmsg recvmmsg send sendto sendmsg sendmmsg "
    "sendfile splice tee open open64 openat openat64 close fsync fdatasync fcntl fcntl64 "
    "ioctl flock lockf stat fstat lstat stat64 fstat64 lstat64 fstatat fstatat64 lseek "
    "lseek64 ftruncate access wait wait3 wait4 waitpid waitid sigwait sigwaitinfo "
    "sigtimedwait sigsuspend rt_sigtimedwait pthread_sigmask sigprocmask syscall futex "
    "mmap mmap64 munmap mprotect madvise mremap msync getrandom "
    "memcpy memmove memset memcmp memchr memrchr rawmemchr mempcpy strlen strnlen strcmp "
    "strncmp strchr strrchr strcpy strncpy strcat strstr strspn strcspn wcslen wmemcmp "
    "wmemchr wmemset wmemcpy bcmp qsort qsort_r bsearch setjmp _setjmp __sigsetjmp "
    "__memcpy_chk __memmove_chk __memset_chk __errno_location __tls_get_addr "
    "sysconf getpid gettid getppid strtod strtol strtoul".split()
)

# Waits in the kernel that no allocator or loader makes with a lock of theirs held.
_WAITS = frozenset(
    "clock_nanosleep nanosleep select pselect poll ppoll epoll_wait epoll_pwait read recv "
    "recvfrom recvmsg accept accept4 connect wait4 waitpid waitid sigwait sigwaitinfo "
    "sigtimedwait pause sigsuspend".split()
)

_STACK_NEEDED = 48 * 1024  # dlopen() of one small library, with room to spare


class Rank(IntEnum):
    """How good a place to call from. Lower is better; UNSAFE is none."""

    WAITS = 0  # blocked in the kernel
    BYTECODE = 1
    NATIVE = 2
    UNSAFE = 3


@dataclass(frozen=True)
class Frame:
    """One frame, as far as it is known without debug information.

    `module`: file name of the mapped file, "" if none. `function`: exported function that
    contains the pc. `called`: name by which this frame's function was called from the next
    older frame, where that went through the global offset table. `special`: what it is when
    it is no function's frame, as a reason: "runs a signal handler"."""

    pc: int
    module: str = ""
    function: str = ""
    called: str = ""
    special: str = ""


@dataclass(frozen=True)
class Verdict:
    """`reason` completes "thread N …" and says what makes it unsafe, or what it does."""

    rank: Rank
    reason: str

    @property
    def is_safe(self) -> bool:
        return self.rank != Rank.UNSAFE


def classify(frames: Sequence[Frame], syscall: int, stack_left: Optional[int] = None) -> Verdict:
    """Judge a thread. `frames`: youngest first. `syscall`: number of the system call that it
    is blocked in, or -1. `stack_left`: bytes below its stack pointer, None: grows."""
    if not frames:
        return Verdict(Rank.UNSAFE, "has no readable stack")
    if stack_left is not None and stack_left < _STACK_NEEDED:
        return Verdict(Rank.UNSAFE, f"has only {stack_left} bytes of stack left")
    start = 0
    for run in _runs(frames):
        reason = _unsafe(run, start, len(frames))
        if reason:
            return Verdict(Rank.UNSAFE, reason)
        start += len(run)
    if syscall >= 0:
        return Verdict(Rank.WAITS, "waits in " + (_name(frames) or f"system call {syscall}"))
    if frames[0].function == "_PyEval_EvalFrameDefault":
        return Verdict(Rank.BYTECODE, "runs bytecode")
    return Verdict(Rank.NATIVE, "runs native code")


def is_libc(module: str) -> bool:
    """Is it a file of the C library, by its name?"""
    return bool(_LIBC.match(module))


def is_loader(module: str) -> bool:
    """Is it the dynamic loader, by its name?"""
    return bool(_LOADER.match(module))


def _name(frames: Sequence[Frame]) -> str:
    for frame in frames:
        if not is_libc(frame.module):
            return ""
        if frame.function or frame.called:
            return frame.function or frame.called
    return ""


def _runs(frames: Sequence[Frame]) -> List[List[Frame]]:
    """Neighbouring frames of the C library together, every other frame alone."""
    runs: List[List[Frame]] = []
    for frame in frames:
        if runs and is_libc(frame.module) and is_libc(runs[-1][0].module):
            runs[-1].append(frame)
        else:
            runs.append([frame])
    return runs


def _unsafe(run: List[Frame], start: int, total: int) -> str:
    """Why the thread can't be used because of these frames; "" if it can. `start`: index of
    the run's first frame in the stack, `total`: frames in the stack."""
    module = run[0].module
    for frame in run:
        if frame.special:
            return frame.special
    if is_loader(module):
        return "is in the dynamic loader"
    if _ALLOCATORS.match(module):
        return f"is in the allocator ({module})"
    if not is_libc(module):
        return ""
    names = [name for frame in run for name in (frame.function, frame.called) if name]
    for name in names:
        if _is_one_of(_UNSAFE, name):
            return f"is in {name}()"
    entry = run[-1].called or run[-1].function
    if _is_one_of(_HARMLESS, entry):
        return ""
    if start and start + len(run) == total:
        return ""  # where the C library started the thread or the program
    if start == 0 and any(_is_one_of(_WAITS, n) for n in (run[0].function, run[0].called)):
        return ""
    if not entry:
        return "is in an unknown function of the C library"
    return f"is in {entry}() of the C library" if start == 0 else ""


def _is_one_of(functions: FrozenSet[str], name: str) -> bool:
    """The C library exports many functions by more than one name: poll and __poll, malloc and
    __libc_malloc. Which of them an address gives is chance."""
    return name in functions or _ALIAS.sub("", name) in functions
