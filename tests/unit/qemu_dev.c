/* SPDX-License-Identifier: MIT */
/*
 * QEMU as a box of devices: see qemu_dev.h. It also stands in for tests/unit/sim.c, as memory and
 * time are real here.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "iommu/vtd.h"
#include "lib/assert.h"
#include "lib/printf.h"
#include "lib/time.h"
#include "mm/phys.h"
#include "qemu_dev.h"

static char dir[64];
static uint8_t *memory;
static pid_t child;
static FILE *to, *from;
static int monitor = -1;

/* ---- stand-ins ---- */

void *phys_to_virt(paddr_t pa)
{
    if (pa >= QEMU_MEM)
        abort();
    return memory + pa;
}

paddr_t virt_to_phys(const void *va)
{
    return (paddr_t)((const uint8_t *)va - memory);
}

uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * NS_PER_SEC + (uint64_t)t.tv_nsec;
}

void udelay(unsigned us)
{
    usleep(us);
}

void printk(enum log_level level, const char *fmt, ...)
{
    va_list ap;

    if (level > LOG_ERR && !getenv("VERBOSE"))
        return;
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
}

void assert_failed(const char *expr, const char *file, int line)
{
    fprintf(stderr, "%s:%d: assertion failed: %s\n", file, line, expr);
    abort();
}

/* ---- the process ---- */

static void fill_file(const char *name, size_t size, bool code)
{
    char path[96];
    FILE *f;

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    f = fopen(path, "w");
    if (!f || ftruncate(fileno(f), (off_t)size))
        abort();
    /* cli; hlt; jmp back: also at the reset vector */
    for (size_t i = 0; code && i < size; i += 4)
        fwrite("\xfa\xf4\xeb\xfc", 1, 4, f);
    fclose(f);
}

static void run(const char *iommu_options)
{
    char object[160], bios[96], mon[128], iommu[96];

    snprintf(object, sizeof(object),
             "memory-backend-file,id=m,size=64M,mem-path=%s/memory,share=on", dir);
    snprintf(bios, sizeof(bios), "%s/bios", dir);
    snprintf(mon, sizeof(mon), "unix:%s/monitor,server=on,wait=off", dir);
    snprintf(iommu, sizeof(iommu), "intel-iommu,intremap=on%s", iommu_options);
    execlp("qemu-system-x86_64", "qemu-system-x86_64", "-M",
           "q35,kernel-irqchip=split,memory-backend=m", "-accel", "tcg", "-m", "64M", "-object",
           object, "-bios", bios, "-display", "none", "-nodefaults", "-device", iommu, "-device",
           "edu,addr=3,dma_mask=0xffffffffffff", "-qtest", "stdio", "-qtest-log", "none",
           "-monitor", mon, (char *)NULL);
    _exit(127);
}

static void spawn(const char *iommu_options)
{
    int in[2], out[2];

    if (pipe(in) || pipe(out))
        abort();
    child = fork();
    if (!child) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(in[0], 0);
        dup2(out[1], 1);
        if (!getenv("VERBOSE")) /* it reports each fault that the test provokes */
            dup2(open("/dev/null", O_WRONLY), 2);
        close(in[1]);
        close(out[0]);
        run(iommu_options);
    }
    close(in[0]);
    close(out[1]);
    to = fdopen(in[1], "w");
    from = fdopen(out[0], "r");
}

static void open_monitor(void)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };

    snprintf(a.sun_path, sizeof(a.sun_path), "%s/monitor", dir);
    monitor = socket(AF_UNIX, SOCK_STREAM, 0);
    if (monitor < 0 || connect(monitor, (struct sockaddr *)&a, sizeof(a)))
        abort();
}

static void remove_files(void)
{
    static const char *const names[] = { "memory", "bios", "monitor" };
    char path[96];

    for (unsigned i = 0; i < 3; i++) {
        snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
        unlink(path);
    }
    rmdir(dir);
}

