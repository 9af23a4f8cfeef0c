// The Kafka source and sink against librdkafka's own mock brokers: what they do while no broker answers, and after.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <mutex>
#include <thread>

#include "kafka_mock.h"
#include "pipeline/sources/kafka_sink.h"
#include "pipeline/sources/kafka_source.h"

namespace bellwether::kafka_outage_test {
namespace {

using Clock = std::chrono::steady_clock;

class KafkaOutageTest : public KafkaMockTest {
 protected:
  void SetUp() override {
    KafkaMockTest::SetUp();
    if (mock_ == nullptr) return;
    config_.topics = {"in"};
    config_.statistics_s = 1;
    config_.properties["reconnect.backoff.max.ms"] = "200";
    hooks_.log = [this](KafkaLevel, std::string_view text) {
      const std::lock_guard lock(mutex_);
      said_.emplace_back(text);
    };
    hooks_.statistics = [this](std::string_view json) {
      const std::lock_guard lock(mutex_);
      statistics_ = json;
    };
  }
  int said(const std::string& part) {
    const std::lock_guard lock(mutex_);
    return static_cast<int>(
        std::ranges::count_if(said_, [&](const std::string& text) { return text.find(part) != std::string::npos; }));
  }
  template <typename F>
  static bool within(int seconds, F&& done) {
    const auto until = Clock::now() + std::chrono::seconds(seconds);
    while (!done()) {
      if (Clock::now() >= until) return false;
    }
    return true;
  }

