// The Kafka source and sink against a real broker, named by BELLWETHER_TEST_BROKER (see ./broker); skipped without.
#include "pipeline/sources/kafka_source.h"

#include <gtest/gtest.h>
#include <librdkafka/rdkafka.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <map>
#include <mutex>

#include "pipeline/sources/kafka_sink.h"

namespace bellwether {
namespace {

using Clock = std::chrono::steady_clock;

template <typename F>
bool within(int seconds, F&& done) {
  const auto until = Clock::now() + std::chrono::seconds(seconds);
  while (!done()) {
    if (Clock::now() >= until) return false;
  }
  return true;
}

class KafkaSourceTest : public ::testing::Test {
 protected:
  void SetUp() override {
#ifdef __SANITIZE_THREAD__
    // librdkafka starts its threads by C11's thrd_create, which the sanitizer does not know: they crash in it.
    GTEST_SKIP() << "librdkafka's threads do not run under ThreadSanitizer";
#endif
    const char* broker = std::getenv("BELLWETHER_TEST_BROKER");
    if (broker == nullptr || *broker == '\0') GTEST_SKIP() << "BELLWETHER_TEST_BROKER is not set";
    config_.brokers = broker;
    topic_ = "source-test-" + std::to_string(getpid()) + "-" +
             ::testing::UnitTest::GetInstance()->current_test_info()->name();
    config_.topics = {topic_};
    config_.refresh_s = 1;
    hooks_.log = [this](KafkaLevel, std::string_view text) {
      const std::lock_guard lock(mutex_);
      said_ += std::string(text) + "\n";
    };
    client_ = producer({});
  }
  void TearDown() override {
    if (client_ == nullptr) return;
    rd_kafka_DeleteTopic_t* gone = rd_kafka_DeleteTopic_new(topic_.c_str());
    admin([&](rd_kafka_queue_t* queue) { rd_kafka_DeleteTopics(client_, &gone, 1, nullptr, queue); });
    rd_kafka_DeleteTopic_destroy(gone);
    rd_kafka_destroy(client_);
  }

