/*
 * The command whose fate benches/peers watches.
 *
 *     job DIRECTORY LABEL MILLISECONDS HOW
 *
 * HOW: "plain"        works so long, dies of TERM at once
 *      "tidy"         takes another second to end after TERM
 *      "stubborn"     ignores TERM
 *      "leaves"       ends after so long and leaves a process that has none of its descriptors
 *      "leaves-open"  the same with all of them, whatever the wrapper handed down
 *      "fails"        exits 75
 *
 * Appends "LABEL WHAT PID TIME" to DIRECTORY/journal, each in one write, in ns of
 * CLOCK_BOOTTIME. WHAT is "begins", or "overlaps" when another job is still alive: each
 * one locks DIRECTORY/witness, and the kernel frees that as the process dies. Then
 * "signalled", "left" (with the other's PID), and "ends" or, because of a signal, "stops".
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { TIDY_SECONDS = 1, LEFT_SECONDS = 6, FAILURE = 75 };

static const char *label;
static int journal;
static volatile sig_atomic_t signalled;

static long long now(void) {
    struct timespec time;
    clock_gettime(CLOCK_BOOTTIME, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static void note(const char *what, int pid) {
    char line[200];
    int length = snprintf(line, sizeof line, "%s %s %d %lld\n", label, what, pid, now());
    if (write(journal, line, (size_t)length) != length)
        _exit(1);
}

static void on_signal(int number) {
    signalled = number;
}

static int open_in(const char *directory, const char *name) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    int file = open(path, O_CREAT | O_RDWR | O_APPEND | O_CLOEXEC, 0600);
    if (file < 0) {
        perror(path);
        exit(1);
    }
    return file;
}

/* Whether no other job is alive. A lock of fcntl is the process's own: no fork inherits it. */
static int alone(int witness) {
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    return fcntl(witness, F_SETLK, &whole) == 0;
}

/* Until so many ms are over, or a signal came. Notes the first signal. */
static void work(long long milliseconds, int until_signal) {
    static int noted;
    long long end = now() + milliseconds * 1000000;
    while (now() < end && !(until_signal && signalled)) {
        if (signalled && !noted++)
            note("signalled", getpid());
        /* Short: a signal may come between the question and the sleep. */
        struct timespec nap = {0, 2000000};
        nanosleep(&nap, NULL);
    }
    if (signalled && !noted++)
        note("signalled", getpid());
}

static void leave_one(int closed) {
    int pid = fork();
    if (pid < 0)
        exit(1);
    if (pid > 0) {
        note("left", pid);
        return;
    }
    setsid();
    if (closed)
        closefrom(0);
    work(LEFT_SECONDS * 1000, 0);
    _exit(0);
}

int main(int argc, char **argv) {
    if (argc != 5)
        return 64;
    label = argv[2];
    long long milliseconds = atoll(argv[3]);
    const char *how = argv[4];
    journal = open_in(argv[1], "journal");
    int witness = open_in(argv[1], "witness");
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
    note(alone(witness) ? "begins" : "overlaps", getpid());
    int stubborn = strcmp(how, "stubborn") == 0;
    work(milliseconds, !stubborn);
    if (signalled && !stubborn) {
        if (strcmp(how, "tidy") == 0)
            work(TIDY_SECONDS * 1000, 0);
        note("stops", getpid());
        signal(signalled, SIG_DFL);
        raise(signalled);
    }
    if (strncmp(how, "leaves", 6) == 0)
        leave_one(strcmp(how, "leaves") == 0);
    note("ends", getpid());
    return strcmp(how, "fails") == 0 ? FAILURE : 0;
}
