/* SPDX-License-Identifier: MIT */
/*
 * Carries a command's output and exit status from the control domain to scripts/vm, over the second serial port.
 * The port is driven by polling from user space: it needs neither the kernel's serial driver nor an interrupt, so
 * it works as soon as user land does, on any hypervisor that lets the control domain reach ports 2f8-2ff.
 *
 * The stream is frames: 0x01 'X' 'L', type, length (32 bits, low byte first), payload. Types: 'U' user land reached
 * (payload: uptime as text), 'O' standard output, 'E' standard error, 'Q' the command ended (payload: status as text).
 *
 * vm-agent --up            sends 'U' and returns
 * vm-agent COMMAND ARG...  runs the command and sends what it writes
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    UART = 0x2f8,
    UART_THR = UART + 0,
    UART_IER = UART + 1,
    UART_FCR = UART + 2,
    UART_LCR = UART + 3,
    UART_MCR = UART + 4,
    UART_LSR = UART + 5,
    LSR_THRE = 0x20,
    FIFO_DEPTH = 16,
    CHUNK = 4096,
};

static int sigchld_pipe[2];

static void uart_init(void)
{
    if (ioperm(UART, 8, 1) != 0) {
        perror("vm-agent: ioperm");
        exit(125);
    }
    outb(0, UART_IER);
    outb(0x80, UART_LCR); /* divisor latch: 115200 baud */
    outb(1, UART + 0);
    outb(0, UART + 1);
    outb(0x03, UART_LCR); /* 8 bits, no parity, one stop bit */
    outb(0x01, UART_FCR); /* queue on; receiver left alone */
    outb(0x03, UART_MCR);
}

static void uart_write(const void *buf, size_t len)
{
    const uint8_t *p = buf;
    size_t i;

    while (len > 0) {
        while (!(inb(UART_LSR) & LSR_THRE))
            ;
        for (i = 0; i < FIFO_DEPTH && len > 0; i++, len--)
            outb(*p++, UART_THR);
    }
}

static void send_frame(char type, const void *payload, uint32_t len)
{
    uint8_t head[8] = { 1, 'X', 'L', (uint8_t)type, len & 0xff, len >> 8 & 0xff, len >> 16 & 0xff, len >> 24 };

    uart_write(head, sizeof(head));
    uart_write(payload, len);
}

static int send_up(void)
{
    char text[64];
    ssize_t n;
    int fd = open("/proc/uptime", O_RDONLY);

    n = fd < 0 ? 0 : read(fd, text, sizeof(text));
    send_frame('U', text, n > 0 ? (uint32_t)n : 0);
    return 0;
}

static void on_sigchld(int sig)
{
    int saved = errno;

    (void)sig;
    if (write(sigchld_pipe[1], "", 1) < 0)
        errno = saved;
    errno = saved;
}

/* Sends what can be read now. Returns 0 at end of file, 1 otherwise. */
static int forward(int fd, char type)
{
    char buf[CHUNK];
    ssize_t n = read(fd, buf, sizeof(buf));

    if (n > 0)
        send_frame(type, buf, (uint32_t)n);
    return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

/*
 * Forwards both streams until both are closed or the command has ended and left nothing to read: a daemon that it
 * started may keep its streams open for ever.
 */
static void forward_all(int out, int err)
{
    struct pollfd fds[3] = {
        { .fd = out, .events = POLLIN },
        { .fd = err, .events = POLLIN },
        { .fd = sigchld_pipe[0], .events = POLLIN },
    };
    int ended = 0;

    while (fds[0].fd >= 0 || fds[1].fd >= 0) {
        int n = poll(fds, 3, ended ? 0 : -1);

        if (n < 0 && errno != EINTR)
            return;
        if (n == 0)
            return;
        if (n < 0)
            continue;
        if (fds[0].revents && !forward(fds[0].fd, 'O'))
            fds[0].fd = -1;
        if (fds[1].revents && !forward(fds[1].fd, 'E'))
            fds[1].fd = -1;
        if (fds[2].revents) {
            ended = 1;
            fds[2].fd = -1;
        }
    }
}

static pid_t spawn(char **argv, int *out, int *err)
{
    int o[2], e[2];
    pid_t pid;

    if (pipe2(o, O_CLOEXEC) || pipe2(e, O_CLOEXEC)) {
        perror("vm-agent: pipe");
        exit(125);
    }
    pid = fork();
    if (pid < 0) {
        perror("vm-agent: fork");
        exit(125);
    }
    if (pid == 0) {
        dup2(o[1], 1);
        dup2(e[1], 2);
        execvp(argv[0], argv);
        perror(argv[0]);
        _exit(127);
    }
    close(o[1]);
    close(e[1]);
    *out = o[0];
    *err = e[0];
    return pid;
}

int main(int argc, char **argv)
{
    struct sigaction sa = { .sa_handler = on_sigchld, .sa_flags = SA_RESTART };
    int out, err, status, len;
    char text[16];
    pid_t pid;

    if (argc < 2) {
        fprintf(stderr, "usage: vm-agent --up | COMMAND [ARG...]\n");
        return 2;
    }
    uart_init();
    if (strcmp(argv[1], "--up") == 0)
        return send_up();
    if (pipe2(sigchld_pipe, O_CLOEXEC | O_NONBLOCK)) {
        perror("vm-agent: pipe");
        return 125;
    }
    sigaction(SIGCHLD, &sa, NULL);
    pid = spawn(argv + 1, &out, &err);
    forward_all(out, err);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    len = snprintf(text, sizeof(text), "%d", status);
    send_frame('Q', text, (uint32_t)len);
    return status;
}
