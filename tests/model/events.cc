#include "tests/model/events.h"

#include <algorithm>
#include <map>

#include "bellwether/v1/event.pb.h"
#include "operators/limits.h"

namespace bellwether::model {
namespace {

namespace v1 = bellwether::v1;

void set_time(google::protobuf::Timestamp* out, int64_t us) {
  const int64_t seconds = floor_div(us, kSecondUs);
  out->set_seconds(seconds);
  out->set_nanos(static_cast<int32_t>((us - seconds * kSecondUs) * 1000));
}

class Maker {
 public:
  explicit Maker(const StreamOptions& options) : o_(options), dice_(options.seed * 0x51ed2701 + 7) {
    for (int i = 0; i < o_.users; ++i) users_.push_back("u" + std::to_string(i));
    for (int i = 0; i < o_.posts; ++i) {
      Post p;
      p.id = "p" + std::to_string(i);
      p.author = dice_.of(users_);
      p.kind = static_cast<PostKind>(dice_.between(1, 6));
      if (i > 0 && dice_.chance(50)) p.parent = static_cast<int>(dice_.below(i));
      posts_.push_back(p);
    }
  }

  std::vector<Event> run() {
    // Most posts are published at some time; of some it is heard late, of some never.
    for (size_t i = 0; i < posts_.size(); ++i)
      if (dice_.chance(85)) add(post_event(i, PostAction::kPublished, any_time() / (dice_.chance(60) ? 8 : 1)));
    while (static_cast<int>(made_.size()) < o_.events) add(any());
    std::stable_sort(made_.begin(), made_.end(), [](const Made& a, const Made& b) { return a.arrives < b.arrives; });
    std::vector<Event> out;
    for (Made& m : made_) out.push_back(std::move(m.event));
    return out;
  }

 private:
  struct Post {
    std::string id, author;
    PostKind kind;
    int parent = -1;
  };
  struct Made {
    Event event;
    int64_t arrives;
  };

  // Microseconds after the stream's start; the edges of days and slots more often than chance would have them.
  int64_t any_time() {
    int64_t t = dice_.below(o_.days * kDayUs);
    if (dice_.chance(8)) t = t / kDayUs * kDayUs + dice_.between(-1, 1);
    if (dice_.chance(8)) t = t / kSlotUs * kSlotUs + dice_.between(-1, 1);
    // Some hours are crowded, so that ticks hold several events of one user.
    if (dice_.chance(15)) t = t / (5 * kDayUs) * (5 * kDayUs) + dice_.below(20) * 100'000;
    return std::max<int64_t>(0, t);
  }
  // A time that stands in a telling distance to an earlier event's.
  int64_t near(int64_t t) {
    static const std::vector<int64_t> steps = {0,       1,      kSlotUs - 1, kSlotUs,     kSecondUs,    kMinuteUs,
                                               kHourUs, kDayUs, 7 * kDayUs,  30 * kDayUs, 180 * kDayUs, 181 * kDayUs};
    int64_t d = dice_.of(steps);
    if (dice_.chance(30)) d += dice_.between(-1, 1);
    if (dice_.chance(20)) d = dice_.below(o_.days * kDayUs);
    if (dice_.chance(20)) d = -d;
    return std::clamp<int64_t>(t + d, 0, (o_.days + 1) * kDayUs);
  }

  void add(Event event) {
    int64_t arrives = event.time_us;
    if (o_.disorder) {
      const int64_t how = dice_.below(100);
      if (how < 12)
        arrives += dice_.below(kSecondUs);
      else if (how < 16)
        arrives += dice_.below(kDayUs);
      else if (how < 19)
        arrives += dice_.below(60 * kDayUs);
      else if (how < 20 && o_.broken)
        arrives += 170 * kDayUs + dice_.below(30 * kDayUs);
    }
    event.time_us += kFirstDay * kDayUs;
    made_.push_back({std::move(event), arrives});
  }
  std::string new_id() { return "e" + std::to_string(next_id_++); }
  template <class T>
  const T& one_of_first(const std::vector<T>& all, int64_t n) {
    return all[static_cast<size_t>(dice_.below(std::min(n, static_cast<int64_t>(all.size()))))];
  }
  // The last event of a kind that was made, some steps back; null if none.
  const Event* earlier(What what) {
    if (made_.empty()) return nullptr;
    for (int tries = 0; tries < 20; ++tries) {
      const Event& e = dice_.of(made_).event;
      if (e.what == what) return &e;
    }
    return nullptr;
  }

  Event any() {
    const int64_t how = dice_.below(100);
    if (how < 50) return like();
    if (how < 70) return post_event(static_cast<size_t>(dice_.below(o_.posts)), any_action(), any_time());
    if (how < 78) return referral();
    if (how < 87) return beta();
    if (how < 94) return account();
    if (how < 95) return rating();
    if (how < 96 && o_.broken) {
      Event e;
      e.time_us = any_time();
      return e;
    }
    return again();
  }

