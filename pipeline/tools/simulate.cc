#include "pipeline/tools/simulate.h"

#include <algorithm>

#include "pipeline/tools/labels.h"
#include "pipeline/tools/progress.h"
#include "pipeline/tools/random.h"
#include "pipeline/tools/ring_spec.h"
#include "pipeline/tools/sim_agenda.h"
#include "pipeline/tools/sim_community.h"
#include "pipeline/tools/sim_output.h"
#include "pipeline/tools/sim_rings.h"
#include "pipeline/tools/times.h"

namespace bellwether {
namespace {

constexpr uint32_t kMoreActsPermille = 600;  // a session has 2.5 acts in the mean
constexpr size_t kInvitations = 4096;

// The share of each act among a thousand, of those who mostly read and of those who write.
struct Habits {
  uint32_t like, view, comment, answer, question, idea, review, article, follow, undo, beta, refer;
  constexpr uint32_t sum() const {
    return like + view + comment + answer + question + idea + review + article + follow + undo + beta + refer;
  }
};
constexpr Habits kReader{766, 60, 70, 12, 25, 10, 8, 3, 22, 6, 12, 6};
constexpr Habits kWriter{474, 25, 230, 90, 60, 35, 22, 16, 22, 6, 14, 6};
static_assert(kReader.sum() == 1000 && kWriter.sum() == 1000);

class Simulation {
 public:
  Simulation(const SimulateOptions& options, int64_t begin_us)
      : begin_us_(begin_us),
        days_(static_cast<uint32_t>(options.days)),
        end_us_(begin_us + days_ * kDayUs),
        random_(options.seed),
        community_(static_cast<uint32_t>(options.users), days_, random_),
        output_(community_, options.seed),
        rings_(community_, output_, labels_, agenda_, options.seed) {}

  Status run(const SimulateOptions& options, const std::vector<RingSpec>& rings, uint64_t camouflage,
             uint64_t likes_per_day) {
    if (Status s = output_.open(options.out); !s.ok()) return s;
    if (Status s = labels_.open(options.labels); !s.ok()) return s;
    const uint32_t people = static_cast<uint32_t>(community_.users().size());
    if (likes_per_day > 0) scale(likes_per_day);
    rings_.plant(rings, begin_us_, end_us_, camouflage);
    output_.total_users(community_.users().size());
    if (Status s = rings_.write_labels(); !s.ok()) return s;
    for (uint32_t u = 0; u < people; ++u) settle(u);
    ProgressBar progress("simulating", days_);
    for (uint32_t day = 0; day < days_; ++day) {
      if (Status s = live(day, people, progress); !s.ok()) return s;
      community_.forget_before(begin_us_ + (day + 1) * kDayUs);
      if (day % 8 == 7) liked_.turn();  // people read what is up to 7 days old
    }
    if (Status s = output_.finish(); !s.ok()) return s;
    return labels_.finish();
  }
  uint64_t events() const { return output_.events(); }
  uint64_t likes() const { return output_.likes(); }
  uint64_t accounts() { return community_.users().size(); }

 private:
  // Makes all come so much more or less often that the mean is what was asked for, as far as their likes find a post.
  void scale(uint64_t likes_millionths) {
    uint64_t expected = 0;  // likes a day of all, in millionths
    for (const SimUser& s : community_.users())
      expected +=
          static_cast<uint64_t>(s.rate_ppm) * 5 / 2 * (s.writer ? kWriter.like : kReader.like) / 1000 * 91 / 100;
    const uint64_t wanted = likes_millionths * community_.users().size();
    for (SimUser& s : community_.users())
      s.rate_ppm = static_cast<uint32_t>(std::min<unsigned __int128>(
          static_cast<unsigned __int128>(s.rate_ppm) * wanted / std::max<uint64_t>(expected, 1), 200'000'000));
  }

