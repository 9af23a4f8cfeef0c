#include "pipeline/tools/plant.h"

#include <algorithm>
#include <set>

#include "pipeline/tools/event_json.h"
#include "pipeline/tools/labels.h"
#include "pipeline/tools/lines.h"
#include "pipeline/tools/plant_sample.h"
#include "pipeline/tools/progress.h"
#include "pipeline/tools/ring_spec.h"
#include "pipeline/tools/times.h"

namespace bellwether {
namespace {

constexpr int64_t kFreshUs = 7 * kDayUs;  // a ring begins on a post within a week of its birth

struct Planted {
  int64_t time_us;
  std::string id, user;
  const PlantPost* post;
  std::string ring;  // empty: camouflage
};

class Planter {
 public:
  Planter(const PlantSample& sample, uint64_t seed, uint64_t camouflage, bool any_post)
      : sample_(sample), random_(splitmix64(seed ^ 0x504c414e)), camouflage_(camouflage), any_post_(any_post) {}

  Status plant(const std::vector<RingSpec>& specs, LabelWriter& labels) {
    for (size_t r = 0; r < specs.size(); ++r)
      if (Status s = plant_one(specs[r], "ring" + std::to_string(r + 1), labels); !s.ok()) return s;
    std::stable_sort(likes_.begin(), likes_.end(),
                     [](const Planted& a, const Planted& b) { return a.time_us < b.time_us; });
    return Status::fine();
  }
  const std::vector<Planted>& likes() const { return likes_; }

 private:
  int64_t within(int64_t from_us, int64_t until_us) {
    return until_us <= from_us
               ? from_us
               : from_us + static_cast<int64_t>(random_.below(static_cast<uint64_t>(until_us - from_us)));
  }
  // Posts born in [from_us, until_us) stand together in the sample.
  std::pair<size_t, size_t> born(int64_t from_us, int64_t until_us) const {
    const auto before = [](const PlantPost& p, int64_t t) { return p.born_us < t; };
    const auto a = std::lower_bound(sample_.posts.begin(), sample_.posts.end(), from_us, before);
    const auto b = std::lower_bound(a, sample_.posts.end(), until_us, before);
    return {a - sample_.posts.begin(), b - sample_.posts.begin()};
  }

  Status plant_one(const RingSpec& spec, const std::string& name, LabelWriter& labels) {
    const int64_t length_us = sample_.last_us - sample_.first_us;
    const int64_t tempo = std::min(tempo_us(spec.tempo), length_us / 3);
    const int64_t span = std::min(span_us(spec.tempo), length_us * 85 / 100);
    // A stretch of time with enough posts: a community that sleeps for months is no place for a ring.
    int64_t first_us = 0, last_us = 0;
    std::vector<size_t> chosen;
    for (int tries = 0; tries < 200 && chosen.size() < spec.targets; ++tries) {
      first_us = within(sample_.first_us + length_us / 10, sample_.last_us - span);
      last_us = std::max(first_us + 1, first_us + span - tempo);
      const auto [from, to] = born(first_us - kFreshUs, last_us);
      chosen.clear();
      if (to - from < spec.targets) continue;
      std::set<size_t> distinct;
      while (distinct.size() < spec.targets) distinct.insert(from + random_.below(to - from));
      chosen.assign(distinct.begin(), distinct.end());
    }
    if (chosen.size() < spec.targets)
      return Status::error(name + ": no stretch of " + std::to_string(span / kDayUs) + " days has " +
                           std::to_string(spec.targets) + " posts to plant into");
    std::set<std::string> authors;
    for (const size_t i : chosen) authors.insert(sample_.posts[i].author);
    std::vector<std::string> members;
    for (uint32_t m = 0; m < spec.members; ++m) {
      members.push_back(member(name, m, authors, first_us));
      if (Status s = labels.member(name, members.back()); !s.ok()) return s;
    }
    for (const std::string& author : authors)
      if (Status s = labels.beneficiary(name, author); !s.ok()) return s;
    uint64_t number = 0;
    const auto next_id = [&] { return "plant-" + name + "-like-" + std::to_string(++number); };
    std::vector<std::set<std::string>> liked(members.size());
    for (const size_t i : chosen) {
      const PlantPost& post = sample_.posts[i];
      const int64_t start_us = within(std::max(post.born_us + 1, first_us), std::min(post.born_us + kFreshUs, last_us));
      for (size_t m = 0; m < members.size(); ++m) {
        if (!random_.chance(spec.density_ppm)) continue;
        likes_.push_back({within(start_us, start_us + tempo), next_id(), members[m], &post, name});
        liked[m].insert(post.id);
        uint64_t hiding = camouflage_ / 1'000'000 + (random_.chance(camouflage_ % 1'000'000) ? 1 : 0);
        for (; hiding > 0; --hiding) hide(members[m], liked[m], first_us, first_us + span, next_id());
      }
    }
    return Status::fine();
  }

