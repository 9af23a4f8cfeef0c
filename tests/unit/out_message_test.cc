// What an out record becomes is a function of its row: nothing of the record before it is left.
#include <gtest/gtest.h>

#include <random>

#include "config/load.h"
#include "operators/tiers.h"
#include "pipeline/engine/out_rows.h"
#include "pipeline/service/convert.h"
#include "pipeline/service/outbox.h"

namespace bellwether::out_message_test {
namespace {

ScoreRecord drawn(std::mt19937_64& random) {
  ScoreRecord record;
  record.user_id = "u" + std::string(random() % 40, 'x');
  record.day = static_cast<int64_t>(20'000 + random() % 100);
  for (int64_t& micros : record.capability_micros) micros = static_cast<int64_t>(random() % 3 * 1'000'000);
  record.profile_micros.resize(random() % 7);
  for (int64_t& micros : record.profile_micros) micros = static_cast<int64_t>(random() % 3 * 1'000'000);
  record.tier = static_cast<Tier>(random() % 5), record.visible = static_cast<Tier>(random() % 5);
  return record;
}

TEST(OutMessageTest, ScoreRecordsStandAlone) {
  std::mt19937_64 random(1);
  CommunityConfig community = default_config().community;
  OutMessage message;
  for (int i = 0; i < 500; ++i) {
    community.version = std::string(1 + random() % 3, 'v');
    const ScoreRecord record = drawn(random);
    const ChangeId id{{static_cast<int64_t>(random() % 1000), 0}, {OperatorId::kScores, {KeyKind::kUser, random()}}, 0};
    std::string payload = encode(record);
    if (i % 5 == 0) {  // one that cannot be read, in between
      payload.resize(payload.size() / 2);
      EXPECT_FALSE(out_message(static_cast<uint8_t>(OutKind::kScore), id, payload, community, message));
      continue;
    }
    if (i % 7 == 0) message.tombstone = true, message.value = "of another";
    ASSERT_TRUE(out_message(static_cast<uint8_t>(OutKind::kScore), id, payload, community, message));
    pb::ScoreRecord alone;
    ASSERT_TRUE(score_record(id, payload, community, alone));
    EXPECT_EQ(message.topic, ".scores");
    EXPECT_EQ(message.key, record.user_id);
    EXPECT_EQ(message.id, alone.id());
    EXPECT_EQ(message.value, alone.SerializeAsString());
    EXPECT_FALSE(message.tombstone);
  }
}

}  // namespace
}  // namespace bellwether::out_message_test
