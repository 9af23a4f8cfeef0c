// The classes around librdkafka against its own mock brokers: what they give, and for how long.
#include "pipeline/sources/kafka_client.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <deque>

#include "kafka_mock.h"

namespace bellwether::kafka_client_test {
namespace {

using Clock = std::chrono::steady_clock;
using Kind = KafkaItem::Kind;

class KafkaClientTest : public KafkaMockTest {
 protected:
  KafkaClient reader() const {
    KafkaClient client;
    const Status status = KafkaClient::open(config_, {{"enable.partition.eof", "true"}, {"auto.offset.reset", "error"}},
                                            {{"fetch.wait.max.ms", "10"}}, notice_, {}, client);
    EXPECT_TRUE(status.ok()) << status.message;
    return client;
  }
  KafkaClient writer(const std::string& queue_max = "1000") {
    KafkaClient client;
    const Status status = KafkaClient::open(
        config_, {{"queue.buffering.max.messages", queue_max}}, {{"partitioner", "consistent"}, {"linger.ms", "0"}},
        notice_,
        [this](const KafkaDelivery& told) {
          delivered_.push_back({told, std::string(told.topic)});
        },
        client);
    EXPECT_TRUE(status.ok()) << status.message;
    return client;
  }
  // All under one key, so that they stand in one partition, which this gives.
  int32_t write(int count) {
    const KafkaClient client = writer();
    for (int i = 0; i < count; ++i)
      EXPECT_FALSE(client.produce("in", "key", "value " + std::to_string(i), "id " + std::to_string(i), this));
    const auto until = Clock::now() + std::chrono::seconds(20);
    while (delivered_.size() < static_cast<size_t>(count) && Clock::now() < until) client.poll(100);
    EXPECT_EQ(delivered_.size(), static_cast<size_t>(count));
    return delivered_.empty() ? -1 : delivered_.front().told.partition;
  }
  // Reads until there is an item of that kind; the owners of what was read in `keep`.
  static std::vector<KafkaItem> read_until(const KafkaFetch& fetch, Kind kind,
                                           std::vector<std::shared_ptr<void>>& keep) {
    std::vector<KafkaItem> all, items;
    const auto until = Clock::now() + std::chrono::seconds(20);
    while (std::ranges::find(all, kind, &KafkaItem::kind) == all.end() && Clock::now() < until) {
      const std::shared_ptr<void> owner = fetch.read(3, 100, items);
      EXPECT_EQ(owner == nullptr, items.empty());
      EXPECT_LE(items.size(), 3U);
      if (owner != nullptr) keep.push_back(owner);
      all.insert(all.end(), items.begin(), items.end());
    }
    return all;
  }

