/* SPDX-License-Identifier: MIT */
/*
 * What the hypervisor itself says of its memory (debug key m), read back from its log, and the difference of two such
 * reports: every frame and object has to be explained. Included by hostile.c alone.
 */

struct usage {
    uint64_t objects, waiting;                      /* on its heap */
    uint64_t free, p2m_tables, shared, heap, counters, others; /* frames */
    uint64_t pages, grant_frames, chunks, buckets, regions, windows, pinned; /* the control domain's */
};

static void press_m(void)
{
    struct xen_sysctl *s = (void *)arena;
    char *key = (char *)arena + 1024;

    memset(s, 0, sizeof(*s));
    *key = 'm';
    s->cmd = XEN_SYSCTL_debug_keys;
    s->interface_version = XEN_SYSCTL_INTERFACE_VERSION;
    s->u.debug_keys.nr_keys = 1;
    set_xen_guest_handle(s->u.debug_keys.keys, key);
    if (hypercall(__HYPERVISOR_sysctl, (uint64_t[5]){ (uintptr_t)s }) != 0)
        die("debug key m");
}

static const char *read_log(void)
{
    struct xen_sysctl *s = (void *)arena;
    char *text = (char *)arena + 4096;
    uint32_t size = 256 << 10;

    memset(s, 0, sizeof(*s));
    s->cmd = XEN_SYSCTL_readconsole;
    s->interface_version = XEN_SYSCTL_INTERFACE_VERSION;
    s->u.readconsole.count = size;
    set_xen_guest_handle(s->u.readconsole.buffer, text);
    if (hypercall(__HYPERVISOR_sysctl, (uint64_t[5]){ (uintptr_t)s }) != 0)
        die("reading the log");
    text[s->u.readconsole.count] = '\0';
    for (uint32_t i = 0; i < s->u.readconsole.count; i++)
        if (!text[i])
            text[i] = ' ';
    return text;
}

/* Behind the last line that begins so. */
static const char *last_line(const char *log, const char *begins)
{
    const char *found = NULL;

    while ((log = strstr(log, begins)) != NULL) {
        log += strlen(begins);
        found = log;
    }
    if (!found) {
        fprintf(stderr, "hostile: the log has no line '%s'\n", begins);
        exit(1);
    }
    return found;
}

static struct usage learn_usage(void)
{
    struct usage u;
    const char *log;
    int n;

    press_m();
    log = read_log();
    n = sscanf(last_line(log, "memory: d0:"),
               "%" SCNu64 " pages, %*u p2m tables, %" SCNu64 " grant frames, %" SCNu64 " handle chunks, %" SCNu64
               " event buckets, %" SCNu64 " trap regions (%" SCNu64 " ECAM windows), %" SCNu64 " pinned",
               &u.pages, &u.grant_frames, &u.chunks, &u.buckets, &u.regions, &u.windows, &u.pinned);
    n += sscanf(last_line(log, "memory: heap:"), "%" SCNu64 " objects of %*u bytes in %*u frames, %" SCNu64 " wait",
                &u.objects, &u.waiting);
    n += sscanf(last_line(log, "memory: all:"),
                "%*u frames, %" SCNu64 " free, %*u the hypervisor's: %" SCNu64 " p2m tables, %" SCNu64
                " shared, %" SCNu64 " heap, %" SCNu64 " counters, %" SCNu64 " others",
                &u.free, &u.p2m_tables, &u.shared, &u.heap, &u.counters, &u.others);
    if (n != 7 + 2 + 6)
        die("what debug key m prints");
    return u;
}

/* Objects that are not what a domain may keep: of its event channels, grants, handles and trapped regions. */
static uint64_t other_objects(const struct usage *u)
{
    return u->objects - u->waiting - u->grant_frames - u->chunks - u->buckets - u->regions - u->windows;
}

static int64_t grown(const char *what, uint64_t before, uint64_t after)
{
    if (before != after)
        printf("  %s: %+" PRId64 "\n", what, (int64_t)(after - before));
    return (int64_t)(after - before);
}

/*
 * Tells where the free pages went. What the control domain keeps by its own deeds, within its limits, is explained:
 * tables of its p2m, which is in more pieces than before; its grant table; the heap's frames, each of which holds an
 * object that is explained in turn; and `hidden` frames more that it owns but does not have in its memory any more, as
 * long as the hypervisor has them pinned for it. Returns how many frames and objects are not explained.
 */
static int64_t unexplained(const struct usage *a, const struct usage *b, int64_t hidden)
{
    int64_t frames = (int64_t)(a->free - b->free), objects;

    printf("free pages %" PRIu64 ", then %" PRIu64 "\n", a->free, b->free);
    frames -= grown("its pages", a->pages, b->pages);
    frames -= grown("p2m tables", a->p2m_tables, b->p2m_tables);
    frames -= grown("shared frames", a->shared, b->shared);
    frames -= grown("heap", a->heap, b->heap);
    frames -= grown("counters of domains' pages", a->counters, b->counters);
    grown("other frames", a->others, b->others);
    if (hidden) {
        printf("  pinned, and not in its memory any more: %+" PRId64 " (%" PRIu64 " are pinned)\n", hidden, b->pinned);
        if (hidden <= (int64_t)b->pinned)
            frames -= hidden;
    }
    if (b->p2m_tables > MAX_TABLES)
        frames += (int64_t)(b->p2m_tables - MAX_TABLES);
    objects = grown("other objects", other_objects(a), other_objects(b));
    printf("unexplained: %" PRId64 " frames, %" PRId64 " objects\n", frames, objects);
    return llabs(frames) + llabs(objects);
}
