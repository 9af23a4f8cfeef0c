// The parts of an erasure, one by one: names and texts, facts, records of the log, rows, the files of the store.
#include "pipeline/engine/erasure.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "decode_reference.h"
#include "operators/alert.h"
#include "operators/flags.h"
#include "operators/people.h"
#include "operators/reports.h"
#include "operators/scores.h"
#include "operators/tiers.h"
#include "pipeline/engine/control.h"
#include "pipeline/service/forget_record.h"

namespace bellwether::erasure_test {
namespace {

namespace fs = std::filesystem;

const Hasher hasher("secret");
uint64_t user(std::string_view id) { return hasher(KeyKind::kUser, id); }

std::shared_ptr<Erased> erased_people(const std::vector<std::string>& ids) {
  auto erased = std::make_shared<Erased>(hasher);
  for (const std::string& id : ids) EXPECT_TRUE(erased->add(user(id), id.size()));
  return erased;
}

TEST(Erased, NamesSpellTheirHash) {
  const std::string name = erased_name(0x0123456789abcdef);
  EXPECT_EQ(name, "erased:0123456789abcdef");
  for (const KeyKind kind : {KeyKind::kEvent, KeyKind::kUser, KeyKind::kPost, KeyKind::kReport})
    EXPECT_EQ(hasher(kind, name), 0x0123456789abcdefU);
  uint64_t hash = 0;
  for (const char* none : {"erased:0123456789abcdeg", "erased:0123456789ABCDEF", "erased:0123456789abcde",
                           "erased:0123456789abcdef0", "Erased:0123456789abcdef", "erased:0000000000000000", ""})
    EXPECT_FALSE(parse_erased_name(none, hash)) << none;
  EXPECT_NE(hasher(KeyKind::kUser, "erased:0123456789abcdeg"), 0x0123456789abcdefU);
}

TEST(Erased, TextsAreSearchedByTheHashAlone) {
  const auto erased = erased_people({"anna", "7", "山田"});
  for (const char* text : {"anna", "it was anna.", "(anna)", "anna, anna", "7 of them", "user=7", "彼は山田さん"})
    EXPECT_TRUE(erased->in(text)) << text;
  for (const char* text : {"", "ann a", "annas", "susanna", "17 of 70", "seven", "山本"})
    EXPECT_FALSE(erased->in(text)) << text;
  EXPECT_TRUE(
      erased->in_bytes("\x0a\x04"
                       "annaR"));
  EXPECT_FALSE(
      erased->in_bytes("\x0a\x04"
                       "anne77"));
  const std::string anna = erased_name(user("anna"));
  EXPECT_EQ(erased->without("anna appeals, says anna"), anna + " appeals, says " + anna);
  EXPECT_EQ(erased->without("nobody here"), "nobody here");
  EXPECT_FALSE(erased_people({})->in("anna"));
}

TEST(Erased, ACopyGoesOnWithoutTheFirst) {
  auto first = erased_people({"anna"});
  const std::string* name = first->name(user("anna"));
  Erased second(*first);
  EXPECT_FALSE(second.add(user("anna"), 4));
  EXPECT_TRUE(second.add(user("bert"), 4));
  EXPECT_EQ(first->name(user("bert")), nullptr);
  first.reset();
  EXPECT_EQ(second.name(user("anna")), name);
}

// One record for each place in which a user may stand.
std::vector<std::string> records() {
  const auto event = [](const std::string& user, const std::string& body) {
    return R"({"id":"e-1","time":"2024-05-01T10:00:00.123456Z","user":")" + user +
           R"(","origin":{"device":"d1","network":"n1","channel":"app","campaign":"c1"},)" + body + "}";
  };
  const auto judged = [&](const std::string& body) { return event("staff", R"("judgement":{)" + body + "}"); };
  return {
      event("anna", R"("like":{"post":"p1","author":"bert","kind":"LIKE_KIND_LIKE","postKind":"POST_KIND_IDEA"})"),
      event("bert", R"("like":{"author":"anna","kind":"LIKE_KIND_FOLLOW","undo":true})"),
      event(
          "bert",
          R"("post":{"post":"p2","kind":"POST_KIND_ANSWER","action":"POST_ACTION_ACCEPTED","author":"anna","parent":"p1",)"
          R"("parentAuthor":"carl","topics":["a","b"],"length":70,"sentiment":-5})"),
      event("bert", R"("post":{"post":"p2","action":"POST_ACTION_PUBLISHED","parent":"p1","parentAuthor":"anna"})"),
      event("bert", R"("referral":{"referral":"r","referrer":"anna","referred":"bert","stage":"REFERRAL_STAGE_JOINED",)"
                    R"("amountMicros":"-12345678901"})"),
      event("anna",
            R"("referral":{"referral":"r","referrer":"bert","referred":"anna","stage":"REFERRAL_STAGE_JOINED"})"),
      event("staff", R"("betaTest":{"program":"x","report":"bug 1","kind":"BETA_TEST_KIND_BUG",)"
                     R"("status":"BETA_TEST_STATUS_CONFIRMED","severity":3,"reproducible":true,"tester":"anna",)"
                     R"("prompt":"PROMPT_PROMPTED","minutes":9})"),
      event("anna", R"("betaTest":{"program":"x","kind":"BETA_TEST_KIND_SESSION","minutes":9})"),
      event("staff", R"("betaTest":{"program":"x","kind":"BETA_TEST_KIND_SESSION","tester":"anna"})"),
      judged(
          R"("rating":{"subject":"anna","capability":"CAPABILITY_KNOWLEDGE","points":7,"expires":"2030-01-01T00:00:00Z"})"),
      judged(R"("hold":{"subject":"anna","tier":"TIER_KEY","reason":"a friend","release":true})"),
      judged(R"("hold":{"subject":"bert","tier":"TIER_KEY","reason":"a friend of anna's"})"),
      judged(R"("label":{"subject":"anna","keyUser":true,"willingness":1,"subjectiveNorm":2,"fit":3})"),
      judged(R"("verdict":{"flag":"ring-1","decision":"DECISION_CONFIRMED","reason":"anna bought likes"})"),
      judged(R"("link":{"user":"anna","sameAs":"bert","evidence":"one phone"})"),
      judged(R"("link":{"user":"bert","sameAs":"anna","unlink":true})"),
      judged(R"("erasure":{"subject":"anna"})"),
      judged(
          R"("incentive":{"subject":"anna","kind":"INCENTIVE_KIND_PAYMENT","amountMicros":"5","reason":"x","reverses":"e-0"})"),
      event("anna",
            R"("account":{"action":"ACCOUNT_ACTION_CERTIFIED","followers":"18446744073709551615","name":"cert",)"
            R"("team":"anna's","expires":"1970-01-01T00:00:00Z","revoked":true})"),
      event("anna", R"("entitlementUse":{"right":"early","quantity":2})"),
      event("anna", R"("feedback":{"kind":"FEEDBACK_KIND_NPS","value":"-9","about":"p1"})"),
  };
}

// The fact in words, hashes and home included; texts of the decoder's reference.
std::string said(const Fact& fact) {
  std::string out = std::to_string(fact.time_us) + " " + std::to_string(fact.id_hash) + " " +
                    std::to_string(static_cast<int>(fact.home.kind)) + "/" + std::to_string(fact.home.hash) + " " +
                    std::to_string(fact.user.hash) + " " + std::string(fact.device) + "," + std::string(fact.network) +
                    "," + std::string(fact.channel) + "," + std::string(fact.campaign) + " ";
  Fact shown = fact;
  if (auto* test = std::get_if<BetaTestFact>(&shown.body); test != nullptr && is_erased_name(test->report.id))
    test->report = {};  // stands for the home, which is compared above
  return out + std::visit(decode_reference::DumpBody(), shown.body);
}

TEST(RecordForgetter, TheRecordThatTakesThePlaceIsTheSameFactWithoutTheName) {
  const auto erased = erased_people({"anna"});
  RecordForgetter forgetter(hasher, erased, {});
  Decoder decoder(hasher);
  for (const std::string& json : records()) {
    Arena arena, second;
    Fact before, after;
    std::string detail, out, again;
    ASSERT_EQ(decoder.decode(json, arena, before, &detail), Reason::kNone) << json << ": " << detail;
    ASSERT_TRUE(forgetter.forget(json, out)) << json;
    EXPECT_EQ(out.find("anna"), std::string::npos) << out;
    ASSERT_EQ(decoder.decode(out, second, after, &detail), Reason::kNone) << out << ": " << detail;
    EXPECT_TRUE(forget(before, *erased)) << json;
    EXPECT_EQ(said(after), said(before)) << out;
    EXPECT_FALSE(forgetter.forget(out, again)) << "once is enough: " << out << "\n" << again;
  }
}

TEST(RecordForgetter, WhatNamesNobodyStays) {
  RecordForgetter forgetter(hasher, erased_people({"anna"}), {"anna"});
  std::string out;
  for (std::string json : records()) {
    for (size_t at = json.find("anna"); at != std::string::npos; at = json.find("anna")) json.replace(at, 4, "emil");
    EXPECT_FALSE(forgetter.forget(json, out)) << json;
  }
  EXPECT_FALSE(forgetter.forget("{broken", out));
}

TEST(RecordForgetter, NamesWhereNoUserStandsGoToo) {
  const auto erased = erased_people({"anna"});
  RecordForgetter forgetter(hasher, erased, {"anna"});
  Decoder decoder(hasher);
  const std::string json =
      R"({"id":"like of anna 17","time":"2024-05-01T10:00:00Z","user":"bert","nobodyKnows":"anna",)"
      R"("like":{"post":"p1","author":"carl","kind":"LIKE_KIND_LIKE"}})";
  std::string out;
  ASSERT_TRUE(forgetter.forget(json, out));
  EXPECT_EQ(out.find("anna"), std::string::npos) << out;
  Arena arena, second;
  Fact before, after;
  ASSERT_EQ(decoder.decode(json, arena, before, nullptr), Reason::kNone);
  ASSERT_EQ(decoder.decode(out, second, after, nullptr), Reason::kNone);
  EXPECT_EQ(after.id_hash, before.id_hash);
  EXPECT_EQ(said(after), said(before));
}

TEST(RecordForgetter, ADeadLetterStaysOneForTheSameReason) {
  RecordForgetter forgetter(hasher, erased_people({"anna"}), {});
  Decoder decoder(hasher);
  const std::vector<std::string> dead = {
      "{broken by anna",
      std::string("\0\0\0\0\1\1 anna", 11),
      R"({"id":"x","time":"2024-05-01T10:00:00Z","user":"anna"})",
      R"({"id":"x","user":"anna","like":{"post":"p","author":"b","kind":"LIKE_KIND_LIKE"}})",
      R"({"id":"","time":"2024-05-01T10:00:00Z","user":"anna","like":{"author":"b","kind":"LIKE_KIND_LIKE"}})",
      encode_erased_dead(Reason::kUndecodable, "sent by somebody else, not by anna"),
      std::string((1 << 20) + 1, 'x') + "anna"};
  for (size_t i = 0; i < dead.size(); ++i) {
    Arena arena;
    Fact fact;
    std::string out, before, after, again;
    const Reason reason = decoder.decode(dead[i], arena, fact, &before);
    ASSERT_NE(reason, Reason::kNone) << i;
    // What lies behind the bytes that a dead letter keeps is found by name only.
    if (dead[i].size() > 1000) {
      EXPECT_FALSE(forgetter.forget(dead[i], out));
      continue;
    }
    ASSERT_TRUE(forgetter.forget(dead[i], out)) << i;
    EXPECT_EQ(out.find("anna"), std::string::npos) << i;
    EXPECT_EQ(decoder.decode(out, arena, fact, &after), reason) << i;
    EXPECT_EQ(after, before.find("anna") == std::string::npos ? before : kNamedSentence);
    EXPECT_FALSE(forgetter.forget(out, again));
  }
  RecordForgetter knows(hasher, erased_people({"anna"}), {"anna"});
  std::string out;
  EXPECT_TRUE(knows.forget(dead.back(), out));
}

TEST(Erasure, RowsOfOutRecords) {
  const auto erased = erased_people({"anna"});
  const ChangeId id{{5, 0}, {OperatorId::kScores, {KeyKind::kUser, user("anna")}}, 1};
  const ChangeId other{{5, 0}, {OperatorId::kScores, {KeyKind::kUser, user("bert")}}, 1};
  TierChange change;
  change.user_id = "anna", change.reason = "because";
  std::string out;
  ASSERT_TRUE(forget_row(static_cast<uint8_t>(OutKind::kTier), id, encode(change), *erased, out));
  TierChange read;
  ASSERT_TRUE(decode(out, read));
  EXPECT_EQ(read.user_id, erased_name(user("anna")));
  EXPECT_EQ(read.reason, "because");
  EXPECT_FALSE(forget_row(static_cast<uint8_t>(OutKind::kTier), id, out, *erased, out));
  change.user_id = "bert";
  EXPECT_FALSE(forget_row(static_cast<uint8_t>(OutKind::kTier), other, encode(change), *erased, out));
  ScoreRecord score;
  score.user_id = "anna";
  ASSERT_TRUE(forget_row(static_cast<uint8_t>(OutKind::kScore), id, encode(score), *erased, out));
  EXPECT_EQ(out.find("anna"), std::string::npos);
  FlagChange flag;
  flag.id = "ring-1", flag.subject_users = {{user("bert"), "bert"}, {user("anna"), "anna"}};
  flag.beneficiary_users = {{user("anna"), "anna"}, {user("carl"), {}}};
  ASSERT_TRUE(forget_row(static_cast<uint8_t>(OutKind::kFlag), {}, encode(flag), *erased, out));
  FlagChange named;
  ASSERT_TRUE(decode(out, named));
  EXPECT_EQ(named.subject_users[0].text(), "bert");
  EXPECT_EQ(named.subject_users[1].text(), erased_name(user("anna")));
  EXPECT_EQ(named.beneficiary_users[0].text(), erased_name(user("anna")));
  EXPECT_EQ(named.beneficiary_users[1].text(), hex16(user("carl")));
  EXPECT_FALSE(forget_row(static_cast<uint8_t>(OutKind::kFlag), {}, out, *erased, named.id));
  const Alert alert{.subject = "ring-1", .text = "anna appeals against ring-1"};
  ASSERT_TRUE(forget_row(static_cast<uint8_t>(OutKind::kAlert), {}, encode(alert), *erased, out));
  Alert said_now;
  ASSERT_TRUE(decode(out, said_now));
  EXPECT_EQ(said_now.text, erased_name(user("anna")) + " appeals against ring-1");
  DeadLetterRow letter;
  letter.from = {"log", 1}, letter.offset = 7, letter.reason = Reason::kUndecodable, letter.raw = "{anna",
  letter.raw_bytes = 5, letter.detail = "anna stands here";
  ASSERT_TRUE(forget_row(kOutDeadLetter, {}, encode(letter), *erased, out));
  DeadLetterRow kept;
  ASSERT_TRUE(decode(out, kept));
  EXPECT_TRUE(kept.raw.empty());
  EXPECT_EQ(kept.detail, kNamedSentence);
  EXPECT_FALSE(forget_row(kOutDeadLetter, {}, out, *erased, said_now.text));
  EXPECT_EQ(kept.raw_bytes, 5U);
  EXPECT_EQ(kept.offset, 7);
}

TEST(Erasure, StatesForget) {
  const auto erased = erased_people({"anna"});
  const Key anna{KeyKind::kUser, user("anna")}, bert{KeyKind::kUser, user("bert")};
  const auto survives = [&](auto& state, Key key) {  // forgets once, and what is written reads the same
    EXPECT_TRUE(state.forget(key, *erased));
    EXPECT_FALSE(state.forget(key, *erased));
    std::string bytes, again;
    state.encode(bytes);
    EXPECT_EQ(bytes.find("anna"), std::string::npos);
    std::decay_t<decltype(state)> read;
    EXPECT_TRUE(read.decode(bytes));
    EXPECT_FALSE(read.forget(key, *erased));
    read.encode(again);
    EXPECT_EQ(again, bytes);
  };
  PeopleState people;
  people.id = "anna", people.held = Tier::kKey, people.held_reason = "a friend";
  people.portrait.act(kDayUs * 20'000, ActKind::kLike, "anna's phone");
  EXPECT_FALSE(people.forget(bert, *erased));
  survives(people, anna);
  EXPECT_TRUE(people.held_reason.empty());
  EXPECT_TRUE(people.portrait.days().on(20'000));
  EXPECT_TRUE(people.portrait.counts().channels.empty());
  PeopleState by_text;
  by_text.id = "bert", by_text.held = Tier::kKey, by_text.held_reason = "like anna";
  survives(by_text, bert);
  EXPECT_EQ(by_text.id, "bert");
  ScoresState scores;
  scores.id = "anna", scores.portrait.topic("anna");
  survives(scores, anna);
  // A row that nobody has named yet stays without a name: else it would count as a user.
  ScoresState unnamed;
  EXPECT_TRUE(unnamed.forget(anna, *erased));
  EXPECT_TRUE(unnamed.id.empty());
  ReportsState report;
  report.id = std::string("\1\0xanna", 7), report.tester = "anna", report.tester_hash = user("anna");
  survives(report, {KeyKind::kReport, hasher.pair(KeyKind::kReport, "x", "anna")});
}

// The name must not be in any file: the current ones hold it, older ones do, the write-ahead log does.
TEST(Erasure, PurgedFilesHoldNoOverwrittenRow) {
  const fs::path dir = fs::path(testing::TempDir()) / "purged";
  fs::remove_all(dir);
  std::unique_ptr<Store> store;
  ASSERT_TRUE(open_rocks_store(dir.string(), {.block_cache_mb = 8, .write_buffer_mb = 4}, store).ok());
  const std::string name = "somebody.who.asked.to.be.forgotten";
  const auto hits = [&] {
    size_t n = 0;
    for (const auto& entry : fs::recursive_directory_iterator(dir)) {
      if (!entry.is_regular_file()) continue;
      std::ifstream in(entry.path(), std::ios::binary);
      const std::string bytes{std::istreambuf_iterator<char>(in), {}};
      n += bytes.find(name) != std::string::npos;
    }
    return n;
  };
  const auto write = [&](const std::string& value) {
    auto set = store->new_write_set();
    for (uint16_t slice = 0; slice < 256; ++slice)
      set->put(Family::kState, keys::state({OperatorId::kPosts, {KeyKind::kPost, uint64_t{slice} << 56 | 5}}),
               value + std::to_string(slice));
    set->put(Family::kViews, "D" + std::string(20, 'k'), value);
    set->put(Family::kOutbox, keys::number(1), value);
    ASSERT_TRUE(store->write(*set, true).ok());
  };
  static constexpr Family kFamiliesPurged[] = {Family::kState, Family::kViews, Family::kOutbox};
  const auto never = [] { return false; };
  bool held = false;
  write(name);
  ASSERT_TRUE(store->purge(kFamiliesPurged, store->snapshot()->sequence(), never, held).ok());  // now it is in files
  EXPECT_FALSE(held);
  EXPECT_GE(hits(), 1U);
  write("y" + name);
  auto reader = store->snapshot();  // pins what is about to be overwritten
  write("nobody");
  auto set = store->new_write_set();
  set->erase(Family::kOutbox, keys::number(1));
  ASSERT_TRUE(store->write(*set, true).ok());
  const uint64_t clean = store->snapshot()->sequence();
  ASSERT_TRUE(store->purge(kFamiliesPurged, clean, never, held).ok());
  EXPECT_TRUE(held);
  EXPECT_GE(hits(), 1U);
  reader.reset();
  ASSERT_TRUE(store->purge(kFamiliesPurged, clean, never, held).ok());
  EXPECT_FALSE(held);
  for (int i = 0; hits() > 0 && i < 100; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_EQ(hits(), 0U);
  store.reset();
  EXPECT_EQ(hits(), 0U);
}

TEST(Erasure, TakenFromAnotherFolder) {
  const auto from = make_memory_store(), to = make_memory_store();
  auto set = from->new_write_set();
  std::string fixed;
  Writer(fixed).bytes("first");
  Writer(fixed).bytes(hash_key_print(hasher));
  set->put(Family::kMeta, keys::kFixed, fixed);
  for (const char* id : {"anna", "bert"}) {
    static uint64_t n = 0;
    set->put(Family::kControl, keys::number(kErasureNumbers + n++), encode(ErasureRow{user(id), 4}));
  }
  ASSERT_TRUE(from->write(*set, true).ok());
  for (int twice = 0; twice < 2; ++twice) {
    ASSERT_TRUE(take_erasures(*from, *to, hasher).ok());
    ControlLog control;
    ASSERT_TRUE(read_control(*to, control).ok());
    ASSERT_EQ(control.erasures.size(), 2U);
    EXPECT_EQ(control.next, 1U);  // other rows keep their numbers
    EXPECT_NE(erased_of(control, hasher)->name(user("bert")), nullptr);
  }
  const Status other = take_erasures(*from, *to, Hasher("another"));
  EXPECT_NE(other.message.find("community.hash_key"), std::string::npos) << other.message;
}

}  // namespace
}  // namespace bellwether::erasure_test