  Event like() {
    Event e;
    e.what = What::kLike, e.id = new_id();
    if (const Event* of = dice_.chance(35) ? earlier(What::kLike) : nullptr) {
      e = *of, e.id = new_id();
      e.time_us = near(of->time_us - kFirstDay * kDayUs);
      e.undo = dice_.chance(50);
      if (dice_.chance(10)) e.author = dice_.of(users_);
      return e;
    }
    // A few like a lot, so that pairs repeat.
    e.user = dice_.chance(50) ? one_of_first(users_, 6) : dice_.of(users_);
    const Post& p = dice_.chance(50) ? one_of_first(posts_, 10) : dice_.of(posts_);
    e.time_us = any_time();
    const int64_t how = dice_.below(100);
    e.like = how < 62   ? LikeKind::kLike
             : how < 74 ? LikeKind::kShare
             : how < 84 ? LikeKind::kFollow
             : how < 90 ? LikeKind::kDislike
                        : LikeKind::kView;
    e.author = dice_.chance(96) ? p.author : dice_.of(users_);
    if (e.like != LikeKind::kFollow) {
      e.post = p.id;
      if (dice_.chance(30)) e.post_kind = dice_.chance(90) ? p.kind : static_cast<PostKind>(dice_.between(1, 6));
    }
    e.undo = dice_.chance(6);
    return e;
  }

  PostAction any_action() {
    static const std::vector<PostAction> actions = {
        PostAction::kPublished, PostAction::kPublished, PostAction::kEdited,   PostAction::kRemoved,
        PostAction::kAccepted,  PostAction::kAccepted,  PostAction::kFeatured, PostAction::kPlanned,
        PostAction::kAnswered,  PostAction::kAdopted,   PostAction::kAdopted,  PostAction::kDeclined,
        PostAction::kReverted,  PostAction::kUnaccepted};
    return dice_.of(actions);
  }
  Event post_event(size_t index, PostAction action, int64_t time_us) {
    const Post& p = posts_[index];
    Event e;
    e.what = What::kPost, e.id = new_id(), e.time_us = time_us, e.action = action, e.post = p.id;
    const bool own = action == PostAction::kPublished ? dice_.chance(90) : dice_.chance(20);
    e.user = own ? p.author : dice_.of(users_);
    if (!own || dice_.chance(30)) e.author = dice_.chance(85) ? p.author : "";
    if (action == PostAction::kPublished || dice_.chance(30)) e.post_kind = p.kind;
    // One post in ten was put in the wrong place first.
    if (index % 10 == 3 && dice_.chance(50)) e.post_kind = PostKind::kAnswer;
    if (action == PostAction::kPublished && p.parent >= 0) {
      const Post& parent = posts_[static_cast<size_t>(p.parent)];
      if (dice_.chance(85)) e.parent = parent.id;
      if (dice_.chance(60)) e.parent_author = dice_.chance(95) ? parent.author : dice_.of(users_);
    }
    return e;
  }

  Event referral() {
    Event e;
    e.what = What::kReferral, e.id = new_id(), e.time_us = any_time();
    const int64_t number = dice_.below(25);
    e.referral = "r" + std::to_string(number);
    e.referrer = dice_.chance(95) ? users_[static_cast<size_t>(number * 7 % o_.users)] : dice_.of(users_);
    const std::string referred =
        number % 9 == 0 ? e.referrer : users_[static_cast<size_t>((number * 11 + 3) % o_.users)];
    e.stage = static_cast<ReferralStage>(dice_.between(1, 7));
    const bool joined = e.stage >= ReferralStage::kJoined && e.stage <= ReferralStage::kProfitable;
    e.user = joined ? referred : e.referrer;
    if (joined ? dice_.chance(85) : dice_.chance(30)) e.referred = referred;
    return e;
  }

  Event beta() {
    Event e;
    e.what = What::kBeta, e.id = new_id(), e.time_us = any_time();
    e.program = "b" + std::to_string(dice_.below(2));
    e.beta = static_cast<BetaTestKind>(dice_.between(1, 4));
    e.status = static_cast<BetaTestStatus>(dice_.between(0, 5));
    if (dice_.chance(50)) e.severity = static_cast<uint32_t>(dice_.between(1, 5));
    const int64_t number = dice_.below(20);
    const std::string& tester = users_[static_cast<size_t>(number * 3 % o_.users)];
    if (dice_.chance(75)) {
      e.report = "t" + std::to_string(number);
      e.beta = number % 2 == 0 ? BetaTestKind::kBug : dice_.chance(80) ? BetaTestKind::kSuggestion : e.beta;
    }
    const bool own = e.status <= BetaTestStatus::kSubmitted ? dice_.chance(80) : dice_.chance(10);
    e.user = own ? tester : dice_.of(users_);
    if (!own && dice_.chance(80)) e.tester = tester;
    return e;
  }

