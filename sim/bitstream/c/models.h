/* Blocks of iCE40 chips. What they do is said by Lattice's library (and yosys' cells_sim.v); where
 * that leaves a value open, it is kept: a memory's output while it writes, for one. Nets are bytes,
 * 0 or 1. */
#include <stdint.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline, unused))
#define APART static __attribute__((noinline, unused))

INLINE void scatter(uint8_t *nets, uint32_t value, int count) {
    for (int k = 0; k < count; k++) nets[k] = value >> k & 1;
}

/* Block RAM: 256 words of 16 bits. In modes 1..3 (8, 4, 2 bits) address bits above the eighth select
 * one of 2, 4 or 8 interleaved parts of a word; data stand on every second, fourth, eighth wire. */
static const uint16_t RAM_PART[4] = {0xFFFF, 0x5555, 0x1111, 0x0101};
static const uint8_t RAM_WIRE[4] = {0, 0, 1, 3};

INLINE uint16_t ram_read(const uint16_t *words, int mode, uint32_t address) {
    return (uint16_t)((words[address & 255] >> (address >> 8) & RAM_PART[mode]) << RAM_WIRE[mode]);
}

INLINE void ram_write(uint16_t *words, int mode, uint32_t address, uint32_t kept, uint32_t data) {
    uint32_t part = address >> 8;
    uint32_t written = mode ? (uint32_t)RAM_PART[mode] << part : ~kept;
    uint32_t value = (data >> RAM_WIRE[mode] & RAM_PART[mode]) << part;
    uint16_t *word = words + (address & 255);
    *word = (uint16_t)((*word & ~written) | (value & written));
}

/* Single-port RAM: 16,384 words of 16 bits, one bit of the mask per nibble. */
INLINE void spram_write(uint16_t *word, uint32_t mask, uint32_t data) {
    uint32_t written = 0;
    for (int k = 0; k < 4; k++) written |= (mask >> k & 1) * (0xFu << (4 * k));
    *word = (uint16_t)((*word & ~written) | (data & written));
}

/* Multiplier. Names are those of the figure in Lattice's library. */
typedef struct {
    uint16_t a, b, c, d, f, g, j, k, q, s;
    uint32_t h;
} Mac;

typedef struct {
    int c_reg, a_reg, b_reg, d_reg, top_mult_reg, bot_mult_reg, pipeline_1, pipeline_2;
    int top_output, top_lower, top_carry, bot_output, bot_lower, bot_carry;
    int top_upper, bot_upper, mode_8x8, a_signed, b_signed;
} MacConfig;

typedef struct {
    uint32_t a, b, c, d;
    uint32_t ahold, bhold, chold, dhold, irsttop, irstbot, orsttop, orstbot;
    uint32_t oloadtop, oloadbot, addsubtop, addsubbot, oholdtop, oholdbot;
    uint32_t ci, accumci, signextin, ce;
} MacInputs;

typedef struct {
    uint32_t o, co, accumco, signextout;
} MacOutputs;

INLINE uint32_t extend(uint32_t byte, int is_signed) {
    return is_signed && (byte & 0x80) ? byte | 0xFF00 : byte;
}

INLINE uint32_t extend_product(uint32_t product, int is_signed) {
    return is_signed && (product & 0x8000) ? product | 0xFF0000 : product;
}

/* Outputs for the inputs as they are, and the registers after the next clock edge. */
INLINE MacOutputs mac16(MacConfig p, MacInputs in, Mac r, Mac *next) {
    if (in.irsttop) r.a = r.c = r.f = r.j = 0;
    if (in.irstbot) r.b = r.d = r.g = r.k = 0, r.h = 0;
    if (in.orsttop) r.q = 0;
    if (in.orstbot) r.s = 0;
    uint32_t a = p.a_reg ? r.a : in.a, b = p.b_reg ? r.b : in.b;
    uint32_t c = p.c_reg ? r.c : in.c, d = p.d_reg ? r.d : in.d;

    uint32_t ah = extend(a >> 8, p.a_signed), al = extend(a & 0xFF, p.a_signed && p.mode_8x8);
    uint32_t bh = extend(b >> 8, p.b_signed), bl = extend(b & 0xFF, p.b_signed && p.mode_8x8);
    uint16_t hh = (uint16_t)(ah * bh), lh = (uint16_t)((al & 0xFF) * bh);
    uint16_t hl = (uint16_t)(ah * (bl & 0xFF)), ll = (uint16_t)(al * bl);
    uint32_t f = p.top_mult_reg ? r.f : hh, g = p.bot_mult_reg ? r.g : ll;
    uint32_t j = p.pipeline_1 ? r.j : lh, k = p.pipeline_1 ? r.k : hl;
    uint32_t product = g + (extend_product(k, p.a_signed) << 8) +
                       (extend_product(j, p.b_signed) << 8) + (f << 16);
    uint32_t h = p.pipeline_2 ? r.h : product;

    uint32_t z = p.bot_lower == 0 ? b : p.bot_lower == 1 ? g : p.bot_lower == 2 ? h & 0xFFFF
                                                             : in.signextin ? 0xFFFF : 0;
    uint32_t y = p.bot_upper ? d : r.s, bot_flip = in.addsubbot ? 0xFFFF : 0;
    uint32_t lci = p.bot_carry == 0 ? 0 : p.bot_carry == 1 ? 1 : p.bot_carry == 2 ? in.accumci : in.ci;
    uint32_t yz = z + (y ^ bot_flip) + lci, lco = yz >> 16 & 1;
    uint32_t bottom = in.oloadbot ? d : (yz ^ bot_flip) & 0xFFFF;

    uint32_t x = p.top_lower == 0 ? a : p.top_lower == 1 ? f : p.top_lower == 2 ? h >> 16
                                                             : z & 0x8000 ? 0xFFFF : 0;
    uint32_t w = p.top_upper ? c : r.q, top_flip = in.addsubtop ? 0xFFFF : 0;
    uint32_t hci = p.top_carry == 0 ? 0 : p.top_carry == 1 ? 1 : p.top_carry == 2 ? lco : lco ^ in.addsubbot;
    uint32_t xw = x + (w ^ top_flip) + hci;
    uint32_t top = in.oloadtop ? c : (xw ^ top_flip) & 0xFFFF;

    if (next) {
        *next = r;
        if (in.ce) {
            if (!in.irsttop) {
                if (!in.ahold) next->a = (uint16_t)in.a;
                if (!in.chold) next->c = (uint16_t)in.c;
                next->f = hh;
                if (!p.mode_8x8) next->j = lh;
            }
            if (!in.irstbot) {
                if (!in.bhold) next->b = (uint16_t)in.b;
                if (!in.dhold) next->d = (uint16_t)in.d;
                next->g = ll;
                if (!p.mode_8x8) next->k = hl, next->h = product;
            }
            if (!in.orsttop && !in.oholdtop) next->q = (uint16_t)top;
            if (!in.orstbot && !in.oholdbot) next->s = (uint16_t)bottom;
        }
    }
    uint32_t high = p.top_output == 0 ? top : p.top_output == 1 ? r.q : p.top_output == 2 ? f : h >> 16;
    uint32_t low = p.bot_output == 0 ? bottom : p.bot_output == 1 ? r.s : p.bot_output == 2 ? g : h & 0xFFFF;
    uint32_t accumco = xw >> 16 & 1;
    return (MacOutputs){high << 16 | low, accumco ^ in.addsubtop, accumco, x >> 15};
}
