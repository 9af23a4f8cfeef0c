// Builds facts for tests of operators. Facts and their texts live as long as the builder.
#pragma once

#include <deque>
#include <string>
#include <string_view>

#include "operators/fact.h"
#include "operators/hash.h"

namespace bellwether {

class Facts {
 public:
  explicit Facts(const Hasher& hash) : hash_(hash) {}

  Ref ref(KeyKind kind, std::string_view id) {
    if (id.empty()) return {};
    return {texts_.emplace_back(id), hash_(kind, id)};
  }
  Ref user(std::string_view id) { return ref(KeyKind::kUser, id); }
  Key user_key(std::string_view id) const { return {KeyKind::kUser, hash_(KeyKind::kUser, id)}; }

  // An event at its home; fill in what else it says through the reference.
  Fact& add(std::string_view id, std::string_view who, int64_t time_us, Key home, Body body) {
    Fact& f = facts_.emplace_back();
    f.id = texts_.emplace_back(id), f.id_hash = hash_(KeyKind::kEvent, id);
    f.user = user(who), f.time_us = time_us, f.home = home, f.body = std::move(body);
    return f;
  }
  Fact& referral(std::string_view id, std::string_view who, int64_t time_us, std::string_view referral,
                 std::string_view referrer, ReferralStage stage, std::string_view referred = {}) {
    const Ref home = ref(KeyKind::kReferral, referral);
    return add(id, who, time_us, {KeyKind::kReferral, home.hash},
               ReferralFact{.referral = home, .referrer = user(referrer), .referred = user(referred), .stage = stage});
  }
  // `report` empty: the home is (program, tester).
  Fact& beta(std::string_view id, std::string_view who, int64_t time_us, std::string_view program,
             std::string_view report, BetaTestKind kind, BetaTestStatus status, std::string_view tester = {},
             uint32_t severity = 0) {
    BetaTestFact test{.program = texts_.emplace_back(program),
                      .report = ref(KeyKind::kReport, report),
                      .kind = kind,
                      .status = status,
                      .severity = severity,
                      .tester = user(tester)};
    const uint64_t home =
        report.empty() ? hash_.pair(KeyKind::kReport, program, tester.empty() ? who : tester) : test.report.hash;
    return add(id, who, time_us, {KeyKind::kReport, home}, test);
  }
  Fact& verdict(std::string_view id, std::string_view who, int64_t time_us, std::string_view flag, Decision decision,
                std::string_view reason = {}) {
    const Ref home = ref(KeyKind::kFlag, flag);
    return add(id, who, time_us, {KeyKind::kFlag, home.hash},
               VerdictFact{.flag = home, .decision = decision, .reason = texts_.emplace_back(reason)});
  }

 private:
  const Hasher& hash_;
  std::deque<std::string> texts_;
  std::deque<Fact> facts_;
};

}  // namespace bellwether
