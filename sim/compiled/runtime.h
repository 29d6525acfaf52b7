/* Helpers of the generated simulator: what C has no operator for. Shift amounts are signed 64-bit
 * numbers; division by zero gives 0. Numbers of n words have the least significant word first. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#ifdef __clang__
#define INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#else
#define INDEPENDENT _Pragma("GCC ivdep")
#endif
#define INLINE static inline __attribute__((always_inline, unused))

INLINE uint64_t shift_left(uint64_t a, int64_t by) { return by < 64 ? a << by : 0; }
INLINE uint64_t shift_right(uint64_t a, int64_t by) { return by < 64 ? a >> by : 0; }
INLINE int64_t shift_right_signed(int64_t a, int64_t by) { return a >> (by < 64 ? by : 63); }
INLINE uint64_t shift_both(uint64_t a, int64_t by) {
    return by < 0 ? shift_left(a, -by) : shift_right(a, by);
}

INLINE uint64_t udiv_trunc(uint64_t a, uint64_t b) { return b ? a / b : 0; }
INLINE uint64_t umod_trunc(uint64_t a, uint64_t b) { return b ? a % b : 0; }
INLINE uint64_t udiv_floor(uint64_t a, uint64_t b) { return udiv_trunc(a, b); }
INLINE uint64_t umod_floor(uint64_t a, uint64_t b) { return umod_trunc(a, b); }
INLINE uint64_t sdiv_trunc(int64_t a, int64_t b) {
    /* INT64_MIN / -1 traps */
    return !b ? 0 : b == -1 ? -(uint64_t)a : (uint64_t)(a / b);
}
INLINE uint64_t smod_trunc(int64_t a, int64_t b) { return !b || b == -1 ? 0 : (uint64_t)(a % b); }
INLINE uint64_t sdiv_floor(int64_t a, int64_t b) {
    uint64_t rest = smod_trunc(a, b);
    return sdiv_trunc(a, b) - (rest && ((int64_t)rest < 0) != (b < 0));
}
INLINE uint64_t smod_floor(int64_t a, int64_t b) {
    uint64_t rest = smod_trunc(a, b);
    return rest && ((int64_t)rest < 0) != (b < 0) ? rest + (uint64_t)b : rest;
}

INLINE void wide_add(uint64_t *y, const uint64_t *a, const uint64_t *b, int n) {
    uint64_t carry = 0;
    for (int k = 0; k < n; k++) {
        unsigned __int128 sum = (unsigned __int128)a[k] + b[k] + carry;
        y[k] = (uint64_t)sum;
        carry = (uint64_t)(sum >> 64);
    }
}
INLINE void wide_sub(uint64_t *y, const uint64_t *a, const uint64_t *b, int n) {
    uint64_t borrow = 0;
    for (int k = 0; k < n; k++) {
        unsigned __int128 rest = (unsigned __int128)a[k] - b[k] - borrow;
        y[k] = (uint64_t)rest;
        borrow = (uint64_t)(rest >> 64) & 1;
    }
}
INLINE void wide_mul(uint64_t *y, const uint64_t *a, const uint64_t *b, int n) {
    for (int k = 0; k < n; k++) y[k] = 0;
    for (int i = 0; i < n; i++) {
        uint64_t carry = 0;
        for (int k = 0; i + k < n; k++) {
            unsigned __int128 sum = (unsigned __int128)a[i] * b[k] + y[i + k] + carry;
            y[i + k] = (uint64_t)sum;
            carry = (uint64_t)(sum >> 64);
        }
    }
}
INLINE int wide_below(const uint64_t *a, const uint64_t *b, int n) {
    int below = 0;
    for (int k = 0; k < n; k++) below = a[k] < b[k] || (a[k] == b[k] && below);
    return below;
}
INLINE int wide_below_signed(const uint64_t *a, const uint64_t *b, int n) {
    int64_t x = (int64_t)a[n - 1], z = (int64_t)b[n - 1];
    return x < z || (x == z && wide_below(a, b, n));
}
INLINE int wide_equal(const uint64_t *a, const uint64_t *b, int n) {
    uint64_t differ = 0;
    for (int k = 0; k < n; k++) differ |= a[k] ^ b[k];
    return !differ;
}
/* Bits from outside the n words are `fill`, all ones or all zeros; by may be negative: left. */
INLINE void wide_shift(uint64_t *y, const uint64_t *a, int n, int64_t by, uint64_t fill) {
    int64_t step = by >> 6;
    int bits = (int)(by & 63);
    for (int64_t k = 0; k < n; k++) {
        int64_t low = k + step, high = low + 1;
        uint64_t x = low < 0 ? 0 : low < n ? a[low] : fill;
        uint64_t z = high < 0 ? 0 : high < n ? a[high] : fill;
        y[k] = bits ? x >> bits | z << (64 - bits) : x;
    }
}
INLINE void wide_negate(uint64_t *a, int n) {
    uint64_t carry = 1;
    for (int k = 0; k < n; k++) {
        a[k] = ~a[k] + carry;
        carry = carry && !a[k];
    }
}
/* Schoolbook division, one bit at a time: q = a / b, r = a % b, rounding towards zero, or down. */
__attribute__((unused)) static void wide_divide(
    uint64_t *q, uint64_t *r, const uint64_t *a, const uint64_t *b, int n, int is_signed,
    int is_floor) {
    uint64_t x[n], z[n];
    int a_negative = is_signed && a[n - 1] >> 63, b_negative = is_signed && b[n - 1] >> 63;
    uint64_t any = 0, rest = 0;
    for (int k = 0; k < n; k++) {
        x[k] = a[k];
        z[k] = b[k];
        q[k] = r[k] = 0;
        any |= b[k];
    }
    if (!any) return;
    if (a_negative) wide_negate(x, n);
    if (b_negative) wide_negate(z, n);
    for (int bit = 64 * n - 1; bit >= 0; bit--) {
        uint64_t top = r[n - 1] >> 63;
        for (int k = n - 1; k > 0; k--) r[k] = r[k] << 1 | r[k - 1] >> 63;
        r[0] = r[0] << 1 | (x[bit >> 6] >> (bit & 63) & 1);
        if (top || !wide_below(r, z, n)) {
            wide_sub(r, r, z, n);
            q[bit >> 6] |= (uint64_t)1 << (bit & 63);
        }
    }
    for (int k = 0; k < n; k++) rest |= r[k];
    if (a_negative != b_negative) wide_negate(q, n);
    if (a_negative) wide_negate(r, n);
    if (is_floor && rest && a_negative != b_negative) {
        uint64_t one[n];
        for (int k = 0; k < n; k++) one[k] = k == 0;
        wide_sub(q, q, one, n);
        wide_add(r, r, b, n);
    }
}
