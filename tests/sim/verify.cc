// What must hold at the end of a run: state, account and out records are those of the same logs read without a fault.
#include <algorithm>

#include "bellwether/v1/out.pb.h"
#include "operators/flags.h"
#include "pipeline/engine/control.h"
#include "pipeline/engine/keys.h"
#include "tests/model/harness.h"
#include "tests/sim/world.h"

namespace bellwether::sim {
namespace {

using Texts = std::map<std::string, std::string>;

std::string hex(std::string_view bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  for (const char c : bytes.substr(0, 80)) {
    out += kDigits[static_cast<uint8_t>(c) >> 4];
    out += kDigits[static_cast<uint8_t>(c) & 15];
  }
  return out + (bytes.size() > 80 ? "…" : "");
}

// The first difference of two sorted lists of rows, in words.
std::string difference(const Texts& got, const Texts& wanted, const std::string& what, bool text) {
  const auto show = [&](const std::string& s) {
    if (!text) return hex(s);
    std::string out = s.substr(0, 500);
    for (char& c : out)
      if (static_cast<uint8_t>(c) < 32 || static_cast<uint8_t>(c) > 126) c = '.';
    return out;
  };
  auto g = got.begin();
  auto w = wanted.begin();
  for (; g != got.end() && w != wanted.end(); ++g, ++w) {
    if (*g == *w) continue;
    if (g->first == w->first)
      return what + " " + show(g->first) + " is\n  " + show(g->second) + "\nwithout faults\n  " + show(w->second);
    return g->first < w->first ? what + " " + show(g->first) + " is not there without faults: " + show(g->second)
                               : what + " " + show(w->first) + " is missing: " + show(w->second);
  }
  if (g != got.end()) return what + " " + show(g->first) + " is not there without faults: " + show(g->second);
  if (w != wanted.end()) return what + " " + show(w->first) + " is missing: " + show(w->second);
  return "";
}

Texts texts_of(const Rows& rows, const std::string& from) {
  Texts out;
  for (auto it = rows.lower_bound(from); it != rows.end(); ++it) out[it->first] = it->second.value;
  return out;
}

Texts texts_of(const Store& store, Family family, const std::string& from) {
  Texts out;
  const Status status = store.snapshot()->scan(family, from, {}, [&](std::string_view key, std::string_view value) {
    out[std::string(key)] = value;
    return true;
  });
  if (!status.ok()) out["unreadable"] = status.message;
  return out;
}

// What no commit and no restart may leave a trace in; as text, so that a difference can be read.
Texts texts_of(const EngineProgress& p) {
  Texts out;
  out["tick"] = std::to_string(p.tick.slot) + "." + std::to_string(p.tick.sub);
  out["folded"] = std::to_string(p.folded);
  out["hour"] = std::to_string(p.hour);
  out["ticks"] = std::to_string(p.ticks);
  out["out records"] = std::to_string(p.outbox_next - 1);
  out["changes from"] = std::to_string(p.changes_from);
  out["ledger from"] = std::to_string(p.ledger_from);
  for (size_t i = 0; i < p.dead.size(); ++i)
    out["dead letters of reason " + std::to_string(i)] = std::to_string(p.dead[i]);
  out["cut-offs"] = std::to_string(p.cutoffs.version);
  for (const uint32_t c : p.cutoffs.cell) out["cut-offs"] += " " + std::to_string(c);
  EngineProgress rest;
  rest.jobs = p.jobs, rest.findings = p.findings, rest.leftovers = p.leftovers;
  out["jobs, findings, leftovers"] = hex(rest.encode());
  for (const PartitionState& s : p.partitions) {
    if (s.account.consumed == 0) continue;  // found at the very end, or not
    const std::string name = s.id.topic + "/" + std::to_string(s.id.number);
    out["account of " + name] = "consumed " + std::to_string(s.account.consumed) + " applied " +
                                std::to_string(s.account.applied) + " duplicate " +
                                std::to_string(s.account.duplicate) + " late " + std::to_string(s.account.late) +
                                " dead-lettered " + std::to_string(s.account.dead_lettered);
    // Offsets without a record count for nothing: a partition stands before its next record.
    out["watermark of " + name] = std::to_string(s.at.watermark_us) + " newest " + std::to_string(s.at.newest_us);
  }
  return out;
}

InputLog without_lost(const Left& left) {
  InputLog log = left.log;
  for (size_t p = 0; p < log.partitions.size(); ++p) {
    LogPartition& partition = log.partitions[p];
    partition.first = 0, partition.away_until = partition.end_until = 0;
    std::erase_if(partition.records, [&](const Logged& r) { return left.lost.contains({p, r.offset}); });
  }
  return log;
}

std::string undisturbed(const Left& left, const Shape& shape, Store& store, EngineProgress& progress) {
  const auto set = store.new_write_set();
  for (const auto& [key, row] : left.disk.rows(Family::kControl)) set->put(Family::kControl, key, row.value);
  if (Status status = store.write(*set, true); !status.ok()) return status.message;
  InputLog log = without_lost(left);
  SimSource source(log, nullptr, 1, true);
  Config config = left.config;
  config.engine.threads = 1, config.engine.shards = 2, config.engine.batch = 1000;
  EngineOptions options = engine_options_of(shape);
  options.floors = false;
  options.clock_us = [] { return int64_t{1}; };
  std::unique_ptr<Engine> engine;
  Status status = Engine::open(config, every_operator(), store, {{&source, true}}, options, engine);
  bool done = false;
  for (int quiet = 0, steps = 0; status.ok() && quiet < 100; ++steps) {
    if (steps > 1'000'000) return "the undisturbed run does not come to the end of the logs";
    status = engine->step(done);
    quiet = source.all_read() ? quiet + 1 : 0;
  }
  engine->stop();
  while (status.ok() && !done) status = engine->step(done);
  if (status.ok()) status = engine->finish();
  if (!status.ok()) return "the undisturbed run: " + status.message;
  progress = engine->published()->progress();
  return "";
}

// A record that went out, as it would have with the erasures known: what left before them named the person. False: a
// tombstone, which whoever knows no name cannot make.
bool forgotten(const Erased& erased, const Hasher& hasher, OutTopics::Kept& kept) {
  if (kept.value.empty()) return false;
  const auto user = [&](const std::string& id) {
    const std::string* name = erased.name(hasher(KeyKind::kUser, id));
    return name != nullptr ? *name : id;
  };
  if (kept.topic.ends_with(".scores") || kept.topic.ends_with(".tiers")) kept.key = user(kept.key);
  const auto with = [&](auto record, const auto& change) {
    if (record.ParseFromString(kept.value)) change(record), kept.value = record.SerializeAsString();
  };
  const auto name = [&](auto& record) { record.set_user(user(record.user())); };
  if (kept.topic.ends_with(".scores")) with(v1::ScoreRecord(), name);
  if (kept.topic.ends_with(".tiers")) with(v1::TierRecord(), name);
  if (kept.topic.ends_with(".alerts"))
    with(v1::AlertRecord(), [&](auto& record) { record.set_text(erased.without(record.text())); });
  if (kept.topic.ends_with(".deadletters"))
    with(v1::DeadLetter(), [&](auto& record) {
      if (erased.in_bytes(record.raw())) record.clear_raw();
    });
  if (kept.topic.ends_with(".flags"))
    with(v1::FlagRecord(), [&](auto& record) {
      auto& flag = *record.mutable_flag();
      for (std::string& subject : *flag.mutable_subjects()) subject = user(subject);
      for (auto& gained : *flag.mutable_beneficiaries()) gained.set_user(user(gained.user()));
      std::sort(flag.mutable_subjects()->begin(), flag.mutable_subjects()->end());
      std::sort(flag.mutable_beneficiaries()->begin(), flag.mutable_beneficiaries()->end(),
                [](const auto& a, const auto& b) { return a.user() < b.user(); });
    });
  return true;
}

std::string compare_out(const OutTopics& out, const Published& published, Result& result) {
  Texts wanted, got;
  std::string wrong;
  const Status status =
      published.scan_outbox(0, [&](uint64_t number, uint8_t kind, const ChangeId& id, std::string_view payload) {
        if (kind == kOutTombstone) return true;
        uint16_t version = 0;
        for (const ConfigVersion& v : published.versions())
          if (v.from_slot <= id.tick.slot) version = v.number;
        OutMessage message;
        if (!out_message(kind, id, payload, published.versions()[version].config, message)) {
          wrong = "outbox row " + std::to_string(number) + " cannot be read";
          return false;
        }
        const auto [it, fresh] =
            wanted.emplace("out" + message.topic + " " + message.id, message.key + "=" + message.value);
        if (!fresh) wrong = "two out records of the id " + message.id;
        return fresh;
      });
  if (!status.ok()) return status.message;
  if (!wrong.empty()) return wrong;
  const Hasher hasher(default_config().community.hash_key);
  for (OutTopics::Kept kept : out.kept) {
    if (!forgotten(published.erased(), hasher, kept)) continue;
    const std::string value = kept.key + "=" + kept.value;
    const auto [it, fresh] = got.emplace(kept.topic + " " + kept.id, value);
    if (!fresh && it->second != value) return "two different out records went out with the id " + kept.id;
  }
  result.out_records = got.size();
  return difference(got, wanted, "out record", true);
}

}  // namespace

std::string compare_with_undisturbed(const Left& left, const Shape& shape, Result& result) {
  std::string row;
  EngineProgress got, wanted;
  if (!left.disk.get(Family::kMeta, keys::kProgress, row))
    return left.log.partitions.empty() ? "" : "no progress at all";
  if (!got.decode(row)) return "the progress cannot be read";
  const auto store = make_memory_store();
  if (std::string wrong = undisturbed(left, shape, *store, wanted); !wrong.empty()) return wrong;

  if (!got.account().balanced()) return "the account does not balance";
  Texts progress_got = texts_of(got), progress_wanted = texts_of(wanted);
  // Who learnt of an erasure in the middle sends tombstones, and some records again.
  if (!left.disk.rows(Family::kControl).empty() &&
      left.disk.rows(Family::kControl).rbegin()->first >= keys::number(kErasureNumbers))
    progress_got.erase("out records"), progress_wanted.erase("out records");
  if (std::string d = difference(progress_got, progress_wanted, "progress:", true); !d.empty()) return d;
  const struct {
    Family family;
    const char* name;
    std::string from;
  } kFamiliesCompared[] = {{Family::kState, "state", ""},
                           {Family::kLedger, "ledger row",
                            keys::ledger_day(wanted.ledger_from == INT64_MIN ? INT32_MIN : wanted.ledger_from)},
                           {Family::kViews, "view row", ""},
                           {Family::kTimers, "timer", ""},
                           {Family::kControl, "control row", ""}};
  for (const auto& [family, name, from] : kFamiliesCompared) {
    if (std::string d = difference(texts_of(left.disk.rows(family), from), texts_of(*store, family, from), name, false);
        !d.empty())
      return d;
  }
  Texts counters_got = texts_of(left.disk.rows(Family::kMeta), keys::counter_begin());
  Texts counters_wanted = texts_of(*store, Family::kMeta, keys::counter_begin());
  const auto no_counter = [](const auto& row_of) { return row_of.first >= keys::counter_end(); };
  std::erase_if(counters_got, no_counter), std::erase_if(counters_wanted, no_counter);
  if (std::string d = difference(counters_got, counters_wanted, "counter", false); !d.empty()) return d;

  std::shared_ptr<const Published> published;
  if (Status status = read_published(*store, every_operator(), published); !status.ok()) return status.message;
  result.versions = published->versions().size();
  result.floors = left.disk.rows(Family::kControl).size() - result.versions - published->erased().size();
  std::vector<std::string> lines;
  if (Status status = dump_lines(*published, lines); !status.ok()) return status.message;
  for (const std::string& line : lines) result.flags += line.starts_with("{\"type\":\"flag\"");
  return compare_out(left.out, *published, result);
}

}  // namespace bellwether::sim