bool qemu_start(const char *iommu_options)
{
    char path[96];
    int fd;

    snprintf(dir, sizeof(dir), "/tmp/qemu-dev-XXXXXX");
    if (!mkdtemp(dir))
        abort();
    fill_file("memory", QEMU_MEM, false);
    fill_file("bios", 65536, true);
    snprintf(path, sizeof(path), "%s/memory", dir);
    fd = open(path, O_RDWR);
    memory = mmap(NULL, QEMU_MEM, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    spawn(iommu_options);
    if (fprintf(to, "readl 0xfed90000\n") < 0 || fflush(to) || fgetc(from) == EOF) {
        remove_files();
        return false;
    }
    while (fgetc(from) != '\n')
        ;
    open_monitor();
    remove_files();
    return true;
}

void qemu_stop(void)
{
    if (!child)
        return;
    fclose(to);
    fclose(from);
    close(monitor);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    child = 0;
    munmap(memory, QEMU_MEM);
}

/* ---- qtest ---- */

static uint64_t request(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static uint64_t request(const char *fmt, ...)
{
    char line[128];
    va_list ap;

    va_start(ap, fmt);
    vfprintf(to, fmt, ap);
    va_end(ap);
    fflush(to);
    if (!fgets(line, sizeof(line), from) || strncmp(line, "OK", 2)) {
        fprintf(stderr, "QEMU answers: %s\n", line);
        abort();
    }
    return line[2] == ' ' ? strtoull(line + 3, NULL, 0) : 0;
}

static char suffix(unsigned bytes)
{
    return bytes == 1 ? 'b' : bytes == 2 ? 'w' : bytes == 4 ? 'l' : 'q';
}

uint64_t qemu_read(uint64_t addr, unsigned bytes)
{
    return request("read%c %#lx\n", suffix(bytes), (unsigned long)addr);
}

void qemu_write(uint64_t addr, uint64_t value, unsigned bytes)
{
    request("write%c %#lx %#lx\n", suffix(bytes), (unsigned long)addr, (unsigned long)value);
}

static void select_register(uint16_t bdf, uint16_t reg)
{
    request("outl 0xcf8 %#lx\n", 0x80000000ul | (unsigned long)bdf << 8 | (reg & 0xfcu));
}

uint32_t qemu_config_read(uint16_t bdf, uint16_t reg, unsigned width)
{
    select_register(bdf, reg);
    return (uint32_t)request("in%c %#x\n", suffix(width), 0xcfcu + (reg & 3));
}

void qemu_config_write(uint16_t bdf, uint16_t reg, uint32_t value, unsigned width)
{
    select_register(bdf, reg);
    request("out%c %#x %#x\n", suffix(width), 0xcfcu + (reg & 3), value);
}

bool qemu_irr(unsigned vector)
{
    static const char command[] = "info lapic 0\n";
    char text[4096];
    size_t n = 0;
    char *line, *end;

    if (write(monitor, command, sizeof(command) - 1) < 0)
        abort();
    for (;;) {
        ssize_t got = read(monitor, text + n, sizeof(text) - 1 - n);

        if (got <= 0)
            abort();
        n += (size_t)got;
        text[n] = '\0';
        line = strstr(text, "IRR\t");
        if (line && strchr(line, '\n') && strstr(line, "(qemu)"))
            break;
    }
    *strchr(line, '\n') = '\0';
    for (line += 4; *line; line = end) {
        unsigned long v = strtoul(line, &end, 10);

        if (end == line)
            break;
        if (v == vector)
            return true;
        end += strspn(end, " (level)\r");
    }
    return false;
}

/* ---- the unit's registers ---- */

static uint32_t dev_read32(void *ctx, unsigned reg)
{
    return (uint32_t)qemu_read((uintptr_t)ctx + reg, 4);
}

static uint64_t dev_read64(void *ctx, unsigned reg)
{
    return qemu_read((uintptr_t)ctx + reg, 8);
}

static void dev_write32(void *ctx, unsigned reg, uint32_t v)
{
    qemu_write((uintptr_t)ctx + reg, v, 4);
}

static void dev_write64(void *ctx, unsigned reg, uint64_t v)
{
    qemu_write((uintptr_t)ctx + reg, v, 8);
}

static void dev_writeback(void *ctx, const void *p, size_t len)
{
    (void)ctx;
    (void)p;
    (void)len;
    __sync_synchronize();
}

int vtd_hw_open(struct vtd_hw *hw, paddr_t base, size_t len)
{
    (void)len;
    *hw = (struct vtd_hw){ dev_read32,  dev_read64,    dev_write32,
                           dev_write64, dev_writeback, (void *)(uintptr_t)base };
    return 0;
}
