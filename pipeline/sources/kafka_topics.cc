#include "pipeline/sources/kafka_topics.h"

namespace bellwether {

void KafkaTopicTimes::ask(const std::vector<std::string>& topics, int timeout_ms) {
  question_ = topics.empty() ? KafkaQuestion{} : client_.ask_settings(topics, timeout_ms);
}

std::optional<KafkaTopicTimes::Answer> KafkaTopicTimes::take(int wait_ms) {
  if (!question_) return std::nullopt;
  const std::optional<KafkaAnswer> told = question_.take(wait_ms);
  if (!told) return std::nullopt;
  question_ = {};
  Answer answer;
  for (const KafkaAnswer::Topic& topic : told->topics) {
    if (!topic.error.empty()) continue;
    const auto setting = [&](const char* name) {
      const auto at = topic.settings.find(name);
      return at == topic.settings.end() ? std::string() : at->second;
    };
    const bool append_time = setting("message.timestamp.type") == "LogAppendTime";
    answer.append_time[topic.name] = append_time;
    // Brokers before 3.6 have one bound for past and future; "no bound" is the largest number.
    const std::string bound =
        setting(topic.settings.contains("message.timestamp.after.max.ms") ? "message.timestamp.after.max.ms"
                                                                          : "message.timestamp.difference.max.ms");
    const bool bounded = !bound.empty() && bound.size() < 15;
    if (!append_time && !bounded) {
      answer.warnings.push_back(
          "topic " + topic.name +
          " carries its producers' times without a bound: a producer may push its clock ahead and with it the "
          "time of the whole pipeline; set message.timestamp.after.max.ms, or message.timestamp.type to "
          "LogAppendTime");
    }
  }
  return answer;
}

}  // namespace bellwether
