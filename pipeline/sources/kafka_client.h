// What the Kafka source and sink share: clients and their settings. Names librdkafka's types without its header, which
// only kafka*.cc include.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "config/config.h"
#include "pipeline/sources/kafka_notice.h"
#include "pipeline/sources/source.h"

struct rd_kafka_s;
struct rd_kafka_conf_s;

namespace bellwether {

using KafkaHandle = std::shared_ptr<rd_kafka_s>;

// Runs `ask`, a call of librdkafka 2.0 that does not keep its own timeout (issue 4460; rd_kafka_metadata hangs for good
// where brokers drop every connection, as they do on clients without a certificate), on a thread of its own. False
// where it did not end in time; what it writes must live on. At most four such calls wait at a time, more are false at
// once.
bool ask_kafka(std::function<void()> ask, int timeout_ms);

// Lets the notice ask this client whether the brokers are back; see KafkaNotice::check.
void check_kafka(KafkaNotice& notice, const KafkaHandle& client);

// Makes a client of the configured brokers and properties. `settings` are ours and may not be configured otherwise;
// `defaults` may. librdkafka's reports go to `notice`, which the client keeps.
Status make_kafka_client(bool producer, const KafkaConfig& config,
                         const std::vector<std::pair<std::string, std::string>>& settings,
                         const std::vector<std::pair<std::string, std::string>>& defaults,
                         const std::shared_ptr<KafkaNotice>& notice, KafkaHandle& out,
                         const std::function<void(rd_kafka_conf_s*)>& prepare = {});

}  // namespace bellwether
