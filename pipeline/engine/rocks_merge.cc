#include "pipeline/engine/rocks_merge.h"

#include <rocksdb/compaction_filter.h>
#include <rocksdb/merge_operator.h>

#include <string>
#include <string_view>
#include <vector>

#include "pipeline/engine/members.h"
#include "pipeline/engine/row_patch.h"

namespace bellwether {
namespace {

std::string_view view(const rocksdb::Slice& text) { return {text.data(), text.size()}; }

template <class Slices>
std::vector<std::string_view> views(const Slices& slices) {
  std::vector<std::string_view> out;
  out.reserve(slices.size());
  for (const rocksdb::Slice& one : slices) out.push_back(view(one));
  return out;
}

class MembersMerge final : public rocksdb::MergeOperator {
 public:
  const char* Name() const override { return "bellwether.members"; }
  bool FullMergeV2(const MergeOperationInput& in, MergeOperationOutput* out) const override {
    const std::vector<std::string_view> changes = views(in.operand_list);
    return change_members(in.existing_value != nullptr ? view(*in.existing_value) : "", changes, out->new_value);
  }
  bool PartialMergeMulti(const rocksdb::Slice&, const std::deque<rocksdb::Slice>& operands, std::string* out,
                         rocksdb::Logger*) const override {
    return join_changes(views(operands), *out);
  }
};

class NoEmptyMembers final : public rocksdb::CompactionFilter {
 public:
  const char* Name() const override { return "bellwether.no-empty-members"; }
  bool Filter(int, const rocksdb::Slice& key, const rocksdb::Slice& value, std::string*, bool*) const override {
    return value.empty() && is_members(view(key));
  }
};

class PatchMerge final : public rocksdb::MergeOperator {
 public:
  const char* Name() const override { return "bellwether.patches"; }
  bool FullMergeV2(const MergeOperationInput& in, MergeOperationOutput* out) const override {
    return in.existing_value != nullptr &&
           apply_patches(view(*in.existing_value), views(in.operand_list), out->new_value);
  }
};

}  // namespace

std::shared_ptr<rocksdb::MergeOperator> merge_members() { return std::make_shared<MembersMerge>(); }

const rocksdb::CompactionFilter* no_empty_members() {
  static const NoEmptyMembers kFilter;
  return &kFilter;
}

std::shared_ptr<rocksdb::MergeOperator> merge_patches() { return std::make_shared<PatchMerge>(); }

}  // namespace bellwether