  struct Delivered {
    KafkaDelivery told;
    std::string topic;
  };
  const std::shared_ptr<KafkaNotice> notice_ = std::make_shared<KafkaNotice>(KafkaHooks{}, "test");
  std::deque<Delivered> delivered_;
};

TEST_F(KafkaClientTest, QuestionsToTheBrokers) {
  const int32_t partition = write(5);
  const KafkaClient client = reader();
  EXPECT_TRUE(client.answers(10'000));
  const auto topic = client.topic("in", 10'000);
  ASSERT_TRUE(topic);
  EXPECT_FALSE(topic->missing);
  EXPECT_EQ(topic->error, "");
  EXPECT_EQ(topic->partitions, (std::vector<int32_t>{0, 1}));
  EXPECT_FALSE(client.known_range({"in", partition})) << "nothing was fetched";
  const auto range = client.range({"in", partition}, 10'000);
  ASSERT_TRUE(range);
  EXPECT_EQ(range->low, 0);
  EXPECT_EQ(range->high, 5);
  EXPECT_FALSE(client.range({"in", 7}, 500));
  ASSERT_EQ(rd_kafka_mock_broker_set_down(mock_, 1), RD_KAFKA_RESP_ERR_NO_ERROR);
  const auto begin = Clock::now();
  EXPECT_FALSE(client.answers(200));
  EXPECT_FALSE(client.topic("in", 200));
  EXPECT_FALSE(client.range({"in", partition}, 200));
  EXPECT_LT(Clock::now() - begin, std::chrono::seconds(2));
}

TEST_F(KafkaClientTest, WhatWasReadOutlivesAllHandles) {
  const int32_t partition = write(10);
  std::vector<std::shared_ptr<void>> keep;
  std::vector<KafkaItem> items;
  {
    const KafkaClient client = reader();
    KafkaFetch fetch;
    ASSERT_TRUE(KafkaFetch::open(client, {"in", partition}, fetch).ok());
    ASSERT_TRUE(fetch.start(-1).ok());
    items = read_until(fetch, Kind::kEnd, keep);
    const auto known = client.known_range({"in", partition});
    ASSERT_TRUE(known);
    EXPECT_EQ(known->high, 10);
  }
  ASSERT_EQ(items.size(), 11U);
  for (int i = 0; i < 10; ++i) {
    const KafkaItem& item = items[static_cast<size_t>(i)];
    EXPECT_EQ(item.kind, Kind::kRecord);
    EXPECT_EQ(item.offset, i);
    EXPECT_EQ(item.value, "value " + std::to_string(i));
    EXPECT_EQ(item.stamp, KafkaItem::Stamp::kProducer);
    EXPECT_GT(item.stamp_ms, 1'600'000'000'000);
  }
  EXPECT_EQ(items.back().kind, Kind::kEnd);
  EXPECT_EQ(items.back().offset, 10);
}

TEST_F(KafkaClientTest, AFetchBeginsElsewhere) {
  const int32_t partition = write(10);
  const KafkaClient client = reader();
  KafkaFetch fetch;
  ASSERT_TRUE(KafkaFetch::open(client, {"in", partition}, fetch).ok());
  std::vector<std::shared_ptr<void>> keep;
  ASSERT_TRUE(fetch.start(100).ok());
  const auto none = read_until(fetch, Kind::kNoOffset, keep);
  ASSERT_EQ(none.size(), 1U);
  EXPECT_FALSE(none[0].value.empty());
  EXPECT_NE(std::string(none[0].name), "");
  ASSERT_TRUE(fetch.start(7).ok());
  const auto items = read_until(fetch, Kind::kEnd, keep);
  ASSERT_EQ(items.size(), 4U);
  EXPECT_EQ(items[0].offset, 7);
  EXPECT_EQ(items[0].value, "value 7");
}

TEST_F(KafkaClientTest, ATicketComesBackOnce) {
  write(3);
  for (const auto& [told, topic] : delivered_) {
    EXPECT_EQ(told.error, "");
    EXPECT_EQ(told.ticket, this);
    EXPECT_EQ(topic, "in");
    EXPECT_GE(told.offset, 0);
  }
  delivered_.clear();
  ASSERT_EQ(rd_kafka_mock_broker_set_down(mock_, 1), RD_KAFKA_RESP_ERR_NO_ERROR);
  const KafkaClient client = writer("2");
  std::array<int, 3> tickets{};
  EXPECT_FALSE(client.produce("in", "", "a", "", &tickets[0]));
  EXPECT_FALSE(client.produce("in", "", "b", "id", &tickets[1]));
  const auto refused = client.produce("in", "", "c", "id", &tickets[2]);
  ASSERT_TRUE(refused);
  EXPECT_TRUE(refused->full);
  EXPECT_NE(refused->why, "");
  client.drop(1000);
  ASSERT_EQ(delivered_.size(), 2U);
  for (const auto& [told, topic] : delivered_) {
    EXPECT_NE(told.error, "");
    EXPECT_NE(told.ticket, &tickets[2]);
  }
}

}  // namespace
}  // namespace bellwether::kafka_client_test
