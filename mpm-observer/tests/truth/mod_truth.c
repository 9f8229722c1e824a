/*
 * A handler that does one known thing for a known time within a request, and answers with what it
 * measured itself: the truth that the observer's phases are compared with.
 *
 *     /truth?do=WHAT&ns=LENGTH&pages=COUNT&times=COUNT&stride=PAGES&file=PATH&flush=1
 *
 * While it does it, the thread's name is "truth", so that others can tell when to interfere.
 * The answer's headers, times in ns of CLOCK_MONOTONIC:
 *
 *     X-Truth-Begin    just before the thing
 *     X-Truth-Release  when the wait was made to end: a sleep's deadline, a lock's release; or 0
 *     X-Truth-End      just after it
 *     X-Truth-Cpu      CPU time of the thread in between, ns
 *     X-Truth-Wait     how long it waited for a CPU in between, ns, by /proc/thread-self/schedstat
 *     X-Truth-Switches how often it lost its CPU in between, by getrusage
 *     X-Truth-Minor, X-Truth-Major  its page faults in between, by getrusage
 *     X-Truth-Pid      its process
 */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <apr_strings.h>
#include <apr_tables.h>
#include <httpd.h>
#include <http_config.h>
#include <http_protocol.h>
#include <util_script.h>

#define PAGE ((size_t)4096)

static int64_t clock_ns(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int64_t now_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

static struct timespec timespec_of(int64_t ns)
{
    return (struct timespec){ .tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000 };
}

static void sleep_until(int64_t deadline_ns)
{
    struct timespec deadline = timespec_of(deadline_ns);
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &deadline, NULL) == EINTR) {
    }
}

/* How long this thread has waited for a CPU so far. */
static int64_t wait_ns(void)
{
    char text[96];
    long long ran, waited = -1;
    int fd = open("/proc/thread-self/schedstat", O_RDONLY);
    ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    if (length > 0) {
        text[length] = 0;
        sscanf(text, "%lld %lld", &ran, &waited);
    }
    return waited;
}

/* A second thread that ends the handler's wait at a known time. */
struct helper {
    pthread_t thread;
    int64_t at_ns;
    void (*release)(struct helper *);
    atomic_int ready;
    _Atomic int64_t released_ns;
    pthread_mutex_t mutex;
    int pipe[2];
};

static void unlock(struct helper *helper)
{
    pthread_mutex_unlock(&helper->mutex);
}

static void write_pipe(struct helper *helper)
{
    if (write(helper->pipe[1], "x", 1) != 1)
        abort();
}

static void read_pipe(struct helper *helper)
{
    char page[PAGE];
    if (read(helper->pipe[0], page, sizeof page) != sizeof page)
        abort();
}

static void *help(void *argument)
{
    struct helper *helper = argument;
    if (helper->release == unlock)
        pthread_mutex_lock(&helper->mutex);
    atomic_store(&helper->ready, 1);
    sleep_until(helper->at_ns);
    atomic_store(&helper->released_ns, now_ns());
    helper->release(helper);
    return NULL;
}

/* After the answer, so that waiting for the thread's end belongs to no request. */
static apr_status_t end_helper(void *argument)
{
    struct helper *helper = argument;
    pthread_join(helper->thread, NULL);
    close(helper->pipe[0]);
    close(helper->pipe[1]);
    return APR_SUCCESS;
}

static struct helper *begin_helper(request_rec *r, int64_t ns, void (*release)(struct helper *))
{
    struct helper *helper = apr_pcalloc(r->pool, sizeof *helper);
    pthread_mutex_init(&helper->mutex, NULL);
    helper->release = release;
    helper->at_ns = now_ns() + ns;
    if (pipe(helper->pipe) != 0)
        return NULL;
    if (release == read_pipe) {
        char page[PAGE] = { 0 };
        fcntl(helper->pipe[1], F_SETFL, O_NONBLOCK);
        while (write(helper->pipe[1], page, sizeof page) > 0) {
        }
        fcntl(helper->pipe[1], F_SETFL, 0);
    }
    if (pthread_create(&helper->thread, NULL, help, helper) != 0)
        return NULL;
    apr_pool_cleanup_register(r->pool, helper, end_helper, apr_pool_cleanup_null);
    /* Not by blocking, which would be a wait of another length in the request. */
    while (!atomic_load(&helper->ready))
        sched_yield();
    return helper;
}

/* What the request asks for, and what was measured of it. */
struct thing {
    request_rec *r;
    const char *what;
    const char *file;
    int64_t ns, pages, times, stride;
    struct helper *helper;
    int fd;
    int64_t begin_ns, release_ns, end_ns, cpu_ns, waited_ns;
    struct rusage before, after;
};

