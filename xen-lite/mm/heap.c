/* SPDX-License-Identifier: MIT */
/*
 * The hypervisor's heap: size classes carved from single frames ("slabs"), whole frames for
 * anything larger.
 *
 * A slab's header sits at the start of its frame, so an object is never page aligned, and a page
 * aligned pointer is always one of the large objects, whose order is kept in the frame's struct
 * page.
 */
#include "mm/heap.h"

#include "lib/assert.h"
#include "lib/list.h"
#include "lib/spinlock.h"
#include "lib/string.h"
#include "mm/frame.h"
#include "mm/phys.h"

#define POISON_BYTE 0x5a
#define FREE_MAGIC  0x6672656564206f62ULL
#define SLAB_HEADER 64UL

struct free_object {
    struct free_object *next;
    uint64_t magic; /* FREE_MAGIC ^ own address: tells a free object from one in use */
};

struct slab {
    struct list_head link; /* in its class' list while it has a free object */
    struct free_object *free;
    uint16_t class, in_use, capacity;
};

/* As many 16-byte aligned objects as fit into a frame beside the header. */
static const uint16_t class_size[] = { 32, 64, 128, 256, 496, 1008, 2016 };
#define NR_CLASSES ARRAY_SIZE(class_size)

static struct {
    spinlock_t lock;
    bool ready;
    struct list_head partial[NR_CLASSES]; /* slabs with a free object */
    struct heap_stats stats;
} heap;

_Static_assert(sizeof(struct slab) <= SLAB_HEADER, "slab header");

static void heap_init_once(void)
{
    if (heap.ready)
        return;
    for (unsigned c = 0; c < NR_CLASSES; c++)
        list_init(&heap.partial[c]);
    heap.ready = true;
}

static uint64_t magic_of(const struct free_object *o)
{
    return FREE_MAGIC ^ (uint64_t)(uintptr_t)o;
}

static void make_free(struct slab *s, void *p)
{
    struct free_object *o = p;

    memset(p, POISON_BYTE, class_size[s->class]);
    o->magic = magic_of(o);
    o->next = s->free;
    s->free = o;
}

static struct slab *new_slab(unsigned class)
{
    uint64_t mfn = frame_alloc(0, OWNER_XEN, 0);
    struct slab *s;

    if (mfn == INVALID_MFN)
        return NULL;
    page_of(mfn)->use = PAGE_HEAP;
    s = mfn_to_virt(mfn);
    s->class = (uint16_t) class;
    s->in_use = 0;
    s->capacity = (uint16_t)((PAGE_SIZE - SLAB_HEADER) / class_size[class]);
    s->free = NULL;
    for (unsigned i = s->capacity; i-- > 0;)
        make_free(s, (char *)s + SLAB_HEADER + i * class_size[class]);
    list_add(&s->link, &heap.partial[class]);
    heap.stats.frames++;
    return s;
}

/* Under the lock. */
static void *alloc_small(unsigned class)
{
    struct list_head *partial = &heap.partial[class];
    struct free_object *o;
    struct slab *s;

    s = list_empty(partial) ? new_slab(class) : list_first_entry(partial, struct slab, link);
    if (!s)
        return NULL;
    o = s->free;
    if (o->magic != magic_of(o))
        panic("heap: object %p of %u bytes was written to after it was freed", (void *)o,
              class_size[class]);
    s->free = o->next;
    o->magic = 0;
    if (++s->in_use == s->capacity)
        list_del(&s->link);
    heap.stats.objects++;
    heap.stats.bytes_in_use += class_size[class];
    return o;
}

static unsigned order_for(size_t size)
{
    size_t frames = DIV_ROUND_UP(size, PAGE_SIZE);

    return frames == 1 ? 0 : 64 - (unsigned)__builtin_clzll(frames - 1);
}

/* Under the lock. */
static void *alloc_large(size_t size)
{
    unsigned order = order_for(size);
    uint64_t mfn = frame_alloc(order, OWNER_XEN, 0);

    if (mfn == INVALID_MFN)
        return NULL;
    page_of(mfn)->use = PAGE_HEAP;
    page_of(mfn)->order = (uint8_t)order;
    heap.stats.frames += 1UL << order;
    heap.stats.objects++;
    heap.stats.bytes_in_use += PAGE_SIZE << order;
    return mfn_to_virt(mfn);
}

void *xmalloc(size_t size)
{
    unsigned class = 0;
    void *p;

    if (!size || size > HEAP_MAX_SIZE)
        return NULL;
    while (class < NR_CLASSES && size > class_size[class])
        class ++;
    spin_lock(&heap.lock);
    heap_init_once();
    p = class < NR_CLASSES ? alloc_small(class) : alloc_large(size);
    if (!p)
        heap.stats.failures++;
    spin_unlock(&heap.lock);
    return p;
}

void *xzalloc(size_t size)
{
    void *p = xmalloc(size);

    if (p)
        memset(p, 0, size);
    return p;
}

/*
 * The caller gives the frame back after it dropped the lock. Returns true if the slab is empty and
 * not the last one of its class.
 */
static bool free_small(struct slab *s, void *p)
{
    struct free_object *o = p;
    size_t offset = (size_t)((char *)p - (char *)s) - SLAB_HEADER;

    if (s->class >= NR_CLASSES || offset >= (size_t)s->capacity * class_size[s->class] ||
        offset % class_size[s->class])
        panic("xfree: %p is not the start of an object", p);
    if (o->magic == magic_of(o) || !s->in_use)
        panic("xfree: %p freed twice", p);
    if (s->in_use == s->capacity)
        list_add(&s->link, &heap.partial[s->class]);
    make_free(s, p);
    s->in_use--;
    heap.stats.objects--;
    heap.stats.bytes_in_use -= class_size[s->class];
    if (s->in_use || (s->link.next == s->link.prev && s->link.next == &heap.partial[s->class]))
        return false;
    list_del(&s->link);
    heap.stats.frames--;
    return true;
}

void xfree(void *p)
{
    uint64_t mfn;
    struct page *pg;
    unsigned order = 0;
    bool frame_done = true;

    if (!p)
        return;
    mfn = virt_to_mfn(p);
    pg = page_of(mfn);
    if (!pg || pg->use != PAGE_HEAP)
        panic("xfree: %p is not from the heap", p);
    spin_lock(&heap.lock);
    if ((uintptr_t)p & (PAGE_SIZE - 1)) {
        frame_done = free_small((struct slab *)((uintptr_t)p & PAGE_MASK), p);
    } else {
        order = pg->order;
        memset(p, POISON_BYTE, PAGE_SIZE); /* the rest is zeroed before a domain gets it */
        heap.stats.frames -= 1UL << order;
        heap.stats.objects--;
        heap.stats.bytes_in_use -= PAGE_SIZE << order;
    }
    spin_unlock(&heap.lock);
    if (frame_done)
        frame_free(mfn, order);
}

void heap_get_stats(struct heap_stats *st)
{
    spin_lock(&heap.lock);
    *st = heap.stats;
    spin_unlock(&heap.lock);
}