  Event account() {
    Event e;
    e.what = What::kAccount, e.id = new_id(), e.time_us = any_time();
    e.user = one_of_first(users_, 12);
    static const std::vector<AccountAction> actions = {
        AccountAction::kRegistered, AccountAction::kFollowers, AccountAction::kCertified,
        AccountAction::kCertified,  AccountAction::kCertified, AccountAction::kExamPassed,
        AccountAction::kExamPassed, AccountAction::kRole,      AccountAction::kClosed};
    e.account = dice_.of(actions);
    e.name = "n" + std::to_string(dice_.below(3));
    e.revoked = dice_.chance(20);
    if (dice_.chance(60)) e.expires_us = kFirstDay * kDayUs + near(e.time_us);
    return e;
  }

  Event rating() {
    Event e;
    e.what = What::kRating, e.id = new_id(), e.time_us = any_time();
    e.user = dice_.of(users_), e.subject = dice_.of(users_);
    return e;
  }

  // The same id once more: the same event, or another body of the same home.
  Event again() {
    static const std::vector<What> kinds = {What::kLike,     What::kLike, What::kPost,
                                            What::kReferral, What::kBeta, What::kAccount};
    const Event* of = earlier(dice_.of(kinds));
    if (of == nullptr) return like();
    Event e = *of;
    e.time_us -= kFirstDay * kDayUs;
    if (dice_.chance(70)) e.time_us = near(e.time_us);
    if (dice_.chance(30))
      e.time_us = std::clamp<int64_t>(e.time_us + 7 * kDayUs + dice_.between(-1, 1), 0, o_.days * kDayUs);
    if (e.what == What::kLike && dice_.chance(40)) {
      const Post& p = dice_.of(posts_);
      if (e.like != LikeKind::kFollow) e.post = p.id;
      e.author = p.author;
    }
    if (e.what == What::kPost && dice_.chance(40)) e.action = any_action();
    if (e.what == What::kReferral && dice_.chance(40)) e.stage = static_cast<ReferralStage>(dice_.between(1, 7));
    return e;
  }

  StreamOptions o_;
  Dice dice_;
  std::vector<std::string> users_;
  std::vector<Post> posts_;
  std::vector<Made> made_;
  int next_id_ = 0;
};

}  // namespace

std::string wire(const Event& e) {
  if (e.what == What::kBroken) return "\x0a\x7f";  // a length beyond its end
  v1::Event out;
  out.set_id(e.id), out.set_user(e.user);
  set_time(out.mutable_time(), e.time_us);
  switch (e.what) {
    case What::kBroken:
      break;
    case What::kLike: {
      v1::Like& like = *out.mutable_like();
      like.set_post(e.post), like.set_author(e.author), like.set_undo(e.undo);
      like.set_kind(static_cast<v1::LikeKind>(e.like)), like.set_post_kind(static_cast<v1::PostKind>(e.post_kind));
      break;
    }
    case What::kPost: {
      v1::Post& post = *out.mutable_post();
      post.set_post(e.post), post.set_author(e.author), post.set_parent(e.parent),
          post.set_parent_author(e.parent_author);
      post.set_kind(static_cast<v1::PostKind>(e.post_kind)), post.set_action(static_cast<v1::PostAction>(e.action));
      break;
    }
    case What::kReferral: {
      v1::Referral& referral = *out.mutable_referral();
      referral.set_referral(e.referral), referral.set_referrer(e.referrer), referral.set_referred(e.referred);
      referral.set_stage(static_cast<v1::ReferralStage>(e.stage));
      break;
    }
    case What::kBeta: {
      v1::BetaTest& beta = *out.mutable_beta_test();
      beta.set_program(e.program), beta.set_report(e.report), beta.set_tester(e.tester), beta.set_severity(e.severity);
      beta.set_kind(static_cast<v1::BetaTestKind>(e.beta)), beta.set_status(static_cast<v1::BetaTestStatus>(e.status));
      break;
    }
    case What::kAccount: {
      v1::Account& account = *out.mutable_account();
      account.set_action(static_cast<v1::AccountAction>(e.account)), account.set_name(e.name),
          account.set_revoked(e.revoked);
      if (e.expires_us != 0) set_time(account.mutable_expires(), e.expires_us);
      break;
    }
    case What::kRating: {
      v1::Rating& rating = *out.mutable_judgement()->mutable_rating();
      rating.set_subject(e.subject), rating.set_capability(v1::CAPABILITY_KNOWLEDGE), rating.set_points(50);
      break;
    }
    case What::kVerdict: {
      v1::FlagVerdict& verdict = *out.mutable_judgement()->mutable_verdict();
      verdict.set_flag(e.flag), verdict.set_decision(static_cast<v1::Decision>(e.decision));
      break;
    }
  }
  return out.SerializeAsString();
}

std::string text(const Event& e) {
  v1::Event out;
  if (e.what == What::kBroken || !out.ParseFromString(wire(e))) return "(broken)";
  return out.ShortDebugString();
}

std::vector<Event> make_stream(const StreamOptions& options) { return Maker(options).run(); }

}  // namespace bellwether::model