  rd_kafka_t* producer(const std::map<std::string, std::string>& settings) const {
    rd_kafka_conf_t* conf = rd_kafka_conf_new();
    char text[256];
    rd_kafka_conf_set(conf, "bootstrap.servers", config_.brokers.c_str(), text, sizeof text);
    for (const auto& [key, value] : settings) {
      EXPECT_EQ(rd_kafka_conf_set(conf, key.c_str(), value.c_str(), text, sizeof text), RD_KAFKA_CONF_OK) << text;
    }
    return rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
  }
  void admin(const std::function<void(rd_kafka_queue_t*)>& call) const {
    rd_kafka_queue_t* queue = rd_kafka_queue_new(client_);
    call(queue);
    rd_kafka_event_t* event = rd_kafka_queue_poll(queue, 20'000);
    ASSERT_NE(event, nullptr);
    EXPECT_EQ(rd_kafka_event_error(event), RD_KAFKA_RESP_ERR_NO_ERROR) << rd_kafka_event_error_string(event);
    rd_kafka_event_destroy(event);
    rd_kafka_queue_destroy(queue);
  }
  void make_topic(int partitions, const std::map<std::string, std::string>& settings = {}) const {
    char text[256];
    rd_kafka_NewTopic_t* made = rd_kafka_NewTopic_new(topic_.c_str(), partitions, 1, text, sizeof text);
    for (const auto& [key, value] : settings) rd_kafka_NewTopic_set_config(made, key.c_str(), value.c_str());
    admin([&](rd_kafka_queue_t* queue) { rd_kafka_CreateTopics(client_, &made, 1, nullptr, queue); });
    rd_kafka_NewTopic_destroy(made);
  }
  // `count` records "PARTITION:NUMBER" from number `first`, stamped with that many milliseconds past a base.
  static constexpr int64_t kBaseMs = 1'700'000'000'000;
  void produce(rd_kafka_t* client, int32_t partition, int first, int count) const {
    for (int i = first; i < first + count; ++i) {
      const std::string value = std::to_string(partition) + ":" + std::to_string(i);
      while (rd_kafka_producev(client, RD_KAFKA_V_TOPIC(topic_.c_str()), RD_KAFKA_V_PARTITION(partition),
                               RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_TIMESTAMP(kBaseMs + i),
                               RD_KAFKA_V_VALUE(const_cast<char*>(value.data()), value.size()),
                               RD_KAFKA_V_END) == RD_KAFKA_RESP_ERR__QUEUE_FULL) {
        rd_kafka_poll(client, 10);
      }
    }
    EXPECT_EQ(rd_kafka_flush(client, 20'000), RD_KAFKA_RESP_ERR_NO_ERROR);
  }
  void delete_below(int32_t partition, int64_t offset) const {
    rd_kafka_topic_partition_list_t* list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, topic_.c_str(), partition)->offset = offset;
    rd_kafka_DeleteRecords_t* wanted = rd_kafka_DeleteRecords_new(list);
    rd_kafka_topic_partition_list_destroy(list);
    admin([&](rd_kafka_queue_t* queue) { rd_kafka_DeleteRecords(client_, &wanted, 1, nullptr, queue); });
    rd_kafka_DeleteRecords_destroy(wanted);
  }

  std::unique_ptr<KafkaSource> open(size_t partitions) {
    std::unique_ptr<KafkaSource> source;
    const Status status = KafkaSource::open(config_, hooks_, source);
    EXPECT_TRUE(status.ok()) << status.message;
    EXPECT_TRUE(within(20, [&] { return source->refresh().ok() && source->partitions().size() >= partitions; }));
    return source;
  }
  // Polls one partition until it says that it is at its end; the values with their offsets.
  static std::vector<std::pair<int64_t, std::string>> drain(KafkaSource& source, size_t partition, Batch& out,
                                                            size_t batch = 100) {
    std::vector<std::pair<int64_t, std::string>> values;
    EXPECT_TRUE(within(30, [&] {
      const Status status = source.poll(partition, batch, 100, out);
      EXPECT_TRUE(status.ok()) << status.message;
      EXPECT_LE(out.records.size(), batch);
      for (const RawRecord& record : out.records) {
        EXPECT_LT(record.offset, out.next_offset);
        values.emplace_back(record.offset, std::string(record.value));
      }
      return out.at_end || !status.ok();
    }));
    return values;
  }

  KafkaConfig config_;
  KafkaHooks hooks_;
  std::string topic_;
  rd_kafka_t* client_ = nullptr;
  std::mutex mutex_;
  std::string said_;
};

TEST_F(KafkaSourceTest, FourPartitionsEachInOrderAndOnce) {
  make_topic(4);
  const int counts[] = {5000, 1, 0, 12000};
  for (int32_t p = 0; p < 4; ++p) produce(client_, p, 0, counts[p]);
  const auto source = open(4);
  std::vector<Batch> kept;
  for (size_t p = 0; p < 4; ++p) {
    EXPECT_EQ(source->partitions()[p], (PartitionId{topic_, static_cast<int32_t>(p)}));
    EXPECT_EQ(source->end_offset(p), counts[p]) << "before the first fetch";
    ASSERT_TRUE(source->start(p, -1).ok());
  }
  int next[4] = {};
  EXPECT_TRUE(within(60, [&] {
    bool all = true;
    for (size_t p = 0; p < 4; ++p) {
      Batch out;
      const Status status = source->poll(p, 700, 10, out);
      EXPECT_TRUE(status.ok()) << status.message;
      for (const RawRecord& record : out.records) {
        EXPECT_EQ(record.offset, next[p]);
        EXPECT_EQ(record.value, std::to_string(p) + ":" + std::to_string(next[p]));
        EXPECT_EQ(record.append_us, (kBaseMs + next[p]) * 1000);
        ++next[p];
      }
      EXPECT_EQ(out.next_offset, next[p]);
      all = all && out.at_end && next[p] == counts[p];
    }
    return all;
  }));
  for (size_t p = 0; p < 4; ++p) EXPECT_EQ(source->end_offset(p), counts[p]);
  EXPECT_FALSE(source->log_append_time(0));
}

TEST_F(KafkaSourceTest, BatchesOutliveTheSource) {
  make_topic(1);
  produce(client_, 0, 0, 3000);
  std::vector<Batch> batches;
  {
    const auto source = open(1);
    ASSERT_TRUE(source->start(0, 0).ok());
    EXPECT_TRUE(within(30, [&] {
      batches.emplace_back();
      return source->poll(0, 64, 100, batches.back()).ok() && batches.back().next_offset == 3000;
    }));
  }
  int i = 0;
  for (const Batch& batch : batches) {
    for (const RawRecord& record : batch.records) EXPECT_EQ(record.value, "0:" + std::to_string(i++));
  }
  EXPECT_EQ(i, 3000);
}

TEST_F(KafkaSourceTest, ResumesAtTheOffsetGiven) {
  make_topic(2);
  for (int32_t p = 0; p < 2; ++p) produce(client_, p, 0, 1000);
  for (const int64_t from : {0, 1, 500, 999, 1000}) {
    const auto source = open(2);
    Batch out;
    for (size_t p = 0; p < 2; ++p) {
      ASSERT_TRUE(source->start(p, from).ok());
      const auto values = drain(*source, p, out, 77);
      ASSERT_EQ(static_cast<int64_t>(values.size()), 1000 - from);
      if (!values.empty()) {
        EXPECT_EQ(values.front(), std::pair(from, std::to_string(p) + ":" + std::to_string(from)));
      }
      EXPECT_EQ(out.next_offset, 1000);
    }
  }
}

TEST_F(KafkaSourceTest, PartitionsAndTopicsAddedLater) {
  const auto source = open(0);  // the topic does not exist yet
  EXPECT_TRUE(source->partitions().empty());
  make_topic(2);
  ASSERT_TRUE(within(20, [&] { return source->refresh().ok() && source->partitions().size() == 2; }));
  Batch out;
  produce(client_, 0, 0, 500);
  for (size_t p = 0; p < 2; ++p) ASSERT_TRUE(source->start(p, -1).ok());
  EXPECT_EQ(drain(*source, 0, out).size(), 500u);

  char text[256];
  rd_kafka_NewPartitions_t* more = rd_kafka_NewPartitions_new(topic_.c_str(), 4, text, sizeof text);
  admin([&](rd_kafka_queue_t* queue) { rd_kafka_CreatePartitions(client_, &more, 1, nullptr, queue); });
  rd_kafka_NewPartitions_destroy(more);
  ASSERT_TRUE(within(20, [&] { return source->refresh().ok() && source->partitions().size() == 4; }));
  EXPECT_EQ(source->partitions()[3], (PartitionId{topic_, 3}));
  produce(client_, 0, 500, 100);
  for (const int32_t p : {2, 3}) {
    rd_kafka_topic_t* topic = rd_kafka_topic_new(client_, topic_.c_str(), nullptr);
    const rd_kafka_metadata_t* metadata = nullptr;  // so that the producer knows them too
    ASSERT_EQ(rd_kafka_metadata(client_, 0, topic, &metadata, 5000), RD_KAFKA_RESP_ERR_NO_ERROR);
    rd_kafka_metadata_destroy(metadata);
    rd_kafka_topic_destroy(topic);
    produce(client_, p, 0, 300);
    ASSERT_TRUE(source->start(static_cast<size_t>(p), -1).ok());
    EXPECT_EQ(drain(*source, static_cast<size_t>(p), out).size(), 300u);
  }
  // The others went on undisturbed: nothing lost, nothing twice.
  std::vector<std::pair<int64_t, std::string>> values;
  EXPECT_TRUE(within(20, [&] {
    for (auto& value : drain(*source, 0, out)) values.push_back(std::move(value));
    return values.size() >= 100;
  }));
  ASSERT_EQ(values.size(), 100u);
  EXPECT_EQ(values.front(), std::pair(int64_t{500}, std::string("0:500")));
}

TEST_F(KafkaSourceTest, AbortedTransactionsLeaveGapsThatArePassed) {
  make_topic(1);
  rd_kafka_t* client = producer({{"transactional.id", topic_}});
  const auto check = [](rd_kafka_error_t* error) {
    EXPECT_EQ(error, nullptr) << rd_kafka_error_string(error);
    if (error != nullptr) rd_kafka_error_destroy(error);
  };
  check(rd_kafka_init_transactions(client, 20'000));
  const auto transaction = [&](int first, int count, bool commit) {
    check(rd_kafka_begin_transaction(client));
    produce(client, 0, first, count);
    check(commit ? rd_kafka_commit_transaction(client, 20'000) : rd_kafka_abort_transaction(client, 20'000));
  };
  transaction(0, 10, true);    // offsets 0..9, marker 10
  transaction(10, 10, false);  // 11..20, marker 21
  transaction(20, 10, true);   // 22..31, marker 32
  transaction(30, 5, false);   // 33..37, marker 38
  const auto source = open(1);
  ASSERT_TRUE(source->start(0, -1).ok());
  Batch out;
  const auto values = drain(*source, 0, out, 7);
  ASSERT_EQ(values.size(), 20u);
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(values[static_cast<size_t>(i)], std::pair(int64_t{i}, "0:" + std::to_string(i)));
    EXPECT_EQ(values[static_cast<size_t>(10 + i)], std::pair(int64_t{22 + i}, "0:" + std::to_string(20 + i)));
  }
  EXPECT_EQ(out.next_offset, 39);
  EXPECT_EQ(source->end_offset(0), 39) << "no lag is left";

  // An open transaction holds the readers back; its end lets them go on, also from inside a gap.
  check(rd_kafka_begin_transaction(client));
  produce(client, 0, 40, 5);
  ASSERT_TRUE(source->poll(0, 100, 500, out).ok());
  EXPECT_TRUE(out.records.empty());
  check(rd_kafka_commit_transaction(client, 20'000));
  std::vector<std::pair<int64_t, std::string>> rest;
  EXPECT_TRUE(within(20, [&] {
    for (auto& value : drain(*source, 0, out)) rest.push_back(std::move(value));
    return rest.size() >= 5;
  }));
  EXPECT_EQ(rest.front().first, 39);
  const auto resumed = open(1);
  ASSERT_TRUE(resumed->start(0, 35).ok());
  EXPECT_EQ(drain(*resumed, 0, out), rest);
  rd_kafka_destroy(client);
}

TEST_F(KafkaSourceTest, DeletedRecordsAreAnErrorThatNamesTheGap) {
  make_topic(2);
  for (int32_t p = 0; p < 2; ++p) produce(client_, p, 0, 100);
  delete_below(0, 60);
  const auto source = open(2);
  ASSERT_TRUE(source->start(0, 40).ok());
  ASSERT_TRUE(source->start(1, 40).ok());
  Batch out;
  Status status;
  EXPECT_TRUE(within(20, [&] { return status = source->poll(0, 10, 100, out), !status.ok(); }));
  for (const std::string& part :
       {"kafka: " + topic_ + " [0]: our offset 40 is gone", std::string("available is 60"), std::string("20 offsets"),
        std::string("--on-gap fail"), std::string("--on-gap skip")})
    EXPECT_NE(status.message.find(part), std::string::npos) << part << " in: " << status.message;
  EXPECT_TRUE(out.records.empty());
  EXPECT_EQ(source->poll(0, 10, 0, out).message, status.message) << "it stays";
  EXPECT_EQ(drain(*source, 1, out).size(), 60u) << "the other partition is well";

  const auto fresh = open(2);  // the beginning is where the broker's log begins now
  ASSERT_TRUE(fresh->start(0, -1).ok());
  EXPECT_EQ(drain(*fresh, 0, out).at(0).first, 60);

  ASSERT_TRUE(fresh->start(1, 101).ok());
  EXPECT_TRUE(within(20, [&] { return status = fresh->poll(1, 10, 100, out), !status.ok(); }));
  EXPECT_NE(status.message.find("the log ends at 100"), std::string::npos) << status.message;
  EXPECT_NE(status.message.find("our offset is 101"), std::string::npos) << status.message;
}

TEST_F(KafkaSourceTest, AGapIsPassedAndToldWhereTheOperatorSaysSo) {
  make_topic(1);
  produce(client_, 0, 0, 100);
  config_.on_gap = "skip";
  const auto source = open(1);
  EXPECT_EQ(source->first_offset(0), 0);
  delete_below(0, 60);
  ASSERT_TRUE(source->start(0, 40).ok());
  Batch out;
  ASSERT_TRUE(within(20, [&] { return !source->poll(0, 10, 100, out).ok() || out.gap_to > 0; }));
  EXPECT_EQ(std::pair(out.gap_from, out.gap_to), std::pair(int64_t{40}, int64_t{60}));
  EXPECT_EQ(out.next_offset, 60);
  EXPECT_TRUE(out.records.empty());
  EXPECT_NE(said_.find("gap passed over: topic=" + topic_ + " partition=0 from=40 to=60 offsets=20"),
            std::string::npos);
  const auto rest = drain(*source, 0, out);
  ASSERT_EQ(rest.size(), 40u);
  EXPECT_EQ(rest.front(), std::pair(int64_t{60}, std::string("0:60")));
  EXPECT_EQ(out.gap_to, 0) << "told once";

  // While running: what is deleted under a reader that stands still.
  produce(client_, 0, 100, 10);
  const auto fresh = open(1);
  EXPECT_EQ(fresh->first_offset(0), 60);
  delete_below(0, 105);
  ASSERT_TRUE(fresh->start(0, fresh->first_offset(0)).ok());
  ASSERT_TRUE(within(20, [&] { return !fresh->poll(0, 10, 100, out).ok() || out.gap_to > 0; }));
  EXPECT_EQ(std::pair(out.gap_from, out.gap_to), std::pair(int64_t{60}, int64_t{105}));
  EXPECT_EQ(drain(*fresh, 0, out).size(), 5u);
}

TEST_F(KafkaSourceTest, AnotherTopicOfTheSameNameIsNeverReadOn) {
  make_topic(1);
  produce(client_, 0, 0, 100);
  Batch out;
  Bookmark mark;
  {
    const auto source = open(1);
    ASSERT_TRUE(source->start(0, 0).ok());
    EXPECT_EQ(source->bookmark(0, 100), Bookmark{});
    EXPECT_EQ(drain(*source, 0, out, 30).size(), 100u);
    mark = source->bookmark(0, 100);
    EXPECT_EQ(mark.offset, 99);
  }
  const auto read_on = [&](int64_t from) {
    const auto source = open(1);
    source->expect(0, mark);
    EXPECT_TRUE(source->start(0, from).ok());
    Status status;
    size_t records = 0;
    EXPECT_TRUE(within(20, [&] {
      (void)source->refresh();
      status = source->poll(0, 10, 100, out);
      records += out.records.size();
      return !status.ok() || out.at_end;
    }));
    return std::pair(records, status.message);
  };
  produce(client_, 0, 100, 20);
  EXPECT_EQ(read_on(100), std::pair(size_t{20}, std::string())) << "the same topic";
  delete_below(0, 100);
  EXPECT_EQ(read_on(100), std::pair(size_t{20}, std::string())) << "what is expected was deleted, what we read was not";

  const auto make_again = [&](int records) {
    rd_kafka_DeleteTopic_t* gone = rd_kafka_DeleteTopic_new(topic_.c_str());
    admin([&](rd_kafka_queue_t* queue) { rd_kafka_DeleteTopics(client_, &gone, 1, nullptr, queue); });
    rd_kafka_DeleteTopic_destroy(gone);
    make_topic(1);
    rd_kafka_t* other = producer({});
    produce(other, 0, 1000, records);
    rd_kafka_destroy(other);
  };
  make_again(150);
  auto [records, why] = read_on(100);
  EXPECT_EQ(records, 0u);
  EXPECT_NE(why.find("at offset 99 stands another record"), std::string::npos) << why;
  make_again(50);
  config_.on_gap = "skip";  // is no answer to this
  std::tie(records, why) = read_on(100);
  EXPECT_EQ(records, 0u);
  EXPECT_NE(why.find("the log ends at 50"), std::string::npos) << why;

  // While running, then deleted for good.
  for (const int refill : {200, 0}) {
    const auto source = open(1);
    ASSERT_TRUE(source->start(0, 0).ok());
    EXPECT_EQ(drain(*source, 0, out).size(), 50u);
    rd_kafka_DeleteTopic_t* gone = rd_kafka_DeleteTopic_new(topic_.c_str());
    admin([&](rd_kafka_queue_t* queue) { rd_kafka_DeleteTopics(client_, &gone, 1, nullptr, queue); });
    rd_kafka_DeleteTopic_destroy(gone);
    Status status;
    records = 0;
    const auto poll = [&] {
      (void)source->refresh();
      status = source->poll(0, 10, 100, out);
      records += out.records.size();
      return !status.ok();
    };
    if (refill > 0) {
      const auto until = Clock::now() + std::chrono::seconds(2);
      while (Clock::now() < until) poll();
      EXPECT_TRUE(status.ok()) << "a topic may be unknown for a moment";
      make_topic(1);
      rd_kafka_t* other = producer({});
      produce(other, 0, 5000, refill);
      rd_kafka_destroy(other);
    }
    EXPECT_TRUE(within(30, poll));
    EXPECT_EQ(records, 0u);
    EXPECT_NE(status.message.find("deleted"), std::string::npos) << status.message;
    if (refill > 0) make_again(50);
  }
  make_topic(1);  // for the clean-up
}

TEST_F(KafkaSourceTest, TellsAppendTimeAndUnboundedTimes) {
  make_topic(1, {{"message.timestamp.type", "LogAppendTime"}});
  produce(client_, 0, 0, 1);
  const auto now_us =
      std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::system_clock::now().time_since_epoch())
          .count();
  {
    const auto source = open(1);
    EXPECT_TRUE(source->check_topic_times().empty());
    EXPECT_TRUE(source->log_append_time(0)) << "before the first record";
    ASSERT_TRUE(source->start(0, -1).ok());
    Batch out;
    ASSERT_TRUE(within(20, [&] { return source->poll(0, 1, 100, out).ok() && !out.records.empty(); }));
    EXPECT_LT(std::abs(out.records[0].append_us - now_us), 60'000'000);
    EXPECT_TRUE(source->log_append_time(0));
  }
  const std::string first = topic_;
  topic_ += "-unbounded";
  make_topic(1, {{"message.timestamp.after.max.ms", "9223372036854775807"}});
  config_.topics = {first, topic_};
  const auto warnings = open(2)->check_topic_times();
  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_NE(warnings[0].find("topic " + topic_ + " carries its producers' times without a bound"), std::string::npos);
}

TEST_F(KafkaSourceTest, TheSinkMakesItsTopicsAndAcknowledges) {
  KafkaSink::Options options;
  options.topics = {topic_};
  options.partitions = 3;
  std::unique_ptr<KafkaSink> sink;
  ASSERT_TRUE(KafkaSink::open(config_, options, hooks_, sink).ok());
  for (uint64_t i = 1; i <= 1000; ++i) {
    const std::string text = std::to_string(i);
    ASSERT_TRUE(sink->enqueue({i * 2, topic_, "user" + std::to_string(i % 10), text, "id" + text}, 20'000));
  }
  ASSERT_TRUE(sink->flush(20'000).ok());
  EXPECT_EQ(sink->acknowledged(), 2000u);
  const Produced produced = sink->produce(topic_, "staff", "verdict", 20'000);
  ASSERT_TRUE(produced.status.ok()) << produced.status.message;
  EXPECT_EQ(produced.partition.topic, topic_);

  const auto source = open(3);
  std::map<std::string, int> seen;
  Batch out;
  for (size_t p = 0; p < 3; ++p) {
    ASSERT_TRUE(source->start(p, -1).ok());
    const auto values = drain(*source, p, out);
    for (const auto& [offset, value] : values) {
      ++seen[value];
      if (value == "verdict") {
        EXPECT_EQ((PartitionId{topic_, static_cast<int32_t>(p)}), produced.partition);
        EXPECT_EQ(offset, produced.offset);
      }
    }
  }
  EXPECT_EQ(seen.size(), 1001u);
  for (const auto& [value, count] : seen) EXPECT_EQ(count, 1) << value;

  // Another start finds the topics there.
  std::unique_ptr<KafkaSink> second;
  ASSERT_TRUE(KafkaSink::open(config_, options, hooks_, second).ok());
  EXPECT_TRUE(second->enqueue({1, topic_, "", "x", ""}, 20'000));
  EXPECT_TRUE(second->flush(20'000).ok());

  // What can never be delivered is told, and holds acknowledged() where it was.
  ASSERT_TRUE(second->enqueue({2, topic_, "", "fine", ""}, 1000));
  ASSERT_TRUE(second->flush(20'000).ok());
  EXPECT_FALSE(second->enqueue({3, topic_, "", std::string(3'000'000, 'x'), ""}, 1000));
  EXPECT_FALSE(second->failure().ok());
  EXPECT_EQ(second->acknowledged(), 2u);
}

}  // namespace
}  // namespace bellwether