static int is(const struct thing *thing, const char *what)
{
    return strcmp(thing->what, what) == 0;
}

static size_t length_of(const struct thing *thing)
{
    return (size_t)thing->pages * PAGE;
}

/* Where a file is read to past the page cache. The first such request makes it, which takes longer
   than the reading, and the later ones of its process find it. There is one at a time. */
static struct {
    char *memory;
    size_t length;
} room;

static int has_room(size_t length)
{
    if (room.length < length) {
        char *memory = mmap(NULL, length, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
        if (memory == MAP_FAILED)
            return 0;
        room.memory = memory;
        room.length = length;
    }
    return 1;
}

/* What has to be there before the time begins. */
static int prepare(struct thing *thing)
{
    thing->fd = -1;
    if (is(thing, "lock"))
        thing->helper = begin_helper(thing->r, thing->ns, unlock);
    else if (is(thing, "poll") || is(thing, "pipe-read"))
        thing->helper = begin_helper(thing->r, thing->ns, write_pipe);
    else if (is(thing, "pipe-write"))
        thing->helper = begin_helper(thing->r, thing->ns, read_pipe);
    else if (thing->file) {
        thing->fd = open(thing->file, O_RDONLY | O_CLOEXEC);
        if (is(thing, "read-direct"))
            fcntl(thing->fd, F_SETFL, O_DIRECT);
        return thing->fd >= 0 && (!is(thing, "read-direct") || has_room(length_of(thing)));
    } else
        return 1;
    return thing->helper != NULL;
}

static void spin(int64_t cpu_ns)
{
    int64_t until_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID) + cpu_ns;
    while (clock_ns(CLOCK_THREAD_CPUTIME_ID) < until_ns) {
    }
}

static int touch(size_t length)
{
    char *memory;
    if (length == 0)
        return 1;
    memory = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return 0;
    madvise(memory, length, MADV_NOHUGEPAGE);
    for (size_t at = 0; at < length; at += PAGE)
        ((volatile char *)memory)[at] = 1;
    return munmap(memory, length) == 0;
}

/* Every `stride`th page, each read for itself. */
static int read_file(const struct thing *thing)
{
    char page[PAGE];
    posix_fadvise(thing->fd, 0, 0, POSIX_FADV_RANDOM);
    for (int64_t i = 0; i < thing->pages; i++) {
        off_t at = (off_t)(i * thing->stride) * (off_t)PAGE;
        if (pread(thing->fd, page, sizeof page, at) != sizeof page)
            return 0;
    }
    return 1;
}

/* All at once and past the page cache, so that there is one wait. */
static int read_directly(const struct thing *thing)
{
    size_t length = length_of(thing);
    return pread(thing->fd, room.memory, length, 0) == (ssize_t)length;
}

static int map_file(const struct thing *thing)
{
    size_t step = (size_t)thing->stride * PAGE;
    size_t length = (size_t)thing->pages * step;
    volatile char *memory = mmap(NULL, length, PROT_READ, MAP_SHARED, thing->fd, 0);
    if (memory == MAP_FAILED)
        return 0;
    madvise((void *)memory, length, MADV_RANDOM);
    for (size_t at = 0; at < length; at += step)
        (void)memory[at];
    return munmap((void *)memory, length) == 0;
}

static apr_status_t reap(void *argument)
{
    waitpid((pid_t)(intptr_t)argument, NULL, 0);
    return APR_SUCCESS;
}

/* The parent waits, not to be woken by signals, until the child ends. */
static int wait_for_child(struct thing *thing)
{
    volatile int64_t ended_ns = 0;
    int64_t until_ns = now_ns() + thing->ns;
    pid_t child = vfork();
    if (child == 0) {
        sleep_until(until_ns);
        ended_ns = now_ns();
        _exit(0);
    }
    if (child < 0)
        return 0;
    apr_pool_cleanup_register(thing->r->pool, (void *)(intptr_t)child, reap,
                              apr_pool_cleanup_null);
    thing->release_ns = ended_ns;
    return 1;
}

