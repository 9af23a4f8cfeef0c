// From what the engine keeps to what leaves it: times, ids, tiers, references, out records.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "bellwether/v1/common.pb.h"
#include "bellwether/v1/flag.pb.h"
#include "bellwether/v1/out.pb.h"
#include "operators/alert.h"
#include "operators/flags.h"
#include "operators/tiers.h"
#include "pipeline/engine/fold.h"
#include "pipeline/service/reading.h"

namespace bellwether {

namespace pb = bellwether::v1;

void set_time(int64_t time_us, google::protobuf::Timestamp* out);
void set_tick(const TickId& tick, pb::Tick* out, google::protobuf::Timestamp* time);
std::string date_text(int64_t day);  // YYYY-MM-DD

inline pb::Tier to_pb(Tier tier) { return static_cast<pb::Tier>(tier); }
inline pb::FlagKind to_pb(FlagKind kind) { return static_cast<pb::FlagKind>(kind); }
inline pb::FlagStatus to_pb(FlagStatus status) { return static_cast<pb::FlagStatus>(status); }
inline pb::DeadLetterReason to_pb(Reason reason) { return static_cast<pb::DeadLetterReason>(reason); }

// "days active" to "days_active", as the schemas name gates.
std::string gate_name(const std::string& name);
// "innovation", … for 0..3.
const char* capability_name(size_t capability);

// The id of an out record as text: slot.sub-tick.operator.kind.key.sequence, in hexadecimal that sorts as ids do.
std::string text_of(const ChangeId& id);
bool parse_change_id(std::string_view text, ChangeId& out);
// The community's rules in force in that slot.
const CommunityConfig& rules_at(const Published& at, int64_t slot);
// Behind everything that a tick put out.
ChangeId end_of(const TickId& tick);

// Why a machine has its tier, from the sentence it kept. `flag` and `gate` are set where the sentence names one.
pb::TierReason reason_of(const std::string& text);

// Out records as they go to topics and watchers: a function of the row alone, so that a repeat has the same bytes.
// False where the payload cannot be read.
bool tier_record(const ChangeId& id, std::string_view payload, const CommunityConfig& community, pb::TierRecord& out);
bool flag_record(const ChangeId& id, std::string_view payload, pb::FlagRecord& out);
bool score_record(const ChangeId& id, std::string_view payload, const CommunityConfig& community, pb::ScoreRecord& out);
bool alert_record(const ChangeId& id, std::string_view payload, pb::AlertRecord& out);
void dead_letter(const DeadLetterRow& row, pb::DeadLetter& out);

}  // namespace bellwether
