/* SPDX-License-Identifier: MIT */
/*
 * Talks on a UNIX socket or a terminal: talk PATH SECONDS UNTIL [TEXT] sends TEXT, copies what arrives to standard
 * output and ends with 0 when UNTIL was among it (an empty UNTIL: at the end of file). 1: end of file before that;
 * 2: time is over; 3: it cannot be opened or written.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static int open_path(const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    struct stat st;
    int fd;

    if (stat(path, &st))
        return -1;
    if (!S_ISSOCK(st.st_mode))
        return open(path, O_RDWR | O_NOCTTY);
    fd = socket(AF_UNIX, SOCK_STREAM, 0);
    strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
    return connect(fd, (struct sockaddr *)&address, sizeof(address)) ? -1 : fd;
}

int main(int argc, char **argv)
{
    static char text[1 << 20];
    size_t len = 0;
    time_t end;
    int fd;

    if (argc < 4)
        return 3;
    end = time(NULL) + atoi(argv[2]);
    fd = open_path(argv[1]);
    if (fd < 0 || (argc > 4 && write(fd, argv[4], strlen(argv[4])) != (ssize_t)strlen(argv[4]))) {
        perror(argv[1]);
        return 3;
    }
    while (time(NULL) <= end && len < sizeof(text)) {
        struct pollfd p = { .fd = fd, .events = POLLIN };
        ssize_t n;

        if (poll(&p, 1, 200) != 1)
            continue;
        n = read(fd, text + len, sizeof(text) - len);
        if (n <= 0)
            return *argv[3] ? 1 : 0;
        if (write(STDOUT_FILENO, text + len, (size_t)n) != n)
            return 3;
        len += (size_t)n;
        if (*argv[3] && memmem(text, len, argv[3], strlen(argv[3])))
            return 0;
    }
    return 2;
}
