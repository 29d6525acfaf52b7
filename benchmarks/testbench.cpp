// Drives a simulated design from files, for Verilator and CXXRTL alike. "model.h" is generated: it defines
// put(in), get(out), low() and high() (evaluate with the clock low, high), INPUTS and OUTPUTS.
//
// testbench vectors CYCLES   in.bin: INPUTS numbers per cycle, repeated; out.bin: OUTPUTS of each
//                            cycle of the first pass
// testbench stream CYCLES N  in.bin: bytes to send; out.bin: N bytes received. Inputs are i.valid,
//                            i.payload, o.ready; outputs i.ready, o.valid, o.payload
//
// Prints the cycles done and the CPU seconds they took.
#include "model.h"

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <vector>

template <class T> static std::vector<T> load() {
    FILE *file = fopen("in.bin", "rb");
    fseek(file, 0, SEEK_END);
    std::vector<T> data(ftell(file) / sizeof(T));
    rewind(file);
    if (fread(data.data(), sizeof(T), data.size(), file) != data.size()) abort();
    fclose(file);
    return data;
}

template <class T> static void save(const std::vector<T> &data) {
    FILE *file = fopen("out.bin", "wb");
    fwrite(data.data(), sizeof(T), data.size(), file);
    fclose(file);
}

static void cycle(const uint64_t *in, uint64_t *out) {
    put(in);
    low();
    get(out);
    high();
}

static uint64_t vectors(uint64_t cycles, double &seconds) {
    auto in = load<uint64_t>();
    size_t block = in.size() / INPUTS;
    std::vector<uint64_t> out(block * OUTPUTS), rest(block * OUTPUTS);
    clock_t start = clock();
    for (uint64_t t = 0; t < cycles; t++)
        cycle(&in[t % block * INPUTS], &(t < block ? out : rest)[t % block * OUTPUTS]);
    seconds = double(clock() - start) / CLOCKS_PER_SEC;
    save(out);
    return cycles;
}

static uint64_t stream(uint64_t cycles, size_t wanted, double &seconds) {
    auto tx = load<uint8_t>();
    std::vector<uint8_t> rx;
    size_t sent = 0;
    uint64_t t = 0, out[3];
    clock_t start = clock();
    for (; t < cycles && (sent < tx.size() || rx.size() < wanted); t++) {
        bool offers = sent < tx.size(), takes = rx.size() < wanted;
        const uint64_t in[3] = {offers, offers ? tx[sent] : 0u, takes};
        cycle(in, out);
        sent += offers && out[0];
        if (takes && out[1]) rx.push_back(uint8_t(out[2]));
    }
    seconds = double(clock() - start) / CLOCKS_PER_SEC;
    save(rx);
    return t;
}

int main(int, char **argv) {
    uint64_t limit = strtoull(argv[2], nullptr, 10);
    double seconds;
    uint64_t done = strcmp(argv[1], "stream") ? vectors(limit, seconds)
                                              : stream(limit, strtoull(argv[3], nullptr, 10), seconds);
    printf("%llu %.9f\n", (unsigned long long)done, seconds);
}
