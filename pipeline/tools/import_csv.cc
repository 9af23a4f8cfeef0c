#include "pipeline/tools/import_csv.h"

#include <algorithm>
#include <charconv>
#include <memory>
#include <unordered_map>

#include "pipeline/tools/csv.h"
#include "pipeline/tools/csv_fields.h"
#include "pipeline/tools/event_json.h"
#include "pipeline/tools/progress.h"
#include "pipeline/tools/times.h"

namespace bellwether {
namespace {

// A failure that ends the import with an exit code.
struct Failure {
  int code;
  std::string message;
};
[[noreturn]] void bad_usage(const std::string& message) { throw Failure{2, message}; }
void must(const Status& status) {
  if (!status.ok()) throw Failure{1, status.message};
}

std::vector<std::string> split(std::string_view text, char by) {
  std::vector<std::string> parts;
  for (;;) {
    const size_t end = text.find(by);
    parts.emplace_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

constexpr int64_t kLastSecond = 253'402'300'799;  // of the year 9999

const char* number_time(std::string_view text, std::string_view unit, int64_t& time_us) {
  const size_t dot = text.find('.');
  const std::string_view whole = text.substr(0, dot);
  int64_t value = 0;
  const auto r = std::from_chars(whole.data(), whole.data() + whole.size(), value);
  if (whole.empty() || r.ec != std::errc() || r.ptr != whole.data() + whole.size()) return "not a time";
  int64_t scale = 1;
  if (unit == "s")
    scale = kSecondUs;
  else if (unit == "ms")
    scale = 1000;
  else if (unit.empty() && value < 100'000'000'000)
    scale = kSecondUs;  // in seconds up to the year 5138
  else if (unit.empty() && value < 100'000'000'000'000)
    scale = 1000;
  if (value < 0 || value > kLastSecond * (kSecondUs / scale)) return "time out of range";
  time_us = value * scale;
  if (dot == std::string_view::npos) return nullptr;
  for (const char c : text.substr(dot + 1)) {
    if (c < '0' || c > '9') return "not a time";
    scale /= 10, time_us += (c - '0') * scale;
  }
  return nullptr;
}

const char* any_time(std::string_view text, std::string_view unit, int64_t& time_us) {
  if (unit.empty() && text.find('-', 1) != std::string_view::npos)
    return parse_time(text, time_us) ? nullptr : "not a time";
  return number_time(text, unit, time_us);
}

// Where a value stands: a column of the table itself, or of a joined one.
struct Column {
  int table;  // 0: the table, n: the nth join
  int index;  // in the table; in a join, of the values kept
};

// The rows of another table by the values of the shared columns.
struct Join {
  std::string file;
  CsvReader reader;
  std::vector<int> key_there;
  std::vector<Column> key_here;
  std::vector<std::string> kept_names;
  std::vector<int> kept_there;
  std::unordered_map<std::string, std::string> rows;  // values kept, separated by the byte 0
  std::vector<std::string_view> found;                // the current row's
};

constexpr char kBetween = '\0';

class Import {
 public:
  explicit Import(const ImportCsvOptions& options)
      : options_(options), table_(separator()), events_(options.sort_bytes) {}

  void run(std::ostream& err) {
    kind_ = csv_kind(options_.kind);
    if (kind_ == nullptr)
      bad_usage("unknown kind \"" + options_.kind + "\"; there are: " + std::string(csv_kind_names()));
    if (!options_.time_unit.empty() && options_.time_unit != "s" && options_.time_unit != "ms" &&
        options_.time_unit != "us")
      bad_usage("--time-unit must be s, ms or us");
    must(table_.open(options_.file));
    open_joins();
    read_map();
    read_fixed();
    read_where();
    for (const CsvField& field : kind_->fields)
      if (field.needed && field.standard.empty() && !given(field.name)) needs(field.name);
    if (time_.empty()) needs("time");
    load_joins();
    rows(err);
  }

 private:
  struct Mapped {
    const CsvField* field;
    std::vector<Column> columns;
    std::string value;  // of this row
  };
  struct Where {
    Column column;
    bool equal;
    std::string value;
  };

  char separator() const {
    if (options_.separator == "tab") return '\t';
    if (options_.separator.size() != 1) bad_usage("--separator must be one character, or \"tab\"");
    return options_.separator[0];
  }
  [[noreturn]] void needs(std::string_view field) const {
    bad_usage("kind " + options_.kind + " needs --map " + std::string(field) +
              "=COLUMN; fields: " + csv_fields(options_.kind));
  }
  bool given(std::string_view name) const {
    const auto same = [&](const auto& m) { return m.field->name == name; };
    return std::any_of(mapped_.begin(), mapped_.end(), same) || std::any_of(fixed_.begin(), fixed_.end(), same);
  }
  const CsvField* field(std::string_view name) const {
    for (const CsvField& f : kind_->fields)
      if (f.name == name) return &f;
    bad_usage("kind " + options_.kind + " has no field \"" + std::string(name) +
              "\"; fields: " + csv_fields(options_.kind));
  }

  Column column(const std::string& name) {
    if (const int i = table_.column(name); i >= 0) return {0, i};
    std::string names = options_.file + " has " + table_.column_names();
    for (size_t j = 0; j < joins_.size(); ++j) {
      Join& join = *joins_[j];
      if (const int there = join.reader.column(name); there >= 0) {
        const auto kept = std::find(join.kept_names.begin(), join.kept_names.end(), name);
        const int index = static_cast<int>(kept - join.kept_names.begin());
        if (kept == join.kept_names.end()) join.kept_names.push_back(name), join.kept_there.push_back(there);
        return {static_cast<int>(j) + 1, index};
      }
      names += "; " + join.file + " has " + join.reader.column_names();
    }
    bad_usage("no column \"" + name + "\"; " + names);
  }
  std::vector<Column> columns(const std::string& composed) {
    std::vector<Column> out;
    for (const std::string& name : split(composed, '+')) out.push_back(column(name));
    return out;
  }

  void open_joins() {
    for (const std::string& text : options_.join) {
      const size_t colon = text.rfind(':');
      if (colon == std::string::npos || colon == 0 || colon + 1 == text.size())
        bad_usage("--join must be FILE:COLUMN, not \"" + text + "\"");
      auto join = std::make_unique<Join>(Join{text.substr(0, colon), CsvReader(separator()), {}, {}, {}, {}, {}, {}});
      must(join->reader.open(join->file));
      for (const std::string& name : split(text.substr(colon + 1), '+')) {
        const int there = join->reader.column(name);
        if (there < 0)
          bad_usage("--join: no column \"" + name + "\" in " + join->file + "; it has " + join->reader.column_names());
        join->key_there.push_back(there);
        join->key_here.push_back(column(name));
      }
      joins_.push_back(std::move(join));
    }
  }
  void read_map() {
    for (const std::string& option : options_.map)
      for (const std::string& pair : split(option, ',')) {
        const size_t equal = pair.find('=');
        if (equal == std::string::npos || equal == 0 || equal + 1 == pair.size())
          bad_usage("--map must be FIELD=COLUMN, not \"" + pair + "\"");
        const std::string name = pair.substr(0, equal);
        std::vector<Column> from = columns(pair.substr(equal + 1));
        if (name == "time")
          time_ = std::move(from);
        else if (name == "id")
          id_ = std::move(from);
        else if (given(name))
          bad_usage("field \"" + name + "\" is mapped twice");
        else
          mapped_.push_back({field(name), std::move(from), {}});
      }
  }
  void read_fixed() {
    for (const std::string& pair : options_.fixed) {
      const size_t equal = pair.find('=');
      if (equal == std::string::npos) bad_usage("--const must be FIELD=VALUE, not \"" + pair + "\"");
      const std::string name = pair.substr(0, equal);
      if (given(name)) bad_usage("field \"" + name + "\" is given twice");
      fixed_.push_back({field(name), {}, pair.substr(equal + 1)});
      Fact probe;
      kind_->begin(probe);
      if (const char* wrong = fixed_.back().field->set(probe, fixed_.back().value); wrong != nullptr)
        bad_usage("--const " + pair + ": " + wrong + values_of(name));
    }
  }
  std::string values_of(std::string_view name) const {
    if (name == "kind" && kind_->name == "like") return " (" + enum_names(EventEnum::kLikeKind) + ")";
    if (name == "kind" && kind_->name == "beta_test") return " (" + enum_names(EventEnum::kBetaTestKind) + ")";
    if (name == "kind" && kind_->name == "feedback") return " (" + enum_names(EventEnum::kFeedbackKind) + ")";
    if (name == "kind" || name == "post_kind") return " (" + enum_names(EventEnum::kPostKind) + ")";
    if (name == "action")
      return " (" + enum_names(kind_->name == "post" ? EventEnum::kPostAction : EventEnum::kAccountAction) + ")";
    if (name == "stage") return " (" + enum_names(EventEnum::kReferralStage) + ")";
    if (name == "status") return " (" + enum_names(EventEnum::kBetaTestStatus) + ")";
    if (name == "prompt") return " (" + enum_names(EventEnum::kPrompt) + ")";
    return "";
  }
  void read_where() {
    for (const std::string& text : options_.where) {
      const size_t equal = text.find('=');
      if (equal == std::string::npos || equal == 0) bad_usage("--where must be COLUMN=VALUE, not \"" + text + "\"");
      const bool is = text[equal - 1] != '!';
      where_.push_back({column(text.substr(0, is ? equal : equal - 1)), is, text.substr(equal + 1)});
    }
  }

  void load_joins() {
    std::vector<std::string_view> fields;
    for (auto& join : joins_) {
      std::string key, values;
      CsvReader::Got got;
      while ((got = join->reader.next(fields)) == CsvReader::Got::kRow) {
        if (fields.size() != join->reader.columns().size()) {
          skipped_.add("joined row with another number of fields than its header", join->file, join->reader.line());
          continue;
        }
        key.clear(), values.clear();
        for (const int i : join->key_there) key += fields[i], key += kBetween;
        for (const int i : join->kept_there) values += fields[i], values += kBetween;
        if (!join->rows.emplace(key, values).second)
          skipped_.add("joined row whose key stood before", join->file, join->reader.line());
      }
      if (got == CsvReader::Got::kError) must(join->reader.status());
      join->found.resize(join->kept_there.size());
    }
  }

  std::string_view value(const Column& c, const std::vector<std::string_view>& fields) const {
    return c.table == 0 ? fields[c.index] : joins_[c.table - 1]->found[c.index];
  }
  // Composed of several columns, an empty one makes the whole empty: half an id is none.
  std::string composed(const std::vector<Column>& from, const std::vector<std::string_view>& fields) const {
    std::string out;
    for (const Column& c : from) {
      const std::string_view part = value(c, fields);
      if (part.empty()) return {};
      if (!out.empty()) out += '/';
      out += part;
    }
    return out;
  }
  void look_up(const std::vector<std::string_view>& fields) {
    std::string key;
    for (auto& join : joins_) {
      key.clear();
      for (const Column& c : join->key_here) key += value(c, fields), key += kBetween;
      const auto row = join->rows.find(key);
      std::string_view rest = row == join->rows.end() ? std::string_view() : std::string_view(row->second);
      for (std::string_view& to : join->found) {
        const size_t end = rest.find(kBetween);
        to = rest.substr(0, end);
        rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
      }
    }
  }

  void rows(std::ostream& err) {
    uint64_t read = 0, chosen = 0;
    {
      ProgressBar progress("reading " + options_.file, table_.stream().raw_total(), "rows");
      std::vector<std::string_view> fields;
      CsvReader::Got got;
      while ((got = table_.next(fields)) == CsvReader::Got::kRow) {
        progress.update(table_.stream().raw_bytes(), ++read);
        if (fields.size() != table_.columns().size()) {
          skipped_.add("another number of fields than the header", options_.file, table_.line());
          continue;
        }
        look_up(fields);
        const auto holds = [&](const Where& w) { return (value(w.column, fields) == w.value) == w.equal; };
        if (!std::all_of(where_.begin(), where_.end(), holds)) continue;
        ++chosen;
        row(fields);
      }
      if (got == CsvReader::Got::kError) must(table_.status());
    }
    must(events_.write(options_.out, "writing"));
    err << "read " << read << " rows, " << read - chosen << " not asked for, wrote " << events_.events() << " events\n";
    skipped_.print(err);
    if (chosen > 0 && events_.events() == 0) throw Failure{1, "no row made an event"};
  }

  const char* set_all(Fact& event, const std::vector<std::string_view>& fields, std::string& reason) {
    for (const CsvField& f : kind_->fields)
      if (!f.standard.empty() && !given(f.name)) f.set(event, f.standard);
    for (auto* group : {&fixed_, &mapped_})
      for (Mapped& m : *group) {
        if (!m.columns.empty()) m.value = composed(m.columns, fields);
        const char* wrong = nullptr;
        if (!m.value.empty())
          wrong = m.field->set(event, m.value);
        else if (m.field->needed)
          wrong = "empty";
        if (wrong != nullptr) {
          reason = std::string(m.field->name) + ": " + wrong;
          return reason.c_str();
        }
      }
    return nullptr;
  }

  void row(const std::vector<std::string_view>& fields) {
    Fact event;
    kind_->begin(event);
    std::string reason, id;
    if (set_all(event, fields, reason) == nullptr) {
      const std::string when = composed(time_, fields);
      if (when.empty())
        reason = "time: empty";
      else if (const char* wrong = any_time(when, options_.time_unit, event.time_us); wrong != nullptr)
        reason = std::string("time: ") + wrong;
    }
    if (!reason.empty()) return skipped_.add(reason, options_.file, table_.line());
    id = id_.empty()
             ? (options_.id_prefix.empty() ? options_.kind : options_.id_prefix) + "-" + std::to_string(table_.row())
             : composed(id_, fields);
    event.id = id;
    must(events_.add(event, options_.file, table_.line(), skipped_));
  }

  const ImportCsvOptions& options_;
  CsvReader table_;
  EventSorter events_;
  Skipped skipped_;
  const CsvKind* kind_ = nullptr;
  std::vector<std::unique_ptr<Join>> joins_;
  std::vector<Mapped> mapped_, fixed_;
  std::vector<Column> time_, id_;
  std::vector<Where> where_;
};

}  // namespace

int run_import_csv(const ImportCsvOptions& options, std::ostream& err) {
  try {
    Import(options).run(err);
    return 0;
  } catch (const Failure& failure) {
    err << "import csv: " << failure.message << "\n";
    return failure.code;
  }
}

std::string csv_fields(std::string_view kind) {
  const CsvKind* found = csv_kind(kind);
  if (found == nullptr) return {};
  std::string out = "id, time*";
  for (const CsvField& field : found->fields)
    out += ", " + std::string(field.name) + (field.needed && field.standard.empty() ? "*" : "");
  return out;
}

}  // namespace bellwether
