/* SPDX-License-Identifier: MIT */
/* UNIX sockets that only root may use. */
#include "dm/sock.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 16

struct evconnlistener *sock_listen(struct event_base *base, const char *path, evconnlistener_cb cb,
                                   void *arg)
{
    const unsigned flags = LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC;
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    struct evconnlistener *listener;
    struct stat st;
    mode_t mask;

    if (strlen(path) >= sizeof(address.sun_path)) {
        errno = ENAMETOOLONG;
        return NULL;
    }
    strcpy(address.sun_path, path);
    /* Only a socket is ours to remove. */
    if (!lstat(path, &st) && S_ISSOCK(st.st_mode))
        unlink(path);
    mask = umask(0177);
    listener = evconnlistener_new_bind(base, cb, arg, flags, BACKLOG, (struct sockaddr *)&address,
                                       sizeof(address));
    umask(mask);
    return listener;
}

bool sock_peer_allowed(evutil_socket_t fd)
{
    struct ucred peer;
    socklen_t size = sizeof(peer);

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) || size != sizeof(peer))
        return false;
    return peer.uid == 0 || peer.uid == geteuid();
}
