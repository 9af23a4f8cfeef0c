#include "pipeline/tools/plant_sample.h"

#include <simdjson.h>

#include <algorithm>
#include <queue>

#include "pipeline/tools/lines.h"
#include "pipeline/tools/progress.h"
#include "pipeline/tools/times.h"

namespace bellwether {
namespace {

constexpr size_t kPosts = 65'536, kUsers = 16'384, kLikes = 131'072;

uint64_t hash_of(std::string_view text, uint64_t seed) {
  uint64_t h = splitmix64(seed);
  for (const char c : text) h = (h ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return splitmix64(h);
}

std::string_view text_of(const simdjson::dom::object& object, const char* snake, const char* camel) {
  std::string_view text;
  if (object[camel].get(text) == simdjson::SUCCESS || object[snake].get(text) == simdjson::SUCCESS) return text;
  return {};
}

bool event_time(const simdjson::dom::object& event, int64_t& time_us) {
  std::string_view text;
  return event["time"].get(text) == simdjson::SUCCESS && parse_time(text, time_us);
}

}  // namespace

template <typename Value>
class PlantSample::Lowest {
 public:
  Lowest(size_t size, uint64_t seed) : size_(size), seed_(seed) {}
  // The value of an id that is in the sample; null for one that is not and no longer can be.
  Value* at(std::string_view id) {
    const uint64_t h = hash_of(id, seed_);
    if (values_.size() >= size_ && h > hashes_.top()) return nullptr;
    const auto [found, made] = values_.try_emplace(h);
    if (made) {
      hashes_.push(h);
      if (values_.size() > size_) {
        values_.erase(hashes_.top());
        const bool itself = hashes_.top() == h;
        hashes_.pop();
        if (itself) return nullptr;
      }
    }
    return &values_.find(h)->second;
  }
  std::unordered_map<uint64_t, Value>& values() { return values_; }

 private:
  size_t size_;
  uint64_t seed_;
  std::unordered_map<uint64_t, Value> values_;
  std::priority_queue<uint64_t> hashes_;
};

Status PlantSample::read(const std::string& path, std::ostream& err) {
  Lowest<PlantPost> lowest_posts(kPosts, seed_ ^ 1);
  Lowest<PlantUser> lowest_users(kUsers, seed_ ^ 2);
  LineReader in;
  if (Status s = in.open(path); !s.ok()) return s;
  ProgressBar progress("sampling " + path, in.stream().raw_total());
  simdjson::dom::parser parser;
  std::string_view line;
  uint64_t likes_seen = 0;
  bool in_order = true;
  for (;;) {
    const LineReader::Got got = in.next(line);
    if (got == LineReader::Got::kEnd) break;
    if (got == LineReader::Got::kError) return in.status();
    simdjson::dom::object event, body;
    int64_t time_us = 0;
    if (got == LineReader::Got::kTooLong || parser.parse(line.data(), line.size()).get(event) != simdjson::SUCCESS ||
        !event_time(event, time_us)) {
      ++others;
      continue;
    }
    if (events++ == 0) first_us = last_us = time_us;
    if (time_us < last_us && in_order) {
      err << "warning: " << path << ":" << in.line_number() << " is not in time order\n";
      in_order = false;
    }
    first_us = std::min(first_us, time_us), last_us = std::max(last_us, time_us);
    progress.update(in.stream().raw_bytes(), events);
    const std::string_view user = text_of(event, "user", "user");
    const bool is_like = event["like"].get(body) == simdjson::SUCCESS;
    if (!is_like) {
      if (event["post"].get(body) != simdjson::SUCCESS) continue;
      if (text_of(body, "action", "action") != "POST_ACTION_PUBLISHED") continue;
    }
    const std::string_view id = text_of(body, "post", "post");
    std::string_view author = text_of(body, "author", "author");
    if (!is_like && author.empty()) author = user;
    if (id.empty() || author.empty() || user.empty()) continue;
    const std::string_view kind = is_like ? text_of(body, "post_kind", "postKind") : text_of(body, "kind", "kind");
    if (PlantPost* post = lowest_posts.at(id); post != nullptr && post->id.empty())
      *post = {std::string(id), std::string(author), std::string(kind), time_us};
    if (!is_like || text_of(body, "kind", "kind") != "LIKE_KIND_LIKE") continue;
    if (PlantUser* liker = lowest_users.at(user); liker != nullptr) {
      if (liker->likes++ == 0) liker->name = user, liker->first_us = liker->last_us = time_us;
      liker->first_us = std::min(liker->first_us, time_us), liker->last_us = std::max(liker->last_us, time_us);
    }
    const uint64_t slot = likes_seen++ < kLikes ? likes.size() : random_.below(likes_seen);
    if (slot >= kLikes) continue;
    if (slot == likes.size()) likes.emplace_back();
    likes[slot] = {time_us, {std::string(id), std::string(author), std::string(kind), 0}};
  }
  for (auto& [hash, post] : lowest_posts.values()) posts.push_back(std::move(post));
  for (auto& [hash, liker] : lowest_users.values())
    if (liker.likes >= 3) users.push_back(std::move(liker));
  std::sort(posts.begin(), posts.end(), [](const PlantPost& a, const PlantPost& b) {
    return a.born_us != b.born_us ? a.born_us < b.born_us : a.id < b.id;
  });
  std::sort(users.begin(), users.end(), [](const PlantUser& a, const PlantUser& b) { return a.name < b.name; });
  std::stable_sort(likes.begin(), likes.end(),
                   [](const PlantLike& a, const PlantLike& b) { return a.time_us < b.time_us; });
  return Status::fine();
}

struct EventTimeReader::State {
  simdjson::dom::parser parser;
};

EventTimeReader::EventTimeReader() : state_(std::make_unique<State>()) {}
EventTimeReader::~EventTimeReader() = default;

bool EventTimeReader::time_of(std::string_view line, int64_t& time_us) {
  simdjson::dom::object event;
  return state_->parser.parse(line.data(), line.size()).get(event) == simdjson::SUCCESS && event_time(event, time_us);
}

}  // namespace bellwether
