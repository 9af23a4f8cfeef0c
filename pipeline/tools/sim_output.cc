#include "pipeline/tools/sim_output.h"

#include <numeric>

#include "pipeline/tools/event_json.h"

namespace bellwether {

void SimOutput::total_users(uint64_t total) {
  total_ = total;
  step_ = total * 618 / 1000 | 1;
  while (std::gcd(step_, total_) != 1) ++step_;
  shift_ = splitmix64(seed_) % total_;
}

std::string SimOutput::user_name(uint32_t user) const {
  return "u" + std::to_string((user * step_ + shift_) % total_ + 1);
}

void SimOutput::write(int64_t time_us, uint32_t user, const Body& body, bool with_origin) {
  if (!status_.ok()) return;
  ++events_;
  id_ = last_event_name();
  const std::string name = user_name(user);
  std::string device;
  Fact event;
  event.time_us = time_us, event.id = id_, event.user.id = name, event.body = body;
  if (with_origin) {
    const uint64_t h = splitmix64(seed_ ^ splitmix64(community_.user(user).own_device));
    device = "d" + std::to_string(h % 1'000'000'007);
    event.device = device, event.channel = h >> 60 < 11 ? "app" : "web";
  }
  line_.clear();
  append_event_json(event, line_);
  status_ = out_.write(line_);
}

void SimOutput::like(int64_t time_us, uint32_t user, uint64_t post, uint32_t author, PostKind post_kind, LikeKind kind,
                     bool undo) {
  const std::string post_id = post_name(post), author_id = user_name(author);
  LikeFact f;
  f.post.id = post_id, f.author.id = author_id, f.kind = kind, f.undo = undo, f.post_kind = post_kind;
  if (kind == LikeKind::kLike && !undo) ++likes_;
  write(time_us, user, f, false);
}

void SimOutput::follow(int64_t time_us, uint32_t user, uint32_t author) {
  const std::string author_id = user_name(author);
  LikeFact f;
  f.author.id = author_id, f.kind = LikeKind::kFollow;
  write(time_us, user, f, false);
}

void SimOutput::publish(uint64_t number, uint32_t parent_author, uint32_t length, int32_t sentiment) {
  const SimPost& post = *community_.post(number);
  const std::string id = post_name(number), topic = SimCommunity::topic_name(post.topic);
  std::string parent, author;
  PostFact f;
  f.post.id = id, f.kind = post.kind, f.action = PostAction::kPublished;
  if (post.parent != kNoPost) parent = post_name(post.parent);
  if (parent_author != kNoUser) author = user_name(parent_author);
  f.parent.id = parent, f.parent_author.id = author;
  f.topics[0] = topic, f.topic_count = 1;
  f.length = length, f.sentiment = sentiment;
  write(post.time_us, post.author, f, true);
}

void SimOutput::judge(int64_t time_us, uint32_t user, uint64_t post, uint32_t author, PostKind kind,
                      PostAction action) {
  const std::string id = post_name(post), author_id = user_name(author);
  PostFact f;
  f.post.id = id, f.kind = kind, f.action = action, f.author.id = author_id;
  write(time_us, user, f, false);
}

void SimOutput::account(int64_t time_us, uint32_t user, AccountAction action, const std::string& name) {
  AccountFact f;
  f.action = action, f.name = name;
  write(time_us, user, f, true);
}

void SimOutput::referral(int64_t time_us, uint32_t user, uint64_t referral, uint32_t referrer, uint32_t referred,
                         ReferralStage stage, int64_t amount_micros) {
  const std::string id = "r" + std::to_string(referral), referrer_id = user_name(referrer);
  std::string referred_id;
  if (referred != kNoUser) referred_id = user_name(referred);
  ReferralFact f;
  f.referral.id = id, f.referrer.id = referrer_id, f.referred.id = referred_id, f.stage = stage,
  f.amount_micros = amount_micros;
  write(time_us, user, f, true);
}

void SimOutput::beta(int64_t time_us, uint32_t user, const Beta& beta) {
  const std::string program = "beta" + std::to_string(beta.program), report = "b" + std::to_string(beta.report);
  std::string tester;
  BetaTestFact f;
  f.program = program, f.kind = beta.kind, f.status = beta.status;
  if (beta.report != 0) f.report.id = report;
  if (beta.tester != kNoUser) tester = user_name(beta.tester), f.tester.id = tester;
  f.severity = beta.severity, f.minutes = beta.minutes, f.reproducible = beta.reproducible, f.prompt = beta.prompt;
  write(time_us, user, f, true);
}

}  // namespace bellwether
