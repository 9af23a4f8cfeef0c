// What is said of brokers that are away: once, by the first who misses them and the last who finds them again.
#include "pipeline/sources/kafka_notice.h"

#include <gtest/gtest.h>

namespace bellwether::kafka_notice_test {
namespace {

struct Said {
  std::vector<std::string> texts;
  KafkaHooks hooks(std::shared_ptr<KafkaOutage> outage = nullptr) {
    KafkaHooks hooks;
    hooks.log = [this](KafkaLevel, std::string_view text) { texts.emplace_back(text); };
    hooks.outage = std::move(outage);
    return hooks;
  }
};
using Texts = std::vector<std::string>;

// Two clients of the same brokers.
struct KafkaNotices : testing::Test {
  Said said;
  const std::shared_ptr<KafkaOutage> outage = std::make_shared<KafkaOutage>();
  KafkaNotice source{said.hooks(outage), "source"};
  KafkaNotice sink{said.hooks(outage), "sink"};
};

TEST(KafkaNotice, AwayAndBackAreSaidOnce) {
  Said said;
  KafkaNotice notice(said.hooks(), "source");
  notice.back();
  EXPECT_FALSE(notice.remind());
  notice.lost("refused");
  notice.away("no answer");
  notice.away("still none");
  EXPECT_TRUE(notice.remind());
  notice.back();
  notice.back();
  EXPECT_FALSE(notice.remind());
  EXPECT_EQ(said.texts, (Texts{"source: no broker answers (no answer; refused); trying again until one does",
                               "source: a broker answers again after 0 s"}));
}

TEST_F(KafkaNotices, AReasonThatComesAfterwardsIsSaidOnce) {
  source.away("no answer");
  sink.away("no answer");
  source.lost("certificate required");
  source.lost("certificate required");
  sink.lost("certificate required");
  EXPECT_EQ(said.texts, (Texts{"source: no broker answers (no answer); trying again until one does",
                               "source: the last connection to a broker ended: certificate required"}));
}

TEST_F(KafkaNotices, AReasonThatOneClientSaidIsNotSaidByAnother) {
  sink.lost("certificate required");
  sink.away("no answer");
  source.away("no answer");
  source.lost("certificate required");
  EXPECT_EQ(said.texts,
            Texts{"sink: no broker answers (no answer; certificate required); trying again until one does"});
}

TEST(KafkaNotice, LostConnectionsMayBeIdleOnes) {
  Said said;
  KafkaNotice notice(said.hooks(), "source");
  int asked = 0;
  bool there = true;
  const auto check = [&] { notice.check([&](int) { return ++asked, there; }); };
  check();
  EXPECT_EQ(asked, 0) << "nothing was suspected";
  notice.suspect("all connections lost");
  check();
  EXPECT_EQ(asked, 1);
  EXPECT_EQ(said.texts, Texts{}) << "they answer";
  there = false;
  notice.suspect("all connections lost");
  check();
  check();
  EXPECT_EQ(asked, 2) << "at most every two seconds";
  EXPECT_EQ(said.texts, Texts{"source: no broker answers (all connections lost); trying again until one does"});
}

TEST_F(KafkaNotices, SeveralClientsSpeakAsOne) {
  {
    KafkaNotice third(said.hooks(outage), "third");
    source.away("x");
    sink.away("x");
    third.away("x");
  }
  source.back();
  EXPECT_EQ(said.texts, Texts{"source: no broker answers (x); trying again until one does"});
  sink.back();
  EXPECT_EQ(said.texts.size(), 2U) << "one that ended while they were away is not waited for";
  source.seldom("key", KafkaLevel::kWarning, "odd");
  sink.seldom("key", KafkaLevel::kWarning, "odd");
  sink.seldom("other", KafkaLevel::kWarning, "odd too");
  EXPECT_EQ(said.texts, (Texts{"source: no broker answers (x); trying again until one does",
                               "sink: a broker answers again after 0 s", "source: odd", "sink: odd too"}));
}

}  // namespace
}  // namespace bellwether::kafka_notice_test
