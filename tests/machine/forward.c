/* SPDX-License-Identifier: MIT */
/*
 * Gives a UNIX socket to a TCP port: forward PORT PATH CONNECTIONS accepts that many connections, one at a time, and copies
 * both ways until one side ends. So that a client that runs outside of the machine can talk to a socket inside.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static int listen_on(unsigned port)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
    int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;

    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) ||
        bind(fd, (struct sockaddr *)&address, sizeof(address)) || listen(fd, 4))
        die("listen");
    return fd;
}

static int connect_to(const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)))
        die(path);
    return fd;
}

/* Copies what is there; 0 at the end of either. */
static int copy(int from, int to)
{
    char text[4096];
    ssize_t n = read(from, text, sizeof(text)), done = 0, put;

    while (done < n) {
        put = write(to, text + done, (size_t)(n - done));
        if (put <= 0)
            return 0;
        done += put;
    }
    return n > 0;
}

static void forward(int a, int b)
{
    struct pollfd fds[2] = { { .fd = a, .events = POLLIN }, { .fd = b, .events = POLLIN } };

    while (poll(fds, 2, -1) > 0) {
        if (fds[0].revents && !copy(a, b))
            return;
        if (fds[1].revents && !copy(b, a))
            return;
    }
}

int main(int argc, char **argv)
{
    int listener;

    if (argc != 4)
        return 2;
    listener = listen_on((unsigned)strtoul(argv[1], NULL, 10));
    printf("READY\n");
    fflush(stdout);
    for (int left = atoi(argv[3]); left > 0; left--) {
        int client = accept(listener, NULL, NULL), server = connect_to(argv[2]);

        if (client < 0)
            die("accept");
        forward(client, server);
        close(client);
        close(server);
    }
    return 0;
}
