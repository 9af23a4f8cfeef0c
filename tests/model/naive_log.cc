#include "tests/model/naive_log.h"

#include <xxhash.h>

#include <algorithm>
#include <tuple>

namespace bellwether::model {
namespace {

// EVENTS.md, "Duplicates". A letter for the kind of key, and its id.
std::string home_of(const Event& e) {
  switch (e.what) {
    case What::kLike:
    case What::kAccount:
      return "u" + e.user;
    case What::kRating:
      return "u" + e.subject;
    case What::kPost:
      return "p" + e.post;
    case What::kReferral:
      return "r" + e.referral;
    case What::kVerdict:
      return "f" + e.flag;
    case What::kBeta:
      if (!e.report.empty()) return "b" + e.report;
      return "t" + e.program + "\n" + (e.tester.empty() ? e.user : e.tester);
    case What::kBroken:
      break;
  }
  return "";
}

uint64_t content_of(const Event& e) {
  const std::string bytes = wire(e);
  return XXH3_64bits(bytes.data(), bytes.size());
}

bool stands_once(PostAction a) { return a != PostAction::kEdited; }

}  // namespace

Decided::Decided(const std::vector<Event>& events, const World& world)
    : world_(world),
      hasher_(world.community.hash_key),
      window_slots_(world.community.window_days * (kDayUs / kSlotUs)) {
  place(events);
  for (const Event& e : events)
    for (const std::string& name : {e.user, e.author, e.parent_author, e.referrer, e.referred, e.tester, e.subject})
      if (!name.empty()) names.insert(name);
  for (auto& [home, facts] : homes_) {
    // Within a tick by time, hash of the id, id; then by nothing but the log.
    std::stable_sort(facts.begin(), facts.end(), [](const Fact& a, const Fact& b) {
      return std::tie(a.slot, a.time_us, a.id_hash, a.event->id, a.late, a.content) <
             std::tie(b.slot, b.time_us, b.id_hash, b.event->id, b.late, b.content);
    });
    const std::string id = home.substr(1);
    switch (home[0]) {
      case 'u':
        people(id, facts);
        break;
      case 'p':
        post(id, facts);
        break;
      case 'r':
        referral(facts);
        break;
      case 'b':
        report(true, facts);
        break;
      case 't':
        report(false, facts);
        break;
      default:
        break;
    }
  }
  for (auto& [id, all] : said_)
    std::stable_sort(all.begin(), all.end(), [](const Said& a, const Said& b) {
      return std::tie(a.slot, a.round, a.time_us, a.id_hash) < std::tie(b.slot, b.round, b.time_us, b.id_hash);
    });
  for (const auto& [home, facts] : homes_)
    if (home[0] == 'p') post_credits(home.substr(1), facts);
}

// DESIGN.md, "Time", for one partition without floors.
void Decided::place(const std::vector<Event>& events) {
  fates.assign(events.size(), Fate::kDead);
  int64_t newest = INT64_MIN;
  for (size_t i = 0; i < events.size(); ++i) {
    const Event& e = events[i];
    if (e.what == What::kBroken) continue;
    if (e.time_us > world_.append_us && e.time_us - world_.append_us > world_.skew_us) continue;
    Fact f;
    f.event = &e, f.record = i, f.time_us = std::min(e.time_us, world_.append_us);
    f.slot = slot_of(f.time_us);
    if (newest != INT64_MIN && slot_of(newest - world_.lateness_us) > f.slot) {
      f.slot = slot_of(newest - world_.lateness_us), f.late = true;
      if ((day_of(f.time_us) + 1 + world_.community.window_days) * kDayUs < f.slot * kSlotUs) continue;
    }
    newest = std::max(newest, f.time_us);
    f.id_hash = hasher_(KeyKind::kEvent, e.id), f.content = content_of(e);
    homes_[home_of(e)].push_back(f);
  }
}

// The same id again at the same home within 7 days, whatever the body.
bool Decided::same_id_before(const Facts& facts, size_t i) const {
  for (size_t k = 0; k < i; ++k)
    if (!facts[k].same_id && facts[k].event->id == facts[i].event->id &&
        facts[i].slot - facts[k].slot <= kSeenUs / kSlotUs)
      return true;
  return false;
}

void Decided::settle(Fact& fact, bool duplicate) {
  fact.applied = !duplicate;
  fates[fact.record] = duplicate ? Fate::kDuplicate : fact.late ? Fate::kLate : Fate::kApplied;
}

int64_t Decided::own_hours(const std::string& user) const {
  const auto [it, fresh] = hours_.try_emplace(user, 0);
  if (fresh) it->second = static_cast<int64_t>(hasher_(KeyKind::kUser, user) % static_cast<uint64_t>(kDayUs));
  return it->second;
}
int64_t Decided::leaves_us(int64_t day, const std::string& user) const {
  return (day + 1 + world_.community.window_days) * kDayUs + own_hours(user);
}
int64_t Decided::leaves_slot(int64_t day, const std::string& user) const {
  return floor_div(leaves_us(day, user) + kSlotUs - 1, kSlotUs);
}

void Decided::people(const std::string& user, Facts& facts) {
  std::vector<Like> mine, undoes;
  for (size_t i = 0; i < facts.size(); ++i) {
    Fact& f = facts[i];
    const Event& e = *f.event;
    f.same_id = same_id_before(facts, i);
    bool duplicate = f.same_id;
    if (!duplicate && e.what == What::kLike) duplicate = !like(user, f, mine, undoes);
    settle(f, duplicate);
    if (duplicate) continue;
    if (e.what == What::kAccount && (e.account == AccountAction::kCertified ||
                                     e.account == AccountAction::kExamPassed || e.account == AccountAction::kRole))
      gates.push_back({user, e.name, e.account, f.time_us, f.slot, e.expires_us, e.revoked, gates.size()});
    if (e.user != user) continue;  // what staff says of them
    bool first_of_day = true;
    for (size_t k = 0; k < i; ++k)
      if (facts[k].applied && facts[k].event->user == user && day_of(facts[k].time_us) == day_of(f.time_us))
        first_of_day = false;
    if (first_of_day) acts.push_back({user, f.time_us, f.slot});
  }
  likes.insert(likes.end(), mine.begin(), mine.end());
}

// A like or an undo at its liker's home; false: a duplicate by meaning.
bool Decided::like(const std::string& user, const Fact& f, std::vector<Like>& mine, std::vector<Like>& undoes) {
  const Event& e = *f.event;
  Like l;
  l.liker = user, l.author = e.author, l.post = e.post, l.kind = e.like, l.said_kind = e.post_kind;
  l.time_us = f.time_us, l.slot = f.slot, l.id_hash = f.id_hash, l.rank = mine.size();
  const int64_t now = f.slot * kSlotUs;
  const auto same = [&](const Like& o) {
    return o.kind == l.kind && o.target() == l.target() && !left(o.day(), user, now);
  };
  Like *standing = nullptr, *waiting = nullptr;
  for (Like& o : mine)
    if (same(o) && !o.voided && o.taken_slot == kNever) standing = &o;
  for (Like& u : undoes)
    if (same(u) && u.taken_slot == kNever && (e.undo || u.time_us >= l.time_us)) waiting = &u;
  if (e.undo) {
    if (standing != nullptr)
      standing->taken_slot = f.slot;
    else if (waiting != nullptr)
      return false;
    else
      undoes.push_back(l);
    return true;
  }
  if (standing != nullptr) return false;
  if (waiting != nullptr) waiting->taken_slot = f.slot, l.voided = true;
  mine.push_back(l);
  if (l.kind != LikeKind::kFollow && l.author != user)
    said_[l.post].push_back({l.slot, 1, l.time_us, l.id_hash, l.author});
  return true;
}

PostKind Decided::kind_of(const Like& like) const {
  if (like.said_kind != PostKind::kUnspecified) return like.said_kind;
  PostKind kind = PostKind::kUnspecified;
  if (const auto it = kinds_.find(like.post); it != kinds_.end())
    for (const auto& [slot, k] : it->second)
      if (slot <= like.slot) kind = k;
  return kind;
}

// What became of a post's events, and what they say of its author, its kind and its parent.
void Decided::post(const std::string& id, Facts& facts) {
  auto& kinds = kinds_[id];
  bool published = false;
  for (size_t i = 0; i < facts.size(); ++i) {
    Fact& f = facts[i];
    const Event& e = *f.event;
    f.same_id = same_id_before(facts, i);
    bool duplicate = f.same_id;
    for (size_t k = i; k-- > 0 && !duplicate && stands_once(e.action);) {
      if (!facts[k].applied) continue;
      const PostAction before = facts[k].event->action;
      // What takes it back came between.
      if (before == PostAction::kRemoved && e.action != PostAction::kRemoved) break;
      if (before == PostAction::kPublished && e.action == PostAction::kRemoved) break;
      if (before == PostAction::kUnaccepted && e.action == PostAction::kAccepted) break;
      if (before == PostAction::kReverted && e.action == PostAction::kAdopted) break;
      if (e.action == PostAction::kUnaccepted || e.action == PostAction::kReverted) break;  // these do not stand
      if (before == e.action && facts[k].slot + window_slots_ >= f.slot) duplicate = true;
    }
    settle(f, duplicate);
    if (duplicate) continue;
    acts.push_back({e.user, f.time_us, f.slot});
    const std::string& author = !e.author.empty() || e.action != PostAction::kPublished ? e.author : e.user;
    if (!author.empty()) said_[id].push_back({f.slot, 0, f.time_us, f.id_hash, author});
    // Told so often that it no longer counts: four kinds are all that a post has.
    if (e.post_kind != PostKind::kUnspecified && (kinds.empty() || kinds.back().second != e.post_kind) &&
        kinds.size() < 4)
      kinds.emplace_back(f.slot, e.post_kind);
    if (e.action != PostAction::kPublished) continue;
    if (!published && !e.parent.empty() && !e.parent_author.empty())
      said_[e.parent].push_back({f.slot, 1, f.time_us, f.id_hash, e.parent_author});
    published = true;
  }
}

std::string Decided::author_of(const std::string& post, int64_t slot, int round, int64_t time_us,
                               uint64_t id_hash) const {
  const auto it = said_.find(post);
  if (it == said_.end() || !it->second.front().before(slot, round, time_us, id_hash)) return "";
  return it->second.front().author;
}

// What a post earns by itself: goes to its author, who is whoever was named first.
void Decided::post_credits(const std::string& id, const Facts& facts) {
  struct Earned {
    PostAction action;
    Credit credit;
  };
  std::vector<Earned> held;
  bool published = false;
  size_t kinds_told = 0;
  const auto& kinds = kinds_.at(id);
  PostKind kind = PostKind::kUnspecified;
  for (const Fact& f : facts) {
    if (!f.applied) continue;
    const Event& e = *f.event;
    if (kinds_told < kinds.size() && e.post_kind == kinds[kinds_told].second && f.slot == kinds[kinds_told].first)
      kind = kinds[kinds_told++].second;
    const std::string author = author_of(id, f.slot, 0, f.time_us, f.id_hash);
    const auto earn = [&](RuleId rule) {
      if (author.empty()) return;
      const Credit c{.user = author, .rule = rule, .day = day_of(f.time_us), .slot = f.slot};
      credits.push_back(c), held.push_back({e.action, c});
    };
    const auto give_back = [&](auto&& which) {
      for (size_t k = held.size(); k-- > 0;) {
        if (!which(held[k])) continue;
        Credit c = held[k].credit;
        c.count = -1, c.slot = f.slot;
        credits.push_back(c), held.erase(held.begin() + static_cast<ptrdiff_t>(k));
        if (e.action != PostAction::kRemoved) return;
      }
    };
    switch (e.action) {
      case PostAction::kPublished:
        if (kind == PostKind::kIdea) earn(RuleId::kIdeaPosted);
        // A reply is one however often it is put back.
        if (!published && !(e.parent.empty() && e.parent_author.empty())) {
          const bool by_post = !e.parent.empty();
          const std::string to = by_post ? author_of(e.parent, f.slot, 1, f.time_us, f.id_hash) : e.parent_author;
          if (!to.empty() && to != author)
            credits.push_back({.user = to,
                               .rule = RuleId::kReplyReceived,
                               .day = day_of(f.time_us),
                               .slot = f.slot,
                               .round = by_post ? 2 : 1});
        }
        published = true;
        break;
      case PostAction::kAccepted:
        earn(RuleId::kAnswerAccepted);
        break;
      case PostAction::kFeatured:
        earn(RuleId::kFeatured);
        break;
      case PostAction::kAdopted:
        earn(RuleId::kIdeaAdopted);
        break;
      case PostAction::kUnaccepted:
        give_back([](const Earned& g) { return g.action == PostAction::kAccepted; });
        break;
      case PostAction::kReverted:
        give_back([](const Earned& g) { return g.action == PostAction::kAdopted; });
        break;
      case PostAction::kRemoved:
        give_back([](const Earned&) { return true; });
        break;
      default:
        break;
    }
  }
}

void Decided::referral(Facts& facts) {
  std::string referrer, referred;
  for (size_t i = 0; i < facts.size(); ++i) {
    Fact& f = facts[i];
    const Event& e = *f.event;
    f.same_id = same_id_before(facts, i);
    bool duplicate = f.same_id;
    for (size_t k = 0; k < i; ++k)
      duplicate |= facts[k].applied && facts[k].event->stage == e.stage && facts[k].slot + window_slots_ >= f.slot;
    settle(f, duplicate);
    if (duplicate) continue;
    if (referrer.empty()) referrer = e.referrer;
    if (referred.empty()) referred = e.referred;
    acts.push_back({e.user, f.time_us, f.slot});
    RuleId rule = RuleId::kNone;
    if (e.stage == ReferralStage::kInvited) rule = RuleId::kReferralInvited;
    if (e.stage == ReferralStage::kJoined) rule = RuleId::kReferralJoined;
    if (e.stage == ReferralStage::kActivated) rule = RuleId::kReferralActivated;
    if (e.stage == ReferralStage::kConverted) rule = RuleId::kReferralConverted;
    if (e.stage == ReferralStage::kProfitable) rule = RuleId::kReferralProfitable;
    if (rule == RuleId::kNone) continue;
    const bool joins = rule != RuleId::kReferralInvited;
    if (e.referred == referrer || referred == referrer || (joins && e.user == referrer)) continue;  // of oneself
    credits.push_back({.user = referrer, .rule = rule, .day = day_of(f.time_us), .slot = f.slot});
  }
}

void Decided::report(bool named, Facts& facts) {
  const auto decides = [](BetaTestStatus s) {
    return s == BetaTestStatus::kConfirmed || s == BetaTestStatus::kFixed || s == BetaTestStatus::kAdopted;
  };
  std::string tester;
  bool filed = false;  // the tester is from a SUBMITTED
  uint32_t severity = 0;
  std::vector<Credit> given;
  for (size_t i = 0; i < facts.size(); ++i) {
    Fact& f = facts[i];
    const Event& e = *f.event;
    const bool rejects = e.status == BetaTestStatus::kRejected;
    f.same_id = same_id_before(facts, i);
    bool duplicate = f.same_id;
    for (size_t k = i; k-- > 0 && named && !duplicate;) {
      if (!facts[k].applied) continue;
      const Event& b = *facts[k].event;
      if (decides(e.status) && b.status == BetaTestStatus::kRejected) break;
      if (rejects && decides(b.status)) break;
      duplicate = b.program == e.program && b.user == e.user && b.beta == e.beta && b.status == e.status &&
                  facts[k].slot + window_slots_ >= f.slot;
    }
    settle(f, duplicate);
    if (duplicate) continue;
    const bool submits = e.status == BetaTestStatus::kSubmitted;
    if (tester.empty() || (submits && !filed)) tester = e.tester.empty() ? e.user : e.tester, filed = submits;
    if (e.severity != 0) severity = e.severity;
    if (e.user == tester) acts.push_back({e.user, f.time_us, f.slot});
    if (rejects) {
      for (Credit c : given) c.count = -1, c.slot = f.slot, credits.push_back(c);
      given.clear();
      continue;
    }
    Credit c{.user = tester, .day = day_of(f.time_us), .slot = f.slot};
    if (e.beta == BetaTestKind::kBug && e.status == BetaTestStatus::kConfirmed) {
      c.rule = RuleId::kBugConfirmed;
      c.times = std::clamp<int64_t>(named ? severity : e.severity, 1, 5);
    }
    if (e.beta == BetaTestKind::kBug && e.status == BetaTestStatus::kFixed) c.rule = RuleId::kBugFixed;
    if (e.beta == BetaTestKind::kSuggestion && e.status == BetaTestStatus::kAdopted)
      c.rule = RuleId::kSuggestionAdopted;
    if (e.beta == BetaTestKind::kSession) c.rule = RuleId::kBetaSession;
    if (c.rule == RuleId::kNone) continue;
    if (std::any_of(given.begin(), given.end(), [&](const Credit& g) { return g.rule == c.rule; })) continue;
    credits.push_back(c);
    if (named) given.push_back(c);
  }
}

bool Decided::granted_anew(const Gate& gate) const {
  return !gate.revoked && holding(gate, gate.slot, INT64_MIN).first;
}

std::pair<bool, int64_t> Decided::holding(const Gate& gate, int64_t slot, int64_t now_us) const {
  const Gate* founder = nullptr;
  int64_t expires = 0, touched = INT64_MIN;
  for (const Gate& g : gates) {
    if (g.user != gate.user || g.action != gate.action || g.name != gate.name || g.slot > slot) continue;
    if (now_us == INT64_MIN && g.rank > gate.rank) break;  // as of that gate itself
    // What ran out in an earlier tick is gone by now.
    if (founder != nullptr && expires != 0 && touched < g.slot && expires <= g.slot * kSlotUs) founder = nullptr;
    if (g.revoked) {
      founder = nullptr;
      continue;
    }
    if (founder == nullptr) founder = &g;
    expires = g.expires_us, touched = g.slot;
  }
  const bool held = founder == &gate && (now_us == INT64_MIN || expires == 0 || expires > now_us);
  return {held, expires == 0 ? kNever : expires};
}

}  // namespace bellwether::model
