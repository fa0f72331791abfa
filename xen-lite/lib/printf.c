/* SPDX-License-Identifier: MIT */
/*
 * vsnprintf for the hypervisor: the integer, string, character and pointer conversions with flags, width and
 * precision; no floating point. Returns what the C library would: the length without truncation.
 */
#include "lib/printf.h"

#include "lib/string.h"

struct out {
    char *buf;
    size_t size, len;
};

struct spec {
    bool left, zero, alt, plus;
    int width, precision; /* precision -1: none */
    int size;             /* 0 int, 1 long or size_t, 2 long long */
};

static void put(struct out *o, char c)
{
    if (o->len + 1 < o->size)
        o->buf[o->len] = c;
    o->len++;
}

static void put_padded(struct out *o, const char *s, int n, const struct spec *sp, char fill)
{
    int pad = sp->width > n ? sp->width - n : 0;

    if (!sp->left)
        for (; pad > 0; pad--)
            put(o, fill);
    for (int i = 0; i < n; i++)
        put(o, s[i]);
    for (; pad > 0; pad--)
        put(o, ' ');
}

static void put_number(struct out *o, uint64_t v, unsigned base, bool upper, bool negative,
                       struct spec *sp)
{
    const char *digits = upper ? "0123456789ABCDEF" : "0123456789abcdef";
    char tmp[72];
    int pos = sizeof(tmp), ndigits = 0;

    do {
        tmp[--pos] = digits[v % base];
        v /= base;
        ndigits++;
    } while (v);
    int want = sp->precision;
    int prefix = (negative || sp->plus ? 1 : 0) + (sp->alt && base == 16 ? 2 : 0);
    if (want < 0 && sp->zero && !sp->left)
        want = sp->width - prefix;
    while (ndigits < want && ndigits < 64) {
        tmp[--pos] = '0';
        ndigits++;
    }
    if (sp->alt && base == 16) {
        tmp[--pos] = upper ? 'X' : 'x';
        tmp[--pos] = '0';
    }
    if (negative)
        tmp[--pos] = '-';
    else if (sp->plus)
        tmp[--pos] = '+';
    put_padded(o, tmp + pos, (int)sizeof(tmp) - pos, sp, ' ');
}

static const char *parse_number(const char *f, int *n)
{
    for (*n = 0; *f >= '0' && *f <= '9' && *n < 10000; f++)
        *n = *n * 10 + (*f - '0');
    return f;
}

static const char *parse_spec(const char *f, struct spec *sp, va_list *ap)
{
    *sp = (struct spec){ .precision = -1 };
    for (;; f++) {
        if (*f == '-')
            sp->left = true;
        else if (*f == '0')
            sp->zero = true;
        else if (*f == '#')
            sp->alt = true;
        else if (*f == '+')
            sp->plus = true;
        else
            break;
    }
    if (*f == '*') {
        sp->width = va_arg(*ap, int);
        if (sp->width < 0) {
            sp->left = true;
            sp->width = -sp->width;
        }
        f++;
    } else {
        f = parse_number(f, &sp->width);
    }
    if (*f == '.') {
        f++;
        if (*f == '*') {
            sp->precision = va_arg(*ap, int);
            f++;
        } else {
            f = parse_number(f, &sp->precision);
        }
    }
    for (;; f++) {
        if (*f == 'l')
            sp->size++;
        else if (*f == 'z' || *f == 'j' || *f == 't')
            sp->size = 1;
        else if (*f != 'h')
            return f;
    }
}

static void put_string(struct out *o, const char *s, const struct spec *sp)
{
    if (!s)
        s = "(null)";
    put_padded(o, s, (int)strnlen(s, sp->precision < 0 ? 4096 : (size_t)sp->precision), sp, ' ');
}

static void put_signed(struct out *o, struct spec *sp, va_list *ap)
{
    int64_t v = sp->size ? va_arg(*ap, long) : va_arg(*ap, int);

    put_number(o, v < 0 ? -(uint64_t)v : (uint64_t)v, 10, false, v < 0, sp);
}

static void put_unsigned(struct out *o, unsigned base, bool upper, struct spec *sp, va_list *ap)
{
    uint64_t v = sp->size ? va_arg(*ap, unsigned long) : va_arg(*ap, unsigned);

    sp->plus = false;
    put_number(o, v, base, upper, false, sp);
}

static void convert(struct out *o, char conv, struct spec *sp, va_list *ap)
{
    char c;

    switch (conv) {
    case 'd':
    case 'i':
        put_signed(o, sp, ap);
        break;
    case 'u':
        put_unsigned(o, 10, false, sp, ap);
        break;
    case 'x':
    case 'X':
        put_unsigned(o, 16, conv == 'X', sp, ap);
        break;
    case 'p':
        sp->alt = true;
        sp->size = 1;
        put_unsigned(o, 16, false, sp, ap);
        break;
    case 's':
        put_string(o, va_arg(*ap, const char *), sp);
        break;
    case 'c':
        c = (char)va_arg(*ap, int);
        put_padded(o, &c, 1, sp, ' ');
        break;
    default: /* '%' and what is unknown prints itself */
        put(o, conv);
        break;
    }
}

int vsnprintf(char *buf, size_t size, const char *fmt, va_list args)
{
    struct out o = { .buf = buf, .size = size };
    struct spec sp;
    va_list ap;

    va_copy(ap, args);
    while (*fmt) {
        if (*fmt != '%') {
            put(&o, *fmt++);
            continue;
        }
        fmt = parse_spec(fmt + 1, &sp, &ap);
        if (!*fmt)
            break;
        convert(&o, *fmt++, &sp, &ap);
    }
    va_end(ap);
    if (size)
        buf[o.len < size ? o.len : size - 1] = '\0';
    return (int)o.len;
}

int snprintf(char *buf, size_t size, const char *fmt, ...)
{
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(buf, size, fmt, ap);
    va_end(ap);
    return n;
}