  // What is known of a person beforehand.
  void settle(uint32_t u) {
    const SimUser& s = community_.user(u);
    if (s.staff) output_.account(begin_us_, u, AccountAction::kRole, "staff");
    const int64_t from_us = begin_us_ + s.join_day * kDayUs;
    if (!s.joined && !s.in_ring) agenda_.add(waking_moment(s, from_us, from_us + kDayUs, random_), TaskKind::kJoin, u);
    if (s.rate_ppm > 300'000 && random_.below(10) == 0)
      agenda_.add(waking_moment(s, from_us + kDayUs, std::max(end_us_, from_us + 2 * kDayUs), random_), TaskKind::kExam,
                  u, 1 + random_.below(6));
  }

  struct Session {
    int64_t time_us;
    uint32_t user;
  };

  Status live(uint32_t day, uint32_t people, ProgressBar& progress) {
    const int64_t from_us = begin_us_ + day * kDayUs, until_us = from_us + kDayUs;
    const bool weekend =
        floor_div(from_us, kDayUs) % 7 == 2 || floor_div(from_us, kDayUs) % 7 == 3;  // 1970 began on a Thursday
    std::vector<Session> sessions;
    for (uint32_t u = 0; u < people; ++u) {
      const SimUser& s = community_.user(u);
      if (!s.joined) continue;
      const uint64_t rate = weekend ? s.rate_ppm * 8ULL / 10 : s.rate_ppm;
      uint64_t n = rate / 1'000'000 + (random_.chance(rate % 1'000'000) ? 1 : 0);
      for (; n > 0; --n) sessions.push_back({waking_moment(s, from_us, until_us, random_), u});
    }
    std::sort(sessions.begin(), sessions.end(), [](const Session& a, const Session& b) {
      return a.time_us != b.time_us ? a.time_us < b.time_us : a.user < b.user;
    });
    size_t next = 0;
    for (;;) {
      const bool session_waits = next < sessions.size();
      const bool task_waits = !agenda_.empty() && agenda_.next().time_us < until_us;
      if (!session_waits && !task_waits) break;
      if (session_waits && (!task_waits || sessions[next].time_us <= agenda_.next().time_us)) {
        const Session s = sessions[next++];
        act(s.user, s.time_us, random_.run(kMoreActsPermille, 12));
      } else {
        perform(agenda_.take());
      }
      progress.update(day, output_.events());
      if (!output_.status().ok()) return output_.status();
      if (!rings_.status().ok()) return rings_.status();
    }
    return Status::fine();
  }

  void perform(const Task& task) {
    switch (task.kind) {
      case TaskKind::kAct:
        return act(task.user, task.time_us, static_cast<uint32_t>(task.a));
      case TaskKind::kJoin:
        return join(task);
      case TaskKind::kExam:
        return output_.account(task.time_us, task.user,
                               task.a % 2 == 0 ? AccountAction::kExamPassed : AccountAction::kCertified,
                               "course-" + std::to_string(task.a));
      case TaskKind::kAccept:
        return accept(task);
      case TaskKind::kStaffPost:
        return output_.judge(task.time_us, task.user, task.a, task.b, static_cast<PostKind>(task.c >> 8),
                             static_cast<PostAction>(task.c & 255));
      case TaskKind::kReferral:
        return refer_on(task);
      case TaskKind::kStaffBeta:
        return staff_beta(task);
      case TaskKind::kRingPublish:
        return rings_.publish(task);
      case TaskKind::kRingTarget:
        return rings_.begin_target(task);
      case TaskKind::kRingLike:
        return rings_.like(task, liked_);
      case TaskKind::kCamouflage:
        return rings_.camouflage(task, liked_);
    }
  }

  void act(uint32_t u, int64_t now_us, uint32_t left) {
    const Habits& habits = community_.user(u).writer ? kWriter : kReader;
    uint64_t r = random_.below(1000);
    const auto is = [&r](uint32_t share) {
      if (r < share) return true;
      r -= share;
      return false;
    };
    if (is(habits.like))
      like(u, now_us);
    else if (is(habits.view))
      view(u, now_us);
    else if (is(habits.comment))
      comment(u, now_us);
    else if (is(habits.answer))
      answer(u, now_us);
    else if (is(habits.question))
      write(u, now_us, PostKind::kQuestion);
    else if (is(habits.idea))
      write(u, now_us, PostKind::kIdea);
    else if (is(habits.review))
      write(u, now_us, PostKind::kReview);
    else if (is(habits.article))
      write(u, now_us, PostKind::kArticle);
    else if (is(habits.follow))
      follow(u, now_us);
    else if (is(habits.undo))
      undo(u, now_us);
    else if (is(habits.beta))
      beta(u, now_us);
    else
      refer(u, now_us);
    if (left > 1) agenda_.add(now_us + random_.between(15 * kSecondUs, 200 * kSecondUs), TaskKind::kAct, u, left - 1);
  }

  // Something to react to that is not their own and that they did not react to before, or kNoPost.
  uint64_t find(uint32_t u, int64_t now_us) {
    for (int tries = 0; tries < 4; ++tries) {
      const uint64_t number = community_.look(u, now_us, random_);
      if (number == kNoPost || community_.post(number)->author == u) continue;
      if (liked_.insert(static_cast<uint64_t>(u) << 32 ^ number)) return number;
    }
    return kNoPost;
  }

  void like(uint32_t u, int64_t now_us) {
    const uint64_t number = find(u, now_us);
    if (number == kNoPost) return;
    const SimPost& post = *community_.post(number);
    const uint64_t r = random_.below(100);
    const LikeKind kind = r < 93 ? LikeKind::kLike : r < 97 ? LikeKind::kShare : LikeKind::kDislike;
    output_.like(now_us, u, number, post.author, post.kind, kind);
    if (kind != LikeKind::kLike) return;
    community_.user(u).last_like = number;
    rings_.saw_like(number);
  }

  void view(uint32_t u, int64_t now_us) {
    const uint64_t number = community_.look(u, now_us, random_);
    if (number == kNoPost || !viewed_.insert(static_cast<uint64_t>(u) << 32 ^ number)) return;
    const SimPost& post = *community_.post(number);
    if (post.author != u) output_.like(now_us, u, number, post.author, post.kind, LikeKind::kView);
  }

  void undo(uint32_t u, int64_t now_us) {
    uint64_t& number = community_.user(u).last_like;
    if (const SimPost* post = community_.post(number); post != nullptr)
      output_.like(now_us, u, number, post->author, post->kind, LikeKind::kLike, true);
    number = kNoPost;
  }

  void follow(uint32_t u, int64_t now_us) {
    SimUser& s = community_.user(u);
    for (uint32_t i = 0; i < 8; ++i) {
      const uint32_t whom = i < 3 ? s.idols[i] : i - 3 < s.friend_count ? s.friends[i - 3] : kNoUser;
      if (whom == kNoUser || s.followed >> i & 1) continue;
      s.followed = static_cast<uint8_t>(s.followed | 1U << i);
      // A friend may be a favourite too.
      if (i >= 3 && std::find(s.idols.begin(), s.idols.end(), whom) != s.idols.end()) continue;
      if (i < 3 && std::find(s.idols.begin(), s.idols.begin() + i, whom) != s.idols.begin() + i) continue;
      if (community_.user(whom).joined) output_.follow(now_us, u, whom);
      return;
    }
  }

  uint64_t publish(uint32_t u, int64_t now_us, PostKind kind, uint16_t topic, uint64_t parent, uint32_t parent_author) {
    SimPost post;
    post.time_us = now_us, post.author = u, post.topic = topic, post.kind = kind, post.parent = parent;
    post.quality = static_cast<uint8_t>(community_.user(u).talent * 3 / 4 + random_.below(64));
    const uint64_t number = community_.publish(post);
    const uint32_t length =
        static_cast<uint32_t>(kind == PostKind::kComment ? random_.log_uniform(8, 500) : random_.log_uniform(80, 6000));
    output_.publish(number, parent_author, length, static_cast<int32_t>(random_.between(-40, 60)));
    return number;
  }

  void comment(uint32_t u, int64_t now_us) {
    uint64_t number = community_.look(u, now_us, random_);
    const SimPost* parent = community_.post(number);
    if (parent != nullptr && parent->kind == PostKind::kComment)
      number = parent->parent, parent = community_.post(number);
    if (parent != nullptr) publish(u, now_us, PostKind::kComment, parent->topic, number, parent->author);
  }

  void write(uint32_t u, int64_t now_us, PostKind kind) {
    const SimUser& s = community_.user(u);
    const uint64_t r = random_.below(100);
    const uint16_t topic = s.topics[r < 65 ? 0 : r < 87 ? 1 : 2];
    const uint64_t number = publish(u, now_us, kind, topic, kNoPost, kNoUser);
    const uint32_t merit = s.talent + 32U;  // 32 to 287
    const auto staff_does = [&](PostAction action, int64_t after_us) {
      agenda_.add(now_us + after_us, TaskKind::kStaffPost, community_.staff(random_), number, u,
                  static_cast<uint32_t>(kind) << 8 | static_cast<uint32_t>(action));
    };
    if (kind == PostKind::kIdea) {
      if (random_.below(100) < 70)
        staff_does(PostAction::kAnswered, static_cast<int64_t>(random_.log_uniform(60, 2880)) * kMinuteUs);
      if (random_.below(1000) < merit * 3) {
        staff_does(PostAction::kPlanned, random_.between(kDayUs, 8 * kDayUs));
        if (random_.below(100) < 45) staff_does(PostAction::kAdopted, random_.between(8 * kDayUs + 1, 24 * kDayUs));
      } else if (random_.below(100) < 40) {
        staff_does(PostAction::kDeclined, random_.between(kDayUs, 14 * kDayUs));
      }
    } else if (kind != PostKind::kQuestion && random_.below(4000) < merit) {
      staff_does(PostAction::kFeatured, random_.between(2 * kHourUs, 5 * kDayUs));
    }
  }

  void answer(uint32_t u, int64_t now_us) {
    const uint64_t number = community_.look_for_question(u, now_us, random_);
    if (number == kNoPost) return;
    const uint32_t asker = community_.post(number)->author;
    const uint64_t reply = publish(u, now_us, PostKind::kAnswer, community_.post(number)->topic, number, asker);
    if (random_.below(1000) < 150 + 2U * community_.user(u).talent)
      agenda_.add(now_us + static_cast<int64_t>(random_.log_uniform(10, 4320)) * kMinuteUs, TaskKind::kAccept, asker,
                  number, static_cast<uint32_t>(reply - number));
  }

  void accept(const Task& task) {
    SimPost* question = community_.post(task.a);
    const uint64_t reply = task.a + task.b;
    const SimPost* post = community_.post(reply);
    if (question == nullptr || post == nullptr || question->settled) return;
    question->settled = true;
    output_.judge(task.time_us, task.user, reply, post->author, PostKind::kAnswer, PostAction::kAccepted);
  }

  void join(const Task& task) {
    SimUser& s = community_.user(task.user);
    s.joined = true;
    output_.account(task.time_us, task.user, AccountAction::kRegistered);
    if (s.in_ring && s.rate_ppm == 0) return;
    if (!invitations_.empty() && random_.below(100) < 30) {
      const size_t i = random_.below(invitations_.size());
      const auto [referral, referrer] = invitations_[i];
      invitations_[i] = invitations_.back();
      invitations_.pop_back();
      refer_on({task.time_us, 0, referral, task.user, referrer, static_cast<uint32_t>(ReferralStage::kJoined),
                TaskKind::kReferral});
    }
    agenda_.add(task.time_us + random_.between(kSecondUs, kMinuteUs), TaskKind::kAct, task.user, 2);
  }

  void refer(uint32_t u, int64_t now_us) {
    const uint64_t referral = ++referrals_;
    output_.referral(now_us, u, referral, u, kNoUser,
                     random_.below(5) == 0 ? ReferralStage::kIntended : ReferralStage::kInvited);
    if (invitations_.size() < kInvitations)
      invitations_.emplace_back(referral, u);
    else
      invitations_[random_.below(kInvitations)] = {referral, u};
  }

  void refer_on(const Task& task) {
    const ReferralStage stage = static_cast<ReferralStage>(task.c);
    const int64_t amount =
        stage == ReferralStage::kConverted ? static_cast<int64_t>(random_.log_uniform(5, 900)) * 1'000'000 : 0;
    output_.referral(task.time_us, task.user, task.a, task.b, task.user, stage, amount);
    const auto next = [&](ReferralStage then, uint32_t percent, int64_t low_us, int64_t high_us) {
      if (random_.below(100) < percent)
        agenda_.add(task.time_us + random_.between(low_us, high_us), TaskKind::kReferral, task.user, task.a, task.b,
                    static_cast<uint32_t>(then));
    };
    if (stage == ReferralStage::kJoined) next(ReferralStage::kActivated, 60, kHourUs, 7 * kDayUs);
    if (stage == ReferralStage::kActivated) next(ReferralStage::kConverted, 40, kDayUs, 14 * kDayUs);
    if (stage == ReferralStage::kConverted) next(ReferralStage::kProfitable, 40, 7 * kDayUs, 30 * kDayUs);
  }

  void beta(uint32_t u, int64_t now_us) {
    SimUser& s = community_.user(u);
    if (!s.tester) return view(u, now_us);
    SimOutput::Beta b;
    b.program = static_cast<uint32_t>((now_us - begin_us_) / (14 * kDayUs)) + 1;
    b.prompt = random_.below(100) < 60 ? Prompt::kPrompted : Prompt::kUnprompted;
    if (s.enrolled != b.program) {
      s.enrolled = static_cast<uint16_t>(b.program);
      SimOutput::Beta enrolment = b;
      enrolment.kind = BetaTestKind::kEnrolled;
      output_.beta(now_us, u, enrolment);
    }
    b.report = ++reports_, b.minutes = static_cast<uint32_t>(random_.log_uniform(3, 120));
    output_.beta(now_us, u, b);
    const uint64_t found = random_.below(100);
    if (found >= 50) return;
    b.minutes = 0, b.report = ++reports_, b.status = BetaTestStatus::kSubmitted;
    const bool bug = found < 33;
    b.kind = bug ? BetaTestKind::kBug : BetaTestKind::kSuggestion;
    if (bug) b.severity = random_.run(450, 5), b.reproducible = random_.below(100) < 40U + s.talent / 6;
    output_.beta(now_us, u, b);
    const uint64_t verdict = random_.below(100);
    if (bug)
      staff_says(now_us, u, b, verdict < 55 ? BetaTestStatus::kConfirmed : BetaTestStatus::kRejected);
    else if (verdict < 60)
      staff_says(now_us, u, b, verdict < 18 ? BetaTestStatus::kAdopted : BetaTestStatus::kRejected);
  }

  void staff_says(int64_t now_us, uint32_t tester, const SimOutput::Beta& b, BetaTestStatus status) {
    agenda_.add(now_us + random_.between(6 * kHourUs, 7 * kDayUs), TaskKind::kStaffBeta, community_.staff(random_),
                b.report, tester,
                b.program << 16 | b.severity << 8 | static_cast<uint32_t>(b.kind) << 4 | static_cast<uint32_t>(status));
  }

  void staff_beta(const Task& task) {
    SimOutput::Beta b;
    b.program = task.c >> 16, b.severity = task.c >> 8 & 255, b.report = task.a, b.tester = task.b;
    b.kind = static_cast<BetaTestKind>(task.c >> 4 & 15), b.status = static_cast<BetaTestStatus>(task.c & 15);
    output_.beta(task.time_us, task.user, b);
    if (b.status == BetaTestStatus::kConfirmed && random_.below(100) < 60)
      staff_says(task.time_us, task.b, b, BetaTestStatus::kFixed);
  }

  int64_t begin_us_;
  uint32_t days_;
  int64_t end_us_;
  Random random_;
  SimCommunity community_;
  SimOutput output_;
  LabelWriter labels_;
  Agenda agenda_;
  SimRings rings_;
  RecentSet liked_, viewed_;
  std::vector<std::pair<uint64_t, uint32_t>> invitations_;  // referral, referrer
  uint64_t referrals_ = 0, reports_ = 0;
};

}  // namespace

int run_simulate(const SimulateOptions& options, std::ostream& err) {
  const auto bad = [&](const std::string& what) { return err << "simulate: " << what << "\n", 2; };
  if (options.users < 10 || options.users > 10'000'000) return bad("--users must be 10 to 10000000");
  if (options.days < 1 || options.days > 3650) return bad("--days must be 1 to 3650");
  int64_t start_us = 0;
  if (!parse_time(options.start, start_us))
    return bad("--start must be a time such as 2025-01-01 or 2025-01-01T00:00:00Z");
  if (start_us % kDayUs != 0) return bad("--start must be the beginning of a day in UTC");
  uint64_t camouflage = 0, likes_per_day = 0;
  if (!parse_millionths(options.camouflage, 100, camouflage)) return bad("--camouflage must be 0 to 100");
  if (!options.likes_per_day.empty() &&
      (!parse_millionths(options.likes_per_day, 100, likes_per_day) || likes_per_day < 1000))
    return bad("--likes-per-day must be 0.001 to 100");
  std::vector<RingSpec> rings;
  if (Status s = parse_rings(options.rings, rings); !s.ok()) return bad(s.message);
  if (options.out == "-" && options.labels == "-") return bad("--out and --labels cannot both be standard output");
  Simulation simulation(options, start_us);
  if (Status s = simulation.run(options, rings, camouflage, likes_per_day); !s.ok()) {
    err << "simulate: " << s.message << "\n";
    return 1;
  }
  err << simulation.accounts() << " accounts, " << options.days << " days, " << simulation.events() << " events, "
      << simulation.likes() << " likes, " << rings.size() << " planted rings\n";
  return 0;
}

}  // namespace bellwether
