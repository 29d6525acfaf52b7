/* What the Python side calls: everything that runs many cycles in one call. Follows the generated
 * functions init(), cycle() and settle(). Ports are given by their place in the areas in[] and out[],
 * in 64-bit words. */

#define API __attribute__((visibility("default"), unused))

API uint64_t model_bytes(void) { return sizeof(State); }
API void model_init(State *s) { init(s); }
API void model_settle(State *s) { settle(s); }
API uint64_t *model_in(State *s) { return s->in; }
API uint64_t *model_out(State *s) { return s->out; }

API void model_step(State *s, uint64_t cycles) {
    while (cycles--) cycle(s);
}

typedef struct {
    uint64_t word, words; /* place in the area, and how many words */
    uint64_t *data;       /* words per cycle, one cycle after the other */
} Column;

API void model_run(State *s, uint64_t cycles, const Column *in, uint64_t ins, const Column *out,
                   uint64_t outs) {
    for (uint64_t t = 0; t < cycles; t++) {
        for (uint64_t p = 0; p < ins; p++)
            for (uint64_t k = 0; k < in[p].words; k++)
                s->in[in[p].word + k] = in[p].data[t * in[p].words + k];
        cycle(s);
        for (uint64_t p = 0; p < outs; p++)
            for (uint64_t k = 0; k < out[p].words; k++)
                out[p].data[t * out[p].words + k] = s->out[out[p].word + k];
    }
}

typedef struct {
    uint64_t i_valid, i_payload, i_ready, o_valid, o_payload, o_ready; /* places of the ports */
    const uint8_t *tx;
    uint8_t *rx;
    uint64_t tx_bytes, rx_bytes; /* wanted */
    uint64_t sent, received;     /* done */
} Exchange;

/* A byte is offered in the cycle after its predecessor was taken; it stays until it is taken. */
API uint64_t model_exchange(State *s, Exchange *x, uint64_t max_cycles) {
    uint64_t t = 0;
    while (t < max_cycles && (x->sent < x->tx_bytes || x->received < x->rx_bytes)) {
        int offers = x->sent < x->tx_bytes, takes = x->received < x->rx_bytes;
        s->in[x->i_valid] = (uint64_t)offers;
        s->in[x->i_payload] = offers ? x->tx[x->sent] : 0;
        s->in[x->o_ready] = (uint64_t)takes;
        cycle(s);
        t++;
        if (offers && s->out[x->i_ready]) x->sent++;
        if (takes && s->out[x->o_valid]) x->rx[x->received++] = (uint8_t)s->out[x->o_payload];
    }
    s->in[x->i_valid] = s->in[x->o_ready] = 0;
    return t;
}
