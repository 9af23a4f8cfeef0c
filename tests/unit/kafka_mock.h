// A test over librdkafka's own mock brokers, with a topic "in" of two partitions.
#pragma once

#include <gtest/gtest.h>
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#include "config/config.h"

namespace bellwether {

class KafkaMockTest : public ::testing::Test {
 protected:
  void SetUp() override {
#ifdef __SANITIZE_THREAD__
    // librdkafka starts its threads by C11's thrd_create, which the sanitizer does not know: they crash in it.
    GTEST_SKIP() << "librdkafka's threads do not run under ThreadSanitizer";
#endif
    char text[256];
    host_ = rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(), text, sizeof text);
    mock_ = rd_kafka_mock_cluster_new(host_, 1);
    ASSERT_NE(mock_, nullptr);
    ASSERT_EQ(rd_kafka_mock_topic_create(mock_, "in", 2, 1), RD_KAFKA_RESP_ERR_NO_ERROR);
    config_.brokers = rd_kafka_mock_cluster_bootstraps(mock_);
  }
  void TearDown() override {
    if (host_ == nullptr) return;
    rd_kafka_mock_cluster_destroy(mock_);
    rd_kafka_destroy(host_);
  }

  rd_kafka_t* host_ = nullptr;
  rd_kafka_mock_cluster_t* mock_ = nullptr;
  KafkaConfig config_;
};

}  // namespace bellwether
