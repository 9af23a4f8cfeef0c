#include <google/protobuf/util/time_util.h>

#include <algorithm>
#include <atomic>
#include <fstream>

#include "bellwether/v1/admin.grpc.pb.h"
#include "pipeline/service/convert.h"
#include "pipeline/service/filter.h"
#include "pipeline/service/paging.h"
#include "pipeline/service/services.h"

namespace bellwether {
namespace {

constexpr size_t kExaminedMax = 20'000;

void set_account(const Account& account, uint64_t pending, uint64_t gap, pb::RecordAccount& out) {
  out.set_consumed(account.consumed);
  out.set_applied(account.applied);
  out.set_duplicate(account.duplicate);
  out.set_late(account.late);
  out.set_dead_lettered(account.dead_lettered);
  out.set_pending(pending);
  out.set_id_collisions(account.id_collisions);
  out.set_gap(gap);
}

void add_detail(pb::GetStatusResponse& out, const char* name, uint64_t value) {
  pb::Detail* detail = out.add_details();
  detail->set_name(name);
  detail->set_value(std::to_string(value));
}

uint64_t resident_bytes() {
  std::ifstream in("/proc/self/statm");
  uint64_t size = 0, resident = 0;
  in >> size >> resident;
  return resident * 4096;
}

enum Field : int { kReason, kTopic, kPartition, kOffset, kTime };

std::vector<FilterField> dead_fields() {
  std::vector<std::string> reasons(kReasons);
  for (size_t r = 1; r < kReasons; ++r) reasons[r] = reason_name(static_cast<Reason>(r));
  return {{"reason", FieldType::kChoice, reasons, false, kReason},
          {"topic", FieldType::kText, {}, true, kTopic},
          {"partition", FieldType::kNumber, {}, true, kPartition},
          {"offset", FieldType::kNumber, {}, true, kOffset},
          {"time", FieldType::kTime, {}, true, kTime}};
}

std::string text_of(const DeadKey& key) {
  std::string out;
  Writer w(out);
  w.zigzag(key.tick.slot), w.varint(key.tick.sub), w.fixed64(key.topic_hash), w.zigzag(key.partition),
      w.zigzag(key.offset);
  return out;
}
bool parse(std::string_view text, DeadKey& key) {
  Reader r(text);
  key.tick.slot = r.zigzag(), key.tick.sub = static_cast<uint32_t>(r.varint()), key.topic_hash = r.fixed64();
  key.partition = static_cast<int32_t>(r.zigzag()), key.offset = r.zigzag();
  return r.ok() && r.done();
}

// Requests come as bytes: see request.h.
using RawAdmin = pb::Admin::WithRawCallbackMethod_GetStatus<pb::Admin::WithRawCallbackMethod_ListDeadLetters<
    pb::Admin::WithRawCallbackMethod_CreateBackup<pb::Admin::Service>>>;

class AdminService final : public RawAdmin {
 public:
  explicit AdminService(ServiceCore& core) : core_(core) {}

  grpc::ServerUnaryReactor* GetStatus(grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
                                      grpc::ByteBuffer* response) override {
    return run_unary<pb::GetStatusRequest, pb::GetStatusResponse>(
        core_, context, "Admin.GetStatus", kStaff, request, response,
        [this](const Call& call, const pb::GetStatusRequest&, pb::GetStatusResponse& out) {
          return status(call, out);
        });
  }

  grpc::ServerUnaryReactor* ListDeadLetters(grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
                                            grpc::ByteBuffer* response) override {
    return run_unary<pb::ListDeadLettersRequest, pb::ListDeadLettersResponse>(
        core_, context, "Admin.ListDeadLetters", kStaff, request, response,
        [this](const Call& call, const pb::ListDeadLettersRequest& in, pb::ListDeadLettersResponse& out) {
          return dead(call, in, out);
        });
  }

  grpc::ServerUnaryReactor* CreateBackup(grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
                                         grpc::ByteBuffer* response) override {
    return run_unary<pb::CreateBackupRequest, pb::CreateBackupResponse>(
        core_, context, "Admin.CreateBackup", role_bit(Role::kAdmin), request, response,
        [this](const Call& call, const pb::CreateBackupRequest& in, pb::CreateBackupResponse& out) {
          return backup(call, in, out);
        });
  }

 private:
  grpc::Status status(const Call& call, pb::GetStatusResponse& out);
  grpc::Status dead(const Call& call, const pb::ListDeadLettersRequest& in, pb::ListDeadLettersResponse& out);

  grpc::Status backup(const Call& call, const pb::CreateBackupRequest& in, pb::CreateBackupResponse& out);

