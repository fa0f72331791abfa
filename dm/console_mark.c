/* SPDX-License-Identifier: MIT */
/* The mark of a console's log: a small mapped file, so that marking is a few stores; see console_mark.h. */
#include "dm/console_mark.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct mark_file {
    uint8_t uuid[16];
    uint64_t log_size;
    uint32_t out_cons, len; /* len 0: nothing is under way */
};

struct console_mark {
    struct mark_file *file;
    char *path;
};

/* A process that is killed has executed a part of its stores in order: only the compiler must keep it. */
static void order(void)
{
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

static struct mark_file *map_file(const char *path)
{
    void *map = MAP_FAILED;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd < 0)
        return NULL;
    if (!ftruncate(fd, sizeof(struct mark_file)))
        map = mmap(NULL, sizeof(struct mark_file), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    return map == MAP_FAILED ? NULL : map;
}

struct console_mark *console_mark_open(const char *path, const uint8_t uuid[16])
{
    struct console_mark *mark = calloc(1, sizeof(*mark));

    if (!mark)
        return NULL;
    mark->path = strdup(path);
    mark->file = mark->path ? map_file(path) : NULL;
    if (!mark->file) {
        free(mark->path);
        free(mark);
        return NULL;
    }
    if (memcmp(mark->file->uuid, uuid, sizeof(mark->file->uuid))) {
        mark->file->len = 0;
        order();
        memcpy(mark->file->uuid, uuid, sizeof(mark->file->uuid));
    }
    return mark;
}

void console_mark_free(struct console_mark *mark)
{
    if (!mark)
        return;
    munmap(mark->file, sizeof(*mark->file));
    unlink(mark->path);
    free(mark->path);
    free(mark);
}

void console_mark_set(struct console_mark *mark, uint32_t out_cons, uint32_t len, size_t log_size)
{
    if (!mark)
        return;
    mark->file->out_cons = out_cons;
    mark->file->log_size = log_size;
    order();
    mark->file->len = len;
    order();
}

void console_mark_clear(struct console_mark *mark)
{
    if (!mark)
        return;
    order();
    mark->file->len = 0;
}

uint32_t console_mark_logged(const struct console_mark *mark, uint32_t out_cons, size_t log_size)
{
    const struct mark_file *file = mark ? mark->file : NULL;

    /* Where the index has moved on, the text was dealt with. A log of another size is not the one that was written to. */
    if (!file || !file->len || file->out_cons != out_cons || log_size < file->log_size ||
        log_size - file->log_size > file->len)
        return 0;
    return (uint32_t)(log_size - file->log_size);
}
