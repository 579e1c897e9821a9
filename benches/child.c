/*
 * The command that benches/handoff runs under every lock.
 *
 *     child JOURNAL LABEL [HOLD]   HOLD: microseconds, or a FIFO to hold until its writer closes
 *     child --bare COUNT JOURNAL   runs itself COUNT times, one after the other, without a lock
 *
 * Appends "LABEL START END" to JOURNAL in one write, in ns of CLOCK_BOOTTIME.
 *
 * Every lock pays for starting its command; what that costs hides what the lock costs. So
 * this has no libc, which alone takes several times as long to start as the rest (measured).
 */
#include <fcntl.h>
#include <linux/time.h>
#include <signal.h>
#include <sys/syscall.h>

#if defined __x86_64__
__asm__(".globl _start\n_start: mov %rsp, %rdi\n and $-16, %rsp\n call begin\n");
static long ask(long number, long a, long b, long c, long d, long e) {
    long answer;
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    __asm__ volatile("syscall"
                     : "=a"(answer)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
                     : "rcx", "r11", "memory");
    return answer;
}
#elif defined __aarch64__
__asm__(".globl _start\n_start: mov x0, sp\n bl begin\n");
static long ask(long number, long a, long b, long c, long d, long e) {
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4) : "memory");
    return x0;
}
#else
#error "benches/child.c knows x86_64 and aarch64"
#endif

static _Noreturn void leave(long code) {
    for (;;)
        ask(SYS_exit_group, code, 0, 0, 0, 0);
}

static long now(void) {
    struct timespec time;
    if (ask(SYS_clock_gettime, CLOCK_BOOTTIME, (long)&time, 0, 0, 0) != 0)
        leave(3);
    return time.tv_sec * 1000000000L + time.tv_nsec;
}

/* Writes `value` in decimal at `to`; the end of it. */
static char *decimal(char *to, long value) {
    char digits[24];
    int count = 0;
    do
        digits[count++] = (char)('0' + value % 10);
    while ((value /= 10) != 0);
    while (count > 0)
        *to++ = digits[--count];
    return to;
}

static long number(const char *text) {
    long value = 0;
    for (; *text >= '0' && *text <= '9'; text++)
        value = value * 10 + (*text - '0');
    return value;
}

static void hold(const char *how) {
    if (how[0] == '/') {
        char byte;
        long fifo = ask(SYS_openat, AT_FDCWD, (long)how, O_RDONLY, 0, 0);
        if (fifo < 0 || ask(SYS_read, fifo, (long)&byte, 1, 0, 0) < 0)
            leave(1);
    } else {
        struct timespec time = {0, number(how) * 1000};
        ask(SYS_nanosleep, (long)&time, 0, 0, 0, 0);
    }
}

static void bare(char *self, long count, char *journal) {
    for (long i = 0; i < count; i++) {
        char label[24];
        *decimal(label, i) = 0;
        char *words[] = {self, journal, label, 0};
        long pid = ask(SYS_clone, SIGCHLD, 0, 0, 0, 0);
        int status;
        if (pid == 0) {
            ask(SYS_execve, (long)self, (long)words, (long)(words + 3), 0, 0);
            leave(1);
        }
        if (pid < 0 || ask(SYS_wait4, pid, (long)&status, 0, 0, 0) != pid || status != 0)
            leave(1);
    }
}

__attribute__((used)) static _Noreturn void begin(long *stack) {
    long start = now();
    long argc = stack[0];
    char **argv = (char **)(stack + 1);
    if (argc < 3 || argc > 4)
        leave(2);
    if (argc == 4 && argv[1][0] == '-') {
        bare(argv[0], number(argv[2]), argv[3]);
        leave(0);
    }
    /* Before the end is taken: opening the journal is the run's, not the hand-off's. */
    long journal = ask(SYS_openat, AT_FDCWD, (long)argv[1], O_WRONLY | O_APPEND | O_CREAT, 0600, 0);
    if (argc == 4)
        hold(argv[3]);
    char line[96], *end = line;
    for (const char *label = argv[2]; *label != 0 && end < line + 32; label++)
        *end++ = *label;
    *end++ = ' ';
    end = decimal(end, start);
    *end++ = ' ';
    end = decimal(end, now());
    *end++ = '\n';
    leave(ask(SYS_write, journal, (long)line, end - line, 0, 0) != end - line);
}