  KafkaHooks hooks_;
  std::mutex mutex_;
  std::vector<std::string> said_;
  std::string statistics_;
};

TEST_F(KafkaOutageTest, SourceAndSinkOutliveTheBroker) {
  std::unique_ptr<KafkaSink> sink;
  ASSERT_TRUE(KafkaSink::open(config_, {}, hooks_, sink).ok());
  std::unique_ptr<KafkaSource> source;
  ASSERT_TRUE(KafkaSource::open(config_, hooks_, source).ok());
  ASSERT_TRUE(within(10, [&] { return source->refresh().ok() && source->partitions().size() == 2; }));
  EXPECT_EQ(source->partitions(), (std::vector<PartitionId>{{"in", 0}, {"in", 1}}));
  for (size_t p = 0; p < 2; ++p) ASSERT_TRUE(source->start(p, -1).ok());

  uint64_t sequence = 0;
  const auto produce = [&](int count) {
    for (int i = 0; i < count; ++i) {
      ++sequence;
      const std::string text = std::to_string(sequence);
      ASSERT_TRUE(sink->enqueue({sequence, "in", text, text, "id" + text}, 1000));
    }
  };
  std::map<std::string, int> seen;
  std::array<int64_t, 2> next{0, 0};
  Batch out;
  bool away_at_end = false;
  const auto poll = [&] {
    for (size_t p = 0; p < 2; ++p) {
      const Status status = source->poll(p, 100, 20, out);
      EXPECT_TRUE(status.ok()) << status.message;
      for (const RawRecord& record : out.records) {
        EXPECT_EQ(record.offset, next[p]++);
        ++seen[std::string(record.value)];
      }
      if (said("kafka source: no broker answers") > said("kafka source: a broker answers again"))
        away_at_end |= out.at_end;
    }
  };
  produce(500);
  ASSERT_TRUE(within(20, [&] { return poll(), seen.size() == 500; }));
  ASSERT_TRUE(within(10, [&] { return poll(), out.at_end; }));

  ASSERT_EQ(rd_kafka_mock_broker_set_down(mock_, 1), RD_KAFKA_RESP_ERR_NO_ERROR);
  produce(300);
  ASSERT_TRUE(within(
      20, [&] { return poll(), said("kafka source: no broker answers") && said("kafka sink: no broker answers"); }));
  for (int i = 0; i < 20; ++i) poll();
  EXPECT_EQ(said("no broker"), 2) << "once each";
  EXPECT_FALSE(away_at_end);
  EXPECT_EQ(sink->acknowledged(), 500u);
  EXPECT_FALSE(sink->flush(50).ok());
  EXPECT_TRUE(sink->failure().ok());
  EXPECT_TRUE(source->refresh().ok());

  ASSERT_EQ(rd_kafka_mock_broker_set_up(mock_, 1), RD_KAFKA_RESP_ERR_NO_ERROR);
  ASSERT_TRUE(within(30, [&] { return poll(), seen.size() == 800; }));
  EXPECT_TRUE(sink->flush(10'000).ok());
  EXPECT_EQ(sink->acknowledged(), 800u);
  ASSERT_TRUE(within(10, [&] { return poll(), said("kafka source: a broker answers again") == 1; }));
  for (const auto& [value, count] : seen) EXPECT_EQ(count, 1) << value;
  EXPECT_TRUE(within(5, [&] {
    poll();
    const std::lock_guard lock(mutex_);
    return statistics_.find("\"topics\"") != std::string::npos;
  }));
}

TEST_F(KafkaOutageTest, NoBrokerAtTheStart) {
  ASSERT_EQ(rd_kafka_mock_broker_set_down(mock_, 1), RD_KAFKA_RESP_ERR_NO_ERROR);
  std::unique_ptr<KafkaSource> source;
  ASSERT_TRUE(KafkaSource::open(config_, hooks_, source).ok());
  const auto begin = Clock::now();
  EXPECT_TRUE(source->refresh().ok());
  EXPECT_LT(Clock::now() - begin, std::chrono::milliseconds(1500));
  EXPECT_TRUE(source->partitions().empty());
  EXPECT_EQ(said("no broker answers"), 1);
  ASSERT_EQ(rd_kafka_mock_broker_set_up(mock_, 1), RD_KAFKA_RESP_ERR_NO_ERROR);
  EXPECT_TRUE(within(20, [&] { return source->refresh().ok() && source->partitions().size() == 2; }));
  EXPECT_EQ(said("answers again"), 1);
}

// A broker far away, or busy: a look at all topics takes longer than one call of refresh() may. Each is found all the
// same, and nobody says that no broker answers.
TEST_F(KafkaOutageTest, ABrokerFarAway) {
  config_.topics.clear();
  for (const char* topic : {"t1", "t2", "t3", "t4", "t5", "t6"}) {
    ASSERT_EQ(rd_kafka_mock_topic_create(mock_, topic, 2, 1), RD_KAFKA_RESP_ERR_NO_ERROR);
    config_.topics.emplace_back(topic);
  }
  ASSERT_EQ(rd_kafka_mock_broker_set_rtt(mock_, 1, 300), RD_KAFKA_RESP_ERR_NO_ERROR);
  std::unique_ptr<KafkaSource> source;
  ASSERT_TRUE(KafkaSource::open(config_, hooks_, source).ok());
  std::chrono::nanoseconds longest{};
  EXPECT_TRUE(within(60, [&] {
    const auto begin = Clock::now();
    EXPECT_TRUE(source->refresh().ok());
    longest = std::max<std::chrono::nanoseconds>(longest, Clock::now() - begin);
    return source->partitions().size() == 12;
  }));
  EXPECT_EQ(source->partitions().size(), 12U);
  EXPECT_LT(longest, std::chrono::milliseconds(1500));
  EXPECT_LE(said("no broker answers"), 1);  // while the connection is made, at most
}

TEST_F(KafkaOutageTest, QueueIsBounded) {
  ASSERT_EQ(rd_kafka_mock_broker_set_down(mock_, 1), RD_KAFKA_RESP_ERR_NO_ERROR);
  std::unique_ptr<KafkaSink> sink;
  KafkaSink::Options options;
  options.queue_records = 10;
  ASSERT_TRUE(KafkaSink::open(config_, options, hooks_, sink).ok());
  for (uint64_t i = 1; i <= 10; ++i) EXPECT_TRUE(sink->enqueue({i, "in", "", "v", ""}, 0));
  EXPECT_FALSE(sink->enqueue({11, "in", "", "v", ""}, 20));
  EXPECT_TRUE(sink->failure().ok());
  const Produced produced = sink->produce("in", "k", "v", 50);
  EXPECT_FALSE(produced.status.ok());
  ASSERT_EQ(rd_kafka_mock_broker_set_up(mock_, 1), RD_KAFKA_RESP_ERR_NO_ERROR);
  EXPECT_TRUE(sink->enqueue({11, "in", "", "v", ""}, 20'000));
  EXPECT_TRUE(sink->flush(20'000).ok());
  EXPECT_EQ(sink->acknowledged(), 11u);
}

// What a later record's delivery says of an earlier one is nothing: the outbox would drop it unsent.
TEST_F(KafkaOutageTest, NothingIsAcknowledgedBeforeWhatStoodBeforeIt) {
  ASSERT_EQ(rd_kafka_mock_topic_create(mock_, "stuck", 1, 1), RD_KAFKA_RESP_ERR_NO_ERROR);
  ASSERT_EQ(rd_kafka_mock_partition_set_leader(mock_, "stuck", 0, -1), RD_KAFKA_RESP_ERR_NO_ERROR);
  std::unique_ptr<KafkaSink> sink;
  ASSERT_TRUE(KafkaSink::open(config_, {}, hooks_, sink).ok());
  for (uint64_t i = 1; i <= 3; ++i) ASSERT_TRUE(sink->enqueue({i, "in", "k", "v", ""}, 20'000));
  ASSERT_TRUE(within(20, [&] { return sink->acknowledged() == 3; }));
  ASSERT_TRUE(sink->enqueue({4, "stuck", "k", "v", ""}, 20'000));
  for (uint64_t i = 5; i <= 9; ++i) ASSERT_TRUE(sink->enqueue({i, "in", "k", "v", ""}, 20'000));
  // Of one key, so of one partition, and so after them.
  ASSERT_TRUE(sink->produce("in", "k", "last", 20'000).status.ok());
  EXPECT_EQ(sink->acknowledged(), 3U);
  ASSERT_EQ(rd_kafka_mock_partition_set_leader(mock_, "stuck", 0, 1), RD_KAFKA_RESP_ERR_NO_ERROR);
  EXPECT_TRUE(sink->flush(20'000).ok());
  EXPECT_EQ(sink->acknowledged(), 9U);
}

TEST_F(KafkaOutageTest, SettingsOfOursCannotBeConfigured) {
  std::unique_ptr<KafkaSource> source;
  config_.properties["enable.auto.commit"] = "true";
  EXPECT_NE(KafkaSource::open(config_, hooks_, source).message.find("kafka.properties.enable.auto.commit"),
            std::string::npos);
  config_.properties = {{"no.such.property", "1"}};
  EXPECT_NE(KafkaSource::open(config_, hooks_, source).message.find("no.such.property"), std::string::npos);
  EXPECT_EQ(source, nullptr);
}

}  // namespace
}  // namespace bellwether::kafka_outage_test