  ServiceCore& core_;
  std::atomic<bool> backing_up_{false};
};

grpc::Status AdminService::status(const Call& call, pb::GetStatusResponse& out) {
  const Published& at = call.reading->at();
  const EngineFigures figures = core_.deps().figures ? core_.deps().figures() : EngineFigures{};
  set_account(at.account(), figures.pending, at.gap(), *out.mutable_account());

  std::vector<const PartitionState*> partitions;
  for (const PartitionState& p : at.partitions()) partitions.push_back(&p);
  std::sort(partitions.begin(), partitions.end(),
            [](const PartitionState* a, const PartitionState* b) { return a->id < b->id; });
  int64_t furthest = INT64_MIN;
  for (const PartitionFigures& f : figures.partitions) furthest = std::max(furthest, f.watermark_us);
  for (const PartitionState* p : partitions) {
    pb::PartitionStatus& out_p = *out.add_partitions();
    out_p.set_topic(p->id.topic);
    out_p.set_partition(p->id.number);
    out_p.set_next_offset(p->at.next_offset);
    out_p.set_end_offset(-1);
    out_p.set_lag_records(-1);
    int64_t watermark = p->at.watermark_us;
    uint64_t held = 0;
    for (const PartitionFigures& f : figures.partitions) {
      if (!(f.id == p->id)) continue;
      out_p.set_end_offset(f.end_offset);
      if (f.end_offset >= 0) out_p.set_lag_records(std::max<int64_t>(0, f.end_offset - p->at.next_offset));
      watermark = std::max(watermark, f.watermark_us);
      if (f.floor_slot != INT64_MIN) out_p.set_floor_slot(f.floor_slot);
      out_p.set_idle(f.idle);
      held = f.held;
    }
    if (watermark != INT64_MIN) {
      set_time(watermark, out_p.mutable_watermark());
      if (furthest > watermark) out_p.set_lag_ms((furthest - watermark) / 1000);
    }
    set_account(p->account, held, p->gap, *out_p.mutable_account());
  }

  out.set_ticks(at.progress().ticks);
  out.set_commits(figures.commit.commits);
  out.set_configuration_version(at.community().version);
  out.set_configuration_hash(hex16(at.version().hash));
  Status broken;
  const auto users = static_cast<uint64_t>(std::max<int64_t>(0, at.counter({kCounterUsers, 0}, broken)));
  out.set_users(users);
  uint64_t above_member = 0;
  for (const Tier tier : {Tier::kContributor, Tier::kKey, Tier::kLead}) {
    if (!broken.ok()) break;
    uint64_t count = 0;
    broken = at.scan_index(IndexId::kUsersByTier, static_cast<uint8_t>(tier), true, {},
                           [&](const IndexKey&) { return ++count, true; });
    pb::TierCount* t = out.add_tiers();
    t->set_tier(to_pb(tier));
    t->set_count(count);
    above_member += count;
  }
  pb::TierCount* members = out.add_tiers();
  members->set_tier(pb::TIER_MEMBER);
  members->set_count(users - std::min(users, above_member));
  std::sort(out.mutable_tiers()->begin(), out.mutable_tiers()->end(),
            [](const auto& a, const auto& b) { return a.tier() < b.tier(); });

  std::map<std::pair<FlagKind, FlagStatus>, uint64_t> flags;
  Lookup lookup(call.reading);
  if (broken.ok())
    broken = at.scan_index(IndexId::kFlagsByTime, 0, true, {}, [&](const IndexKey& row) {
      if (const FlagsState* flag = lookup.flag(row.key.hash)) ++flags[{flag->kind, flag->status}];
      lookup.forget();
      return lookup.status().ok() && !call.over();
    });
  if (!broken.ok() || !lookup.status().ok()) return io_error(broken.ok() ? lookup.status() : broken);
  for (const auto& [key, count] : flags) {
    pb::FlagCount* f = out.add_flags();
    f->set_kind(to_pb(key.first));
    f->set_status(to_pb(key.second));
    f->set_count(count);
  }
  for (size_t r = 1; r < kReasons; ++r) {
    if (at.progress().dead[r] == 0) continue;
    pb::DeadLetterCount* d = out.add_dead_letters();
    d->set_reason(static_cast<pb::DeadLetterReason>(r));
    d->set_count(at.progress().dead[r]);
  }
  out.set_outbox_pending(figures.outbox_pending);
  out.set_version(core_.deps().version);
  set_time(std::chrono::duration_cast<std::chrono::microseconds>(core_.started().time_since_epoch()).count(),
           out.mutable_start_time());
  add_detail(out, "memory_resident_bytes", resident_bytes());
  add_detail(out, "cache_bytes", figures.cache.cache_bytes);
  add_detail(out, "cache_states", figures.cache.states);
  add_detail(out, "cache_hits", figures.cache.cache_hits);
  add_detail(out, "cache_misses", figures.cache.cache_misses);
  add_detail(out, "uncommitted_bytes", figures.dirty_bytes);
  add_detail(out, "held_bytes", figures.held_bytes);
  add_detail(out, "caught_up", figures.caught_up ? 1 : 0);
  add_detail(out, "erased_people", figures.erased);
  add_detail(out, "erasures_pending", figures.erasures_pending);  // a file may still hold the name
  if (core_.deps().store) {
    const Store::Figures store = core_.deps().store();
    add_detail(out, "store_disk_bytes", store.bytes_on_disk);
    add_detail(out, "store_write_buffer_bytes", store.memtable_bytes);
    add_detail(out, "store_block_cache_bytes", store.block_cache_bytes);
  }
  set_as_of(at, *out.mutable_as_of());
  return grpc::Status::OK;
}

grpc::Status AdminService::dead(const Call& call, const pb::ListDeadLettersRequest& in,
                                pb::ListDeadLettersResponse& out) {
  Filter filter;
  std::string error;
  static const std::vector<FilterField> kFields = dead_fields();
  if (!Filter::parse(in.filter(), kFields, filter, error)) return bad_field("filter", error, "INVALID_FILTER");
  PageFrame page;
  if (grpc::Status opened = page.open(core_, call, in, "dead\n" + in.filter()); !opened.ok()) return opened;
  std::optional<DeadKey> after;
  if (!page.last.empty() && !parse(page.last, after.emplace()))
    return bad_field("page_token", "is no token of this list", "PAGE_TOKEN_INVALID");
  DeadKey last;
  size_t examined = 0, bytes = 0;
  const Status walked = page.reading->at().scan_dead(after, [&](const DeadKey& key, const DeadLetterRow& row) {
    if (static_cast<uint32_t>(out.dead_letters_size()) == page.size || examined == kExaminedMax ||
        bytes > kAnswerBytesMax || (examined > 0 && (examined & 63) == 0 && call.over())) {
      out.set_next_page_token(page.next(core_, text_of(last)));
      return false;
    }
    ++examined;
    last = key;
    const auto values = [&](int id) -> FilterValues {
      switch (id) {
        case kReason:
          return {{static_cast<int64_t>(row.reason), {}}};
        case kTopic:
          return {{0, row.from.topic}};
        case kPartition:
          return {{row.from.number, {}}};
        case kOffset:
          return {{row.offset, {}}};
        case kTime:
          return {{row.slot > kFirstSlot ? row.slot * kSlotUs : INT64_MIN, {}}};
        default:
          return {};
      }
    };
    if (filter.matches(values)) {
      dead_letter(row, *out.add_dead_letters());
      bytes += row.raw.size() + 200;
    }
    return true;
  });
  if (!walked.ok()) return io_error(walked);
  out.set_snapshot_moved(page.moved);
  set_as_of(page.reading->at(), *out.mutable_as_of());
  return grpc::Status::OK;
}

// On a thread of the executor: that is what bounds it, and it has others for the queries. The deadline does not end it:
// reading a large store takes its time, and who has waited for all of it wants the answer.
grpc::Status AdminService::backup(const Call& call, const pb::CreateBackupRequest& in, pb::CreateBackupResponse& out) {
  if (!core_.deps().backup)
    return call_error(grpc::StatusCode::UNIMPLEMENTED, "NO_BACKUP", "this service makes no backups");
  if (in.to().empty() || in.to().front() != '/' || in.to().find('\0') != std::string::npos)
    return bad_field("to", "given \"" + in.to().substr(0, 200) + "\", allowed: an absolute path of a folder to make");
  if (backing_up_.exchange(true))
    return call_error_retry(grpc::StatusCode::ABORTED, "BACKUP_UNDER_WAY", "another backup is under way", 5000);
  BackupMade made;
  const Status status = core_.deps().backup({in.to(), in.copy(), call.cancelled}, made);
  backing_up_ = false;
  if (!status.ok()) {
    if (call.cancelled()) return call_error(grpc::StatusCode::CANCELLED, "CANCELLED", "the caller went away");
    return call_error(grpc::StatusCode::FAILED_PRECONDITION, "BACKUP_FAILED", "no backup was made: " + status.message);
  }
  out.set_to(in.to());
  out.set_files(made.files), out.set_bytes(made.bytes), out.set_linked_bytes(made.linked_bytes);
  pb::AsOf& as_of = *out.mutable_as_of();
  if (made.tick.slot > kFirstSlot) {
    as_of.mutable_tick()->set_slot(made.tick.slot);
    as_of.mutable_tick()->set_sub_tick(made.tick.sub);
    set_time((made.tick.slot + 1) * kSlotUs, as_of.mutable_watermark());
  }
  std::sort(made.positions.begin(), made.positions.end());
  for (const auto& [partition, offset] : made.positions) {
    pb::Position& position = *as_of.add_positions();
    position.set_topic(partition.topic), position.set_partition(partition.number), position.set_offset(offset);
  }
  return grpc::Status::OK;
}

}  // namespace

std::unique_ptr<grpc::Service> make_admin_service(ServiceCore& core) { return std::make_unique<AdminService>(core); }

}  // namespace bellwether
