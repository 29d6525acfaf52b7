/* What the Python side calls. Follows the generated settle(), rise() and fall(). A cycle is one period
 * of the clock: inputs change just after a rising edge, then comes the falling edge; outputs are
 * those just before the next rising edge. The clock starts at 0, so the first cycle has no falling
 * edge. */

#define API __attribute__((visibility("default"), unused))

/* Cycles that a PLL is simulated without having locked. */
#define LOCK_CYCLES 16

API uint64_t chip_bytes(void) { return sizeof(State); }
API uint8_t *chip_nets(State *s) { return s->n; }
API void chip_settle(State *s) { settle(s); }

/* Single-port RAM starts with anything: with noise, so that nothing may rely on it. */
API void chip_init(State *s, uint64_t seed) {
    init(s);
    uint64_t x = seed | 1;
    for (size_t k = 0; k < sizeof s->spram / sizeof s->spram[0][0]; k++) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        ((uint16_t *)s->spram)[k] = (uint16_t)(x >> 24);
    }
}

INLINE void before_edge(State *s) {
    settle(s);
    if (HAS_FALLING && s->cycles) {
        fall(s);
        settle(s);
    }
}

INLINE void after_edge(State *s) {
    rise(s);
    if (++s->cycles == LOCK_CYCLES) lock(s);
}

API void chip_step(State *s, uint64_t cycles) {
    while (cycles--) {
        before_edge(s);
        after_edge(s);
    }
}

/* Cycles with given inputs; arrays have one row per cycle and one byte per pin. */
API void chip_run(State *s, uint64_t cycles, const uint32_t *inputs, uint64_t input_count,
                  const uint8_t *in, const uint32_t *outputs, uint64_t output_count, uint8_t *out) {
    for (uint64_t t = 0; t < cycles; t++) {
        for (uint64_t k = 0; k < input_count; k++) s->n[inputs[k]] = *in++;
        before_edge(s);
        for (uint64_t k = 0; k < output_count; k++) *out++ = s->n[outputs[k]];
        after_edge(s);
    }
}

/* A UART at two pins: 8 data bits, no parity, one stop bit. Times are in clock cycles and have 32
 * bits behind the point. */
typedef struct {
    uint64_t input, output;  /* nets: where we send, where we listen */
    uint64_t bit;            /* cycles per bit */
    uint64_t now;            /* where we are */
    uint64_t send_until;     /* end of the bit that is being sent */
    uint64_t send_frame;     /* bits still to be sent, the next one lowest; 0: idle */
    uint64_t listen_at;      /* middle of the bit that is expected next */
    uint64_t listen_bits;    /* bits of the frame still to come; 0: idle */
    uint64_t listen_frame;
    uint64_t bad_frames;     /* without a stop bit */
    const uint8_t *tx;
    uint8_t *rx;
    uint64_t tx_bytes, rx_space, rx_wanted, sent, received;
} Uart;

INLINE uint8_t uart_send(Uart *u) {
    if (u->send_frame && u->now >= u->send_until) {
        u->send_frame >>= 1;
        if (u->send_frame == 1) u->send_frame = 0; /* only the end marker is left */
        else u->send_until += u->bit;
    }
    if (!u->send_frame && u->sent < u->tx_bytes) {
        /* start bit, data, stop bit, end marker; without a gap if the last one has just ended */
        u->send_frame = (uint64_t)u->tx[u->sent++] << 1 | 0x600;
        u->send_until = (u->now - u->send_until >> 32 ? u->now : u->send_until) + u->bit;
    }
    return u->send_frame ? u->send_frame & 1 : 1;
}

INLINE void uart_listen(Uart *u, uint8_t level) {
    if (!u->listen_bits) {
        if (level) return;
        u->listen_bits = 10;
        u->listen_at = u->now + u->bit / 2;
    }
    if (u->now < u->listen_at) return;
    u->listen_at += u->bit;
    u->listen_frame = u->listen_frame >> 1 | (uint64_t)level << 9;
    if (u->listen_bits == 10 && level) {
        u->listen_bits = 0; /* that was no start bit */
        return;
    }
    if (--u->listen_bits) return;
    if (!level) u->bad_frames++;
    else if (u->received < u->rx_space) u->rx[u->received++] = (uint8_t)(u->listen_frame >> 1);
}

/* Run until everything is sent and as much has been received as is wanted, or for so many cycles;
 * return how many it were. */
API uint64_t chip_uart(State *s, Uart *u, uint64_t most) {
    uint64_t t = 0;
    for (; t < most; t++) {
        if (u->sent == u->tx_bytes && !u->send_frame && u->received >= u->rx_wanted) break;
        s->n[u->input] = uart_send(u);
        before_edge(s);
        uart_listen(u, s->n[u->output]);
        after_edge(s);
        u->now += 1ull << 32;
    }
    return t;
}
