/* SPDX-License-Identifier: MIT */
/* UNIX sockets that only root may use: mode 0600, and the peer's credentials are looked at as well. */
#ifndef DM_SOCK_H
#define DM_SOCK_H

#include <stdbool.h>

#include <event2/listener.h>

/*
 * Listens at path; a socket that a predecessor left there is removed (the daemon's lock says that it is
 * gone). NULL with errno.
 */
struct evconnlistener *sock_listen(struct event_base *base, const char *path, evconnlistener_cb cb,
                                   void *arg);

/* Is the program at the other end root's (or of the user that the daemon itself runs as)? */
bool sock_peer_allowed(evutil_socket_t fd);

#endif