static int act(struct thing *thing)
{
    if (is(thing, "nothing"))
        return 1;
    if (is(thing, "sleep")) {
        thing->release_ns = thing->begin_ns + thing->ns;
        sleep_until(thing->release_ns);
        return 1;
    }
    if (is(thing, "sleep-relative")) {
        thing->release_ns = thing->begin_ns + thing->ns;
        struct timespec length = timespec_of(thing->ns);
        return nanosleep(&length, NULL) == 0;
    }
    if (is(thing, "spin")) {
        spin(thing->ns);
        return 1;
    }
    if (is(thing, "touch")) {
        for (int64_t i = 0; i < thing->times; i++)
            if (!touch(length_of(thing)))
                return 0;
        return 1;
    }
    if (is(thing, "lock"))
        return pthread_mutex_lock(&thing->helper->mutex) == 0;
    if (is(thing, "poll")) {
        struct pollfd one = { .fd = thing->helper->pipe[0], .events = POLLIN };
        return poll(&one, 1, -1) == 1;
    }
    if (is(thing, "pipe-read")) {
        char byte;
        return read(thing->helper->pipe[0], &byte, 1) == 1;
    }
    if (is(thing, "pipe-write"))
        return write(thing->helper->pipe[1], "x", 1) == 1;
    if (is(thing, "flock"))
        return flock(thing->fd, LOCK_EX) == 0;
    if (is(thing, "read-file"))
        return read_file(thing);
    if (is(thing, "read-direct"))
        return read_directly(thing);
    if (is(thing, "map-file"))
        return map_file(thing);
    if (is(thing, "stop"))
        return raise(SIGSTOP) == 0;
    if (is(thing, "child"))
        return wait_for_child(thing);
    return 0;
}

/* Does the thing, with the measurement around it. */
static int measure(struct thing *thing)
{
    char name[16];
    int64_t cpu_ns, waited_ns;
    int done;
    /* A timer of this thread, and of those it makes, fires when it is due. */
    prctl(PR_SET_TIMERSLACK, 1);
    if (!prepare(thing))
        return 0;
    prctl(PR_GET_NAME, name);
    prctl(PR_SET_NAME, "truth");
    getrusage(RUSAGE_THREAD, &thing->before);
    waited_ns = wait_ns();
    cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    thing->begin_ns = now_ns();
    done = act(thing);
    thing->end_ns = now_ns();
    thing->cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu_ns;
    thing->waited_ns = wait_ns() - waited_ns;
    getrusage(RUSAGE_THREAD, &thing->after);
    prctl(PR_SET_NAME, name);
    prctl(PR_SET_TIMERSLACK, 0);
    if (thing->helper) {
        if (is(thing, "lock"))
            pthread_mutex_unlock(&thing->helper->mutex);
        thing->release_ns = atomic_load(&thing->helper->released_ns);
    }
    if (thing->fd >= 0)
        close(thing->fd);
    return done;
}

static void tell(struct thing *thing, const char *header, int64_t value)
{
    apr_table_set(thing->r->headers_out, header,
                  apr_psprintf(thing->r->pool, "%" APR_INT64_T_FMT, value));
}

static int64_t number(apr_table_t *arguments, const char *key)
{
    const char *text = apr_table_get(arguments, key);
    return text ? apr_atoi64(text) : 0;
}

static int handle(request_rec *r)
{
    struct thing thing = { .r = r };
    apr_table_t *arguments;
    if (!r->handler || strcmp(r->handler, "truth") != 0)
        return DECLINED;
    ap_args_to_table(r, &arguments);
    thing.what = apr_table_get(arguments, "do");
    if (!thing.what)
        return HTTP_BAD_REQUEST;
    thing.file = apr_table_get(arguments, "file");
    thing.ns = number(arguments, "ns");
    thing.pages = number(arguments, "pages");
    thing.times = apr_table_get(arguments, "times") ? number(arguments, "times") : 1;
    thing.stride = number(arguments, "stride");
    if (!measure(&thing))
        return HTTP_INTERNAL_SERVER_ERROR;
    tell(&thing, "X-Truth-Begin", thing.begin_ns);
    tell(&thing, "X-Truth-Release", thing.release_ns);
    tell(&thing, "X-Truth-End", thing.end_ns);
    tell(&thing, "X-Truth-Cpu", thing.cpu_ns);
    tell(&thing, "X-Truth-Wait", thing.waited_ns);
    tell(&thing, "X-Truth-Switches", thing.after.ru_nivcsw - thing.before.ru_nivcsw);
    tell(&thing, "X-Truth-Minor", thing.after.ru_minflt - thing.before.ru_minflt);
    tell(&thing, "X-Truth-Major", thing.after.ru_majflt - thing.before.ru_majflt);
    tell(&thing, "X-Truth-Pid", getpid());
    ap_set_content_type(r, "text/plain");
    ap_set_content_length(r, 5);
    ap_rputs("done\n", r);
    if (apr_table_get(arguments, "flush"))
        ap_rflush(r);
    return OK;
}

static void register_hooks(apr_pool_t *pool)
{
    (void)pool;
    ap_hook_handler(handle, NULL, NULL, APR_HOOK_MIDDLE);
}

AP_DECLARE_MODULE(truth) = {
    STANDARD20_MODULE_STUFF, NULL, NULL, NULL, NULL, NULL, register_hooks
};
