#include "pipeline/sources/kafka_topics.h"

#include <librdkafka/rdkafka.h>

namespace bellwether {

std::optional<KafkaRange> kafka_range(const KafkaHandle& client, const PartitionId& id, int timeout_ms) {
  auto answer = std::make_shared<std::optional<KafkaRange>>();
  const bool ended = ask_kafka(
      [answer, client, id, timeout_ms] {
        KafkaRange range;
        if (rd_kafka_query_watermark_offsets(client.get(), id.topic.c_str(), id.number, &range.low, &range.high,
                                             timeout_ms) == RD_KAFKA_RESP_ERR_NO_ERROR)
          *answer = range;
      },
      timeout_ms);
  return ended ? *answer : std::nullopt;
}

std::shared_ptr<const struct rd_kafka_metadata> kafka_topic(const KafkaHandle& client, const std::string& name,
                                                            int timeout_ms) {
  auto answer = std::make_shared<std::shared_ptr<const struct rd_kafka_metadata>>();
  const bool ended = ask_kafka(
      [answer, client, name, timeout_ms] {
        rd_kafka_topic_t* topic = rd_kafka_topic_new(client.get(), name.c_str(), nullptr);
        if (topic == nullptr) return;
        const rd_kafka_metadata_t* metadata = nullptr;
        if (rd_kafka_metadata(client.get(), 0, topic, &metadata, timeout_ms) == RD_KAFKA_RESP_ERR_NO_ERROR)
          answer->reset(metadata, rd_kafka_metadata_destroy);
        rd_kafka_topic_destroy(topic);
      },
      timeout_ms);
  return ended ? *answer : nullptr;
}

KafkaTopicTimes::~KafkaTopicTimes() { forget(); }

void KafkaTopicTimes::forget() {
  if (queue_ != nullptr) rd_kafka_queue_destroy(queue_);
  queue_ = nullptr;
}

void KafkaTopicTimes::ask(const std::vector<std::string>& topics, int timeout_ms) {
  forget();
  std::vector<rd_kafka_ConfigResource_t*> wanted;
  for (const std::string& topic : topics)
    wanted.push_back(rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic.c_str()));
  if (wanted.empty()) return;
  char text[256];
  rd_kafka_AdminOptions_t* options = rd_kafka_AdminOptions_new(client_.get(), RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS);
  (void)rd_kafka_AdminOptions_set_request_timeout(options, timeout_ms, text, sizeof text);
  queue_ = rd_kafka_queue_new(client_.get());
  rd_kafka_DescribeConfigs(client_.get(), wanted.data(), wanted.size(), options, queue_);
  rd_kafka_AdminOptions_destroy(options);
  rd_kafka_ConfigResource_destroy_array(wanted.data(), wanted.size());
}

std::optional<KafkaTopicTimes::Answer> KafkaTopicTimes::take(int wait_ms) {
  if (queue_ == nullptr) return std::nullopt;
  rd_kafka_event_t* event = rd_kafka_queue_poll(queue_, wait_ms);
  if (event == nullptr) return std::nullopt;
  Answer answer;
  const rd_kafka_DescribeConfigs_result_t* result = rd_kafka_event_DescribeConfigs_result(event);
  size_t count = 0;
  const rd_kafka_ConfigResource_t** resources =
      result != nullptr ? rd_kafka_DescribeConfigs_result_resources(result, &count) : nullptr;
  for (size_t r = 0; r < count; ++r) {
    if (rd_kafka_ConfigResource_error(resources[r]) != RD_KAFKA_RESP_ERR_NO_ERROR) continue;
    const std::string topic = rd_kafka_ConfigResource_name(resources[r]);
    std::map<std::string, std::string> values;
    size_t entries = 0;
    const rd_kafka_ConfigEntry_t** entry = rd_kafka_ConfigResource_configs(resources[r], &entries);
    for (size_t e = 0; e < entries; ++e) {
      const char* value = rd_kafka_ConfigEntry_value(entry[e]);
      values[rd_kafka_ConfigEntry_name(entry[e])] = value == nullptr ? "" : value;
    }
    const bool append_time = values["message.timestamp.type"] == "LogAppendTime";
    answer.append_time[topic] = append_time;
    // Brokers before 3.6 have one bound for past and future; "no bound" is the largest number.
    const std::string& bound = values.contains("message.timestamp.after.max.ms")
                                   ? values["message.timestamp.after.max.ms"]
                                   : values["message.timestamp.difference.max.ms"];
    const bool bounded = !bound.empty() && bound.size() < 15;
    if (!append_time && !bounded) {
      answer.warnings.push_back(
          "topic " + topic +
          " carries its producers' times without a bound: a producer may push its clock ahead and with it the "
          "time of the whole pipeline; set message.timestamp.after.max.ms, or message.timestamp.type to "
          "LogAppendTime");
    }
  }
  rd_kafka_event_destroy(event);
  forget();
  return answer;
}

}  // namespace bellwether
