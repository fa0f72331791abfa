/* SPDX-License-Identifier: MIT */
/*
 * Log ring and serial port (16550, National Semiconductor PC16550D data sheet, section 8). Output is polled: messages are
 * rare, and the control domain's console is a person's. Input comes by interrupt into a small ring.
 */
#include "boot/console.h"

#include "boot/cmdline.h"
#include "cpu/x86.h"
#include "irq/ioapic.h"
#include "irq/irq.h"
#include "lib/percpu.h"
#include "lib/spinlock.h"
#include "lib/string.h"
#include "lib/time.h"

#define CONRING_SIZE 65536u /* a power of two */
#define INPUT_SIZE 256u
#define LINE_MAX 512

#define UART_DATA 0
#define UART_IER 1
#define UART_DLL 0
#define UART_DLM 1
#define UART_FCR 2
#define UART_LCR 3
#define UART_MCR 4
#define UART_LSR 5
#define IER_RX BIT(0)
#define FCR_ENABLE_AND_CLEAR 0x07
#define LCR_8N1 0x03
#define LCR_DLAB 0x80
#define MCR_DTR_RTS_OUT2 0x0b
#define LSR_DATA BIT(0)
#define LSR_THRE BIT(5)
#define LSR_NOT_THERE 0xff
/* Polls of the line status before a character is given up: about ten character times at 115,200 baud. */
#define TX_SPINS 10000

static spinlock_t lock = SPINLOCK_INIT;
static bool forced;
static uint16_t port; /* 0: none */
static unsigned port_isa_irq;
static enum log_level limit = LOG_INFO;

/* Absolute positions; the ring holds the last CONRING_SIZE bytes before conring_end. */
static char conring[CONRING_SIZE];
static uint32_t conring_end, conring_start;

static char input[INPUT_SIZE];
static unsigned input_head, input_tail;
static void (*input_hook)(void);

static void console_lock(void)
{
    if (!READ_ONCE(forced))
        spin_lock(&lock);
}

static void console_unlock(void)
{
    if (!READ_ONCE(forced))
        spin_unlock(&lock);
}

static void ring_put(char c)
{
    conring[conring_end++ % CONRING_SIZE] = c;
    if (conring_end - conring_start > CONRING_SIZE)
        conring_start = conring_end - CONRING_SIZE;
}

static void uart_put(char c)
{
    if (!port)
        return;
    for (unsigned i = 0; i < TX_SPINS && !(inb(port + UART_LSR) & LSR_THRE); i++)
        cpu_relax();
    outb((uint8_t)c, port + UART_DATA);
}

static void put_text(const char *s, size_t n, bool to_port)
{
    for (size_t i = 0; i < n; i++) {
        ring_put(s[i]);
        if (!to_port)
            continue;
        if (s[i] == '\n')
            uart_put('\r');
        uart_put(s[i]);
    }
}

void printk(enum log_level level, const char *fmt, ...)
{
    char line[LINE_MAX];
    uint64_t us = now_ns() / NS_PER_US;
    bool to_port = level <= limit || READ_ONCE(forced);
    int n = snprintf(line, sizeof(line), "(xl) [%5lu.%06lu] %s", us / 1000000, us % 1000000,
                     level == LOG_ERR ? "error: " : level == LOG_WARN ? "warning: " : "");
    va_list ap;

    va_start(ap, fmt);
    n += vsnprintf(line + n, sizeof(line) - (size_t)n - 1, fmt, ap);
    va_end(ap);
    if (n > (int)sizeof(line) - 2)
        n = sizeof(line) - 2;
    if (line[n - 1] != '\n')
        line[n++] = '\n';
    console_lock();
    put_text(line, (size_t)n, to_port);
    console_unlock();
}

void console_write(const char *s, size_t n)
{
    console_lock();
    put_text(s, n, true);
    console_unlock();
}

void console_force(void)
{
    WRITE_ONCE(forced, true);
}

size_t conring_read(uint32_t *index, char *buf, size_t n, bool clear)
{
    size_t k = 0;

    console_lock();
    if (conring_end - *index > conring_end - conring_start)
        *index = conring_start;
    while (k < n && *index != conring_end)
        buf[k++] = conring[(*index)++ % CONRING_SIZE];
    if (clear)
        conring_start = *index;
    console_unlock();
    return k;
}

size_t console_read(char *buf, size_t n)
{
    size_t k = 0;

    console_lock();
    while (k < n && input_tail != input_head)
        buf[k++] = input[input_tail++ % INPUT_SIZE];
    console_unlock();
    return k;
}

void console_set_input_hook(void (*fn)(void))
{
    input_hook = fn;
}

static void uart_interrupt(void *arg)
{
    bool any = false;

    (void)arg;
    console_lock();
    /* Bounded: a port that is not there any more reads all ones for ever. */
    for (unsigned i = 0; i < INPUT_SIZE; i++) {
        uint8_t lsr = inb(port + UART_LSR);

        if (lsr == LSR_NOT_THERE || !(lsr & LSR_DATA))
            break;
        char c = (char)inb(port + UART_DATA);
        if (input_head - input_tail < INPUT_SIZE)
            input[input_head++ % INPUT_SIZE] = c;
        any = true;
    }
    console_unlock();
    if (any && input_hook)
        input_hook();
}

static void uart_setup(void)
{
    outb(0, port + UART_IER);
    outb(LCR_DLAB | LCR_8N1, port + UART_LCR);
    outb(1, port + UART_DLL); /* 115,200 baud */
    outb(0, port + UART_DLM);
    outb(LCR_8N1, port + UART_LCR);
    outb(FCR_ENABLE_AND_CLEAR, port + UART_FCR);
    outb(MCR_DTR_RTS_OUT2, port + UART_MCR);
    if (inb(port + UART_LSR) == LSR_NOT_THERE)
        port = 0;
}

static void set_limit(const char *name)
{
    static const char *const names[] = { "err", "warn", "info", "debug" };

    for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
        if (!strcmp(name, names[i]))
            limit = (enum log_level)i;
}

void console_init(void)
{
    const char *con = cmdline_get("console");
    const char *lvl = cmdline_get("loglvl");

    if (!con || !strcmp(con, "com1")) {
        port = 0x3f8;
        port_isa_irq = 4;
    } else if (!strcmp(con, "com2")) {
        port = 0x2f8;
        port_isa_irq = 3;
    }
    if (port)
        uart_setup();
    if (lvl)
        set_limit(lvl);
}

void console_init_irq(void)
{
    uint32_t gsi;
    bool level, low;
    int vector;

    if (!port)
        return;
    ioapic_isa_route(port_isa_irq, &gsi, &level, &low);
    vector = irq_alloc_vector(cpu_id(), uart_interrupt, NULL);
    if (vector < 0 || ioapic_reserve(gsi) || ioapic_route(gsi, cpu_id(), (uint8_t)vector, level, low)) {
        pr_warn("console: GSI %u cannot be used, no input", gsi);
        return;
    }
    ioapic_unmask(gsi);
    outb(IER_RX, port + UART_IER);
    uart_interrupt(NULL); /* what has come before would never interrupt: the line is an edge */
}

bool console_ports(uint16_t *first, uint16_t *last)
{
    *first = port;
    *last = (uint16_t)(port + 7);
    return port != 0;
}