  // A fifth are existing accounts, of people who were about when the ring began if there are enough of them.
  std::string member(const std::string& ring, uint32_t number, const std::set<std::string>& authors, int64_t begin_us) {
    if (random_.chance(200'000) && !sample_.users.empty()) {
      for (int tries = 0; tries < 2000; ++tries) {
        const PlantUser& user = sample_.users[random_.below(sample_.users.size())];
        if (tries < 1900 && (user.first_us > begin_us || user.last_us < begin_us)) continue;
        if (!authors.contains(user.name) && hijacked_.insert(user.name).second) return user.name;
      }
    }
    return "plant-" + ring + "-" + std::to_string(number + 1);
  }

  // A like of a post that others liked at about that time, or of any post that was there.
  void hide(const std::string& user, std::set<std::string>& liked, int64_t from_us, int64_t until_us, std::string id) {
    for (int tries = 0; tries < 20; ++tries) {
      const PlantPost* post = nullptr;
      int64_t time_us = 0;
      if (any_post_) {
        const auto [a, b] = born(from_us - kFreshUs, until_us);
        if (a == b) return;
        post = &sample_.posts[a + random_.below(b - a)];
        time_us = within(std::max(post->born_us + 1, from_us), std::min(post->born_us + 14 * kDayUs, until_us));
      } else {
        const auto earlier = [](const PlantLike& l, int64_t t) { return l.time_us < t; };
        const auto a = std::lower_bound(sample_.likes.begin(), sample_.likes.end(), from_us, earlier);
        const auto b = std::lower_bound(a, sample_.likes.end(), until_us, earlier);
        if (a == b) return;
        const PlantLike& like = *(a + static_cast<int64_t>(random_.below(static_cast<uint64_t>(b - a))));
        post = &like.post;
        time_us = like.time_us + static_cast<int64_t>(random_.log_uniform(30, 86'400)) * kSecondUs;
      }
      if (post->author == user || time_us > sample_.last_us || !liked.insert(post->id).second) continue;
      likes_.push_back({time_us, std::move(id), user, post, {}});
      return;
    }
  }

  const PlantSample& sample_;
  Random random_;
  uint64_t camouflage_;
  bool any_post_;
  std::set<std::string> hijacked_;
  std::vector<Planted> likes_;
};

Status write_like(const Planted& like, LineWriter& out, LabelWriter& labels, std::string& line) {
  Fact event;
  event.id = like.id, event.time_us = like.time_us, event.user.id = like.user;
  LikeFact f;
  f.post.id = like.post->id, f.author.id = like.post->author, f.kind = LikeKind::kLike;
  f.post_kind = static_cast<PostKind>(enum_value(EventEnum::kPostKind, like.post->kind));
  event.body = f;
  line.clear();
  append_event_json(event, line);
  if (Status s = out.write(line); !s.ok()) return s;
  return like.ring.empty() ? Status::fine() : labels.like(like.ring, like.id, like.time_us, like.post->id);
}

// The second pass: every line as it stands, the planted ones before the first that is later.
Status merge(const PlantOptions& options, const std::vector<Planted>& likes, LabelWriter& labels) {
  LineReader in;
  if (Status s = in.open(options.events); !s.ok()) return s;
  LineWriter out;
  if (Status s = out.open(options.out); !s.ok()) return s;
  ProgressBar progress("planting", in.stream().raw_total());
  EventTimeReader times;
  std::string_view line;
  std::string own;
  size_t next = 0;
  for (;;) {
    const LineReader::Got got = in.next(line);
    if (got == LineReader::Got::kEnd) break;
    if (got == LineReader::Got::kError) return in.status();
    if (got == LineReader::Got::kTooLong)
      return Status::error(options.events + ":" + std::to_string(in.line_number()) + ": line longer than 1 MiB");
    progress.update(in.stream().raw_bytes(), in.line_number());
    int64_t time_us = 0;
    if (next < likes.size() && times.time_of(line, time_us))
      for (; next < likes.size() && likes[next].time_us < time_us; ++next)
        if (Status s = write_like(likes[next], out, labels, own); !s.ok()) return s;
    if (Status s = out.write(line); !s.ok()) return s;
  }
  for (; next < likes.size(); ++next)
    if (Status s = write_like(likes[next], out, labels, own); !s.ok()) return s;
  return out.finish();
}

}  // namespace

int run_plant(const PlantOptions& options, std::ostream& err) {
  const auto bad = [&](const std::string& what, int code) { return err << "plant: " << what << "\n", code; };
  std::vector<RingSpec> rings;
  uint64_t camouflage = 0;
  if (options.events == "-") return bad("the events are read twice and cannot come from standard input", 2);
  if (options.out == options.events) return bad("--out would overwrite the events that are read", 2);
  if (Status s = parse_rings(options.rings, rings); !s.ok()) return bad(s.message, 2);
  if (rings.empty()) return bad("no --ring given", 2);
  if (!parse_millionths(options.camouflage, 100, camouflage)) return bad("--camouflage must be 0 to 100", 2);
  PlantSample sample(options.seed);
  if (Status s = sample.read(options.events, err); !s.ok()) return bad(s.message, 1);
  LabelWriter labels;
  if (Status s = labels.open(options.labels); !s.ok()) return bad(s.message, 1);
  Planter planter(sample, options.seed, camouflage, options.camouflage_random);
  if (Status s = planter.plant(rings, labels); !s.ok()) return bad(s.message, 1);
  if (Status s = merge(options, planter.likes(), labels); !s.ok()) return bad(s.message, 1);
  if (Status s = labels.finish(); !s.ok()) return bad(s.message, 1);
  err << sample.events << " events, " << planter.likes().size() << " likes planted in " << rings.size() << " rings\n";
  if (sample.others > 0) err << sample.others << " lines that are no events passed through\n";
  return 0;
}

}  // namespace bellwether
