// Logarithms and likelihoods in fixed point. Statistics that decide are computed by these and by integers only, so that
// every machine and compiler comes to the same decision. The table is made by integer squaring at compile time; a
// golden test freezes it.
#pragma once

#include <cstdint>

namespace bellwether {

// Natural logarithms and log-likelihoods: nats times 2^20.
using Nats = int64_t;
constexpr int kNatBits = 20;
constexpr Nats kNat = Nats{1} << kNatBits;
// A probability times 2^30.
using Prob = uint32_t;
constexpr Prob kProbOne = Prob{1} << 30;

constexpr int64_t nats_to_milli(Nats n) {
  return n >= 0 ? (n * 1000 + kNat / 2) >> kNatBits : -((-n * 1000 + kNat / 2) >> kNatBits);
}
constexpr Nats milli_to_nats(int64_t milli) { return milli * kNat / 1000; }

// log2(x) times 2^30, x >= 1 (0 gives 0). Error below 2e-7.
int64_t log2_q30(uint64_t x);
// ln(x) in nats, x >= 1 (0 gives 0). Error below 2^-20.
Nats ln(uint64_t x);
// ln(num / den), both >= 1.
Nats ln_ratio(uint64_t num, uint64_t den);
// ln(n!): summed up to 255, Stirling's series with the 1/12n term above. Error below 1e-5 of a nat for n < 256, n *
// 2^-20 above.
Nats ln_factorial(uint64_t n);
// ln of n over k; 0 where k is 0 or k >= n.
Nats ln_choose(uint64_t n, uint64_t k);
// Log-likelihood ratio of a Poisson count x against the rate `expected` (times 2^20): x ln(x/e) - (x - e); 0 where x is
// not above e.
Nats poisson_llr(uint32_t x, uint64_t expected_q20);
// Log-likelihood ratio of x successes in n against p: n KL(x/n || p); 0 where x/n is not above p. p is clamped to [1,
// 2^30-1] / 2^30.
Nats binomial_llr(uint32_t x, uint32_t n, Prob p);
// num/den as a probability, clamped to at most 2^30 - 1 and at least 1; den 0 gives 1.
Prob prob(uint64_t num, uint64_t den);
// floor(1000 * 2^-(x / 2^20)), x >= 0.
uint32_t exp2_neg_permille(int64_t x_q20);

}  // namespace bellwether
